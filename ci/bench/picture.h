/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_PICTURE_H
#define MICROVM_PICTURE_H

#include "baseline.h"
#include "startup.h"

/* Pictures of counts. Each is written twice, as @base.svg and @base.png. */

typedef struct {
    const char *name;
    Counts *counts;
    Baseline *baseline; /* or NULL */
    Startup startup;    /* all zero when it was not asked for */
} Result;

/* The phases of each Result of @results, one bar a setup, in instructions. */
gboolean picture_phases(const char *base, GPtrArray *results, GError **error);

/* What each setup accesses, by device. */
gboolean picture_devices(const char *base, GPtrArray *results, GError **error);

/* How the sums went from each accepted change to the next. */
gboolean picture_history(const char *base, GPtrArray *results, GError **error);

/* The call paths of @counts as a flame graph, in @path alone: an SVG that names what is pointed at.
 */
gboolean picture_flame(const char *path, const char *title, const Counts *counts, GError **error);

#endif
