/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_RUN_ALLOW_H
#define MICROVM_RUN_ALLOW_H

#include <gio/gio.h>

/*
 * What a guest on a bridge may reach, and nothing else: rules of the host's, in a table of nftables
 * that belongs to the guest's tap alone. It is made before the tap is, and stays as long.
 */

typedef struct {
    int family; /* AF_INET or AF_INET6 */
    guint8 address[16];
    guint prefix; /* its bits that count */
    guint port;   /* TCP and UDP; 0: all, and all other protocols */
} AllowRule;

typedef struct {
    GArray *rules;    /* of AllowRule */
    GPtrArray *hosts; /* of char *: "192.0.2.1 www.example.org", what the guest is told of names */
} Allow;

/*
 * Reads "HOST:PORT,ADDRESS[/BITS][:PORT],…". IPv6 with a port is written in brackets. Names are
 * looked up here and now, and all of their addresses taken. Free with allow_free().
 */
Allow *allow_parse(const char *list, GError **error);
void allow_free(Allow *allow);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Allow, allow_free)

/* What nft reads to make table @table of family bridge for @tap, whose guest has @mac. */
char *allow_ruleset(const Allow *allow, const char *table, const char *tap, const char *mac);

/* Has the kernel take @commands, all or none. */
gboolean allow_run(const char *commands, GError **error);

#endif
