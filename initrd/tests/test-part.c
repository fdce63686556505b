/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image.h"
#include "part.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024 * 1024)

static const char gpt_table[] =
    "label: gpt\n"
    "start=2048, size=2048, uuid=AAAAAAAA-BBBB-CCCC-DDDD-EEEEFFFF0001, name=\"root fs\"\n"
    "start=8192, size=2048, uuid=aaaaaaaa-bbbb-cccc-dddd-eeeeffff0002, name=\"w\303\274rzel\"\n";

static const char mbr_table[] = "label: dos\n"
                                "label-id: 0x1234abcd\n"
                                "start=2048, size=2048, type=83\n"
                                "start=8192, size=2048, type=83\n";

static int open_image(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void test_gpt(void)
{
    char *path = image_make(16 * MIB, "sfdisk -q @", gpt_table);
    int fd = open_image(path);
    struct part_info part;

    g_assert_true(part_identify(&part, fd, 512, 1));
    g_assert_cmpstr(part.uuid, ==, "aaaaaaaa-bbbb-cccc-dddd-eeeeffff0001");
    g_assert_cmpstr(part.label, ==, "root fs");
    g_assert_true(part_identify(&part, fd, 512, 2));
    g_assert_cmpstr(part.uuid, ==, "aaaaaaaa-bbbb-cccc-dddd-eeeeffff0002");
    g_assert_cmpstr(part.label, ==, "w\303\274rzel");
    g_assert_false(part_identify(&part, fd, 512, 3));
    g_assert_cmpstr(part.uuid, ==, "");
    g_assert_false(part_identify(&part, fd, 512, 129));
    g_assert_false(part_identify(&part, fd, 512, 0));
    g_assert_false(part_identify(&part, fd, 4096, 1));
    g_assert_false(part_identify(&part, fd, 0, 1));
    close(fd);
    image_free(path);
}

static void test_mbr(void)
{
    char *path = image_make(16 * MIB, "sfdisk -q @", mbr_table);
    int fd = open_image(path);
    struct part_info part;

    g_assert_true(part_identify(&part, fd, 512, 2));
    g_assert_cmpstr(part.uuid, ==, "1234abcd-02");
    g_assert_cmpstr(part.label, ==, "");
    g_assert_true(part_identify(&part, fd, 4096, 1));
    g_assert_cmpstr(part.uuid, ==, "1234abcd-01");
    close(fd);
    image_free(path);
}

static void test_none(void)
{
    char *path = image_make(MIB, NULL, NULL);
    int fd = open_image(path);
    struct part_info part;

    g_assert_false(part_identify(&part, fd, 512, 1));
    g_assert_false(part_identify(&part, -1, 512, 1));
    close(fd);
    image_free(path);
}

static void put_header(int fd, guint64 table, guint32 count, guint32 size)
{
    table = GUINT64_TO_LE(table);
    count = GUINT32_TO_LE(count);
    size = GUINT32_TO_LE(size);
    g_assert_cmpint(pwrite(fd, &table, 8, 512 + 72), ==, 8);
    g_assert_cmpint(pwrite(fd, &count, 4, 512 + 80), ==, 4);
    g_assert_cmpint(pwrite(fd, &size, 4, 512 + 84), ==, 4);
}

/* Headers that point outside of the disk, past the end of the world, or nowhere. */
static void test_hostile_header(void)
{
    static const guint64 tables[] = {0, 2, 32767, 32768, G_MAXINT64 / 512, G_MAXINT64, G_MAXUINT64};
    static const guint32 numbers[] = {0, 1, 127, 128, 4096, 4097, G_MAXINT32, G_MAXUINT32};
    char *path = image_make(16 * MIB, "sfdisk -q @", gpt_table);
    int fd = open_image(path);
    struct part_info part;

    for (size_t t = 0; t < G_N_ELEMENTS(tables); t++) {
        for (size_t c = 0; c < G_N_ELEMENTS(numbers); c++) {
            for (size_t s = 0; s < G_N_ELEMENTS(numbers); s++) {
                put_header(fd, tables[t], numbers[c], numbers[s]);
                part_identify(&part, fd, 512, G_MAXUINT);
                bool found = part_identify(&part, fd, 512, 1);
                bool sound = numbers[c] >= 1 && numbers[s] >= 128 && numbers[s] <= 4096;
                if (tables[t] == 2 && sound) {
                    g_assert_cmpstr(part.label, ==, "root fs");
                } else if (!sound || tables[t] > 32767) {
                    g_assert_false(found);
                }
            }
        }
    }
    close(fd);
    image_free(path);
}

/* Any name of 36 units fits, and is UTF-8. */
static void test_hostile_names(void)
{
    char *path = image_make(16 * MIB, "sfdisk -q @", gpt_table);
    int fd = open_image(path);
    struct part_info part;
    guint16 name[36];

    for (int i = 0; i < 20000; i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(name); j++) {
            name[j] = (guint16)(i ? g_test_rand_int() : 0xffff);
        }
        g_assert_cmpint(pwrite(fd, name, sizeof(name), 1024 + 56), ==, sizeof(name));
        g_assert_true(part_identify(&part, fd, 512, 1));
        g_assert_true(g_utf8_validate(part.label, -1, NULL));
    }
    close(fd);
    image_free(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/part/gpt", test_gpt);
    g_test_add_func("/part/mbr", test_mbr);
    g_test_add_func("/part/none", test_none);
    g_test_add_func("/part/hostile-header", test_hostile_header);
    g_test_add_func("/part/hostile-names", test_hostile_names);
    return g_test_run();
}
