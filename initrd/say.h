/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>

/* Opens the console and the kernel log, once /dev is there. Before, and without either, say() is
 * mute. */
void say_open(void);

/*
 * One line for a person, to /dev/console and to the kernel log (at debug level, so that a console
 * that shows the log has it once; at error level when there is no console). No newline in FORMAT.
 */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* From now on mark() writes; without it, it does nothing. */
void say_marks(void);

/* One line "microvm: init …" to the kernel log, which stamps it, for measuring boot phases. */
__attribute__((format(printf, 1, 2))) void mark(const char *format, ...);

/* Waits until the console has sent what was said. */
void say_flush(void);

/* Copies TEXT, cut to SIZE, with every byte that is not printable ASCII, and '"', made a '?'. */
void say_clean(char *out, size_t size, const char *text);
