/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "load.h"

#include <string.h>

#include "schema.h"

/* Takes all of @from, which stays its owner's. */
static void add_warnings(GPtrArray *warnings, GPtrArray *from)
{
    for (guint i = 0; i < from->len; i++)
        g_ptr_array_add(warnings, g_strdup(from->pdata[i]));
}

Config *load_config(const Options *options, GPtrArray *warnings, GError **error)
{
    g_autoptr(Config) config = config_load(options->config, options->strict, error);
    gboolean good;

    if (!config)
        return NULL;
    good = options->mode == MODE_DUMP || schema_check(config, options->strict, error);
    add_warnings(warnings, config->warnings);
    return good ? g_steal_pointer(&config) : NULL;
}

gboolean load_on_proxmox(const Options *options)
{
    return options->host ? strcmp(options->host, "proxmox") == 0
                         : !options->assume && host_is_proxmox(options->config);
}

/* The machine we run on, or the one assumed. */
static Host *find_host(const Options *options, GError **error)
{
    Host *host = options->assume ? host_assume(options->assume, error) : host_probe();

    if (host)
        host->proxmox = load_on_proxmox(options);
    return host;
}

Plan *load_plan(const Options *options, const Config *config, GPtrArray *warnings, GError **error)
{
    g_autoptr(Host) host = find_host(options, error);
    g_autoptr(Storages) storages = NULL;
    const char *storage_cfg = options->storage_cfg;
    Plan *plan;

    if (!host)
        return NULL;
    if (host->proxmox && !storage_cfg)
        storage_cfg = HOST_PROXMOX_STORAGE_CFG;
    storages = storage_load(storage_cfg, warnings, error);
    if (!storages)
        return NULL;
    plan = plan_new(config, storages, host, &options->plan, error);
    if (plan)
        add_warnings(warnings, plan->warnings);
    return plan;
}
