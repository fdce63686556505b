/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_ECHO_H
#define MICROVM_ECHO_H

#include <glib.h>

/* The far end of a guest's channels: gives back each byte that comes, inverted. */

typedef struct Echo Echo;

/*
 * Connects to the unix sockets at @paths, which end with NULL, and serves them in a thread of its
 * own until the other ends are closed. NULL with @error.
 */
Echo *echo_start(const char *const *paths, GError **error);

/*
 * Waits for the end of it, and frees. The bytes that came from each socket are left in @bytes,
 * which has room for as many as there were paths.
 */
void echo_end(Echo *echo, gsize *bytes);

#endif
