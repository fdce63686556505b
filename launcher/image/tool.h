/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_IMAGE_TOOL_H
#define MICROVM_IMAGE_TOOL_H

#include <glib.h>

/* Other programs, run with their arguments as an array, and how far they are. */

/*
 * How far a step is, in percent, from a line that a program has printed; or, with @line NULL, from
 * whatever else can be seen, twice a second. -1: it cannot be told from this.
 */
typedef int (*ToolProgress)(const char *line, gpointer data);

int tool_progress_apt(const char *line, gpointer data);     /* APT::Status-Fd=1 */
int tool_progress_percent(const char *line, gpointer data); /* "(12.34/100%)", as qemu-img has it */

/*
 * Runs @argv, found by PATH, as the step @title. What it prints goes to the file @log, after what
 * is there. @progress, which may be NULL, gets @data. Returns FALSE with @error, which has the last
 * line that was printed, if it cannot be run or fails.
 */
gboolean tool_run(const char *title, const char *const *argv, const char *log,
                  ToolProgress progress, gpointer data, GError **error);

/* @name, or one in /usr/lib/microvm, to be freed; NULL with @error, which names @package. */
char *tool_find(const char *name, const char *package, GError **error);

/* Shows how far @title is; @percent -1: it has begun, 100: it is done. */
void tool_show(const char *title, int percent);

/* SIGINT, SIGTERM and SIGHUP end the step that runs, and what was made is cleaned up. */
void tool_catch_signals(void);
/* Whether one has come; sets @error. */
gboolean tool_interrupted(GError **error);

#endif
