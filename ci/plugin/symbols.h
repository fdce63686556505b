/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_SYMBOLS_H
#define MICROVM_SYMBOLS_H

#include <glib.h>

#define KERNEL_BASE G_GUINT64_CONSTANT(0xffffffff80000000) /* __START_KERNEL_map */

/* The functions of a kernel, from its System.map, numbered by address. */

typedef struct Symbols Symbols;

/* Number 0 is whatever is no function of the kernel: firmware, decompression, user space. */
#define SYMBOL_NONE 0

/* Reads @path; NULL makes a table without functions. Returns NULL with @error. */
Symbols *symbols_load(const char *path, GError **error);
void symbols_free(Symbols *symbols);

/* How many numbers there are. */
guint symbols_count(const Symbols *symbols);

/* The number of the function that the virtual @address lies in, and whether that is its start. */
guint symbols_find(const Symbols *symbols, guint64 address, gboolean *is_start);

/* The name of @number, or NULL of SYMBOL_NONE. */
const char *symbols_name(const Symbols *symbols, guint number);

#endif
