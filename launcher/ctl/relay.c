/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"

#define PAIRS_MAX 32 /* connections at a time; further ones wait */

typedef struct {
    int a, b;
} Pair;

static void pair_free(gpointer data)
{
    Pair *pair = data;

    close(pair->a);
    close(pair->b);
    g_free(pair);
}

/*
 * What is there goes to the other side, which is waited for: a request of the agent's protocol and
 * its answer follow each other. FALSE at the end of either.
 */
static gboolean pass(int from, int to)
{
    char buffer[65536];
    ssize_t n = recv(from, buffer, sizeof(buffer), MSG_DONTWAIT), sent, done = 0;

    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return TRUE;
    }
    while (n > 0 && done < n) {
        sent = send(to, buffer + done, (gsize)(n - done), MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return FALSE;
        }
        done += MAX(sent, 0);
    }
    return n > 0;
}

static void take(GPtrArray *pairs, int listener, RelayAllow allow, gpointer data,
                 const char *target)
{
    g_autoptr(GError) error = NULL;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), other;
    Pair *pair;

    if (fd < 0) {
        return;
    }
    other = allow(fd, data) ? unix_connect(target, &error) : -1;
    if (error) {
        g_printerr("microvm-ctl: %s\n", error->message);
    }
    if (other < 0) {
        close(fd);
        return;
    }
    pair = g_new(Pair, 1);
    *pair = (Pair){fd, other};
    g_ptr_array_add(pairs, pair);
}

/* From the last one on, as those that end are taken out. */
static void pass_all(GPtrArray *pairs, const struct pollfd *pfds)
{
    for (guint i = pairs->len; i-- > 0;) {
        const Pair *pair = pairs->pdata[i];

        if ((pfds[2 * i].revents && !pass(pair->a, pair->b)) ||
            (pfds[2 * i + 1].revents && !pass(pair->b, pair->a))) {
            g_ptr_array_remove_index(pairs, i);
        }
    }
}

gboolean relay_serve(int listener, int end, RelayAllow allow, gpointer data, const char *target,
                     GError **error)
{
    g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(pair_free);
    struct pollfd pfds[2 + 2 * PAIRS_MAX];

    for (;;) {
        guint n = pairs->len;

        pfds[0] = (struct pollfd){.fd = end, .events = POLLIN};
        pfds[1] = (struct pollfd){.fd = n < PAIRS_MAX ? listener : -1, .events = POLLIN};
        for (guint i = 0; i < n; i++) {
            const Pair *pair = pairs->pdata[i];

            pfds[2 + 2 * i] = (struct pollfd){.fd = pair->a, .events = POLLIN};
            pfds[3 + 2 * i] = (struct pollfd){.fd = pair->b, .events = POLLIN};
        }
        if (poll(pfds, 2 + 2 * n, -1) < 0 && errno != EINTR) {
            g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "poll: %s",
                        g_strerror(errno));
            return FALSE;
        }
        if (pfds[0].revents) {
            return TRUE;
        }
        pass_all(pairs, pfds + 2);
        if (pfds[1].revents) {
            take(pairs, listener, allow, data, target);
        }
    }
}
