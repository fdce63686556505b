/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_REPORT_H
#define MICROVM_REPORT_H

#include "counts.h"

/* Lines for a terminal. All return text to be freed with g_free(). */

/* The table's head, and the row of one setup. */
char *report_head(void);
char *report_row(const char *name, const Counts *counts);

/* Where the instructions of one boot went: initcalls, functions, accesses by device. */
char *report_details(const Counts *counts);

#endif
