/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_STATS_H
#define MICROVM_STATS_H

#include <glib.h>

/* The smallest of the @n @values that at least @part of them do not exceed: 0.5 is the median. */
double stats_quantile(const double *values, guint n, double part);

/*
 * How likely chance alone makes paired differences, which are as likely above as below zero, as
 * lopsided as the @n @differences: the two-sided p of Wilcoxon's signed-rank test, exact for any
 * @n, with mid-ranks for ties; zeros are left out. 1 where nothing differs.
 */
double stats_signed_rank(const double *differences, guint n);

#endif
