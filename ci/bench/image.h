/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_IMAGE_H
#define MICROVM_IMAGE_H

#include <glib.h>

/* The disks of the guests whose boots are measured, made without root. */

/* Runs @argv, with /usr/sbin in its PATH. FALSE with @error, which has what it said on stderr. */
gboolean image_run(const char *const *argv, GError **error);

/* Makes @path, a disk that is an ext4 file system with @init as /sbin/init. */
gboolean image_root(const char *path, const char *init, GError **error);

/*
 * Makes @path, a disk as a PC has it: a partition table, GRUB in front of the first partition, and
 * in that ext4 with @init, and @kernel and @initrd below /boot. GRUB starts them with @command_line
 * without a menu or a pause. The root is the first partition.
 */
gboolean image_grub(const char *path, const char *init, const char *kernel, const char *initrd,
                    const char *command_line, GError **error);

#endif
