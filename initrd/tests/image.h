/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>

/*
 * Runs COMMAND, split at its blanks, with PATH for each word "@", and gives it INPUT (NULL:
 * nothing). Returns what it printed. The test fails when the command does.
 */
char *image_run(const char *command, const char *path, const char *input);

/*
 * A file of SIZE zero bytes in a directory of its own, on which COMMAND (NULL: none) was run as by
 * image_run(). Returns its path, for image_free().
 */
char *image_make(guint64 size, const char *command, const char *input);

/* Deletes the file and its directory, and frees PATH. */
void image_free(char *path);
