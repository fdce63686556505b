/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image.h"
#include "launcher-paths.h"

#define TICK_MS 500
#define LINE_MAX_BYTES 4096

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

void tool_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

gboolean tool_interrupted(GError **error)
{
    return caught && !image_fail(error, IMAGE_ERROR_FAILED,
                                 "ended by signal %d; what was fetched is kept", (int)caught);
}

/* A terminal sees each change on one line; elsewhere every tenth of the way is printed. */
void tool_show(const char *title, int percent)
{
    static const char *last_title;
    static int last;

    if (title != last_title) {
        last_title = title;
        last = -10;
    }
    percent = MIN(percent, 100);
    if (isatty(STDERR_FILENO)) {
        if (percent < 0)
            fprintf(stderr, "\r\033[K  %-34s ...", title);
        else if (percent != last)
            fprintf(stderr, "\r\033[K  %-34s %3d%%%s", title, percent, percent == 100 ? "\n" : "");
        last = percent;
    } else if (percent == 100 || percent - last >= 10) {
        last = percent;
        fprintf(stderr, "  %-34s %3d%%\n", title, percent);
    }
}

int tool_progress_apt(const char *line, G_GNUC_UNUSED gpointer data)
{
    const char *at;

    if (!line || !g_str_has_prefix(line, "dlstatus:") || !(at = strchr(line + 9, ':')))
        return -1;
    return (int)g_ascii_strtod(at + 1, NULL);
}

int tool_progress_percent(const char *line, G_GNUC_UNUSED gpointer data)
{
    const char *at = line ? strchr(line, '(') : NULL;

    return at && strstr(at, "/100%)") ? (int)g_ascii_strtod(at + 1, NULL) : -1;
}

char *tool_find(const char *name, const char *package, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(QEMU_PATH);
    g_autofree char *ours = g_build_filename(dir, name, NULL);
    char *path = g_find_program_in_path(name);

    if (!path && access(ours, X_OK) == 0)
        path = g_steal_pointer(&ours);
    if (!path)
        image_fail(error, IMAGE_ERROR_FAILED, "%s is needed for this: apt-get install %s", name,
                   package);
    return path;
}

typedef struct {
    const char *title;
    ToolProgress progress;
    gpointer data;
    GString *line;    /* what has come of the present one */
    char *last_words; /* the last line with words in it */
    int percent;
} Watch;

static void see(Watch *watch, const char *line)
{
    int percent = watch->progress ? watch->progress(line, watch->data) : -1;

    /* 100 is for the end */
    if (percent > watch->percent && percent < 100) {
        watch->percent = percent;
        tool_show(watch->title, percent);
    }
}

/* Lines end in a newline, or in a carriage return where one is written over another. */
static void take(Watch *watch, const char *bytes, gsize n)
{
    for (gsize i = 0; i < n; i++) {
        if (bytes[i] != '\n' && bytes[i] != '\r') {
            if (watch->line->len < LINE_MAX_BYTES && bytes[i])
                g_string_append_c(watch->line, bytes[i]);
            continue;
        }
        see(watch, watch->line->str);
        g_strchug(watch->line->str);
        if (*watch->line->str && !g_str_has_prefix(watch->line->str, "dlstatus:")) {
            g_free(watch->last_words);
            watch->last_words = g_strdup(watch->line->str);
        }
        g_string_set_size(watch->line, 0);
    }
}

/* Until the other end is closed. */
static void follow(Watch *watch, int fd, int log_fd, GPid pid)
{
    gboolean told = FALSE;
    char bytes[8192];

    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        int ready = poll(&poll_fd, 1, TICK_MS);

        if (caught && !told) {
            kill(pid, SIGTERM);
            told = TRUE;
        }
        if (ready <= 0) {
            see(watch, NULL);
            continue;
        }
        ssize_t n = read(fd, bytes, sizeof(bytes));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        (void)!write(log_fd, bytes, (size_t)n);
        take(watch, bytes, (gsize)n);
    }
}

static int open_log(const char *log, const char *title, GError **error)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

    if (fd < 0)
        image_fail(error, IMAGE_ERROR_FAILED, "%s: %s", log, g_strerror(errno));
    else
        dprintf(fd, "--- %s\n", title);
    return fd;
}

static gboolean judge(const Watch *watch, const char *program, int status, const char *log,
                      GError **error)
{
    if (tool_interrupted(error))
        return FALSE;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    return image_fail(error, IMAGE_ERROR_FAILED,
                      "%s: %s failed (%s %d): %s; all that it said is in %s", watch->title, program,
                      WIFEXITED(status) ? "status" : "signal",
                      WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                      watch->last_words ? watch->last_words : "it said nothing", log);
}

gboolean tool_run(const char *title, const char *const *argv, const char *log,
                  ToolProgress progress, gpointer data, GError **error)
{
    Watch watch = {.title = title, .progress = progress, .data = data, .percent = -1};
    int fds[2], log_fd, status;
    gboolean good;
    GPid pid;

    if (tool_interrupted(error) || (log_fd = open_log(log, title, error)) < 0)
        return FALSE;
    if (pipe2(fds, O_CLOEXEC) < 0)
        g_error("pipe: %s", g_strerror(errno));
    tool_show(title, -1);
    good = g_spawn_async_with_fds(NULL, (char **)argv, NULL,
                                  G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid,
                                  -1, fds[1], fds[1], error);
    close(fds[1]);
    if (good) {
        watch.line = g_string_new(NULL);
        follow(&watch, fds[0], log_fd, pid);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        good = judge(&watch, argv[0], status, log, error);
        g_string_free(watch.line, TRUE);
    }
    if (good)
        tool_show(title, 100);
    else if (isatty(STDERR_FILENO))
        fprintf(stderr, "\n");
    close(fds[0]);
    close(log_fd);
    g_free(watch.last_words);
    return good;
}
