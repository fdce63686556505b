/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "bytes.h"
#include <stdbool.h>
#include <stdint.h>

struct part_info {
    char uuid[UUID_TEXT]; /* PARTUUID: a GUID, or SSSSSSSS-PP on a disk with an MBR; "" unknown */
    char label[109]; /* PARTLABEL in UTF-8 (GPT only, 36 UTF-16 units); "" when there is none */
};

/*
 * Reads the identity of partition NUMBER (from 1) out of the partition table of the whole disk FD,
 * whose logical sectors have SECTOR bytes (a power of two, 512 to 4096). False when there is none.
 */
bool part_identify(struct part_info *out, int fd, uint32_t sector, unsigned number);
