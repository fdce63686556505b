/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guests.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"
#include "output.h"

#define SYSTEM_DIR "/run"
#define DIR_NAME "microvm" /* "microvm-NAME" for those of a user */

G_DEFINE_QUARK(ctl - error - quark, ctl_error)

gboolean ctl_fail(GError **error, CtlErrorCode code, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_propagate_error(error, g_error_new_valist(CTL_ERROR, (int)code, format, ap));
    va_end(ap);
    return FALSE;
}

void guest_free(Guest *guest)
{
    if (guest) {
        g_free(guest->id);
        g_free(guest->dir);
        g_free(guest->name);
        g_free(guest);
    }
}

static void add_dir(GPtrArray *dirs, char *dir)
{
    if (g_ptr_array_find_with_equal_func(dirs, dir, g_str_equal, NULL)) {
        g_free(dir);
    } else {
        g_ptr_array_add(dirs, dir);
    }
}

GPtrArray *guests_dirs(const Request *request)
{
    GPtrArray *dirs = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(Host) host = host_probe();
    g_autoptr(GDir) system = NULL;
    const char *name;

    add_dir(dirs, host_runtime_dir(host, request->runtime_dir, request->user));
    if (request->runtime_dir || request->user) {
        return dirs;
    }
    system = g_dir_open(SYSTEM_DIR, 0, NULL);
    while (system && (name = g_dir_read_name(system))) {
        if (strcmp(name, DIR_NAME) == 0 || g_str_has_prefix(name, DIR_NAME "-")) {
            add_dir(dirs, g_build_filename(SYSTEM_DIR, name, NULL));
        }
    }
    return dirs;
}

/* What follows "guest=" in the argument of -name, up to a comma that is not doubled. */
static char *parse_name(const char *option)
{
    GString *name = g_string_new(NULL);

    if (g_str_has_prefix(option, "guest=")) {
        option += strlen("guest=");
    }
    for (; *option; option++) {
        if (*option == ',' && *++option != ',') {
            break;
        }
        g_string_append_c(name, *option);
    }
    return g_string_free(name, FALSE);
}

/* Proxmox, and so the launcher, names every guest on QEMU's command line. */
static char *find_name(long pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%ld/cmdline", pid), *text = NULL;
    gsize size;

    if (!g_file_get_contents(path, &text, &size, NULL)) {
        return g_strdup("");
    }
    for (gsize at = 0; at < size; at += strlen(text + at) + 1) {
        if (strcmp(text + at, "-name") == 0 && at + strlen("-name") + 1 < size) {
            return parse_name(text + at + strlen("-name") + 1);
        }
    }
    return g_strdup("");
}

/*
 * The process that holds the lock on @pidfile, in @pid, if it belongs to whom the file does: a QEMU
 * that a guest has taken over can write any number into its pidfile, and is not to have us end
 * other people's processes.
 */
static gboolean find_process(const char *pidfile, long *pid)
{
    g_autofree char *path = NULL, *text = NULL;
    const char *uid;
    guint owner;

    if (!host_pidfile_locked(pidfile, pid, &owner, NULL)) {
        return FALSE;
    }
    path = g_strdup_printf("/proc/%ld/status", *pid);
    uid = g_file_get_contents(path, &text, NULL, NULL) ? strstr(text, "\nUid:\t") : NULL;
    return uid && strtoul(uid + strlen("\nUid:\t"), NULL, 10) == owner;
}

/* The guest of the pidfile DIR/NAME, or NULL: another file, a file that a crash has left. */
static Guest *guest_of_file(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    gsize digits = strspn(name, "0123456789");
    Guest *guest;
    long pid;

    if (digits == 0 || strcmp(name + digits, ".pid") != 0 || !find_process(path, &pid)) {
        return NULL;
    }
    guest = g_new0(Guest, 1);
    guest->id = g_strndup(name, digits);
    guest->dir = g_strdup(dir);
    guest->name = find_name(pid);
    guest->pid = pid;
    return guest;
}

Guest *guest_at(const char *pidfile)
{
    g_autofree char *dir = g_path_get_dirname(pidfile), *name = g_path_get_basename(pidfile);

    return guest_of_file(dir, name);
}

