/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rootfs.h"
#include "modules.h"
#include "say.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define OVERLAY_DISK "/lower"
#define OVERLAY_RAM "/over"

static const struct {
    const char *name;
    unsigned long set, clear;
} generic_flags[] = {
    {"ro", MS_RDONLY, 0},
    {"rw", 0, MS_RDONLY},
    {"defaults", 0, 0},
    {"noatime", MS_NOATIME, 0},
    {"nodiratime", MS_NODIRATIME, 0},
    {"relatime", MS_RELATIME, 0},
    {"strictatime", MS_STRICTATIME, 0},
    {"lazytime", MS_LAZYTIME, 0},
    {"sync", MS_SYNCHRONOUS, 0},
    {"dirsync", MS_DIRSYNC, 0},
    {"nodev", MS_NODEV, 0},
    {"nosuid", MS_NOSUID, 0},
    {"noexec", MS_NOEXEC, 0},
};

/* Copies the text up to the next comma into ITEM and returns what follows; NULL at the end. */
static const char *next_item(const char *list, char *item, size_t size)
{
    if (!list || !*list) {
        return NULL;
    }
    size_t n = strcspn(list, ",");
    snprintf(item, size, "%.*s", (int)n, list);
    return list[n] ? list + n + 1 : list + n;
}

static bool append(char *list, size_t size, const char *item)
{
    size_t n = strlen(list);

    return (size_t)snprintf(list + n, size - n, "%s%s", n ? "," : "", item) < size - n;
}

bool mount_options(struct mount_options *out, const char *flags, bool rw)
{
    const size_t known = sizeof(generic_flags) / sizeof(*generic_flags);
    char item[sizeof(out->data)];

    *out = (struct mount_options){.flags = rw ? 0 : MS_RDONLY};
    if (flags && strlen(flags) >= sizeof(out->data)) {
        return false;
    }
    while ((flags = next_item(flags, item, sizeof(item)))) {
        size_t i = 0;
        while (i < known && strcmp(item, generic_flags[i].name)) {
            i++;
        }
        if (i < known) {
            out->flags = (out->flags & ~generic_flags[i].clear) | generic_flags[i].set;
        } else if (item[0] && !append(out->data, sizeof(out->data), item)) {
            return false;
        }
    }
    return true;
}

void mount_types(char *out, size_t size, const char *asked, const struct fs_info *fs,
                 const char *filesystems)
{
    out[0] = '\0';
    if (asked) {
        snprintf(out, size, "%s", asked);
    } else if (fs->type && !strncmp(fs->type, "ext", 3)) {
        /* ext4's driver mounts all three; a kernel may have an older one only. */
        snprintf(out, size, "%s", strcmp(fs->type, "ext4") ? "ext4,ext3,ext2" : "ext4");
    } else if (fs->type) {
        snprintf(out, size, "%s", fs->type);
    } else {
        for (const char *line = filesystems; *line;) {
            size_t n = strcspn(line, "\n");
            char type[64];
            if (line[0] == '\t' && n > 1 && n <= sizeof(type)) {
                snprintf(type, sizeof(type), "%.*s", (int)n - 1, line + 1);
                append(out, size, type);
            }
            line += n + (line[n] == '\n');
        }
    }
}

/* Mounts read-only, and says so, when the disk cannot be written. */
static int mount_one(const char *source, const char *target, const char *type, unsigned long flags,
                     const char *data)
{
    flags |= MS_SILENT;
    if (!mount(source, target, type, flags, data)) {
        return 0;
    }
    if ((errno == EACCES || errno == EROFS) && !(flags & MS_RDONLY) &&
        !mount(source, target, type, flags | MS_RDONLY, data)) {
        say("%s can only be read: mounted read-only", source);
        return 0;
    }
    return -1;
}

/* A file system that the kernel has as a module is loaded from the modules' image, if there is one.
 */
static int mount_loading(const char *source, const char *target, const char *type,
                         unsigned long flags, const char *data)
{
    if (!mount_one(source, target, type, flags, data)) {
        return 0;
    }
    if (errno != ENODEV) {
        return -1;
    }
    if (modules_load(type)) {
        return mount_one(source, target, type, flags, data);
    }
    errno = ENODEV;
    return -1;
}

static const char *reason(int err)
{
    switch (err) {
    case ENODEV:
        return "this kernel does not have that file system";
    case EINVAL:
        return "Invalid argument (not that file system, damaged, or a rootflags= it does not know)";
    default:
        return strerror(err);
    }
}

static bool mount_any(const struct cmdline *cmd, const char *source, const char *target,
                      const char *types, bool loud)
{
    struct mount_options options;
    char type[64], data[sizeof(options.data) + 64];

    if (!mount_options(&options, cmd->rootflags, cmd->rw && !cmd->overlay)) {
        say("rootflags= is longer than %zu characters", sizeof(options.data) - 1);
        return false;
    }
    snprintf(data, sizeof(data), "%s%s%s", strcmp(types, "9p") ? "" : "trans=virtio",
             !strcmp(types, "9p") && options.data[0] ? "," : "", options.data);
    while ((types = next_item(types, type, sizeof(type)))) {
        if (!mount_loading(source, target, type, options.flags, data)) {
            mark("mounted %s as %s", source, type);
            return true;
        }
        if (loud) {
            say("cannot mount %s as %s: %s", source, type, reason(errno));
        }
    }
    return false;
}

/* The disk stays as it is, below; what the guest writes goes to RAM. */
static bool mount_overlay(void)
{
    const char *data =
        "lowerdir=" OVERLAY_DISK ",upperdir=" OVERLAY_RAM "/upper,workdir=" OVERLAY_RAM "/work";

    mkdir(OVERLAY_RAM, 0755);
    if (!mount("tmpfs", OVERLAY_RAM, "tmpfs", 0, "mode=0755") &&
        !mkdir(OVERLAY_RAM "/upper", 0755) && !mkdir(OVERLAY_RAM "/work", 0755) &&
        !mount("overlay", ROOT_DIR, "overlay", 0, data)) {
        return true;
    }
    say("cannot put the overlay on the root (microvm.overlay=tmpfs): %s", reason(errno));
    return false;
}

bool rootfs_mount(const struct cmdline *cmd, const char *source, const char *types, bool loud)
{
    if (!cmd->overlay) {
        return mount_any(cmd, source, ROOT_DIR, types, loud);
    }
    mkdir(OVERLAY_DISK, 0755);
    return mount_any(cmd, source, OVERLAY_DISK, types, loud) && mount_overlay();
}
