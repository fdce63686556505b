/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "timing.h"

#include <math.h>
#include <stdio.h>
#include <sys/resource.h>

#include "boot.h"

#define LIMIT 300 /* seconds, on a slow, busy host */
#define SIGNIFICANT 0.01

typedef enum { READY, CPU, N_MEASURES } Measure;

static const char *const measure_names[] = {"exec to ready, s", "QEMU's CPU time, s"};

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / G_USEC_PER_SEC;
}

static double children_cpu(void)
{
    struct rusage usage;

    getrusage(RUSAGE_CHILDREN, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

static gboolean boot_once(const Setup *setup, const Parts *parts, const char *accel,
                          double out[N_MEASURES], GError **error)
{
    g_autoptr(GPtrArray) argv = setup_timed_argv(setup, parts, accel, error);
    double before = children_cpu();
    g_autoptr(Boot) boot = argv ? boot_start(argv, LIMIT, error) : NULL;

    if (!boot || !boot_wait_text(boot, "bench: ready", error)) {
        return FALSE;
    }
    out[READY] = boot_seconds(boot);
    if (!boot_wait_end(boot, error)) {
        return FALSE;
    }
    out[CPU] = children_cpu() - before;
    return TRUE;
}

static int by_value(gconstpointer a, gconstpointer b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void say_row(const char *name, const char *what, const double *values, guint n, gboolean kvm)
{
    g_autofree double *sorted = g_memdup2(values, n * sizeof(*values));
    double unit = 1;

    qsort(sorted, n, sizeof(*sorted), by_value);
    if (!kvm) {
        unit = sorted[n / 2]; /* an emulator's seconds mean nothing: parts of the median */
    }
    printf("%-10s %-20s least %.3f  median %.3f  p99 %.3f%s\n", name, what, sorted[0] / unit,
           sorted[n / 2] / unit, sorted[(n * 99 - 1) / 100] / unit,
           kvm ? "" : "  (of the median: there is no KVM)");
}

double timing_sign_test(guint more, guint n)
{
    double tail = 0;

    for (guint k = MAX(more, n - more); k <= n; k++) {
        tail += exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) - n * log(2));
    }
    return MIN(1, 2 * tail);
}

/* The median ratio of the pairs, and a verdict if chance alone is unlikely to give their signs. */
static void say_ratio(const Setup *a, const Setup *b, const char *what, const double *of_a,
                      const double *of_b, guint n)
{
    g_autofree double *ratios = g_new(double, n);
    guint more = 0, unequal = 0;
    double chance;

    for (guint i = 0; i < n; i++) {
        ratios[i] = of_b[i] / of_a[i];
        more += ratios[i] > 1;
        unequal += ratios[i] > 1 || ratios[i] < 1;
    }
    qsort(ratios, n, sizeof(*ratios), by_value);
    chance = timing_sign_test(more, unequal);
    printf("%s: %s/%s %.3f, in %u of %u pairs more: ", what, b->name, a->name, ratios[n / 2], more,
           n);
    if (chance < SIGNIFICANT) {
        printf("%s is %s (p = %.2g)\n", b->name, ratios[n / 2] > 1 ? "slower" : "faster", chance);
    } else {
        printf("no verdict (p = %.2g)\n", chance);
    }
}

gboolean timing_compare(const Setup *a, const Setup *b, const Parts *parts, const char *accel,
                        guint pairs, GError **error)
{
    g_autofree double *all = g_new0(double, 2 * N_MEASURES * pairs);
    gboolean kvm = g_str_equal(accel, "kvm");

    for (guint i = 0; i < 2 * pairs; i++) {
        guint which = i % 2;
        double out[N_MEASURES];

        if (!boot_once(which ? b : a, parts, accel, out, error)) {
            return FALSE;
        }
        for (guint m = 0; m < N_MEASURES; m++) {
            all[(which * N_MEASURES + m) * pairs + i / 2] = out[m];
        }
    }
    for (guint m = 0; m < N_MEASURES; m++) {
        const double *of_a = all + m * pairs, *of_b = all + (N_MEASURES + m) * pairs;

        say_row(a->name, measure_names[m], of_a, pairs, kvm);
        say_row(b->name, measure_names[m], of_b, pairs, kvm);
        say_ratio(a, b, measure_names[m], of_a, of_b, pairs);
    }
    return TRUE;
}
