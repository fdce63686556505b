/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_QEMU_LOG_H
#define MICROVM_QEMU_LOG_H

#include <glib.h>

/*
 * What a QEMU in the background has to say: a FIFO for its -D, which takes its standard error. When
 * its reader has gone, QEMU's words go nowhere.
 */

typedef struct QemuLog QemuLog;

/* NULL with @error. Free with qemu_log_free(). */
QemuLog *qemu_log_new(GError **error);

/* For QEMU's -D; QEMU may run as any user. */
const char *qemu_log_path(const QemuLog *log);

/*
 * Prints the last of it on standard error, when QEMU has ended or could not be started; it is
 * waited for until @deadline.
 */
void qemu_log_show(QemuLog *log, gint64 deadline);

void qemu_log_free(QemuLog *log);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuLog, qemu_log_free)

#endif
