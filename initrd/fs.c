/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Superblocks of the file systems that a root may be on, and of what is often taken for one.
 * Offsets are those of the on-disk formats. Labels and UUIDs are read as they are found: whether
 * the rest of the superblock is sound is for the kernel to say when it mounts.
 */
#include "fs.h"

#include <stdio.h>
#include <string.h>

/* True when LEN bytes at OFFSET of the head are there and equal to TEXT. */
static bool head_has(const struct fs_view *v, size_t offset, const char *text, size_t len)
{
    return offset + len <= v->head_len && !memcmp(v->head + offset, text, len);
}

static bool power_of_two(uint32_t n, uint32_t min, uint32_t max)
{
    return n >= min && n <= max && !(n & (n - 1));
}

static bool all_zero(const uint8_t *p, size_t len)
{
    while (len && !*p) {
        p++;
        len--;
    }
    return len == 0;
}

static void found(struct fs_info *out, const char *type, const uint8_t *uuid, const uint8_t *label,
                  size_t label_len)
{
    out->type = type;
    out->mountable = true;
    if (uuid && !all_zero(uuid, 16)) {
        uuid_text(out->uuid, uuid);
    }
    if (label) {
        size_t n = strnlen((const char *)label, label_len);
        memcpy(out->label, label, n);
        out->label[n] = '\0';
    }
}

static bool is_xfs(struct fs_info *out, const struct fs_view *v)
{
    if (v->head_len < 120 || !head_has(v, 0, "XFSB", 4) ||
        !power_of_two(be32_at(v->head + 4), 512, 65536)) {
        return false;
    }
    found(out, "xfs", v->head + 32, v->head + 108, 12);
    return true;
}

static bool is_squashfs(struct fs_info *out, const struct fs_view *v)
{
    if (v->head_len < 96 || !head_has(v, 0, "hsqs", 4) || le16_at(v->head + 28) != 4) {
        return false;
    }
    found(out, "squashfs", NULL, NULL, 0);
    return true;
}

static bool is_btrfs(struct fs_info *out, const struct fs_view *v)
{
    if (v->far_len < 0x12b + 256 || memcmp(v->far + 0x40, "_BHRfS_M", 8) ||
        le64_at(v->far + 0x30) != FS_FAR) {
        return false;
    }
    found(out, "btrfs", v->far + 0x20, v->far + 0x12b, 256);
    return true;
}

static bool is_erofs(struct fs_info *out, const struct fs_view *v)
{
    const uint8_t *sb = v->head + 1024;

    if (v->head_len < 1024 + 128 || le32_at(sb) != 0xe0f5e1e2 || sb[12] < 9 || sb[12] > 16) {
        return false;
    }
    found(out, "erofs", sb + 48, sb + 64, 16);
    return true;
}

/* ext2, ext3 and ext4 differ in their feature words only. */
static bool is_ext(struct fs_info *out, const struct fs_view *v)
{
    const uint8_t *sb = v->head + 1024;
    const char *type = "ext2";

    if (v->head_len < 2048 || le16_at(sb + 0x38) != 0xef53 || le32_at(sb + 0x18) > 6 ||
        !le32_at(sb + 4) || !le32_at(sb + 0x20)) {
        return false;
    }
    uint32_t revision = le32_at(sb + 0x4c);
    uint32_t compat = revision ? le32_at(sb + 0x5c) : 0;
    uint32_t incompat = revision ? le32_at(sb + 0x60) : 0;
    uint32_t ro_compat = revision ? le32_at(sb + 0x64) : 0;
    const uint32_t ext3_incompat = 0x2 | 0x4 | 0x10; /* filetype, recover, meta_bg */
    const uint32_t ext3_ro_compat = 0x1 | 0x2 | 0x4; /* sparse_super, large_file, btree_dir */

    if ((incompat & ~ext3_incompat) || (ro_compat & ~ext3_ro_compat)) {
        type = "ext4";
    } else if (compat & 0x4) {
        type = "ext3";
    }
    found(out, type, revision ? sb + 0x68 : NULL, revision ? sb + 0x78 : NULL, 16);
    if (incompat & 0x8) {
        out->type = "ext journal";
        out->mountable = false;
    }
    return true;
}

/* FAT labels are padded with blanks; "NO NAME" stands for none. */
static void fat_identity(struct fs_info *out, const uint8_t *id, const uint8_t *label)
{
    size_t n = 11;

    snprintf(out->uuid, sizeof(out->uuid), "%02X%02X-%02X%02X", id[3], id[2], id[1], id[0]);
    while (n && (label[n - 1] == ' ' || !label[n - 1])) {
        n--;
    }
    memcpy(out->label, label, n);
    out->label[n] = '\0';
    if (!strcmp(out->label, "NO NAME")) {
        out->label[0] = '\0';
    }
}

static bool is_vfat(struct fs_info *out, const struct fs_view *v)
{
    const uint8_t *b = v->head;

    if (v->head_len < 512 || b[510] != 0x55 || b[511] != 0xaa || (b[0] != 0xeb && b[0] != 0xe9) ||
        !power_of_two(le16_at(b + 11), 512, 4096) || !power_of_two(b[13], 1, 128) ||
        !le16_at(b + 14) || b[16] < 1 || b[16] > 2 || (b[21] < 0xf8 && b[21] != 0xf0)) {
        return false;
    }
    bool fat32 = !le16_at(b + 22);
    if (fat32 && !le32_at(b + 36)) {
        return false;
    }
    found(out, "vfat", NULL, NULL, 0);
    if (b[fat32 ? 66 : 38] == 0x29) {
        fat_identity(out, b + (fat32 ? 67 : 39), b + (fat32 ? 71 : 43));
    }
    return true;
}

static bool is_iso9660(struct fs_info *out, const struct fs_view *v)
{
    if (v->cd_len < 2048 || v->cd[0] != 1 || memcmp(v->cd + 1, "CD001", 5)) {
        return false;
    }
    found(out, "iso9660", NULL, v->cd + 40, 32);
    for (size_t n = strlen(out->label); n && out->label[n - 1] == ' '; n--) {
        out->label[n - 1] = '\0';
    }
    return true;
}

/* What a root cannot be mounted from, named so that a message can say why. */
static bool is_other(struct fs_info *out, const struct fs_view *v)
{
    static const struct {
        size_t offset;
        const char *magic;
        const char *type;
    } others[] = {
        {0, "LUKS\xba\xbe", "LUKS"},
        {512 + 24, "LVM2 001", "LVM2 member"},
        {4086, "SWAPSPACE2", "swap"},
    };

    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        if (head_has(v, others[i].offset, others[i].magic, strlen(others[i].magic))) {
            out->type = others[i].type;
            return true;
        }
    }
    return false;
}

bool fs_identify(struct fs_info *out, const struct fs_view *v)
{
    *out = (struct fs_info){0};
    return is_other(out, v) || is_xfs(out, v) || is_squashfs(out, v) || is_btrfs(out, v) ||
           is_erofs(out, v) || is_ext(out, v) || is_vfat(out, v) || is_iso9660(out, v);
}

bool fs_probe(struct fs_info *out, int fd)
{
    uint8_t head[FS_HEAD_LEN], cd[FS_CD_LEN], far[FS_FAR_LEN];
    struct fs_view view = {.head = head, .cd = cd, .far = far};

    view.head_len = read_at(fd, head, sizeof(head), 0);
    if (fs_identify(out, &view)) {
        return true;
    }
    view.far_len = read_at(fd, far, sizeof(far), FS_FAR);
    view.cd_len = read_at(fd, cd, sizeof(cd), FS_CD);
    return fs_identify(out, &view);
}
