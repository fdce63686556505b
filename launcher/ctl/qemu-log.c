/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu-log.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl.h"
#include "output.h"

#define KEPT (16 * 1024) /* bytes of the end, whatever a guest makes QEMU say */

struct QemuLog {
    char *dir, *path;
    int fd, writer; /* as long as we have one, the FIFO is not at its end */
    GThread *thread;
    GMutex mutex;
    GCond cond;
    GString *text;
    gboolean ended;
};

/* QEMU must not be held up by a full pipe. */
static gpointer read_all(gpointer data)
{
    QemuLog *log = data;
    char buffer[4096];
    ssize_t n;

    while ((n = read(log->fd, buffer, sizeof(buffer))) > 0 || (n < 0 && errno == EINTR)) {
        g_mutex_lock(&log->mutex);
        g_string_append_len(log->text, buffer, MAX(n, 0));
        if (log->text->len > KEPT) {
            g_string_erase(log->text, 0, (gssize)(log->text->len - KEPT));
        }
        g_mutex_unlock(&log->mutex);
    }
    g_mutex_lock(&log->mutex);
    log->ended = TRUE;
    g_cond_signal(&log->cond);
    g_mutex_unlock(&log->mutex);
    return NULL;
}

/* The directory's name is what keeps others away: QEMU's user must get through. */
static gboolean make_fifo(QemuLog *log, GError **error)
{
    log->dir = g_dir_make_tmp("microvm-receive-XXXXXX", error);
    if (!log->dir) {
        return FALSE;
    }
    log->path = g_build_filename(log->dir, "log", NULL);
    if (g_chmod(log->dir, 0711) < 0 || mkfifo(log->path, 0600) < 0 ||
        g_chmod(log->path, 0622) < 0 ||
        (log->fd = open(log->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)) < 0 ||
        (log->writer = open(log->path, O_WRONLY | O_CLOEXEC)) < 0 ||
        fcntl(log->fd, F_SETFL, 0) < 0) {
        return ctl_fail(error, CTL_ERROR_FAILED, "%s: %s", log->path, g_strerror(errno));
    }
    return TRUE;
}

QemuLog *qemu_log_new(GError **error)
{
    g_autoptr(QemuLog) log = g_new0(QemuLog, 1);

    log->fd = log->writer = -1;
    log->text = g_string_new(NULL);
    g_mutex_init(&log->mutex);
    g_cond_init(&log->cond);
    if (!make_fifo(log, error)) {
        return NULL;
    }
    log->thread = g_thread_new("qemu-log", read_all, log);
    return g_steal_pointer(&log);
}

const char *qemu_log_path(const QemuLog *log)
{
    return log->path;
}

static void close_writer(QemuLog *log)
{
    if (log->writer >= 0) {
        close(log->writer);
    }
    log->writer = -1;
}

void qemu_log_show(QemuLog *log, gint64 deadline)
{
    g_auto(GStrv) lines = NULL;

    close_writer(log);
    g_mutex_lock(&log->mutex);
    while (!log->ended && g_cond_wait_until(&log->cond, &log->mutex, deadline)) {
    }
    lines = g_strsplit(g_strchomp(log->text->str), "\n", -1);
    g_mutex_unlock(&log->mutex);
    for (char **line = lines; *line; line++) {
        output_say("%s", *line);
    }
}

/* A QEMU that lives on may hold the thread for good: it ends with us, and has what it needs. */
void qemu_log_free(QemuLog *log)
{
    gboolean ended;

    if (log->path) {
        g_unlink(log->path);
    }
    if (log->dir) {
        g_rmdir(log->dir);
    }
    g_clear_pointer(&log->path, g_free);
    g_clear_pointer(&log->dir, g_free);
    close_writer(log);
    g_mutex_lock(&log->mutex);
    ended = log->ended;
    g_mutex_unlock(&log->mutex);
    if (log->thread && !ended) {
        g_thread_unref(log->thread);
        return;
    }
    if (log->thread) {
        g_thread_join(log->thread);
    }
    if (log->fd >= 0) {
        close(log->fd);
    }
    g_string_free(log->text, TRUE);
    g_free(log);
}
