/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_RUN_OPTIONS_H
#define MICROVM_RUN_OPTIONS_H

#include "run-allow.h"

/* For the guest to wake, where --timeout says nothing. */
#define RUN_WAKE_SECONDS 300

typedef struct {
    const char *image;     /* the template's name */
    const char *state_dir; /* NULL: store_dir() */
    gboolean user_net;
    char *bridge; /* NULL: none */
    Allow *allow; /* what may be reached there; NULL: all that the bridge is connected to */
    char *mount;  /* a directory, its real path; NULL: none */
    gboolean mount_readonly;
    guint64 memory_mib; /* 0: all that it has */
    double seconds;     /* 0: as long as it takes */
    char **words;       /* the command */
} RunOptions;

void run_options_clear(RunOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RunOptions, run_options_clear)

typedef enum {
    RUN_OPTIONS_OK,
    RUN_OPTIONS_DONE, /* --help or --version was answered */
    RUN_OPTIONS_BAD,  /* with @error, or getopt has said what is wrong */
} RunOptionsResult;

/* Reads the command line; @options, all zeros before, points into @argv afterwards. */
RunOptionsResult run_options_parse(int argc, char **argv, RunOptions *options, GError **error);

#endif
