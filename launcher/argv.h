/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_ARGV_H
#define MICROVM_ARGV_H

#include <stdio.h>

#include "plan.h"

/*
 * A plan as QEMU's command line. This is the one place that knows how QEMU quotes: commas doubled
 * in "key=value,…" options, JSON for block devices and their objects.
 */

/*
 * Returns the words of the command line, the first being argv[0] (a name qemu-…, as Proxmox tells
 * guests by it), NULL-terminated; free with g_strfreev().
 */
char **argv_build(const Plan *plan);

/* Writes @argv as a shell would take it: an option with its value a line, ends of lines escaped. */
void argv_print(FILE *out, char *const *argv);

/* Writes @argv with a NUL behind each word. */
void argv_print0(FILE *out, char *const *argv);

#endif
