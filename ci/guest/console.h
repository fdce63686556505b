/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CONSOLE_H
#define MICROVM_CONSOLE_H

#include <glib.h>
#include <stdio.h>

/* What a guest prints on its serial console, collected by a thread so that nothing is lost. */

typedef struct Console Console;

/*
 * Connects to the chardev socket at @path. What comes is kept; its text and colours are written to
 * @echo if that is not NULL. Returns a Console to free with console_free(), or NULL with @error.
 */
Console *console_connect(const char *path, FILE *echo, GError **error);

/* Stops listening, and frees. */
void console_free(Console *console);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Console, console_free)

/* Waits until @text has been printed. @when, which may be NULL, gets the time at which it had been.
 */
gboolean console_wait(Console *console, const char *text, gint64 deadline, gint64 *when,
                      GError **error);

/* The same for what comes behind the first @from bytes of the text. */
gboolean console_wait_behind(Console *console, gsize from, const char *text, gint64 deadline,
                             GError **error);

/* How much has been printed up to now, in bytes. */
gsize console_size(Console *console);

/* Types @text at the console. */
gboolean console_type(Console *console, const char *text, GError **error);

/* Waits until the other end is closed. */
gboolean console_wait_closed(Console *console, gint64 deadline, GError **error);

/* Stops writing to the echo file. */
void console_mute(Console *console);

/* All that has been printed up to now; to be freed. NUL bytes are left out. */
char *console_text(Console *console);

#endif
