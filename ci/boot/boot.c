/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MONITOR_FD 3 /* in QEMU */

struct Boot {
    GPid pid;
    int pidfd;   /* -1 when QEMU has ended and its status is in @status */
    int console; /* a socket, whose other end is the serial port */
    int status;
    gint64 start, deadline;
    GString *text;
    char *dir, *monitor; /* a directory, and the socket in it */
    Qmp *qmp;
};

GPtrArray *boot_argv(const char *qemu)
{
    static const char *const common[] = {"-accel",
                                         "tcg",
                                         "-nodefaults",
                                         "-no-user-config",
                                         "-display",
                                         "none",
                                         "-no-reboot",
                                         "-serial",
                                         "stdio",
                                         "-global",
                                         "virtio-mmio.force-legacy=off"};
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(argv, g_strdup(qemu));
    for (gsize i = 0; i < G_N_ELEMENTS(common); i++) {
        g_ptr_array_add(argv, g_strdup(common[i]));
    }
    return argv;
}

void boot_one_thread(GPtrArray *argv)
{
    char **accel = (char **)&argv->pdata[2];

    g_assert_cmpstr(*accel, ==, "tcg");
    g_free(*accel);
    *accel = g_strdup("tcg,thread=single");
}

void boot_add(GPtrArray *argv, const char *option, const char *format, ...)
{
    va_list args;

    g_ptr_array_add(argv, g_strdup(option));
    va_start(args, format);
    g_ptr_array_add(argv, g_strdup_vprintf(format, args));
    va_end(args);
}

void boot_add_disk(GPtrArray *argv, int index, const char *path, int slot)
{
    boot_add(argv, "-drive", "if=none,id=d%d,file=%s,format=raw", index, path);
    boot_add(argv, "-device", "virtio-blk-device,drive=d%d,bus=virtio-mmio-bus.%d", index, slot);
}

static gboolean fail_errno(const char *what, GError **error)
{
    int saved = errno;

    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(saved), "%s: %s", what, g_strerror(saved));
    return FALSE;
}

/* A socket at @path that accepts connections from now on, so that none need wait for QEMU. */
static int listen_at(const char *path, GError **error)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert(g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) < sizeof(addr.sun_path));
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0) {
        fail_errno(path, error);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

/* In the child: QEMU ends with the test, however that ends. */
static void end_with_parent(gpointer parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != GPOINTER_TO_INT(parent)) {
        _exit(127);
    }
}

static gboolean spawn(Boot *boot, char **argv, int listener, GError **error)
{
    const int target = MONITOR_FD;
    int console[2];
    gboolean spawned;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console) < 0) {
        return fail_errno("socketpair", error);
    }
    boot->console = console[0];
    spawned = g_spawn_async_with_pipes_and_fds(
        NULL, (const char *const *)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, end_with_parent,
        GINT_TO_POINTER(getpid()), console[1], console[1], console[1], &listener, &target, 1,
        &boot->pid, NULL, NULL, NULL, error);
    close(console[1]);
    if (!spawned) {
        return FALSE;
    }
    boot->pidfd = (int)syscall(SYS_pidfd_open, boot->pid, 0);
    g_assert_cmpint(boot->pidfd, >=, 0);
    return TRUE;
}

Boot *boot_start(GPtrArray *argv, double seconds, GError **error)
{
    g_autoptr(Boot) boot = g_new0(Boot, 1);
    gboolean spawned;
    int listener;

    boot->console = boot->pidfd = -1;
    boot->text = g_string_new(NULL);
    boot->start = g_get_monotonic_time();
    boot->deadline = channel_deadline(seconds);
    boot->dir = g_dir_make_tmp("boot-XXXXXX", error);
    if (!boot->dir) {
        return NULL;
    }
    boot->monitor = g_build_filename(boot->dir, "qmp", NULL);
    listener = listen_at(boot->monitor, error);
    if (listener < 0) {
        return NULL;
    }
    boot_add(argv, "-chardev", "socket,id=monitor,fd=%d,server=on,wait=off", MONITOR_FD);
    boot_add(argv, "-mon", "chardev=monitor,mode=control");
    g_ptr_array_add(argv, NULL);
    spawned = spawn(boot, (char **)argv->pdata, listener, error);
    close(listener);
    return spawned ? g_steal_pointer(&boot) : NULL;
}

/* Waits until @fd can be read, or is at its end. */
static gboolean wait_readable(const Boot *boot, int fd, GError **error)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    int rc;

    do {
        gint64 left = MAX(boot->deadline - g_get_monotonic_time(), 0);

        rc = poll(&pfd, 1, (int)MIN((left + 999) / 1000, G_MAXINT));
    } while (rc < 0 && errno == EINTR);
    if (rc == 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "not in %.0f s",
                    (double)(boot->deadline - boot->start) / G_USEC_PER_SEC);
    } else if (rc < 0) {
        fail_errno("poll", error);
    }
    return rc > 0;
}

