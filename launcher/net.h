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

/* The MTU of bridge @name, or 0 when there is no bridge of that name. Needs no privilege. */
guint net_bridge_mtu(const char *name);

/*
 * Makes tap @name with @queues queues, not persistent: it goes when the last of @fds (at least
 * @queues entries, close-on-exec) is closed. A tap of that name must not be there yet.
 */
gboolean net_tap_open(const char *name, guint queues, int *fds, GError **error);

/*
 * Puts interface @name under @bridge, with @mtu (0: as it is), and brings it up if @up. Its own
 * address becomes @guest_mac with a first byte of fe: a bridge takes the lowest address of its
 * ports, and must not change its own for a guest's coming and going.
 */
gboolean net_attach(const char *name, const char *bridge, const char *guest_mac, guint mtu,
                    gboolean up, GError **error);

/* Opens /dev/vhost-net @count times, close-on-exec. On failure none is left open. */
gboolean net_vhost_open(guint count, int *fds, GError **error);

#endif
