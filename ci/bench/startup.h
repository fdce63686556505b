/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_STARTUP_H
#define MICROVM_STARTUP_H

#include "setup.h"

/* What QEMU itself takes until the guest's first instruction. */

typedef struct {
    guint64
        instructions; /* of the host, from exec to a guest that is set up, and to the end again */
    guint libraries;  /* that the dynamic linker loads */
} Startup;

/* Counts by valgrind's callgrind. FALSE with @error. */
gboolean startup_measure(const Setup *setup, const Parts *parts, Startup *startup, GError **error);

#endif
