/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "say.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static int console = -1;
static bool marks;

void say_open(void)
{
    console = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
}

/*
 * LINE has room for one character more. The kernel limits how many lines it takes from one open of
 * its log, so each line gets its own; and it shows a line only once it has ended.
 */
static void log_line(char *line, size_t len)
{
    int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        line[len++] = '\n';
        (void)!write(fd, line, len);
        close(fd);
    }
}

/* Puts PREFIX and the formatted text into LINE. Returns its length, always below SIZE. */
static size_t format_line(char *line, size_t size, const char *prefix, const char *format,
                          va_list ap)
{
    int n = snprintf(line, size, "%s", prefix);

    n += vsnprintf(line + n, size - (size_t)n, format, ap);
    return (size_t)n < size ? (size_t)n : size - 1;
}

void say(const char *format, ...)
{
    char line[1000];
    va_list ap;

    va_start(ap, format);
    size_t n = format_line(line, sizeof(line) - 2,
                           console >= 0 ? "<7>microvm: " : "<3>microvm: ", format, ap);
    va_end(ap);
    log_line(line, n);
    if (console >= 0) {
        memcpy(line + n, "\r\n", 2);
        (void)!write(console, line + 3, n - 3 + 2);
    }
}

void say_marks(void)
{
    marks = true;
}

void mark(const char *format, ...)
{
    char line[256];
    va_list ap;

    if (!marks) {
        return;
    }
    va_start(ap, format);
    size_t n = format_line(line, sizeof(line) - 1, "<6>microvm: init ", format, ap);
    va_end(ap);
    log_line(line, n);
}

void say_flush(void)
{
    if (console >= 0) {
        tcdrain(console);
    }
}

void say_clean(char *out, size_t size, const char *text)
{
    size_t n = 0;

    for (; text[n] && n + 1 < size; n++) {
        unsigned char c = (unsigned char)text[n];
        out[n] = c < ' ' || c > '~' || c == '"' ? '?' : (char)c;
    }
    out[n] = '\0';
}
