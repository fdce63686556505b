/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "console.h"

#include <errno.h>
#include <gio/gio.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"

/* Where the echo is within an escape sequence of a terminal (ECMA-48, 5.4 and 5.6). */
typedef enum {
    ECHO_TEXT,
    ECHO_ESCAPE,  /* after ESC */
    ECHO_CONTROL, /* after ESC [ */
    ECHO_STRING,  /* after ESC ] and the like, until BEL or ESC \ */
} EchoState;

struct Console {
    int fd, stop; /* the socket; an eventfd that ends the thread */
    GThread *thread;
    GMutex lock; /* for what follows */
    GCond changed;
    GString *text;
    FILE *echo;
    EchoState state;
    GString *sequence; /* of the escape sequence that the echo is in */
    gboolean closed;
};

/*
 * A guest asks the terminal things (size, cursor) and the terminal answers into the user's shell.
 * So of its escape sequences only colours are passed on.
 */
static void echo_byte(Console *console, char c)
{
    switch (console->state) {
    case ECHO_TEXT:
        if (c == '\033') {
            console->state = ECHO_ESCAPE;
            g_string_assign(console->sequence, "\033");
        } else {
            fputc(c, console->echo);
        }
        break;
    case ECHO_ESCAPE:
        g_string_append_c(console->sequence, c);
        console->state = c == '[' ? ECHO_CONTROL : strchr("]PX^_", c) ? ECHO_STRING : ECHO_TEXT;
        break;
    case ECHO_CONTROL:
        g_string_append_c(console->sequence, c);
        if (c >= 0x40 && c <= 0x7e) {
            console->state = ECHO_TEXT;
            if (c == 'm') {
                fputs(console->sequence->str, console->echo);
            }
        }
        break;
    case ECHO_STRING:
        if (c == '\a' || c == '\\') {
            console->state = ECHO_TEXT;
        }
        break;
    }
}

static void take(Console *console, const char *data, gsize size)
{
    g_mutex_lock(&console->lock);
    for (gsize i = 0; i < size; i++) {
        if (data[i]) {
            g_string_append_c(console->text, data[i]);
            if (console->echo) {
                echo_byte(console, data[i]);
            }
        }
    }
    if (console->echo) {
        fflush(console->echo);
    }
    g_cond_broadcast(&console->changed);
    g_mutex_unlock(&console->lock);
}

static gpointer listen_to(gpointer data)
{
    Console *console = data;
    char buffer[4096];

    for (;;) {
        struct pollfd pfds[] = {{.fd = console->fd, .events = POLLIN},
                                {.fd = console->stop, .events = POLLIN}};
        ssize_t n;

        if (poll(pfds, G_N_ELEMENTS(pfds), -1) < 0 && errno == EINTR) {
            continue;
        }
        if (pfds[1].revents) {
            break;
        }
        n = read(console->fd, buffer, sizeof(buffer));
        if (n <= 0) {
            break;
        }
        take(console, buffer, n);
    }
    g_mutex_lock(&console->lock);
    console->closed = TRUE;
    g_cond_broadcast(&console->changed);
    g_mutex_unlock(&console->lock);
    return NULL;
}

Console *console_connect(const char *path, FILE *echo, GError **error)
{
    int fd = unix_connect(path, error);
    Console *console;

    if (fd < 0) {
        return NULL;
    }
    console = g_new0(Console, 1);
    console->fd = fd;
    console->stop = eventfd(0, EFD_CLOEXEC);
    g_assert(console->stop >= 0);
    console->text = g_string_new(NULL);
    console->echo = echo;
    console->sequence = g_string_new(NULL);
    g_mutex_init(&console->lock);
    g_cond_init(&console->changed);
    console->thread = g_thread_new("console", listen_to, console);
    return console;
}

void console_free(Console *console)
{
    if (!console) {
        return;
    }
    eventfd_write(console->stop, 1);
    g_thread_join(console->thread);
    close(console->fd);
    close(console->stop);
    g_string_free(console->text, TRUE);
    g_string_free(console->sequence, TRUE);
    g_mutex_clear(&console->lock);
    g_cond_clear(&console->changed);
    g_free(console);
}

static gboolean wait_for(Console *console, gsize from, const char *text, gint64 deadline,
                         gint64 *when, GError **error)
{
    gboolean found, in_time = TRUE;

    g_mutex_lock(&console->lock);
    while (!(found = strstr(console->text->str + from, text) != NULL) && !console->closed &&
           in_time) {
        in_time = g_cond_wait_until(&console->changed, &console->lock, deadline);
    }
    if (found && when) {
        *when = g_get_monotonic_time();
    }
    if (!found) {
        gsize tail = console->text->len > 400 ? console->text->len - 400 : 0;

        g_set_error(error, G_IO_ERROR, in_time ? G_IO_ERROR_CLOSED : G_IO_ERROR_TIMED_OUT,
                    "the console %s before it showed '%s'; its end was:\n%s",
                    in_time ? "was closed" : "was silent too long", text,
                    console->text->str + tail);
    }
    g_mutex_unlock(&console->lock);
    return found;
}

gboolean console_wait(Console *console, const char *text, gint64 deadline, gint64 *when,
                      GError **error)
{
    return wait_for(console, 0, text, deadline, when, error);
}

gboolean console_wait_behind(Console *console, gsize from, const char *text, gint64 deadline,
                             GError **error)
{
    return wait_for(console, from, text, deadline, NULL, error);
}

gsize console_size(Console *console)
{
    gsize size;

    g_mutex_lock(&console->lock);
    size = console->text->len;
    g_mutex_unlock(&console->lock);
    return size;
}

gboolean console_type(Console *console, const char *text, GError **error)
{
    while (*text) {
        ssize_t n = send(console->fd, text, strlen(text), MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR) {
            g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "the console: %s",
                        g_strerror(errno));
            return FALSE;
        }
        text += MAX(n, 0);
    }
    return TRUE;
}

gboolean console_wait_closed(Console *console, gint64 deadline, GError **error)
{
    gboolean in_time = TRUE;

    g_mutex_lock(&console->lock);
    while (!console->closed && in_time) {
        in_time = g_cond_wait_until(&console->changed, &console->lock, deadline);
    }
    g_mutex_unlock(&console->lock);
    if (!in_time) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "the console was not closed in time");
    }
    return in_time;
}

void console_mute(Console *console)
{
    g_mutex_lock(&console->lock);
    console->echo = NULL;
    g_mutex_unlock(&console->lock);
}

char *console_text(Console *console)
{
    char *text;

    g_mutex_lock(&console->lock);
    text = g_strdup(console->text->str);
    g_mutex_unlock(&console->lock);
    return text;
}
