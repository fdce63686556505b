/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_BOARD_H
#define MICROVM_BOARD_H

#include <glib.h>

/* QEMU, kernel and initrd of every board, unless it says otherwise. */
extern const char *board_qemu, *board_vmlinux, *board_initrd;

/* What a guest runs on. What is 0 is as most have it. */
typedef struct {
    const char *qemu;    /* NULL: board_qemu */
    const char *machine; /* NULL: microvm-10.0 */
    gboolean acpi_off, legacy, pcie;
    int cpus, memory;        /* one; 256 MiB */
    const char *memory_file; /* the memory, shared */
    gboolean stopped;        /* after a move the guest is not let run */
    gboolean ports;          /* trip_port() works */
    gboolean vsock;          /* a device more, the host's vhost-vsock */
    gboolean no_rng;         /* a device less */
    const char *const *more; /* arguments of QEMU, and NULL */
} Board;

/* What belongs to a guest, wherever it runs. */
typedef struct {
    char *dir; /* of sockets: "ping", "flow" and "qtest", each with the side after it */
    char *disk;
    const char *disk_format;
} BoardFiles;

/* A command line for boot_start(), for @side, 0 or 1, of a move. Free with g_ptr_array_unref(). */
GPtrArray *board_argv(const Board *board, const BoardFiles *files, int side);

#endif
