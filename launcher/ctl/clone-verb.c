/* SPDX-License-Identifier: GPL-2.0-or-later */
/* microvm-ctl clone: guests that go on running by themselves once they are awake. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clone.h"
#include "output.h"

static gboolean begin(Clone *clone, GError **error)
{
    return clone_plan(clone, NULL, error) && clone_start(clone, error);
}

static gboolean go_on(Clone *clone, GError **error)
{
    return clone_started(clone, error) && clone_run(clone, error) &&
           identity_send(clone->identity, clone->plan, clone->tmpl, clone->keys, clone->deadline,
                         error);
}

static gboolean finish(Clone *clone, GError **error)
{
    if (!identity_wait(clone->identity, clone->deadline, error) ||
        !warm_set_links(clone->qmp, clone->plan, TRUE, clone->deadline, error)) {
        return FALSE;
    }
    clone->ready = g_get_monotonic_time();
    return TRUE;
}

static void add_json(JsonBuilder *builder, const Clone *clone)
{
    json_builder_begin_object(builder);
    output_int(builder, "id", g_ascii_strtoll(clone->id, NULL, 10));
    output_string(builder, "name", clone->plan->name);
    output_int(builder, "pid", clone->guest->pid);
    output_string(builder, "directory", clone->guest->dir);
    output_int(builder, "running-ms", (clone->running - clone->begun) / 1000);
    output_int(builder, "ready-ms", (clone->ready - clone->begun) / 1000);
    json_builder_end_object(builder);
}

/* It is a guest like any other from here on. */
static void let_go(Clone *clone, JsonBuilder *builder)
{
    if (builder) {
        add_json(builder, clone);
    } else {
        printf("%-9s  %-20s  running after %" G_GINT64_FORMAT " ms, ready after %" G_GINT64_FORMAT
               " ms\n",
               clone->id, clone->plan->name, (clone->running - clone->begun) / 1000,
               (clone->ready - clone->begun) / 1000);
    }
    g_clear_pointer(&clone->guest, guest_free);
}

/* Each step for all, so that they wake beside each other. One that fails takes none with it. */
static void each(GPtrArray *clones, gboolean (*step)(Clone *, GError **), GError **first)
{
    for (guint i = 0; i < clones->len;) {
        Clone *clone = clones->pdata[i];
        g_autoptr(GError) error = NULL;

        if (step(clone, &error)) {
            i++;
            continue;
        }
        g_prefix_error(&error, "clone %s: ", clone->id);
        if (*first) {
            output_say("%s", (*first)->message);
            g_clear_error(first);
        }
        *first = g_steal_pointer(&error);
        g_ptr_array_remove_index(clones, i);
    }
}

static gboolean wake(const Request *request, const char *store, const Template *tmpl,
                     GError **error)
{
    g_autoptr(GPtrArray) clones = g_ptr_array_new_with_free_func((GDestroyNotify)clone_free);
    g_autoptr(JsonBuilder) builder = request->json ? json_builder_new() : NULL;
    GError *first = NULL;

    for (guint i = 1; i < request->n_words; i++) {
        g_ptr_array_add(clones, clone_new(request, store, tmpl, request->words[i]));
    }
    each(clones, begin, &first);
    each(clones, go_on, &first);
    each(clones, finish, &first);
    if (builder) {
        json_builder_begin_array(builder);
    }
    for (guint i = 0; i < clones->len; i++) {
        let_go(clones->pdata[i], builder);
    }
    if (builder) {
        json_builder_end_array(builder);
        output_json(builder);
    }
    if (first) {
        g_propagate_error(error, first);
    }
    return first == NULL;
}

static gboolean check_words(const Request *request, GError **error)
{
    if (!store_check_name(request->words[0], error)) {
        return FALSE;
    }
    for (guint i = 1; i < request->n_words; i++) {
        const char *id = request->words[i];

        if (!g_ascii_string_to_unsigned(id, 10, 1, 999999999, NULL, NULL) || *id == '0') {
            return ctl_fail(error, CTL_ERROR_USAGE, "clone: '%s' is not a guest's id, as 201", id);
        }
        for (guint j = 1; j < i; j++) {
            if (strcmp(request->words[j], id) == 0) {
                return ctl_fail(error, CTL_ERROR_USAGE, "clone: %s stands twice", id);
            }
        }
    }
    return TRUE;
}

/* Until the process behind @pidfd has ended. Each signal that would end us is passed on to it. */
static void wait_and_pass(int pidfd, int signals)
{
    struct pollfd fds[] = {{.fd = pidfd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    struct signalfd_siginfo info;

    while (!(fds[0].revents & POLLIN)) {
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno != EINTR) {
            return;
        }
        if ((fds[1].revents & POLLIN) && read(signals, &info, sizeof(info)) == sizeof(info)) {
            syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0);
        }
    }
}

/* As the launcher does, whose place QEMU takes. Signals are blocked since store_supervise(). */
static gboolean stay(const Request *request, GError **error)
{
    Request asked = *request;
    g_autoptr(Guest) guest = NULL;
    g_autoptr(GError) cause = NULL;
    sigset_t set;
    int pidfd, signals;

    asked.id = request->words[1];
    guest = guest_find(&asked, &cause);
    pidfd = guest ? guest_pidfd(guest, &cause) : -1;
    if (pidfd < 0 && (g_error_matches(cause, CTL_ERROR, CTL_ERROR_GUEST) ||
                      g_error_matches(cause, G_IO_ERROR, g_io_error_from_errno(ESRCH)))) {
        return TRUE; /* it has ended already */
    }
    if (pidfd < 0) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) {
        close(pidfd);
        return ctl_fail(error, CTL_ERROR_FAILED, "signalfd: %s", g_strerror(errno));
    }
    wait_and_pass(pidfd, signals);
    close(signals);
    close(pidfd);
    return TRUE;
}

gboolean ctl_clone(Request *request, GError **error)
{
    g_autofree char *store = store_dir(request);
    g_autoptr(Template) tmpl = NULL;
    gboolean done = FALSE;

    if (!check_words(request, error)) {
        return FALSE;
    }
    if (request->foreground && request->n_words != 2) {
        return ctl_fail(error, CTL_ERROR_USAGE, "clone: --foreground is for one guest");
    }
    tmpl = template_load(store, request->words[0], error);
    if (!tmpl || !clone_check_user(request, tmpl, error) || !template_check(tmpl, error)) {
        return FALSE;
    }
    if (!store_supervise(store, request, &done, error)) {
        return done && (!request->foreground || stay(request, error));
    }
    return wake(request, store, tmpl, error);
}
