/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "part.h"

#include <stdio.h>
#include <string.h>

/* Appends code point C to OUT, which has room for three bytes and the end. */
static char *put_utf8(char *out, uint16_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

/* A GPT name: 36 UTF-16LE units. What lies beyond the basic plane becomes a question mark. */
static void gpt_label(char *out, const uint8_t *name)
{
    for (int i = 0; i < 36 && le16_at(name + 2 * i); i++) {
        uint16_t c = le16_at(name + 2 * i);
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        if (c < 0xdc00 || c > 0xdfff) {
            out = put_utf8(out, surrogate ? '?' : c);
        }
    }
    *out = '\0';
}

static bool gpt_identify(struct part_info *out, int fd, uint32_t sector, unsigned number)
{
    uint8_t header[92], entry[128];

    if (read_at(fd, header, sizeof(header), sector) < sizeof(header) ||
        memcmp(header, "EFI PART", 8)) {
        return false;
    }
    uint64_t table = le64_at(header + 72);
    uint32_t count = le32_at(header + 80);
    uint32_t size = le32_at(header + 84);
    if (number < 1 || number > count || size < sizeof(entry) || size > 4096 ||
        table > INT64_MAX / 4096 - UINT32_MAX) {
        return false;
    }
    uint64_t at = table * sector + (uint64_t)(number - 1) * size;
    if (read_at(fd, entry, sizeof(entry), at) < sizeof(entry)) {
        return false;
    }
    static const uint8_t unused[16];
    if (!memcmp(entry, unused, sizeof(unused))) {
        return false;
    }
    guid_text(out->uuid, entry + 16);
    gpt_label(out->label, entry + 56);
    return true;
}

bool part_identify(struct part_info *out, int fd, uint32_t sector, unsigned number)
{
    uint8_t mbr[512];

    *out = (struct part_info){0};
    if (sector < 512 || sector > 4096 || (sector & (sector - 1))) {
        return false;
    }
    if (gpt_identify(out, fd, sector, number)) {
        return true;
    }
    if (read_at(fd, mbr, sizeof(mbr), 0) < sizeof(mbr) || mbr[510] != 0x55 || mbr[511] != 0xaa ||
        !le32_at(mbr + 440) || number < 1 || number > 255) {
        return false;
    }
    snprintf(out->uuid, sizeof(out->uuid), "%08x-%02x", (unsigned)le32_at(mbr + 440), number);
    return true;
}
