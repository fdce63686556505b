/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "identity.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "output.h"

#define PROGRAM "/run/microvm-identity" /* in the guest: gone when that boots anew */
#define CHUNK 32768                     /* of the program, in one message to the agent */
#define RANDOM_BYTES 64
#define KEYS_SIZE 65536 /* more than all of them have, so that no copy of one is left in memory */
#define ANSWER_MAX 1024 /* the guest can write what it likes */

static const guint8 program[] = {
#include "identity-program.inc"
};

/* Without udev there is no name for the port but in sysfs. */
static const char start_program[] =
    "set -e; chmod 700 " PROGRAM "; for port in /sys/class/virtio-ports/*; do "
    "  if [ \"$(cat \"$port/name\")\" = " PLAN_IDENTITY_PORT " ]; then break; fi; "
    "done; port=/dev/${port##*/}; "
    "if [ -d /run/systemd/system ]; then "
    "  exec systemd-run --quiet --collect --unit=microvm-identity " PROGRAM " \"$port\"; "
    "fi; setsid " PROGRAM " \"$port\" </dev/null >/dev/null 2>&1 &";

struct Identity {
    int fd;
    char *path;
    GString *pending; /* received, not yet looked at */
};

Identity *identity_connect(const char *path, GError **error)
{
    int fd = unix_connect(path, error);
    Identity *identity;

    if (fd < 0) {
        return NULL;
    }
    identity = g_new0(Identity, 1);
    identity->fd = fd;
    identity->path = g_strdup(path);
    identity->pending = g_string_new(NULL);
    return identity;
}

void identity_free(Identity *identity)
{
    if (identity) {
        close(identity->fd);
        g_free(identity->path);
        g_string_free(identity->pending, TRUE);
        g_free(identity);
    }
}

