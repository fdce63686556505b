/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The other side of "migrate --to ssh:HOST": starts a QEMU that waits for the guest, hands it what
 * comes on standard input, and sends its answers on standard output. A guest that does not arrive
 * leaves nothing behind.
 *
 * With words for the launcher, that is started with them; without, the guest is a service of this
 * host, microvm@ID, and is started as such.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guests.h"
#include "launcher-paths.h"
#include "output.h"
#include "process.h"
#include "qemu-log.h"
#include "remote.h"
#include "service.h"

#define END_SECONDS 60 /* for QEMU to load what has come, to answer, and to end */

static volatile sig_atomic_t terminated;

static void on_signal(int number)
{
    (void)number;
    terminated = 1;
}

/* The launcher that was installed with us, or that our caller would find. */
static char *find_launcher(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = self ? g_path_get_dirname(self) : NULL;
    char *beside = dir ? g_build_filename(dir, "microvm-launch", NULL) : NULL;

    if (beside && g_file_test(beside, G_FILE_TEST_IS_EXECUTABLE)) {
        return beside;
    }
    g_free(beside);
    beside = g_find_program_in_path("microvm-launch");
    return beside ? beside : g_strdup(BIN_DIR "/microvm-launch");
}

/* @words for the launcher with @options before them and @last behind, NULL: none. */
static char **launcher_words(const Request *request, const char *option, const char *const *last)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_autofree char *launcher = find_launcher();

    g_strv_builder_add_many(builder, launcher, option, NULL);
    for (guint i = 0; i < request->n_words; i++) {
        g_strv_builder_add(builder, request->words[i]);
    }
    for (; *last; last++) {
        g_strv_builder_add(builder, *last);
    }
    return g_strv_builder_end(builder);
}

/* Where the launcher will have the guest's pidfile, by what it would tell QEMU. */
static char *find_pidfile(const Request *request, GError **error)
{
    static const char *const none[] = {NULL};
    g_auto(GStrv) argv = launcher_words(request, "--print0", none);
    g_autofree char *text = NULL;
    gsize size = 0;

    if (!process_run((const char *const *)argv, &text, &size, error)) {
        return NULL;
    }
    for (gsize at = 0; at < size; at += strlen(text + at) + 1) {
        if (strcmp(text + at, "-pidfile") == 0 && at + strlen("-pidfile") + 1 < size) {
            return g_strdup(text + at + strlen("-pidfile") + 1);
        }
    }
    ctl_fail(error, CTL_ERROR_FAILED, "%s --print0 names no pidfile", argv[0]);
    return NULL;
}

static Guest *launch(const Request *request, const QemuLog *log, GError **error)
{
    const char *const incoming[] = {"-incoming", "defer", "-D", qemu_log_path(log), NULL};
    g_autofree char *pidfile = find_pidfile(request, error);
    g_auto(GStrv) argv = launcher_words(request, "--daemonize", incoming);
    Guest *guest;

    if (!pidfile || !process_run((const char *const *)argv, NULL, NULL, error)) {
        return NULL;
    }
    guest = guest_at(pidfile);
    if (!guest || strcmp(guest->id, request->id) != 0) {
        guest_free(guest);
        ctl_fail(error, CTL_ERROR_FAILED, "%s is not the pidfile of guest %s, or not locked",
                 pidfile, request->id);
        return NULL;
    }
    return guest;
}

/* What one side has goes to the other, until either has ended, or a signal came. */
static gboolean pass(int from, int to)
{
    static char buffer[256 * 1024];
    ssize_t n = read(from, buffer, sizeof(buffer)), sent, done = 0;

    if (n < 0 && errno == EINTR) {
        return TRUE;
    }
    while (n > 0 && done < n) {
        sent = write(to, buffer + done, (gsize)(n - done));
        if (sent < 0 && (errno != EINTR || terminated)) {
            return FALSE;
        }
        done += MAX(sent, 0);
    }
    return n > 0;
}

