/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_DOCS_H
#define MICROVM_DOCS_H

#include "growth.h"
#include "memory.h"
#include "picture.h"

/* All that was measured. */
typedef struct {
    GPtrArray *setups; /* of Result */
    GPtrArray *growth; /* of Growth */
    GPtrArray *memory; /* of MemoryRow */
    GPtrArray *guests; /* of GuestsRow */
} Findings;

/* Writes @path, docs/performance.md, from all of @found; the pictures lie beside it. */
gboolean docs_write(const char *path, const Findings *found, GError **error);

#endif
