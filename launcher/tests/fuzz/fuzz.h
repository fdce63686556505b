/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_FUZZ_H
#define MICROVM_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* What libFuzzer calls, and replay.c on the files of the corpus. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
