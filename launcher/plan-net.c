/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan-parts.h"

#include <stdlib.h>
#include <string.h>

#include "schema.h"

void plan_nic_free(PlanNic *nic)
{
    g_free(nic->key);
    g_free(nic->bridge);
    g_free(nic->ifname);
    g_free(nic->vlans);
    g_clear_pointer(&nic->hostfwd, g_ptr_array_unref);
    g_free(nic);
}

/*
 * A NIC without macaddr= gets an address that stays the same from start to start, so that leases
 * and the guest's own configuration hold: Proxmox's prefix, the rest from guest id and key.
 */
static void derive_mac(const Plan *plan, PlanNic *nic)
{
    g_autofree char *name = g_strdup_printf("%s:%s", plan->id, nic->key);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1);

    for (char *p = sum; *p; p++)
        *p = g_ascii_toupper(*p);
    g_snprintf(nic->mac, sizeof(nic->mac), "BC:24:11:%.2s:%.2s:%.2s", sum, sum + 2, sum + 4);
}

/* What --nets-host-mtu says of @key: "net0=1500,net1=9000", 0 meaning that none was told. */
static gboolean forced_mtu(const PlanContext *ctx, const char *key, gint64 *mtu, GError **error)
{
    const char *list = ctx->options->nets_host_mtu;
    g_auto(GStrv) parts = g_strsplit(list ? list : "", ",", -1);

    for (char **part = parts; *part; part++) {
        const char *equals = strchr(*part, '=');
        g_autofree char *name = equals ? g_strndup(*part, (gsize)(equals - *part)) : NULL;
        guint64 value;

        if (!name || !g_str_has_prefix(name, "net") ||
            !propstr_uint(equals + 1, 0, 65535, &value, NULL)) {
            g_set_error(error, PLAN_ERROR, PLAN_ERROR_OPTION,
                        "--nets-host-mtu: '%s' is not netN=MTU", *part);
            return FALSE;
        }
        if (strcmp(name, key) == 0)
            *mtu = (gint64)value;
    }
    return TRUE;
}

/* mtu=1 means the bridge's, which is also the default. */
static gboolean set_mtu(const PlanContext *ctx, const ConfigKey *key, PlanNic *nic, gint64 asked,
                        GError **error)
{
    guint bridge = nic->bridge ? host_bridge(ctx->host, nic->bridge).mtu : 0;
    gint64 forced = -1;

    if (!forced_mtu(ctx, nic->key, &forced, error))
        return FALSE;
    nic->mtu = asked > 1 ? (guint)asked : bridge;
    if (forced >= 0)
        nic->mtu = (guint)forced;
    if (bridge && nic->mtu > bridge)
        return plan_fail(ctx, key, error, "mtu=%u is above that of bridge %s, %u", nic->mtu,
                         nic->bridge, bridge);
    return TRUE;
}

static void add_vlan_range(NetVlans *vlans, guint first, guint last)
{
    for (guint vid = MAX(first, 1); vid <= MIN(last, 4094); vid++)
        vlans->tagged[vid / 32] |= 1u << vid % 32;
}

/* trunks=10;20-30, which the schema has checked. */
static void add_trunks(NetVlans *vlans, const char *trunks)
{
    g_auto(GStrv) ranges = g_strsplit(trunks, ";", -1);

    for (char **range = ranges; *range; range++) {
        const char *dash = strchr(*range, '-');
        guint first = (guint)MIN(g_ascii_strtoull(*range, NULL, 10), 4095);
        guint last = dash ? (guint)MIN(g_ascii_strtoull(dash + 1, NULL, 10), 4095) : first;

        add_vlan_range(vlans, first, last);
    }
}

/*
 * What Proxmox gives a port of a bridge that tells VLANs apart: tag= without a tag, or else 1, and
 * the trunks=; all of them when there is neither. On another bridge a guest that asks for a VLAN
 * would be on a wrong net.
 */
static gboolean set_vlans(const PlanContext *ctx, const ConfigKey *key, PlanNic *nic,
                          const PropStr *props, GError **error)
{
    const char *trunks = propstr_get(props, "trunks");
    gboolean asked = propstr_get(props, "tag") || trunks;
    NetLink bridge = host_bridge(ctx->host, nic->bridge);

    if (asked && bridge.mtu && !bridge.vlans)
        return plan_fail(ctx, key, error,
                         "bridge %s does not tell VLANs apart (tag=, trunks=); 'ip link set %s "
                         "type bridge vlan_filtering 1' makes it",
                         nic->bridge, nic->bridge);
    if (!bridge.vlans)
        return TRUE;
    nic->vlans = g_new0(NetVlans, 1);
    nic->vlans->untagged = (guint16)propstr_get_int(props, "tag", 1);
    if (trunks)
        add_trunks(nic->vlans, trunks);
    else if (!asked)
        add_vlan_range(nic->vlans, 1, 4094);
    return TRUE;
}

/* What Proxmox's own side does on its hosts. */
static void set_host_side(const PlanContext *ctx, const ConfigKey *key, PlanNic *nic,
                          const PropStr *props)
{
    /* Its megabytes are 2^20 bytes; more than the fastest link is no limit. */
    nic->rate = (guint64)(MIN(propstr_get_number(props, "rate", 0), 1e6) * 1048576);
    if (propstr_get_bool(props, "firewall", FALSE))
        plan_warn(ctx, key, "firewall=1: there is no Proxmox firewall on this host");
}

