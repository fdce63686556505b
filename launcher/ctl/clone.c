/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests that wake from a template, each as a guest of its own. Its memory is the template's until
 * it writes there, its disks are layers over the template's. What is in its directory is gone from
 * the names as soon as QEMU has it open, and from the disk when QEMU ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "identity.h"
#include "output.h"
#include "template.h"
#include "warm.h"

typedef struct {
    const Request *request;
    const char *store;
    const Template *tmpl;
    char *id;
    gint64 deadline;
    gint64 begun, running, ready; /* as g_get_monotonic_time() has it */
    Work *work;
    Plan *plan;
    int process; /* that becomes QEMU; 0: none */
    DoomedGuest *guest;
    Qmp *qmp;
    Identity *identity;
} Clone;

static void clone_free(Clone *clone)
{
    g_clear_pointer(&clone->identity, identity_free);
    g_clear_pointer(&clone->qmp, qmp_free);
    if (clone->process > 0) {
        clone->guest = warm_started(clone->plan, clone->process, NULL);
    }
    g_clear_pointer(&clone->guest, doomed_guest_end);
    g_clear_pointer(&clone->plan, plan_free);
    g_clear_pointer(&clone->work, work_remove);
    g_free(clone->id);
    g_free(clone);
}

/* A layer that takes what the clone writes, over the disk of the template. */
static gboolean make_layer(const Clone *clone, const char *key, GError **error)
{
    g_autofree char *qemu_img = warm_qemu_img(clone->tmpl->qemu);
    g_autofree char *name = g_strconcat(key, ".qcow2", NULL);
    g_autofree char *base = template_path(clone->tmpl, name);
    g_autofree char *path = g_build_filename(clone->work->path, name, NULL);
    const char *argv[] = {qemu_img, "create", "-q", "-f", "qcow2", "-F",
                          "qcow2",  "-b",     base, path, NULL};

    return warm_run(argv, error) && warm_give(path, clone->tmpl->user, 0600, error);
}

/* QEMU's words name the clone's directory thereby, also when it has no disk: see store_sweep(). */
static gboolean link_memory(const Clone *clone, const char *link, GError **error)
{
    g_autofree char *memory = template_path(clone->tmpl, TEMPLATE_MEMORY);

    return symlink(memory, link) == 0 ||
           ctl_fail(error, CTL_ERROR_FAILED, "%s: %s", link, g_strerror(errno));
}

static gboolean plan_clone(Clone *clone, const char *memory, GError **error)
{
    static const char *const incoming[] = {"-incoming", "defer", NULL};
    const Template *tmpl = clone->tmpl;
    const Request *request = clone->request;
    g_autofree char *suffix = g_strconcat("-", clone->id, NULL), *uuid = g_uuid_string_random();
    g_autofree char *config = template_path(tmpl, TEMPLATE_CONFIG);
    PlanWarm warm = {.memory = memory,
                     .clone = TRUE,
                     .disks = clone->work->path,
                     .bases = tmpl->dir,
                     .suffix = suffix,
                     .vmgenid = tmpl->vmgenid ? uuid : NULL};
    Options options = {.plan = {.warm = &warm, .daemonize = TRUE, .trailing = incoming}};

    options.plan.id = clone->id;
    options.plan.qemu = tmpl->qemu;
    options.plan.kernel = tmpl->kernel;
    options.plan.initrd = tmpl->initrd;
    options.plan.force_machine = tmpl->machine;
    options.plan.force_cpu = tmpl->cpu;
    options.plan.runtime_dir = request->runtime_dir;
    options.plan.user = tmpl->user;
    options.plan.net = request->net ? request->net : tmpl->user_net ? "user" : NULL;
    options.plan.vsock = tmpl->vsock;
    clone->plan = warm_plan(config, NULL, &options, error);
    return clone->plan != NULL;
}

