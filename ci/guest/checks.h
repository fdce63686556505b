/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CHECKS_H
#define MICROVM_CHECKS_H

#include "guest.h"

/*
 * What the quickstart shows of a guest, and the end-to-end test asserts. Each check returns what it
 * saw, in a few words, to be freed; or NULL with @error when the guest is not as it should be.
 */

/*
 * Every virtio device has a driver, is on the mmio transport (or, with @pcie, behind PCIe), and has
 * negotiated VIRTIO_F_VERSION_1. @expected names the drivers in the order of virtio0, virtio1, …;
 * NULL takes any.
 */
char *check_devices(Guest *guest, gboolean pcie, const char *expected, GError **error);

/* Data written to the root disk is read back from the disk, not from a cache. */
char *check_disk(Guest *guest, GError **error);

/* The guest has an address by DHCP, and a stream goes there and back through a forwarded port. */
char *check_network(Guest *guest, GError **error);

/* The second half of that, for guests without systemd. */
char *check_echo(Guest *guest, GError **error);

/* The agent answers, and knows the guest it is in. */
char *check_agent(Guest *guest, GError **error);

/* The balloon takes memory from the guest, and gives it back. */
char *check_balloon(Guest *guest, GError **error);

#endif
