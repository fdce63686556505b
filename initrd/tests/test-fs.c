/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs.h"
#include "image.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024 * 1024)

/* Images by the file systems' own tools: what they were told must be what is found. */
static const struct sample {
    const char *command;
    guint64 size;
    const char *type, *label, *uuid;
} samples[] = {
    {"mke2fs -q -t ext2 -L old -U 11111111-2222-3333-4444-555555555555 @", 4 * MIB, "ext2", "old",
     "11111111-2222-3333-4444-555555555555"},
    {"mke2fs -q -t ext3 -L mid -U 11111111-2222-3333-4444-555555555556 @", 16 * MIB, "ext3", "mid",
     "11111111-2222-3333-4444-555555555556"},
    {"mke2fs -q -t ext4 -L sixteen-letters! -U aaaaaaaa-2222-3333-4444-55555555555f @", 16 * MIB,
     "ext4", "sixteen-letters!", "aaaaaaaa-2222-3333-4444-55555555555f"},
    {"mke2fs -q -t ext4 -b 4096 -U 0a0b0c0d-2222-3333-4444-55555555555f @", 16 * MIB, "ext4", "",
     "0a0b0c0d-2222-3333-4444-55555555555f"},
    {"mke2fs -q -O journal_dev @", 16 * MIB, "ext journal", "", NULL},
    {"mkfs.xfs -q -L twelveletter -m uuid=11111111-2222-3333-4444-555555555557 @", 320 * MIB, "xfs",
     "twelveletter", "11111111-2222-3333-4444-555555555557"},
    {"mkfs.btrfs -q -L butter -U 11111111-2222-3333-4444-555555555558 @", 128 * MIB, "btrfs",
     "butter", "11111111-2222-3333-4444-555555555558"},
    {"mksquashfs /usr/include/glib-2.0/glib @ -noappend -quiet -no-progress", 0, "squashfs", "",
     ""},
    {"mkfs.erofs -U 11111111-2222-3333-4444-555555555559 @ /usr/include/glib-2.0/glib", 0, "erofs",
     "", "11111111-2222-3333-4444-555555555559"},
    {"mkfs.vfat -F 32 -n ELEVENCHARS -i 1234abcd @", 64 * MIB, "vfat", "ELEVENCHARS", "1234-ABCD"},
    {"mkfs.vfat -F 16 -n SIX -i 00000001 @", 16 * MIB, "vfat", "SIX", "0000-0001"},
    {"mkfs.vfat -F 12 -i 1234abcd @", 1 * MIB, "vfat", "", "1234-ABCD"},
    {"mkswap -q @", 16 * MIB, "swap", "", ""},
    {NULL, 16 * MIB, NULL, "", ""},
    {NULL, 0, NULL, "", ""},
};

static void check_sample(const struct fs_info *fs, const struct sample *sample)
{
    g_assert_cmpstr(fs->type, ==, sample->type);
    g_assert_cmpstr(fs->label, ==, sample->label);
    if (sample->uuid) {
        g_assert_cmpstr(fs->uuid, ==, sample->uuid);
    }
}

static void test_sample(gconstpointer data)
{
    const struct sample *sample = data;
    char *path = image_make(sample->size, sample->command, NULL);
    struct fs_info fs;

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(fs_probe(&fs, fd), ==, sample->type != NULL);
    check_sample(&fs, sample);
    close(fd);
    image_free(path);
}

static void read_view(struct fs_view *view, const char *path, guint8 *head, guint8 *cd, guint8 *far)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    *view = (struct fs_view){.head = head, .cd = cd, .far = far};
    view->head_len = read_at(fd, head, FS_HEAD_LEN, 0);
    view->cd_len = read_at(fd, cd, FS_CD_LEN, FS_CD);
    view->far_len = read_at(fd, far, FS_FAR_LEN, FS_FAR);
    close(fd);
}

/* Identifies copies that end where the view says, so that ASan sees a read beyond. */
static bool identify_exact(struct fs_info *fs, const struct fs_view *view)
{
    g_autofree guint8 *head = g_memdup2(view->head, view->head_len);
    g_autofree guint8 *cd = g_memdup2(view->cd, view->cd_len);
    g_autofree guint8 *far = g_memdup2(view->far, view->far_len);
    struct fs_view exact = {.head = head,
                            .head_len = view->head_len,
                            .cd = cd,
                            .cd_len = view->cd_len,
                            .far = far,
                            .far_len = view->far_len};
    bool known = fs_identify(fs, &exact);

    g_assert_cmpint(known, ==, fs->type != NULL);
    g_assert_nonnull(memchr(fs->label, '\0', sizeof(fs->label)));
    g_assert_nonnull(memchr(fs->uuid, '\0', sizeof(fs->uuid)));
    return known;
}

/* Cut anywhere, an image is known with all its identity, or not at all. */
static void test_truncated(gconstpointer data)
{
    const struct sample *sample = data;
    char *path = image_make(sample->size, sample->command, NULL);
    guint8 head[FS_HEAD_LEN], cd[FS_CD_LEN], far[FS_FAR_LEN];
    struct fs_view view;
    struct fs_info fs;
    size_t known = 0;

    read_view(&view, path, head, cd, far);
    const struct fs_view whole = view;
    for (size_t n = 0; n < whole.head_len + whole.far_len; n++) {
        view.head_len = MIN(n, whole.head_len);
        view.far_len = n - view.head_len;
        if (identify_exact(&fs, &view)) {
            check_sample(&fs, sample);
            known++;
        } else {
            g_assert_cmpuint(known, ==, 0);
        }
    }
    g_assert_cmpuint(known, >, 0);
    image_free(path);
}

