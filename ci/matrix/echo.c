/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "echo.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"

#define SOCKETS 4

struct Echo {
    GThread *thread;
    int count;
    struct pollfd sockets[SOCKETS]; /* with fd -1 when closed */
    gsize bytes[SOCKETS];
};

/* FALSE when the other end is gone. */
static gboolean give_back(int fd, gsize *bytes)
{
    guint8 buffer[4096];
    ssize_t size = recv(fd, buffer, sizeof(buffer), 0);

    for (ssize_t i = 0; i < size; i++) {
        buffer[i] = (guint8)~buffer[i];
    }
    for (ssize_t at = 0, n; at < size; at += n) {
        n = send(fd, buffer + at, (gsize)(size - at), MSG_NOSIGNAL);
        if (n < 0) {
            return FALSE;
        }
    }
    *bytes += size > 0 ? (gsize)size : 0;
    return size > 0;
}

static gpointer serve(gpointer data)
{
    Echo *echo = data;

    for (int open = echo->count; open > 0;) {
        if (poll(echo->sockets, (nfds_t)echo->count, -1) < 0) {
            g_assert(errno == EINTR);
            continue;
        }
        for (int i = 0; i < echo->count; i++) {
            struct pollfd *each = &echo->sockets[i];

            if (each->fd >= 0 && each->revents && !give_back(each->fd, &echo->bytes[i])) {
                close(each->fd);
                each->fd = -1;
                open--;
            }
        }
    }
    return NULL;
}

Echo *echo_start(const char *const *paths, GError **error)
{
    Echo *echo = g_new0(Echo, 1);

    for (; paths[echo->count]; echo->count++) {
        int fd = unix_connect(paths[echo->count], error);

        g_assert(echo->count < SOCKETS);
        if (fd < 0) {
            while (echo->count > 0) {
                close(echo->sockets[--echo->count].fd);
            }
            g_free(echo);
            return NULL;
        }
        echo->sockets[echo->count] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    echo->thread = g_thread_new("echo", serve, echo);
    return echo;
}

void echo_end(Echo *echo, gsize *bytes)
{
    g_thread_join(echo->thread);
    for (int i = 0; i < echo->count; i++) {
        bytes[i] = echo->bytes[i];
    }
    g_free(echo);
}
