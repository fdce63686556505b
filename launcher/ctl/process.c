/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "process.h"

#include "ctl.h"

gboolean process_run(const char *const *argv, char **out, gsize *size, GError **error)
{
    g_autoptr(GSubprocess) process = g_subprocess_newv(argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE, error);
    g_autoptr(GBytes) bytes = NULL;

    if (!process ||
        !g_subprocess_communicate(process, NULL, NULL, out ? &bytes : NULL, NULL, error)) {
        return FALSE;
    }
    if (out) {
        *out = g_bytes_unref_to_data(g_steal_pointer(&bytes), size);
    }
    return g_subprocess_get_successful(process) ||
           ctl_fail(error, CTL_ERROR_FAILED, "'%s' failed here", argv[0]);
}
