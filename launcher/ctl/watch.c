/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define LISTEN_MS 10 /* between a socket's bind() and its listen(), which nobody is told of */

typedef struct {
    const Request *request;
    int inotify, pidfd;
    gint64 deadline;
} Watch;

/* Also what they are in, as they may still have to be made. What is watched already stays so. */
static void add_watches(const Watch *watch)
{
    static const guint32 mask = IN_CREATE | IN_MODIFY | IN_MOVED_TO;
    g_autoptr(GPtrArray) dirs = guests_dirs(watch->request);

    for (guint i = 0; i < dirs->len; i++) {
        g_autofree char *parent = g_path_get_dirname(dirs->pdata[i]);

        inotify_add_watch(watch->inotify, parent, mask);
        inotify_add_watch(watch->inotify, dirs->pdata[i], mask);
    }
}

/* Until something was made or written there; at most @limit_ms if that is not negative. */
static gboolean wait_change(const Watch *watch, int limit_ms, GError **error)
{
    struct pollfd pfds[] = {{.fd = watch->inotify, .events = POLLIN},
                            {.fd = watch->pidfd, .events = POLLIN}};
    gint64 left = (watch->deadline - g_get_monotonic_time() + 999) / 1000;
    char events[4096];
    int rc;

    if (left <= 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                    "guest %s has no monitor in time, or is not a guest of yours",
                    watch->request->id);
        return FALSE;
    }
    rc = poll(pfds, G_N_ELEMENTS(pfds),
              (int)MIN(limit_ms < 0 ? left : MIN(left, limit_ms), G_MAXINT));
    if (rc < 0) {
        return ctl_fail(error, CTL_ERROR_FAILED, "waiting for guest %s: %s", watch->request->id,
                        g_strerror(errno));
    }
    while (read(watch->inotify, events, sizeof(events)) > 0) {
    }
    return !pfds[1].revents ||
           ctl_fail(error, CTL_ERROR_FAILED, "guest %s has ended at once", watch->request->id);
}

/* Its monitor, if it listens already. NULL without @error: not yet; *@limit_ms is set. */
static Qmp *try_monitor(const Watch *watch, const Guest *guest, int *limit_ms, GError **error)
{
    g_autoptr(GError) cause = NULL;
    Qmp *qmp = guest_qmp(guest, watch->deadline, &cause);

    *limit_ms = -1;
    if (g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED)) {
        *limit_ms = LISTEN_MS;
    } else if (cause && !g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&cause));
    }
    return qmp;
}

static Guest *wait_guest(const Watch *watch, Qmp **qmp, GError **error)
{
    for (;;) {
        g_autoptr(GError) cause = NULL;
        g_autoptr(Guest) guest = NULL;
        int limit_ms = -1;

        add_watches(watch);
        guest = guest_find(watch->request, NULL);
        *qmp = guest ? try_monitor(watch, guest, &limit_ms, &cause) : NULL;
        if (*qmp) {
            return g_steal_pointer(&guest);
        }
        if (cause) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return NULL;
        }
        if (!wait_change(watch, limit_ms, error)) {
            return NULL;
        }
    }
}

Guest *watch_for_guest(const Request *request, int pidfd, gint64 deadline, Qmp **qmp,
                       GError **error)
{
    Watch watch = {.request = request,
                   .inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK),
                   .pidfd = pidfd,
                   .deadline = deadline};
    Guest *guest;

    if (watch.inotify < 0) {
        ctl_fail(error, CTL_ERROR_FAILED, "inotify: %s", g_strerror(errno));
        return NULL;
    }
    guest = wait_guest(&watch, qmp, error);
    close(watch.inotify);
    return guest;
}
