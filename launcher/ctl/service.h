/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_SERVICE_H
#define MICROVM_SERVICE_H

#include "guests.h"

/* A guest that is a service of this host, microvm@ID, and comes from another one. */

/*
 * Starts the service of guest @request->id so that its QEMU waits for the guest, and waits for its
 * monitor, which is in *@qmp then. NULL with @error when that fails; the service does not run then,
 * and what it said is on standard error.
 */
Guest *service_start(const Request *request, gint64 deadline, Qmp **qmp, GError **error);

/* The last lines that it has said since it was started, on standard error. */
void service_show_journal(const char *id);

#endif
