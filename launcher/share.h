/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_SHARE_H
#define MICROVM_SHARE_H

#include <glib.h>

/* Starting virtiofsd, which serves a directory to a guest. */

#define SHARE_ERROR (share_error_quark())
GQuark share_error_quark(void);

typedef enum {
    SHARE_ERROR_START,
    SHARE_ERROR_VSOCK,
} ShareErrorCode;

/*
 * Starts @words (of char *) with "--fd=N" behind them, and is connected to it by @fd, a socket that
 * is called @path for a moment, in a directory that only its owner can enter. It is in the
 * background, has nothing else of ours, and ends when the connection does: with QEMU, or with us if
 * we do not come as far.
 */
gboolean share_start(const GPtrArray *words, const char *path, int *fd, GError **error);

/* Opens /dev/vhost-vsock, close-on-exec. */
gboolean share_open_vsock(int *fd, GError **error);

#endif
