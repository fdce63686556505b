/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_NET_H
#define MICROVM_NET_H

#include <glib.h>

/* Taps and bridges, through /dev/net/tun and rtnetlink. Needs CAP_NET_ADMIN. */

#define NET_ERROR (net_error_quark())
GQuark net_error_quark(void);

typedef enum {
    NET_ERROR_TAP,
    NET_ERROR_LINK,
    NET_ERROR_VHOST,
} NetErrorCode;

typedef struct {
    guint mtu;       /* 0: there is no interface of that name */
    gboolean bridge; /* it is a bridge of the kernel's own */
    gboolean vlans;  /* and one that tells VLANs apart (vlan_filtering) */
} NetLink;

/* What interface @name is. Needs no privilege. */
NetLink net_link(const char *name);

/* The VLANs of a bridge's port: bit N of ->tagged[N / 32] stands for VLAN N. */
typedef struct {
    guint16 untagged; /* what the port sends and receives without a tag; 1 to 4094 */
    guint32 tagged[4096 / 32];
} NetVlans;

/*
 * Makes tap @name with @queues queues, not persistent: it goes when the last of @fds (at least
 * @queues entries, close-on-exec) is closed. A tap of that name must not be there yet.
 */
gboolean net_tap_open(const char *name, guint queues, int *fds, GError **error);

/*
 * Puts interface @name under @bridge, with the bridge's MTU (a bridge has the lowest of its ports'
 * unless told otherwise); it stays down. Its own address becomes @guest_mac with a first byte of
 * fe: a bridge takes the lowest address of its ports, and must not change its own for a guest's
 * coming and going.
 */
gboolean net_attach(const char *name, const char *bridge, const char *guest_mac, GError **error);

gboolean net_set_up(const char *name, GError **error);

/* Lets port @name of a bridge that tells VLANs apart have @vlans, and no others. */
gboolean net_set_vlans(const char *name, const NetVlans *vlans, GError **error);

/*
 * Limits interface @name to @rate bytes a second each way, as Proxmox's tc does: what goes to the
 * guest waits, what comes from it beyond the rate is dropped.
 */
gboolean net_set_rate(const char *name, guint64 rate, GError **error);

/* Opens /dev/vhost-net @count times, close-on-exec. On failure none is left open. */
gboolean net_vhost_open(guint count, int *fds, GError **error);

#endif
