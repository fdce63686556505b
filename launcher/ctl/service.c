/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "service.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "output.h"
#include "process.h"
#include "watch.h"

#define CONFIG_DIR "/etc/microvm"
#define INCOMING_DIR "/run/microvm.incoming"
#define JOURNAL_LINES "20"

/* The unit has $INCOMING among the launcher's words. */
static gboolean start_unit(const char *id, const char *unit, GError **error)
{
    g_autofree char *config = g_strdup_printf(CONFIG_DIR "/%s.conf", id);
    g_autofree char *file = g_build_filename(INCOMING_DIR, id, NULL);
    const char *argv[] = {"systemctl", "start", unit, NULL};
    gboolean done;

    if (!g_file_test(config, G_FILE_TEST_EXISTS)) {
        return ctl_fail(error, CTL_ERROR_FAILED,
                        "there is no %s on this host ('migrate … -- CONFIG' names another)",
                        config);
    }
    if (g_mkdir_with_parents(INCOMING_DIR, 0700) < 0) {
        return ctl_fail(error, CTL_ERROR_FAILED, "%s: %s", INCOMING_DIR, g_strerror(errno));
    }
    if (!g_file_set_contents(file, "INCOMING=-incoming defer\n", -1, error)) {
        return FALSE;
    }
    done = process_run(argv, NULL, NULL, error);
    g_unlink(file);
    return done;
}

/* The words of systemctl show; to be freed, NULL if there is nothing. */
static char *unit_property(const char *unit, const char *property)
{
    const char *argv[] = {"systemctl", "show", "-P", property, unit, NULL};
    g_autofree char *out = NULL;
    gsize size = 0;

    return process_run(argv, &out, &size, NULL) && size > 1 ? g_strchomp(g_strndup(out, size))
                                                            : NULL;
}

/* The launcher, and then QEMU, that systemd has started for @unit; -1: it has ended. */
static int unit_pidfd(const char *unit)
{
    g_autofree char *number = unit_property(unit, "MainPID");
    long pid = number ? (long)g_ascii_strtoll(number, NULL, 10) : 0;

    return pid > 0 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
}

static char *unit_name(const char *id)
{
    return g_strdup_printf("microvm@%s.service", id);
}

/* QEMU's words, which may be a guest's: nothing in them is for a terminal. */
void service_show_journal(const char *id)
{
    g_autofree char *unit = unit_name(id), *invocation = unit_property(unit, "InvocationID");
    g_autofree char *match = g_strconcat("_SYSTEMD_INVOCATION_ID=", invocation, NULL);
    const char *sync[] = {"journalctl", "--sync", NULL};
    const char *show[] = {"journalctl", "-q", "-o", "cat", "-n", JOURNAL_LINES, match, NULL};
    g_autofree char *out = NULL, *text = NULL;
    g_auto(GStrv) lines = NULL;
    gsize size;

    if (!invocation || !process_run(sync, NULL, NULL, NULL) ||
        !process_run(show, &out, &size, NULL)) {
        return;
    }
    text = g_strndup(out, size);
    lines = g_strsplit(g_strchomp(text), "\n", -1);
    for (char **line = lines; *line; line++) {
        output_say("%s: %s", unit, *line);
    }
}

Guest *service_start(const Request *request, gint64 deadline, Qmp **qmp, GError **error)
{
    g_autofree char *unit = unit_name(request->id);
    g_autoptr(Guest) guest = guest_find(request, NULL);
    const char *end[] = {"systemctl", "kill", unit, NULL};
    int pidfd;

    if (guest) {
        ctl_fail(error, CTL_ERROR_FAILED, "guest %s runs on this host already", request->id);
        return NULL;
    }
    if (!start_unit(request->id, unit, error)) {
        return NULL;
    }
    pidfd = unit_pidfd(unit);
    if (pidfd >= 0) {
        guest = watch_for_guest(request, pidfd, deadline, qmp, error);
        close(pidfd);
    } else {
        ctl_fail(error, CTL_ERROR_FAILED, "it has ended at once");
    }
    if (!guest) {
        process_run(end, NULL, NULL, NULL);
        service_show_journal(request->id);
        g_prefix_error(error, "%s did not start here: ", unit);
    }
    return g_steal_pointer(&guest);
}
