/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CELL_H
#define MICROVM_CELL_H

#include "axes.h"

/* What is booted. */
typedef struct {
    const char *qemu;
    const char *kernels[3]; /* by the values of the axis */
    const char *initrd;     /* an archive with an /init */
    const char *modules;    /* an archive with modules for the last of the kernels */
} CellImages;

/* One combination, and what is made for its boot: files in a directory of its own. */
typedef struct {
    const int *values;
    char *name;
    char *dir, *initrd, *share, *file, *net, *port; /* paths; net and port are sockets of QEMU's */
    char *text;                                     /* what is in the file that is shared */
    GPtrArray *disks;                               /* paths */
    GPtrArray *argv;                                /* a command line for boot_start() */
} Cell;

/*
 * Makes all that the combination @values needs. Its devices sit on the places that can carry one,
 * the first of them on number @first of these. Free with cell_free(), which removes the files too.
 */
Cell *cell_new(const CellImages *images, const int *values, guint first, GError **error);
void cell_free(Cell *cell);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Cell, cell_free)

/* Whether the kernel can mount the share: Debian's has no 9p. */
gboolean cell_has_share(const int *values);

/* Whether the guest has written to all disks what it should. */
gboolean cell_check_disks(const Cell *cell, GError **error);

#endif
