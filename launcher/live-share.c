/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "live-share.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "share.h"

static gboolean fail(const char *what, GError **error)
{
    g_set_error(error, SHARE_ERROR, SHARE_ERROR_START, "--shares: %s: %s", what, g_strerror(errno));
    return FALSE;
}

/* The host's mounts and what becomes of them are seen there; what is mounted there, only there. */
static gboolean leave_namespace(GError **error)
{
    return (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0) ||
           fail("a mount namespace", error);
}

/* The place for the tmpfs, which nobody but root can take away or put another thing in place of. */
static int open_place(GError **error)
{
    struct stat st;
    int fd;

    if (mkdir(LIVE_SHARE_DIR, 0755) < 0 && errno != EEXIST) {
        fail(LIVE_SHARE_DIR, error);
        return -1;
    }
    fd = open(LIVE_SHARE_DIR, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        fail(LIVE_SHARE_DIR, error);
        return -1;
    }
    if (fstat(fd, &st) == 0 && st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH)))
        return fd;
    close(fd);
    errno = EPERM;
    fail(LIVE_SHARE_DIR ", which should be root's and nobody else's to write", error);
    return -1;
}

static gboolean make_directory(int dir, const char *name, mode_t mode)
{
    return mkdirat(dir, name, mode) == 0 && fchmodat(dir, name, mode, 0) == 0;
}

/* Small, and nobody's to write to by this mount: microvm-ctl makes one of its own for that. */
static int make_tmpfs(void)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    int config = fsopen("tmpfs", FSOPEN_CLOEXEC), fd = -1, saved;

    if (config >= 0 && fsconfig(config, FSCONFIG_SET_STRING, "mode", "0755", 0) == 0 &&
        fsconfig(config, FSCONFIG_SET_STRING, "size", "256k", 0) == 0 &&
        fsconfig(config, FSCONFIG_SET_STRING, "nr_inodes", "1k", 0) == 0 &&
        fsconfig(config, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(config, FSMOUNT_CLOEXEC,
                     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    saved = errno;
    if (config >= 0)
        close(config);
    errno = saved;
    if (fd < 0 ||
        (make_directory(fd, LIVE_SHARE_TREE, 0755) && make_directory(fd, LIVE_SHARE_FROM, 0700) &&
         mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0))
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

gboolean live_share_prepare(GError **error)
{
    int place, tmpfs;
    gboolean done;

    if (!leave_namespace(error))
        return FALSE;
    place = open_place(error);
    if (place < 0)
        return FALSE;
    tmpfs = make_tmpfs();
    done = tmpfs >= 0 &&
           move_mount(tmpfs, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
    if (!done)
        fail("a tmpfs at " LIVE_SHARE_DIR, error);
    if (tmpfs >= 0)
        close(tmpfs);
    close(place);
    return done;
}
