/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image.h"
#include "modules.h"

#include <glib/gstdio.h>
#include <string.h>

/* A made-up /sys/class/block. */
static void put(const char *top, const char *disk, const char *file, const char *text)
{
    g_autofree char *dir = g_build_filename(top, disk, NULL);
    g_autofree char *path = g_build_filename(dir, file, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
    g_file_set_contents(path, text, -1, &error);
    g_assert_no_error(error);
}

static void test_disk(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *top = g_dir_make_tmp("initrd-test-XXXXXX", &error);
    char name[64];

    g_assert_no_error(error);
    put(top, "vda", "ro", "0\n");
    put(top, "vdb", "ro", "1\n");
    put(top, "vdc", "ro", "1\n");
    put(top, "vdc", "serial", "microvm-modules-2\n");
    put(top, "vdd", "ro", "0\n"); /* the guest could write what it then loads */
    put(top, "vdd", "serial", "microvm-modules\n");
    put(top, "vde", "serial", "microvm-modules\n");
    g_assert_false(modules_disk(name, sizeof(name), top));
    put(top, "vdf", "ro", "1\n");
    put(top, "vdf", "serial", "microvm-modules\n");
    g_assert_true(modules_disk(name, sizeof(name), top));
    g_assert_cmpstr(name, ==, "vdf");
    put(top, "vdf", "serial", "microvm-modules");
    g_assert_true(modules_disk(name, sizeof(name), top));
    g_assert_false(modules_disk(name, 3, top));
    g_assert_false(modules_disk(name, sizeof(name), "/nonexistent"));
    g_free(image_run("rm -r -- @", top, NULL));
}

/* The files in OUT, as modules_order() leaves them, joined by blanks. */
static char *order_of(const char *text, const char *name)
{
    char out[128];
    g_autoptr(GString) joined = g_string_new(NULL);

    if (!modules_order(out, sizeof(out), text, name)) {
        return NULL;
    }
    for (const char *file = out; *file; file += strlen(file) + 1) {
        g_string_append_printf(joined, "%s%s", joined->len ? " " : "", file);
    }
    return g_string_free(g_steal_pointer(&joined), FALSE);
}

static void check_order(const char *text, const char *name, const char *expected)
{
    g_autofree char *order = order_of(text, name);

    g_assert_cmpstr(order, ==, expected);
}

static void test_order(void)
{
    static const char dep[] = "kernel/fs/notxfs.ko:\n"
                              "kernel/fs/xfs/xfs.ko: kernel/lib/b.ko kernel/lib/a.ko\n"
                              "kernel/lib/b.ko: kernel/lib/a.ko\n"
                              "kernel/lib/a.ko:\n";

    check_order(dep, "xfs", "kernel/lib/a.ko kernel/lib/b.ko kernel/fs/xfs/xfs.ko");
    check_order(dep, "b", "kernel/lib/a.ko kernel/lib/b.ko");
    check_order(dep, "a", "kernel/lib/a.ko");
    check_order(dep, "notxfs", "kernel/fs/notxfs.ko");
    check_order(dep, "fs", NULL);
    check_order(dep, "", NULL);
    check_order(dep, "btrfs", NULL);
}

/* What is cut off or makes no sense is not read beyond its end. */
static void test_damaged(void)
{
    g_autofree char *longer = NULL, *name = g_strnfill(200, 'x');

    check_order("", "xfs", NULL);
    check_order("\n\n:\n", "xfs", NULL);
    check_order("xfs.ko:", "xfs", NULL);
    check_order("/xfs.ko", "xfs", NULL);
    check_order("/xfs.ko:", "xfs", "/xfs.ko");
    check_order("/xfs.ko:  ", "xfs", "/xfs.ko");
    longer = g_strdup_printf("/xfs.ko: %s\n", name);
    check_order(longer, "xfs", NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/modules/disk", test_disk);
    g_test_add_func("/modules/order", test_order);
    g_test_add_func("/modules/damaged", test_damaged);
    return g_test_run();
}
