/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whatever happens to a record is seen: else the moves would prove nothing. */
#include <glib.h>
#include <string.h>

#include "record.h"

#define SIZE 64
#define STREAM 3
#define NUMBER 1000

static void test_good(void)
{
    guint64 record[SIZE / 8];

    record_make(record, SIZE, STREAM, NUMBER);
    g_assert_cmpuint(record_number(record, SIZE, STREAM), ==, NUMBER);
    g_assert_cmpuint(record_number(record, SIZE, STREAM + 1), ==, RECORD_NONE);
}

static void test_changed(void)
{
    guint64 record[SIZE / 8];

    for (gsize bit = 0; bit < 8 * SIZE; bit++) {
        record_make(record, SIZE, STREAM, NUMBER);
        ((guint8 *)record)[bit / 8] ^= (guint8)(1 << bit % 8);
        g_assert_cmpuint(record_number(record, SIZE, STREAM), ==, RECORD_NONE);
    }
}

/* One byte less, or one twice, in a stream of records. */
static void test_shifted(void)
{
    for (gsize at = 0; at < SIZE; at++) {
        guint64 records[3 * SIZE / 8], less[SIZE / 8], twice[SIZE / 8];
        guint8 *bytes = (guint8 *)records;

        for (guint64 i = 0; i < 3; i++) {
            record_make(bytes + i * SIZE, SIZE, STREAM, NUMBER + i);
        }
        memcpy(less, bytes, at);
        memcpy((guint8 *)less + at, bytes + at + 1, SIZE - at);
        memcpy(twice, bytes, at + 1);
        memcpy((guint8 *)twice + at + 1, bytes + at, SIZE - at - 1);
        g_assert_cmpuint(record_number(less, SIZE, STREAM), ==, RECORD_NONE);
        if (at < SIZE - 1) { /* of the last byte the next record has the second */
            g_assert_cmpuint(record_number(twice, SIZE, STREAM), ==, RECORD_NONE);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/record/good", test_good);
    g_test_add_func("/record/changed", test_changed);
    g_test_add_func("/record/shifted", test_shifted);
    return g_test_run();
}
