/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MAX_BYTES (16 * 1024 * 1024)
#define DEPTH_MAX 64 /* of objects and arrays in each other; the parser calls itself for each */
#define CONNECT_SECONDS 5 /* for a listener whose queue is full */

struct Channel {
    int fd;
    char *path;
    GString *pending; /* received, not yet returned */
};

static gboolean fail_errno(const Channel *channel, const char *what, GError **error)
{
    int saved = errno;

    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(saved), "%s: %s: %s", channel->path, what,
                g_strerror(saved));
    return FALSE;
}

/* The timeout for sending holds for connect() too. */
static gboolean connect_in_time(int fd, const struct sockaddr_un *addr)
{
    const struct timeval timeout = {.tv_sec = CONNECT_SECONDS}, none = {0};
    int rc;

    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0) {
        return FALSE;
    }
    do {
        rc = connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
    } while (rc < 0 && errno == EINTR);
    return rc == 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none)) == 0;
}

int unix_connect(const char *path, GError **error)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd, saved;

    if (g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) >= sizeof(addr.sun_path)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG,
                    "%s: longer than the %zu bytes of a socket's path", path,
                    sizeof(addr.sun_path) - 1);
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect_in_time(fd, &addr)) {
        return fd;
    }
    saved = errno == EAGAIN ? ETIMEDOUT : errno;
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(saved), "%s: %s", path, g_strerror(saved));
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

Channel *channel_connect(const char *path, GError **error)
{
    int fd = unix_connect(path, error);
    Channel *channel;

    if (fd < 0) {
        return NULL;
    }
    channel = g_new0(Channel, 1);
    channel->fd = fd;
    channel->path = g_strdup(path);
    channel->pending = g_string_new(NULL);
    return channel;
}

void channel_free(Channel *channel)
{
    if (!channel) {
        return;
    }
    close(channel->fd);
    g_string_free(channel->pending, TRUE);
    g_free(channel->path);
    g_free(channel);
}

gint64 channel_deadline(double seconds)
{
    return g_get_monotonic_time() + (gint64)(seconds * G_USEC_PER_SEC);
}

static gboolean wait_for(Channel *channel, short events, gint64 deadline, GError **error)
{
    struct pollfd pfd = {.fd = channel->fd, .events = events};

    for (;;) {
        gint64 left = deadline - g_get_monotonic_time();
        int rc = left > 0 ? poll(&pfd, 1, (int)MIN((left + 999) / 1000, G_MAXINT)) : 0;

        if (rc > 0) {
            return TRUE;
        }
        if (rc == 0) { /* also when there is ever more to read */
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "%s: no answer in time",
                        channel->path);
            return FALSE;
        }
        if (errno != EINTR) {
            return fail_errno(channel, "poll", error);
        }
    }
}

static gboolean send_all(Channel *channel, const char *data, gsize size, gint64 deadline,
                         GError **error)
{
    while (size > 0) {
        ssize_t n = send(channel->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0) {
            data += n;
            size -= n;
        } else if (errno == EAGAIN) {
            if (!wait_for(channel, POLLOUT, deadline, error)) {
                return FALSE;
            }
        } else if (errno != EINTR) {
            return fail_errno(channel, "send", error);
        }
    }
    return TRUE;
}

gboolean channel_pass_fd(Channel *channel, int fd, GError **error)
{
    char blank = ' ', control[CMSG_SPACE(sizeof(fd))] = {0}; /* JSON allows for a blank anywhere */
    struct iovec data = {.iov_base = &blank, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    return sendmsg(channel->fd, &message, MSG_NOSIGNAL) == 1 ||
           fail_errno(channel, "sendmsg", error);
}

char *channel_arguments(const char *format, ...)
{
    g_autoptr(GVariant) values = NULL;
    va_list ap;

    va_start(ap, format);
    values = g_variant_ref_sink(g_variant_new_parsed_va(format, &ap));
    va_end(ap);
    return json_gvariant_serialize_data(values, NULL);
}

gboolean channel_send(Channel *channel, const char *command, const char *arguments, gint64 deadline,
                      GError **error)
{
    g_autofree char *line =
        arguments
            ? g_strdup_printf("{\"execute\": \"%s\", \"arguments\": %s}\n", command, arguments)
            : g_strdup_printf("{\"execute\": \"%s\"}\n", command);

    return send_all(channel, line, strlen(line), deadline, error);
}

/* A guest can write what it likes, and the parser has no limit of its own. */
static gboolean is_too_deep(const char *line, gsize size)
{
    gboolean in_string = FALSE;
    int depth = 0;

    for (gsize i = 0; i < size && depth <= DEPTH_MAX; i++) {
        if (in_string && line[i] == '\\') {
            i++;
        } else if (line[i] == '"') {
            in_string = !in_string;
        } else if (!in_string) {
            depth += (line[i] == '[' || line[i] == '{') - (line[i] == ']' || line[i] == '}');
        }
    }
    return depth > DEPTH_MAX;
}

static JsonObject *parse_line(const Channel *channel, const char *line, gsize size, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) local = NULL;
    JsonNode *root = NULL;

    if (!is_too_deep(line, size) && json_parser_load_from_data(parser, line, size, &local)) {
        root = json_parser_get_root(parser);
    }
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: no JSON object came: %s",
                    channel->path, local ? local->message : "another value, or one too deep");
        return NULL;
    }
    return json_node_dup_object(root);
}

static gboolean receive_more(Channel *channel, gint64 deadline, GError **error)
{
    char buffer[65536];
    ssize_t n;

    if (channel->pending->len > LINE_MAX_BYTES) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: a line longer than %d bytes",
                    channel->path, LINE_MAX_BYTES);
        return FALSE;
    }
    if (!wait_for(channel, POLLIN, deadline, error)) {
        return FALSE;
    }
    n = recv(channel->fd, buffer, sizeof(buffer), 0);
    if (n == 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_CLOSED, "%s: closed by the other end",
                    channel->path);
        return FALSE;
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        return fail_errno(channel, "recv", error);
    }
    if (n > 0) {
        g_string_append_len(channel->pending, buffer, n);
    }
    return TRUE;
}

JsonObject *channel_receive(Channel *channel, gint64 deadline, GError **error)
{
    for (;;) {
        char *start = channel->pending->str;
        char *end = memchr(start, '\n', channel->pending->len);

        if (end) {
            /* guest-sync-delimited answers with a 0xff byte before the object */
            char *from = *start == '\xff' ? start + 1 : start;
            JsonObject *object = parse_line(channel, from, end - from, error);

            g_string_erase(channel->pending, 0, end - start + 1);
            return object;
        }
        if (!receive_more(channel, deadline, error)) {
            return NULL;
        }
    }
}
