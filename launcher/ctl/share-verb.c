/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories of the host for a guest that runs. QEMU was started in a mount namespace of its own,
 * with a 9p device for an empty tree there (live-share.h); a share is a mount in that tree. What is
 * mounted is a copy of one mount, which the host does not see, with nothing below that is mounted
 * upon it, and no way to devices, to rights of set-user-ID files or along symlinks.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guests.h"
#include "live-share.h"
#include "output.h"

#define NAME_MAX_BYTES 64

typedef struct {
    const Guest *guest;
    int mounts; /* QEMU's mount namespace */
    uid_t uid;  /* QEMU's */
    gid_t gid;
} Place;

static void place_clear(Place *place)
{
    if (place->mounts >= 0) {
        close(place->mounts);
    }
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Place, place_clear)

static gboolean fail_errno(const char *what, GError **error)
{
    return ctl_fail(error, CTL_ERROR_FAILED, "%s: %s", what, g_strerror(errno));
}

/* The first number behind @key in QEMU's /proc/PID/status. */
static gboolean status_number(const char *status, const char *key, guint *number)
{
    const char *at = strstr(status, key);

    return at && sscanf(at + strlen(key), "%u", number) == 1;
}

static gboolean find_ids(Place *place)
{
    g_autofree char *path = g_strdup_printf("/proc/%ld/status", place->guest->pid), *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) &&
           status_number(text, "\nUid:\t", &place->uid) &&
           status_number(text, "\nGid:\t", &place->gid);
}

/*
 * A QEMU that a guest has taken over could move itself into a namespace of its own making, where it
 * has the say over mounts: such a one belongs to another user namespace than ours.
 */
static gboolean is_roots(int mounts)
{
    int owner = ioctl(mounts, NS_GET_USERNS);
    struct stat theirs, ours;
    gboolean same = owner >= 0 && fstat(owner, &theirs) == 0 &&
                    stat("/proc/self/ns/user", &ours) == 0 && theirs.st_ino == ours.st_ino;

    if (owner >= 0) {
        close(owner);
    }
    return same;
}

static gboolean find_place(Place *place, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%ld/ns/mnt", place->guest->pid);
    int pidfd = guest_pidfd(place->guest, error);
    struct stat theirs, ours;
    gboolean found;

    if (pidfd < 0) {
        return FALSE;
    }
    place->mounts = open(path, O_RDONLY | O_CLOEXEC);
    found = place->mounts >= 0 && find_ids(place) && !pidfd_wait(pidfd, 0);
    close(pidfd);
    if (!found || fstat(place->mounts, &theirs) < 0 || stat("/proc/self/ns/mnt", &ours) < 0) {
        return fail_errno(path, error);
    }
    if (theirs.st_ino == ours.st_ino || !is_roots(place->mounts)) {
        return ctl_fail(error, CTL_ERROR_FAILED,
                        "guest %s takes no shares: it was not started with microvm-launch --shares",
                        place->guest->id);
    }
    return TRUE;
}

/* What is done in QEMU's mount namespace: FALSE with errno. */
typedef gboolean (*Work)(gconstpointer data);

/*
 * In a process of its own, as there is no way back from a namespace with open descriptors and
 * threads. errno is the process's exit status.
 */
static gboolean do_there(const Place *place, Work work, gconstpointer data)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct statfs fs;

        if (setns(place->mounts, CLONE_NEWNS) < 0 || statfs(LIVE_SHARE_DIR, &fs) < 0) {
            _exit(errno);
        }
        if (fs.f_type != TMPFS_MAGIC) {
            _exit(ENOTDIR);
        }
        _exit(work(data) ? 0 : errno);
    }
    if (pid < 0) {
        return FALSE;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    return errno == 0;
}

