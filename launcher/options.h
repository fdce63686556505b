/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_OPTIONS_H
#define MICROVM_OPTIONS_H

#include "plan.h"

typedef enum {
    MODE_RUN,
    MODE_DUMP,   /* the config's keys and values */
    MODE_CHECK,  /* what is wrong with the config */
    MODE_PRINT,  /* the command line for a shell */
    MODE_PRINT0, /* the same, NUL-separated */
} Mode;

typedef struct {
    Mode mode;
    const char *config;
    const char *storage_cfg; /* or NULL */
    const char *assume;      /* or NULL */
    const char *host;        /* "proxmox", "plain", or NULL: found out */
    const char *state_dir;   /* of microvm-ctl's templates; NULL: its own choice */
    gboolean strict;
    PlanOptions plan; /* strings are borrowed from argv */
} Options;

typedef enum {
    OPTIONS_OK,
    OPTIONS_DONE, /* --help or --version was answered */
    OPTIONS_BAD,  /* said what is wrong, on stderr */
} OptionsResult;

/* Reads the command line; @options points into @argv afterwards. */
OptionsResult options_parse(int argc, char **argv, Options *options);

#endif
