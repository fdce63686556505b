/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_AXES_H
#define MICROVM_AXES_H

#include "cover.h"

/* In what the boots of the matrix differ, and what cannot be together. */

enum { KERNEL, FIRMWARE, ACPI, PCIE, MEMORY, DEVICES, TAIL, SMP, TRANSPORT, MACHINE, AXES };
enum { KERNEL_VMLINUX, KERNEL_BZIMAGE, KERNEL_DEBIAN };
enum { FIRMWARE_QBOOT, FIRMWARE_SEABIOS };
enum { ACPI_ON, ACPI_OFF };
enum { PCIE_OFF, PCIE_IDLE, PCIE_USED }; /* idle: there, but the devices are on mmio */
enum { TRANSPORT_MODERN, TRANSPORT_LEGACY };
enum { MACHINE_NEWEST, MACHINE_9_2 };

#define AXES_PLACES 24 /* transports that the board has at most */

/*
 * The value of @axis at @index as it is written, for QEMU and in names of combinations; and as a
 * number.
 */
const char *axes_value(int axis, int index);
int axes_number(int axis, int index);

/* "kernel=vmlinux firmware=qboot ..." Free with g_free(). */
char *axes_name(const int *values);

/*
 * Restricts the axes for all that follows: to the values for a quick run, and to the one value that
 * @word, "axis=value", names. The latter is FALSE where there is no such axis or value.
 */
void axes_set_quick(void);
gboolean axes_fix(const char *word);

/* The combinations that can be, of those that are wanted; and all of them, whether they can or not.
 */
const CoverSpace *axes_space(void);
const CoverSpace *axes_all(void);

/* Axes that are of weight together, for cover_make(): in a quick run, and in full. */
extern const int *const axes_crosses_quick[], *const axes_crosses_full[];

/* Why @values cannot be together: an index for axes_reason(); -1 where they can. */
int axes_refused(const int *values);
const char *axes_reason(int index); /* NULL after the last */

/* Which transports can carry a device. Returns how many, and their numbers in @places. */
int axes_places(const int *values, int places[AXES_PLACES]);

#endif
