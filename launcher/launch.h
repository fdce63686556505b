/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_LAUNCH_H
#define MICROVM_LAUNCH_H

#include "plan.h"

/*
 * Carries a plan out: checks that all it needs is there, makes the run directory and the taps, and
 * becomes QEMU. Returns only on failure, with @error; then nothing it made is left behind but an
 * empty cgroup.
 */
void launch(const Plan *plan, char **argv, GError **error);

#endif
