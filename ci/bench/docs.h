/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_DOCS_H
#define MICROVM_DOCS_H

#include "picture.h"
#include "startup.h"

/* One row of a table: a guest that differs in its size. */
typedef struct {
    char *name;
    Counts *counts;
} Growth;

/*
 * Writes @path, docs/performance.md: tables of @results (Result *) and @growth (Growth *), the
 * start-up of QEMU with the series and without, and the pictures that lie beside it.
 */
gboolean docs_write(const char *path, GPtrArray *results, GPtrArray *growth, const Startup *ours,
                    const Startup *stock, GError **error);

#endif
