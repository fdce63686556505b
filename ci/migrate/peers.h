/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_PEERS_H
#define MICROVM_PEERS_H

#include <gio/gio.h>

/*
 * The far ends of a guest's streams, in a thread: they check every record that comes, and answer.
 * The TCP connection (and that over vsock, where the host has it) stays when the guest moves; of
 * the two ports each QEMU has its own sockets, so they are attached to both sides of a move.
 */

typedef struct Peers Peers;

/* Up to now, except where told otherwise. */
typedef struct {
    guint64 tcp;        /* records of the connection that is open */
    guint64 pong, flow; /* records of the guest's life */
    guint asked_again;  /* pings whose answer had not come when the guest was elsewhere */
    guint retransmits;  /* TCP segments that the host sent again */
    double longest_gap; /* seconds without a TCP record, since the last peers_count() */
} PeersCount;

/* Listens for the guest. Free with peers_free(). NULL with @error. */
Peers *peers_new(GError **error);
void peers_free(Peers *peers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Peers, peers_free)

/* Connects to the sockets of the ports of the QEMU on @side, 0 or 1. */
gboolean peers_attach(Peers *peers, int side, const char *ping_path, const char *flow_path,
                      GError **error);

/* Leaves the QEMU on @side, after all that has come from it is read. */
void peers_detach(Peers *peers, int side);

/* From now on the guest is asked on @side: once more, with another number, if it has not answered.
 */
void peers_ask(Peers *peers, int side);

/* What was counted. */
void peers_count(Peers *peers, PeersCount *count);

/* Waits until @pong and @flow records have come. FALSE at the deadline. */
gboolean peers_wait(Peers *peers, guint64 pong, guint64 flow, gint64 deadline);

/* The guest has gone back to when it had written @pong and @flow records, with none on its way. */
void peers_rewind(Peers *peers, guint64 pong, guint64 flow);

/* Resets the guest's connections. */
void peers_hang_up(Peers *peers);

/* The first fault that was seen, to be freed; or NULL. */
char *peers_fault(Peers *peers);

#endif
