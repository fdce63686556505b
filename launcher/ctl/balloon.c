/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "guests.h"

#define MIB (1024 * 1024)
#define MIN_MIB 16 /* Proxmox's least memory */

static gboolean ask_number(Qmp *qmp, const char *command, const char *member, gint64 *value,
                           gint64 deadline, GError **error)
{
    g_autoptr(JsonNode) answer = qmp_execute(qmp, command, NULL, deadline, error);

    if (!answer) {
        return FALSE;
    }
    *value = json_object_get_int_member_with_default(json_node_get_object(answer), member, 0);
    return TRUE;
}

/* Until the guest has come to @target; its driver says each step. */
static gboolean wait_for(Qmp *qmp, gint64 target, gint64 deadline, GError **error)
{
    gint64 actual;

    for (;;) {
        g_autoptr(JsonObject) event = NULL;
        g_autoptr(GError) cause = NULL;

        if (!ask_number(qmp, "query-balloon", "actual", &actual, deadline, error)) {
            return FALSE;
        }
        if (actual == target) {
            return TRUE;
        }
        event = qmp_wait_event(qmp, "BALLOON_CHANGE", deadline, &cause);
        if (!event && !g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        if (!event) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                        "the guest has come to %" G_GINT64_FORMAT " MiB, not to %" G_GINT64_FORMAT
                        ", yet; it goes on",
                        actual / MIB, target / MIB);
            return FALSE;
        }
    }
}

gboolean guest_set_balloon(Qmp *qmp, gint64 bytes, gint64 deadline, GError **error)
{
    return qmp_run(qmp, "balloon", channel_arguments("{'value': <%x>}", bytes), deadline, error) &&
           wait_for(qmp, bytes, deadline, error);
}

gboolean ctl_balloon(Request *request, GError **error)
{
    gint64 deadline = channel_deadline(request->timeout), memory;
    g_autoptr(Guest) guest = guest_find(request, error);
    g_autoptr(Qmp) qmp = guest ? guest_qmp(guest, deadline, error) : NULL;
    guint64 target;

    if (!qmp ||
        !ask_number(qmp, "query-memory-size-summary", "base-memory", &memory, deadline, error)) {
        return FALSE;
    }
    if (!g_ascii_string_to_unsigned(request->words[0], 10, MIN_MIB, (guint64)memory / MIB, &target,
                                    NULL)) {
        return ctl_fail(error, CTL_ERROR_USAGE,
                        "balloon: '%s' is not a number of MiB from %d to %" G_GINT64_FORMAT
                        ", the guest's memory",
                        request->words[0], MIN_MIB, memory / MIB);
    }
    return guest_set_balloon(qmp, (gint64)target * MIB, deadline, error);
}
