/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Unaligned reads of little and big endian numbers; the caller has checked the bounds. */
static inline uint16_t le16_at(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t le32_at(const uint8_t *p)
{
    return le16_at(p) | (uint32_t)le16_at(p + 2) << 16;
}

static inline uint64_t le64_at(const uint8_t *p)
{
    return le32_at(p) | (uint64_t)le32_at(p + 4) << 32;
}

static inline uint32_t be32_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

#define UUID_TEXT 37 /* 36 characters and the end */

/* Sixteen bytes in the order they are printed. */
void uuid_text(char out[UUID_TEXT], const uint8_t raw[16]);

/* A GUID as GPT stores it: the first three groups little endian. */
void guid_text(char out[UUID_TEXT], const uint8_t raw[16]);

/*
 * Reads up to LEN bytes at OFFSET, going on after short reads. Returns what could be read; less
 * than LEN only at the end of the file or on an error.
 */
size_t read_at(int fd, void *buf, size_t len, uint64_t offset);
