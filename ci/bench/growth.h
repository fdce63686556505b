/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_GROWTH_H
#define MICROVM_GROWTH_H

#include "counts.h"
#include "setup.h"

/* What a boot costs when the guest is larger: one row a size. */
typedef struct {
    char *name;
    Counts *counts;
} Growth;

/*
 * Counts boots of @setup with more CPUs, more memory and more devices, up to what the board takes,
 * and shows each on stdout. Returns Growth *, to be freed with g_ptr_array_unref(); NULL with
 * @error.
 */
GPtrArray *growth_measure(const Setup *setup, const Parts *parts, GError **error);

#endif
