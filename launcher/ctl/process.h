/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_PROCESS_H
#define MICROVM_PROCESS_H

#include <gio/gio.h>

/*
 * Runs @argv, NULL-terminated, and waits for its end; what it says on standard error goes to ours.
 * Its output, to be freed, is in *@out, of *@size bytes, if @out is not NULL, and else nowhere.
 * FALSE with @error if it could not be run, or did not exit with 0.
 */
gboolean process_run(const char *const *argv, char **out, gsize *size, GError **error);

#endif
