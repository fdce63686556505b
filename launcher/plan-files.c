/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan-parts.h"

#include <fcntl.h>
#include <string.h>

gboolean plan_user(const PlanContext *ctx, GError **error)
{
    const char *asked = ctx->options->user;

    if (asked && ctx->plan->proxmox) {
        g_set_error(error, PLAN_ERROR, PLAN_ERROR_OPTION,
                    "--user: on Proxmox hosts QEMU runs as root, which its network scripts need");
        return FALSE;
    }
    if (!asked && ctx->host->root && !ctx->plan->proxmox) {
        if (ctx->host->account)
            asked = HOST_ACCOUNT;
        else
            plan_warn(ctx, NULL,
                      "QEMU runs as root: this host has no user '" HOST_ACCOUNT "' for it "
                      "('useradd --system " HOST_ACCOUNT "'); '--user root' says that it is meant");
    }
    ctx->plan->user = g_strdup(asked);
    return TRUE;
}

void plan_file_free(PlanFile *file)
{
    g_free(file->path);
    g_free(file);
}

static const PlanFile *add(Plan *plan, const char *path, int flags)
{
    PlanFile *file = g_new0(PlanFile, 1);

    file->path = g_strdup(path);
    file->flags = flags;
    file->fd = plan->next_fd++;
    g_ptr_array_add(plan->files, file);
    return file;
}

/* An image that others lie under is QEMU's to open, as it finds their names in there. */
static void add_disk(const PlanContext *ctx, PlanDisk *disk)
{
    const DiskSource *source = disk->source;
    /* QEMU looks for a descriptor that was opened as it would have done. */
    int flags = (disk->readonly ? O_RDONLY : O_RDWR) | (disk->direct ? O_DIRECT : 0);
    PlanFile *file;

    if (source->kind == DISK_RBD || !host_image_is_whole(ctx->host, source->path, source->format))
        return;
    file = (PlanFile *)add(ctx->plan, source->path, flags);
    file->key = disk->key;
    file->line = disk->line;
    disk->file = file;
}

void plan_files(const PlanContext *ctx)
{
    Plan *plan = ctx->plan;

    if (!plan->user || strcmp(plan->user, "root") == 0)
        return;
    if (plan->kvm)
        plan->kvm_file = add(plan, "/dev/kvm", O_RDWR);
    for (guint i = 0; i < plan->disks->len; i++)
        add_disk(ctx, plan->disks->pdata[i]);
    for (guint i = 0; i < plan->serials->len; i++) {
        PlanSerial *serial = plan->serials->pdata[i];

        if (serial->device)
            serial->file = add(plan, serial->device, O_RDWR);
    }
    if (plan->rng_source)
        plan->rng_file = add(plan, plan->rng_source, O_RDONLY);
}
