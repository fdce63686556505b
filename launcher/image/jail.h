/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_IMAGE_JAIL_H
#define MICROVM_IMAGE_JAIL_H

#include <glib.h>

typedef gboolean (*JailWork)(gpointer data, GError **error);

/*
 * Runs @work with @data in a process whose root directory is @root: whatever names and links a
 * hostile tree has in it, they lead nowhere else. What @work changes in memory is lost. Returns
 * FALSE with @error, whose text is that of @work.
 */
gboolean jail_run(const char *root, JailWork work, gpointer data, GError **error);

#endif
