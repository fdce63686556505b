/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_QMP_H
#define MICROVM_QMP_H

#include "channel.h"

/* A client of QEMU's monitor protocol (docs/interop/qmp-spec.rst in QEMU's tree). */

typedef struct Qmp Qmp;

#define QMP_ERROR (qmp_error_quark())
GQuark qmp_error_quark(void);

typedef enum {
    QMP_ERROR_COMMAND, /* QEMU answered with an error; the message is QEMU's */
} QmpErrorCode;

/* Connects to the monitor at @path and leaves the negotiation behind. Free with qmp_free(). */
Qmp *qmp_connect(const char *path, gint64 deadline, GError **error);
void qmp_free(Qmp *qmp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Qmp, qmp_free)

/*
 * Runs @command with @arguments (JSON text, or NULL). Returns what QEMU returned, to be freed with
 * json_node_unref(); NULL with @error set. Events that come meanwhile are kept.
 */
JsonNode *qmp_execute(Qmp *qmp, const char *command, const char *arguments, gint64 deadline,
                      GError **error);

/* qmp_execute() for an answer of that type; another one is G_IO_ERROR_INVALID_DATA. */
JsonNode *qmp_ask(Qmp *qmp, const char *command, const char *arguments, JsonNodeType type,
                  gint64 deadline, GError **error);

/* The same for a command whose answer does not matter; takes @arguments, as from
 * channel_arguments().
 */
gboolean qmp_run(Qmp *qmp, const char *command, char *arguments, gint64 deadline, GError **error);

/* Gives QEMU a copy of @fd, which it calls @name; "closefd" is what takes it away again. */
gboolean qmp_give_fd(Qmp *qmp, const char *name, int fd, gint64 deadline, GError **error);

/*
 * Waits for the event @name, among those kept and those to come, and drops all before it. Returns
 * the whole event, to be unreffed; or NULL.
 */
JsonObject *qmp_wait_event(Qmp *qmp, const char *name, gint64 deadline, GError **error);

/*
 * Waits until the migration that was begun, to here or from here, is over; it must have the
 * capability "events". FALSE when it failed, with QEMU's reason.
 */
gboolean qmp_wait_migration(Qmp *qmp, gint64 deadline, GError **error);

#endif
