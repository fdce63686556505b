/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_WATCH_H
#define MICROVM_WATCH_H

#include "guests.h"

/*
 * Waits until guest @request->id, which somebody else starts, can be talked to: the run directories
 * are watched for its pidfile and its monitor. @pidfd is the process that becomes its QEMU. Returns
 * the guest, and its monitor in *@qmp; NULL with @error when that process ends, when @deadline
 * passes, or a signal comes.
 */
Guest *watch_for_guest(const Request *request, int pidfd, gint64 deadline, Qmp **qmp,
                       GError **error);

#endif