static void relay(int fd)
{
    struct pollfd pfds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

    while (!terminated) {
        if (poll(pfds, G_N_ELEMENTS(pfds), -1) < 0) {
            if (errno != EINTR) {
                return;
            }
        } else if ((pfds[1].revents && !pass(fd, STDOUT_FILENO)) ||
                   (pfds[0].revents && !pass(STDIN_FILENO, fd))) {
            return;
        }
    }
}

/* QEMU is to stay when the move fails, so that it can be asked why. */
static gboolean prepare(Qmp *qmp, int fd, gint64 deadline, GError **error)
{
    static const char capabilities[] =
        "{\"capabilities\": [{\"capability\": \"events\", \"state\": true},"
        " {\"capability\": \"return-path\", \"state\": true}]}";
    static const char incoming[] = "{\"uri\": \"fd:incoming\", \"exit-on-error\": false}";

    return qmp_run(qmp, "migrate-set-capabilities", g_strdup(capabilities), deadline, error) &&
           qmp_give_fd(qmp, "incoming", fd, deadline, error) &&
           qmp_run(qmp, "migrate-incoming", g_strdup(incoming), deadline, error);
}

/* How it ended: TRUE when the guest is here. */
static gboolean has_arrived(Qmp *qmp, const Guest *guest, GError **error)
{
    g_autoptr(GError) cause = NULL;

    if (qmp_wait_migration(qmp, channel_deadline(END_SECONDS), &cause)) {
        return TRUE;
    }
    if (g_error_matches(cause, QMP_ERROR, QMP_ERROR_COMMAND)) {
        return ctl_fail(error, CTL_ERROR_FAILED, "guest %s did not arrive: %s", guest->id,
                        cause->message);
    }
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

/* What waits for a guest that will not come. */
static void take_back(Qmp *qmp, const Guest *guest)
{
    int pidfd = guest_pidfd(guest, NULL);

    if (pidfd < 0) {
        return;
    }
    if (qmp) {
        qmp_run(qmp, "quit", NULL, channel_deadline(END_SECONDS), NULL);
    }
    if (!qmp || !pidfd_wait(pidfd, channel_deadline(END_SECONDS))) {
        output_say("guest %s waits here for what does not come; 'microvm-ctl stop %s'", guest->id,
                   guest->id);
    }
    close(pidfd);
}

static gboolean receive(const Guest *guest, Qmp *qmp, gint64 deadline, GError **error)
{
    int pair[2];
    gboolean ready;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return ctl_fail(error, CTL_ERROR_FAILED, "a pair of sockets: %s", g_strerror(errno));
    }
    ready = prepare(qmp, pair[1], deadline, error);
    close(pair[1]);
    if (ready) {
        puts(REMOTE_READY);
        fflush(stdout);
        relay(pair[0]);
    }
    close(pair[0]);
    return ready && has_arrived(qmp, guest, error);
}

gboolean ctl_receive(Request *request, GError **error)
{
    gint64 deadline = channel_deadline(request->timeout);
    struct sigaction action = {.sa_handler = on_signal};
    g_autoptr(Guest) guest = NULL;
    g_autoptr(Qmp) qmp = NULL;
    g_autoptr(QemuLog) log = NULL;
    gboolean arrived;

    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (request->n_words == 0) {
        guest = service_start(request, deadline, &qmp, error);
    } else if ((log = qemu_log_new(error))) {
        guest = launch(request, log, error);
        qmp = guest ? guest_qmp(guest, deadline, error) : NULL;
    }
    arrived = qmp && receive(guest, qmp, deadline, error);
    if (guest && !arrived) {
        take_back(qmp, guest);
    }
    if (log && !arrived) {
        qemu_log_show(log, channel_deadline(END_SECONDS));
    } else if (guest && !arrived) {
        service_show_journal(guest->id);
    }
    return arrived;
}
