/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_MODEL_H
#define MICROVM_MODEL_H

#include "counts.h"
#include "startup.h"

/*
 * What counts under TCG let one expect under KVM. A prediction, not a measurement: each
 * instruction, each exit and each page fault of QEMU's has a weight.
 */

/* Milliseconds. */
typedef struct {
    double qemu;         /* from exec to the guest's first instruction: instructions, page faults */
    double instructions; /* the guest's own */
    double exits;        /* what leaves the guest */
} Prediction;

/*
 * From exec to the end of the last phase before @until; NULL for all of @counts. @startup is
 * QEMU's, or NULL for the guest alone.
 */
Prediction model_predict(const Counts *counts, const char *until, const Startup *startup);
double model_sum(Prediction p);

/* Of QEMU's start alone. */
double model_startup(const Startup *startup);

/* The weights and where they are from, as a table in Markdown; free with g_free(). */
char *model_weights(void);

#endif
