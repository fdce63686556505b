/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_WAKE_H
#define MICROVM_WAKE_H

#include "options.h"

/*
 * A config that names a template of microvm-ctl's ("template: web"): its guest does not boot, but
 * wakes from the template, as "microvm-ctl clone" has it. Not on Proxmox hosts, where template is a
 * boolean, and a name dropped with a warning.
 */

/* The template that @config names, or NULL. */
const char *wake_template(const Config *config);

/*
 * The words of the microvm-ctl that wakes the guest, in the foreground unless @options has
 * --daemonize. NULL with @error when @config or @options say something that only the template can.
 * Free with g_strfreev().
 */
char **wake_argv(const Config *config, const Options *options, GError **error);

/* Becomes microvm-ctl. Returns only with @error. */
void wake(char **argv, GError **error);

#endif
