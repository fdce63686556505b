/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user's terminal on a guest's serial console: console SOCKET. Ctrl-] leaves it; the end of the
 * guest ends it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "channel.h"

#define LEAVE 0x1d /* Ctrl-] */

static gboolean write_all(int fd, const char *data, ssize_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return FALSE;
        }
        data += n;
        size -= n;
    }
    return TRUE;
}

/* Passes what @from has to @to; FALSE at its end, or at the leave key where @leave. */
static gboolean pass(int from, int to, gboolean leave)
{
    char buffer[4096];
    ssize_t n = read(from, buffer, sizeof(buffer));
    const char *key = n > 0 && leave ? memchr(buffer, LEAVE, n) : NULL;

    if (n < 0 && errno == EINTR) {
        return TRUE;
    }
    return n > 0 && write_all(to, buffer, key ? key - buffer : n) && !key;
}

static void attach(int fd)
{
    struct pollfd pfds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

    for (;;) {
        if (poll(pfds, G_N_ELEMENTS(pfds), -1) < 0 && errno != EINTR) {
            return;
        }
        if (pfds[0].revents && !pass(STDIN_FILENO, fd, TRUE)) {
            return;
        }
        if (pfds[1].revents && !pass(fd, STDOUT_FILENO, FALSE)) {
            return;
        }
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    struct termios saved, raw;
    gboolean terminal;
    int fd;

    if (argc != 2) {
        fprintf(stderr, "usage: console SOCKET\n");
        return 2;
    }
    fd = unix_connect(argv[1], &error);
    if (fd < 0) {
        fprintf(stderr, "console: %s\n", error->message);
        return 1;
    }
    terminal = tcgetattr(STDIN_FILENO, &saved) == 0;
    if (terminal) {
        raw = saved;
        cfmakeraw(&raw);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    attach(fd);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    }
    printf("\n");
    close(fd);
    return 0;
}
