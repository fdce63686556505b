/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_TRIAL_H
#define MICROVM_TRIAL_H

#include "boot.h"
#include "setup.h"

/* One boot by the host's clock, and what QEMU takes of the host. */

typedef enum {
    TRIAL_FIRST,  /* seconds from exec to the guest's first instruction */
    TRIAL_KERNEL, /* to the end of the firmware; not a number where GRUB stands between */
    TRIAL_INIT,   /* to the root's init */
    TRIAL_READY,  /* until that is ready */
    TRIAL_CPU,    /* seconds of CPU time that QEMU used, from exec until the guest has stopped */
    TRIAL_RSS,    /* bytes of QEMU's memory that are resident when the guest has stopped */
    TRIAL_PSS,    /* the same, where what several processes share is divided among them */
    TRIAL_RAM,    /* those of TRIAL_RSS that are the guest's memory */
    N_TRIAL
} TrialMeasure;

/* Those below this are seconds. */
#define TRIAL_BYTES TRIAL_RSS

typedef struct {
    double values[N_TRIAL];
    GHashTable *exits; /* char * -> guint64 *: KVM's statistics of the first CPU; empty elsewhere */
} Trial;

void trial_clear(Trial *trial);

/* Starts QEMU with the accelerator @accel. Free with boot_free(). NULL with @error. */
Boot *trial_start(const Setup *setup, const Parts *parts, const char *accel, GError **error);

/*
 * Waits until the guest is ready and has stopped, and fills @trial, to be freed with trial_clear().
 * The memory is read while QEMU holds the guest where it stopped, until trial_end().
 */
gboolean trial_take(const Setup *setup, Boot *boot, Trial *trial, GError **error);

/* Lets QEMU end. */
gboolean trial_end(Boot *boot, GError **error);

/* All three. */
gboolean trial_run(const Setup *setup, const Parts *parts, const char *accel, Trial *trial,
                   GError **error);

#endif
