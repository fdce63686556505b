/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_SYSFS_H
#define MICROVM_SYSFS_H

/* What the /init programs of the boot tests share: what the kernel tells. */

/* The first line of the file at PATH, empty if there is none. Valid until the next call. */
const char *first_line(const char *path);

/* Calls VISIT for each name in the directory at PATH, if there is one, in order. */
void for_each(const char *path, void (*visit)(const char *name));

/*
 * Writes a line to FD about the device NAME of the virtio bus:
 *     board: device=virtio0 driver=virtio_blk modern=1 path=/sys/devices/platform/.../virtio0
 */
void say_device(int fd, const char *name);

/*
 * Writes a line to FD for all that the kernel has complained of since the last call: its messages
 * from errors on, and the heads of traces.
 *     board: error=TEXT
 */
void say_errors(int fd);

#endif