static gboolean begin(Clone *clone, GError **error)
{
    g_autofree char *memory = NULL;

    clone->begun = g_get_monotonic_time();
    clone->work = work_new(clone->store, STORE_CLONE, clone->id, error);
    if (!clone->work || !warm_share(clone->work->path, clone->tmpl->user, TRUE, error)) {
        return FALSE;
    }
    memory = g_build_filename(clone->work->path, TEMPLATE_MEMORY, NULL);
    if (!link_memory(clone, memory, error)) {
        return FALSE;
    }
    for (guint i = 0; i < clone->tmpl->disks->len; i++) {
        if (!make_layer(clone, clone->tmpl->disks->pdata[i], error)) {
            return FALSE;
        }
    }
    if (!plan_clone(clone, memory, error)) {
        return FALSE;
    }
    clone->process = warm_start(clone->plan, error);
    return clone->process > 0;
}

/* Connected before the guest runs, as they were when it was saved. */
static gboolean connect_all(Clone *clone, GError **error)
{
    int process = clone->process;

    clone->process = 0;
    clone->guest = warm_started(clone->plan, process, error);
    if (!clone->guest) {
        return FALSE;
    }
    clone->identity = identity_connect(clone->plan->identity, error);
    clone->qmp = clone->identity ? guest_qmp(clone->guest, clone->deadline, error) : NULL;
    return clone->qmp != NULL;
}

static gboolean load_state(const Clone *clone, GError **error)
{
    g_autofree char *path = template_path(clone->tmpl, TEMPLATE_STATE);
    int fd = warm_open(path, O_RDONLY, error);
    gboolean given = fd >= 0 && warm_set_capabilities(clone->qmp, clone->deadline, error) &&
                     qmp_give_fd(clone->qmp, "state", fd, clone->deadline, error);

    if (fd >= 0) {
        close(fd);
    }
    return given &&
           qmp_run(clone->qmp, "migrate-incoming",
                   g_strdup("{\"uri\": \"fd:state\", \"exit-on-error\": false}"), clone->deadline,
                   error) &&
           qmp_wait_migration(clone->qmp, clone->deadline, error);
}

/* Its CPUs run from here on, with its file systems frozen and its links cut. */
static gboolean run_clone(Clone *clone, GError **error)
{
    if (!connect_all(clone, error) || !load_state(clone, error) ||
        !qmp_run(clone->qmp, "cont", NULL, clone->deadline, error)) {
        return FALSE;
    }
    clone->running = g_get_monotonic_time();
    return identity_send(clone->identity, clone->plan, clone->tmpl, clone->deadline, error);
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
        Clone *clone = g_new0(Clone, 1);

        clone->request = request;
        clone->store = store;
        clone->tmpl = tmpl;
        clone->id = g_strdup(request->words[i]);
        clone->deadline = channel_deadline(request->timeout);
        g_ptr_array_add(clones, clone);
    }
    each(clones, begin, &first);
    each(clones, run_clone, &first);
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

/* What QEMU may read of a template is for one user. */
static gboolean check_user(const Request *request, const Template *tmpl, GError **error)
{
    const char *user = tmpl->user ? tmpl->user : "root";

    return !request->user || strcmp(request->user, user) == 0 ||
           ctl_fail(error, CTL_ERROR_USAGE,
                    "template '%s' was made for user %s; --user %s has to be said when it is made",
                    tmpl->name, user, request->user);
}

gboolean ctl_clone(Request *request, GError **error)
{
    g_autofree char *store = store_dir(request);
    g_autoptr(Template) tmpl = NULL;
    gboolean done = FALSE;

    if (!check_words(request, error)) {
        return FALSE;
    }
    tmpl = template_load(store, request->words[0], error);
    if (!tmpl || !check_user(request, tmpl, error) || !template_check(tmpl, error)) {
        return FALSE;
    }
    if (!store_supervise(store, request, &done, error)) {
        return done;
    }
    return wake(request, store, tmpl, error);
}
