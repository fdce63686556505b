/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

G_DEFINE_QUARK(guest - error - quark, guest_error)

/*
 * QEMU outlives us unless it is ended: a test that aborts, or a user's Ctrl-C, must not leave it
 * running. The handler kills by pidfd, which is safe in a handler and hits nobody else.
 */
static volatile int running[32];

static void end_running(int signal)
{
    for (gsize i = 0; i < G_N_ELEMENTS(running); i++) {
        if (running[i] > 0) {
            syscall(SYS_pidfd_send_signal, running[i], SIGKILL, NULL, 0);
        }
    }
    kill(getpid(), signal); /* now with its default effect */
}

static void set_running(int from, int to)
{
    static const int signals[] = {SIGABRT, SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = end_running, .sa_flags = SA_RESETHAND | SA_NODEFER};

    for (gsize i = 0; i < G_N_ELEMENTS(signals); i++) {
        sigaction(signals[i], &action, NULL);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(running); i++) {
        if (running[i] == from) {
            running[i] = to;
            return;
        }
    }
    g_assert_not_reached();
}

static char *runtime_file(const Guest *guest, const char *suffix)
{
    return g_strdup_printf("%s/%s.%s", guest->runtime_dir, guest->id, suffix);
}

/* A TCP port that was free on 127.0.0.1 just now. */
static int free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = bind(fd, (struct sockaddr *)&addr, size);

    g_assert_cmpint(rc, ==, 0);
    rc = getsockname(fd, (struct sockaddr *)&addr, &size);
    g_assert_cmpint(rc, ==, 0);
    close(fd);
    return ntohs(addr.sin_port);
}

static void add_all(GPtrArray *argv, const char *const *words)
{
    for (; words && *words; words++) {
        g_ptr_array_add(argv, g_strdup(*words));
    }
}

/* The guest starts stopped, so that not a byte of its console is missed. */
static GPtrArray *launcher_argv(const GuestSpec *spec, const Guest *guest)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *net = g_strdup_printf("user,hostfwd=tcp:127.0.0.1:%d-:7777", guest->port);
    const char *fixed[] = {spec->launcher, "--runtime-dir", spec->runtime_dir, "--daemonize", NULL};

    add_all(argv, fixed);
    if (!spec->own_nets) {
        add_all(argv, (const char *[]){"--net", net, NULL});
    }
    if (spec->storage_cfg) {
        add_all(argv, (const char *[]){"--storage-cfg", spec->storage_cfg, NULL});
    }
    add_all(argv, spec->options);
    add_all(argv, (const char *[]){spec->config, "--", "-S", NULL});
    add_all(argv, spec->trailing);
    g_ptr_array_add(argv, NULL);
    return argv;
}

static gboolean run_launcher(const GuestSpec *spec, const Guest *guest, GError **error)
{
    g_autoptr(GPtrArray) argv = launcher_argv(spec, guest);
    g_autofree char *out = NULL, *err = NULL;
    int status;

    if (!g_spawn_sync(NULL, (char **)argv->pdata, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err,
                      &status, error)) {
        return FALSE;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        g_set_error(error, GUEST_ERROR, GUEST_ERROR_LAUNCH, "%s", g_strchomp(err));
        return FALSE;
    }
    return TRUE;
}

static gboolean open_pid(Guest *guest, GError **error)
{
    g_autofree char *path = runtime_file(guest, "pid");
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, error)) {
        return FALSE;
    }
    guest->pid = (pid_t)atoi(text);
    guest->pidfd = syscall(SYS_pidfd_open, guest->pid, 0);
    if (guest->pidfd < 0) {
        g_set_error(error, GUEST_ERROR, GUEST_ERROR_CHECK, "%s: no process %s: %s", path,
                    g_strchomp(text), g_strerror(errno));
        return FALSE;
    }
    set_running(0, guest->pidfd);
    return TRUE;
}

static gboolean connect_guest(Guest *guest, FILE *echo, GError **error)
{
    g_autofree char *qmp = runtime_file(guest, "qmp");
    g_autofree char *serial = runtime_file(guest, "serial0");
    gint64 deadline = channel_deadline(30);
    g_autoptr(JsonNode) answer = NULL;

    guest->console = console_connect(serial, echo, error);
    if (!guest->console) {
        return FALSE;
    }
    guest->qmp = qmp_connect(qmp, deadline, error);
    if (!guest->qmp) {
        return FALSE;
    }
    guest->started = g_get_monotonic_time();
    answer = qmp_execute(guest->qmp, "cont", NULL, deadline, error);
    return answer != NULL;
}

