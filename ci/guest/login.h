/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_LOGIN_H
#define MICROVM_LOGIN_H

#include "console.h"

/* A user at a guest's console: for guests in which no agent runs, and to see that one can log in.
 */

/* Waits for getty and logs in as root, who has no password, until the shell asks for a command. */
gboolean login_as_root(Console *console, gint64 deadline, GError **error);

/*
 * Types @command, one line for a POSIX shell, and waits for its end. Returns what came meanwhile,
 * the typed line included, to be freed; @status gets the exit status. NULL with @error if it did
 * not end by @deadline.
 */
char *login_shell(Console *console, const char *command, int *status, gint64 deadline,
                  GError **error);

#endif