/* Damaged in any way, an image does no harm; bytes from a real one get the parser far in. */
static void test_damaged(gconstpointer data)
{
    const struct sample *sample = data;
    char *path = image_make(sample->size, sample->command, NULL);
    guint8 head[FS_HEAD_LEN], cd[FS_CD_LEN], far[FS_FAR_LEN];
    guint8 head_copy[FS_HEAD_LEN], far_copy[FS_FAR_LEN];
    struct fs_view view, bad;
    struct fs_info fs;

    read_view(&view, path, head, cd, far);
    for (int i = 0; i < 20000; i++) {
        memcpy(head_copy, head, view.head_len);
        memcpy(far_copy, far, view.far_len);
        for (int n = g_test_rand_int_range(1, 64); n; n--) {
            guint8 byte = (guint8)g_test_rand_int_range(0, 256);
            size_t at = (size_t)g_test_rand_int_range(0, 2048);
            head_copy[at % sizeof(head_copy)] = byte;
            far_copy[at % sizeof(far_copy)] = byte;
        }
        bad = view;
        bad.head = head_copy;
        bad.far = far_copy;
        identify_exact(&fs, &bad);
    }
    image_free(path);
}

/* Noise behind each magic number: every parser is entered with fields that mean nothing. */
static void test_noise(void)
{
    static const struct {
        size_t at;
        const char *magic;
    } magics[] = {{0, "XFSB"},
                  {0, "hsqs"},
                  {1024 + 56, "\x53\xef"},
                  {1024, "\xe2\xe1\xf5\xe0"},
                  {510, "\x55\xaa"}};
    guint8 head[FS_HEAD_LEN], cd[FS_CD_LEN], far[FS_FAR_LEN];
    struct fs_view view = {head, 0, cd, 0, far, 0};
    struct fs_info fs;

    for (int i = 0; i < 20000; i++) {
        for (size_t j = 0; j < sizeof(head); j++) {
            head[j] = far[j] = cd[j % sizeof(cd)] = (guint8)g_test_rand_int();
        }
        size_t m = (size_t)i % G_N_ELEMENTS(magics);
        memcpy(head + magics[m].at, magics[m].magic, strlen(magics[m].magic));
        memcpy(far + 0x40, "_BHRfS_M", 8);
        memcpy(cd, "\1CD001", 6);
        view.head_len = (size_t)g_test_rand_int_range(0, sizeof(head) + 1);
        view.far_len = (size_t)g_test_rand_int_range(0, sizeof(far) + 1);
        view.cd_len = (size_t)g_test_rand_int_range(0, sizeof(cd) + 1);
        identify_exact(&fs, &view);
    }
}

static void test_others(void)
{
    guint8 head[FS_HEAD_LEN] = {0}, cd[FS_CD_LEN] = {1, 'C', 'D', '0', '0', '1'};
    struct fs_view view = {.head = head, .head_len = sizeof(head), .cd = cd, .cd_len = sizeof(cd)};
    struct fs_info fs;

    memset(cd + 40, ' ', 32);
    memcpy(cd + 40, "cidata", 6);
    g_assert_true(fs_identify(&fs, &view));
    g_assert_cmpstr(fs.type, ==, "iso9660");
    g_assert_cmpstr(fs.label, ==, "cidata");
    g_assert_true(fs.mountable);
    memcpy(head + 536, "LVM2 001", 8);
    g_assert_true(fs_identify(&fs, &view));
    g_assert_cmpstr(fs.type, ==, "LVM2 member");
    g_assert_false(fs.mountable);
    memcpy(head, "LUKS\xba\xbe", 6);
    g_assert_true(fs_identify(&fs, &view));
    g_assert_cmpstr(fs.type, ==, "LUKS");
}

/* A disk that ends inside a superblock, and one that cannot be read at all. */
static void test_unreadable(void)
{
    struct fs_info fs;
    char *path = image_make(1500, NULL, NULL);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    g_assert_false(fs_probe(&fs, fd));
    g_assert_false(fs_probe(&fs, -1));
    g_assert_null(fs.type);
    close(fd);
    image_free(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(samples); i++) {
        const char *type = samples[i].type ? samples[i].type : "empty";
        g_autofree char *name = g_strdup_printf("/fs/sample/%zu-%s", i, type);
        g_autofree char *cut = g_strdup_printf("/fs/truncated/%zu-%s", i, type);
        g_autofree char *bad = g_strdup_printf("/fs/damaged/%zu-%s", i, type);
        g_test_add_data_func(name, &samples[i], test_sample);
        if (samples[i].type) {
            g_test_add_data_func(cut, &samples[i], test_truncated);
            g_test_add_data_func(bad, &samples[i], test_damaged);
        }
    }
    g_test_add_func("/fs/noise", test_noise);
    g_test_add_func("/fs/others", test_others);
    g_test_add_func("/fs/unreadable", test_unreadable);
    return g_test_run();
}
