/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "modules.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define FD_PATH 32 /* room for /proc/self/fd/N */

/*
 * LoadPin lets modules come from one file system only, that of the first file which is loaded as
 * one; and cannot be lifted where that is read-only. The flag says that the file is compressed,
 * which this kernel refuses after LoadPin has seen it, without a word in its log.
 */
static void pin(const char *directory)
{
    char path[MODULES_PATH + 16];
    int enforce = open("/proc/sys/kernel/loadpin/enforce", O_WRONLY | O_CLOEXEC);

    if (enforce < 0) {
        return;
    }
    snprintf(path, sizeof(path), "%s/kernel.notes", directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        syscall(SYS_finit_module, fd, "", MODULE_INIT_COMPRESSED_FILE);
        close(fd);
    }
    if (fd < 0 || write(enforce, "1", 1) != 1) {
        say("cannot pin modules to the host's image: %s", strerror(errno));
    }
    close(enforce);
}

/* The directory PATH, with links followed as they will be once ROOT is the root. */
static int open_below(int root, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* Makes NAME in the directory PATH, unless it is there. True when it is there afterwards. */
static bool make_below(int root, const char *path, const char *name)
{
    int dir = open_below(root, path);

    if (dir < 0) {
        return false;
    }
    bool ok = !mkdirat(dir, name, 0755) || errno == EEXIST;
    int err = errno;
    close(dir);
    errno = err;
    return ok;
}

/* Mounts SOURCE at the open directory DIR: as it is, or over what DIR holds. Closes DIR. */
static bool mount_at(int dir, const char *source, bool merge)
{
    char place[FD_PATH], data[MODULES_PATH + FD_PATH + 16];

    snprintf(place, sizeof(place), "/proc/self/fd/%d", dir);
    snprintf(data, sizeof(data), "lowerdir=%s:%s", source, place);
    int rc = merge ? mount("modules", place, "overlay", MS_RDONLY | MS_NODEV | MS_SILENT, data)
                   : mount(source, place, NULL, MS_BIND, NULL);
    int err = errno;
    close(dir);
    errno = err;
    return !rc;
}

/* Whether nobody will ever write there: a root that is mounted ro may still be remounted. */
static bool never_written(int root)
{
    struct statfs fs;

    return !fstatfs(root, &fs) && ((unsigned long)fs.f_type == SQUASHFS_MAGIC ||
                                   (unsigned long)fs.f_type == EROFS_SUPER_MAGIC_V1 ||
                                   (unsigned long)fs.f_type == ISOFS_SUPER_MAGIC);
}

/*
 * At /lib/modules/RELEASE where that is there or can be made. In a root that cannot be written the
 * image takes the place of all of /lib/modules; if there is none either, and nobody could ever make
 * it, an overlay over /lib gives it one. The modules themselves are never seen through an overlay,
 * since LoadPin knows them by their file system.
 */
static bool place_in(int root, const char *directory, const char *release)
{
    char path[MODULES_PATH];

    snprintf(path, sizeof(path), "lib/modules/%s", release);
    int dir = open_below(root, path);
    if (dir < 0 && make_below(root, ".", "lib") && make_below(root, "lib", "modules") &&
        make_below(root, "lib/modules", release)) {
        dir = open_below(root, path);
    }
    if (dir >= 0) {
        return mount_at(dir, directory, false);
    }
    if (errno != EROFS) {
        return false;
    }
    dir = open_below(root, "lib/modules");
    if (dir < 0 && never_written(root)) {
        int lib = open_below(root, "lib");
        if (lib >= 0 && mount_at(lib, MODULES_IMAGE "/lib", true)) {
            dir = open_below(root, "lib/modules");
        }
    }
    if (dir < 0) {
        errno = EROFS;
        return false;
    }
    return mount_at(dir, MODULES_IMAGE "/lib/modules", false);
}

void modules_hand_over(const char *root_dir, bool pinned)
{
    const char *directory = modules_directory();

    if (!directory) {
        return;
    }
    const char *release = strrchr(directory, '/') + 1;
    if (pinned) {
        pin(directory);
    }
    int root = open(root_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root >= 0 && place_in(root, directory, release)) {
        mark("modules in place");
    } else if (errno == EROFS) {
        say("no modules: the root is read-only and has no directory /lib/modules; it needs one, or "
            "rw");
    } else {
        say("no modules: cannot mount them at /lib/modules/%s: %s", release, strerror(errno));
    }
    if (root >= 0) {
        close(root);
    }
    umount2(MODULES_IMAGE, MNT_DETACH);
}
