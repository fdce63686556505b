/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "netlink.h"

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

static void fail_on_tap(GError **error, const char *name)
{
    const char *hint = errno == EBUSY   ? "; is a guest of this id being started, too?"
                       : errno == EPERM ? "; only root can, and '--net user' needs none"
                                        : "";

    g_set_error(error, NET_ERROR, NET_ERROR_TAP, "cannot make tap %s: %s%s", name,
                g_strerror(errno), hint);
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
            fail_on_tap(error, name);
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

static struct ifinfomsg *link_message(struct nlmsghdr *message, guint16 type, unsigned index)
{
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(message, sizeof(*link));

    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST;
    link->ifi_family = AF_UNSPEC;
    link->ifi_index = (int)index;
    return link;
}

static gboolean set_link(unsigned index, unsigned master, const char *guest_mac, guint mtu)
{
    struct ether_addr mac = *ether_aton(guest_mac);
    char buf[512];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buf);

    link_message(message, RTM_SETLINK, index);
    message->nlmsg_flags |= NLM_F_ACK;
    if (mtu)
        mnl_attr_put_u32(message, IFLA_MTU, mtu);
    mac.ether_addr_octet[0] = 0xfe;
    mnl_attr_put(message, IFLA_ADDRESS, sizeof(mac), &mac);
    mnl_attr_put_u32(message, IFLA_MASTER, master);
    return netlink_transact(message, NULL, NULL);
}

static void parse_bridge(const struct nlattr *data, NetLink *facts)
{
    const struct nlattr *attr;

    mnl_attr_for_each_nested(attr, data)
    {
        if (mnl_attr_get_type(attr) == IFLA_BR_VLAN_FILTERING &&
            mnl_attr_validate(attr, MNL_TYPE_U8) >= 0)
            facts->vlans = mnl_attr_get_u8(attr) != 0;
    }
}

static void parse_info(const struct nlattr *info, NetLink *facts)
{
    const struct nlattr *attr, *data = NULL;

    mnl_attr_for_each_nested(attr, info)
    {
        if (mnl_attr_get_type(attr) == IFLA_INFO_KIND &&
            mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
            facts->bridge = strcmp(mnl_attr_get_str(attr), "bridge") == 0;
        if (mnl_attr_get_type(attr) == IFLA_INFO_DATA)
            data = attr;
    }
    if (facts->bridge && data)
        parse_bridge(data, facts);
}

static int parse_link(const struct nlmsghdr *message, void *data)
{
    NetLink *facts = data;
    const struct nlattr *attr;

    mnl_attr_for_each(attr, message, sizeof(struct ifinfomsg))
    {
        if (mnl_attr_get_type(attr) == IFLA_MTU && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
            facts->mtu = mnl_attr_get_u32(attr);
        if (mnl_attr_get_type(attr) == IFLA_LINKINFO)
            parse_info(attr, facts);
    }
    return MNL_CB_OK;
}

NetLink net_link(const char *name)
{
    NetLink facts = {0};
    char buf[512];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buf);
    unsigned index = if_nametoindex(name);

    if (!index)
        return facts;
    link_message(message, RTM_GETLINK, index);
    return netlink_transact(message, parse_link, &facts) ? facts : (NetLink){0};
}

gboolean net_attach(const char *name, const char *bridge, const char *guest_mac, GError **error)
{
    unsigned index = if_nametoindex(name);
    unsigned master = index ? if_nametoindex(bridge) : 0;

    if (!index)
        return fail(error, NET_ERROR_LINK, "interface", name);
    if (!master)
        return fail(error, NET_ERROR_LINK, "bridge", bridge);
    if (!set_link(index, master, guest_mac, net_link(bridge).mtu)) {
        g_autofree char *what = g_strdup_printf("cannot put %s under bridge", name);

        return fail(error, NET_ERROR_LINK, what, bridge);
    }
    return TRUE;
}

gboolean net_set_up(const char *name, GError **error)
{
    unsigned index = if_nametoindex(name);
    char buf[512];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buf);
    struct ifinfomsg *link = link_message(message, RTM_SETLINK, index);

    message->nlmsg_flags |= NLM_F_ACK;
    link->ifi_change = IFF_UP;
    link->ifi_flags = IFF_UP;
    return (index && netlink_transact(message, NULL, NULL)) ||
           fail(error, NET_ERROR_LINK, "cannot bring up", name);
}

/* The message that gives (RTM_SETLINK) or takes (RTM_DELLINK) VLANs of the port @index. */
static struct nlattr *vlan_message(struct nlmsghdr *message, guint16 type, unsigned index)
{
    struct ifinfomsg *link = link_message(message, type, index);

    link->ifi_family = AF_BRIDGE;
    message->nlmsg_flags |= NLM_F_ACK;
    return mnl_attr_nest_start(message, IFLA_AF_SPEC);
}

static void put_vlans(struct nlmsghdr *message, guint first, guint last, guint flags)
{
    struct bridge_vlan_info vlan = {.vid = (guint16)first, .flags = (guint16)flags};

    if (first == last) {
        mnl_attr_put(message, IFLA_BRIDGE_VLAN_INFO, sizeof(vlan), &vlan);
        return;
    }
    vlan.flags = (guint16)(flags | BRIDGE_VLAN_INFO_RANGE_BEGIN);
    mnl_attr_put(message, IFLA_BRIDGE_VLAN_INFO, sizeof(vlan), &vlan);
    vlan.vid = (guint16)last;
    vlan.flags = (guint16)(flags | BRIDGE_VLAN_INFO_RANGE_END);
    mnl_attr_put(message, IFLA_BRIDGE_VLAN_INFO, sizeof(vlan), &vlan);
}

static gboolean has_vlan(const NetVlans *vlans, guint vid)
{
    return vid < 4095 && vid != vlans->untagged && vlans->tagged[vid / 32] & 1u << vid % 32;
}

/* A message may hold every second VLAN there is, 2047 runs of one. */
#define VLAN_MESSAGE_SIZE (2048 * 16 + 512)

static gboolean add_vlans(unsigned index, const NetVlans *vlans)
{
    g_autofree char *buf = g_malloc0(VLAN_MESSAGE_SIZE);
    struct nlmsghdr *message = mnl_nlmsg_put_header(buf);
    struct nlattr *nest = vlan_message(message, RTM_SETLINK, index);

    for (guint first = 1; first < 4095; first++) {
        guint last = first;

        if (!has_vlan(vlans, first))
            continue;
        while (has_vlan(vlans, last + 1))
            last++;
        put_vlans(message, first, last, 0);
        first = last;
    }
    put_vlans(message, vlans->untagged, vlans->untagged,
              BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED);
    mnl_attr_nest_end(message, nest);
    return netlink_transact(message, NULL, NULL);
}

static gboolean remove_all_vlans(unsigned index)
{
    char buf[512];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buf);
    struct nlattr *nest = vlan_message(message, RTM_DELLINK, index);

    put_vlans(message, 1, 4094, 0);
    mnl_attr_nest_end(message, nest);
    return netlink_transact(message, NULL, NULL);
}

gboolean net_set_vlans(const char *name, const NetVlans *vlans, GError **error)
{
    unsigned index = if_nametoindex(name);

    if (!index || !remove_all_vlans(index) || !add_vlans(index, vlans))
        return fail(error, NET_ERROR_LINK, "cannot set the VLANs of", name);
    return TRUE;
}
