/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_IMAGE_PROFILE_H
#define MICROVM_IMAGE_PROFILE_H

#include <glib.h>

/* What a disk is for: which packages a suite gets, which services start, what must be there. */

enum {
    PROFILE_MINIMAL = 1,
    PROFILE_STANDARD = 2,
    PROFILE_DOCKER = 4,
    PROFILE_SSH = 8,
};

/* "ssh,docker" → their bits and those of what they build on; FALSE with @error. */
gboolean profile_parse(const char *text, guint *profiles, GError **error);

/* A NULL-terminated array of package names, without doubles; @more may be NULL. */
GPtrArray *profile_packages(guint profiles, const GPtrArray *more);

/* Units to enable, NULL-terminated. */
GPtrArray *profile_units(guint profiles);

/*
 * Whether the root directory has the programs that the profiles are about: a JailWork, with a
 * pointer to the bits. For trees that are taken as they are.
 */
gboolean profile_check(gpointer data, GError **error);

/* One line a profile, for --help. */
void profile_print(void);

#endif
