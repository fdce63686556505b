/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel.h"

struct Relay {
    char *to;
    gsize left;
    gboolean hides_end;
    int listener, cut; /* a socket, and an eventfd */
    GThread *thread;
    GMutex mutex;
    GCond changed;
    gboolean over; /* all have passed, or the wire is broken */
};

static void set_over(Relay *relay)
{
    g_mutex_lock(&relay->mutex);
    relay->over = TRUE;
    g_cond_broadcast(&relay->changed);
    g_mutex_unlock(&relay->mutex);
}

/* Passes on what there is, up to @most bytes; @to is -1: to nobody. Returns how many, -1 at the
 * end. */
static ssize_t pass(int from, int to, gsize most)
{
    char buffer[65536];
    ssize_t size = recv(from, buffer, MIN(sizeof(buffer), most), MSG_DONTWAIT);

    if (size <= 0) {
        return size < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    }
    for (ssize_t at = 0, n; to >= 0 && at < size; at += n) {
        n = send(to, buffer + at, (gsize)(size - at), MSG_NOSIGNAL);
        if (n < 0) {
            return -1;
        }
    }
    return size;
}

static void serve(Relay *relay, int source, int target)
{
    int gone = relay->hides_end ? -1 : target;

    for (;;) {
        struct pollfd polled[] = {{.fd = relay->cut, .events = POLLIN},
                                  {.fd = gone, .events = POLLIN},
                                  {.fd = relay->left ? source : -1, .events = POLLIN}};
        ssize_t n = 0;

        if (poll(polled, G_N_ELEMENTS(polled), -1) < 0) {
            g_assert(errno == EINTR);
            continue;
        }
        if (polled[0].revents || (polled[1].revents && pass(target, source, 65536) < 0)) {
            return;
        }
        if (polled[2].revents) {
            n = pass(source, target, relay->left);
            if (n < 0 && relay->hides_end && target >= 0) {
                target = -1;
                continue;
            }
        }
        if (n < 0) {
            return;
        }
        relay->left -= (gsize)n;
        if (relay->left == 0) {
            set_over(relay);
        }
    }
}

static gpointer run(gpointer data)
{
    Relay *relay = data;
    struct pollfd polled[] = {{.fd = relay->cut, .events = POLLIN},
                              {.fd = relay->listener, .events = POLLIN}};
    int source, target;

    poll(polled, G_N_ELEMENTS(polled), -1);
    if (polled[0].revents) {
        return NULL;
    }
    source = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC);
    target = unix_connect(relay->to, NULL);
    if (source >= 0 && target >= 0) {
        serve(relay, source, target);
    }
    close(source);
    close(target);
    set_over(relay);
    return NULL;
}

Relay *relay_new(const char *from, const char *to, gsize bytes, gboolean hides_end, GError **error)
{
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    Relay *relay = g_new0(Relay, 1);

    relay->to = g_strdup(to);
    relay->left = bytes;
    relay->hides_end = hides_end;
    relay->cut = eventfd(0, EFD_CLOEXEC);
    relay->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_mutex_init(&relay->mutex);
    g_cond_init(&relay->changed);
    g_assert(g_strlcpy(own.sun_path, from, sizeof(own.sun_path)) < sizeof(own.sun_path));
    if (bind(relay->listener, (struct sockaddr *)&own, sizeof(own)) < 0 ||
        listen(relay->listener, 1) < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", from,
                    g_strerror(errno));
        relay_free(relay);
        return NULL;
    }
    relay->thread = g_thread_new("relay", run, relay);
    return relay;
}

void relay_free(Relay *relay)
{
    if (relay->thread) {
        g_assert_cmpint(eventfd_write(relay->cut, 1), ==, 0);
        g_thread_join(relay->thread);
    }
    close(relay->listener);
    close(relay->cut);
    g_mutex_clear(&relay->mutex);
    g_cond_clear(&relay->changed);
    g_free(relay->to);
    g_free(relay);
}

gboolean relay_wait(Relay *relay, gint64 deadline)
{
    gboolean over = TRUE;

    g_mutex_lock(&relay->mutex);
    while (over && !relay->over) {
        over = g_cond_wait_until(&relay->changed, &relay->mutex, deadline);
    }
    g_mutex_unlock(&relay->mutex);
    return over;
}
