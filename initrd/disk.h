/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "cmdline.h"
#include "fs.h"
#include "part.h"

/* One block device: a disk or a partition of one. */
struct disk {
    char name[64]; /* as below /dev, "vda" */
    unsigned major, minor;
    uint64_t bytes;
    struct fs_info fs;
    struct part_info part;
};

struct disk_list {
    struct disk *at; /* owned, in the order vda, vda1, vdb … vdaa */
    size_t n;
};

/* Reads the small file NAME/FILE below the open directory DIR into BUF as a string. False: not
 * there. */
bool attribute_read(int dir, const char *name, const char *file, char *buf, size_t size);

/*
 * Looks at every block device that has a size, below SYSFS ("/sys/class/block"), through its node
 * in DEV ("/dev"). Devices that cannot be opened or read are listed without a file system. OUT is
 * overwritten; give it to disks_free(). False when SYSFS cannot be read.
 */
bool disks_scan(struct disk_list *out, const char *sysfs, const char *dev);
void disks_free(struct disk_list *list);

/*
 * The first disk that SPEC names by device number, label or UUID, and in *MATCHES (may be NULL) how
 * many do. NULL when none does.
 */
const struct disk *disks_find(const struct disk_list *list, const struct root_spec *spec,
                              size_t *matches);

/* The name that NAME (below /dev) has on the other disk bus: vda1 for sda1. False: none. */
bool disk_other_name(char *out, size_t size, const char *name);

/* One line that tells a person what DISK is; safe to print. */
void disk_describe(char *out, size_t size, const struct disk *disk);
