/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_ARGV_PARTS_H
#define MICROVM_ARGV_PARTS_H

#include "argv.h"

/* Shared by argv.c and argv-*.c; nobody else's. */

/* What QEMU takes for a file that it got open, before the number of the set it is in. */
#define ARGV_FDSET "/dev/fdset/"

/* Adds a copy of @word. */
void argv_add(GPtrArray *argv, const char *word);

/* Adds @option and @value, which is taken. */
void argv_add_option(GPtrArray *argv, const char *option, char *value);

/* Appends ",key=value" to @opt, commas in the value doubled; no comma for the first. */
void argv_opt(GString *opt, const char *key, const char *value);
void argv_opt_number(GString *opt, const char *key, guint64 value);
void argv_opt_onoff(GString *opt, const char *key, gboolean value);

/* Appends ",bus=" and the transport @slot. */
void argv_opt_slot(GString *opt, int slot);

/* argv-disk.c: a disk with its block nodes and throttle group. */
void argv_disk(GPtrArray *argv, const PlanDisk *disk);

/* The disk with our kernel's modules. */
void argv_modules(GPtrArray *argv, const Plan *plan);

#endif
