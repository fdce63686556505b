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
    gboolean debian;    /* Debian's kernel and initrd */
    gboolean defconfig; /* a kernel of x86_64_defconfig, virtio and container options */
    gboolean q35;       /* an ordinary PC: SeaBIOS, then GRUB from the disk, then a bzImage */
    /* the rest is for growth, and for tests that make a boot dearer; 0 and NULL are the usual */
    guint cpus, memory_mib, more_disks;
    const char *append; /* after the usual command line */
    gboolean loud;      /* without "quiet" */
} Setup;

/* Added to the kernel's command line when a boot is timed: it gets into the environment of init. */
#define SETUP_TIMED_WORD "BENCH_TIMED=1"

/* All that are known, with one of name NULL at the end. */
extern const Setup setups[];

/* The one called @name, or NULL. */
const Setup *setup_find(const char *name);

/* Where the parts of a guest are. Those that only one setup needs may be NULL. */
typedef struct {
    char *out;       /* build/out: qemu-system-x86_64, vmlinux, ... */
    char *plugin;    /* count.so */
    char *init;      /* bench-init, the root's init */
    char *debian;    /* directory of Debian's vmlinuz and initrd.img */
    char *defconfig; /* directory of that kernel's vmlinux and bzImage */
    char *q35;       /* a qemu-system-x86_64 that has the q35 board */
    char *dir;       /* for what is made, which parts_prepare() does; NULL before */
    char *root;      /* the root's image in there */
} Parts;

/* Makes @parts' directory and the root's image. */
gboolean parts_prepare(Parts *parts, GError **error);

/* Deletes them, and frees what @parts points to. */
void parts_clear(Parts *parts);

/* The file of QEMU, the kernel and the initrd, of @setup. Free each with g_free(). */
char *setup_qemu(const Setup *setup, const Parts *parts);
char *setup_kernel(const Setup *setup, const Parts *parts);
char *setup_initrd(const Setup *setup, const Parts *parts);

/* The guest's memory. */
guint setup_memory_mib(const Setup *setup);

/* The kernel's command line in a counted boot. Free with g_free(). */
char *setup_command_line(const Setup *setup);

/* Whether a bzImage unpacks itself. */
gboolean setup_unpacks(const Setup *setup);

/*
 * QEMU's command line for a boot of @setup that does not wobble, without plugin and monitor; for
 * boot_start(). NULL with @error.
 */
GPtrArray *setup_argv(const Setup *setup, const Parts *parts, GError **error);

/* The same with an image as a user has it, written to in place: how QEMU itself starts. */
GPtrArray *setup_start_argv(const Setup *setup, const Parts *parts, GError **error);

/*
 * The same for a boot that is timed, by QEMU's accelerator @accel and the host's own clock. The
 * guest tells on its console when the root's init begins, and QEMU stops it where it would end.
 */
GPtrArray *setup_timed_argv(const Setup *setup, const Parts *parts, const char *accel,
                            GError **error);

#endif
