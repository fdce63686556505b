/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan-parts.h"

#include <string.h>

#include "directory.h"
#include "schema.h"

/* Where Proxmox has started virtiofsd to listen. */
#define PROXMOX_SOCKET "/run/qemu-server/virtiofsd/vm%s-fs%d"

/* A guest's vsock address is its id and this; 0 to 2 have meanings of their own. */
#define CID_BASE 1000

void plan_share_free(PlanShare *share)
{
    g_free(share->key);
    g_free(share->tag);
    g_free(share->path);
    g_free(share->directory);
    g_clear_pointer(&share->virtiofsd, g_ptr_array_unref);
    g_free(share);
}

/* The words that virtiofsd is started with, but for its socket. */
static GPtrArray *virtiofsd_words(const char *program, const char *directory, const PropStr *props)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    const char *cache = propstr_get(props, "cache");

    g_ptr_array_add(words, g_strdup(program));
    g_ptr_array_add(words, g_strconcat("--shared-dir=", directory, NULL));
    if (propstr_get_bool(props, "expose-xattr", FALSE))
        g_ptr_array_add(words, g_strdup("--xattr"));
    if (propstr_get_bool(props, "expose-acl", FALSE))
        g_ptr_array_add(words, g_strdup("--posix-acl"));
    g_ptr_array_add(words, g_strdup("--announce-submounts"));
    if (propstr_get_bool(props, "direct-io", FALSE))
        g_ptr_array_add(words, g_strdup("--allow-direct-io"));
    if (cache)
        g_ptr_array_add(words, g_strconcat("--cache=", cache, NULL));
    g_ptr_array_add(words, g_strdup("--syslog"));
    return words;
}

static gboolean own_virtiofsd(const PlanContext *ctx, const ConfigKey *key, PlanShare *share,
                              const PropStr *props, GError **error)
{
    const char *host = ctx->host->assumed ? "localhost" : g_get_host_name();
    g_autofree char *node = g_strndup(host, strcspn(host, ".")), *program = NULL;
    GError *cause = NULL;

    if (!ctx->options->directory_cfg)
        return plan_fail(ctx, key, error, "give --directory-cfg, which says where '%s' is",
                         share->tag);
    share->directory = directory_find(ctx->options->directory_cfg, share->tag, node, &cause);
    if (share->directory)
        program = host_find(ctx->host, HOST_VIRTIOFSD, ctx->options->virtiofsd, &cause);
    if (!program)
        return plan_fail_because(ctx, key, error, cause);
    share->virtiofsd = virtiofsd_words(program, share->directory, props);
    return TRUE;
}

gboolean plan_share(const PlanContext *ctx, const ConfigKey *key, int index, GError **error)
{
    g_autoptr(PropStr) props = plan_parse(ctx, key, schema_virtiofs, error);
    PlanShare *share;

    if (!props)
        return FALSE;
    share = g_new0(PlanShare, 1);
    g_ptr_array_add(ctx->plan->shares, share);
    share->key = g_strdup(key->key);
    share->index = index;
    share->line = key->line;
    share->tag = g_strdup(propstr_get(props, "dirid"));
    if (ctx->plan->proxmox) {
        share->path = g_strdup_printf(PROXMOX_SOCKET, ctx->plan->id, index);
        return TRUE;
    }
    share->path = plan_runtime_path(ctx->plan, key->key);
    return own_virtiofsd(ctx, key, share, props, error);
}

static int by_index(gconstpointer a, gconstpointer b)
{
    return (*(PlanShare *const *)a)->index - (*(PlanShare *const *)b)->index;
}

void plan_share_finish(const PlanContext *ctx)
{
    Plan *plan = ctx->plan;

    g_ptr_array_sort(plan->shares, by_index);
    for (guint i = 0; i < plan->shares->len; i++) {
        PlanShare *share = plan->shares->pdata[i];

        share->fd = share->directory ? plan->next_fd++ : -1;
    }
    if (!ctx->options->vsock)
        return;
    plan->cid = (guint)(g_ascii_strtoull(plan->id, NULL, 10) + CID_BASE);
    plan->vsock_fd = plan->proxmox ? -1 : plan->next_fd++;
}
