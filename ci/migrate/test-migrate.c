/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Live migration and snapshots of the microvm board, under TCG: a guest that is kept busy with its
 * disk, its memory, a TCP connection through a tap, random numbers and the ports of a virtio
 * console moves between QEMUs. Not a byte of what it does may be lost. Must be run as root.
 *
 * The environment names what is tested:
 *   MICROVM_QEMU             qemu-system-x86_64
 *   MICROVM_STOCK_QEMU       the same without our patches
 *   MICROVM_QEMU_10_2        the one of base 10.2; if not set, there are no moves between the bases
 *   MICROVM_QEMU_IMG         qemu-img
 *   MICROVM_VMLINUX          the guest kernel, as ELF with a PVH entry
 *   MICROVM_MIGRATE_INITRD   the archive built here (migrate-initrd)
 *   MICROVM_FULL             1: all combinations, 20 round trips each
 */
#include <stdlib.h>

#include "node.h"
#include "tests.h"
#include "trip.h"

static const char *environment(const char *name)
{
    const char *value = g_getenv(name);

    if (!value) {
        g_printerr("test-migrate: %s is not set\n", name);
        exit(2);
    }
    return value;
}

static int run(void)
{
    add_moves();
    add_snapshots();
    add_state();
    add_generation();
    add_faults();
    add_versions();
    return g_test_run();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    board_qemu = environment("MICROVM_QEMU");
    trip_stock_qemu = environment("MICROVM_STOCK_QEMU");
    trip_qemu_10_2 = g_getenv("MICROVM_QEMU_10_2");
    trip_qemu_img = environment("MICROVM_QEMU_IMG");
    board_vmlinux = environment("MICROVM_VMLINUX");
    board_initrd = environment("MICROVM_MIGRATE_INITRD");
    trip_full = g_strcmp0(g_getenv("MICROVM_FULL"), "1") == 0;
    return node_run(run);
}
