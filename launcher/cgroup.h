/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CGROUP_H
#define MICROVM_CGROUP_H

#include <glib.h>

/* A guest's control group (version 2): microvm/ID under the root of the hierarchy. */

#define CGROUP_ERROR (cgroup_error_quark())
GQuark cgroup_error_quark(void);

typedef enum {
    CGROUP_ERROR_NONE_HERE, /* version 2 is not what this host has */
    CGROUP_ERROR_DENIED,    /* it is, and cannot be written */
} CgroupErrorCode;

typedef struct {
    guint64 cpu_max;    /* µs of CPU time in each 100 ms; 0: no limit */
    guint64 cpu_weight; /* 1 to 10000; 0: as it is, 100 */
    guint64 memory_max; /* bytes; 0: no limit */
} CgroupLimits;

/*
 * Makes the group of guest @id in the hierarchy mounted at @root, gives it @limits and puts this
 * process into it. Groups of guests that are gone are removed first: nobody else does it.
 */
gboolean cgroup_enter(const char *root, const char *id, const CgroupLimits *limits, GError **error);

#endif
