/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * The kernel's modules: an erofs image on a read-only disk that the host attaches, since the
 * guest's own disk has none of this kernel's. Everything here does nothing, in silence, where there
 * is no such disk; what is wrong with one is said once.
 */

#define MODULES_IMAGE \
    "/modules"           /* where the image is mounted before it has its place in the root */
#define MODULES_PATH 128 /* longest path of a directory in it */
#define MODULES_SERIAL \
    "microvm-modules" /* the disk's serial number, which only the host can give */

/*
 * The path below /dev of the read-only disk with that serial number into OUT. SYSFS is
 * "/sys/class/block". False when there is none.
 */
bool modules_disk(char *out, size_t size, const char *sysfs);

/*
 * From TEXT, the content of modules.dep, the files to load for the module NAME ("xfs"), in that
 * order, into OUT as strings one behind the other, an empty one at the end; paths as they stand
 * there. TEXT is not changed. False when NAME is not in it, or OUT is too small.
 */
bool modules_order(char *out, size_t size, const char *text, const char *name);

/*
 * The directory of the image with this very kernel's modules, whose name ends in the kernel's
 * release; mounted at the first call. NULL where there is no image that fits.
 */
const char *modules_directory(void);

/* Loads the module NAME after those that it depends on. False, and said, when that fails. */
bool modules_load(const char *name);

/*
 * Lets the root at ROOT_DIR find the modules at /lib/modules/$(uname -r), and lets no others into
 * the kernel when PINNED.
 */
void modules_hand_over(const char *root_dir, bool pinned);
