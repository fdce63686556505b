/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "timing.h"

#include <math.h>
#include <stdio.h>

#include "stats.h"
#include "trial.h"

#define SIGNIFICANT 0.01
#define MIB (1024.0 * 1024.0)

static const char *const measure_names[N_TRIAL] = {[TRIAL_FIRST] = "to first instruction",
                                                   [TRIAL_KERNEL] = "to kernel",
                                                   [TRIAL_INIT] = "to root's init",
                                                   [TRIAL_READY] = "to ready",
                                                   [TRIAL_CPU] = "QEMU's CPU time",
                                                   [TRIAL_RSS] = "RSS",
                                                   [TRIAL_PSS] = "PSS",
                                                   [TRIAL_RAM] = "RSS, guest's memory"};

/* What was measured of one setup: N_TRIAL rows of so many values, and KVM's statistics. */
typedef struct {
    const Setup *setup;
    double *values;
    GHashTable *exits; /* char * -> GArray of double, one a boot that told it */
} Series;

static void unref_array(gpointer data)
{
    g_array_unref(data);
}

static Series series_new(const Setup *setup, guint pairs)
{
    return (Series){
        .setup = setup,
        .values = g_new0(double, N_TRIAL *pairs),
        .exits = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unref_array),
    };
}

static void series_clear(Series *series)
{
    g_free(series->values);
    g_hash_table_unref(series->exits);
}

static void keep_exits(Series *series, const Trial *trial)
{
    GHashTableIter iter;
    gpointer name, count;

    g_hash_table_iter_init(&iter, trial->exits);
    while (g_hash_table_iter_next(&iter, &name, &count)) {
        GArray *counts = g_hash_table_lookup(series->exits, name);
        double value = (double)*(guint64 *)count;

        if (!counts) {
            counts = g_array_new(FALSE, FALSE, sizeof(double));
            g_hash_table_insert(series->exits, g_strdup(name), counts);
        }
        g_array_append_val(counts, value);
    }
}

/* -- what is said */

/*
 * An emulator's seconds mean nothing: without KVM they are parts of the median time until the first
 * of the two setups is ready.
 */
static double unit_of(TrialMeasure m, const Series *first, guint pairs, gboolean kvm)
{
    if (m >= TRIAL_BYTES) {
        return MIB;
    }
    return kvm ? 1 : stats_quantile(first->values + TRIAL_READY * pairs, pairs, 0.5);
}

static void say_row(const Series *series, TrialMeasure m, guint pairs, double unit,
                    const char *unit_name)
{
    const double *values = series->values + m * pairs;

    printf("%-10s %-20s least %8.3f  median %8.3f  p99 %8.3f  %s\n", series->setup->name,
           measure_names[m], stats_quantile(values, pairs, 0) / unit,
           stats_quantile(values, pairs, 0.5) / unit, stats_quantile(values, pairs, 0.99) / unit,
           unit_name);
}

char *timing_verdict(const char *a, const char *b, const double *of_a, const double *of_b, guint n)
{
    g_autofree double *logs = g_new(double, n);
    double ratio, chance;

    for (guint i = 0; i < n; i++) {
        logs[i] = log(of_b[i] / of_a[i]);
    }
    ratio = exp(stats_quantile(logs, n, 0.5));
    chance = stats_signed_rank(logs, n);
    if (n < TIMING_PAIRS) {
        return g_strdup_printf("%s/%s %.3f: no verdict, %u pairs are fewer than %d", b, a, ratio, n,
                               TIMING_PAIRS);
    }
    if (chance >= SIGNIFICANT) {
        return g_strdup_printf("%s/%s %.3f: no verdict (p = %.2g)", b, a, ratio, chance);
    }
    return g_strdup_printf("%s/%s %.3f: %s takes %s (p = %.2g)", b, a, ratio, b,
                           ratio > 1 ? "more" : "less", chance);
}

/* Whether every boot of both told @m. */
static gboolean is_known(const Series *a, const Series *b, TrialMeasure m, guint pairs)
{
    for (guint i = 0; i < pairs; i++) {
        if (!(a->values[m * pairs + i] > 0) || !(b->values[m * pairs + i] > 0)) {
            return FALSE;
        }
    }
    return TRUE;
}

static void say_measure(const Series *a, const Series *b, TrialMeasure m, guint pairs, gboolean kvm)
{
    double unit = unit_of(m, a, pairs, kvm);
    g_autofree char *times =
        g_strdup_printf("of %s's median to ready: there is no KVM", a->setup->name);
    const char *unit_name = m >= TRIAL_BYTES ? "MiB" : kvm ? "s" : times;
    g_autofree char *verdict = NULL;

    if (!is_known(a, b, m, pairs)) {
        return;
    }
    verdict = timing_verdict(a->setup->name, b->setup->name, a->values + m * pairs,
                             b->values + m * pairs, pairs);
    say_row(a, m, pairs, unit, unit_name);
    say_row(b, m, pairs, unit, unit_name);
    printf("%-10s %-20s %s\n", "", measure_names[m], verdict);
}

/* The median of each of KVM's counts; what a setup never does is not told. */
static void say_exits(const Series *series)
{
    g_autoptr(GList) names =
        g_list_sort(g_hash_table_get_keys(series->exits), (GCompareFunc)strcmp);

    for (GList *l = names; l; l = l->next) {
        GArray *counts = g_hash_table_lookup(series->exits, l->data);

        printf("%-10s KVM's %-30s median %.0f\n", series->setup->name, (char *)l->data,
               stats_quantile((double *)(gpointer)counts->data, counts->len, 0.5));
    }
}

gboolean timing_compare(const Setup *a, const Setup *b, const Parts *parts, const char *accel,
                        guint pairs, GError **error)
{
    Series series[] = {series_new(a, pairs), series_new(b, pairs)};
    gboolean ok = TRUE;

    for (guint i = 0; ok && i < 2 * pairs; i++) {
        Series *now = &series[i % 2];
        Trial trial;

        ok = trial_run(now->setup, parts, accel, &trial, error);
        for (guint m = 0; ok && m < N_TRIAL; m++) {
            now->values[m * pairs + i / 2] = trial.values[m];
        }
        if (ok) {
            keep_exits(now, &trial);
            trial_clear(&trial);
        }
    }
    for (guint m = 0; ok && m < N_TRIAL; m++) {
        say_measure(&series[0], &series[1], m, pairs, g_str_equal(accel, "kvm"));
    }
    if (ok) {
        say_exits(&series[0]);
        say_exits(&series[1]);
    }
    series_clear(&series[0]);
    series_clear(&series[1]);
    return ok;
}
