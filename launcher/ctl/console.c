/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user's terminal on a guest's console. QEMU keeps what the guest has printed in two ring
 * buffers (see argv.c): serialN-log has what came since somebody last looked, serialN-past what was
 * before that. Reading a ring empties it, so that what was read is written to the second one.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "guests.h"
#include "output.h"

#define LOG_SECONDS 5                /* for a monitor that may be busy */
#define LOG_BYTES (16 * 1024 * 1024) /* more than a ring has */

static volatile sig_atomic_t terminated;

static gboolean write_all(int fd, const char *data, gsize size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno == EINTR && !terminated) {
            continue;
        }
        if (n <= 0) {
            return FALSE;
        }
        data += n;
        size -= (gsize)n;
    }
    return TRUE;
}

static GByteArray *ring_read(Qmp *qmp, const char *ring, gint64 deadline, GError **error)
{
    g_autofree char *arguments = channel_arguments(
        "{'device': <%s>, 'size': <%x>, 'format': <'base64'>}", ring, (gint64)LOG_BYTES);
    g_autoptr(JsonNode) answer =
        qmp_ask(qmp, "ringbuf-read", arguments, JSON_NODE_VALUE, deadline, error);
    g_autofree char *text = answer ? json_node_dup_string(answer) : NULL;
    guchar *bytes;
    gsize size;

    if (!answer) {
        return NULL;
    }
    bytes = g_base64_decode(text ? text : "", &size);
    return g_byte_array_new_take(bytes, size);
}

static gboolean ring_write(Qmp *qmp, const char *ring, const GByteArray *data, gint64 deadline,
                           GError **error)
{
    g_autofree char *text = g_base64_encode(data->data, data->len);

    return data->len == 0 ||
           qmp_run(qmp, "ringbuf-write",
                   channel_arguments("{'device': <%s>, 'data': <%s>, 'format': <'base64'>}", ring,
                                     text),
                   deadline, error);
}

/* Whether @answer of query-chardev has a socket @label that nobody is connected to. */
static gboolean is_disconnected(JsonNode *answer, const char *label)
{
    JsonArray *chardevs = json_node_get_array(answer);

    for (guint i = 0; i < json_array_get_length(chardevs); i++) {
        JsonObject *chardev = json_array_get_object_element(chardevs, i);

        if (g_strcmp0(json_object_get_string_member_with_default(chardev, "label", NULL), label) ==
            0) {
            return g_str_has_prefix(
                json_object_get_string_member_with_default(chardev, "filename", ""),
                "disconnected:");
        }
    }
    return FALSE;
}

/*
 * Until QEMU has seen that we are at the console's socket, which it does between two commands:
 * what it prints after the log is read would be neither here nor there.
 */
static gboolean wait_connected(Qmp *qmp, guint64 serial, gint64 deadline, GError **error)
{
    g_autofree char *label = g_strdup_printf("serial%u-socket", (guint)serial);

    do {
        g_autoptr(JsonNode) answer =
            qmp_ask(qmp, "query-chardev", NULL, JSON_NODE_ARRAY, deadline, error);

        if (!answer) {
            return FALSE;
        }
        if (!is_disconnected(answer, label)) {
            break;
        }
    } while (g_get_monotonic_time() < deadline);
    return TRUE;
}

/* All that the console has shown since the guest started, as far as the rings reach back. With
 * @connected, we are at its socket too. */
static GByteArray *read_log(const Guest *guest, guint64 serial, gboolean connected, GError **error)
{
    gint64 deadline = channel_deadline(LOG_SECONDS);
    g_autoptr(Qmp) qmp = guest_qmp(guest, deadline, error);
    g_autofree char *log = g_strdup_printf("serial%u-log", (guint)serial);
    g_autofree char *past = g_strdup_printf("serial%u-past", (guint)serial);
    g_autoptr(GByteArray) all = NULL, fresh = NULL;

    if (!qmp || (connected && !wait_connected(qmp, serial, deadline, error)) ||
        !(fresh = ring_read(qmp, log, deadline, error)) ||
        !ring_write(qmp, past, fresh, deadline, error) ||
        !(all = ring_read(qmp, past, deadline, error)) ||
        !ring_write(qmp, past, all, deadline, error)) {
        return NULL;
    }
    return g_steal_pointer(&all);
}

