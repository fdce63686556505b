/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_TIMING_H
#define MICROVM_TIMING_H

#include "setup.h"

/* For a verdict there must be so many pairs. */
#define TIMING_PAIRS 30

/*
 * Boots @a and @b in turn, @pairs times each, and tells on stdout, for each of what trial.h
 * measures, least, median and 99th percentile, and what differs by more than chance. Without KVM
 * times are told as ratios only. @accel is QEMU's accelerator. FALSE with @error.
 */
gboolean timing_compare(const Setup *a, const Setup *b, const Parts *parts, const char *accel,
                        guint pairs, GError **error);

/*
 * What is to be said of the @n pairs of @of_a and @of_b, all above zero: the median of their
 * ratios, and a verdict if there are enough pairs and Wilcoxon's signed-rank test of the ratios'
 * logarithms says that chance alone is unlikely (p < 0.01) to have made them. Free with g_free().
 */
char *timing_verdict(const char *a, const char *b, const double *of_a, const double *of_b, guint n);

#endif
