/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report.h"

#define SHOWN 20
#define MILLION 1e6

static const char *const phase_names[] = {"firmware", "loader", "decompression",
                                          "kernel",   "initrd", "init"};

char *report_head(void)
{
    return g_strdup_printf(
        "%-10s %8s | %8s %8s %8s %8s %8s %8s | %7s %6s %6s %6s %5s\n%-10s %8s |%54s | %7s\n", "",
        "total", "firmware", "loader", "unpack", "kernel", "initrd", "init", "port", "mmio", "msr",
        "cpuid", "hlt", "setup", "million", "million instructions", "number");
}

char *report_row(const char *name, const Counts *counts)
{
    GString *row = g_string_new(NULL);

    g_string_append_printf(row, "%-10s %8.2f |", name,
                           (double)counts_instructions(counts) / MILLION);
    for (gsize i = 0; i < G_N_ELEMENTS(phase_names); i++) {
        const PhaseCounts *phase = NULL;

        for (guint k = 0; k < counts->phases->len; k++) {
            const PhaseCounts *p = counts->phases->pdata[k];

            phase = g_str_equal(p->name, phase_names[i]) ? p : phase;
        }
        if (phase) {
            g_string_append_printf(row, " %8.2f", (double)phase->instructions / MILLION);
        } else {
            g_string_append_printf(row, " %8s", "-");
        }
    }
    g_string_append_printf(row,
                           " | %7" G_GUINT64_FORMAT " %6" G_GUINT64_FORMAT " %6" G_GUINT64_FORMAT
                           " %6" G_GUINT64_FORMAT " %5" G_GUINT64_FORMAT "\n",
                           counts_accesses(counts, "port "), counts_accesses(counts, "mmio "),
                           counts_accesses(counts, "rdmsr ") + counts_accesses(counts, "wrmsr "),
                           counts_accesses(counts, "cpuid"), counts_accesses(counts, "hlt"));
    return g_string_free(row, FALSE);
}

static void add_table(GString *text, const char *title, GHashTable *table, guint64 whole)
{
    g_autoptr(GPtrArray) keys = counts_order(table);

    g_string_append_printf(text, "  %s\n", title);
    for (guint i = 0; i < MIN(keys->len, SHOWN); i++) {
        guint64 n = counts_get(table, keys->pdata[i]);

        g_string_append_printf(text, "    %12" G_GUINT64_FORMAT "  %5.1f%%  %s\n", n,
                               100.0 * (double)n / (double)whole, (char *)keys->pdata[i]);
    }
}

char *report_details(const Counts *counts)
{
    GString *text = g_string_new(NULL);
    guint64 whole = counts_instructions(counts);

    add_table(text, "initcalls, with all that they call: instructions", counts->initcalls, whole);
    add_table(text, "functions by themselves: instructions", counts->functions, whole);
    for (guint i = 0; i < counts->phases->len; i++) {
        const PhaseCounts *phase = counts->phases->pdata[i];
        g_autoptr(GPtrArray) keys = counts_order(phase->accesses);

        g_string_append_printf(text, "  phase %s\n", phase->name);
        for (guint k = 0; k < keys->len; k++) {
            g_string_append_printf(text, "    %12" G_GUINT64_FORMAT "  %s\n",
                                   counts_get(phase->accesses, keys->pdata[k]),
                                   (char *)keys->pdata[k]);
        }
    }
    return g_string_free(text, FALSE);
}
