/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_BACKEND_H
#define MICROVM_BACKEND_H

#include <gio/gio.h>

/*
 * A vhost-user back-end that knows no more than a device must have to be there: what it has of
 * migration is what the test says. See docs/interop/vhost-user.rst in QEMU's tree.
 */

typedef struct Backend Backend;

#define BACKEND_LOG_ALL (G_GUINT64_CONSTANT(1) << 26)  /* a feature: it can log what it writes */
#define BACKEND_LOG_SHMFD (G_GUINT64_CONSTANT(1) << 1) /* a protocol feature: where to */
#define BACKEND_CONFIG (G_GUINT64_CONSTANT(1) << 9)    /* it has a configuration space */
#define BACKEND_DEVICE_STATE (G_GUINT64_CONSTANT(1) << 19) /* it hands over its state */

/* Listens at @path. Free with backend_free(). NULL with @error. */
Backend *backend_new(const char *path, guint64 features, guint64 protocol_features, GError **error);
void backend_free(Backend *backend);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Backend, backend_free)

#endif
