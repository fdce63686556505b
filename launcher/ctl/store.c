/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guests.h"
#include "output.h"

#define SYSTEM_STORE "/var/lib/microvm"
#define NAME_MAX_BYTES 32
#define DEPTH_MAX 16    /* of directories in what is cleared away */
#define KILL_SECONDS 10 /* for a process to be gone; its memory is given back first */

static gboolean fail_errno(GError **error, const char *path)
{
    int saved = errno;

    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(saved), "%s: %s", path, g_strerror(saved));
    return FALSE;
}

char *store_dir(const Request *request)
{
    if (request->state_dir) {
        return g_canonicalize_filename(request->state_dir, NULL);
    }
    return geteuid() == 0 ? g_strdup(SYSTEM_STORE)
                          : g_build_filename(g_get_user_state_dir(), "microvm", NULL);
}

static const char *kind_dir(StoreKind kind)
{
    return kind == STORE_TEMPLATE ? "templates" : "clones";
}

char *store_path(const char *store, StoreKind kind, const char *name)
{
    return g_build_filename(store, kind_dir(kind), name, NULL);
}

gboolean store_check_name(const char *name, GError **error)
{
    static const char good[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.";

    if (g_ascii_isalnum(*name) && strlen(name) <= NAME_MAX_BYTES &&
        strspn(name, good) == strlen(name)) {
        return TRUE;
    }
    return ctl_fail(error, CTL_ERROR_USAGE,
                    "'%s' is no name for a template: at most %d letters, digits, '-', '_' and '.', "
                    "the first a letter or digit",
                    name, NAME_MAX_BYTES);
}

/* Others may pass through, to what is theirs to read. */
static gboolean make_dir(const char *path, GError **error)
{
    return (mkdir(path, 0711) == 0 && chmod(path, 0711) == 0) || errno == EEXIST ||
           fail_errno(error, path);
}

static gboolean make_store(const char *store, GError **error)
{
    g_autofree char *templates = g_build_filename(store, kind_dir(STORE_TEMPLATE), NULL);
    g_autofree char *clones = g_build_filename(store, kind_dir(STORE_CLONE), NULL);
    g_autofree char *parent = g_path_get_dirname(store);

    if (g_mkdir_with_parents(parent, 0755) < 0) {
        return fail_errno(error, parent);
    }
    return make_dir(store, error) && make_dir(templates, error) && make_dir(clones, error);
}

/* The lock on all of it, for moments; close it. */
static int lock_store(const char *store, GError **error)
{
    g_autofree char *path = g_build_filename(store, "lock", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd >= 0 && flock(fd, LOCK_EX) == 0) {
        return fd;
    }
    fail_errno(error, path);
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

/*
 * By directories that are open, never by a path through them: what is in a run directory may be
 * changed meanwhile by the user that a QEMU runs as.
 */
static gboolean remove_at(int parent, const char *name, guint depth)
{
    gboolean done = unlinkat(parent, name, 0) == 0 || errno == ENOENT;
    struct dirent *entry;
    DIR *dir;
    int fd;

    if (done || errno != EISDIR) {
        return done;
    }
    fd = depth > 0 ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd < 0) {
        return FALSE;
    }
    dir = fdopendir(fd);
    g_assert(dir);
    do {
        entry = readdir(dir);
        done = !entry || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
               remove_at(fd, entry->d_name, depth - 1);
    } while (entry && done);
    closedir(dir);
    return done && unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

gboolean store_remove_tree(const char *path, GError **error)
{
    return remove_at(AT_FDCWD, path, DEPTH_MAX) || fail_errno(error, path);
}

/* Whether a QEMU program, or ssh-keygen, has a file of @dir among its words. */
static gboolean works_in(const char *pid, const char *dir)
{
    g_autofree char *path = g_build_filename("/proc", pid, "cmdline", NULL), *text = NULL;
    g_autofree char *inside = g_strconcat(dir, "/", NULL), *name = NULL;
    gsize size;

    if (!g_file_get_contents(path, &text, &size, NULL) || size == 0) {
        return FALSE;
    }
    name = g_path_get_basename(text);
    return (g_str_has_prefix(name, "qemu-") || strcmp(name, "ssh-keygen") == 0) &&
           memmem(text, size, inside, strlen(inside));
}

static void end_process(const char *pid, const char *dir)
{
    int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)atoi(pid), 0);

    if (pidfd < 0) {
        return;
    }
    if (works_in(pid, dir)) { /* still it, and not another of the same number */
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        pidfd_wait(pidfd, channel_deadline(KILL_SECONDS));
    }
    close(pidfd);
}

