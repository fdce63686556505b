/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_COMPARE_H
#define MICROVM_COMPARE_H

#include "baseline.h"

/*
 * Compares the counts of a boot with what they were. @dearer becomes whether the boot is dearer
 * than the tolerance allows. Returns what is to be said, lines that end in a newline and name the
 * phase, device, initcall and function that grew or shrank, and the parts that have changed; empty
 * when all is as it was. Free with g_free().
 */
char *compare(const Baseline *before, const Counts *now, JsonObject *inputs, gboolean *dearer);

#endif
