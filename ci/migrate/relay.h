/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_RELAY_H
#define MICROVM_RELAY_H

#include <gio/gio.h>

/*
 * A wire between the two sides of a move that holds still when so many bytes have passed, for the
 * test to do what it wants half-way.
 */

typedef struct Relay Relay;

/*
 * Listens at @from, and passes on what comes to the unix socket @to: @bytes, then nothing more.
 * With @hides_end, whoever sends does not learn that @to takes no more. Free with relay_free(),
 * which cuts the wire. NULL with @error.
 */
Relay *relay_new(const char *from, const char *to, gsize bytes, gboolean hides_end, GError **error);
void relay_free(Relay *relay);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Relay, relay_free)

/* Waits until so many have passed. FALSE at the deadline. */
gboolean relay_wait(Relay *relay, gint64 deadline);

#endif