/* One may start another, hence again. */
void store_end_processes(const char *dir)
{
    gboolean found = TRUE;

    while (found) {
        g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
        const char *name;

        found = FALSE;
        while (proc && (name = g_dir_read_name(proc))) {
            if (g_ascii_isdigit(*name) && works_in(name, dir)) {
                end_process(name, dir);
                found |= !works_in(name, dir);
            }
        }
    }
}

static gboolean nft(const char *verb, const char *table, GError **error)
{
    const char *argv[] = {"nft", verb, "table", "bridge", table, NULL};
    int status = -1;

    return g_spawn_sync(NULL, (char **)argv, NULL,
                        G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL |
                            G_SPAWN_STDERR_TO_DEV_NULL,
                        NULL, NULL, NULL, NULL, &status, error) &&
           g_spawn_check_wait_status(status, error);
}

/* By nft: a command that needs libnftables itself is not the one that clears away. */
static gboolean remove_table(const char *path, GError **error)
{
    g_autofree char *rules = g_build_filename(path, STORE_RULES, NULL);
    g_autofree char *id = g_path_get_basename(path), *table = g_strconcat(STORE_TABLE, id, NULL);
    g_autoptr(GError) cause = NULL, none = NULL;

    if (access(rules, F_OK) < 0 || nft("delete", table, &cause) ||
        (!nft("list", table, &none) && none->domain == G_SPAWN_EXIT_ERROR)) {
        return TRUE; /* or there is none */
    }
    return ctl_fail(error, CTL_ERROR_FAILED, "nftables' table %s: %s", table, cause->message);
}

static void sweep_dir(const char *path)
{
    g_autoptr(GError) error = NULL;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) {
        return;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        store_end_processes(path);
        if (!remove_table(path, &error) || !store_remove_tree(path, &error)) {
            output_say("what an interrupted command has left: %s", error->message);
        }
    }
    close(fd);
}

static void sweep_kind(const char *store, StoreKind kind)
{
    g_autofree char *parent = g_build_filename(store, kind_dir(kind), NULL);
    g_autoptr(GDir) dir = g_dir_open(parent, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(parent, name, NULL);

        if (kind == STORE_CLONE || *name == '.') {
            sweep_dir(path);
        }
    }
}

static void sweep_locked(const char *store)
{
    sweep_kind(store, STORE_TEMPLATE);
    sweep_kind(store, STORE_CLONE);
}

void store_sweep(const char *store)
{
    int lock = lock_store(store, NULL);

    if (lock >= 0) {
        sweep_locked(store);
        close(lock);
    }
}

