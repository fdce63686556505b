/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "growth.h"

#include <stdio.h>

#include "count-run.h"
#include "report.h"

#define USUAL_DEVICES 5

static void growth_free(gpointer data)
{
    Growth *row = data;

    g_free(row->name);
    g_clear_pointer(&row->counts, counts_free);
    g_free(row);
}

/* Adds the row @name, which it takes, for @setup. */
static gboolean grow(GPtrArray *rows, const Setup *setup, const Parts *parts, char *name,
                     GError **error)
{
    Growth *row = g_new0(Growth, 1);
    g_autofree char *text = NULL;

    row->name = name;
    g_ptr_array_add(rows, row);
    row->counts = count_boot(setup, parts, error);
    if (!row->counts) {
        return FALSE;
    }
    text = report_row(name, row->counts);
    fputs(text, stdout);
    fflush(stdout);
    return TRUE;
}

GPtrArray *growth_measure(const Setup *usual, const Parts *parts, GError **error)
{
    static const guint cpus[] = {1, 2, 4, 8}, memory[] = {128, 1024, 4096, 16384},
                       devices[] = {6, 9, 13, USUAL_DEVICES + SETUP_MORE_DISKS};
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(growth_free);
    gboolean ok = TRUE;
    Setup setup;

    for (gsize i = 0; ok && i < G_N_ELEMENTS(cpus); i++) {
        setup = *usual;
        setup.cpus = cpus[i];
        ok = grow(rows, &setup, parts, g_strdup_printf("%u CPU%s", cpus[i], i ? "s" : ""), error);
    }
    for (gsize i = 0; ok && i < G_N_ELEMENTS(memory); i++) {
        setup = *usual;
        setup.memory_mib = memory[i];
        ok = grow(rows, &setup, parts, g_strdup_printf("%u MiB", memory[i]), error);
    }
    for (gsize i = 0; ok && i < G_N_ELEMENTS(devices); i++) {
        setup = *usual;
        setup.more_disks = devices[i] - USUAL_DEVICES;
        ok = grow(rows, &setup, parts, g_strdup_printf("%u devices", devices[i]), error);
    }
    return ok ? g_steal_pointer(&rows) : NULL;
}
