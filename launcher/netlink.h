/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_NETLINK_H
#define MICROVM_NETLINK_H

#include <glib.h>
#include <libmnl/libmnl.h>

/*
 * Sends @message by rtnetlink and gives the kernel's answer, which is immediate, to @parse (NULL:
 * it is an acknowledgement). FALSE with errno set.
 */
gboolean netlink_transact(struct nlmsghdr *message, mnl_cb_t parse, void *data);

#endif
