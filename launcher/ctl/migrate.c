/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Moves a running guest to a QEMU that waits for it (microvm-launch ID.conf -incoming URI), or that
 * is started for it on another host, by ssh. Until that one has said that it has all and can go on,
 * this one can, and does when anything fails.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guests.h"
#include "output.h"
#include "remote.h"

#define STEP_SECONDS 0.25 /* between two looks at the progress */
#define ANSWER_SECONDS 60 /* for each of QEMU's answers, and its end */

static volatile sig_atomic_t interrupted;

typedef struct {
    const Request *request;
    const Guest *guest;
    Qmp *qmp;
    Remote *remote; /* NULL: QEMU finds the other one by itself */
    gboolean was_running;
    gboolean terminal;
    gboolean late;    /* cancelled by --timeout */
    char *status;     /* of the last look */
    JsonObject *info; /* all of it */
} Move;

static void move_clear(Move *move)
{
    g_clear_pointer(&move->qmp, qmp_free);
    g_clear_pointer(&move->remote, remote_free);
    g_clear_pointer(&move->status, g_free);
    g_clear_pointer(&move->info, json_object_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Move, move_clear)

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static gint64 soon(void)
{
    return channel_deadline(ANSWER_SECONDS);
}

/* One look at how far it is. */
static gboolean look(Move *move, GError **error)
{
    g_autoptr(JsonNode) answer =
        qmp_ask(move->qmp, "query-migrate", NULL, JSON_NODE_OBJECT, soon(), error);

    if (!answer) {
        return FALSE;
    }
    g_clear_pointer(&move->info, json_object_unref);
    g_clear_pointer(&move->status, g_free);
    move->info = json_node_dup_object(answer);
    move->status =
        output_clean(json_object_get_string_member_with_default(move->info, "status", "none"));
    return TRUE;
}

static gboolean is_one_of(const char *status, const char *const *names)
{
    return g_strv_contains(names, status);
}

static gboolean is_over(const Move *move)
{
    static const char *const over[] = {"none", "completed", "failed", "cancelled", NULL};

    return is_one_of(move->status, over);
}

static gint64 info_int(const Move *move, const char *member)
{
    return json_object_get_int_member_with_default(move->info, member, 0);
}

static void show_progress(const Move *move)
{
    JsonObject *ram = json_object_has_member(move->info, "ram")
                          ? json_object_get_object_member(move->info, "ram")
                          : NULL;
    g_autofree char *sent = NULL, *left = NULL;

    if (!ram) {
        return;
    }
    sent = output_bytes(json_object_get_int_member_with_default(ram, "transferred", 0));
    left = output_bytes(json_object_get_int_member_with_default(ram, "remaining", 0));
    printf("%s%s: %s sent, %s left, %.0f Mbit/s, downtime would be %" G_GINT64_FORMAT " ms%s",
           move->terminal ? "\r" : "", move->status, sent, left,
           json_object_get_double_member_with_default(ram, "mbps", 0),
           info_int(move, "expected-downtime"), move->terminal ? "\033[K" : "\n");
    fflush(stdout);
}

/* Some time passes, or something happens. */
static gboolean wait_step(const Move *move, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(JsonObject) event =
        qmp_wait_event(move->qmp, "MIGRATION", channel_deadline(STEP_SECONDS), &cause);

    if (event || g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

static gboolean cancel(const Move *move, GError **error)
{
    return qmp_run(move->qmp, "migrate_cancel", NULL, soon(), error);
}

/* Until it is over, one way or the other; @why tells whose fault a cancelled one is. */
static gboolean follow(Move *move, const char **why, GError **error)
{
    gint64 deadline = channel_deadline(move->request->timeout), shown = 0;

    for (;;) {
        gint64 now;

        if (!look(move, error)) {
            return FALSE;
        }
        if (is_over(move)) {
            return TRUE;
        }
        now = g_get_monotonic_time();
        if (!*why && (interrupted || now > deadline)) {
            move->late = !interrupted;
            *why = interrupted ? "interrupted" : "it took longer than --timeout allows";
            if (!cancel(move, error)) {
                return FALSE;
            }
        }
        if (move->terminal || now > shown + G_USEC_PER_SEC) {
            show_progress(move);
            shown = now;
        }
        if (!wait_step(move, error)) {
            return FALSE;
        }
    }
}

static gboolean set_up(const Move *move, GError **error)
{
    /* The other side's answer ("return-path") is what makes going back safe. */
    static const char capabilities[] =
        "{\"capabilities\": [{\"capability\": \"events\", \"state\": true},"
        " {\"capability\": \"return-path\", \"state\": true},"
        " {\"capability\": \"auto-converge\", \"state\": true}]}";

    return qmp_run(move->qmp, "migrate-set-capabilities", g_strdup(capabilities), soon(), error) &&
           qmp_run(move->qmp, "migrate-set-parameters",
                   channel_arguments("{'downtime-limit': <%x>, 'max-bandwidth': <%x>}",
                                     (gint64)move->request->downtime_ms,
                                     (gint64)move->request->bandwidth),
                   soon(), error);
}

/* QEMU lets the guest go on by itself; here it is seen that it did. */
static gboolean go_back(Move *move, const char *why, GError **error)
{
    const char *reason =
        json_object_get_string_member_with_default(move->info, "error-desc", move->status);
    gint64 deadline = soon();

    for (;;) {
        g_autofree char *state = guest_state(move->qmp, deadline, error);

        if (!state) {
            return FALSE;
        }
        if (!move->was_running || strcmp(state, "running") == 0) {
            g_set_error(error, move->late ? G_IO_ERROR : CTL_ERROR,
                        move->late ? (int)G_IO_ERROR_TIMED_OUT : (int)CTL_ERROR_FAILED,
                        "guest %s was not moved (%s); it goes on here%s", move->guest->id,
                        why ? why : reason, move->was_running ? "" : ", paused as it was");
            return FALSE;
        }
        if (strcmp(state, "finish-migrate") != 0) {
            return ctl_fail(error, CTL_ERROR_FAILED,
                            "guest %s was not moved (%s), and is %s here; 'microvm-ctl resume %s'",
                            move->guest->id, why ? why : reason, state, move->guest->id);
        }
        if (!wait_step(move, error)) {
            return FALSE;
        }
    }
}

/* The guest lives elsewhere now; what is left here must not go on, ever. */
static gboolean leave(Move *move, GError **error)
{
    int pidfd = guest_pidfd(move->guest, NULL);
    gboolean ended;

    printf("%smoved: downtime %" G_GINT64_FORMAT " ms, %.1f s in all\n",
           move->terminal ? "\r\033[K" : "", info_int(move, "downtime"),
           (double)info_int(move, "total-time") / 1000);
    if (pidfd < 0) {
        return TRUE; /* it has ended already */
    }
    qmp_run(move->qmp, "quit", NULL, soon(), NULL);
    ended = pidfd_wait(pidfd, soon());
    close(pidfd);
    return ended || ctl_fail(error, CTL_ERROR_FAILED,
                             "the guest was moved, but QEMU here does not end; 'microvm-ctl stop'");
}

static gboolean start(const Move *move, const char *uri, GError **error)
{
    return qmp_run(move->qmp, "migrate", channel_arguments("{'uri': <%s>}", uri), soon(), error);
}

/* QEMU gets the socket to ssh, and whatever becomes of us, the move goes on or back. */
static gboolean start_remote(Move *move, GError **error)
{
    static const char name[] = "microvm-ctl";
    const Request *request = move->request;

    move->remote = remote_start(request->to, request->ssh_config, move->guest->id, request->words,
                                channel_deadline(request->timeout), error);
    if (!move->remote || !qmp_give_fd(move->qmp, name, remote_fd(move->remote), soon(), error)) {
        return FALSE;
    }
    remote_close(move->remote);
    if (start(move, "fd:microvm-ctl", error)) {
        return TRUE;
    }
    qmp_run(move->qmp, "closefd", channel_arguments("{'fdname': <%s>}", name), soon(), NULL);
    return FALSE;
}

static gboolean move_guest(Move *move, GError **error)
{
    const char *why = NULL;
    gboolean remote = remote_is_destination(move->request->to);

    if (!set_up(move, error) ||
        !(remote ? start_remote(move, error) : start(move, move->request->to, error))) {
        return FALSE;
    }
    if (!follow(move, &why, error)) {
        g_prefix_error(error, "guest %s may still be moving (migrate --cancel): ", move->guest->id);
        return FALSE;
    }
    if (strcmp(move->status, "completed") == 0) {
        gboolean done = leave(move, error);

        if (move->remote && !remote_finish(move->remote, soon())) {
            output_say("the guest was moved, but the other side has not ended well");
        }
        return done;
    }
    if (move->remote) {
        remote_finish(move->remote, soon()); /* what it has to say comes before our own words */
    }
    if (move->terminal) {
        printf("\r\033[K");
    }
    return go_back(move, why, error);
}

static gboolean check_state(Move *move, GError **error)
{
    static const char *const movable[] = {"running", "paused", NULL};
    g_autofree char *state = guest_state(move->qmp, soon(), error);

    if (!state || !look(move, error)) {
        return FALSE;
    }
    if (!is_over(move)) {
        return ctl_fail(error, CTL_ERROR_FAILED, "guest %s is being moved already (%s)",
                        move->guest->id, move->status);
    }
    move->was_running = strcmp(state, "running") == 0;
    return is_one_of(state, movable) ||
           ctl_fail(error, CTL_ERROR_FAILED, "guest %s cannot be moved, it is %s", move->guest->id,
                    state);
}

static gboolean check_request(const Request *request, GError **error)
{
    if (request->cancel != (request->to == NULL)) {
        return ctl_fail(error, CTL_ERROR_USAGE, "migrate: either --to URI or --cancel");
    }
    if (request->to && remote_is_destination(request->to)) {
        return TRUE;
    }
    if (request->to && !g_str_has_prefix(request->to, "unix:/") &&
        !g_str_has_prefix(request->to, "tcp:")) {
        return ctl_fail(error, CTL_ERROR_USAGE,
                        "migrate: '%s' is neither ssh:[USER@]HOST, unix:/PATH nor tcp:HOST:PORT",
                        request->to);
    }
    return (request->n_words == 0 && !request->ssh_config) ||
           ctl_fail(error, CTL_ERROR_USAGE,
                    "migrate: words for the launcher and --ssh-config go with --to ssh:HOST only");
}

gboolean ctl_migrate(Request *request, GError **error)
{
    struct sigaction action = {.sa_handler = on_signal};
    g_auto(Move) move = {.request = request, .terminal = isatty(STDOUT_FILENO)};
    g_autoptr(Guest) guest = NULL;

    if (!check_request(request, error) || !(guest = guest_find(request, error))) {
        return FALSE;
    }
    move.guest = guest;
    move.qmp = guest_qmp(guest, soon(), error);
    if (!move.qmp) {
        return FALSE;
    }
    if (request->cancel) {
        return cancel(&move, error);
    }
    if (!check_state(&move, error)) {
        return FALSE;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    return move_guest(&move, error);
}
