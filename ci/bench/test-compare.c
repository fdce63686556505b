/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib/gstdio.h>
#include <string.h>

#include "compare.h"
#include "devices.h"
#include "model.h"
#include "stats.h"
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

    g_assert_true(baseline_accept(path, NULL, before, then, "first", NULL, &error));
    baseline = baseline_load(path, &error);
    g_assert_no_error(error);
    g_assert_true(baseline_accept(path, baseline, before, then, "second", "0123abc", &error));
    again = baseline_load(path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(json_array_get_length(again->accepted), ==, 2);
    g_assert_cmpstr(
        json_object_get_string_member(json_array_get_object_element(again->accepted, 1), "commit"),
        ==, "0123abc");
    g_remove(path);
    g_rmdir(dir);
    return compare(again, now, with, dearer);
}

static void test_compare(void)
{
    static const struct {
        guint64 instructions, serial, pit, initcall;
        const char *kernel;
        gboolean dearer;
        const char *said; /* NULL: nothing but that it is another kernel */
    } cases[] = {
        {1000000, 100, 1000, 20000, "one", FALSE, NULL},
        {1000499, 100, 1000, 20000, "one", FALSE, NULL},
        {1000501, 100, 1000, 22501, "one", TRUE, "initcall some_init: instructions 22501 (+2501)"},
        {1000000, 101, 1000, 20000, "one", TRUE,
         "phase kernel: device port serial 101, was 100 (+1)"},
        {1000000, 99, 1000, 20000, "one", FALSE,
         "phase kernel: device port serial 99, was 100 (-1)"},
        {900000, 100, 1000, 20000, "one", FALSE, "phase kernel: instructions 900000, was 1000000"},
        /* what follows from time: exactly for the same guest, roughly for another one */
        {1000000, 100, 1001, 20000, "one", TRUE, "phase kernel: device port pit 1001, was 1000"},
        {1000000, 100, 1040, 20000, "two", FALSE, NULL},
        {1000000, 100, 2000, 20000, "two", TRUE, "phase kernel: device port pit 2000, was 1000"},
        {1000000, 101, 1000, 20000, "two", TRUE, "phase kernel: device port serial 101"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        gboolean dearer;
        g_autofree char *text =
            compared(boot(cases[i].instructions, cases[i].serial, cases[i].pit, cases[i].initcall),
                     cases[i].kernel, &dearer);

        g_test_message("%s", text);
        g_assert_cmpint(dearer, ==, cases[i].dearer);
        if (cases[i].said) {
            g_assert_nonnull(strstr(text, cases[i].said));
        } else if (g_str_equal(cases[i].kernel, "one")) {
            g_assert_cmpstr(text, ==, "");
        }
    }
}

/* Many functions that each grow a little: the greatest are named, the others summed up. */
static void test_many(void)
{
    gboolean dearer;
    Counts *now = boot(1030000, 100, 1000, 20000);
    g_autofree char *text = NULL;

    for (guint i = 0; i < 8; i++) {
        g_autofree char *name = g_strdup_printf("f%u", i);

        counts_add(now->functions, name, 3000 + i);
    }
    counts_add(now->functions, "small", 2000); /* may have had 999 */
    text = compared(now, "one", &dearer);
    g_assert_true(dearer);
    g_assert_nonnull(strstr(text, "function f7: instructions 3007 (+3007)\n"));
    g_assert_nonnull(strstr(text, "function f3: "));
    g_assert_null(strstr(text, "function f2: "));
    g_assert_null(strstr(text, "small"));
    g_assert_nonnull(strstr(text, "3 functions more: +9003\n"));
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

static void test_quantile(void)
{
    const double values[] = {5, 1, 4, 2, 3};

    g_assert_cmpfloat(stats_quantile(values, 5, 0), ==, 1);
    g_assert_cmpfloat(stats_quantile(values, 5, 0.5), ==, 3);
    g_assert_cmpfloat(stats_quantile(values, 5, 0.99), ==, 5);
    g_assert_cmpfloat(stats_quantile(values, 1, 0.5), ==, 5);
}

/* Against the tables of the signed-rank distribution. */
static void test_signed_rank(void)
{
    const double all[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    const double eight[] = {-1, -3, -4, 2, 5, 6, 7, 8, 9, 10}; /* 25 of 1024 ways to 8 or less */
    const double even[] = {1, -1, 2, -2, 3, -3}, none[] = {0, 0};
    const double ties[] = {1, 1, 1, -1, 0}; /* 4 + 1 of 16 ways to a rank of 2.5 or less */

    g_assert_cmpfloat_with_epsilon(stats_signed_rank(all, 10), 2.0 / 1024, 1e-12);
    g_assert_cmpfloat_with_epsilon(stats_signed_rank(eight, 10), 50.0 / 1024, 1e-12);
    g_assert_cmpfloat_with_epsilon(stats_signed_rank(even, 6), 1, 1e-12);
    g_assert_cmpfloat_with_epsilon(stats_signed_rank(none, 2), 1, 1e-12);
    g_assert_cmpfloat_with_epsilon(stats_signed_rank(ties, 5), 10.0 / 16, 1e-12);
}

/* Times with 10% of noise, the same for both of a pair for the most part, as on a busy machine. */
static void made_pairs(double ratio, double *a, double *b, guint n)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    for (guint i = 0; i < n; i++) {
        double common = g_rand_double_range(rand, 1, 3);

        a[i] = common * g_rand_double_range(rand, 0.95, 1.05);
        b[i] = common * g_rand_double_range(rand, 0.95, 1.05) * ratio;
    }
}

static void test_verdict(void)
{
    double a[TIMING_PAIRS], b[TIMING_PAIRS];
    g_autofree char *slower = NULL, *same = NULL, *few = NULL, *faster = NULL;

    made_pairs(1.05, a, b, TIMING_PAIRS);
    slower = timing_verdict("one", "two", a, b, TIMING_PAIRS);
    g_assert_nonnull(strstr(slower, ": two takes more (p = "));
    few = timing_verdict("one", "two", a, b, TIMING_PAIRS - 1);
    g_assert_nonnull(strstr(few, "no verdict, 29 pairs are fewer than 30"));
    made_pairs(1, a, b, TIMING_PAIRS);
    same = timing_verdict("one", "two", a, b, TIMING_PAIRS);
    g_assert_nonnull(strstr(same, "no verdict (p = "));
    made_pairs(0.95, a, b, TIMING_PAIRS);
    faster = timing_verdict("one", "two", a, b, TIMING_PAIRS);
    g_assert_nonnull(strstr(faster, ": two takes less (p = "));
}

/* A boot whose weights add up to known milliseconds. */
static void test_model(void)
{
    g_autoptr(Counts) counts = boot(2500000, 1000, 1000, 0);
    const Startup startup = {.instructions = 5000000, .faults = 1000};
    Prediction p = model_predict(counts, NULL, &startup);

    g_assert_cmpfloat_with_epsilon(p.instructions, 1, 1e-9);
    g_assert_cmpfloat_with_epsilon(p.exits, 1.88, 1e-9); /* no PIT under KVM */
    g_assert_cmpfloat_with_epsilon(p.qemu, 2.7368, 1e-9);
    p = model_predict(counts, "kernel", NULL);
    g_assert_cmpfloat(model_sum(p), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/compare/counts", test_compare);
    g_test_add_func("/compare/inputs", test_inputs);
    g_test_add_func("/compare/devices", test_devices);
    g_test_add_func("/compare/many", test_many);
    g_test_add_func("/compare/model", test_model);
    g_test_add_func("/timing/quantile", test_quantile);
    g_test_add_func("/timing/signed-rank", test_signed_rank);
    g_test_add_func("/timing/verdict", test_verdict);
    return g_test_run();
}