/* What has come on the socket up to now. */
static GByteArray *read_ready(int fd)
{
    GByteArray *data = g_byte_array_new();
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    guchar buffer[4096];
    ssize_t n;

    while (poll(&pfd, 1, 0) == 1 && (n = read(fd, buffer, sizeof(buffer))) > 0) {
        g_byte_array_append(data, buffer, (guint)n);
    }
    return data;
}

/*
 * How many bytes at the start of @live the log has too: what was printed between our connecting and
 * our reading the log.
 */
static gsize overlap(const GByteArray *log, const GByteArray *live)
{
    gsize size = MIN(log->len, live->len);

    while (size > 0 && memcmp(log->data + log->len - size, live->data, size) != 0) {
        size--;
    }
    return size;
}

static gboolean show_past(const Guest *guest, guint64 serial, int fd)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) log = read_log(guest, serial, TRUE, &error), live = read_ready(fd);
    gsize seen = log ? overlap(log, live) : 0;

    if (!log) {
        output_say("what was printed before is not shown: %s", error->message);
    }
    return (!log || write_all(STDOUT_FILENO, (char *)log->data, log->len)) &&
           write_all(STDOUT_FILENO, (char *)live->data + seen, live->len - seen);
}

/* Passes what @from has to @to; FALSE at its end, or at @leave where that is not 0. */
static gboolean pass(int from, int to, char leave)
{
    char buffer[4096];
    ssize_t n = read(from, buffer, sizeof(buffer));
    const char *key = n > 0 && leave ? memchr(buffer, leave, (gsize)n) : NULL;

    if (n < 0 && errno == EINTR) {
        return !terminated;
    }
    return n > 0 && write_all(to, buffer, key ? (gsize)(key - buffer) : (gsize)n) && !key;
}

/* A signal ends it; those are blocked but for while it waits (@waiting), or one could come just
 * before. */
static void attach(int fd, char leave, const sigset_t *waiting)
{
    struct pollfd pfds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

    while (!terminated) {
        if (ppoll(pfds, G_N_ELEMENTS(pfds), NULL, waiting) < 0) {
            if (errno != EINTR) {
                return;
            }
            continue;
        }
        if (pfds[1].revents && !pass(fd, STDOUT_FILENO, 0)) {
            return;
        }
        if (pfds[0].revents && !pass(STDIN_FILENO, fd, leave)) {
            return;
        }
    }
}

static void on_signal(int signal)
{
    (void)signal;
    terminated = 1;
}

/* A terminal that is left raw is of no use to its user. */
static void attach_terminal(int fd, char leave)
{
    static const int ends[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};
    struct sigaction action = {.sa_handler = on_signal};
    struct termios saved, raw;
    sigset_t blocked, waiting;

    if (tcgetattr(STDIN_FILENO, &saved) < 0) {
        attach(fd, leave, NULL);
        return;
    }
    sigemptyset(&blocked);
    for (gsize i = 0; i < G_N_ELEMENTS(ends); i++) {
        sigaction(ends[i], &action, NULL);
        sigaddset(&blocked, ends[i]);
    }
    sigprocmask(SIG_BLOCK, &blocked, &waiting);
    raw = saved;
    cfmakeraw(&raw);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    attach(fd, leave, &waiting);
    tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    fputc('\n', stdout);
}

gboolean ctl_console(Request *request, GError **error)
{
    g_autoptr(Guest) guest = guest_find(request, error);
    g_autofree char *suffix = g_strdup_printf("serial%u", (guint)request->serial);
    g_autofree char *path = guest ? guest_path(guest, suffix) : NULL;
    int fd;

    if (!guest) {
        return FALSE;
    }
    if (request->log) {
        g_autoptr(GByteArray) log = read_log(guest, request->serial, FALSE, error);

        return log && (write_all(STDOUT_FILENO, (char *)log->data, log->len) ||
                       ctl_fail(error, CTL_ERROR_FAILED, "standard output: %s", g_strerror(errno)));
    }
    if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        return ctl_fail(error, CTL_ERROR_FAILED, "guest %s has no %s (%s: socket in its config)",
                        guest->id, suffix, suffix);
    }
    fd = unix_connect(path, error);
    if (fd < 0) {
        return FALSE;
    }
    if (isatty(STDIN_FILENO)) {
        output_say("^%c leaves the console", request->detach_key + '@');
    }
    if (show_past(guest, request->serial, fd)) {
        attach_terminal(fd, request->detach_key);
    }
    close(fd);
    return TRUE;
}
