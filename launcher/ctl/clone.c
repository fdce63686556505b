/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a guest wakes from a template. What is in a clone's directory is gone from the names as soon
 * as QEMU has it open, and from the disk when QEMU ends; but for one that runs a command, which
 * keeps all that it has in there.
 */
#include "clone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MOUNT_DIR "mount"
#define RUN_DIR "run"

Clone *clone_new(const Request *request, const char *store, const Template *tmpl, const char *id)
{
    Clone *clone = g_new0(Clone, 1);

    clone->request = request;
    clone->store = store;
    clone->tmpl = tmpl;
    clone->id = g_strdup(id);
    clone->deadline = channel_deadline(request->timeout);
    return clone;
}

void clone_free(Clone *clone)
{
    if (!clone) {
        return;
    }
    g_clear_pointer(&clone->keys, host_keys_free);
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

void clone_forget(Clone *clone)
{
    g_clear_pointer(&clone->guest, guest_free);
    g_clear_pointer(&clone->work, work_free);
    clone->process = 0;
    clone_free(clone);
}

static char *in_work(const Clone *clone, const char *name)
{
    return g_build_filename(clone->work->path, name, NULL);
}

/* A layer that takes what the clone writes, over the disk of the template. */
static gboolean make_layer(const Clone *clone, const char *key, GError **error)
{
    g_autofree char *name = g_strconcat(key, ".qcow2", NULL), *path = in_work(clone, name);
    g_autofree char *empty = template_layer(clone->tmpl, key), *data = NULL;
    gsize size;

    return g_file_get_contents(empty, &data, &size, error) &&
           g_file_set_contents_full(path, data, (gssize)size, G_FILE_SET_CONTENTS_NONE, 0600,
                                    error) &&
           warm_give(path, clone->tmpl->user, 0600, error);
}

/* QEMU's words name the clone's directory thereby, also when it has no disk: see store_sweep(). */
static gboolean link_memory(const Clone *clone, const char *link, GError **error)
{
    g_autofree char *memory = template_path(clone->tmpl, TEMPLATE_MEMORY);

    return symlink(memory, link) == 0 ||
           ctl_fail(error, CTL_ERROR_FAILED, "%s: %s", link, g_strerror(errno));
}

static void plan_run(const CloneRun *run, PlanWarm *warm)
{
    warm->run = TRUE;
    warm->user_net = run->network;
    warm->bridge = run->bridge;
    warm->mount_writable = run->mount && run->mount_writable;
    if (geteuid() == 0) {
        warm->mount_source = run->mount;
    } else if (run->mount) { /* QEMU is us, and there is no need of a mount of its own */
        warm->mount = run->mount;
    }
}

/* For one that will have a name. They are made while QEMU starts. */
static void begin_keys(Clone *clone)
{
    g_autofree char *comment = g_strconcat("root@", clone->plan->name, NULL);

    clone->keys = host_keys_begin(clone->work->path, clone->tmpl->ssh_keys, comment);
}

gboolean clone_plan(Clone *clone, const CloneRun *run, GError **error)
{
    static const char *const incoming[] = {"-incoming", "defer", NULL};
    const Template *tmpl = clone->tmpl;
    const Request *request = clone->request;
    g_autofree char *suffix = g_strconcat("-", clone->id, NULL), *uuid = g_uuid_string_random();
    g_autofree char *config = template_path(tmpl, TEMPLATE_CONFIG), *memory = NULL, *mount = NULL;
    g_autofree char *run_dir = NULL;
    PlanWarm warm = {.clone = TRUE,
                     .bases = tmpl->dir,
                     .suffix = suffix,
                     .vmgenid = tmpl->vmgenid ? uuid : NULL};
    Options options = {.plan = {.warm = &warm, .daemonize = TRUE, .trailing = incoming}};

    clone->begun = g_get_monotonic_time();
    clone->work = work_new(clone->store, STORE_CLONE, clone->id, error);
    if (!clone->work) {
        return FALSE;
    }
    memory = in_work(clone, TEMPLATE_MEMORY);
    mount = in_work(clone, MOUNT_DIR);
    run_dir = in_work(clone, RUN_DIR);
    warm.memory = memory;
    warm.mount = mount;
    warm.disks = clone->work->path;
    if (run) {
        plan_run(run, &warm);
    }
    options.plan.id = clone->id;
    options.plan.qemu = tmpl->qemu;
    options.plan.kernel = tmpl->kernel;
    options.plan.initrd = tmpl->initrd;
    options.plan.force_machine = tmpl->machine;
    options.plan.force_cpu = tmpl->cpu;
    options.plan.runtime_dir = run ? run_dir : request->runtime_dir;
    options.plan.user = tmpl->user;
    options.plan.net = request->net ? request->net : tmpl->user_net ? "user" : NULL;
    options.plan.vsock = tmpl->vsock;
    options.plan.no_limits = request->no_limits;
    clone->plan = warm_plan(config, NULL, &options, error);
    if (clone->plan && (!run || run->network || run->bridge)) {
        begin_keys(clone);
    }
    return clone->plan != NULL;
}

gboolean clone_start(Clone *clone, GError **error)
{
    g_autofree char *memory = in_work(clone, TEMPLATE_MEMORY), *mount = in_work(clone, MOUNT_DIR);

    if (!warm_share(clone->work->path, clone->tmpl->user, TRUE, error) ||
        !link_memory(clone, memory, error) || !warm_make_dir(mount, error)) {
        return FALSE;
    }
    for (guint i = 0; i < clone->tmpl->disks->len; i++) {
        if (!make_layer(clone, clone->tmpl->disks->pdata[i], error)) {
            return FALSE;
        }
    }
    clone->process = warm_start(clone->plan, error);
    return clone->process > 0;
}

gboolean clone_started(Clone *clone, GError **error)
{
    int process = clone->process;

    clone->process = 0;
    clone->guest = warm_started(clone->plan, process, error);
    return clone->guest != NULL;
}

/* Connected before the guest runs, as they were when it was saved. */
static gboolean connect_all(Clone *clone, GError **error)
{
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

gboolean clone_run(Clone *clone, GError **error)
{
    if (!connect_all(clone, error) || !load_state(clone, error) ||
        !qmp_run(clone->qmp, "cont", NULL, clone->deadline, error)) {
        return FALSE;
    }
    clone->running = g_get_monotonic_time();
    return TRUE;
}

gboolean clone_check_user(const Request *request, const Template *tmpl, GError **error)
{
    const char *user = tmpl->user ? tmpl->user : "root";

    return !request->user || strcmp(request->user, user) == 0 ||
           ctl_fail(error, CTL_ERROR_USAGE,
                    "template '%s' was made for user %s; --user %s has to be said when it is made",
                    tmpl->name, user, request->user);
}
