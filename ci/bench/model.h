/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_MODEL_H
#define MICROVM_MODEL_H

#include "counts.h"

/*
 * What counts under TCG let one expect under KVM. A prediction, not a measurement: each instruction
 * and each exit has a weight. Left out: QEMU's own start, the first touch of each page of guest
 * memory, waiting for the host's disk.
 */

typedef struct {
    double instructions, exits; /* milliseconds */
} Prediction;

Prediction model_predict(const PhaseCounts *phase);
Prediction model_predict_all(const Counts *counts);

/* The weights and where they are from, as a table in Markdown; free with g_free(). */
char *model_weights(void);

#endif
