/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * microvm-run: a command in a guest that wakes from a template for it, and is gone with it. This
 * process looks after the command's streams; a second one, the keeper, has the guest started, and
 * clears all away when this one ends, however it does.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "launcher-paths.h"
#include "output.h"
#include "run-keeper.h"
#include "run-options.h"
#include "run-session.h"

/* As timeout(1) and env(1) have them. */
enum {
    EXIT_TIMEOUT = 124,
    EXIT_FAILED = 125,
};

#define ONLINE_SECONDS 30 /* for a lease */

/* All is cleared away before the signal ends us as it would have. */
static void on_signal(int number)
{
    keeper_end();
    signal(number, SIG_DFL);
    raise(number);
}

/* Until the command runs. A handler blocks none of the others: the first one ends us. */
static void handle_signals(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = on_signal};

    sigfillset(&action.sa_mask);
    for (gsize i = 0; i < G_N_ELEMENTS(ends); i++) {
        struct sigaction before;

        if (sigaction(ends[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            sigaction(ends[i], &action, NULL);
        }
    }
}

/* One that no config can have, so that it is nobody else's; see PLAN_RUN_ID_MIN. */
static char *choose_id(void)
{
    guint64 number = 0;

    if (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
        number = (guint64)getpid();
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT,
                           PLAN_RUN_ID_MIN + number % (PLAN_RUN_ID_MAX - PLAN_RUN_ID_MIN + 1));
}

static gboolean check(const RunOptions *options, const Template *tmpl, GError **error)
{
    if (options->user_net && !tmpl->user_net) {
        return ctl_fail(error, CTL_ERROR_USAGE,
                        "--net user: template '%s' has no NIC of the user network; make it with "
                        "'-- --net user', or use --net bridge=",
                        tmpl->name);
    }
    if (options->bridge && !template_mac(tmpl, "net0")) {
        return ctl_fail(error, CTL_ERROR_USAGE, "--net: template '%s' has no net0", tmpl->name);
    }
    if (options->memory_mib > tmpl->memory_mib) {
        return ctl_fail(error, CTL_ERROR_USAGE,
                        "--memory: template '%s' has %" G_GUINT64_FORMAT
                        " MiB, and its clones can have no more",
                        tmpl->name, tmpl->memory_mib);
    }
    return TRUE;
}

/* A guest may have no service that could tell, or the network none that gives out addresses. */
static gboolean go_online(Clone *clone, const RunOptions *options, GError **error)
{
    const GPtrArray *hosts = options->allow ? options->allow->hosts : NULL;
    GError *cause = NULL;

    if (identity_go_online(clone->identity, hosts, ONLINE_SECONDS, clone->deadline, &cause)) {
        return TRUE;
    }
    if (!g_error_matches(cause, CTL_ERROR, CTL_ERROR_FAILED)) {
        g_propagate_error(error, cause);
        return FALSE;
    }
    output_say("warning: %s", cause->message);
    g_error_free(cause);
    return TRUE;
}

/* Who it is, before it has a network; without one it need not be somebody of its own. */
static gboolean introduce(Clone *clone, const RunOptions *options, GError **error)
{
    if (!options->user_net && !options->bridge) {
        return identity_send_alone(clone->identity, clone->deadline, error);
    }
    return identity_send(clone->identity, clone->plan, clone->tmpl, clone->keys, clone->deadline,
                         error) &&
           identity_wait(clone->identity, clone->deadline, error) &&
           warm_set_links(clone->qmp, clone->plan, TRUE, clone->deadline, error) &&
           go_online(clone, options, error);
}

static gboolean limit_memory(const Clone *clone, const RunOptions *options, GError **error)
{
    return options->memory_mib == 0 ||
           guest_set_balloon(clone->qmp, (gint64)options->memory_mib << 20, clone->deadline, error);
}

static gboolean run_command(Clone *clone, const RunOptions *options, int *status, GError **error)
{
    RunSession session = {.words = options->words,
                          .in = STDIN_FILENO,
                          .out = STDOUT_FILENO,
                          .err = STDERR_FILENO,
                          .terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO),
                          .mount = options->mount != NULL,
                          .mount_readonly = options->mount_readonly,
                          .deadline = options->seconds > 0 ? clone->deadline : 0};
    sigset_t signals;
    int fd = identity_run(clone->identity, clone->deadline, error);

    if (fd < 0) {
        return FALSE;
    }
    run_session_signals(&signals);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return run_session(fd, &session, status, error);
}

/* No signal comes between the directory's making and the keeper's. */
static gboolean start(Clone *clone, const RunOptions *options, GError **error)
{
    const CloneRun run = {.network = options->user_net,
                          .bridge = options->bridge,
                          .mount = options->mount,
                          .mount_writable = !options->mount_readonly};
    sigset_t all, before;
    gboolean planned;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    planned = clone_plan(clone, &run, error);
    if (planned) {
        handle_signals();
        planned = keeper_fork(clone, options->allow, error);
    }
    if (!planned) {
        g_clear_pointer(&clone->keys, host_keys_free);
        g_clear_pointer(&clone->work, work_remove);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return planned && keeper_wait(clone, error);
}

static gboolean run(const RunOptions *options, int *status, GError **error)
{
    Request request = {.state_dir = options->state_dir,
                       .timeout = options->seconds > 0 ? options->seconds : RUN_WAKE_SECONDS};
    g_autofree char *store = store_dir(&request), *id = choose_id();
    g_autoptr(Template) tmpl = template_load(store, options->image, error);
    Clone *clone;
    gboolean done;

    if (!tmpl || !template_check(tmpl, error) || !check(options, tmpl, error)) {
        return FALSE;
    }
    clone = clone_new(&request, store, tmpl, id);
    done = start(clone, options, error) && clone_run(clone, error) &&
           introduce(clone, options, error) && limit_memory(clone, options, error) &&
           run_command(clone, options, status, error);
    g_clear_pointer(&clone->keys, host_keys_free); /* before the directory goes that they are in */
    if (!keeper_end()) {
        store_sweep(store);
    }
    clone_forget(clone);
    return done;
}

static int exit_status(const RunOptions *options, int status, const GError *error)
{
    gboolean late = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);

    if (g_error_matches(error, CTL_ERROR, CTL_ERROR_EXIT)) {
        return status;
    }
    output_say("%s", error->message);
    return late && options->seconds > 0 ? EXIT_TIMEOUT : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    g_auto(RunOptions) options = {0};
    g_autoptr(GError) error = NULL;
    int status = EXIT_FAILED;

    output_program("microvm-run");
    signal(SIGPIPE, SIG_IGN); /* who reads no more is told to the guest */
    switch (run_options_parse(argc, argv, &options, &error)) {
    case RUN_OPTIONS_DONE:
        return 0;
    case RUN_OPTIONS_BAD:
        if (error) {
            output_say("%s", error->message);
        }
        return EXIT_FAILED;
    case RUN_OPTIONS_OK:
        break;
    }
    if (!run(&options, &status, &error)) {
        status = exit_status(&options, status, error);
    }
    return status;
}
