/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <net/if.h>

#include "netlink.h"

/* Proxmox's: what may go at once after a pause. As much may wait for its turn, to the guest. */
#define BURST (1024 * 1024)

#define MESSAGE_SIZE 4096
#define INGRESS_HANDLE TC_H_MAKE(TC_H_INGRESS, 0)
#define NS_A_TICK_SHIFT 6 /* PSCHED_SHIFT of Linux' include/net/pkt_sched.h */

static struct nlmsghdr *tc_message(char *buf, guint16 type, unsigned index, guint32 parent,
                                   guint32 handle, const char *kind)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buf);
    struct tcmsg *tc = mnl_nlmsg_put_extra_header(message, sizeof(*tc));

    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    tc->tcm_family = AF_UNSPEC;
    tc->tcm_ifindex = (int)index;
    tc->tcm_parent = parent;
    tc->tcm_handle = handle;
    mnl_attr_put_strz(message, TCA_KIND, kind);
    return message;
}

/* With a link layer named, the kernel needs no table of how long each size takes. */
static struct tc_ratespec rate_spec(guint64 rate)
{
    return (struct tc_ratespec){
        .rate = (guint32)MIN(rate, G_MAXUINT32), .linklayer = TC_LINKLAYER_ETHERNET, .cell_log = 8};
}

/* What goes to the guest waits until the rate allows it. */
static gboolean shape(unsigned index, guint64 rate)
{
    char buf[MESSAGE_SIZE];
    struct nlmsghdr *message =
        tc_message(buf, RTM_NEWQDISC, index, TC_H_ROOT, TC_H_MAKE(1 << 16, 0), "tbf");
    struct tc_tbf_qopt options = {.rate = rate_spec(rate), .limit = BURST};
    struct nlattr *nest = mnl_attr_nest_start(message, TCA_OPTIONS);

    message->nlmsg_flags ^= NLM_F_EXCL | NLM_F_REPLACE; /* of the one that every tap has */
    mnl_attr_put(message, TCA_TBF_PARMS, sizeof(options), &options);
    mnl_attr_put_u32(message, TCA_TBF_BURST, BURST);
    mnl_attr_put_u64(message, TCA_TBF_RATE64, rate);
    mnl_attr_nest_end(message, nest);
    return netlink_transact(message, NULL, NULL);
}

static void put_police(struct nlmsghdr *message, guint64 rate)
{
    static const char unused_table[1024];
    guint64 ticks = ((guint64)BURST * G_USEC_PER_SEC * 1000 / rate) >> NS_A_TICK_SHIFT;
    struct tc_police police = {.action = TC_POLICE_SHOT,
                               .burst = (guint32)MIN(ticks, G_MAXUINT32),
                               .mtu = G_MAXUINT32, /* packets yet to be cut up are of any size */
                               .rate = rate_spec(rate)};

    mnl_attr_put(message, TCA_POLICE_TBF, sizeof(police), &police);
    mnl_attr_put(message, TCA_POLICE_RATE, sizeof(unused_table), unused_table);
    if (rate > G_MAXUINT32)
        mnl_attr_put_u64(message, TCA_POLICE_RATE64, rate);
}

/* What comes from the guest beyond the rate is dropped: nothing can wait on its way in. */
static gboolean police(unsigned index, guint64 rate)
{
    char buf[MESSAGE_SIZE];
    struct nlmsghdr *message =
        tc_message(buf, RTM_NEWQDISC, index, TC_H_INGRESS, INGRESS_HANDLE, "ingress");
    struct nlattr *options, *actions, *first, *nest;

    if (!netlink_transact(message, NULL, NULL))
        return FALSE;
    message = tc_message(buf, RTM_NEWTFILTER, index, INGRESS_HANDLE, 0, "matchall");
    ((struct tcmsg *)mnl_nlmsg_get_payload(message))->tcm_info =
        TC_H_MAKE(1 << 16, htons(ETH_P_ALL));
    options = mnl_attr_nest_start(message, TCA_OPTIONS);
    actions = mnl_attr_nest_start(message, TCA_MATCHALL_ACT);
    first = mnl_attr_nest_start(message, 1);
    mnl_attr_put_strz(message, TCA_ACT_KIND, "police");
    nest = mnl_attr_nest_start(message, TCA_ACT_OPTIONS);
    put_police(message, rate);
    mnl_attr_nest_end(message, nest);
    mnl_attr_nest_end(message, first);
    mnl_attr_nest_end(message, actions);
    mnl_attr_nest_end(message, options);
    return netlink_transact(message, NULL, NULL);
}

gboolean net_set_rate(const char *name, guint64 rate, GError **error)
{
    unsigned index = if_nametoindex(name);
    const char *what = NULL;

    if (!index || !shape(index, rate))
        what = "to";
    else if (!police(index, rate))
        what = "from";
    else
        return TRUE;
    g_set_error(error, NET_ERROR, NET_ERROR_LINK, "what goes %s the guest is not limited: %s", what,
                errno == ENOENT ? "this host's kernel cannot" : g_strerror(errno));
    return FALSE;
}
