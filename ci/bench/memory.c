/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory.h"

#include "trial.h"

void memory_row_free(gpointer data)
{
    MemoryRow *row = data;

    g_free(row->name);
    g_free(row);
}

MemoryRow *memory_measure(const Setup *setup, const Parts *parts, const char *accel, GError **error)
{
    MemoryRow *row;
    Trial trial;

    if (!trial_run(setup, parts, accel, &trial, error)) {
        return NULL;
    }
    row = g_new0(MemoryRow, 1);
    row->name = g_strdup(setup->name);
    row->rss = trial.values[TRIAL_RSS];
    row->pss = trial.values[TRIAL_PSS];
    row->ram = trial.values[TRIAL_RAM];
    trial_clear(&trial);
    return row;
}

static void free_boot(gpointer boot)
{
    boot_free(boot);
}

static GPtrArray *start_all(guint guests, const Setup *setup, const Parts *parts, const char *accel,
                            GError **error)
{
    g_autoptr(GPtrArray) boots = g_ptr_array_new_with_free_func(free_boot);

    for (guint i = 0; i < guests; i++) {
        Boot *boot = trial_start(setup, parts, accel, error);

        if (!boot) {
            return NULL;
        }
        g_ptr_array_add(boots, boot);
    }
    return g_steal_pointer(&boots);
}

/* Fills @row: the times of day until all are ready in seconds, and sums of the memory. */
static gboolean take_all(GPtrArray *boots, const Setup *setup, GuestsRow *row, GError **error)
{
    for (guint i = 0; i < boots->len; i++) {
        if (!boot_wait_text(boots->pdata[i], "bench: ready", error)) {
            return FALSE;
        }
    }
    row->ready = boot_seconds(boots->pdata[0]);
    for (guint i = 0; i < boots->len; i++) {
        Trial trial;

        if (!trial_take(setup, boots->pdata[i], &trial, error)) {
            return FALSE;
        }
        row->rss += trial.values[TRIAL_RSS] / boots->len;
        row->pss += trial.values[TRIAL_PSS] / boots->len;
        trial_clear(&trial);
    }
    return TRUE;
}

static GuestsRow *run_guests(guint guests, const Setup *setup, const Parts *parts,
                             const char *accel, GError **error)
{
    g_autoptr(GPtrArray) boots = start_all(guests, setup, parts, accel, error);
    g_autofree GuestsRow *row = g_new0(GuestsRow, 1);

    row->guests = guests;
    if (!boots || !take_all(boots, setup, row, error)) {
        return NULL;
    }
    for (guint i = 0; i < boots->len; i++) {
        if (!trial_end(boots->pdata[i], error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&row);
}

GPtrArray *memory_guests(const Setup *setup, const Parts *parts, const char *accel, GError **error)
{
    static const guint guests[] = {1, 2, 4, 8, 16, 24};
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(g_free);
    double alone = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(guests); i++) {
        GuestsRow *row = run_guests(guests[i], setup, parts, accel, error);

        if (!row) {
            return NULL;
        }
        alone = i ? alone : row->ready;
        row->ready /= alone;
        g_ptr_array_add(rows, row);
    }
    return g_steal_pointer(&rows);
}
