/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_IMAGE_DISK_H
#define MICROVM_IMAGE_DISK_H

#include "image.h"

/*
 * Whether the output may be made: there is none; or, with --force, a file that nobody has locked,
 * as QEMU locks a disk in use.
 */
gboolean disk_check_output(const Request *request, GError **error);

/*
 * Writes the directory @tree as an ext4 file system, sparse, raw or qcow2, under a name of its own
 * beside the output, and gives it the output's name when it is whole.
 */
gboolean disk_write(const Request *request, const char *tree, const char *log, GError **error);

#endif
