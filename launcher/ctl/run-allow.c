/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run-allow.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <nftables/libnftables.h>
#include <string.h>
#include <sys/socket.h>

#include "ctl.h"

#define NAME_MAX_BYTES 253

void allow_free(Allow *allow)
{
    if (allow) {
        g_array_unref(allow->rules);
        g_ptr_array_unref(allow->hosts);
        g_free(allow);
    }
}

static gboolean bad(const char *item, const char *why, GError **error)
{
    return ctl_fail(error, CTL_ERROR_USAGE, "--net: allow=%s: %s", item, why);
}

/*
 * Takes "HOST:PORT", "[HOST]:PORT" or "HOST" apart. Two colons without brackets belong to an
 * address.
 */
static gboolean split_port(const char *item, char **host, guint64 *port, GError **error)
{
    const char *end = *item == '[' ? strchr(item, ']') : NULL, *colon;

    *port = 0;
    if (*item == '[' && (!end || (end[1] && end[1] != ':'))) {
        return bad(item, "the bracket is not closed, or not followed by a port", error);
    }
    colon = strchr(end ? end : item, ':');
    if (!end && colon && strchr(colon + 1, ':')) {
        colon = NULL;
    }
    *host = end ? g_strndup(item + 1, (gsize)(end - item - 1))
                : g_strndup(item, colon ? (gsize)(colon - item) : strlen(item));
    return !colon || g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, port, NULL) ||
           bad(item, "the port is not a number from 1 to 65535", error);
}

/* "192.0.2.0/24", "192.0.2.1", "2001:db8::/32". */
static gboolean parse_address(const char *text, AllowRule *rule)
{
    const char *slash = strchr(text, '/');
    g_autofree char *address = slash ? g_strndup(text, (gsize)(slash - text)) : g_strdup(text);
    guint64 bits;

    rule->family = strchr(address, ':') ? AF_INET6 : AF_INET;
    bits = rule->family == AF_INET ? 32 : 128;
    if (slash && !g_ascii_string_to_unsigned(slash + 1, 10, 0, bits, &bits, NULL)) {
        return FALSE;
    }
    rule->prefix = (guint)bits;
    return inet_pton(rule->family, address, rule->address) == 1;
}

