/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_STARTUP_H
#define MICROVM_STARTUP_H

#include "setup.h"

/* What QEMU itself takes until the guest's first instruction. */

typedef struct {
    guint64 instructions; /* of the host, from exec to a guest that is set up, and to the end */
    guint64 faults;       /* pages that the host gave it meanwhile, none of them from a disk */
    guint libraries;      /* that the dynamic linker loads */
    double cpu;           /* seconds of CPU time here, the least of ten runs */
} Startup;

/*
 * Counts instructions by valgrind's callgrind, page faults by the kernel in runs without it. QEMU
 * is given the accelerator TCG, for want of KVM. FALSE with @error.
 */
gboolean startup_measure(const Setup *setup, const Parts *parts, Startup *startup, GError **error);

#endif