static gboolean set_bridge(const PlanContext *ctx, const ConfigKey *key, PlanNic *nic,
                           const PropStr *props, GError **error)
{
    const PlanWarm *warm = ctx->options->warm;
    const char *given = warm && nic->index == 0 ? warm->bridge : NULL;
    const char *bridge = given ? given : propstr_get(props, "bridge");

    nic->alone = warm && warm->run && !given && !warm->user_net;
    if (!bridge || (ctx->options->net && !given))
        return TRUE;
    nic->bridge = g_strdup(bridge);
    nic->was_user = given && ctx->options->net;
    nic->ifname = g_strdup_printf("tap%si%d", ctx->plan->id, nic->index);
    if (nic->alone)
        return TRUE;
    nic->vhost = ctx->host->vhost_net;
    if (ctx->plan->proxmox)
        return TRUE;
    set_host_side(ctx, key, nic, props);
    return set_vlans(ctx, key, nic, props, error);
}

gboolean plan_nic(const PlanContext *ctx, const ConfigKey *key, int index, GError **error)
{
    g_autoptr(PropStr) props = plan_parse(ctx, key, schema_net, error);
    PlanNic *nic;

    if (!props)
        return FALSE;
    nic = g_new0(PlanNic, 1);
    g_ptr_array_add(ctx->plan->nics, nic);
    nic->key = g_strdup(key->key);
    nic->index = index;
    nic->line = key->line;
    nic->hostfwd = g_ptr_array_new_with_free_func(g_free);
    nic->queues = (guint)MAX(1, propstr_get_int(props, "queues", 0));
    nic->link_down = propstr_get_bool(props, "link_down", FALSE);
    nic->first_fd = -1;
    if (propstr_get(props, "macaddr") && !(ctx->options->warm && ctx->options->warm->clone))
        g_strlcpy(nic->mac, propstr_get(props, "macaddr"), sizeof(nic->mac));
    else
        derive_mac(ctx->plan, nic);
    return set_bridge(ctx, key, nic, props, error) &&
           set_mtu(ctx, key, nic, propstr_get_int(props, "mtu", 0), error);
}

/* "tcp:[ADDRESS]:PORT-[ADDRESS]:PORT", IPv4. Without an address the host listens on loopback. */
static char *parse_hostfwd(const char *text)
{
    static GRegex *regex;
    g_autoptr(GMatchInfo) match = NULL;
    g_autofree char *proto = NULL, *host = NULL, *host_port = NULL, *guest = NULL,
                    *guest_port = NULL;

    if (!regex)
        regex = g_regex_new("\\A(tcp|udp):((?:\\d{1,3}\\.){3}\\d{1,3})?:(\\d{1,5})"
                            "-((?:\\d{1,3}\\.){3}\\d{1,3})?:(\\d{1,5})\\z",
                            0, 0, NULL);
    if (!g_regex_match(regex, text, 0, &match))
        return NULL;
    proto = g_match_info_fetch(match, 1);
    host = g_match_info_fetch(match, 2);
    host_port = g_match_info_fetch(match, 3);
    guest = g_match_info_fetch(match, 4);
    guest_port = g_match_info_fetch(match, 5);
    if (atoi(host_port) > 65535 || atoi(guest_port) > 65535 || atoi(guest_port) == 0 ||
        atoi(host_port) == 0)
        return NULL;
    return g_strdup_printf("%s:%s:%s-%s:%s", proto, *host ? host : "127.0.0.1", host_port, guest,
                           guest_port);
}

static gboolean bad_net_option(GError **error, const char *part)
{
    g_set_error(error, PLAN_ERROR, PLAN_ERROR_OPTION,
                "--net: '%s' is not right: want user[,hostfwd=tcp:[ADDRESS]:PORT-[ADDRESS]:PORT]…",
                part);
    return FALSE;
}

/* Reads --net user,…; forwarded ports go to the first NIC. */
static gboolean apply_net_option(const PlanContext *ctx, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(ctx->options->net, ",", -1);
    PlanNic *first = ctx->plan->nics->len ? ctx->plan->nics->pdata[0] : NULL;

    if (g_strcmp0(parts[0], "user") != 0)
        return bad_net_option(error, ctx->options->net);
    for (char **part = parts + 1; *part; part++) {
        char *forward =
            g_str_has_prefix(*part, "hostfwd=") ? parse_hostfwd(*part + strlen("hostfwd=")) : NULL;

        if (!forward)
            return bad_net_option(error, *part);
        if (!first) {
            g_free(forward);
            return plan_fail(ctx, NULL, error, "--net: hostfwd= needs a net0, and there is none");
        }
        g_ptr_array_add(first->hostfwd, forward);
    }
    return TRUE;
}

static int by_index(gconstpointer a, gconstpointer b)
{
    return (*(PlanNic *const *)a)->index - (*(PlanNic *const *)b)->index;
}

gboolean plan_net_finish(const PlanContext *ctx, GError **error)
{
    g_ptr_array_sort(ctx->plan->nics, by_index);
    if (ctx->options->net && !apply_net_option(ctx, error))
        return FALSE;
    for (guint i = 0; i < ctx->plan->nics->len; i++) {
        PlanNic *nic = ctx->plan->nics->pdata[i];

        if (!nic->bridge || ctx->plan->proxmox)
            continue;
        nic->first_fd = ctx->plan->next_fd;
        ctx->plan->next_fd += (int)nic->queues * (nic->vhost ? 2 : 1);
    }
    return TRUE;
}
