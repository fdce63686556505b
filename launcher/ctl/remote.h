/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_REMOTE_H
#define MICROVM_REMOTE_H

#include <gio/gio.h>

/*
 * The other side of a move that goes through ssh(1): "microvm-ctl receive ID" there, and a socket
 * on which a guest's QEMU can send what that one's QEMU is to get.
 */

typedef struct Remote Remote;

/* What the other side says on a line of its own when all that follows is for its QEMU. */
#define REMOTE_READY "microvm-ctl receive: ready"

/* Whether @to is a destination for us: ssh:[USER@]HOST or ssh://[USER@]HOST[:PORT]. */
gboolean remote_is_destination(const char *to);

/*
 * Runs ssh, with @config (-F) if that is not NULL, and waits until QEMU there is ready for guest
 * @id. @words, NULL-terminated, are for the launcher there, or none. What ssh and the other side
 * have to say they say on standard error. NULL with @error, and nothing running, when that fails;
 * free with remote_free().
 */
Remote *remote_start(const char *to, const char *config, const char *id, char **words,
                     gint64 deadline, GError **error);

/* The socket, which stays @remote's; -1 once it was closed. */
int remote_fd(const Remote *remote);
void remote_close(Remote *remote);

/* Waits for the other side's end; whether it was a good one. */
gboolean remote_finish(Remote *remote, gint64 deadline);

/* Ends ssh, if it still runs, and so the other side. */
void remote_free(Remote *remote);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Remote, remote_free)

#endif
