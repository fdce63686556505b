/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_ELF_NEEDS_H
#define MICROVM_ELF_NEEDS_H

#include <glib.h>

/*
 * Whether the 64-bit ELF program @path asks the dynamic linker for a library whose name begins with
 * @library. FALSE for files that are no such program. Reads the file; runs nothing.
 */
gboolean elf_needs(const char *path, const char *library);

#endif
