/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Milliseconds of the monotonic clock. */
int64_t now_ms(void);

/* A socket that hears the kernel's device events from now on, or -1 with errno. Caller closes. */
int uevent_open(void);

/*
 * Waits until a device of SUBSYSTEM has come or changed, or now_ms() passes DEADLINE (-1: never).
 * False at the deadline. Lost events count as an event.
 */
bool uevent_wait(int fd, const char *subsystem, int64_t deadline);

/* Whether the message says that a device of SUBSYSTEM came or changed. MSG need not end in NUL. */
bool uevent_matches(const char *msg, size_t len, const char *subsystem);