/* Takes what the console shows next. FALSE at its end, without @error. */
static gboolean read_console(Boot *boot, GError **error)
{
    char buffer[4096];
    ssize_t n;

    if (!wait_readable(boot, boot->console, error)) {
        return FALSE;
    }
    n = read(boot->console, buffer, sizeof(buffer));
    for (ssize_t i = 0; i < n; i++) {
        if (buffer[i] && buffer[i] != '\r') {
            g_string_append_c(boot->text, buffer[i]);
        }
    }
    return n < 0 ? fail_errno("console", error) : n > 0;
}

gboolean boot_wait_text(Boot *boot, const char *text, GError **error)
{
    GError *local = NULL;

    while (!strstr(boot->text->str, text)) {
        if (read_console(boot, &local)) {
            continue;
        }
        if (!local) {
            local = g_error_new(G_IO_ERROR, G_IO_ERROR_CLOSED, "QEMU has ended");
        }
        g_propagate_prefixed_error(error, local, "the console did not show '%s': ", text);
        return FALSE;
    }
    return TRUE;
}

gboolean boot_send(Boot *boot, const char *text, GError **error)
{
    gsize size = strlen(text);

    /* a line is less than the socket holds */
    if (send(boot->console, text, size, MSG_NOSIGNAL) != (ssize_t)size) {
        return fail_errno("console", error);
    }
    return TRUE;
}

void boot_stutter(Boot *boot, int times, int run_ms, int stopped_ms)
{
    struct pollfd ended = {.fd = boot->pidfd, .events = POLLIN};

    for (int i = 0; i < times && poll(&ended, 1, run_ms) == 0; i++) {
        syscall(SYS_pidfd_send_signal, boot->pidfd, SIGSTOP, NULL, 0);
        poll(NULL, 0, stopped_ms);
        syscall(SYS_pidfd_send_signal, boot->pidfd, SIGCONT, NULL, 0);
    }
}

gboolean boot_wait_end(Boot *boot, GError **error)
{
    GError *local = NULL;

    while (read_console(boot, &local)) {
    }
    if (local || (boot->pidfd >= 0 && !wait_readable(boot, boot->pidfd, &local))) {
        g_propagate_prefixed_error(error, local, "QEMU did not end: ");
        return FALSE;
    }
    if (boot->pidfd >= 0) {
        waitpid(boot->pid, &boot->status, 0);
        close(boot->pidfd);
        boot->pidfd = -1;
    }
    return g_spawn_check_wait_status(boot->status, error);
}

void boot_free(Boot *boot)
{
    if (!boot) {
        return;
    }
    if (boot->pidfd >= 0) {
        syscall(SYS_pidfd_send_signal, boot->pidfd, SIGKILL, NULL, 0);
        waitpid(boot->pid, NULL, 0);
        close(boot->pidfd);
    }
    if (boot->console >= 0) {
        close(boot->console);
    }
    qmp_free(boot->qmp);
    if (boot->monitor) {
        g_unlink(boot->monitor);
    }
    if (boot->dir) {
        g_rmdir(boot->dir);
    }
    g_free(boot->monitor);
    g_free(boot->dir);
    g_string_free(boot->text, TRUE);
    g_free(boot);
}

Qmp *boot_qmp(Boot *boot, GError **error)
{
    if (!boot->qmp) {
        boot->qmp = qmp_connect(boot->monitor, boot->deadline, error);
    }
    return boot->qmp;
}

GPid boot_pid(const Boot *boot)
{
    return boot->pid;
}

gint64 boot_deadline(const Boot *boot)
{
    return boot->deadline;
}

double boot_seconds(const Boot *boot)
{
    return (double)(g_get_monotonic_time() - boot->start) / G_USEC_PER_SEC;
}

const char *boot_console(const Boot *boot)
{
    return boot->text->str;
}

GStrv boot_lines(const Boot *boot, const char *start)
{
    g_auto(GStrv) lines = g_strsplit(boot->text->str, "\n", -1);
    g_autoptr(GStrvBuilder) found = g_strv_builder_new();

    for (char **line = lines; *line; line++) {
        if (g_str_has_prefix(*line, start)) {
            g_strv_builder_add(found, *line + strlen(start));
        }
    }
    return g_strv_builder_end(found);
}

void boot_drain(Boot *boot)
{
    boot->deadline = 0;
    while (read_console(boot, NULL)) {
    }
}

void boot_show(Boot *boot)
{
    boot_drain(boot);
    g_test_message("after %.1f s the console showed:\n%s", boot_seconds(boot), boot->text->str);
}
