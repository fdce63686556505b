/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_TIMING_H
#define MICROVM_TIMING_H

#include "setup.h"

/*
 * Boots @a and @b in turn, @pairs times each, and tells on stdout the wall-clock time from exec to
 * the root's init being ready and QEMU's CPU time: least, median and 99th percentile, and whether
 * the ratio of the pairs differs from one by more than chance. Without KVM only ratios are told.
 * @accel is QEMU's accelerator. FALSE with @error.
 */
gboolean timing_compare(const Setup *a, const Setup *b, const Parts *parts, const char *accel,
                        guint pairs, GError **error);

/* How likely it is by chance alone that @more or further of @n fair coins fall alike. */
double timing_sign_test(guint more, guint n);

#endif
