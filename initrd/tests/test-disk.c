/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk.h"
#include "image.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024 * 1024)

/* A made-up /sys/class/block beside a /dev of plain files. */
struct tree {
    char *top, *class, *dev;
};

static void tree_make(struct tree *t)
{
    g_autoptr(GError) error = NULL;

    t->top = g_dir_make_tmp("initrd-test-XXXXXX", &error);
    g_assert_no_error(error);
    t->class = g_build_filename(t->top, "class", NULL);
    t->dev = g_build_filename(t->top, "dev", NULL);
    g_assert_cmpint(g_mkdir(t->class, 0700), ==, 0);
    g_assert_cmpint(g_mkdir(t->dev, 0700), ==, 0);
}

static void tree_free(struct tree *t)
{
    g_free(image_run("rm -r -- @", t->top, NULL));
    g_free(t->top);
    g_free(t->class);
    g_free(t->dev);
}

static void put(const char *dir, const char *file, const char *text)
{
    g_autofree char *path = g_build_filename(dir, file, NULL);
    g_autoptr(GError) error = NULL;

    g_file_set_contents(path, text, -1, &error);
    g_assert_no_error(error);
}

/* Adds NAME, on PARENT when not NULL, of SIZE bytes, with COMMAND run on its "disk". */
static void tree_add(struct tree *t, const char *name, const char *parent, int number, int minor,
                     guint64 size, const char *command, const char *input)
{
    g_autofree char *path = g_build_filename("devices", parent ? parent : name, NULL);
    g_autofree char *real = g_build_filename(t->top, path, parent ? name : NULL, NULL);
    g_autofree char *to =
        g_build_filename("..", "devices", parent ? parent : name, parent ? name : NULL, NULL);
    g_autofree char *link = g_build_filename(t->class, name, NULL);
    g_autofree char *node = g_build_filename(t->dev, name, NULL);
    g_autofree char *sectors = g_strdup_printf("%" G_GUINT64_FORMAT "\n", size / 512);
    g_autofree char *partn = number ? g_strdup_printf("PARTN=%d\n", number) : g_strdup("");
    g_autofree char *uevent = g_strdup_printf("MAJOR=254\nMINOR=%d\nDEVNAME=%s\nDEVTYPE=%s\n%s",
                                              minor, name, parent ? "partition" : "disk", partn);

    g_assert_cmpint(g_mkdir_with_parents(real, 0700), ==, 0);
    g_assert_cmpint(symlink(to, link), ==, 0);
    put(real, "size", sectors);
    put(real, "uevent", uevent);
    put(t->dev, name, "");
    g_assert_cmpint(truncate(node, (off_t)size), ==, 0);
    if (command) {
        g_free(image_run(command, node, input));
    }
}

static const struct disk *find(const struct disk_list *disks, const char *root, size_t *matches)
{
    struct root_spec spec;

    g_assert_true(cmdline_root(&spec, root, NULL));
    return disks_find(disks, &spec, matches);
}

static const char *name_of(const struct disk *disk)
{
    return disk ? disk->name : NULL;
}

