/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_RUN_SESSION_H
#define MICROVM_RUN_SESSION_H

#include <gio/gio.h>

/* The host's side of a command in a guest; what goes back and forth is told in guest/frame.h. */

typedef struct {
    char *const *words; /* the command, NULL-terminated */
    int in, out, err;   /* its streams; -1: as if closed */
    gboolean terminal;  /* ->in and ->out are one; the command is to have one too */
    gboolean mount, mount_readonly;
    gint64 deadline; /* of g_get_monotonic_time(); 0: none */
} RunSession;

/*
 * The signals that are passed on, but for those that are ignored, as nohup(1) has it. Who calls
 * run_session() has them blocked.
 */
void run_session_signals(sigset_t *signals);

/*
 * Runs the command by the guest's port @fd, which it makes non-blocking and trusts with nothing.
 * @status: what to exit with, 128 and the number for a signal. FALSE with @error,
 * G_IO_ERROR_TIMED_OUT at the deadline.
 */
gboolean run_session(int fd, const RunSession *session, int *status, GError **error);

#endif