Guest *guest_start(const GuestSpec *spec, GError **error)
{
    g_autoptr(Guest) guest = g_new0(Guest, 1);
    g_autofree char *name = g_path_get_basename(spec->config);

    g_assert(g_str_has_suffix(name, ".conf"));
    guest->id = g_strndup(name, strlen(name) - strlen(".conf"));
    guest->runtime_dir = g_strdup(spec->runtime_dir);
    guest->pidfd = -1;
    guest->port = free_port();
    guest->launched = g_get_monotonic_time();
    if (!run_launcher(spec, guest, error)) {
        return NULL;
    }
    guest->set_up = g_get_monotonic_time();
    if (!open_pid(guest, error) || !connect_guest(guest, spec->echo, error)) {
        return NULL;
    }
    return g_steal_pointer(&guest);
}

gboolean guest_wait_ready(Guest *guest, gint64 deadline, GError **error)
{
    g_autofree char *path = runtime_file(guest, "qga");

    g_autofree char *state = NULL;

    guest->agent = agent_connect(path, deadline, error);
    if (!guest->agent) {
        return FALSE;
    }
    /* the agent is there before logind is, and before that nobody hears the power button */
    state = agent_shell(guest->agent, "systemctl is-system-running --wait || [ $? = 1 ]", deadline,
                        error);
    return state != NULL;
}

void guest_let_go(Guest *guest)
{
    set_running(guest->pidfd, 0);
    close(guest->pidfd);
    guest->pidfd = -1;
}

/* Waits for QEMU's end, and closes the descriptor that stands for it. */
static gboolean wait_end(Guest *guest, gint64 deadline, GError **error)
{
    struct pollfd pfd = {.fd = guest->pidfd, .events = POLLIN};
    gint64 left = MAX(deadline - g_get_monotonic_time(), 0);

    if (poll(&pfd, 1, left / 1000) != 1) {
        g_set_error(error, GUEST_ERROR, GUEST_ERROR_CHECK, "QEMU did not end in time");
        return FALSE;
    }
    guest_let_go(guest);
    return TRUE;
}

gboolean guest_power_down(Guest *guest, gint64 deadline, GError **error)
{
    g_autoptr(JsonNode) answer = qmp_execute(guest->qmp, "system_powerdown", NULL, deadline, error);
    g_autoptr(JsonObject) event = NULL;
    const char *reason;

    if (!answer) {
        return FALSE;
    }
    event = qmp_wait_event(guest->qmp, "SHUTDOWN", deadline, error);
    if (!event) {
        return FALSE;
    }
    reason = json_object_get_string_member_with_default(
        json_object_get_object_member(event, "data"), "reason", "?");
    if (g_strcmp0(reason, "guest-shutdown") != 0) {
        g_set_error(error, GUEST_ERROR, GUEST_ERROR_CHECK, "QEMU ended by '%s', not by the guest",
                    reason);
        return FALSE;
    }
    return wait_end(guest, deadline, error);
}

gboolean guest_left_nothing(const Guest *guest, GError **error)
{
    static const char *const suffixes[] = {"pid", "qmp", "qga", "serial0"};

    for (gsize i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree char *path = runtime_file(guest, suffixes[i]);

        if (g_file_test(path, G_FILE_TEST_EXISTS)) {
            g_set_error(error, GUEST_ERROR, GUEST_ERROR_CHECK, "%s was left behind", path);
            return FALSE;
        }
    }
    return TRUE;
}

void guest_free(Guest *guest)
{
    if (!guest) {
        return;
    }
    if (guest->pidfd >= 0) {
        syscall(SYS_pidfd_send_signal, guest->pidfd, SIGTERM, NULL, 0);
        if (!wait_end(guest, channel_deadline(10), NULL)) {
            syscall(SYS_pidfd_send_signal, guest->pidfd, SIGKILL, NULL, 0);
            wait_end(guest, channel_deadline(10), NULL);
        }
    }
    agent_free(guest->agent);
    qmp_free(guest->qmp);
    console_free(guest->console);
    g_free(guest->runtime_dir);
    g_free(guest->id);
    g_free(guest);
}
