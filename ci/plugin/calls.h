/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CALLS_H
#define MICROVM_CALLS_H

#include <glib.h>
#include <stdio.h>

#include "symbols.h"

/*
 * Who called whom, and how many instructions each call path took: a tree for each phase. A frame
 * is known by where on the stack its return address lies; so threads, interrupts and tail calls
 * need no special care.
 */

typedef struct Calls Calls;

Calls *calls_new(void);
void calls_free(Calls *calls);

/* At the start of function @symbol, with the stack pointer at @sp; @done have been executed. */
void calls_enter(Calls *calls, guint symbol, guint64 sp, guint64 done);

/* Before a return is executed with the stack pointer at @sp. */
void calls_leave(Calls *calls, guint64 sp, guint64 done);

/* What was executed since the last of these calls belongs to where that left off. */
void calls_settle(Calls *calls, guint64 done);

/* From now on it is @phase. */
void calls_set_phase(Calls *calls, guint phase);

/*
 * Writes "stack PHASE;FUNCTION;... COUNT" for each path that took instructions. @phases are the
 * names of the first @n_phases.
 */
void calls_print(const Calls *calls, FILE *file, const Symbols *symbols, const char *const *phases,
                 guint n_phases);

#endif
