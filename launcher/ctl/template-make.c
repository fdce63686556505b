/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a template is made: a guest boots on copies of its disks and with a file for its memory, is
 * told to get ready, and is saved. The guest of the config is not touched: its disks are only read,
 * and the one that is saved lives in a run directory of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity.h"
#include "output.h"
#include "template.h"
#include "warm.h"

#define RUN_DIR "run"     /* of the guest that is saved, inside of the work's directory */
#define MOUNT_DIR "mount" /* empty: a clone has another in its place */
#define BALLOON_SECONDS                                                                           \
    60                      /* for the guest to give memory up; what it has not by then, it keeps \
                             */
#define BALLOON_SHARE 3 / 4 /* of what the guest could give up: it must go on working */
#define PROBE_SECONDS 30
#define MIB (G_GINT64_CONSTANT(1) << 20)

typedef struct {
    Request *request;
    gint64 deadline;
    const char *store, *config;
    Work *work;
    Plan *source, *plan; /* as the config has it; as it is started */
    Template *tmpl;
    Qmp *qmp;
    Agent *agent;
    Identity *identity;
    char *vmgenid; /* NULL: QEMU's board has none */
} Make;

static void make_clear(Make *make)
{
    g_clear_pointer(&make->identity, identity_free);
    g_clear_pointer(&make->agent, agent_free);
    g_clear_pointer(&make->qmp, qmp_free);
    g_clear_pointer(&make->tmpl, template_free);
    g_clear_pointer(&make->plan, plan_free);
    g_clear_pointer(&make->source, plan_free);
    g_clear_pointer(&make->work, work_remove);
    g_clear_pointer(&make->vmgenid, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Make, make_clear)

static char *in_work(const Make *make, const char *name)
{
    return g_build_filename(make->work->path, name, NULL);
}

static char *disk_name(const PlanDisk *disk)
{
    return g_strconcat(disk->key, ".qcow2", NULL);
}

/* As it will be saved: mode 0600, or for the group of the user that QEMU runs as. */
static gboolean make_memory(const Make *make, GError **error)
{
    g_autofree char *path = in_work(make, TEMPLATE_MEMORY);
    int fd = warm_open(path, O_RDWR | O_CREAT | O_EXCL, error);
    gboolean sized = fd >= 0 && ftruncate(fd, (off_t)make->source->memory_mib * MIB) == 0;

    if (fd < 0) {
        return FALSE;
    }
    if (!sized) {
        ctl_fail(error, CTL_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
    }
    close(fd);
    return sized && warm_give(path, make->source->user, 0600, error);
}

/* qemu-img refuses a disk that another QEMU writes to. */
static gboolean copy_disk(const Make *make, const PlanDisk *disk, GError **error)
{
    g_autofree char *qemu_img = warm_qemu_img(make->source->qemu), *name = disk_name(disk);
    g_autofree char *path = in_work(make, name);
    const char *argv[] = {qemu_img, "convert",          "-q", "-f", disk->source->format, "-O",
                          "qcow2",  disk->source->path, path, NULL};

    if (disk->source->kind == DISK_RBD) {
        return ctl_fail(error, CTL_ERROR_FAILED,
                        "%s: a disk on Ceph is copied for a template with 'krbd 1' only",
                        disk->key);
    }
    if (!warm_run(argv, error)) {
        g_prefix_error(error,
                       "%s cannot be copied; a guest that has it must be shut down: ", disk->key);
        return FALSE;
    }
    return warm_give(path, make->source->user, 0600, error);
}

static gboolean copy_config(const Make *make, GError **error)
{
    g_autofree char *path = in_work(make, TEMPLATE_CONFIG), *text = NULL;
    gsize size;

    if (!g_file_get_contents(make->config, &text, &size, error) ||
        !g_file_set_contents_full(path, text, (gssize)size, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                  error)) {
        return FALSE;
    }
    make->tmpl->config_sha256 =
        g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text, size);
    return TRUE;
}

/* The files that the guest starts with. */
static gboolean prepare_files(const Make *make, GError **error)
{
    g_autofree char *mount = in_work(make, MOUNT_DIR);

    if (!warm_share(make->work->path, make->source->user, TRUE, error) ||
        !warm_make_dir(mount, error) || !copy_config(make, error) || !make_memory(make, error)) {
        return FALSE;
    }
    for (guint i = 0; i < make->source->disks->len; i++) {
        if (!copy_disk(make, make->source->disks->pdata[i], error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/*
 * Whether the board takes a VM generation ID. A QEMU that knows the device may still have boards
 * without it, so that one is made and ended at once.
 */
static gboolean board_has_vmgenid(const Plan *plan)
{
    static const char commands[] = "{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"quit\"}\n";
    g_autofree char *machine = g_strconcat(plan->machine, ",acpi=on,accel=tcg", NULL);
    const char *argv[] = {
        plan->qemu, "-no-user-config", "-nodefaults",       "-display", "none",  "-S", "-machine",
        machine,    "-device",         "vmgenid,guid=auto", "-qmp",     "stdio", NULL};
    g_autoptr(GSubprocess) process =
        g_subprocess_newv(argv,
                          G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                              G_SUBPROCESS_FLAGS_STDERR_SILENCE,
                          NULL);

    return plan->acpi && process &&
           g_subprocess_communicate_utf8(process, commands, NULL, NULL, NULL, NULL) &&
           g_subprocess_get_successful(process);
}

static gboolean plan_guest(Make *make, GError **error)
{
    static const char *const stopped[] = {"-S", NULL};
    g_autofree char *memory = in_work(make, TEMPLATE_MEMORY), *run = in_work(make, RUN_DIR);
    g_autofree char *mount = in_work(make, MOUNT_DIR);
    PlanWarm warm = {.memory = memory,
                     .mount = mount,
                     .disks = make->work->path,
                     .bases = make->work->path,
                     .vmgenid = make->vmgenid};
    Options options = {
        .plan = {.warm = &warm, .daemonize = TRUE, .runtime_dir = run, .trailing = stopped}};

    options.plan.user = make->request->user;
    make->plan = warm_plan(make->config, make->request->words, &options, error);
    return make->plan != NULL;
}

/* The agent is there before all else that systemd starts. */
static gboolean wait_ready(Make *make, GError **error)
{
    static const char wait[] = "if [ -d /run/systemd/system ]; then "
                               "systemctl is-system-running --wait || [ $? = 1 ]; fi";
    g_autofree char *state = NULL;

    make->agent = agent_connect(make->plan->agent, make->deadline, error);
    if (!make->agent) {
        g_prefix_error(error, "no guest agent in the guest: ");
        return FALSE;
    }
    state = agent_shell(make->agent, wait, make->deadline, error);
    return state != NULL;
}

/* Bytes that the guest's kernel says could be given to others; 0 when it does not. */
static gint64 available_memory(const Make *make)
{
    g_autofree char *text = agent_shell(make->agent, "cat /proc/meminfo", make->deadline, NULL);
    const char *line = text ? strstr(text, "MemAvailable:") : NULL;

    return line ? g_ascii_strtoll(line + strlen("MemAvailable:"), NULL, 10) * 1024 : 0;
}

/*
 * What the guest does not need becomes a hole in its memory's file, which is then smaller, and
 * faster to read back. It has all its memory again before it is saved.
 */
static gboolean shrink(const Make *make, GError **error)
{
    gint64 all = (gint64)make->plan->memory_mib * MIB, free = available_memory(make);
    gint64 soon = MIN(make->deadline, channel_deadline(BALLOON_SECONDS));
    g_autoptr(GError) cause = NULL;

    if (!make->plan->balloon) {
        return TRUE;
    }
    if (!guest_set_balloon(make->qmp, (all - free * BALLOON_SHARE) & ~(MIB - 1), soon, &cause) &&
        !g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    return guest_set_balloon(make->qmp, all, make->deadline, error);
}

static gboolean settle(Make *make, GError **error)
{
    if (!wait_ready(make, error) || !identity_install(make->agent, make->deadline, error)) {
        return FALSE;
    }
    make->identity = identity_connect(make->plan->identity, error);
    return make->identity &&
           identity_settle(make->identity, make->request->drop_caches, make->tmpl, make->deadline,
                           error) &&
           shrink(make, error) && identity_freeze(make->identity, make->deadline, error);
}

/* With its version: what "microvm" means may change. */
static gboolean ask_machine(const Make *make, GError **error)
{
    g_autoptr(JsonNode) answer =
        qmp_ask(make->qmp, "qom-get", "{\"path\": \"/machine\", \"property\": \"type\"}",
                JSON_NODE_VALUE, make->deadline, error);
    const char *type = answer ? json_node_get_string(answer) : NULL;

    if (answer && (!type || !g_str_has_suffix(type, "-machine"))) {
        return ctl_fail(error, CTL_ERROR_FAILED, "QEMU does not say what machine it is");
    }
    if (answer) {
        make->tmpl->machine = g_strndup(type, strlen(type) - strlen("-machine"));
    }
    return answer != NULL;
}

static gboolean save(const Make *make, GError **error)
{
    g_autofree char *path = in_work(make, TEMPLATE_STATE);
    int fd = warm_open(path, O_WRONLY | O_CREAT | O_EXCL, error);
    gboolean given;

    if (fd < 0) {
        return FALSE;
    }
    given = qmp_run(make->qmp, "stop", NULL, make->deadline, error) &&
            warm_set_capabilities(make->qmp, make->deadline, error) &&
            qmp_give_fd(make->qmp, "state", fd, make->deadline, error);
    close(fd);
    if (!given ||
        !qmp_run(make->qmp, "migrate", g_strdup("{\"uri\": \"fd:state\"}"), make->deadline,
                 error) ||
        !qmp_wait_migration(make->qmp, make->deadline, error)) {
        g_prefix_error(error, "the guest cannot be saved: ");
        return FALSE;
    }
    return TRUE;
}

/* All that it had open is on disk, or in the host's page cache, when it has ended. */
static gboolean quit(const Make *make, const Guest *guest, GError **error)
{
    int pidfd = guest_pidfd(guest, error);
    gboolean ended;

    if (pidfd < 0) {
        return FALSE;
    }
    ended = qmp_run(make->qmp, "quit", NULL, make->deadline, error) &&
            (pidfd_wait(pidfd, make->deadline) ||
             ctl_fail(error, CTL_ERROR_FAILED, "QEMU does not end"));
    close(pidfd);
    return ended;
}

/*
 * Its links are cut before it runs: it has the addresses of a guest that may be started meanwhile,
 * and is to have neither a lease nor a connection that its clones would go on with.
 */
static gboolean run_alone(const Make *make, GError **error)
{
    return warm_set_links(make->qmp, make->plan, FALSE, make->deadline, error) &&
           qmp_run(make->qmp, "cont", NULL, make->deadline, error);
}

static gboolean boot_and_save(Make *make, GError **error)
{
    int process = warm_start(make->plan, error);
    g_autoptr(DoomedGuest) guest = NULL;

    if (process < 0) {
        return FALSE;
    }
    guest = warm_started(make->plan, process, error);
    if (!guest) {
        return FALSE;
    }
    make->qmp = guest_qmp(guest, make->deadline, error);
    return make->qmp && ask_machine(make, error) && run_alone(make, error) && settle(make, error) &&
           save(make, error) && quit(make, guest, error);
}

/* Kernel and initrd that args name. */
static gboolean add_files_of_args(const Make *make, GError **error)
{
    char **words = make->plan->extra;

    for (guint i = 0; words[i] && words[i + 1]; i++) {
        gboolean kernel = strcmp(words[i], "-kernel") == 0;

        if ((kernel || strcmp(words[i], "-initrd") == 0) &&
            !template_add_file(make->tmpl, kernel ? "kernel" : "initrd", words[i + 1], TRUE,
                               error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* Those that belong to the host, and whose change makes another guest. */
static gboolean add_host_files(const Make *make, GError **error)
{
    const struct {
        const char *what, *path;
    } files[] = {
        {"QEMU", make->plan->qemu},
        {"kernel", make->plan->kernel},
        {"initrd", make->plan->initrd},
        {"kernel's modules", make->plan->modules},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        if (files[i].path &&
            !template_add_file(make->tmpl, files[i].what, files[i].path, TRUE, error)) {
            return FALSE;
        }
    }
    return add_files_of_args(make, error);
}

/* What QEMU opens by itself it must be able to read, and nothing more. */
static gboolean add_shared_file(const Make *make, const char *what, const char *name,
                                GError **error)
{
    g_autofree char *path = in_work(make, name);

    return warm_share(path, make->plan->user, FALSE, error) &&
           template_add_file(make->tmpl, what, name, FALSE, error);
}

/*
 * What clones copy instead of running qemu-img each: a layer with nothing in it. Its base is named
 * as it will be when the template is there.
 */
static gboolean make_layer(const Make *make, const PlanDisk *disk, GError **error)
{
    g_autofree char *qemu_img = warm_qemu_img(make->plan->qemu), *name = disk_name(disk);
    g_autofree char *now = in_work(make, name), *layer = template_layer(make->tmpl, disk->key);
    g_autofree char *then = g_build_filename(make->tmpl->made_in, name, NULL);
    const char *create[] = {qemu_img, "create", "-q", "-f",  "qcow2", "-F",
                            "qcow2",  "-b",     now,  layer, NULL};
    const char *rename[] = {qemu_img, "rebase", "-q", "-u", "-f",  "qcow2",
                            "-F",     "qcow2",  "-b", then, layer, NULL};

    return warm_run(create, error) && warm_run(rename, error) &&
           warm_give(layer, NULL, 0600, error) &&
           template_add_file(make->tmpl, "layer", strrchr(layer, '/') + 1, FALSE, error);
}

static gboolean add_own_files(const Make *make, GError **error)
{
    if (!add_shared_file(make, "memory", TEMPLATE_MEMORY, error) ||
        !template_add_file(make->tmpl, "state", TEMPLATE_STATE, FALSE, error) ||
        !template_add_file(make->tmpl, "config", TEMPLATE_CONFIG, FALSE, error)) {
        return FALSE;
    }
    for (guint i = 0; i < make->plan->disks->len; i++) {
        const PlanDisk *disk = make->plan->disks->pdata[i];
        g_autofree char *name = disk_name(disk);

        if (!add_shared_file(make, "disk", name, error)) {
            return FALSE;
        }
        if (!disk->readonly) {
            g_ptr_array_add(make->tmpl->disks, g_strdup(disk->key));
            if (!make_layer(make, disk, error)) {
                return FALSE;
            }
        }
    }
    return TRUE;
}

static void describe(const Make *make)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    const Plan *plan = make->plan;
    Template *tmpl = make->tmpl;

    tmpl->made = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
    tmpl->made_in = store_path(make->store, STORE_TEMPLATE, tmpl->name);
    tmpl->id = g_strdup(plan->id);
    tmpl->config = g_canonicalize_filename(make->config, NULL);
    tmpl->cpu = g_strdup(plan->cpu);
    tmpl->host_cpu = plan->kvm ? template_host_cpu() : NULL;
    tmpl->qemu = g_strdup(plan->qemu);
    tmpl->kernel = g_strdup(plan->kernel);
    tmpl->initrd = g_strdup(plan->initrd);
    tmpl->user = g_strdup(plan->user);
    tmpl->vsock = plan->cid != 0;
    tmpl->vmgenid = make->vmgenid != NULL;
    tmpl->memory_mib = plan->memory_mib;
    for (guint i = 0; i < plan->nics->len; i++) {
        const PlanNic *nic = plan->nics->pdata[i];

        tmpl->user_net |= !nic->bridge;
        g_ptr_array_add(tmpl->nics, g_strdup(nic->key));
        g_ptr_array_add(tmpl->nics, g_strdup(nic->mac));
    }
}

static gboolean finish(Make *make, const char *name, GError **error)
{
    g_autofree char *run = in_work(make, RUN_DIR), *mount = in_work(make, MOUNT_DIR);

    describe(make);
    return store_remove_tree(run, error) && store_remove_tree(mount, error) &&
           add_host_files(make, error) && add_own_files(make, error) &&
           template_save(make->tmpl, error) &&
           store_publish(make->store, make->work, name, make->request->replace, error);
}

static gboolean check_free(const Make *make, const char *name, GError **error)
{
    g_autofree char *path = store_path(make->store, STORE_TEMPLATE, name);

    return make->request->replace || access(path, F_OK) < 0 ||
           ctl_fail(error, CTL_ERROR_FAILED,
                    "there is a template '%s' already; --replace makes it anew", name);
}

static gboolean read_config(Make *make, GError **error)
{
    Options options = {.plan = {.user = make->request->user}};

    make->source = warm_plan(make->config, make->request->words, &options, error);
    return make->source != NULL;
}

gboolean template_make(Request *request, const char *store, const char *config, const char *name,
                       GError **error)
{
    g_auto(Make) make = {.request = request,
                         .deadline = channel_deadline(request->timeout),
                         .store = store,
                         .config = config};

    if (!read_config(&make, error)) {
        return FALSE;
    }
    name = name ? name : make.source->name;
    if (!store_check_name(name, error) || !check_free(&make, name, error)) {
        return FALSE;
    }
    make.work = work_new(store, STORE_TEMPLATE, name, error);
    if (!make.work) {
        return FALSE;
    }
    make.tmpl = template_new(name, make.work->path);
    make.vmgenid = board_has_vmgenid(make.source) ? g_uuid_string_random() : NULL;
    if (!prepare_files(&make, error) || !plan_guest(&make, error) || !boot_and_save(&make, error) ||
        !finish(&make, name, error)) {
        return FALSE;
    }
    printf("template %s: %" G_GUINT64_FORMAT
           " MiB of memory, ready for 'microvm-ctl clone %s ID'\n",
           name, make.plan->memory_mib, name);
    return TRUE;
}
