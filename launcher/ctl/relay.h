/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_RELAY_H
#define MICROVM_RELAY_H

#include <gio/gio.h>

/* Connections that are taken on one socket and handed on to another. */

/* Whether the connection @fd, just accepted, may be served. */
typedef gboolean (*RelayAllow)(int fd, gpointer data);

/*
 * Serves connections to @listener until descriptor @end can be read or hung up: each that @allow
 * lets in gets a connection of its own to the unix socket at @target, and both go when either ends.
 * FALSE with @error when @listener fails.
 */
gboolean relay_serve(int listener, int end, RelayAllow allow, gpointer data, const char *target,
                     GError **error);

#endif
