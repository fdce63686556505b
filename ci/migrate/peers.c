/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "channel.h"
#include "migrate.h"
#include "record.h"

/* Records that come one after the other. */
typedef struct {
    const char *name;
    guint64 id, next;
    guint8 bytes[MESSAGE_BYTES] __attribute__((aligned(8)));
    gsize have;
} Stream;

/* A connection that the guest makes. */
typedef struct {
    int listener, fd; /* -1: none */
    Stream in;
    guint64 out;
} Line;

struct Peers {
    GMutex mutex; /* for all that follows but wake */
    GCond changed;
    Line tcp, vsock;
    Stream pong, flow;
    int ping_fd[2], flow_fd[2]; /* by side; -1: none */
    int asked;                  /* the side that is asked, or -1 */
    guint64 next_ping;          /* its number; none comes twice */
    guint asked_again;
    gint64 last; /* when a TCP record came last; 0: none yet */
    double longest_gap;
    char *fault;
    gboolean ending;
    int wake; /* an eventfd: the thread's poll() is to begin anew */
    GThread *thread;
};

static void set_fault(Peers *peers, const Stream *stream, const char *text, guint64 number)
{
    if (!peers->fault) {
        peers->fault =
            g_strdup_printf("%s: %s (%" G_GINT64_FORMAT ") instead of record %" G_GUINT64_FORMAT,
                            stream->name, text, (gint64)number, stream->next);
    }
}

