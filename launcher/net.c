/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

G_DEFINE_QUARK(net - error - quark, net_error)

static gboolean fail(GError **error, NetErrorCode code, const char *what, const char *name)
{
    g_set_error(error, NET_ERROR, code, "%s %s: %s", what, name, g_strerror(errno));
    return FALSE;
}

static void close_all(int *fds, guint n)
{
    for (guint i = 0; i < n; i++)
        close(fds[i]);
}

gboolean net_tap_open(const char *name, guint queues, int *fds, GError **error)
{
    struct ifreq request = {0};
    int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0);

    g_strlcpy(request.ifr_name, name, sizeof(request.ifr_name));
    for (guint i = 0; i < queues; i++) {
        fds[i] = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fds[i] < 0) {
            fail(error, NET_ERROR_TAP, "network device", "/dev/net/tun");
            close_all(fds, i);
            return FALSE;
        }
        /* Exclusive, or a persistent tap of somebody else's would be taken over. */
        request.ifr_flags = (short)(flags | (i == 0 ? IFF_TUN_EXCL : 0));
        if (ioctl(fds[i], TUNSETIFF, &request) < 0) {
            fail(error, NET_ERROR_TAP, "cannot make tap", name);
            close_all(fds, i + 1);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean net_vhost_open(guint count, int *fds, GError **error)
{
    for (guint i = 0; i < count; i++) {
        fds[i] = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
        if (fds[i] < 0) {
            fail(error, NET_ERROR_VHOST, "device", "/dev/vhost-net");
            close_all(fds, i);
            return FALSE;
        }
    }
    return TRUE;
}

/* Sends @message and waits for the kernel's answer, which is immediate. FALSE with errno set. */
static gboolean transact(struct mnl_socket *socket, struct nlmsghdr *message)
{
    char buf[8192];
    unsigned int port = mnl_socket_get_portid(socket);
    ssize_t n;

    if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
        return FALSE;
    n = mnl_socket_recvfrom(socket, buf, sizeof(buf));
    return n >= 0 && mnl_cb_run(buf, (size_t)n, message->nlmsg_seq, port, NULL, NULL) >= 0;
}

static gboolean set_link(unsigned index, unsigned master, guint mtu, gboolean up)
{
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    char buf[512];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buf);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(message, sizeof(*link));
    gboolean done;
    int saved;

    if (!socket)
        return FALSE;
    message->nlmsg_type = RTM_SETLINK;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    message->nlmsg_seq = (guint32)time(NULL);
    link->ifi_family = AF_UNSPEC;
    link->ifi_index = (int)index;
    link->ifi_change = up ? IFF_UP : 0;
    link->ifi_flags = up ? IFF_UP : 0;
    if (mtu)
        mnl_attr_put_u32(message, IFLA_MTU, mtu);
    mnl_attr_put_u32(message, IFLA_MASTER, master);
    done = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 && transact(socket, message);
    saved = errno;
    mnl_socket_close(socket);
    errno = saved;
    return done;
}

gboolean net_attach(const char *name, const char *bridge, guint mtu, gboolean up, GError **error)
{
    unsigned index = if_nametoindex(name);
    unsigned master = index ? if_nametoindex(bridge) : 0;

    if (!index)
        return fail(error, NET_ERROR_LINK, "interface", name);
    if (!master)
        return fail(error, NET_ERROR_LINK, "bridge", bridge);
    if (!set_link(index, master, mtu, up)) {
        g_autofree char *what = g_strdup_printf("cannot put %s under bridge", name);

        return fail(error, NET_ERROR_LINK, what, bridge);
    }
    return TRUE;
}
