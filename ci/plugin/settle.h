/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_SETTLE_H
#define MICROVM_SETTLE_H

#include <glib.h>

/*
 * Lets a disk answer before the guest's next instruction. How soon a host's disk answers is chance,
 * and so is then what the guest does meanwhile; so after each notification of a disk, an entropy
 * device or a card that sends the CPU is held until all requests of that queue are used. The
 * guest's clock, which counts instructions, stands still. Virtio 1.x over mmio and PCI; the
 * addresses of the queues are learned from what the driver writes. The guest's memory is read where
 * Linux maps all of it when its layout is not randomised (nokaslr), or as firmware has it.
 */

typedef struct Settle Settle;

/* For the life of the plugin, which is QEMU's. */
Settle *settle_new(void);

/*
 * The guest has accessed the device register at @phys (virtual address @vaddr) in the region that
 * QEMU calls @region; @value is what was read or written. To be called on the CPU's own thread,
 * from a callback of the access.
 */
void settle_access(Settle *settle, const char *region, guint64 phys, guint64 vaddr, gboolean write,
                   guint64 value);

/* How many times a device did not answer in two seconds. */
guint settle_failures(const Settle *settle);

/* What virtio device answers at the mmio transport at @phys: its id, 0 for none or unknown. */
guint settle_device_id(const Settle *settle, guint64 phys);

#endif
