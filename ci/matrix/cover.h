/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_COVER_H
#define MICROVM_COVER_H

#include <glib.h>

/*
 * Sets of combinations that cover a space: for any so many axes, each combination of their values
 * that can be at all is in one of the set. Two at a time find most faults with few combinations.
 */

#define COVER_AXES 16 /* at most */

typedef struct {
    int axes;
    const int *sizes;                     /* how many values each axis has */
    gboolean (*valid)(const int *values); /* whether they can be together; NULL: always */
} CoverSpace;

/* Calls @visit for each valid combination, the last axis fastest. */
void cover_for_each(const CoverSpace *space, void (*visit)(const int *values, gpointer data),
                    gpointer data);

/*
 * Returns a set that covers any @strength axes, and all those of each of @crosses, which ends with
 * NULL or is NULL itself; a cross is a list of axes in order, and ends with -1. The set is always
 * the same for the same arguments: an array of int *, each with a value for each axis. Free with
 * g_ptr_array_unref().
 */
GPtrArray *cover_make(const CoverSpace *space, int strength, const int *const *crosses);

#endif
