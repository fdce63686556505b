/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "compare.h"

#include <string.h>

#define TOLERANCE 2000    /* a phase may take one part in so many of the boot more */
#define TIME_TOLERANCE 20 /* what follows from how long the boot takes, likewise of itself */
#define SHOWN 5           /* functions and initcalls that are named */

/* A function that has grown by so much is named: one that a baseline leaves out may have grown
 * less. */
#define NAMED (2 * BASELINE_LEAST)

typedef struct {
    const Counts *before, *now;
    gboolean same; /* what is booted, to the byte */
    GString *text;
    gboolean dearer;
} Comparison;

/* -- what was booted */

/* Says what is another one, if @text is not NULL. Returns whether all are the same. */
static gboolean compare_inputs(GString *text, JsonObject *before, JsonObject *now)
{
    g_autoptr(GList) names = json_object_get_members(now);
    gboolean same = TRUE;

    for (GList *l = names; l; l = l->next) {
        const char *old = json_object_get_string_member_with_default(before, l->data, "none");
        const char *new = json_object_get_string_member_with_default(now, l->data, "none");

        if (!g_str_equal(old, new)) {
            same = FALSE;
            if (text) {
                g_string_append_printf(text, "    another %s: %s, was %s\n", (char *)l->data, new,
                                       old);
            }
        }
    }
    return same;
}

/* -- phases and devices */

static void say(Comparison *c, const char *what, const char *phase, guint64 before, guint64 now)
{
    g_string_append_printf(c->text,
                           "    phase %s: %s %" G_GUINT64_FORMAT ", was %" G_GUINT64_FORMAT
                           " (%+" G_GINT64_FORMAT ")\n",
                           phase, what, now, before, (gint64)(now - before));
}

/*
 * Their number follows from how long the boot takes: the timer's interrupts and their end, the PIT
 * that is read until it has run for a while, the TSC that is read by whoever waits. So a change of
 * some instructions anywhere, in another kernel say, changes them a little.
 */
static gboolean follows_time(const char *access)
{
    static const char *const all[] = {"port pit",           "rdtsc", "mmio local apic",
                                      "wrmsr tsc-deadline", "hlt",   NULL};

    return g_strv_contains(all, access);
}

static void compare_access(Comparison *c, const char *phase, const char *access, guint64 before,
                           guint64 now)
{
    guint64 room = !c->same && follows_time(access) ? before / TIME_TOLERANCE + 10 : 0;
    g_autofree char *what = g_strdup_printf(
        "%s %s", strncmp(access, "port ", 5) && strncmp(access, "mmio ", 5) ? "count of" : "device",
        access);

    if (now > before + room) {
        c->dearer = TRUE;
        say(c, what, phase, before, now);
    } else if (now + room < before) {
        say(c, what, phase, before, now);
    }
}

static void compare_accesses(Comparison *c, const PhaseCounts *before, const PhaseCounts *now)
{
    g_autoptr(GPtrArray) keys = counts_order(now->accesses);
    g_autoptr(GPtrArray) old = counts_order(before->accesses);

    for (guint i = 0; i < keys->len; i++) {
        compare_access(c, now->name, keys->pdata[i], counts_get(before->accesses, keys->pdata[i]),
                       counts_get(now->accesses, keys->pdata[i]));
    }
    for (guint i = 0; i < old->len; i++) {
        if (!g_hash_table_contains(now->accesses, old->pdata[i])) {
            compare_access(c, now->name, old->pdata[i], counts_get(before->accesses, old->pdata[i]),
                           0);
        }
    }
}

static void compare_phases(Comparison *c)
{
    guint64 room = counts_instructions(c->before) / TOLERANCE;
    g_autoptr(Counts) none = counts_new();

    for (guint i = 0; i < c->now->phases->len; i++) {
        const PhaseCounts *now = c->now->phases->pdata[i];
        const PhaseCounts *before = counts_phase(none, now->name);

        for (guint k = 0; k < c->before->phases->len; k++) {
            const PhaseCounts *old = c->before->phases->pdata[k];

            before = g_str_equal(old->name, now->name) ? old : before;
        }
        if (now->instructions > before->instructions + room) {
            c->dearer = TRUE;
        }
        if (now->instructions > before->instructions + room ||
            now->instructions + room < before->instructions) {
            say(c, "instructions", now->name, before->instructions, now->instructions);
        }
        compare_accesses(c, before, now);
    }
}

/* -- functions */

/* Tells what has grown most, and how much the others have grown that grew. */
static void compare_tables(Comparison *c, const char *what, GHashTable *before, GHashTable *now)
{
    g_autoptr(GHashTable) change = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GPtrArray) keys = counts_order(now);
    g_autoptr(GPtrArray) order = NULL;
    guint64 rest = 0;

    for (guint i = 0; i < keys->len; i++) {
        guint64 new = counts_get(now, keys->pdata[i]), old = counts_get(before, keys->pdata[i]);

        if (new > old + NAMED) {
            counts_add(change, keys->pdata[i], new - old);
        }
    }
    order = counts_order(change);
    for (guint i = 0; i < order->len; i++) {
        const char *name = order->pdata[i];
        guint64 more = counts_get(change, name);

        if (i < SHOWN) {
            g_string_append_printf(
                c->text, "    %s %s: instructions %" G_GUINT64_FORMAT " (+%" G_GUINT64_FORMAT ")\n",
                what, name, counts_get(now, name), more);
        } else {
            rest += more;
        }
    }
    if (rest) {
        g_string_append_printf(c->text, "    %u %ss more: +%" G_GUINT64_FORMAT "\n",
                               order->len - SHOWN, what, rest);
    }
}

char *compare(const Baseline *before, const Counts *now, JsonObject *inputs, gboolean *dearer)
{
    Comparison c = {.before = before->counts,
                    .now = now,
                    .same = compare_inputs(NULL, before->inputs, inputs),
                    .text = g_string_new(NULL)};

    compare_phases(&c);
    if (c.text->len) {
        compare_tables(&c, "initcall", before->counts->initcalls, now->initcalls);
        compare_tables(&c, "function", before->counts->functions, now->functions);
    }
    compare_inputs(c.text, before->inputs, inputs);
    *dearer = c.dearer;
    return g_string_free(c.text, FALSE);
}
