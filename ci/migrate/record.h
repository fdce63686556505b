/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_RECORD_H
#define MICROVM_RECORD_H

#include <stddef.h>
#include <stdint.h>

/*
 * What the guest and the test send each other, and what the guest writes to its disk and memory:
 * records whose every byte follows from their stream and their number in it, with a checksum. So
 * one byte lost, changed or sent twice is found by whoever reads. Sizes are multiples of 8,
 * from 32.
 */

#define RECORD_NONE UINT64_MAX

/* Makes record number @seq of @stream at @to. */
void record_make(void *to, size_t size, uint64_t stream, uint64_t seq);

/* The number of the record of @stream at @from; RECORD_NONE if it is none, or damaged. */
uint64_t record_number(const void *from, size_t size, uint64_t stream);

#endif