/* Closes *@fd, which is not asked any more. */
static void drop(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

/*
 * Takes one record, or a part, from @fd. Returns 1 with @number if it is whole, 0 if there is no
 * more for now, -1 at the end.
 */
static int take(Stream *stream, int fd, guint64 *number)
{
    ssize_t n;

    do {
        n = recv(fd, stream->bytes + stream->have, MESSAGE_BYTES - stream->have, MSG_DONTWAIT);
        if (n <= 0) {
            return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
        }
        stream->have += (gsize)n;
    } while (stream->have < MESSAGE_BYTES);
    stream->have = 0;
    *number = record_number(stream->bytes, MESSAGE_BYTES, stream->id);
    return 1;
}

static gboolean is_next(Peers *peers, Stream *stream, guint64 number)
{
    if (number != stream->next) {
        set_fault(peers, stream, "another record came", number);
        return FALSE;
    }
    stream->next = number + 1;
    return TRUE;
}

static void send_record(int fd, guint64 stream, guint64 number)
{
    guint8 message[MESSAGE_BYTES] __attribute__((aligned(8)));

    record_make(message, MESSAGE_BYTES, stream, number);
    /* the socket has room for it, as there are never many on their way; or it is closed */
    send(fd, message, MESSAGE_BYTES, MSG_NOSIGNAL);
}

static void note_time(Peers *peers)
{
    gint64 now = g_get_monotonic_time();

    if (peers->last) {
        peers->longest_gap = MAX(peers->longest_gap, (double)(now - peers->last) / G_USEC_PER_SEC);
    }
    peers->last = now;
}

static void serve_line(Peers *peers, Line *line)
{
    guint64 number;
    int rc;

    while ((rc = take(&line->in, line->fd, &number)) > 0) {
        if (!is_next(peers, &line->in, number)) {
            drop(&line->fd);
            return;
        }
        send_record(line->fd, line->out, number);
        if (line == &peers->tcp) {
            note_time(peers);
        }
    }
    if (rc < 0) {
        drop(&line->fd);
    }
}

/* A connection begins its streams anew. */
static void accept_line(Line *line)
{
    drop(&line->fd);
    line->fd = accept4(line->listener, NULL, NULL, SOCK_CLOEXEC);
    line->in.have = 0;
    line->in.next = 0;
}

static void serve_flow(Peers *peers, int *fd)
{
    guint64 number;
    int rc;

    while ((rc = take(&peers->flow, *fd, &number)) > 0) {
        is_next(peers, &peers->flow, number);
    }
    if (rc < 0) {
        drop(fd);
    }
}

static void ask(Peers *peers)
{
    send_record(peers->ping_fd[peers->asked], STREAM_PING, peers->next_ping++);
}

/*
 * An answer to each ping comes once. One that was asked on a side that the guest has left, and then
 * asked again with another number, may have no answer; if it has, then before the other.
 */
static void serve_ping(Peers *peers, int *fd)
{
    guint64 number;
    int rc;

    while ((rc = take(&peers->pong, *fd, &number)) > 0) {
        if (number < peers->pong.next || number >= peers->next_ping) {
            set_fault(peers, &peers->pong, "another record came", number);
            continue;
        }
        peers->pong.next = number + 1;
        if (peers->pong.next == peers->next_ping && peers->asked >= 0) {
            ask(peers);
        }
    }
    if (rc < 0) {
        drop(fd);
    }
}

/* One round. The side that the guest has left is read before the one where it is. */
static void serve(Peers *peers, const struct pollfd *polled)
{
    int first = peers->asked == 0 ? 1 : 0;

    for (int i = 0; i < 2; i++) {
        int side = i == 0 ? first : !first;

        if (peers->ping_fd[side] >= 0) {
            serve_ping(peers, &peers->ping_fd[side]);
        }
        if (peers->flow_fd[side] >= 0) {
            serve_flow(peers, &peers->flow_fd[side]);
        }
    }
    if (polled[0].revents) {
        accept_line(&peers->tcp);
    } else if (peers->tcp.fd >= 0) {
        serve_line(peers, &peers->tcp);
    }
    if (polled[1].revents) {
        accept_line(&peers->vsock);
    } else if (peers->vsock.fd >= 0) {
        serve_line(peers, &peers->vsock);
    }
    g_cond_broadcast(&peers->changed);
}

static gpointer run(gpointer data)
{
    Peers *peers = data;
    guint64 woken;

    g_mutex_lock(&peers->mutex);
    while (!peers->ending) {
        const int fds[] = {peers->tcp.listener, peers->vsock.listener, peers->tcp.fd,
                           peers->vsock.fd,     peers->ping_fd[0],     peers->ping_fd[1],
                           peers->flow_fd[0],   peers->flow_fd[1],     peers->wake};
        struct pollfd polled[G_N_ELEMENTS(fds)];

        for (gsize i = 0; i < G_N_ELEMENTS(fds); i++) {
            polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        }
        g_mutex_unlock(&peers->mutex);
        poll(polled, G_N_ELEMENTS(fds), -1);
        g_mutex_lock(&peers->mutex);
        if (polled[G_N_ELEMENTS(fds) - 1].revents && read(peers->wake, &woken, sizeof(woken)) > 0) {
            continue; /* with what there is now */
        }
        serve(peers, polled);
    }
    g_mutex_unlock(&peers->mutex);
    return NULL;
}

static void wake(Peers *peers)
{
    g_assert_cmpint(eventfd_write(peers->wake, 1), ==, 0);
}

static int listen_tcp(GError **error)
{
    struct sockaddr_in own = {.sin_family = AF_INET,
                              .sin_addr.s_addr = inet_addr(HOST_ADDRESS),
                              .sin_port = htons(TCP_PORT)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 || listen(fd, 1) < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s:%d: %s", HOST_ADDRESS,
                    TCP_PORT, g_strerror(errno));
        drop(&fd);
    }
    return fd;
}

/* -1 where the host has no vsock. */
static int listen_vsock(void)
{
    struct sockaddr_vm own = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = VSOCK_PORT};
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 || listen(fd, 1) < 0)) {
        drop(&fd);
    }
    return fd;
}

Peers *peers_new(GError **error)
{
    Peers *peers = g_new0(Peers, 1);

    *peers = (Peers){.tcp = {.fd = -1, .in = {"tcp", STREAM_TCP_OUT}, .out = STREAM_TCP_IN},
                     .vsock = {.fd = -1, .in = {"vsock", STREAM_VSOCK_OUT}, .out = STREAM_VSOCK_IN},
                     .pong = {"ping", STREAM_PONG},
                     .flow = {"flow", STREAM_FLOW},
                     .ping_fd = {-1, -1},
                     .flow_fd = {-1, -1},
                     .asked = -1,
                     .wake = eventfd(0, EFD_CLOEXEC)};
    g_mutex_init(&peers->mutex);
    g_cond_init(&peers->changed);
    peers->tcp.listener = listen_tcp(error);
    peers->vsock.listener = listen_vsock();
    if (peers->tcp.listener < 0) {
        peers_free(peers);
        return NULL;
    }
    peers->thread = g_thread_new("peers", run, peers);
    return peers;
}

