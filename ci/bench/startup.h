/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_STARTUP_H
#define MICROVM_STARTUP_H

#include "setup.h"

/* What QEMU itself takes until the guest's first instruction. */

typedef struct {
    guint64
        instructions; /* of the host in QEMU, from exec to a guest that is set up, and to the end */
    guint64 faults;   /* pages that the host had to give it meanwhile, none of them from a disk */
    guint libraries;  /* that the dynamic linker loads */
} Startup;

/*
 * Counts instructions by valgrind's callgrind, page faults by the kernel in a run without it. QEMU
 * is given the accelerator TCG, for want of KVM. FALSE with @error.
 */
gboolean startup_measure(const Setup *setup, const Parts *parts, Startup *startup, GError **error);

#endif
