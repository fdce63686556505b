/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "container-init.h"
#include "disk.h"
#include "furnish.h"
#include "jail.h"
#include "launcher-paths.h"
#include "profile.h"
#include "source.h"
#include "tool.h"
#include "unpack.h"

#define PREFIX "work."
#define KEYS_MAX_BYTES (64 << 10)
#define NOBODY 65534 /* what Linux shows of an owner that a namespace lacks */

typedef struct {
    const Request *request;
    char *dir, *tree, *log; /* of this run; what becomes the disk's root; what the tools said */
    int lock;
    GBytes *run; /* what container-init is to run, or NULL */
} Work;

static gboolean remove_tree(const char *dir)
{
    const char *argv[] = {"rm", "-rf", "--one-file-system", "--", dir, NULL};
    int status;

    return g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
                        &status, NULL) &&
           status == 0;
}

/* The descriptor of @dir, locked; or -1 where another process has it. */
static int lock_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Of runs that were killed. */
static void remove_leftovers(const char *cache)
{
    g_autoptr(GDir) dir = g_dir_open(cache, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(cache, name, NULL);
        int fd = g_str_has_prefix(name, PREFIX) ? lock_dir(path) : -1;

        if (fd < 0)
            continue;
        remove_tree(path);
        close(fd);
    }
}

/* Nobody else gets into it: the tree may have programs with the rights of root. */
static gboolean begin(Work *work, GError **error)
{
    const char *cache = work->request->cache;

    remove_leftovers(cache);
    work->dir = g_build_filename(cache, PREFIX "XXXXXX", NULL);
    if (!g_mkdtemp_full(work->dir, 0700) || (work->lock = lock_dir(work->dir)) < 0)
        return image_fail(error, IMAGE_ERROR_FAILED, "%s: %s", work->dir, g_strerror(errno));
    work->log = g_build_filename(cache, "disk.log", NULL);
    return TRUE;
}

static gboolean make_tree(Work *work, GError **error)
{
    work->tree = g_build_filename(work->dir, "root", NULL);
    return mkdir(work->tree, 0755) == 0 ||
           image_fail(error, IMAGE_ERROR_FAILED, "%s: %s", work->tree, g_strerror(errno));
}

static gboolean unpack(Work *work, int fd, guint64 total, gint64 nobody, GError **error)
{
    Unpack request = {.fd = fd, .total = total, .limit = work->request->size, .nobody = nobody};

    return jail_run(work->tree, unpack_tarball, &request, error);
}