void peers_free(Peers *peers)
{
    int *fds[] = {&peers->tcp.listener, &peers->tcp.fd,     &peers->vsock.listener,
                  &peers->vsock.fd,     &peers->ping_fd[0], &peers->ping_fd[1],
                  &peers->flow_fd[0],   &peers->flow_fd[1], &peers->wake};

    if (peers->thread) {
        g_mutex_lock(&peers->mutex);
        peers->ending = TRUE;
        g_mutex_unlock(&peers->mutex);
        wake(peers);
        g_thread_join(peers->thread);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(fds); i++) {
        drop(fds[i]);
    }
    g_mutex_clear(&peers->mutex);
    g_cond_clear(&peers->changed);
    g_free(peers->fault);
    g_free(peers);
}

gboolean peers_attach(Peers *peers, int side, const char *ping_path, const char *flow_path,
                      GError **error)
{
    int ping_fd = unix_connect(ping_path, error), flow_fd = -1;

    if (ping_fd >= 0) {
        flow_fd = unix_connect(flow_path, error);
    }
    if (flow_fd < 0) {
        drop(&ping_fd);
        return FALSE;
    }
    g_mutex_lock(&peers->mutex);
    g_assert_cmpint(peers->ping_fd[side], <, 0);
    peers->ping_fd[side] = ping_fd;
    peers->flow_fd[side] = flow_fd;
    g_mutex_unlock(&peers->mutex);
    wake(peers);
    return TRUE;
}

void peers_detach(Peers *peers, int side)
{
    g_mutex_lock(&peers->mutex);
    if (peers->ping_fd[side] >= 0) {
        serve_ping(peers, &peers->ping_fd[side]);
    }
    if (peers->flow_fd[side] >= 0) {
        serve_flow(peers, &peers->flow_fd[side]);
    }
    drop(&peers->ping_fd[side]);
    drop(&peers->flow_fd[side]);
    g_mutex_unlock(&peers->mutex);
    wake(peers);
}

void peers_ask(Peers *peers, int side)
{
    g_mutex_lock(&peers->mutex);
    peers->asked_again += peers->asked >= 0;
    peers->asked = side;
    ask(peers);
    g_mutex_unlock(&peers->mutex);
    wake(peers);
}

void peers_count(Peers *peers, PeersCount *count)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);

    g_mutex_lock(&peers->mutex);
    getsockopt(peers->tcp.fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    *count = (PeersCount){.tcp = peers->tcp.in.next,
                          .pong = peers->pong.next,
                          .flow = peers->flow.next,
                          .asked_again = peers->asked_again,
                          .retransmits = info.tcpi_total_retrans,
                          .longest_gap = peers->longest_gap};
    peers->longest_gap = 0;
    g_mutex_unlock(&peers->mutex);
}

gboolean peers_wait(Peers *peers, guint64 pong, guint64 flow, gint64 deadline)
{
    gboolean come = TRUE;

    g_mutex_lock(&peers->mutex);
    while (come && (peers->pong.next < pong || peers->flow.next < flow)) {
        come = g_cond_wait_until(&peers->changed, &peers->mutex, deadline);
    }
    g_mutex_unlock(&peers->mutex);
    return come;
}

void peers_rewind(Peers *peers, guint64 pong, guint64 flow)
{
    g_mutex_lock(&peers->mutex);
    peers->pong.next = pong;
    peers->flow.next = flow;
    peers->pong.have = peers->flow.have = 0;
    g_mutex_unlock(&peers->mutex);
}

static void reset(int *fd)
{
    struct linger at_once = {.l_onoff = 1};

    if (*fd >= 0) {
        setsockopt(*fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        drop(fd);
    }
}

void peers_hang_up(Peers *peers)
{
    g_mutex_lock(&peers->mutex);
    reset(&peers->tcp.fd);
    reset(&peers->vsock.fd);
    peers->last = 0;
    g_mutex_unlock(&peers->mutex);
    wake(peers);
}

char *peers_fault(Peers *peers)
{
    char *fault;

    g_mutex_lock(&peers->mutex);
    fault = g_strdup(peers->fault);
    g_mutex_unlock(&peers->mutex);
    return fault;
}
