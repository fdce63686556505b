/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_LIVE_SHARE_H
#define MICROVM_LIVE_SHARE_H

#include <glib.h>

/*
 * Directories that a guest gets while it runs. The board has no hotplug, so QEMU is started with a
 * 9p device for an empty tree, in a mount namespace of its own, and microvm-ctl mounts directories
 * into that tree, there and nowhere else. With QEMU all of it ends.
 */

/* A tmpfs in QEMU's mount namespace; elsewhere an empty directory. */
#define LIVE_SHARE_DIR "/run/.microvm-shares"
#define LIVE_SHARE_TREE "tree" /* in it: what the guest sees, a directory for each share */
#define LIVE_SHARE_FROM "from" /* in it: a symlink for each, to where it is on the host */

/* What the guest mounts. */
#define LIVE_SHARE_TAG "shares"

/* Moves this process into a mount namespace of its own that has the tree. Needs to be root. */
gboolean live_share_prepare(GError **error);

#endif