static gboolean unpack_file(Work *work, const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    gboolean good;

    if (fd < 0 || fstat(fd, &st) < 0)
        return image_fail(error, IMAGE_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
    good = unpack(work, fd, (guint64)st.st_size, -1, error);
    close(fd);
    if (!good)
        g_prefix_error(error, "%s: ", path);
    return good;
}

static int open_append(const char *log)
{
    return open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

/* A directory is read by tar, and goes the way of a tarball: only its own file system. */
static gboolean unpack_directory(Work *work, const char *path, GError **error)
{
    const char *argv[] = {"tar",
                          "--create",
                          "--one-file-system",
                          "--numeric-owner",
                          "--xattrs",
                          "--acls",
                          "--format=posix",
                          "--sparse",
                          "--file=-",
                          "--directory",
                          path,
                          ".",
                          NULL};
    int fd, log = open_append(work->log), status;
    gboolean good;
    GPid pid;

    if (log < 0)
        return image_fail(error, IMAGE_ERROR_FAILED, "%s: %s", work->log, g_strerror(errno));
    good = g_spawn_async_with_pipes_and_fds(
        NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, -1, -1, log,
        NULL, NULL, 0, &pid, NULL, &fd, NULL, error);
    close(log);
    if (!good)
        return FALSE;
    good = unpack(work, fd, 0, work->request->fetched ? NOBODY : -1, error);
    close(fd);
    if (!good)
        kill(pid, SIGTERM);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    /* 1: a file has changed while it was read */
    if (good && !(WIFEXITED(status) && WEXITSTATUS(status) <= 1))
        return image_fail(error, IMAGE_ERROR_FAILED,
                          "%s cannot be read whole; tar's words are in %s", path, work->log);
    return good;
}

static gboolean unpack_image(Work *work, GError **error)
{
    g_autofree char *bundle = g_build_filename(work->dir, "bundle", NULL);

    if (!oci_unpack(work->request, bundle, error))
        return FALSE;
    work->tree = g_build_filename(bundle, "rootfs", NULL);
    work->run = oci_run(bundle, error);
    return work->run != NULL;
}

static gboolean fill(Work *work, GError **error)
{
    const Request *request = work->request;
    g_autofree char *tarball = NULL;

    if (request->kind == SOURCE_OCI)
        return unpack_image(work, error);
    if (!make_tree(work, error))
        return FALSE;
    if (request->kind == SOURCE_DIRECTORY)
        return unpack_directory(work, request->name, error);
    if (request->kind == SOURCE_TARBALL)
        return unpack_file(work, request->name, error);
    tarball = suite_tarball(request);
    return unpack_file(work, tarball, error);
}

static gboolean is_suite(const Request *request)
{
    return request->kind == SOURCE_DEBIAN || request->kind == SOURCE_UBUNTU;
}

/* Beside this program where it was built, or installed. */
static GBytes *load_container_init(GError **error)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = g_path_get_dirname(self ? self : "/");
    g_autofree char *path = g_build_filename(dir, "container-init", NULL);
    char *bytes;
    gsize n;

    if (access(path, R_OK) < 0) {
        g_free(path);
        path = g_strdup(CONTAINER_INIT_PATH);
    }
    return g_file_get_contents(path, &bytes, &n, error) ? g_bytes_new_take(bytes, n) : NULL;
}

static gboolean load_keys(const char *path, char **keys, GError **error)
{
    gsize n;

    if (!g_file_get_contents(path, keys, &n, error))
        return FALSE;
    if (n > KEYS_MAX_BYTES || !g_str_is_ascii(*keys) || n != strlen(*keys) || !strchr(*keys, ' ') ||
        strstr(*keys, "PRIVATE KEY"))
        return image_fail(error, IMAGE_ERROR_FAILED,
                          "--ssh-key %s: public keys are wanted, one a line, as in id_ed25519.pub",
                          path);
    return TRUE;
}

static gboolean furnish(const Work *work, GError **error)
{
    const Request *request = work->request;
    g_autofree char *keys = NULL;
    g_autoptr(GBytes) program = NULL;
    Furnish furnish = {.suite = is_suite(request),
                       .ssh = (request->profiles & PROFILE_SSH) != 0,
                       .hostname = request->hostname,
                       .no_password = request->no_password,
                       .run = work->run};
    guint profiles = request->profiles;

    if (request->ssh_key && !load_keys(request->ssh_key, &keys, error))
        return FALSE;
    if (work->run && !(program = load_container_init(error)))
        return FALSE;
    furnish.keys = keys;
    furnish.container_init = program;
    return (is_suite(request) || jail_run(work->tree, profile_check, &profiles, error)) &&
           jail_run(work->tree, furnish_tree, &furnish, error);
}

/* systemctl follows the tree's links inside the tree. */
static gboolean enable_units(const Work *work, GError **error)
{
    g_autofree char *root = g_strconcat("--root=", work->tree, NULL);
    g_autoptr(GPtrArray) units = profile_units(work->request->profiles);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    if (!is_suite(work->request) || units->len == 1)
        return TRUE;
    g_ptr_array_add(argv, (char *)"systemctl");
    g_ptr_array_add(argv, root);
    g_ptr_array_add(argv, (char *)"enable");
    for (guint i = 0; i < units->len; i++)
        g_ptr_array_add(argv, units->pdata[i]);
    return tool_run("enabling services", (const char *const *)argv->pdata, work->log, NULL, NULL,
                    error);
}

gboolean work_run(const Request *request, GError **error)
{
    Work work = {.request = request, .lock = -1};
    gboolean good = begin(&work, error) && fill(&work, error) && furnish(&work, error) &&
                    enable_units(&work, error) && disk_write(request, work.tree, work.log, error);

    if (work.lock >= 0) {
        if (!remove_tree(work.dir))
            image_say("%s could not be removed", work.dir);
        close(work.lock);
    }
    g_free(work.dir);
    g_free(work.tree);
    g_free(work.log);
    g_clear_pointer(&work.run, g_bytes_unref);
    return good;
}
