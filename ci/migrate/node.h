/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_NODE_H
#define MICROVM_NODE_H

#include <glib.h>

/*
 * The host that the tests make for themselves: a network namespace with a bridge, HOST_ADDRESS, and
 * a tap on it for each side of a move; a mount namespace; a PID namespace, with which ends all that
 * was started in it; and a directory for temporary files, removed at the end however that comes.
 */

/* The tap of @side, 0 or 1. */
const char *node_tap(int side);

/* Calls @main there, in a process of its own. Returns what it returned, for exit(). */
int node_run(int (*main)(void));

/* Mounts a file system of @kib KiB on the directory @path. FALSE where that cannot be. */
gboolean node_mount_small(const char *path, int kib);
void node_unmount(const char *path);

#endif
