/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_LOAD_H
#define MICROVM_LOAD_H

#include "options.h"

/*
 * The first rooms, one after the other, as the options of the command line have them. Warnings are
 * added to @warnings (of char *), also when there is an error to follow.
 */

/* Reads and checks @options->config (with MODE_DUMP, only reads it). Free with config_free(). */
Config *load_config(const Options *options, GPtrArray *warnings, GError **error);

/* Whether the config is one of a Proxmox host's. */
gboolean load_on_proxmox(const Options *options);

/* The plan for @config, on this machine or on the one assumed. Free with plan_free(). */
Plan *load_plan(const Options *options, const Config *config, GPtrArray *warnings, GError **error);

#endif
