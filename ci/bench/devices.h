/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_DEVICES_H
#define MICROVM_DEVICES_H

#include <glib.h>

/* Names for what a guest accesses. The strings need not be freed. */

/* The device behind an I/O port of a PC, "other" where none is known. */
const char *device_of_port(guint port);

/*
 * The device behind a memory region that QEMU calls @region; @virtio_id is what a virtio-mmio
 * transport says it is.
 */
const char *device_of_region(const char *region, guint virtio_id);

/* What a model-specific register is for: "tsc-deadline", "x2apic", "other". */
const char *device_of_msr(guint msr);

#endif
