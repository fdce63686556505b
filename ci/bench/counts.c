/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "counts.h"

#include <gio/gio.h>
#include <string.h>

#include "devices.h"

#define INITCALL ";do_one_initcall;"

static GHashTable *table_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void phase_free(gpointer data)
{
    PhaseCounts *phase = data;

    g_free(phase->name);
    g_hash_table_unref(phase->accesses);
    g_free(phase);
}

Counts *counts_new(void)
{
    Counts *counts = g_new0(Counts, 1);

    counts->phases = g_ptr_array_new_with_free_func(phase_free);
    counts->functions = table_new();
    counts->initcalls = table_new();
    counts->paths = g_ptr_array_new_with_free_func(g_free);
    return counts;
}

void counts_free(Counts *counts)
{
    if (counts) {
        g_ptr_array_unref(counts->phases);
        g_hash_table_unref(counts->functions);
        g_hash_table_unref(counts->initcalls);
        g_ptr_array_unref(counts->paths);
        g_free(counts);
    }
}

PhaseCounts *counts_phase(Counts *counts, const char *name)
{
    PhaseCounts *phase;

    for (guint i = 0; i < counts->phases->len; i++) {
        phase = counts->phases->pdata[i];
        if (g_str_equal(phase->name, name)) {
            return phase;
        }
    }
    phase = g_new0(PhaseCounts, 1);
    phase->name = g_strdup(name);
    phase->accesses = table_new();
    g_ptr_array_add(counts->phases, phase);
    return phase;
}

void counts_add(GHashTable *table, const char *key, guint64 n)
{
    guint64 *count = g_hash_table_lookup(table, key);

    if (!count) {
        count = g_new0(guint64, 1);
        g_hash_table_insert(table, g_strdup(key), count);
    }
    *count += n;
}

guint64 counts_get(GHashTable *table, const char *key)
{
    const guint64 *count = g_hash_table_lookup(table, key);

    return count ? *count : 0;
}

static int by_count(gconstpointer a, gconstpointer b, gpointer data)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    guint64 of_x = counts_get(data, x), of_y = counts_get(data, y);

    return of_x != of_y ? (of_x < of_y ? 1 : -1) : strcmp(x, y);
}

GPtrArray *counts_order(GHashTable *table)
{
    GPtrArray *keys = g_ptr_array_new();
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        g_ptr_array_add(keys, key);
    }
    g_ptr_array_sort_with_data(keys, by_count, table);
    return keys;
}

guint64 counts_instructions(const Counts *counts)
{
    guint64 sum = 0;

    for (guint i = 0; i < counts->phases->len; i++) {
        sum += ((const PhaseCounts *)counts->phases->pdata[i])->instructions;
    }
    return sum;
}

guint64 counts_accesses(const Counts *counts, const char *prefix)
{
    guint64 sum = 0;

    for (guint i = 0; i < counts->phases->len; i++) {
        const PhaseCounts *phase = counts->phases->pdata[i];
        GHashTableIter iter;
        gpointer key, value;

        g_hash_table_iter_init(&iter, phase->accesses);
        while (g_hash_table_iter_next(&iter, &key, &value)) {
            sum += g_str_has_prefix(key, prefix) ? *(guint64 *)value : 0;
        }
    }
    return sum;
}

static guint64 last_number(char **words)
{
    return g_ascii_strtoull(words[g_strv_length(words) - 1], NULL, 10);
}

/* The access that @words tell of, "port serial"; NULL if they tell of something else. */
static char *access_name(char **words)
{
    static const char *const alone[] = {"cpuid", "hlt", "cr3", "rdtsc", "wbinvd", "xsetbv", NULL};
    guint n = g_strv_length(words);

    if (n == 5 && g_str_equal(words[0], "port")) {
        guint port = (guint)g_ascii_strtoull(words[3], NULL, 16);

        return g_strdup_printf("port %s", device_of_port(port));
    }
    if (n == 5 && g_str_equal(words[0], "msr")) {
        guint msr = (guint)g_ascii_strtoull(words[3], NULL, 16);

        return g_strdup_printf("%smsr %s", g_str_equal(words[1], "read") ? "rd" : "wr",
                               device_of_msr(msr));
    }
    if (n == 7 && g_str_equal(words[0], "mmio")) {
        guint id = (guint)g_ascii_strtoull(words[4], NULL, 16);

        return g_strdup_printf("mmio %s", device_of_region(words[3], id));
    }
    return n == 4 && g_strv_contains(alone, words[0]) ? g_strdup(words[0]) : NULL;
}

static void take_path(Counts *counts, const char *text, guint64 n)
{
    const char *at = strstr(text, INITCALL);

    g_ptr_array_add(counts->paths, g_strdup(text));
    if (at) {
        const char *name = at + strlen(INITCALL);
        g_autofree char *initcall = g_strndup(name, strcspn(name, "; "));

        counts_add(counts->initcalls, initcall, n);
    }
}

/* Takes a line, if it is one that is known. */
static void take_line(Counts *counts, const char *line, gboolean *ended)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    guint n = g_strv_length(words);
    g_autofree char *access = n ? access_name(words) : NULL;

    if (access) {
        PhaseCounts *phase = counts_phase(counts, words[n == 4 ? 1 : 2]);

        counts_add(phase->accesses, access, last_number(words));
    } else if (n == 3 && g_str_equal(words[0], "phase")) {
        counts_phase(counts, words[1])->instructions = last_number(words);
    } else if (n == 4 && g_str_equal(words[0], "function")) {
        counts_add(counts->functions, words[2], last_number(words));
    } else if (n == 3 && g_str_equal(words[0], "stack")) {
        take_path(counts, line + strlen("stack "), last_number(words));
    } else if (n == 2 && g_str_equal(words[0], "unsettled")) {
        counts->unsettled = (guint)last_number(words);
    } else if (g_str_equal(line, "end")) {
        *ended = TRUE;
    }
}

Counts *counts_load(const char *path, GError **error)
{
    g_autoptr(Counts) counts = counts_new();
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    gboolean ended = FALSE;

    if (!g_file_get_contents(path, &text, NULL, error)) {
        return NULL;
    }
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        take_line(counts, *line, &ended);
    }
    if (!ended) {
        const PhaseCounts *last =
            counts->phases->len ? counts->phases->pdata[counts->phases->len - 1] : NULL;

        g_set_error(error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT,
                    "the boot did not come to its end; the phase it was in is '%s'",
                    last ? last->name : "none");
        return NULL;
    }
    return g_steal_pointer(&counts);
}
