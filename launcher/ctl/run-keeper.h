/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_RUN_KEEPER_H
#define MICROVM_RUN_KEEPER_H

#include "clone.h"
#include "run-allow.h"

/*
 * A process that starts a clone's QEMU, waits until the one that has started it is done or has
 * died, and then ends QEMU and clears all away that belonged to the clone. There is one way to an
 * end, whoever brings it about.
 */

/*
 * Starts it for @clone, which is planned; the clone's directory is the keeper's from then on. No
 * signal is to come meanwhile. @allow: what the guest may reach by net0; NULL: there are no rules.
 */
gboolean keeper_fork(Clone *clone, const Allow *allow, GError **error);

/*
 * Waits until QEMU takes commands. FALSE with CTL_ERROR_EXIT when the keeper has said why it does
 * not, or with G_IO_ERROR_TIMED_OUT.
 */
gboolean keeper_wait(Clone *clone, GError **error);

/*
 * Has all cleared away, if there is a keeper, and waits for it; safe to call from a signal's
 * handler. FALSE when the keeper was killed before: store_sweep() is then to be called.
 */
gboolean keeper_end(void);

#endif
