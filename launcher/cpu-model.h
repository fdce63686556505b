/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CPU_MODEL_H
#define MICROVM_CPU_MODEL_H

#include "propstr.h"

/* The CPU models that Proxmox knows (PVE/QemuServer/CPUConfig.pm), and those of cpu-models.conf. */

#define CPU_MODEL_ERROR (cpu_model_error_quark())
GQuark cpu_model_error_quark(void);

typedef enum {
    CPU_MODEL_ERROR_UNKNOWN, /* the file has no such model */
} CpuModelErrorCode;

/* How the names of models that somebody has made begin. */
#define CPU_MODEL_CUSTOM "custom-"

/* Whether @name is a model of QEMU's that Proxmox knows. */
gboolean cpu_model_is_known(const char *name);

/* The vendor that CPUs of that model tell, "GenuineIntel"; NULL for models that have the host's. */
const char *cpu_model_vendor(const char *name);

/*
 * The section "cpu-model: @name" of @file, by schema_cpu_model; what Proxmox would skip there is
 * skipped, with a warning added to @warnings (of char *). NULL with @error.
 */
PropStr *cpu_model_find(const char *file, const char *name, GPtrArray *warnings, GError **error);

#endif
