/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\n"

typedef enum {
    CONSOLE, /* first, as QEMU's main loop would have it: whoever connects first is served first */
    MONITOR,
    AGENT,
    SOCKETS
} Socket;

typedef struct {
    const FakeGuest *guest;
    gboolean used[64]; /* of ->guest->steps */
    int listeners[SOCKETS], clients[SOCKETS];
    GString *input[SOCKETS];
    FILE *log;
} Fake;

static int listen_at(const char *dir, const char *suffix)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/7.%s", dir, suffix);
    unlink(address.sun_path);
    g_assert_no_errno(bind(fd, (struct sockaddr *)&address, sizeof(address)));
    g_assert_no_errno(listen(fd, 4));
    return fd;
}

static void lock_pidfile(const char *dir)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    g_autofree char *path = g_build_filename(dir, "7.pid", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    g_assert_no_errno(fd);
    g_assert_no_errno(fcntl(fd, F_OFD_SETLK, &lock));
    dprintf(fd, "%d\n", getpid());
}

/* A client that has given up is none of ours to judge. */
static void say(int fd, const char *text)
{
    ssize_t size = (ssize_t)strlen(text), written = write(fd, text, (gsize)size);

    if (written >= 0 || errno != EPIPE)
        g_assert_cmpint(written, ==, size);
}

static const FakeStep *find_step(Fake *fake, const char *command)
{
    const FakeStep *found = NULL;

    for (int i = 0; fake->guest->steps[i].command; i++) {
        if (strcmp(fake->guest->steps[i].command, command) != 0)
            continue;
        found = &fake->guest->steps[i];
        if (!fake->used[i]) {
            fake->used[i] = TRUE;
            return found;
        }
    }
    return found;
}

static void interrupt_client(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    g_assert_no_errno(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size));
    kill(peer.pid, SIGINT);
}

/* Until whoever reads it has gone. */
static void flood(int fd, const char *line)
{
    while (write(fd, line, strlen(line)) > 0) {
    }
    _exit(0);
}

static void answer(Fake *fake, int fd, const char *command)
{
    const FakeStep *step = find_step(fake, command);
    g_autofree char *text = NULL;

    if (!step) {
        text = g_strdup_printf("{\"error\": {\"desc\": \"no step for %s\"}}\n", command);
        say(fd, text);
        return;
    }
    if (step->events)
        say(fd, step->events);
    if (step->action == FAKE_MUTE)
        return;
    if (step->action == FAKE_END)
        _exit(0);
    if (step->action == FAKE_FLOOD)
        flood(fd, step->reply);
    if (step->action == FAKE_INTERRUPT)
        interrupt_client(fd);
    text = step->action == FAKE_ERROR
               ? g_strdup_printf("{\"error\": {\"desc\": \"%s\"}}\n", step->reply)
               : g_strdup_printf("{\"return\": %s}\n", step->reply ? step->reply : "{}");
    say(fd, text);
}

/* What every session starts with is not the test's business. */
static gboolean is_start(Fake *fake, int fd, const char *command, JsonObject *object)
{
    g_autofree char *text = NULL;

    if (strcmp(command, "qmp_capabilities") == 0) {
        say(fd, "{\"return\": {}}\n");
        return TRUE;
    }
    if (strcmp(command, "guest-sync-delimited") != 0 || find_step(fake, command))
        return FALSE;
    if (fake->guest->late)
        say(fd, fake->guest->late);
    text = g_strdup_printf(
        "\xff{\"return\": %" G_GINT64_FORMAT "}\n",
        json_object_get_int_member(json_object_get_object_member(object, "arguments"), "id"));
    say(fd, text);
    return TRUE;
}

static void take_line(Fake *fake, int fd, const char *line)
{
    g_autoptr(JsonNode) node = json_from_string(line, NULL);
    JsonObject *object = node ? json_node_get_object(node) : NULL;
    const char *command = object ? json_object_get_string_member(object, "execute") : NULL;
    g_autofree char *arguments = NULL;

    g_assert_nonnull(command);
    if (is_start(fake, fd, command, object))
        return;
    if (json_object_has_member(object, "arguments"))
        arguments = json_to_string(json_object_get_member(object, "arguments"), FALSE);
    fprintf(fake->log, "%s%s%s\n", command, arguments ? " " : "", arguments ? arguments : "");
    fflush(fake->log);
    answer(fake, fd, command);
}

static void take_input(Fake *fake, Socket which)
{
    GString *input = fake->input[which];
    char buffer[65536];
    ssize_t n = read(fake->clients[which], buffer, sizeof(buffer));
    char *end;

    if (n <= 0) {
        close(fake->clients[which]);
        fake->clients[which] = -1;
        g_string_truncate(input, 0);
        return;
    }
    if (which == CONSOLE) {
        fprintf(fake->log, "console: %.*s\n", (int)n, buffer);
        fflush(fake->log);
        return;
    }
    g_string_append_len(input, buffer, n);
    while ((end = strchr(input->str, '\n'))) {
        *end = '\0';
        take_line(fake, fake->clients[which], input->str);
        g_string_erase(input, 0, end + 1 - input->str);
    }
}

/* As QEMU, serves one client a socket; the next one waits. */
static void serve(Fake *fake)
{
    for (;;) {
        struct pollfd pfds[SOCKETS];

        for (int i = 0; i < SOCKETS; i++) {
            int client = fake->clients[i];

            pfds[i] =
                (struct pollfd){.fd = client >= 0 ? client : fake->listeners[i], .events = POLLIN};
        }
        poll(pfds, SOCKETS, -1);
        for (int i = 0; i < SOCKETS; i++) {
            if (!pfds[i].revents)
                continue;
            if (fake->clients[i] >= 0) {
                take_input(fake, i);
                continue;
            }
            fake->clients[i] = accept(fake->listeners[i], NULL, NULL);
            if (i == MONITOR)
                say(fake->clients[i], GREETING);
            if (i == CONSOLE)
                say(fake->clients[i], fake->guest->console);
        }
    }
}

static void run(const FakeGuest *guest, const char *dir, int ready)
{
    g_autofree char *log = g_build_filename(dir, "log", NULL);
    Fake fake = {.guest = guest, .listeners = {-1, -1, -1}, .clients = {-1, -1, -1}};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    if (guest->deaf)
        signal(SIGTERM, SIG_IGN);
    for (int i = 0; i < SOCKETS; i++)
        fake.input[i] = g_string_new(NULL);
    fake.log = fopen(log, "w");
    lock_pidfile(dir);
    fake.listeners[MONITOR] = listen_at(dir, "qmp");
    if (guest->agent)
        fake.listeners[AGENT] = listen_at(dir, "qga");
    if (guest->console)
        fake.listeners[CONSOLE] = listen_at(dir, "serial0");
    close(ready);
    serve(&fake);
}

GPid fake_start(const FakeGuest *guest, const char *dir)
{
    int ready[2];
    char byte;
    pid_t pid;

    g_assert_no_errno(pipe2(ready, O_CLOEXEC));
    pid = fork();
    g_assert_no_errno(pid);
    if (pid == 0) {
        close(ready[0]);
        run(guest, dir, ready[1]);
    }
    close(ready[1]);
    g_assert_cmpint(read(ready[0], &byte, 1), ==, 0); /* its end is closed */
    close(ready[0]);
    return pid;
}

void fake_end(GPid pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

char *fake_log(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "log", NULL);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}
