/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "bytes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a superblock says of itself. Text comes from the disk: print it through say_clean(). */
struct fs_info {
    const char *type;     /* name of the file system, or of what else is there; NULL: unknown */
    bool mountable;       /* false for swap, LUKS, LVM and the like */
    char label[257];      /* "" when there is none */
    char uuid[UUID_TEXT]; /* "" when there is none */
};

/* The parts of a disk that tell: its first bytes, and btrfs's superblock at FS_FAR. */
#define FS_HEAD_LEN 4096
#define FS_FAR 65536
#define FS_FAR_LEN 4096
#define FS_CD 32768
#define FS_CD_LEN 2048

struct fs_view {
    const uint8_t *head; /* bytes from 0 */
    size_t head_len;
    const uint8_t *cd; /* bytes from FS_CD */
    size_t cd_len;
    const uint8_t *far; /* bytes from FS_FAR */
    size_t far_len;
};

/* Names what VIEW holds; reads nothing outside of it. False (and OUT empty) when unknown. */
bool fs_identify(struct fs_info *out, const struct fs_view *view);

/* The same for an open disk or image. False when unknown or unreadable. */
bool fs_probe(struct fs_info *out, int fd);
