/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_SETUP_H
#define MICROVM_SETUP_H

#include <glib.h>

/* The guests whose boots are measured: what differs from ours over mmio. */

/* The most for Setup.more_disks: what the board has places for. */
#define SETUP_MORE_DISKS 19

typedef struct {
    const char *name;  /* of its baseline, and on the command line */
    const char *what;  /* for people */
    gboolean guarded;  /* has a baseline */
    gboolean launcher; /* the command line is what microvm-launch makes of a config */
    gboolean stock;    /* the same QEMU without the series */
    gboolean no_acpi, pcie, seabios, bzimage;
    /* the rest is for growth, and for tests that make a boot dearer; 0 and NULL are the usual */
    guint cpus, memory_mib, more_disks;
    const char *append; /* after the usual command line */
    gboolean loud;      /* without "quiet" */
} Setup;

/* All that are known, with one of name NULL at the end. */
extern const Setup setups[];

/* The one called @name, or NULL. */
const Setup *setup_find(const char *name);

/* Where the parts of a guest are. */
typedef struct {
    char *out;    /* build/out: qemu-system-x86_64, vmlinux, ... */
    char *plugin; /* count.so */
    char *init;   /* bench-init, the root's init */
    char *dir;    /* for what is made, which parts_prepare() does; NULL before */
    char *root;   /* the root's image in there */
} Parts;

/* Makes @parts' directory and the root's image. */
gboolean parts_prepare(Parts *parts, GError **error);

/* Deletes them, and frees what @parts points to. */
void parts_clear(Parts *parts);

/* QEMU's file and the kernel's, of @setup. Free each with g_free(). */
char *setup_qemu(const Setup *setup, const Parts *parts);
char *setup_kernel(const Setup *setup, const Parts *parts);

/*
 * QEMU's command line for a boot of @setup that does not wobble, without plugin and monitor; for
 * boot_start(). NULL with @error.
 */
GPtrArray *setup_argv(const Setup *setup, const Parts *parts, GError **error);

/* The same for a boot that is timed, by QEMU's accelerator @accel and the host's own clock. */
GPtrArray *setup_timed_argv(const Setup *setup, const Parts *parts, const char *accel,
                            GError **error);

#endif