static Work *make_work(char *path, GError **error)
{
    g_autofree char *taken = path;
    Work *work;
    int fd;

    if (mkdir(path, 0700) < 0) {
        if (errno == EEXIST) {
            ctl_fail(error, CTL_ERROR_FAILED, "another microvm-ctl is at work in %s", path);
        } else {
            fail_errno(error, path);
        }
        return NULL;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
        fail_errno(error, path);
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    work = g_new0(Work, 1);
    work->path = g_steal_pointer(&taken);
    work->fd = fd;
    return work;
}

Work *work_new(const char *store, StoreKind kind, const char *name, GError **error)
{
    g_autofree char *hidden = g_strconcat(".", name, NULL);
    Work *work;
    int lock;

    if (!make_store(store, error)) {
        return NULL;
    }
    lock = lock_store(store, error);
    if (lock < 0) {
        return NULL;
    }
    sweep_locked(store);
    work = make_work(store_path(store, kind, kind == STORE_TEMPLATE ? hidden : name), error);
    close(lock);
    return work;
}

void work_free(Work *work)
{
    if (work) {
        close(work->fd);
        g_free(work->path);
        g_free(work);
    }
}

void work_remove(Work *work)
{
    g_autoptr(GError) error = NULL;

    if (work && !store_remove_tree(work->path, &error)) {
        output_say("%s", error->message);
    }
    work_free(work);
}

/* What is on the disk is to be there before its name is. */
static gboolean sync_dir(const char *path, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, error);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        gboolean good = fd >= 0 && fsync(fd) == 0;

        if (!good) {
            fail_errno(error, file);
        }
        if (fd >= 0) {
            close(fd);
        }
        if (!good) {
            return FALSE;
        }
    }
    return dir != NULL;
}

gboolean store_publish(const char *store, Work *work, const char *name, gboolean replace,
                       GError **error)
{
    g_autofree char *path = store_path(store, STORE_TEMPLATE, name);
    unsigned flags = replace && access(path, F_OK) == 0 ? RENAME_EXCHANGE : RENAME_NOREPLACE;

    if (!sync_dir(work->path, error)) {
        return FALSE;
    }
    if (renameat2(AT_FDCWD, work->path, AT_FDCWD, path, flags) < 0) {
        return errno == EEXIST
                   ? ctl_fail(error, CTL_ERROR_FAILED,
                              "there is a template '%s' already; --replace makes it anew", name)
                   : fail_errno(error, path);
    }
    if (flags == RENAME_EXCHANGE) { /* what was there has its place now */
        return store_remove_tree(work->path, error);
    }
    return TRUE;
}

gboolean store_remove(const char *store, const char *name, GError **error)
{
    g_autofree char *path = store_path(store, STORE_TEMPLATE, name);
    g_autofree char *hidden = g_strconcat(".", name, NULL);
    g_autofree char *away = store_path(store, STORE_TEMPLATE, hidden);
    gboolean done;
    int lock;

    if (access(path, F_OK) < 0) {
        return ctl_fail(error, CTL_ERROR_FAILED, "there is no template '%s' (%s)", name, path);
    }
    lock = lock_store(store, error);
    if (lock < 0) {
        return FALSE;
    }
    sweep_locked(store);
    done = renameat2(AT_FDCWD, path, AT_FDCWD, away, RENAME_NOREPLACE) == 0;
    if (!done && errno == EEXIST) {
        ctl_fail(error, CTL_ERROR_FAILED, "template '%s' is just being made", name);
    } else if (!done) {
        fail_errno(error, path);
    }
    done = done && store_remove_tree(away, error);
    close(lock);
    return done;
}

/* The child's end, or the number of a signal that was to end us. */
static int wait_child(pid_t child, const sigset_t *signals, int *status)
{
    for (;;) {
        int number = sigwaitinfo(signals, NULL);

        if (number == SIGCHLD && waitpid(child, status, WNOHANG) == child) {
            return 0;
        }
        if (number > 0 && number != SIGCHLD) {
            return number;
        }
    }
}

gboolean store_supervise(const char *store, Request *request, gboolean *done, GError **error)
{
    sigset_t signals, before;
    int status = 0, number;
    pid_t child;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, &before);
    child = fork();
    if (child <= 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        return child == 0 || fail_errno(error, "fork");
    }
    number = wait_child(child, &signals, &status);
    if (number > 0) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        output_say("interrupted; clearing away what was begun");
    }
    if (number > 0 || !WIFEXITED(status)) {
        store_sweep(store);
        request->status = number > 0 ? 128 + number : 1;
        return ctl_fail(error, CTL_ERROR_EXIT, "interrupted");
    }
    request->status = WEXITSTATUS(status);
    *done = request->status == 0;
    return !*done && ctl_fail(error, CTL_ERROR_EXIT, "said by the child");
}
