/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CHANNEL_H
#define MICROVM_CHANNEL_H

#include <gio/gio.h>
#include <json-glib/json-glib.h>

/*
 * A unix socket that carries one JSON object a line, as QMP and the guest agent do
 * (docs/interop/qmp-spec.rst and qemu-ga-ref in QEMU's tree). Every wait has a deadline, in
 * microseconds of g_get_monotonic_time().
 */

/*
 * A stream socket connected to the unix socket at @path, or -1 with @error, G_IO_ERROR_TIMED_OUT
 * when nobody there takes connections. Close-on-exec.
 */
int unix_connect(const char *path, GError **error);

typedef struct Channel Channel;

/* Connects to the socket at @path. Returns a Channel to free with channel_free(), or NULL. */
Channel *channel_connect(const char *path, GError **error);
void channel_free(Channel *channel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Channel, channel_free)

/* Sends {"execute": @command, "arguments": @arguments}. @arguments is JSON text, or NULL. */
gboolean channel_send(Channel *channel, const char *command, const char *arguments, gint64 deadline,
                      GError **error);

/* Sends a copy of @fd ahead of the command that will take it. */
gboolean channel_pass_fd(Channel *channel, int fd, GError **error);

/*
 * JSON text for channel_send()'s @arguments from a GVariant text of type a{sv}, as in
 * channel_arguments("{'value': <%x>}", number); see g_variant_new_parsed(). Free with g_free().
 */
char *channel_arguments(const char *format, ...);

/*
 * Returns the next object, to be unreffed by the caller; or NULL with G_IO_ERROR_TIMED_OUT at the
 * deadline, G_IO_ERROR_CLOSED when the other end is gone, G_IO_ERROR_INVALID_DATA for a line that
 * is no JSON object or longer than 16 MiB.
 */
JsonObject *channel_receive(Channel *channel, gint64 deadline, GError **error);

/* The deadline that is @seconds from now. */
gint64 channel_deadline(double seconds);

#endif
