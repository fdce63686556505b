/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_GUEST_H
#define MICROVM_GUEST_H

#include <stdio.h>

#include "agent.h"
#include "console.h"
#include "qmp.h"

/*
 * A guest of the demo's kind, started by microvm-launch as a user would and driven from outside.
 * All times are those of g_get_monotonic_time(), in microseconds.
 */

typedef struct {
    const char *launcher;        /* microvm-launch */
    const char *config;          /* ID.conf */
    const char *storage_cfg;     /* may be NULL */
    const char *runtime_dir;     /* for the sockets */
    const char *const *options;  /* more options of the launcher; NULL-terminated, or NULL */
    const char *const *trailing; /* more arguments for QEMU; NULL-terminated, or NULL */
    gboolean own_nets;           /* the NICs as the config has them: no user network */
    FILE *echo;                  /* gets all that the console prints; may be NULL */
} GuestSpec;

typedef struct {
    char *id;
    char *runtime_dir;
    pid_t pid;       /* of QEMU */
    int pidfd;       /* the same; -1 when it has ended */
    int port;        /* on 127.0.0.1, forwarded to the guest's port 7777, an echo service */
    gint64 launched; /* microvm-launch was run */
    gint64 set_up;   /* it returned: QEMU is set up, the guest's CPUs have not started */
    gint64 started;  /* they have */
    Console *console;
    Qmp *qmp;
    Agent *agent; /* NULL before guest_wait_ready() */
} Guest;

/*
 * Starts a guest, by default with QEMU's user network, and waits until its CPUs run. Returns NULL
 * with @error, and nothing running, if that fails.
 */
Guest *guest_start(const GuestSpec *spec, GError **error);

/* Waits until the agent in the guest answers, and systemd there has started what it is to start. */
gboolean guest_wait_ready(Guest *guest, gint64 deadline, GError **error);

/* Presses the power button and waits until the guest has shut itself down and QEMU has ended. */
gboolean guest_power_down(Guest *guest, gint64 deadline, GError **error);

/* Checks that QEMU has left neither a socket nor a pidfile behind. */
gboolean guest_left_nothing(const Guest *guest, GError **error);

/* Lets QEMU run on after guest_free(). */
void guest_let_go(Guest *guest);

/* Ends QEMU if it still runs, and frees @guest. */
void guest_free(Guest *guest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Guest, guest_free)

#define GUEST_ERROR (guest_error_quark())
GQuark guest_error_quark(void);

typedef enum {
    GUEST_ERROR_LAUNCH, /* microvm-launch failed; the message is its own */
    GUEST_ERROR_CHECK,  /* something is not as it should be */
} GuestErrorCode;

#endif