static int by_id(gconstpointer a, gconstpointer b)
{
    const Guest *x = *(Guest *const *)a, *y = *(Guest *const *)b;
    gint64 order = g_ascii_strtoll(x->id, NULL, 10) - g_ascii_strtoll(y->id, NULL, 10);

    return order ? (order > 0 ? 1 : -1) : strcmp(x->dir, y->dir);
}

GPtrArray *guests_running(const Request *request, GError **error)
{
    g_autoptr(GPtrArray) guests = g_ptr_array_new_with_free_func((GDestroyNotify)guest_free);
    g_autoptr(GPtrArray) dirs = guests_dirs(request);

    for (guint i = 0; i < dirs->len; i++) {
        g_autoptr(GError) cause = NULL;
        g_autoptr(GDir) dir = g_dir_open(dirs->pdata[i], 0, &cause);
        const char *name;

        if (!dir && request->runtime_dir) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return NULL;
        }
        while (dir && (name = g_dir_read_name(dir))) {
            Guest *guest = guest_of_file(dirs->pdata[i], name);

            if (guest) {
                g_ptr_array_add(guests, guest);
            }
        }
    }
    g_ptr_array_sort(guests, by_id);
    return g_steal_pointer(&guests);
}

static void not_running(const Request *request, GError **error)
{
    g_autoptr(GPtrArray) dirs = guests_dirs(request);
    g_autofree char *places = NULL;

    g_ptr_array_add(dirs, NULL);
    places = g_strjoinv(", ", (char **)dirs->pdata);
    ctl_fail(error, CTL_ERROR_GUEST, "guest %s does not run, or not as a guest of yours (%s)",
             request->id, places);
}

Guest *guest_find(const Request *request, GError **error)
{
    g_autoptr(GPtrArray) guests = guests_running(request, error);
    const Guest *found = NULL;
    guint at = 0;

    for (guint i = 0; guests && i < guests->len; i++) {
        const Guest *guest = guests->pdata[i];

        if (strcmp(guest->id, request->id) != 0) {
            continue;
        }
        if (found) {
            ctl_fail(error, CTL_ERROR_USAGE,
                     "guest %s runs twice, in %s and %s; choose one by --runtime-dir", guest->id,
                     found->dir, guest->dir);
            return NULL;
        }
        found = guest;
        at = i;
    }
    if (found) {
        return g_ptr_array_steal_index(guests, at);
    }
    if (guests) {
        not_running(request, error);
    }
    return NULL;
}

char *guest_path(const Guest *guest, const char *suffix)
{
    return g_strdup_printf("%s/%s.%s", guest->dir, guest->id, suffix);
}

Qmp *guest_qmp(const Guest *guest, gint64 deadline, GError **error)
{
    g_autofree char *path = guest_path(guest, "qmp");
    g_autoptr(GError) cause = NULL;
    Qmp *qmp = qmp_connect(path, deadline, &cause);

    if (!qmp && g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                    "%s: no answer in time; it serves one client, and another may be there", path);
    } else if (!qmp) {
        g_propagate_error(error, g_steal_pointer(&cause));
    }
    return qmp;
}

char *guest_state(Qmp *qmp, gint64 deadline, GError **error)
{
    g_autoptr(JsonNode) answer =
        qmp_ask(qmp, "query-status", NULL, JSON_NODE_OBJECT, deadline, error);

    return answer ? output_clean(json_object_get_string_member_with_default(
                        json_node_get_object(answer), "status", "unknown"))
                  : NULL;
}

int guest_pidfd(const Guest *guest, GError **error)
{
    g_autofree char *pidfile = guest_path(guest, "pid");
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)guest->pid, 0);
    long pid;

    if (fd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "process %ld: %s", guest->pid,
                    g_strerror(errno));
        return -1;
    }
    /* Still the guest's: the number had not gone to another process before. */
    if (find_process(pidfile, &pid) && pid == guest->pid) {
        return fd;
    }
    close(fd);
    ctl_fail(error, CTL_ERROR_GUEST, "guest %s has just ended", guest->id);
    return -1;
}

gboolean pidfd_wait(int pidfd, gint64 deadline)
{
    struct pollfd pfd = {.fd = pidfd, .events = POLLIN};

    for (;;) {
        gint64 left = MAX(deadline - g_get_monotonic_time(), 0);
        int rc = poll(&pfd, 1, (int)MIN((left + 999) / 1000, G_MAXINT));

        if (rc >= 0 || errno != EINTR) {
            return rc > 0;
        }
    }
}
