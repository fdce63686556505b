/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "confine.h"
#include "live-share.h"
#include "net.h"
#include "share.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

static gboolean prefix(const Plan *plan, unsigned line, const char *key, GError **error)
{
    g_prefix_error(error, "%s:%u: %s: ", plan->config_file, line, key);
    return FALSE;
}

/* Those that QEMU opens by itself, or those that are opened for it (@ours). */
static gboolean check_disks(const Plan *plan, gboolean ours, GError **error)
{
    for (guint i = 0; i < plan->disks->len; i++) {
        const PlanDisk *disk = plan->disks->pdata[i];
        gboolean device = disk->source->kind == DISK_BLOCK_DEVICE;

        if (disk->source->kind == DISK_RBD || ours != (disk->file != NULL))
            continue;
        if (!host_check_disk(disk->source->path, device, disk->readonly, error))
            return prefix(plan, disk->line, disk->key, error);
    }
    return TRUE;
}

static gboolean check_bridges(const Plan *plan, const Host *host, GError **error)
{
    for (guint i = 0; i < plan->nics->len; i++) {
        const PlanNic *nic = plan->nics->pdata[i];

        if (!nic->bridge || nic->alone || host_bridge(host, nic->bridge).mtu)
            continue;
        g_set_error(error, HOST_ERROR, HOST_ERROR_MISSING,
                    "there is no bridge %s on this host; '--net user' connects the guest without "
                    "one",
                    nic->bridge);
        return prefix(plan, nic->line, nic->key, error);
    }
    return TRUE;
}

static gboolean check_files(const Plan *plan, GError **error)
{
    if (!host_check_program("QEMU", plan->qemu, error) ||
        (plan->kernel && !host_check_file("kernel", plan->kernel, error)) ||
        (plan->initrd && !host_check_file("initrd", plan->initrd, error)) ||
        (plan->modules && !host_check_file("kernel's modules", plan->modules, error)))
        return FALSE;
    for (guint i = 0; i < plan->check_files->len; i++) {
        if (!host_check_file("initrd", plan->check_files->pdata[i], error)) {
            g_prefix_error(error, "%s: args: ", plan->config_file);
            return FALSE;
        }
    }
    return check_disks(plan, FALSE, error);
}

static gboolean set_affinity(const Plan *plan, GError **error)
{
    if (!plan->affinity || confine_affinity(plan->affinity, error))
        return TRUE;
    return prefix(plan, plan->affinity_line, "affinity", error);
}

/* A guest that cannot be limited is started all the same, as one without a limit would be. */
static void limit_nic(const Plan *plan, const PlanNic *nic)
{
    g_autoptr(GError) error = NULL;

    if (nic->rate && !net_set_rate(nic->ifname, nic->rate, &error))
        fprintf(stderr, "microvm-launch: warning: %s:%u: %s: rate=: %s\n", plan->config_file,
                nic->line, nic->key, error->message);
}

static gboolean open_nic(const Plan *plan, const PlanNic *nic, GArray *fds, GError **error)
{
    guint start = fds->len;

    g_array_set_size(fds, start + nic->queues);
    if (!net_tap_open(nic->ifname, nic->queues, &g_array_index(fds, int, start), error)) {
        g_array_set_size(fds, start);
        return FALSE;
    }
    if (nic->alone)
        return TRUE;
    if (!net_attach(nic->ifname, nic->bridge, nic->mac, error) ||
        (nic->vlans && !net_set_vlans(nic->ifname, nic->vlans, error)))
        return FALSE;
    limit_nic(plan, nic);
    if (!nic->link_down && !net_set_up(nic->ifname, error))
        return FALSE;
    if (!nic->vhost)
        return TRUE;
    start = fds->len;
    g_array_set_size(fds, start + nic->queues);
    if (net_vhost_open(nic->queues, &g_array_index(fds, int, start), error))
        return TRUE;
    g_array_set_size(fds, start);
    return FALSE;
}

/* Fills @fds in the order of the plan's descriptor numbers. */
static gboolean open_nics(const Plan *plan, GArray *fds, GError **error)
{
    for (guint i = 0; i < plan->nics->len; i++) {
        const PlanNic *nic = plan->nics->pdata[i];

        if (nic->first_fd >= 0 && !open_nic(plan, nic, fds, error))
            return prefix(plan, nic->line, nic->key, error);
    }
    return TRUE;
}

/* What we open for QEMU, and what it will open by itself as the user that it will run as. */
static gboolean check_opens(const Plan *plan, const ConfineUser *user, GError **error)
{
    gboolean good = (!plan->kvm || host_check_kvm(error)) && check_disks(plan, TRUE, error);

    if (!good || (user && !confine_user_try(user, error)))
        return FALSE;
    good = check_files(plan, error);
    if (!good && user)
        g_prefix_error(error, "as user %s: ", user->name);
    return (!user || confine_user_back(good ? error : NULL)) && good;
}

