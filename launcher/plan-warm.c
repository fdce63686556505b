/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan-parts.h"

#include <string.h>

/* A label of a host's name; Linux takes one byte more for all of it. */
#define LABEL_MAX 63

/* "www.example.org" with "-201" is "www-201.example.org", a name that a host can have. */
void plan_warm_name(const PlanContext *ctx)
{
    const char *suffix = ctx->options->warm ? ctx->options->warm->suffix : NULL;
    g_autofree char *name = NULL;
    gsize label;
    char *whole;

    if (!suffix)
        return;
    name = g_steal_pointer(&ctx->plan->name);
    label = strcspn(name, ".");
    whole = g_strdup_printf("%.*s%s%s", (int)MIN(label, LABEL_MAX - strlen(suffix)), name, suffix,
                            name + label);
    if (strlen(whole) > LABEL_MAX + 1)
        whole[strcspn(whole, ".")] = '\0';
    ctx->plan->name = whole;
}

/*
 * A base is read through the page cache, where all clones find it. The disk of a clone ends with
 * it, so that nothing need reach the host's disk.
 */
gboolean plan_warm_disk(const PlanContext *ctx, PlanDisk *disk)
{
    const PlanWarm *warm = ctx->options->warm;
    g_autofree char *name = NULL;

    if (!warm)
        return FALSE;
    name = g_strconcat(disk->key, ".qcow2", NULL);
    disk->source = g_new0(DiskSource, 1);
    disk->source->kind = DISK_FILE;
    disk->source->path = g_build_filename(disk->readonly ? warm->bases : warm->disks, name, NULL);
    disk->source->format = g_strdup("qcow2");
    disk->direct = FALSE;
    disk->no_flush = warm->clone;
    disk->aio = ctx->host->io_uring ? "io_uring" : "threads";
    return TRUE;
}

static gboolean refuse(const PlanContext *ctx, const char *key, const char *why, GError **error)
{
    return plan_fail(ctx, config_find(ctx->config, key), error, "a template cannot have this: %s",
                     why);
}

static gboolean check(const PlanContext *ctx, GError **error)
{
    const Plan *plan = ctx->plan;

    if (plan->proxmox)
        return plan_fail(ctx, NULL, error, "Proxmox's own tools start the guests of its hosts");
    if (plan->hugepage_mib)
        return refuse(ctx, "hugepages", "its memory is a file, and huge pages are none", error);
    if (plan->shares->len) {
        const PlanShare *share = plan->shares->pdata[0];

        return refuse(ctx, share->key, "virtiofsd keeps what belongs to one guest", error);
    }
    if (ctx->options->shares)
        return plan_fail(ctx, NULL, error,
                         "a template cannot have --shares, which belong to one guest; "
                         "'microvm-run --mount' gives a clone a directory");
    if (plan->frozen)
        return refuse(ctx, "freeze", "it is saved when it has started", error);
    if (!plan->agent)
        return plan_fail(ctx, config_find(ctx->config, "agent"), error,
                         "a template needs the guest agent, which tells when the guest is ready; "
                         "write 'agent: 1', and have qemu-guest-agent in the guest");
    return TRUE;
}

gboolean plan_warm(const PlanContext *ctx, GError **error)
{
    const PlanWarm *warm = ctx->options->warm;
    Plan *plan = ctx->plan;

    if (!warm)
        return TRUE;
    if (!check(ctx, error))
        return FALSE;
    plan->memory_file = g_strdup(warm->memory);
    plan->memory_private = warm->clone;
    plan->identity = plan_runtime_path(plan, "identity");
    plan->mount = g_strdup(warm->mount);
    plan->mount_source = g_strdup(warm->mount_source);
    plan->mount_writable = warm->mount_writable;
    return TRUE;
}
