/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run-keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "output.h"

static volatile sig_atomic_t keeper = -1; /* its process */
static volatile sig_atomic_t tie = -1;    /* ends with us, and the keeper sees it */

/* Nothing of the user's streams but what is said about errors. */
static void leave_user(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    close(null);
}

/*
 * What QEMU says while it starts is of interest when it does not: the standard error is the
 * command's. Returns the one that there was, or -1.
 */
static int hold_back_errors(void)
{
    int held = memfd_create("stderr", MFD_CLOEXEC), before = -1;

    if (held >= 0) {
        before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        dup2(held, STDERR_FILENO);
        close(held);
    }
    return before;
}

/* All of the file @fd, as lines. */
static char **read_lines(int fd)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char buffer[4096];
    ssize_t n;

    while ((n = pread(fd, buffer, sizeof(buffer), (off_t)text->len)) > 0) {
        g_string_append_len(text, buffer, n);
    }
    return g_strsplit(text->str, "\n", -1);
}

/* Puts it back, and says what was held back, @all of it or what was not QEMU's. */
static void let_errors_go(int before, gboolean all)
{
    g_auto(GStrv) lines = before >= 0 ? read_lines(STDERR_FILENO) : NULL;

    if (before < 0) {
        return;
    }
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    for (char **line = lines; *line; line++) {
        if (**line && (all || !g_str_has_prefix(*line, "qemu-"))) {
            fprintf(stderr, "%s\n", *line);
        }
    }
}

static gboolean start_guest(Clone *clone, GError **error)
{
    int before = hold_back_errors();
    gboolean started = clone_start(clone, error) && clone_started(clone, error);

    let_errors_go(before, !started);
    return started;
}

static const PlanNic *find_net0(const Plan *plan)
{
    for (guint i = 0; i < plan->nics->len; i++) {
        const PlanNic *nic = plan->nics->pdata[i];

        if (nic->index == 0) {
            return nic;
        }
    }
    return NULL;
}

/* By the name that the tap will have. Who sweeps after us is told before there are any. */
static gboolean make_rules(const Clone *clone, const Allow *allow, GError **error)
{
    g_autofree char *mark = g_build_filename(clone->work->path, STORE_RULES, NULL);
    const PlanNic *nic = find_net0(clone->plan);
    g_autofree char *table = g_strdup_printf(STORE_TABLE "%s", clone->id);
    g_autofree char *text = allow_ruleset(allow, table, nic->ifname, nic->mac);

    return g_file_set_contents(mark, "", 0, error) && allow_run(text, error);
}

/* When the tap has gone. */
static void remove_rules(const char *id)
{
    g_autofree char *command = g_strdup_printf("delete table bridge " STORE_TABLE "%s", id);
    g_autoptr(GError) error = NULL;

    if (!allow_run(command, &error)) {
        output_say("%s", error->message);
    }
}

static void keep(Clone *clone, const Allow *allow, int end) G_GNUC_NORETURN;

static void keep(Clone *clone, const Allow *allow, int end)
{
    g_autoptr(GError) error = NULL;
    gboolean ruled;
    char byte = 0;

    leave_user();
    ruled = allow && make_rules(clone, allow, &error);
    if (error || !start_guest(clone, &error)) {
        output_say("%s", error->message);
    } else if (write(end, &byte, 1) == 1) {
        while (read(end, &byte, 1) < 0 && errno == EINTR) {
        }
    }
    g_clear_pointer(&clone->guest, doomed_guest_end);
    if (ruled) {
        remove_rules(clone->id);
    }
    store_end_processes(clone->work->path);
    clone_free(clone);
    _exit(error != NULL);
}

gboolean keeper_wait(Clone *clone, GError **error)
{
    struct pollfd pfd = {.fd = tie, .events = POLLIN};
    gint64 left = MAX(clone->deadline - g_get_monotonic_time(), 0);
    int rc = poll(&pfd, 1, (int)MIN((left + 999) / 1000, G_MAXINT));
    char byte;

    if (rc == 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "QEMU does not start in time");
        return FALSE;
    }
    if (rc < 0 || read(tie, &byte, 1) != 1 || !(clone->guest = guest_at(clone->plan->pidfile))) {
        return ctl_fail(error, CTL_ERROR_EXIT, "said by the keeper");
    }
    return TRUE;
}

/* Who kills us would leave the guest to nobody. */
static void become_keeper(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    sigset_t none;

    for (gsize i = 0; i < G_N_ELEMENTS(ends); i++) {
        signal(ends[i], SIG_IGN);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

gboolean keeper_fork(Clone *clone, const Allow *allow, GError **error)
{
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 || (pid = fork()) < 0) {
        return ctl_fail(error, CTL_ERROR_FAILED, "a new process: %s", g_strerror(errno));
    }
    if (pid == 0) {
        become_keeper();
        close(ends[0]);
        keep(clone, allow, ends[1]);
    }
    close(ends[1]);
    tie = ends[0];
    keeper = pid;
    g_clear_pointer(&clone->work, work_free); /* the keeper's hold on it is what counts */
    return TRUE;
}

gboolean keeper_end(void)
{
    int status = 0;

    if (keeper < 0) {
        return TRUE;
    }
    close(tie);
    while (waitpid(keeper, &status, 0) < 0 && errno == EINTR) {
    }
    keeper = -1;
    return WIFEXITED(status);
}
