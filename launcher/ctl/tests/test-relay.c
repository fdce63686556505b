/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The relay, with unix sockets on both sides. */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel.h"
#include "relay.h"

#define BIG (1 << 20)

typedef struct {
    char *dir, *front, *back; /* sockets: the relay's, and of what it hands on to */
    int listener, target, end[2];
    gint allowed; /* so many more connections */
    GThread *relay;
} Fixture;

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_no_errno(bind(fd, (struct sockaddr *)&address, sizeof(address)));
    g_assert_no_errno(listen(fd, 8));
    return fd;
}

static gboolean allow(int fd, gpointer data)
{
    Fixture *f = data;

    g_assert_cmpint(fd, >=, 0);
    return g_atomic_int_add(&f->allowed, -1) > 0;
}

static gpointer serve(gpointer data)
{
    Fixture *f = data;
    GError *error = NULL;

    g_assert_true(relay_serve(f->listener, f->end[0], allow, f, f->back, &error));
    g_assert_no_error(error);
    return NULL;
}

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->dir = g_dir_make_tmp("relay-XXXXXX", NULL);
    f->front = g_build_filename(f->dir, "front", NULL);
    f->back = g_build_filename(f->dir, "back", NULL);
    f->listener = listen_at(f->front);
    f->target = listen_at(f->back);
    f->allowed = 1000;
    g_assert_no_errno(pipe(f->end));
    f->relay = g_thread_new("relay", serve, f);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    close(f->end[1]);
    g_thread_join(f->relay);
    close(f->end[0]);
    close(f->listener);
    close(f->target);
    g_unlink(f->front);
    g_unlink(f->back);
    g_assert_cmpint(g_rmdir(f->dir), ==, 0);
    g_free(f->dir);
    g_free(f->front);
    g_free(f->back);
}

static int connect_to(const char *path)
{
    GError *error = NULL;
    int fd = unix_connect(path, &error);

    g_assert_no_error(error);
    return fd;
}

static void write_all(int fd, const char *data, gsize size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        g_assert_cmpint(n, >, 0);
        data += n;
        size -= (gsize)n;
    }
}

static void assert_reads(int fd, const char *data, gsize size)
{
    g_autofree char *got = g_malloc(size);

    g_assert_cmpint(recv(fd, got, size, MSG_WAITALL), ==, (gssize)size);
    g_assert_cmpmem(got, size, data, size);
}

static void assert_ended(int fd)
{
    char byte;

    g_assert_cmpint(recv(fd, &byte, 1, 0), ==, 0);
    close(fd);
}

/* Several at a time, each with its own; the end of one side is the end of the other. */
static void test_pairs(Fixture *f, gconstpointer data)
{
    int clients[3], servers[3];

    (void)data;
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_to(f->front);
        servers[i] = accept(f->target, NULL, NULL);
        write_all(clients[i], "question", 8);
        assert_reads(servers[i], "question", 8);
    }
    for (int i = 2; i >= 0; i--) {
        char text[] = {'a', (char)('0' + i)};

        write_all(servers[i], text, 2);
        assert_reads(clients[i], text, 2);
    }
    close(clients[1]);
    assert_ended(servers[1]);
    close(servers[0]);
    assert_ended(clients[0]);
    write_all(clients[2], "still", 5);
    assert_reads(servers[2], "still", 5);
    close(clients[2]);
    assert_ended(servers[2]);
}

static gpointer send_big(gpointer data)
{
    int *fd = data;
    g_autofree char *big = g_malloc(BIG);

    memset(big, 'x', BIG);
    write_all(*fd, big, BIG);
    return NULL;
}

/* More than a socket holds. */
static void test_big(Fixture *f, gconstpointer data)
{
    int client = connect_to(f->front), server = accept(f->target, NULL, NULL);
    GThread *sender = g_thread_new("sender", send_big, &client);
    g_autofree char *big = g_malloc(BIG);

    (void)data;
    memset(big, 'x', BIG);
    assert_reads(server, big, BIG);
    g_thread_join(sender);
    close(client);
    assert_ended(server);
}

static void test_refused(Fixture *f, gconstpointer data)
{
    int good, server;

    (void)data;
    g_atomic_int_set(&f->allowed, 0);
    assert_ended(connect_to(f->front));
    g_atomic_int_set(&f->allowed, 1);
    good = connect_to(f->front);
    server = accept(f->target, NULL, NULL); /* the first one that comes there */
    write_all(good, "x", 1);
    assert_reads(server, "x", 1);
    close(good);
    assert_ended(server);
}

/* The target is not there: the client is told by the end of its connection, and others are served.
 */
static void test_no_target(Fixture *f, gconstpointer data)
{
    (void)data;
    g_assert_cmpint(g_unlink(f->back), ==, 0);
    assert_ended(connect_to(f->front));
    close(f->target);
    f->target = listen_at(f->back);
    test_pairs(f, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/relay/pairs", Fixture, NULL, set_up, test_pairs, tear_down);
    g_test_add("/relay/big", Fixture, NULL, set_up, test_big, tear_down);
    g_test_add("/relay/refused", Fixture, NULL, set_up, test_refused, tear_down);
    g_test_add("/relay/no-target", Fixture, NULL, set_up, test_no_target, tear_down);
    return g_test_run();
}
