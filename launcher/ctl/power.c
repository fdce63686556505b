/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ending, resetting, pausing and resuming a guest. */
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guests.h"
#include "output.h"

#define AGENT_SECONDS 5 /* for the agent to answer; one that runs does so in milliseconds */
#define KILL_SECONDS 10 /* for a process to be gone; its memory is given back first */

/* Asks the agent, if the guest has one. It does not answer when it does as it was told. */
static gboolean ask_agent(const Guest *guest, int pidfd, gint64 deadline)
{
    g_autofree char *path = guest_path(guest, "qga");
    g_autoptr(GError) error = NULL;
    g_autoptr(Agent) agent = NULL;
    g_autoptr(JsonNode) answer = NULL;

    if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        return FALSE;
    }
    agent = agent_connect(path, MIN(deadline, channel_deadline(AGENT_SECONDS)), &error);
    if (!agent) {
        output_say("no answer from the guest agent; pressing the power button");
        return FALSE;
    }
    answer = agent_execute(agent, "guest-shutdown", "{\"mode\": \"powerdown\"}",
                           MIN(deadline, channel_deadline(1)), &error);
    if (!g_error_matches(error, AGENT_ERROR, AGENT_ERROR_COMMAND)) {
        return TRUE;
    }
    if (!pidfd_wait(pidfd, 0)) {
        output_say("the guest agent: %s; pressing the power button", error->message);
    }
    return FALSE;
}

static gboolean press_button(const Guest *guest, gint64 deadline, GError **error)
{
    g_autoptr(Qmp) qmp = guest_qmp(guest, deadline, error);
    g_autofree char *state = qmp ? guest_state(qmp, deadline, error) : NULL;

    if (!state) {
        return FALSE;
    }
    if (g_strcmp0(state, "running") != 0) {
        return ctl_fail(error, CTL_ERROR_FAILED,
                        "guest %s cannot shut down, it is %s ('microvm-ctl resume', or --force)",
                        guest->id, state);
    }
    return qmp_run(qmp, "system_powerdown", NULL, deadline, error);
}

/* SIGTERM is to QEMU as "quit", with its disks flushed, but waits for no other client of the
 * monitor. */
static gboolean end_now(const Guest *guest, int pidfd, double seconds, GError **error)
{
    syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0);
    if (pidfd_wait(pidfd, channel_deadline(seconds))) {
        return TRUE;
    }
    output_say("QEMU does not end; killing process %ld", guest->pid);
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    if (pidfd_wait(pidfd, channel_deadline(KILL_SECONDS))) {
        return TRUE;
    }
    return ctl_fail(error, CTL_ERROR_FAILED, "process %ld does not even end by SIGKILL",
                    guest->pid);
}

/*
 * The agent first, which asks the guest's init and needs no ACPI; the button when there is none, or
 * half of the time has gone by. FALSE without @error when the guest did not end.
 */
static gboolean end_gently(const Guest *guest, int pidfd, gint64 start, gint64 deadline,
                           GError **error)
{
    if (ask_agent(guest, pidfd, deadline) && pidfd_wait(pidfd, start + (deadline - start) / 2)) {
        return TRUE;
    }
    if (pidfd_wait(pidfd, 0)) {
        return TRUE;
    }
    /* A monitor that is gone may be that of a QEMU that is just ending. */
    if (!press_button(guest, deadline, error)) {
        return pidfd_wait(pidfd, MIN(deadline, channel_deadline(1)));
    }
    return pidfd_wait(pidfd, deadline);
}

static gboolean shut_down(const Request *request, const Guest *guest, int pidfd, GError **error)
{
    gint64 start = g_get_monotonic_time(), deadline = channel_deadline(request->timeout);
    g_autoptr(GError) cause = NULL;

    if (end_gently(guest, pidfd, start, deadline, &cause)) {
        return TRUE;
    }
    if (request->force) {
        output_say("guest %s did not shut down; ending it", guest->id);
        return end_now(guest, pidfd, KILL_SECONDS, error);
    }
    if (cause) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                "guest %s did not shut down in %g s; --force would have ended it", guest->id,
                request->timeout);
    return FALSE;
}

gboolean ctl_shutdown(Request *request, GError **error)
{
    g_autoptr(Guest) guest = guest_find(request, error);
    int pidfd = guest ? guest_pidfd(guest, error) : -1;
    gboolean done = pidfd >= 0 && shut_down(request, guest, pidfd, error);

    if (pidfd >= 0) {
        close(pidfd);
    }
    return done;
}

gboolean ctl_stop(Request *request, GError **error)
{
    g_autoptr(Guest) guest = guest_find(request, error);
    int pidfd = guest ? guest_pidfd(guest, error) : -1;
    gboolean done = pidfd >= 0 && end_now(guest, pidfd, request->timeout, error);

    if (pidfd >= 0) {
        close(pidfd);
    }
    return done;
}

static gboolean tell(const Request *request, const char *command, GError **error)
{
    gint64 deadline = channel_deadline(request->timeout);
    g_autoptr(Guest) guest = guest_find(request, error);
    g_autoptr(Qmp) qmp = guest ? guest_qmp(guest, deadline, error) : NULL;

    return qmp && qmp_run(qmp, command, NULL, deadline, error);
}

gboolean ctl_reset(Request *request, GError **error)
{
    return tell(request, "system_reset", error);
}

gboolean ctl_pause(Request *request, GError **error)
{
    return tell(request, "stop", error);
}

/* A guest that was moved runs elsewhere, on the same disks. */
gboolean ctl_resume(Request *request, GError **error)
{
    gint64 deadline = channel_deadline(request->timeout);
    g_autoptr(Guest) guest = guest_find(request, error);
    g_autoptr(Qmp) qmp = guest ? guest_qmp(guest, deadline, error) : NULL;
    g_autofree char *state = qmp ? guest_state(qmp, deadline, error) : NULL;

    if (g_strcmp0(state, "postmigrate") == 0) {
        return ctl_fail(error, CTL_ERROR_FAILED,
                        "guest %s was moved away, and must not run here too; 'microvm-ctl stop %s'",
                        guest->id, guest->id);
    }
    return state && qmp_run(qmp, "cont", NULL, deadline, error);
}
