/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "remote.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"
#include "guests.h"

#define SCHEME "ssh:"
#define END_SECONDS 5         /* for ssh to end when it is told to */
#define NOISE_MAX (64 * 1024) /* what a login script may print before the other side is ready */

struct Remote {
    GPid pid;
    int pidfd; /* -1: it has ended, and was waited for */
    int fd;
    gboolean good;
};

gboolean remote_is_destination(const char *to)
{
    const char *host = to + strlen(SCHEME);

    if (!g_str_has_prefix(to, SCHEME)) {
        return FALSE;
    }
    if (g_str_has_prefix(host, "//")) {
        host += 2;
    }
    return *host && *host != '-' && !strpbrk(host, " \t\n");
}

/* The line that sshd hands to the user's shell there; here no shell sees it. */
static char *remote_command(const char *id, char **words)
{
    GString *line = g_string_new("microvm-ctl receive ");

    g_string_append(line, id);
    if (*words) {
        g_string_append(line, " --");
    }
    for (; *words; words++) {
        g_autofree char *quoted = g_shell_quote(*words);

        g_string_append_printf(line, " %s", quoted);
    }
    return g_string_free(line, FALSE);
}

/* A connection that has gone silent ends the move, after three times five seconds. */
static GPtrArray *ssh_words(const char *to, const char *config, const char *id, char **words)
{
    static const char *const options[] = {"-T",
                                          "-o",
                                          "ServerAliveInterval=5",
                                          "-o",
                                          "ServerAliveCountMax=3",
                                          "-o",
                                          "ForwardAgent=no",
                                          "-o",
                                          "ForwardX11=no",
                                          "-o",
                                          "ClearAllForwardings=yes"};
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    gboolean url = g_str_has_prefix(to, SCHEME "//");

    g_ptr_array_add(argv, g_strdup("ssh"));
    if (config) {
        g_ptr_array_add(argv, g_strdup("-F"));
        g_ptr_array_add(argv, g_strdup(config));
    }
    for (gsize i = 0; i < G_N_ELEMENTS(options); i++) {
        g_ptr_array_add(argv, g_strdup(options[i]));
    }
    g_ptr_array_add(argv, g_strdup("--"));
    g_ptr_array_add(argv, g_strdup(url ? to : to + strlen(SCHEME)));
    g_ptr_array_add(argv, remote_command(id, words));
    g_ptr_array_add(argv, NULL);
    return argv;
}

/* ssh gets one end of a pair of sockets as its standard input and output. */
static gboolean spawn(Remote *remote, char **argv, GError **error)
{
    int pair[2];
    gboolean done;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return ctl_fail(error, CTL_ERROR_FAILED, "a pair of sockets: %s", g_strerror(errno));
    }
    done = g_spawn_async_with_fds(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                                  NULL, NULL, &remote->pid, pair[1], pair[1], -1, error);
    close(pair[1]);
    if (!done) {
        close(pair[0]);
        return FALSE;
    }
    remote->fd = pair[0];
    remote->pidfd = (int)syscall(SYS_pidfd_open, remote->pid, 0);
    return TRUE;
}

/* One byte, as what comes behind the line is QEMU's. 0 at the end; -1 with @error. */
static ssize_t read_byte(int fd, char *byte, gint64 deadline, GError **error)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    gint64 left = deadline - g_get_monotonic_time();
    int rc = left > 0 ? poll(&pfd, 1, (int)MIN((left + 999) / 1000, G_MAXINT)) : 0;
    ssize_t n = rc > 0 ? read(fd, byte, 1) : -1;

    if (rc == 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                    "the other side was not ready in time; the guest goes on here");
    } else if (n < 0 && errno == EINTR) {
        ctl_fail(error, CTL_ERROR_FAILED, "interrupted; the guest goes on here");
    } else if (n < 0 && errno != ECONNRESET) {
        ctl_fail(error, CTL_ERROR_FAILED, "ssh: %s", g_strerror(errno));
    } else {
        return MAX(n, 0);
    }
    return -1;
}

/* What login scripts print before is let pass. */
static gboolean wait_ready(const Remote *remote, gint64 deadline, GError **error)
{
    g_autoptr(GString) line = g_string_new(NULL);
    gsize noise = 0;
    ssize_t n;
    char byte;

    while ((n = read_byte(remote->fd, &byte, deadline, error)) > 0 && noise++ < NOISE_MAX) {
        if (byte != '\n') {
            g_string_append_c(line, byte);
        } else if (strcmp(line->str, REMOTE_READY) == 0) {
            return TRUE;
        } else {
            g_string_truncate(line, 0);
        }
    }
    return n >= 0 && ctl_fail(error, CTL_ERROR_FAILED,
                              "the other side does not take the guest, which goes on here");
}

Remote *remote_start(const char *to, const char *config, const char *id, char **words,
                     gint64 deadline, GError **error)
{
    g_autoptr(GPtrArray) argv = ssh_words(to, config, id, words);
    g_autoptr(Remote) remote = g_new0(Remote, 1);

    remote->fd = remote->pidfd = -1;
    if (!spawn(remote, (char **)argv->pdata, error) || !wait_ready(remote, deadline, error)) {
        return NULL;
    }
    return g_steal_pointer(&remote);
}

int remote_fd(const Remote *remote)
{
    return remote->fd;
}

void remote_close(Remote *remote)
{
    if (remote->fd >= 0) {
        close(remote->fd);
    }
    remote->fd = -1;
}

gboolean remote_finish(Remote *remote, gint64 deadline)
{
    int status;

    remote_close(remote);
    if (remote->pidfd < 0 || !pidfd_wait(remote->pidfd, deadline)) {
        return remote->good;
    }
    if (waitpid(remote->pid, &status, 0) == remote->pid) {
        remote->good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    close(remote->pidfd);
    remote->pidfd = -1;
    return remote->good;
}

void remote_free(Remote *remote)
{
    if (!remote) {
        return;
    }
    remote_finish(remote, channel_deadline(END_SECONDS));
    if (remote->pidfd >= 0) {
        syscall(SYS_pidfd_send_signal, remote->pidfd, SIGTERM, NULL, 0);
        remote_finish(remote, channel_deadline(END_SECONDS));
    }
    if (remote->pidfd >= 0) {
        close(remote->pidfd);
    }
    g_free(remote);
}