static gboolean check_shares(const Plan *plan, GError **error)
{
    if (plan->live_shares && geteuid() != 0) {
        g_set_error(error, SHARE_ERROR, SHARE_ERROR_START,
                    "--shares: only root can mount directories for a guest; use virtiofsN in the "
                    "config, or start it as root");
        return FALSE;
    }
    for (guint i = 0; i < plan->shares->len; i++) {
        const PlanShare *share = plan->shares->pdata[i];

        if (share->directory &&
            (!host_check_directory(share->directory, error) ||
             !host_check_program("virtiofsd", share->virtiofsd->pdata[0], error)))
            return prefix(plan, share->line, share->key, error);
    }
    return TRUE;
}

/* Before anything is opened that must be this namespace's. */
static gboolean prepare_live_shares(const Plan *plan, GError **error)
{
    return !plan->live_shares || live_share_prepare(error);
}

/* In the namespace that is then QEMU's, so that it goes with QEMU. */
static gboolean prepare_mount(const Plan *plan, const ConfineUser *user, GError **error)
{
    return !plan->mount_source ||
           live_share_bind(plan->mount_source, plan->mount, !plan->mount_writable,
                           user ? user->uid : geteuid(), user ? user->gid : getegid(), error);
}

static gboolean start_shares(const Plan *plan, GArray *fds, GError **error)
{
    for (guint i = 0; i < plan->shares->len; i++) {
        const PlanShare *share = plan->shares->pdata[i];
        int fd;

        if (!share->directory)
            continue;
        if (!share_start(share->virtiofsd, share->path, &fd, error))
            return prefix(plan, share->line, share->key, error);
        g_array_append_val(fds, fd);
    }
    return TRUE;
}

static gboolean open_vsock(const Plan *plan, GArray *fds, GError **error)
{
    int fd;

    if (!plan->cid || plan->vsock_fd < 0)
        return TRUE;
    if (!share_open_vsock(&fd, error))
        return FALSE;
    g_array_append_val(fds, fd);
    return TRUE;
}

/* What the user that QEMU will be may not open. */
static gboolean open_files(const Plan *plan, GArray *fds, GError **error)
{
    for (guint i = 0; i < plan->files->len; i++) {
        const PlanFile *file = plan->files->pdata[i];
        int fd = host_open(file->key ? "disk" : "device", file->path, file->flags, error);

        if (fd < 0)
            return file->key ? prefix(plan, file->line, file->key, error) : FALSE;
        g_array_append_val(fds, fd);
    }
    return TRUE;
}

/* A guest that cannot be limited is started all the same, as one without limits would be. */
static void enter_cgroup(const Plan *plan)
{
    CgroupLimits limits = {plan->cpu_max, plan->cpu_weight, plan->memory_max};
    g_autoptr(GError) error = NULL;

    if (!plan->cpu_max && !plan->cpu_weight)
        return;
    if (!cgroup_enter(CGROUP_ROOT, plan->id, &limits, &error))
        fprintf(stderr, "microvm-launch: warning: cpulimit, cpuunits: no limits set: %s\n",
                error->message);
}

/* The last of it: no way back to more rights. */
static gboolean confine(const Plan *plan, const ConfineUser *user, GArray *fds, GError **error)
{
    return confine_descriptors(fds, error) && (!user || confine_user_become(user, error)) &&
           (!plan->sandbox || confine_no_new_privileges(error));
}

/* The part that changes the host. Descriptors it opens, and so taps, end with @fds. */
static void go(const Plan *plan, char **argv, const ConfineUser *user, GArray *fds, GError **error)
{
    gboolean made;

    if (!host_make_runtime_dir(plan->runtime_dir, user ? user->uid : geteuid(), &made, error))
        return;
    if (host_check_not_running(plan->id, plan->pidfile, error)) {
        enter_cgroup(plan);
        if (prepare_live_shares(plan, error) && prepare_mount(plan, user, error) &&
            open_nics(plan, fds, error) && start_shares(plan, fds, error) &&
            open_vsock(plan, fds, error) && open_files(plan, fds, error) &&
            confine(plan, user, fds, error))
            confine_exec(plan->qemu, argv, error);
    }
    if (made)
        rmdir(plan->runtime_dir);
}

static gboolean is_us(const char *user)
{
    return geteuid() == 0 && strcmp(user, "root") == 0;
}

void launch(const Plan *plan, char **argv, GError **error)
{
    g_autoptr(Host) host = host_probe();
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
    g_autoptr(ConfineUser) user = NULL;

    host->proxmox = plan->proxmox;
    if (plan->user && !is_us(plan->user) &&
        !(user = confine_user_find(plan->user, strcmp(plan->user, HOST_ACCOUNT) == 0, error)))
        return;
    if (!check_opens(plan, user, error) || !check_bridges(plan, host, error) ||
        !check_shares(plan, error) || !set_affinity(plan, error) ||
        !confine_standard_descriptors(error))
        return;
    go(plan, argv, user, fds, error);
    for (guint i = 0; i < fds->len; i++)
        close(g_array_index(fds, int, i));
}
