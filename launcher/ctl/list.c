/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "guests.h"
#include "output.h"

#define BUSY_SECONDS 1 /* a monitor that somebody else has is not waited for */

/* What QEMU says of the guest; "busy" when its monitor serves somebody else. */
static char *ask_state(const Guest *guest)
{
    gint64 deadline = channel_deadline(BUSY_SECONDS);
    g_autoptr(Qmp) qmp = guest_qmp(guest, deadline, NULL);
    char *state = qmp ? guest_state(qmp, deadline, NULL) : NULL;

    return state ? state : g_strdup("busy");
}

static void print_json(const GPtrArray *guests)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_array(builder);
    for (guint i = 0; i < guests->len; i++) {
        const Guest *guest = guests->pdata[i];
        g_autofree char *state = ask_state(guest);

        json_builder_begin_object(builder);
        output_int(builder, "id", g_ascii_strtoll(guest->id, NULL, 10));
        output_string(builder, "name", guest->name);
        output_string(builder, "state", state);
        output_int(builder, "pid", guest->pid);
        output_string(builder, "directory", guest->dir);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    output_json(builder);
}

gboolean ctl_list(Request *request, GError **error)
{
    g_autoptr(GPtrArray) guests = guests_running(request, error);

    if (!guests) {
        return FALSE;
    }
    if (request->json) {
        print_json(guests);
        return TRUE;
    }
    printf("%-9s  %-20s  %-12s  %s\n", "ID", "NAME", "STATE", "PID");
    for (guint i = 0; i < guests->len; i++) {
        const Guest *guest = guests->pdata[i];
        g_autofree char *state = ask_state(guest), *name = output_clean(guest->name);

        printf("%-9s  %-20s  %-12s  %ld\n", guest->id, name, state, guest->pid);
    }
    return TRUE;
}
