/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_IMAGE_FURNISH_H
#define MICROVM_IMAGE_FURNISH_H

#include <glib.h>

#define FURNISH_LABEL "microvm-root" /* of the file system */

typedef struct {
    gboolean suite;       /* a fresh Debian or Ubuntu: it gets a name, a network, an fstab */
    gboolean ssh;         /* that has an ssh server */
    const char *hostname; /* or NULL */
    const char *keys;     /* lines for root's authorized_keys, or NULL */
    gboolean no_password;
    GBytes *run;            /* container-init's file, or NULL */
    GBytes *container_init; /* the program; with ->run */
} Furnish;

/* Lays over the root directory what a Furnish asks for: a JailWork. */
gboolean furnish_tree(gpointer data, GError **error);

#endif
