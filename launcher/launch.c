/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launch.h"

#include <unistd.h>

#include "confine.h"
#include "net.h"

static gboolean prefix(const Plan *plan, unsigned line, const char *key, GError **error)
{
    g_prefix_error(error, "%s:%u: %s: ", plan->config_file, line, key);
    return FALSE;
}

static gboolean check_disks(const Plan *plan, GError **error)
{
    for (guint i = 0; i < plan->disks->len; i++) {
        const PlanDisk *disk = plan->disks->pdata[i];
        gboolean device = disk->source->kind == DISK_BLOCK_DEVICE;

        if (disk->source->kind == DISK_RBD)
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

        if (!nic->bridge || host_bridge(host, nic->bridge).mtu)
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
    if (!host_check_program(plan->qemu, error) ||
        (plan->initrd && !host_check_file("initrd", plan->initrd, error)))
        return FALSE;
    for (guint i = 0; i < plan->check_files->len; i++) {
        if (!host_check_file("initrd", plan->check_files->pdata[i], error)) {
            g_prefix_error(error, "%s: args: ", plan->config_file);
            return FALSE;
        }
    }
    return check_disks(plan, error);
}

static gboolean set_affinity(const Plan *plan, GError **error)
{
    if (!plan->affinity || confine_affinity(plan->affinity, error))
        return TRUE;
    return prefix(plan, plan->affinity_line, "affinity", error);
}

static gboolean open_nic(const PlanNic *nic, GArray *fds, GError **error)
{
    guint start = fds->len;

    g_array_set_size(fds, start + nic->queues);
    if (!net_tap_open(nic->ifname, nic->queues, &g_array_index(fds, int, start), error)) {
        g_array_set_size(fds, start);
        return FALSE;
    }
    if (!net_attach(nic->ifname, nic->bridge, nic->mac, error) ||
        (nic->vlans && !net_set_vlans(nic->ifname, nic->vlans, error)) ||
        (!nic->link_down && !net_set_up(nic->ifname, error)))
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

        if (nic->first_fd >= 0 && !open_nic(nic, fds, error))
            return prefix(plan, nic->line, nic->key, error);
    }
    return TRUE;
}

/* The part that changes the host. Descriptors it opens, and so taps, end with @fds. */
static void go(const Plan *plan, char **argv, GArray *fds, GError **error)
{
    gboolean made;

    if (!host_make_runtime_dir(plan->runtime_dir, &made, error))
        return;
    if (host_check_not_running(plan->id, plan->pidfile, error) && open_nics(plan, fds, error) &&
        confine_descriptors(fds, error))
        confine_exec(plan->qemu, argv, error);
    if (made)
        rmdir(plan->runtime_dir);
}

void launch(const Plan *plan, char **argv, GError **error)
{
    g_autoptr(Host) host = host_probe();
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));

    if ((plan->kvm && !host_check_kvm(error)) || !check_files(plan, error) ||
        !check_bridges(plan, host, error) || !set_affinity(plan, error) ||
        !confine_standard_descriptors(error))
        return;
    go(plan, argv, fds, error);
    for (guint i = 0; i < fds->len; i++)
        close(g_array_index(fds, int, i));
}
