/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_BOOTED_H
#define MICROVM_BOOTED_H

#include "guest.h"
#include "place.h"

/*
 * A guest that checks are run in: programs of in-guest/, which it has on a second disk. One that
 * fails fails the test, with its output in the test's messages, and the test goes on.
 */

/* From the environment. */
extern const char *launcher;  /* MICROVM_LAUNCH */
extern const char *images;    /* MICROVM_IMAGES: a directory with guest-PROFILE.img */
extern const char *in_guest;  /* MICROVM_CHECKS: a directory with the checks */
extern const char *virtiofsd; /* MICROVM_VIRTIOFSD */

#define GUEST_LIMIT 600 /* seconds for a boot or a check, on a slow, busy host */

typedef struct {
    Place *place;
    Guest *guest;
} Booted;

typedef struct {
    const char *id, *profile;
    int memory;                /* MiB */
    const char *net0;          /* what stands behind the model and the MAC address */
    const char *append;        /* on the kernel's command line; NULL: the launcher's own */
    gboolean shares, own_nets; /* two directories of the host's; see GuestSpec */
} BootedSpec;

/* Starts the guest. NULL, and the test has failed, if that cannot be done. */
Booted *booted_start(const BootedSpec *spec);

/* For guests with systemd and an agent: waits until both are ready, and takes the checks. */
gboolean booted_ready(Booted *booted);

/* For all guests: logs in at the console, and takes the checks unless @agent has done that. */
gboolean booted_login(Booted *booted, gboolean agent);

/*
 * Runs a check, by the agent if there is one, else at the console. Returns what it printed as last,
 * to be freed; or NULL, and the test has failed. The arguments end with NULL.
 */
char *booted_check(Booted *booted, const char *name, ...) G_GNUC_NULL_TERMINATED;

/* Presses the power button; the guest must shut itself down and leave nothing behind. */
void booted_power_down(Booted *booted);

/* Ends QEMU if it still runs, and removes all files. */
void booted_free(Booted *booted);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Booted, booted_free)

/* Fails the test with @error if it is set; takes it. FALSE then. */
gboolean no_error(GError *error);

/* A text of many lines as messages of the test. */
void show_lines(const char *what, const char *text);

#endif
