/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CLONE_H
#define MICROVM_CLONE_H

#include "identity.h"
#include "template.h"
#include "warm.h"

/*
 * A guest that wakes from a template, as a guest of its own. Its memory is the template's until it
 * writes there, its disks are layers over the template's. The steps are to be taken in their order;
 * those of several clones may alternate.
 */
typedef struct {
    const Request *request; /* ->runtime_dir, ->net and ->user are looked at */
    const char *store;
    const Template *tmpl;
    char *id;
    gint64 deadline;
    gint64 begun, running, ready; /* as g_get_monotonic_time() has it */
    Work *work;
    Plan *plan;
    int process; /* that becomes QEMU; 0: none */
    DoomedGuest *guest;
    Qmp *qmp;
    Identity *identity;
    HostKeys *keys; /* NULL: none are made for it */
} Clone;

/* What a clone for one command has otherwise than others. */
typedef struct {
    gboolean network;   /* as the template has it: QEMU's user network */
    const char *bridge; /* for net0; or NULL */
    const char *mount;  /* a directory of the host's that the guest may mount; or NULL */
    gboolean mount_writable;
} CloneRun;

/* Begins with none of it; the pointers must outlive it. */
Clone *clone_new(const Request *request, const char *store, const Template *tmpl, const char *id);

/* Ends the guest, unless it was taken away, and clears all away. */
void clone_free(Clone *clone);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Clone, clone_free)

/* Frees it alone: the guest is another process's to end. */
void clone_forget(Clone *clone);

/* Takes its directory, makes the plan, and begins with its keys. @run NULL: one that goes on
 * running by itself. */
gboolean clone_plan(Clone *clone, const CloneRun *run, GError **error);

/* Makes its layers and begins to start QEMU. */
gboolean clone_start(Clone *clone, GError **error);

/* Waits until QEMU takes commands; the guest is ->guest from then on. */
gboolean clone_started(Clone *clone, GError **error);

/* Connects to QEMU, loads the state and lets its CPUs run, with its links cut. */
gboolean clone_run(Clone *clone, GError **error);

/* Checks that QEMU may be run as @request says: what it may read of a template is for one user. */
gboolean clone_check_user(const Request *request, const Template *tmpl, GError **error);

#endif
