/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_BASELINE_H
#define MICROVM_BASELINE_H

#include <json-glib/json-glib.h>

#include "counts.h"
#include "setup.h"

/*
 * What a setup's boot cost when someone last said that it is right so: a JSON file with the counts,
 * hashes of what was booted, and for each time it was accepted the reason and the sum.
 */

/*
 * Instructions of a function or initcall that a baseline names: what takes fewer is left out, to
 * keep the files small, and counts as none.
 */
#define BASELINE_LEAST 1000

typedef struct {
    Counts *counts;
    JsonObject *inputs; /* name of a part -> its hash */
    JsonArray
        *accepted; /* objects with date, commit, why, instructions, port, mmio; oldest first */
} Baseline;

/* What @setup boots, for Baseline.inputs. NULL with @error. */
JsonObject *inputs_of(const Setup *setup, const Parts *parts, GError **error);

/* @counts and @inputs as JSON, with the functions and initcalls that have @least instructions. */
JsonObject *counts_to_json(const Counts *counts, JsonObject *inputs, guint64 least);

/* Reads @path; free with baseline_free(). NULL with @error, G_FILE_ERROR_NOENT without a file. */
Baseline *baseline_load(const char *path, GError **error);
void baseline_free(Baseline *baseline);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Baseline, baseline_free)

/*
 * Writes @counts to @path as what is right from now on, because of @why, after the reasons that
 * @before (or NULL) had. @commit is the one that the change comes after, or NULL.
 */
gboolean baseline_accept(const char *path, const Baseline *before, const Counts *counts,
                         JsonObject *inputs, const char *why, const char *commit, GError **error);

#endif
