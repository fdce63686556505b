/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ECHO_BYTES (1024 * 1024)
#define TIME_LIMIT 60 /* seconds, for one step on a slow, busy host */

static char *fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static char *fail(GError **error, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, GUEST_ERROR, GUEST_ERROR_CHECK, message);
    return NULL;
}

/* One line a device: name, driver, bit 32 of the negotiated features, path of the device. */
static const char list_devices[] =
    "for d in /sys/bus/virtio/devices/*; do"
    "  driver=$(readlink $d/driver) || driver=none;"
    "  echo ${d##*/} ${driver##*/} $(cut -c33 $d/features) $(readlink -f $d);"
    "done";

char *check_devices(Guest *guest, gboolean pcie, const char *expected, GError **error)
{
    g_autofree char *text =
        agent_shell(guest->agent, list_devices, channel_deadline(TIME_LIMIT), error);
    g_autoptr(GString) drivers = g_string_new(NULL);
    g_auto(GStrv) lines = NULL;
    guint n = 0;

    if (!text) {
        return NULL;
    }
    lines = g_strsplit(g_strchomp(text), "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", 4);

        if (g_strv_length(words) != 4 || strcmp(words[1], "none") == 0) {
            return fail(error, "a virtio device without a driver: %s", *line);
        }
        if (strcmp(words[2], "1") != 0) {
            return fail(error, "a device without VIRTIO_F_VERSION_1: %s", *line);
        }
        if ((strstr(words[3], "/pci") != NULL) != pcie) {
            return fail(error, "a device on the wrong transport: %s", *line);
        }
        g_string_append_printf(drivers, "%s%s", n++ ? " " : "", words[1]);
    }
    if (expected && strcmp(drivers->str, expected) != 0) {
        return fail(error, "the drivers are '%s', not '%s'", drivers->str, expected);
    }
    return g_strdup_printf("%u on virtio-%s, modern: %s", n, pcie ? "pci" : "mmio", drivers->str);
}

char *check_disk(Guest *guest, GError **error)
{
    g_autofree char *out = agent_shell(
        guest->agent,
        "set -e; f=/root/check-disk; head -c 16M /dev/urandom | tee $f | sha256sum; sync $f;"
        "echo 3 >/proc/sys/vm/drop_caches; sha256sum <$f; rm $f; findmnt -no SOURCE,FSTYPE /",
        channel_deadline(TIME_LIMIT), error);
    g_auto(GStrv) lines = NULL;

    if (!out) {
        return NULL;
    }
    lines = g_strsplit(g_strchomp(out), "\n", -1);
    if (g_strv_length(lines) != 3 || strcmp(lines[0], lines[1]) != 0) {
        return fail(error, "what was read is not what was written:\n%s", out);
    }
    return g_strdup_printf("16 MiB written to %s and read back", lines[2]);
}

