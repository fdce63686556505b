/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_MEMORY_H
#define MICROVM_MEMORY_H

#include "setup.h"

/* What guests take of the host's memory, and what many of them at once take of the host. */

/* Bytes of one QEMU when its guest has stopped; see trial.h. */
typedef struct {
    char *name; /* of the setup */
    double rss, pss, ram;
} MemoryRow;

/* So many guests of one setup, started together. */
typedef struct {
    guint guests;
    double ready;    /* how long until all are ready, in units of the time one takes alone */
    double rss, pss; /* bytes, the mean of the guests, when all have stopped */
} GuestsRow;

void memory_row_free(gpointer row);

/* Boots @setup once. NULL with @error. */
MemoryRow *memory_measure(const Setup *setup, const Parts *parts, const char *accel,
                          GError **error);

/* Boots 1, 2, 4, 8, 16 and 24 guests of @setup at once. GuestsRow * to g_free(); NULL with @error.
 */
GPtrArray *memory_guests(const Setup *setup, const Parts *parts, const char *accel, GError **error);

#endif