static void test_scan(void)
{
    static const char table[] = "label: gpt\n"
                                "start=2048, size=8192, "
                                "uuid=AAAAAAAA-BBBB-CCCC-DDDD-EEEEFFFF0001, name=\"sys tem\"\n";
    struct tree t;
    struct disk_list disks;
    size_t matches;

    tree_make(&t);
    tree_add(&t, "vdaa", NULL, 0, 160, MIB, NULL, NULL);
    tree_add(&t, "vdb", NULL, 0, 16, 16 * MIB, "sfdisk -q @", table);
    tree_add(&t, "vdb10", "vdb", 10, 26, MIB, NULL, NULL);
    tree_add(&t, "vdb1", "vdb", 1, 17, 4 * MIB,
             "mke2fs -q -t ext4 -L twin -U 11111111-2222-3333-4444-55555555abcd @", NULL);
    tree_add(&t, "vda", NULL, 0, 0, 4 * MIB, "mke2fs -q -t ext2 -L twin @", NULL);
    tree_add(&t, "ram0", NULL, 0, 200, MIB, NULL, NULL);
    tree_add(&t, "loop0", NULL, 0, 201, 0, NULL, NULL);

    g_assert_true(disks_scan(&disks, t.class, t.dev));
    g_assert_cmpuint(disks.n, ==, 5);
    static const char *const order[] = {"vda", "vdb", "vdb1", "vdb10", "vdaa"};
    for (size_t i = 0; i < disks.n; i++) {
        g_assert_cmpstr(disks.at[i].name, ==, order[i]);
    }
    g_assert_cmpuint(disks.at[0].bytes, ==, 4 * MIB);
    g_assert_cmpstr(disks.at[0].fs.type, ==, "ext2");

    g_assert_cmpstr(name_of(find(&disks, "/dev/vdb1", NULL)), ==, "vdb1");
    g_assert_cmpstr(name_of(find(&disks, "254:17", NULL)), ==, "vdb1");
    g_assert_cmpstr(name_of(find(&disks, "fe11", NULL)), ==, "vdb1");
    g_assert_cmpstr(name_of(find(&disks, "LABEL=twin", &matches)), ==, "vda");
    g_assert_cmpuint(matches, ==, 2);
    g_assert_cmpstr(name_of(find(&disks, "UUID=11111111-2222-3333-4444-55555555ABCD", NULL)), ==,
                    "vdb1");
    g_assert_cmpstr(name_of(find(&disks, "PARTUUID=aaaaaaaa-bbbb-cccc-dddd-EEEEFFFF0001", NULL)),
                    ==, "vdb1");
    g_assert_cmpstr(name_of(find(&disks, "PARTLABEL=sys tem", &matches)), ==, "vdb1");
    g_assert_cmpuint(matches, ==, 1);
    g_assert_null(find(&disks, "LABEL=Twin", &matches));
    g_assert_cmpuint(matches, ==, 0);
    g_assert_null(find(&disks, "/dev/vdc", NULL));
    g_assert_null(find(&disks, "8:0", NULL));
    disks_free(&disks);
    tree_free(&t);
}

/* A node that is missing, and a sysfs that is. */
static void test_missing(void)
{
    struct tree t;
    struct disk_list disks;

    tree_make(&t);
    tree_add(&t, "vda", NULL, 0, 0, MIB, NULL, NULL);
    g_autofree char *node = g_build_filename(t.dev, "vda", NULL);
    g_assert_cmpint(g_unlink(node), ==, 0);
    g_assert_true(disks_scan(&disks, t.class, t.dev));
    g_assert_cmpuint(disks.n, ==, 1);
    g_assert_null(disks.at[0].fs.type);
    disks_free(&disks);
    g_assert_false(disks_scan(&disks, "/nonexistent", t.dev));
    g_assert_cmpuint(disks.n, ==, 0);
    tree_free(&t);
}

static void test_other_name(void)
{
    static const char *const pairs[][2] = {
        {"vda", "sda"}, {"sdb2", "vdb2"},  {"vdaa", "sdaa"},     {"vd", NULL},
        {"", NULL},     {"nvme0n1", NULL}, {"disk/by-id", NULL}, {"s", NULL},
    };
    char name[16];

    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        bool has = disk_other_name(name, sizeof(name), pairs[i][0]);
        g_assert_cmpint(has, ==, pairs[i][1] != NULL);
        if (has) {
            g_assert_cmpstr(name, ==, pairs[i][1]);
        }
    }
    g_assert_false(disk_other_name(name, 4, "sdaa"));
}

static void test_describe(void)
{
    struct disk disk = {.name = "vda", .bytes = 8ULL << 30};
    char line[700];

    disk_describe(line, sizeof(line), &disk);
    g_assert_cmpstr(line, ==, "/dev/vda, 8.0 GiB, no known file system");
    disk.fs.type = "ext4";
    disk.bytes = 1536;
    strcpy(disk.fs.label, "a\033[2J\n\"\200");
    strcpy(disk.fs.uuid, "1-2");
    strcpy(disk.part.label, "p");
    strcpy(disk.part.uuid, "3-4");
    disk_describe(line, sizeof(line), &disk);
    g_assert_cmpstr(line, ==,
                    "/dev/vda, 1.5 KiB, ext4 LABEL=\"a?[2J???\" UUID=\"1-2\" PARTLABEL=\"p\" "
                    "PARTUUID=\"3-4\"");
    for (size_t size = 1; size < 100; size++) {
        g_autofree char *small = g_malloc(size);
        disk_describe(small, size, &disk);
        g_assert_cmpuint(strlen(small), <, size);
    }
    disk.bytes = G_MAXUINT64;
    disk_describe(line, sizeof(line), &disk);
    g_assert_true(g_str_has_prefix(line, "/dev/vda, 1677721.5 TiB, "));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disk/scan", test_scan);
    g_test_add_func("/disk/missing", test_missing);
    g_test_add_func("/disk/other-name", test_other_name);
    g_test_add_func("/disk/describe", test_describe);
    return g_test_run();
}
