/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "login.h"

#include <stdlib.h>
#include <string.h>

gboolean login_as_root(Console *console, gint64 deadline, GError **error)
{
    gsize from;

    if (!console_wait(console, "login: ", deadline, NULL, error)) {
        return FALSE;
    }
    from = console_size(console);
    return console_type(console, "root\n", error) &&
           console_wait_behind(console, from, "# ", deadline, error);
}

char *login_shell(Console *console, const char *command, int *status, gint64 deadline,
                  GError **error)
{
    static int commands;
    /* the quotes keep the typed line from looking like what it prints */
    g_autofree char *line = g_strdup_printf("%s; echo \"en\"\"d-%d:$?:\"\n", command, ++commands);
    g_autofree char *mark = g_strdup_printf("end-%d:", commands);
    gsize from = console_size(console);
    g_autofree char *text = NULL;
    char *end, *colon;

    if (!console_type(console, line, error) ||
        !console_wait_behind(console, from, mark, deadline, error)) {
        return NULL;
    }
    /* the status comes right behind it */
    do {
        g_free(text);
        text = console_text(console);
        end = strstr(text + from, mark);
        colon = strchr(end + strlen(mark), ':');
    } while (!colon &&
             console_wait_behind(console, end + strlen(mark) - text, ":", deadline, error));
    if (!colon) {
        return NULL;
    }
    *status = atoi(end + strlen(mark));
    return g_strndup(text + from, end - text - from);
}