static gboolean is_name(const char *text)
{
    return g_ascii_isalnum(*text) && strlen(text) <= NAME_MAX_BYTES &&
           strspn(text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-.") == strlen(text);
}

static void add_host(Allow *allow, const char *name, const struct addrinfo *info, AllowRule *rule)
{
    char text[INET6_ADDRSTRLEN];
    const void *address =
        info->ai_family == AF_INET
            ? (const void *)&((struct sockaddr_in *)(void *)info->ai_addr)->sin_addr
            : (const void *)&((struct sockaddr_in6 *)(void *)info->ai_addr)->sin6_addr;

    rule->family = info->ai_family;
    rule->prefix = info->ai_family == AF_INET ? 32 : 128;
    memcpy(rule->address, address, rule->prefix / 8);
    g_array_append_val(allow->rules, *rule);
    inet_ntop(rule->family, rule->address, text, sizeof(text));
    g_ptr_array_add(allow->hosts, g_strconcat(text, " ", name, NULL));
}

/* All that it has, of both families. */
static gboolean look_up(Allow *allow, const char *item, const char *name, AllowRule *rule,
                        GError **error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(name, NULL, &hints, &found);

    if (code != 0) {
        return bad(item, gai_strerror(code), error);
    }
    for (const struct addrinfo *info = found; info; info = info->ai_next) {
        if (info->ai_family == AF_INET || info->ai_family == AF_INET6) {
            add_host(allow, name, info, rule);
        }
    }
    freeaddrinfo(found);
    return TRUE;
}

static gboolean parse_item(Allow *allow, const char *item, GError **error)
{
    g_autofree char *host = NULL;
    AllowRule rule = {0};
    guint64 port;

    if (!split_port(item, &host, &port, error)) {
        return FALSE;
    }
    rule.port = (guint)port;
    if (parse_address(host, &rule)) {
        g_array_append_val(allow->rules, rule);
        return TRUE;
    }
    if (!is_name(host) || strspn(host, G_CSET_DIGITS ".") == strlen(host)) {
        return bad(item, "neither HOST:PORT nor ADDRESS[/BITS][:PORT]", error);
    }
    return port ? look_up(allow, item, host, &rule, error)
                : bad(item, "behind a name there must be a port", error);
}

Allow *allow_parse(const char *list, GError **error)
{
    g_auto(GStrv) items = g_strsplit(list, ",", -1);
    g_autoptr(Allow) allow = g_new0(Allow, 1);

    allow->rules = g_array_new(FALSE, FALSE, sizeof(AllowRule));
    allow->hosts = g_ptr_array_new_with_free_func(g_free);
    for (char **item = items; *item; item++) {
        if (!parse_item(allow, *item, error)) {
            return NULL;
        }
    }
    if (allow->rules->len == 0) {
        ctl_fail(error, CTL_ERROR_USAGE, "--net: allow= names nothing");
        return NULL;
    }
    return g_steal_pointer(&allow);
}

/* Frames to or from what @rule names; @what: "d" or "s", as nft calls destination and source. */
static void add_rule(GString *text, const AllowRule *rule, const char *what)
{
    char address[INET6_ADDRSTRLEN];

    inet_ntop(rule->family, rule->address, address, sizeof(address));
    for (int i = 0; i < (rule->port ? 2 : 1); i++) {
        g_string_append_printf(text, "    %s %saddr %s/%u", rule->family == AF_INET ? "ip" : "ip6",
                               what, address, rule->prefix);
        if (rule->port) {
            g_string_append_printf(text, " %s %sport %u", i ? "udp" : "tcp", what, rule->port);
        }
        g_string_append(text, " accept\n");
    }
    if (rule->family == AF_INET6 && rule->port) {
        g_string_append_printf(text,
                               "    ip6 %saddr %s/%u icmpv6 type { nd-neighbor-solicit, "
                               "nd-neighbor-advert } accept\n",
                               what, address, rule->prefix);
    }
}

static gboolean has_ipv6(const Allow *allow)
{
    for (guint i = 0; i < allow->rules->len; i++) {
        if (g_array_index(allow->rules, AllowRule, i).family == AF_INET6) {
            return TRUE;
        }
    }
    return FALSE;
}

/*
 * Without connections being tracked: what the guest sends goes to what is on the list, what comes
 * to it comes from there. Beside that it may find its neighbours and ask for a lease, by what no
 * router passes on. Frames to the bridge itself, as of its spanning tree, pass no other hook than
 * input.
 */
char *allow_ruleset(const Allow *allow, const char *table, const char *tap, const char *mac)
{
    GString *text = g_string_new(NULL);
    gboolean ipv6 = has_ipv6(allow);

    g_string_append_printf(text,
                           "table bridge %s {\n"
                           "  chain from {\n"
                           "    type filter hook prerouting priority -300; policy accept;\n"
                           "    iifname != \"%s\" accept\n"
                           "    ether saddr != %s drop\n"
                           "    ether type { 0x8100, 0x88a8 } drop\n"
                           "    ether type arp accept\n"
                           "    ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept\n",
                           table, tap, mac);
    if (ipv6) {
        g_string_append(text, "    ip6 daddr { fe80::/10, ff02::/16 } icmpv6 type { "
                              "nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } "
                              "accept\n");
    }
    for (guint i = 0; i < allow->rules->len; i++) {
        add_rule(text, &g_array_index(allow->rules, AllowRule, i), "d");
    }
    g_string_append_printf(text,
                           "    drop\n"
                           "  }\n"
                           "  chain here {\n"
                           "    type filter hook input priority -300; policy accept;\n"
                           "    iifname \"%s\" ether daddr & ff:ff:ff:ff:ff:f0 == "
                           "01:80:c2:00:00:00 drop\n"
                           "  }\n"
                           "  chain to {\n"
                           "    type filter hook postrouting priority 300; policy accept;\n"
                           "    oifname != \"%s\" accept\n"
                           "    ether type { 0x8100, 0x88a8 } drop\n"
                           "    ether type arp accept\n"
                           "    ether type ip udp sport 67 udp dport 68 accept\n"
                           "    icmp type { destination-unreachable, time-exceeded } accept\n",
                           tap, tap);
    if (ipv6) {
        g_string_append(text, "    icmpv6 type { nd-router-advert, nd-neighbor-solicit, "
                              "nd-neighbor-advert } ip6 hoplimit 255 accept\n"
                              "    icmpv6 type { destination-unreachable, packet-too-big, "
                              "time-exceeded } accept\n");
    }
    for (guint i = 0; i < allow->rules->len; i++) {
        add_rule(text, &g_array_index(allow->rules, AllowRule, i), "s");
    }
    g_string_append(text, "    drop\n  }\n}\n");
    return g_string_free(text, FALSE);
}

gboolean allow_run(const char *commands, GError **error)
{
    struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
    gboolean done;

    if (!nft) {
        return ctl_fail(error, CTL_ERROR_FAILED, "nftables: no memory");
    }
    nft_ctx_buffer_error(nft);
    nft_ctx_buffer_output(nft);
    done = nft_run_cmd_from_buffer(nft, commands) == 0 ||
           ctl_fail(error, CTL_ERROR_FAILED, "nftables: %s", nft_ctx_get_error_buffer(nft));
    nft_ctx_free(nft);
    return done;
}
