/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CTL_IDENTITY_H
#define MICROVM_CTL_IDENTITY_H

#include "agent.h"
#include "host-keys.h"
#include "template.h"

/*
 * The host's side of microvm-identity, the program that waits in a guest to hear who it is. What
 * goes back and forth is told at the top of launcher/guest/identity.c.
 */

typedef struct Identity Identity;

/* Connects to the guest's port at @path. Free with identity_free(). */
Identity *identity_connect(const char *path, GError **error);
void identity_free(Identity *identity);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Identity, identity_free)

/* Puts the program into the guest, by its agent, and starts it. */
gboolean identity_install(Agent *agent, gint64 deadline, GError **error);

/*
 * Tells the guest to get ready to be saved. What it answers goes into @tmpl: whether its kernel
 * would hear of a new generation, and which kinds of SSH host keys it had.
 */
gboolean identity_settle(Identity *identity, gboolean drop_caches, Template *tmpl, gint64 deadline,
                         GError **error);

/* Has the guest's file systems frozen; it thaws them when it hears who it is. */
gboolean identity_freeze(Identity *identity, gint64 deadline, GError **error);

/*
 * Tells the guest that it is @plan's, a clone of @tmpl, with @keys, which are waited for; the guest
 * is not.
 */
gboolean identity_send(Identity *identity, const Plan *plan, const Template *tmpl, HostKeys *keys,
                       gint64 deadline, GError **error);

/* Waits until the guest is whom it was told to be. */
gboolean identity_wait(Identity *identity, gint64 deadline, GError **error);

/*
 * Tells a guest that will have no network, and a command to run, only what it must not have from
 * the template: random numbers and time.
 */
gboolean identity_send_alone(Identity *identity, gint64 deadline, GError **error);

/*
 * Tells the guest of @hosts (of "ADDRESS NAME", or NULL), and waits at most @seconds until its
 * services have set its network up.
 */
gboolean identity_go_online(Identity *identity, const GPtrArray *hosts, guint seconds,
                            gint64 deadline, GError **error);

/*
 * What comes and goes from here on belongs to a command; see frame.h. Returns the descriptor, which
 * stays @identity's, or -1.
 */
int identity_run(Identity *identity, gint64 deadline, GError **error);

#endif
