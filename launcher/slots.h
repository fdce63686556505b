/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_SLOTS_H
#define MICROVM_SLOTS_H

#include <glib.h>

/*
 * Which virtio-mmio transport ("slot", QEMU's virtio-mmio-bus.N) each device sits on. Guests find
 * devices from the highest slot down, so the boot disk has the highest and is /dev/vda. Every key
 * has a home of its own or shares one with keys seldom used together, so that adding or removing a
 * disk moves no other device, and a guest that is moved finds each where it was. A device whose
 * home is taken goes to the next free slot below, or else above.
 */

typedef enum {
    SLOT_BOOT_DISK,
    SLOT_DISK, /* ->index: N of scsiN or virtioN */
    SLOT_CDROM,
    SLOT_NIC, /* ->index: N of netN */
    SLOT_SHARE,
    SLOT_VSOCK,
    SLOT_RNG,
    SLOT_BALLOON,
    SLOT_SERIAL,
    SLOT_MODULES, /* behind all disks, which keep their names */
} SlotUse;

typedef struct {
    SlotUse use;
    int index;
    int *slot; /* gets the slot */
} SlotRequest;

/* How the board lays out its transports and their interrupt lines. */
typedef enum {
    BOARD_ACPI,        /* 24 */
    BOARD_NO_ACPI,     /* 10 */
    BOARD_NO_ACPI_OLD, /* microvm-9.2: 8, and one has the clock's interrupt line */
} SlotBoard;

/* How many devices fit. */
guint slots_available(SlotBoard board);

/* How many of those fit before one has to take a slot whose interrupt KVM may mix up with
 * another's. */
guint slots_good(SlotBoard board);

/*
 * Gives every request of @requests (an array of SlotRequest) a slot. Where two want the same one,
 * the earlier request has it. FALSE: there are more than slots_available().
 */
gboolean slots_assign(GArray *requests, SlotBoard board);

#endif
