/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_GUESTS_H
#define MICROVM_GUESTS_H

#include "agent.h"
#include "ctl.h"
#include "qmp.h"

/*
 * The guests that run on this host, found by their pidfiles, which QEMU keeps locked while it
 * lives.
 */

typedef struct {
    char *id;
    char *dir;  /* the run directory it is in */
    char *name; /* as QEMU was told */
    long pid;
} Guest;

void guest_free(Guest *guest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Guest, guest_free)

/*
 * The run directories that guests may be in: what @request names, else all the launcher's own
 * choices, whether they are there or not. Free with g_ptr_array_unref().
 */
GPtrArray *guests_dirs(const Request *request);

/*
 * All guests in the run directories that @request allows, by their ids. Free with
 * g_ptr_array_unref(); NULL with @error when a directory that was named cannot be read.
 */
GPtrArray *guests_running(const Request *request, GError **error);

/* The guest @request->id; NULL with CTL_ERROR_GUEST when it does not run. */
Guest *guest_find(const Request *request, GError **error);

/* The guest whose pidfile that is, .../ID.pid; NULL when none runs. */
Guest *guest_at(const char *pidfile);

/* Its socket or file with that suffix, "qmp", to be freed. */
char *guest_path(const Guest *guest, const char *suffix);

/* Its monitor, which serves one client at a time; others wait. */
Qmp *guest_qmp(const Guest *guest, gint64 deadline, GError **error);

/* The state of the guest as QEMU names it, "running", to be freed. */
char *guest_state(Qmp *qmp, gint64 deadline, GError **error);

/* Leaves the guest @bytes of its memory, a whole number of MiB, and waits until it has come there.
 */
gboolean guest_set_balloon(Qmp *qmp, gint64 bytes, gint64 deadline, GError **error);

/*
 * A descriptor for its process, after which no other process can be taken for it. -1 with @error.
 * Close it.
 */
int guest_pidfd(const Guest *guest, GError **error);

/* Whether the process behind @pidfd has ended by @deadline. */
gboolean pidfd_wait(int pidfd, gint64 deadline);

#endif
