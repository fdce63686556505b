/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "warm.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "argv.h"
#include "confine.h"
#include "launch.h"
#include "load.h"
#include "output.h"

#define KILL_SECONDS 10

/* The launcher's own parser reads them; what is wrong it says itself. */
static gboolean parse_words(const char *path, char **words, Options *options, GError **error)
{
    static GStrv argv; /* stays: options point into it */
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    Options given;

    g_strv_builder_add(builder, "microvm-launch");
    for (; words && *words; words++) {
        g_strv_builder_add(builder, *words);
    }
    g_strv_builder_add(builder, path);
    g_strfreev(argv);
    argv = g_strv_builder_end(builder);
    optind = 0;
    if (options_parse((int)g_strv_length(argv), argv, &given) != OPTIONS_OK) {
        return ctl_fail(error, CTL_ERROR_USAGE, "the words behind '--' are not the launcher's");
    }
    if (given.mode != MODE_RUN || given.plan.trailing || given.plan.force_machine) {
        return ctl_fail(error, CTL_ERROR_USAGE,
                        "of the launcher's words, --print and its like, --force-machine and QEMU's "
                        "own have no place here");
    }
    *options = given;
    return TRUE;
}

Plan *warm_plan(const char *path, char **words, Options *options, GError **error)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(Config) config = NULL;
    const PlanOptions ours = options->plan;
    Plan *plan;

    if (words && !parse_words(path, words, options, error)) {
        return NULL;
    }
    if (words) {
        options->plan.warm = ours.warm;
        options->plan.daemonize = ours.daemonize;
        options->plan.trailing = ours.trailing;
        options->plan.runtime_dir = ours.runtime_dir;
        if (ours.user) {
            options->plan.user = ours.user;
        }
    }
    options->config = path;
    options->host = "plain"; /* also for configs of a Proxmox host: it is microvm-ctl who starts */
    config = load_config(options, warnings, error);
    plan = config ? load_plan(options, config, warnings, error) : NULL;
    for (guint i = 0; i < warnings->len && !ours.warm; i++) {
        output_say("warning: %s", (char *)warnings->pdata[i]);
    }
    return plan;
}

/* Ends with us, until it is in the background. */
static void become_qemu(const Plan *plan, char **argv)
{
    g_autoptr(GError) error = NULL;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    launch(plan, argv, &error);
    output_say("%s", error->message);
    _exit(1);
}

int warm_start(const Plan *plan, GError **error)
{
    g_auto(GStrv) argv = argv_build(plan);
    pid_t process;

    fflush(NULL);
    process = fork();
    if (process == 0) {
        become_qemu(plan, argv);
    }
    if (process < 0) {
        ctl_fail(error, CTL_ERROR_FAILED, "fork: %s", g_strerror(errno));
    }
    return process;
}

Guest *warm_started(const Plan *plan, int process, GError **error)
{
    Guest *guest = NULL;
    int status = 0;

    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        guest = guest_at(plan->pidfile);
    }
    if (!guest) {
        ctl_fail(error, CTL_ERROR_FAILED, "QEMU for guest %s did not start", plan->id);
    }
    return guest;
}

void warm_end(const Guest *guest)
{
    int pidfd = guest_pidfd(guest, NULL);

    if (pidfd < 0) {
        return;
    }
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    pidfd_wait(pidfd, channel_deadline(KILL_SECONDS));
    close(pidfd);
}

/* Killed, it leaves its sockets and pidfile. */
static void remove_files(const Guest *guest)
{
    static const char *const suffixes[] = {"pid",     "qmp",     "qga",     "identity",
                                           "serial0", "serial1", "serial2", "serial3"};

    for (gsize i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree char *path = guest_path(guest, suffixes[i]);

        unlink(path);
    }
}

void doomed_guest_end(DoomedGuest *guest)
{
    if (guest) {
        warm_end(guest);
        remove_files(guest);
        guest_free(guest);
    }
}

gboolean warm_set_capabilities(Qmp *qmp, gint64 deadline, GError **error)
{
    static const char capabilities[] =
        "{\"capabilities\": [{\"capability\": \"events\", \"state\": true},"
        " {\"capability\": \"x-ignore-shared\", \"state\": true}]}";

    return qmp_run(qmp, "migrate-set-capabilities", g_strdup(capabilities), deadline, error);
}

gboolean warm_set_links(Qmp *qmp, const Plan *plan, gboolean up, gint64 deadline, GError **error)
{
    for (guint i = 0; i < plan->nics->len; i++) {
        const PlanNic *nic = plan->nics->pdata[i];

        if (!(up && (nic->link_down || nic->alone)) &&
            !qmp_run(qmp, "set_link", channel_arguments("{'name': <%s>, 'up': <%b>}", nic->key, up),
                     deadline, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

int warm_open(const char *path, int flags, GError **error)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        ctl_fail(error, CTL_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
    }
    return fd;
}

void warm_end_with_parent(G_GNUC_UNUSED gpointer data)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

gboolean warm_run(const char *const *argv, GError **error)
{
    g_autoptr(GError) cause = NULL;
    int status;

    if (g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL,
                     warm_end_with_parent, NULL, NULL, NULL, &status, &cause) &&
        g_spawn_check_wait_status(status, &cause)) {
        return TRUE;
    }
    return ctl_fail(error, CTL_ERROR_FAILED, "%s: %s", argv[0], cause->message);
}

char *warm_qemu_img(const char *qemu)
{
    g_autofree char *dir = g_path_get_dirname(qemu);
    g_autofree char *beside = g_build_filename(dir, "qemu-img", NULL);

    return g_file_test(beside, G_FILE_TEST_IS_EXECUTABLE) ? g_steal_pointer(&beside)
                                                          : g_strdup("qemu-img");
}

gboolean warm_make_dir(const char *path, GError **error)
{
    return (mkdir(path, 0755) == 0 && chmod(path, 0755) == 0) ||
           ctl_fail(error, CTL_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
}

/* User and group of @name; FALSE without @error when it is us. */
static gboolean find_user(const char *name, ConfineUser **user, GError **error)
{
    if (!name || strcmp(name, "root") == 0 || geteuid() != 0) {
        return FALSE;
    }
    *user = confine_user_find(name, strcmp(name, HOST_ACCOUNT) == 0, error);
    return *user != NULL;
}

gboolean warm_give(const char *path, const char *name, guint mode, GError **error)
{
    g_autoptr(ConfineUser) user = NULL;
    g_autoptr(GError) cause = NULL;

    if (!find_user(name, &user, &cause)) {
        if (cause) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        return chmod(path, mode) == 0 ||
               ctl_fail(error, CTL_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
    }
    return (chown(path, user->uid, user->gid) == 0 && chmod(path, mode) == 0) ||
           ctl_fail(error, CTL_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
}

gboolean warm_share(const char *path, const char *name, gboolean directory, GError **error)
{
    g_autoptr(ConfineUser) user = NULL;
    g_autoptr(GError) cause = NULL;
    guint mode = directory ? 0700 : 0600;

    if (find_user(name, &user, &cause)) {
        mode = directory ? 0710 : 0640;
    } else if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    return (chown(path, geteuid(), user ? user->gid : (gid_t)-1) == 0 && chmod(path, mode) == 0) ||
           ctl_fail(error, CTL_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
}
