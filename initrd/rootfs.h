/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "cmdline.h"
#include "fs.h"

#define ROOT_DIR "/root" /* where the root is mounted before it becomes the root */

/* rootflags= sorted into what mount(2) takes as flags and what the file system reads itself. */
struct mount_options {
    unsigned long flags; /* MS_* */
    char data[1024];
};

/* Reads FLAGS (may be NULL) into OUT; RW says whether to start from rw. False when too long. */
bool mount_options(struct mount_options *out, const char *flags, bool rw);

/*
 * The file system types to try for a disk that holds FS, comma-separated, into OUT: what ASKED
 * (rootfstype=, may be NULL) says, else what the superblock says, else every type in FILESYSTEMS
 * (the text of /proc/filesystems) that lives on a disk.
 */
void mount_types(char *out, size_t size, const char *asked, const struct fs_info *fs,
                 const char *filesystems);

/*
 * Mounts SOURCE at ROOT_DIR as one of TYPES, under a tmpfs overlay when the command line asks for
 * one. On failure says why, when LOUD, and returns false.
 */
bool rootfs_mount(const struct cmdline *cmd, const char *source, const char *types, bool loud);
