/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_COUNT_RUN_H
#define MICROVM_COUNT_RUN_H

#include "counts.h"
#include "setup.h"

/* Boots @setup once under the plugin. Returns the counts, to free; NULL with @error. */
Counts *count_boot(const Setup *setup, const Parts *parts, GError **error);

#endif
