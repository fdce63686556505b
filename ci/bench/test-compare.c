/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib/gstdio.h>
#include <string.h>

#include "compare.h"
#include "devices.h"
#include "timing.h"

/* A boot of one phase. */
static Counts *boot(guint64 instructions, guint64 serial, guint64 pit, guint64 initcall)
{
    Counts *counts = counts_new();
    PhaseCounts *phase = counts_phase(counts, "kernel");

    phase->instructions = instructions;
    counts_add(phase->accesses, "port serial", serial);
    counts_add(phase->accesses, "port pit", pit);
    counts_add(counts->initcalls, "some_init", initcall);
    return counts;
}

static JsonObject *inputs(const char *kernel)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "kernel", kernel);
    return object;
}

/* Compares @now with a boot of a million instructions that was written to a file and read again. */
static char *compared(Counts *now, const char *kernel, gboolean *dearer)
{
    g_autofree char *dir = g_dir_make_tmp("test-compare-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "baseline", NULL);
    g_autoptr(Counts) before = boot(1000000, 100, 1000, 20000), owned = now;
    g_autoptr(JsonObject) then = inputs("one"), with = inputs(kernel);
    g_autoptr(Baseline) baseline = NULL, again = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(baseline_accept(path, NULL, before, then, "first", &error));
    baseline = baseline_load(path, &error);
    g_assert_no_error(error);
    g_assert_true(baseline_accept(path, baseline, before, then, "second", &error));
    again = baseline_load(path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(json_array_get_length(again->accepted), ==, 2);
    g_remove(path);
    g_rmdir(dir);
    return compare(again, now, with, dearer);
}

static void test_compare(void)
{
    static const struct {
        guint64 instructions, serial, pit, initcall;
        gboolean dearer;
        const char *said; /* NULL: nothing */
    } cases[] = {
        {1000000, 100, 1000, 20000, FALSE, NULL},
        {1000499, 100, 1040, 20000, FALSE, NULL},
        {1000501, 100, 1000, 20501, TRUE, "initcall some_init: instructions 20501 (+501)"},
        {1000000, 101, 1000, 20000, TRUE, "phase kernel: device port serial 101, was 100 (+1)"},
        {1000000, 99, 1000, 20000, FALSE, "phase kernel: device port serial 99, was 100 (-1)"},
        {1000000, 100, 2000, 20000, TRUE, "phase kernel: device port pit 2000, was 1000"},
        {900000, 100, 1000, 20000, FALSE, "phase kernel: instructions 900000, was 1000000"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        gboolean dearer;
        g_autofree char *text =
            compared(boot(cases[i].instructions, cases[i].serial, cases[i].pit, cases[i].initcall),
                     "one", &dearer);

        g_test_message("%s", text);
        g_assert_cmpint(dearer, ==, cases[i].dearer);
        if (cases[i].said) {
            g_assert_nonnull(strstr(text, cases[i].said));
        } else {
            g_assert_cmpstr(text, ==, "");
        }
    }
}

static void test_inputs(void)
{
    gboolean dearer;
    g_autofree char *text = compared(boot(1000000, 100, 1000, 20000), "two", &dearer);

    g_assert_false(dearer);
    g_assert_cmpstr(text, ==, "    another kernel: two, was one\n");
}

static void test_devices(void)
{
    g_assert_cmpstr(device_of_port(0x3fd), ==, "serial");
    g_assert_cmpstr(device_of_port(0x1234), ==, "other");
    g_assert_cmpstr(device_of_region("virtio-mmio", 2), ==, "virtio-blk");
    g_assert_cmpstr(device_of_region("virtio-mmio", 999), ==, "virtio other");
    g_assert_cmpstr(device_of_region("virtio-pci-notify-virtio-net", 0), ==, "virtio-net");
    g_assert_cmpstr(device_of_msr(0x6e0), ==, "tsc-deadline");
}

static void test_sign_test(void)
{
    g_assert_cmpfloat_with_epsilon(timing_sign_test(5, 10), 1, 1e-9);
    g_assert_cmpfloat_with_epsilon(timing_sign_test(0, 1), 1, 1e-9);
    g_assert_cmpfloat_with_epsilon(timing_sign_test(10, 10), 2.0 / 1024, 1e-9);
    g_assert_cmpfloat_with_epsilon(timing_sign_test(1, 10), 22.0 / 1024, 1e-9);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/compare/counts", test_compare);
    g_test_add_func("/compare/inputs", test_inputs);
    g_test_add_func("/compare/devices", test_devices);
    g_test_add_func("/compare/sign-test", test_sign_test);
    return g_test_run();
}
