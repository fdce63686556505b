/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rootfs.h"

#include <glib.h>
#include <string.h>
#include <sys/mount.h>

static void test_options(void)
{
    static const struct {
        const char *text;
        bool rw;
        unsigned long flags;
        const char *data;
    } cases[] = {
        {NULL, false, MS_RDONLY, ""},
        {NULL, true, 0, ""},
        {"", true, 0, ""},
        {"noatime,data=ordered,ro", true, MS_NOATIME | MS_RDONLY, "data=ordered"},
        {"rw,errors=remount-ro", false, 0, "errors=remount-ro"},
        {"subvol=a,,noatimes,compress=zstd:1", true, 0, "subvol=a,noatimes,compress=zstd:1"},
        {"defaults,nodev,nosuid,noexec,sync", true,
         MS_NODEV | MS_NOSUID | MS_NOEXEC | MS_SYNCHRONOUS, ""},
    };
    struct mount_options options;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_true(mount_options(&options, cases[i].text, cases[i].rw));
        g_assert_cmphex(options.flags, ==, cases[i].flags);
        g_assert_cmpstr(options.data, ==, cases[i].data);
    }
}

static void test_options_too_long(void)
{
    struct mount_options options;
    g_autofree char *longest = g_strnfill(sizeof(options.data) - 1, 'x');
    g_autofree char *longer = g_strnfill(sizeof(options.data), 'x');

    g_assert_true(mount_options(&options, longest, true));
    g_assert_cmpstr(options.data, ==, longest);
    g_assert_false(mount_options(&options, longer, true));
}

static void check_types(const char *asked, const char *found, const char *expected)
{
    static const char known[] =
        "nodev\tsysfs\nnodev\ttmpfs\n\text4\n\tsquashfs\nnodev\t9p\n\txfs\n";
    struct fs_info fs = {.type = found};
    char types[64];

    mount_types(types, sizeof(types), asked, &fs, known);
    g_assert_cmpstr(types, ==, expected);
}

static void test_types(void)
{
    check_types(NULL, "xfs", "xfs");
    check_types(NULL, "ext4", "ext4");
    check_types(NULL, "ext3", "ext4,ext3,ext2");
    check_types("btrfs,xfs", "ext4", "btrfs,xfs");
    check_types(NULL, NULL, "ext4,squashfs,xfs");
}

static void test_types_hostile(void)
{
    struct fs_info fs = {0};
    char types[8];

    mount_types(types, sizeof(types), NULL, &fs, "");
    g_assert_cmpstr(types, ==, "");
    mount_types(types, sizeof(types), NULL, &fs, "\t\n\n\t");
    g_assert_cmpstr(types, ==, "");
    mount_types(types, sizeof(types), NULL, &fs, "\text4");
    g_assert_cmpstr(types, ==, "ext4");
    mount_types(types, sizeof(types), NULL, &fs, "\text4\n\tsquashfs\n\txfs\n");
    g_assert_cmpuint(strlen(types), <, sizeof(types));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rootfs/options", test_options);
    g_test_add_func("/rootfs/options-too-long", test_options_too_long);
    g_test_add_func("/rootfs/types", test_types);
    g_test_add_func("/rootfs/types-hostile", test_types_hostile);
    return g_test_run();
}
