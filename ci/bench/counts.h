/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_COUNTS_H
#define MICROVM_COUNTS_H

#include <glib.h>

/* What the plugin of ci/plugin has counted in one boot. */

/* A phase's accesses by what they are: "port serial", "mmio virtio-blk", "cpuid", "wrmsr other". */
typedef struct {
    char *name;
    guint64 instructions;
    GHashTable *accesses; /* char * -> guint64 * */
} PhaseCounts;

typedef struct {
    GPtrArray *phases;     /* PhaseCounts *, in order */
    GHashTable *functions; /* char * -> guint64 *: instructions of the kernel's function itself */
    GHashTable *initcalls; /* char * -> guint64 *: those of an initcall with all that it called */
    GPtrArray *paths;      /* char *: "PHASE;CALLER;CALLEE COUNT" */
    guint unsettled;       /* how often a disk was too slow for counts that hold still */
} Counts;

/* Reads the plugin's file. NULL with @error, also when the boot did not come to its end. */
Counts *counts_load(const char *path, GError **error);

/* An empty one, for those who fill it. */
Counts *counts_new(void);
void counts_free(Counts *counts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Counts, counts_free)

/* The phase @name, which is added when there is none. Owned by @counts. */
PhaseCounts *counts_phase(Counts *counts, const char *name);

/* Adds @n to @table's @key. */
void counts_add(GHashTable *table, const char *key, guint64 n);

/* @table's @key, or 0. */
guint64 counts_get(GHashTable *table, const char *key);

/* The keys of @table, the greatest count first, equal ones by name; free the array alone. */
GPtrArray *counts_order(GHashTable *table);

/* Of all phases: instructions, and the accesses whose names begin with @prefix. */
guint64 counts_instructions(const Counts *counts);
guint64 counts_accesses(const Counts *counts, const char *prefix);

#endif