/* The tree by a mount that can be written to, and that nobody else has. */
static int open_writable(void)
{
    struct mount_attr attr = {.attr_clr = MOUNT_ATTR_RDONLY};
    int fd = open_tree(AT_FDCWD, LIVE_SHARE_DIR, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    if (fd >= 0 && mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

typedef struct {
    const char *name, *path;
    int tree; /* the mount, when it is added */
    gboolean force;
} Share;

static gboolean add_there(gconstpointer data)
{
    const Share *share = data;
    g_autofree char *mount = g_build_filename(LIVE_SHARE_TREE, share->name, NULL);
    g_autofree char *from = g_build_filename(LIVE_SHARE_FROM, share->name, NULL);
    g_autofree char *target = g_build_filename(LIVE_SHARE_DIR, mount, NULL);
    int tree = open_writable(), saved;

    if (tree < 0 || mkdirat(tree, mount, 0755) < 0) {
        return FALSE;
    }
    if (symlinkat(share->path, tree, from) == 0 &&
        move_mount(share->tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) == 0) {
        return TRUE;
    }
    saved = errno;
    unlinkat(tree, from, 0);
    unlinkat(tree, mount, AT_REMOVEDIR);
    errno = saved;
    return FALSE;
}

static gboolean remove_there(gconstpointer data)
{
    const Share *share = data;
    g_autofree char *mount = g_build_filename(LIVE_SHARE_TREE, share->name, NULL);
    g_autofree char *from = g_build_filename(LIVE_SHARE_FROM, share->name, NULL);
    g_autofree char *target = g_build_filename(LIVE_SHARE_DIR, mount, NULL);
    int tree = open_writable();

    return tree >= 0 && umount2(target, UMOUNT_NOFOLLOW | (share->force ? MNT_DETACH : 0)) == 0 &&
           unlinkat(tree, mount, AT_REMOVEDIR) == 0 && unlinkat(tree, from, 0) == 0;
}

static gboolean check_name(const char *name, GError **error)
{
    gboolean good = *name && *name != '.' && strlen(name) <= NAME_MAX_BYTES;

    for (const char *p = name; good && *p; p++) {
        good = g_ascii_isalnum(*p) || strchr("._-+", *p);
    }
    return good || ctl_fail(error, CTL_ERROR_USAGE,
                            "share: '%s' is not a name of letters, digits and ._-+, at most %d of "
                            "them (--name)",
                            name, NAME_MAX_BYTES);
}

static gboolean add(const Place *place, const Request *request, GError **error)
{
    g_autofree char *path = realpath(request->words[0], NULL);
    g_autofree char *base = path ? g_path_get_basename(path) : NULL;
    Share share = {.name = request->name ? request->name : base, .path = path};
    gboolean done;

    if (!path) {
        return fail_errno(request->words[0], error);
    }
    if (!check_name(share.name, error)) {
        return FALSE;
    }
    share.tree = live_share_mount(path, request->read_only, place->uid, place->gid, error);
    if (share.tree < 0) {
        return FALSE;
    }
    done = do_there(place, add_there, &share);
    close(share.tree);
    if (done) {
        printf("in the guest: mount -t 9p -o trans=virtio,version=9p2000.L " LIVE_SHARE_TAG
               " /mnt; then it is /mnt/%s\n",
               share.name);
        return TRUE;
    }
    if (errno == EEXIST) {
        return ctl_fail(error, CTL_ERROR_FAILED,
                        "guest %s has a share '%s' already; choose another --name",
                        place->guest->id, share.name);
    }
    return fail_errno(path, error);
}

static gboolean take_away(const Place *place, const Request *request, GError **error)
{
    Share share = {.name = request->words[0], .force = request->force};

    if (!check_name(share.name, error)) {
        return FALSE;
    }
    if (do_there(place, remove_there, &share)) {
        return TRUE;
    }
    if (errno == EBUSY) {
        return ctl_fail(error, CTL_ERROR_FAILED,
                        "guest %s has files open in '%s'; --force takes the share away from it, "
                        "but for those",
                        place->guest->id, share.name);
    }
    return errno == ENOENT || errno == EINVAL
               ? ctl_fail(error, CTL_ERROR_FAILED, "guest %s has no share '%s'", place->guest->id,
                          share.name)
               : fail_errno(share.name, error);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of what is shared, in order; @root is the tree as it can be read from here. */
static GPtrArray *names_of(const char *root, GError **error)
{
    g_autofree char *path = g_build_filename(root, LIVE_SHARE_FROM, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, error);
    GPtrArray *names;
    const char *name;

    if (!dir) {
        return NULL;
    }
    names = g_ptr_array_new_with_free_func(g_free);
    while ((name = g_dir_read_name(dir))) {
        g_ptr_array_add(names, g_strdup(name));
    }
    g_ptr_array_sort(names, by_name);
    return names;
}

static void list_one(const char *root, const char *name, JsonBuilder *builder)
{
    g_autofree char *link = g_build_filename(root, LIVE_SHARE_FROM, name, NULL);
    g_autofree char *mount = g_build_filename(root, LIVE_SHARE_TREE, name, NULL);
    g_autofree char *path = g_file_read_link(link, NULL);
    g_autofree char *clean = output_clean(path ? path : "");
    struct statvfs fs;
    gboolean readonly = statvfs(mount, &fs) == 0 && (fs.f_flag & ST_RDONLY);

    if (!builder) {
        printf("%-20s  %-10s  %s\n", name, readonly ? "read-only" : "read-write", clean);
        return;
    }
    json_builder_begin_object(builder);
    output_string(builder, "name", name);
    output_string(builder, "path", path ? path : "");
    json_builder_set_member_name(builder, "read-only");
    json_builder_add_boolean_value(builder, readonly);
    json_builder_end_object(builder);
}

static gboolean list(const Place *place, const Request *request, GError **error)
{
    g_autofree char *root = g_strdup_printf("/proc/%ld/root" LIVE_SHARE_DIR, place->guest->pid);
    g_autoptr(GPtrArray) names = names_of(root, error);
    g_autoptr(JsonBuilder) builder = request->json ? json_builder_new() : NULL;

    if (!names) {
        return FALSE;
    }
    if (builder) {
        json_builder_begin_array(builder);
    }
    for (guint i = 0; i < names->len; i++) {
        list_one(root, names->pdata[i], builder);
    }
    if (builder) {
        json_builder_end_array(builder);
        output_json(builder);
    }
    return TRUE;
}

static gboolean check_request(const Request *request, GError **error)
{
    gboolean adds = !request->list && !request->remove;

    if (request->list + request->remove > 1 || request->n_words != (request->list ? 0 : 1) ||
        (!adds && (request->name || request->read_only)) || (request->force && !request->remove) ||
        (request->json && !request->list)) {
        return ctl_fail(error, CTL_ERROR_USAGE,
                        "usage: microvm-ctl share ID PATH [--name NAME] [--read-only], share ID "
                        "NAME --remove [--force], or share ID --list [--json]");
    }
    return geteuid() == 0 ||
           ctl_fail(error, CTL_ERROR_FAILED, "share: only root can mount directories for a guest");
}

gboolean ctl_share(Request *request, GError **error)
{
    g_autoptr(Guest) guest = NULL;
    g_auto(Place) place = {.mounts = -1};

    if (!check_request(request, error) || !(guest = guest_find(request, error))) {
        return FALSE;
    }
    place.guest = guest;
    if (!find_place(&place, error)) {
        return FALSE;
    }
    if (request->list) {
        return list(&place, request, error);
    }
    return request->remove ? take_away(&place, request, error) : add(&place, request, error);
}