static int connect_port(int port, GError **error)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = TIME_LIMIT};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
        connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        fail(error, "127.0.0.1:%d: %s", port, g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

typedef struct {
    int fd;
    const guint8 *bytes;
} Sender;

static gpointer send_bytes(gpointer data)
{
    Sender *sender = data;
    gsize done = 0;

    while (done < ECHO_BYTES) {
        ssize_t n = send(sender->fd, sender->bytes + done, ECHO_BYTES - done, MSG_NOSIGNAL);

        if (n <= 0) {
            break;
        }
        done += n;
    }
    shutdown(sender->fd, SHUT_WR);
    return NULL;
}

/* Sends random bytes to the guest's echo service while receiving them back. */
static gboolean echo_through(int fd, GError **error)
{
    g_autofree guint8 *sent = g_malloc(ECHO_BYTES), *received = g_malloc(ECHO_BYTES);
    Sender sender = {.fd = fd, .bytes = sent};
    GThread *thread;
    gsize done = 0;
    ssize_t n;

    for (gsize i = 0; i < ECHO_BYTES; i += sizeof(guint32)) {
        guint32 word = g_random_int();

        memcpy(sent + i, &word, sizeof(word));
    }
    thread = g_thread_new("sender", send_bytes, &sender);
    while (done < ECHO_BYTES && (n = recv(fd, received + done, ECHO_BYTES - done, 0)) > 0) {
        done += n;
    }
    shutdown(fd, SHUT_RDWR);
    g_thread_join(thread);
    if (done < ECHO_BYTES || memcmp(sent, received, ECHO_BYTES) != 0) {
        fail(error, "%zu of %d bytes came back, or others", done, ECHO_BYTES);
        return FALSE;
    }
    return TRUE;
}

char *check_echo(Guest *guest, GError **error)
{
    int fd = connect_port(guest->port, error);
    gboolean passed;

    if (fd < 0) {
        return NULL;
    }
    passed = echo_through(fd, error);
    close(fd);
    return passed ? g_strdup_printf("1 MiB there and back by 127.0.0.1:%d", guest->port) : NULL;
}

char *check_network(Guest *guest, GError **error)
{
    g_autofree char *echoed = NULL;
    g_autofree char *addresses =
        agent_shell(guest->agent,
                    "/usr/lib/systemd/systemd-networkd-wait-online --any --timeout=30 &&"
                    "ip -4 -o addr show scope global | awk '{print $2, $4}'",
                    channel_deadline(TIME_LIMIT), error);

    if (!addresses) {
        return NULL;
    }
    if (!*g_strchomp(addresses)) {
        return fail(error, "the guest has no IPv4 address");
    }
    echoed = check_echo(guest, error);
    return echoed ? g_strdup_printf("%s; %s", addresses, echoed) : NULL;
}

char *check_agent(Guest *guest, GError **error)
{
    gint64 deadline = channel_deadline(TIME_LIMIT);
    g_autoptr(JsonNode) ping = agent_execute(guest->agent, "guest-ping", NULL, deadline, error);
    g_autoptr(JsonNode) os = NULL;

    if (!ping) {
        return NULL;
    }
    os = agent_execute(guest->agent, "guest-get-osinfo", NULL, deadline, error);
    if (!os) {
        return NULL;
    }
    return g_strdup_printf(
        "%s, Linux %s",
        json_object_get_string_member_with_default(json_node_get_object(os), "pretty-name", "?"),
        json_object_get_string_member_with_default(json_node_get_object(os), "kernel-release",
                                                   "?"));
}

static gint64 balloon_actual(Guest *guest, GError **error)
{
    g_autoptr(JsonNode) node =
        qmp_execute(guest->qmp, "query-balloon", NULL, channel_deadline(TIME_LIMIT), error);

    return node ? json_object_get_int_member(json_node_get_object(node), "actual") : -1;
}

/* Asks for @target bytes and waits for the event that says the guest is there. */
static gboolean balloon_to(Guest *guest, gint64 target, GError **error)
{
    g_autofree char *arguments = g_strdup_printf("{\"value\": %" G_GINT64_FORMAT "}", target);
    gint64 deadline = channel_deadline(TIME_LIMIT);
    g_autoptr(JsonNode) answer = qmp_execute(guest->qmp, "balloon", arguments, deadline, error);

    if (!answer) {
        return FALSE;
    }
    for (;;) {
        g_autoptr(JsonObject) event = NULL;
        gint64 actual = balloon_actual(guest, error);

        if (actual < 0 || actual == target) {
            return actual == target;
        }
        event = qmp_wait_event(guest->qmp, "BALLOON_CHANGE", deadline, error);
        if (!event) {
            return FALSE;
        }
    }
}

/* MiB that the guest could still use, as it sees it; -1 with @error. */
static gint64 available_mib(Guest *guest, GError **error)
{
    g_autofree char *text =
        agent_shell(guest->agent, "awk '$1 == \"MemAvailable:\" {print $2}' /proc/meminfo",
                    channel_deadline(TIME_LIMIT), error);

    return text ? g_ascii_strtoll(text, NULL, 10) / 1024 : -1;
}

char *check_balloon(Guest *guest, GError **error)
{
    gint64 whole = balloon_actual(guest, error), taken, before, during, after;

    if (whole < 0 || (before = available_mib(guest, error)) < 0) {
        return NULL;
    }
    taken = whole / 4 / (1024 * 1024);
    if (!balloon_to(guest, whole - taken * 1024 * 1024, error) ||
        (during = available_mib(guest, error)) < 0 || !balloon_to(guest, whole, error) ||
        (after = available_mib(guest, error)) < 0) {
        return NULL;
    }
    if (before - during < taken * 3 / 4 || after - during < taken * 3 / 4) {
        return fail(error,
                    "of %" G_GINT64_FORMAT " MiB taken, the guest noticed %" G_GINT64_FORMAT
                    ", and %" G_GINT64_FORMAT " when they came back",
                    taken, before - during, after - during);
    }
    return g_strdup_printf("%" G_GINT64_FORMAT " MiB available, %" G_GINT64_FORMAT
                           " after taking %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT
                           " after giving them back",
                           before, during, taken, after);
}