static gboolean write_program(Agent *agent, gint64 handle, gint64 deadline, GError **error)
{
    for (gsize at = 0; at < sizeof(program); at += CHUNK) {
        g_autofree char *base64 =
            g_base64_encode(program + at, MIN((gsize)CHUNK, sizeof(program) - at));
        g_autofree char *arguments =
            channel_arguments("{'handle': <%x>, 'buf-b64': <%s>}", handle, base64);
        g_autoptr(JsonNode) written =
            agent_execute(agent, "guest-file-write", arguments, deadline, error);

        if (!written) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean upload(Agent *agent, gint64 deadline, GError **error)
{
    g_autofree char *arguments = channel_arguments("{'path': <%s>, 'mode': <'w'>}", PROGRAM);
    g_autoptr(JsonNode) handle =
        agent_execute(agent, "guest-file-open", arguments, deadline, error);
    g_autoptr(JsonNode) closed = NULL;
    g_autofree char *close_arguments = NULL;

    if (!handle || !write_program(agent, json_node_get_int(handle), deadline, error)) {
        return FALSE;
    }
    close_arguments = channel_arguments("{'handle': <%x>}", json_node_get_int(handle));
    closed = agent_execute(agent, "guest-file-close", close_arguments, deadline, error);
    return closed != NULL;
}

gboolean identity_install(Agent *agent, gint64 deadline, GError **error)
{
    g_autofree char *out = NULL;

    if (upload(agent, deadline, error)) {
        out = agent_shell(agent, start_program, deadline, error);
    }
    if (!out) {
        g_prefix_error(error, PROGRAM " cannot be put into the guest and started: ");
    }
    return out != NULL;
}

static gboolean send_text(Identity *identity, const char *text, gint64 deadline, GError **error)
{
    gsize left = strlen(text);

    while (left > 0) {
        ssize_t n = send(identity->fd, text, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        struct pollfd pfd = {.fd = identity->fd, .events = POLLOUT};
        gint64 time = deadline - g_get_monotonic_time();

        if (n >= 0) {
            text += n;
            left -= (gsize)n;
        } else if (errno != EAGAIN || time <= 0 || poll(&pfd, 1, (int)(time / 1000)) < 0) {
            return ctl_fail(error, CTL_ERROR_FAILED, "%s: %s", identity->path, g_strerror(errno));
        }
    }
    return TRUE;
}

/* More of the answer; FALSE at the deadline, or when QEMU has gone. */
static gboolean receive(Identity *identity, gint64 deadline, GError **error)
{
    struct pollfd pfd = {.fd = identity->fd, .events = POLLIN};
    gint64 left = MAX(deadline - g_get_monotonic_time(), 0);
    char buffer[ANSWER_MAX];
    ssize_t n;

    if (poll(&pfd, 1, (int)MIN((left + 999) / 1000, G_MAXINT)) == 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                    "the guest does not answer in time at its port " PLAN_IDENTITY_PORT);
        return FALSE;
    }
    n = recv(identity->fd, buffer, sizeof(buffer), 0);
    if (n > 0) {
        g_string_append_len(identity->pending, buffer, n);
    }
    return n > 0 || ctl_fail(error, CTL_ERROR_FAILED, "QEMU has ended while the guest was asked");
}

/* The guest's next line, to be freed. */
static char *get_line(Identity *identity, gint64 deadline, GError **error)
{
    const char *end;
    char *line;

    while (!(end = memchr(identity->pending->str, '\n', identity->pending->len))) {
        if (identity->pending->len > ANSWER_MAX) {
            ctl_fail(error, CTL_ERROR_FAILED, "the guest answers with what is not asked for");
            return NULL;
        }
        if (!receive(identity, deadline, error)) {
            return NULL;
        }
    }
    line = g_strndup(identity->pending->str, (gsize)(end - identity->pending->str));
    g_string_erase(identity->pending, 0, end - identity->pending->str + 1);
    return line;
}

/* The guest's answer, which is to begin with @word; to be freed. */
static char *expect(Identity *identity, const char *word, gint64 deadline, GError **error)
{
    g_autofree char *line = get_line(identity, deadline, error), *clean = NULL;

    if (!line || g_str_has_prefix(line, word)) {
        return g_steal_pointer(&line);
    }
    clean = output_clean(line);
    ctl_fail(error, CTL_ERROR_FAILED, "in the guest: %s", clean);
    return NULL;
}

/* "settled vmgenid=1 keys=ed25519,rsa"; of keys, those that we know. */
static void read_settled(const char *answer, Template *tmpl)
{
    const char *list = strstr(answer, " keys=");
    g_auto(GStrv) types = g_strsplit(list ? list + strlen(" keys=") : "", ",", -1);

    tmpl->vmgenid_used = strstr(answer, " vmgenid=1") != NULL;
    for (char **type = types; *type; type++) {
        if (template_is_key_type(*type) &&
            !g_ptr_array_find_with_equal_func(tmpl->ssh_keys, *type, g_str_equal, NULL)) {
            g_ptr_array_add(tmpl->ssh_keys, g_strdup(*type));
        }
    }
}

gboolean identity_settle(Identity *identity, gboolean drop_caches, Template *tmpl, gint64 deadline,
                         GError **error)
{
    g_autofree char *answer = NULL;

    if (!send_text(identity, drop_caches ? "settle drop-caches\n" : "settle\n", deadline, error)) {
        return FALSE;
    }
    answer = expect(identity, "settled ", deadline, error);
    if (answer) {
        read_settled(answer, tmpl);
    }
    return answer != NULL;
}

gboolean identity_freeze(Identity *identity, gint64 deadline, GError **error)
{
    g_autofree char *answer = NULL;

    if (!send_text(identity, "freeze\n", deadline, error)) {
        return FALSE;
    }
    answer = expect(identity, "frozen", deadline, error);
    return answer != NULL;
}

static gboolean add_random(GString *text, GError **error)
{
    guint8 bytes[RANDOM_BYTES];

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
        return ctl_fail(error, CTL_ERROR_FAILED, "random numbers: %s", g_strerror(errno));
    }
    g_string_append(text, "random ");
    output_hex(text, bytes, sizeof(bytes));
    g_string_append_c(text, '\n');
    return TRUE;
}

/* As systemd makes them: a random UUID, without its dashes. */
static void add_machine_id(GString *text)
{
    g_autofree char *uuid = g_uuid_string_random();

    g_string_append(text, "machine-id ");
    for (const char *p = uuid; *p; p++) {
        if (*p != '-') {
            g_string_append_c(text, *p);
        }
    }
    g_string_append_c(text, '\n');
}

/* The last of what makes it a guest of its own: it works on the rest while we wait for the keys. */
static gboolean send_keys(Identity *identity, HostKeys *keys, gint64 deadline, GError **error)
{
    g_autoptr(GString) text = g_string_sized_new(KEYS_SIZE);
    gboolean sent;

    host_keys_add(keys, text, deadline);
    g_string_append_printf(text, "time %" G_GINT64_FORMAT "000\nwake\n", g_get_real_time());
    sent = send_text(identity, text->str, deadline, error);
    explicit_bzero(text->str, text->allocated_len);
    return sent;
}

gboolean identity_send(Identity *identity, const Plan *plan, const Template *tmpl, HostKeys *keys,
                       gint64 deadline, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (!add_random(text, error)) {
        return FALSE;
    }
    /* no file is written before the random numbers are its own */
    g_string_append_printf(text, "thaw\nhostname %s\n", plan->name);
    add_machine_id(text);
    for (guint i = 0; i < plan->nics->len; i++) {
        const PlanNic *nic = plan->nics->pdata[i];
        const char *before = template_mac(tmpl, nic->key);

        if (before) {
            g_string_append_printf(text, "mac %s %s\n", before, nic->mac);
        }
    }
    return send_text(identity, text->str, deadline, error) &&
           send_keys(identity, keys, deadline, error);
}

gboolean identity_send_alone(Identity *identity, gint64 deadline, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (!add_random(text, error)) {
        return FALSE;
    }
    g_string_append_printf(text, "thaw\ntime %" G_GINT64_FORMAT "000\n", g_get_real_time());
    return send_text(identity, text->str, deadline, error);
}

gboolean identity_go_online(Identity *identity, const GPtrArray *hosts, guint seconds,
                            gint64 deadline, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *answer = NULL;

    for (guint i = 0; hosts && i < hosts->len; i++) {
        g_string_append_printf(text, "host %s\n", (char *)hosts->pdata[i]);
    }
    g_string_append_printf(text, "online %u\n", seconds);
    if (!send_text(identity, text->str, deadline, error)) {
        return FALSE;
    }
    answer = expect(identity, "online", deadline, error);
    return answer != NULL;
}

int identity_run(Identity *identity, gint64 deadline, GError **error)
{
    if (identity->pending->len > 0) {
        ctl_fail(error, CTL_ERROR_FAILED, "the guest answers before it is asked");
        return -1;
    }
    return send_text(identity, "run\n", deadline, error) ? identity->fd : -1;
}

gboolean identity_wait(Identity *identity, gint64 deadline, GError **error)
{
    g_autofree char *answer = expect(identity, "awake", deadline, error);

    return answer != NULL;
}
