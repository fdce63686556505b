/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_LIVE_SHARE_H
#define MICROVM_LIVE_SHARE_H

#include <glib.h>

/*
 * Directories that a guest gets while it runs. The board has no hotplug, so QEMU is started with a
 * 9p device for an empty tree, in a mount namespace of its own, and microvm-ctl mounts directories
 * into that tree, there and nowhere else. With QEMU all of it ends. A guest that microvm-run wakes
 * has one from the start, by the same kind of mount.
 */

/* A tmpfs in QEMU's mount namespace; elsewhere an empty directory. */
#define LIVE_SHARE_DIR "/run/.microvm-shares"
#define LIVE_SHARE_TREE "tree" /* in it: what the guest sees, a directory for each share */
#define LIVE_SHARE_FROM "from" /* in it: a symlink for each, to where it is on the host */

/* What the guest mounts. */
#define LIVE_SHARE_TAG "shares"

/* Moves this process into a mount namespace of its own that has the tree. Needs to be root. */
gboolean live_share_prepare(GError **error);

/*
 * A mount of directory @path that is nowhere yet: a copy of one mount, which the host does not see,
 * with nothing below that is mounted upon it, and no way to devices, to rights of set-user-ID files
 * or along symlinks. Who has @uid and @gid gets at the files as their owner does. -1 with @error;
 * close it.
 */
int live_share_mount(const char *path, gboolean readonly, guint uid, guint gid, GError **error);

/* Moves this process into a mount namespace of its own that has live_share_mount() at @target. */
gboolean live_share_bind(const char *path, const char *target, gboolean readonly, guint uid,
                         guint gid, GError **error);

#endif
