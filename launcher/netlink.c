/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netlink.h"

#include <errno.h>
#include <sys/socket.h>

gboolean netlink_transact(struct nlmsghdr *message, mnl_cb_t parse, void *data)
{
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    char buf[32768];
    ssize_t n = -1;
    int saved;

    if (!socket)
        return FALSE;
    message->nlmsg_seq = 1;
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 &&
        mnl_socket_sendto(socket, message, message->nlmsg_len) >= 0)
        n = mnl_socket_recvfrom(socket, buf, sizeof(buf));
    if (n >= 0)
        n = mnl_cb_run(buf, (size_t)n, 1, mnl_socket_get_portid(socket), parse, data);
    saved = errno;
    mnl_socket_close(socket);
    errno = saved;
    return n >= 0;
}
