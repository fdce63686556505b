/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define VERSION_1 (G_GUINT64_CONSTANT(1) << 32)
#define PROTOCOL_FEATURES (G_GUINT64_CONSTANT(1) << 30)
#define REPLY 5 /* flags of a message: version 1, an answer */
#define MOST 4096
#define FDS 32

enum {
    GET_FEATURES = 1,
    SET_LOG_BASE = 6, /* has an answer too, of any content */
    GET_VRING_BASE = 11,
    GET_PROTOCOL_FEATURES = 15,
    GET_QUEUE_NUM = 17,
    GET_CONFIG = 24,
};

typedef struct {
    guint32 request, flags, size;
    guint8 payload[MOST];
} Message;

struct Backend {
    guint64 features, protocol_features;
    int listener, end; /* a socket, and an eventfd */
    GThread *thread;
};

/* All descriptors that come with a message are closed: no queue is ever served. */
static gboolean receive_head(int fd, Message *message)
{
    union {
        char bytes[CMSG_SPACE(FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec head = {message, offsetof(Message, payload)};
    struct msghdr msg = {.msg_iov = &head,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control)};

    if (recvmsg(fd, &msg, MSG_WAITALL | MSG_CMSG_CLOEXEC) != (ssize_t)head.iov_len) {
        return FALSE;
    }
    for (struct cmsghdr *each = CMSG_FIRSTHDR(&msg); each; each = CMSG_NXTHDR(&msg, each)) {
        gsize count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        int fds[FDS];

        memcpy(fds, CMSG_DATA(each), count * sizeof(int));
        for (gsize i = 0; i < count; i++) {
            close(fds[i]);
        }
    }
    return message->size <= MOST;
}

static gboolean serve_one(const Backend *backend, int fd)
{
    Message message;
    guint64 number = 0;
    gsize size = sizeof(number);

    if (!receive_head(fd, &message) ||
        (message.size > 0 &&
         recv(fd, message.payload, message.size, MSG_WAITALL) != (ssize_t)message.size)) {
        return FALSE;
    }
    switch (message.request) {
    case GET_FEATURES:
        number = backend->features | VERSION_1 | PROTOCOL_FEATURES;
        break;
    case GET_PROTOCOL_FEATURES:
        number = backend->protocol_features;
        break;
    case GET_QUEUE_NUM:
        number = 2;
        break;
    case SET_LOG_BASE:
        break;
    case GET_VRING_BASE: /* the queue's number comes back, and its index, which is 0 */
        message.payload[4] = message.payload[5] = message.payload[6] = message.payload[7] = 0;
        memcpy(&number, message.payload, sizeof(number));
        break;
    case GET_CONFIG:
        size = message.size;
        break;
    default:
        return TRUE;
    }
    if (size == sizeof(number)) {
        memcpy(message.payload, &number, size);
    }
    message.flags = REPLY;
    message.size = (guint32)size;
    size += offsetof(Message, payload);
    return send(fd, &message, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static gboolean wait_for(const Backend *backend, int fd)
{
    struct pollfd polled[] = {{.fd = backend->end, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

    while (poll(polled, G_N_ELEMENTS(polled), -1) < 0) {
        g_assert(errno == EINTR);
    }
    return !polled[0].revents;
}

static gpointer run(gpointer data)
{
    const Backend *backend = data;
    int fd;

    if (wait_for(backend, backend->listener)) {
        fd = accept4(backend->listener, NULL, NULL, SOCK_CLOEXEC);
        while (wait_for(backend, fd) && serve_one(backend, fd)) {
        }
        close(fd);
    }
    return NULL;
}

Backend *backend_new(const char *path, guint64 features, guint64 protocol_features, GError **error)
{
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    Backend *backend = g_new0(Backend, 1);

    backend->features = features;
    backend->protocol_features = protocol_features;
    backend->end = eventfd(0, EFD_CLOEXEC);
    backend->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert(g_strlcpy(own.sun_path, path, sizeof(own.sun_path)) < sizeof(own.sun_path));
    if (bind(backend->listener, (struct sockaddr *)&own, sizeof(own)) < 0 ||
        listen(backend->listener, 1) < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", path,
                    g_strerror(errno));
        backend_free(backend);
        return NULL;
    }
    backend->thread = g_thread_new("back-end", run, backend);
    return backend;
}

void backend_free(Backend *backend)
{
    if (backend->thread) {
        g_assert_cmpint(eventfd_write(backend->end, 1), ==, 0);
        g_thread_join(backend->thread);
    }
    close(backend->listener);
    close(backend->end);
    g_free(backend);
}
