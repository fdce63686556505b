/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "uevent.h"

#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE(action, subsystem)                 \
    action "@/devices/x/block/vda\0ACTION=" action \
           "\0DEVPATH=/devices/x/block/vda\0SUBSYSTEM=" subsystem "\0SEQNUM=7"

static void test_matches(void)
{
    static const char add[] = MESSAGE("add", "block"), gone[] = MESSAGE("remove", "block");
    static const char net[] = MESSAGE("add", "net"), more[] = MESSAGE("add", "blocks");

    g_assert_true(uevent_matches(add, sizeof(add), "block"));
    g_assert_false(uevent_matches(add, sizeof(add), "virtio"));
    g_assert_false(uevent_matches(gone, sizeof(gone), "block"));
    g_assert_false(uevent_matches(net, sizeof(net), "block"));
    g_assert_false(uevent_matches(more, sizeof(more), "block"));
    g_assert_false(uevent_matches(add, 0, "block"));
}

/* Cut anywhere, a message is read no further than it goes. */
static void test_truncated(void)
{
    static const char add[] = MESSAGE("add", "block");
    size_t whole = 0;

    for (size_t n = 0; n <= sizeof(add); n++) {
        g_autofree char *copy = g_memdup2(add, n);
        whole += uevent_matches(copy ? copy : "", n, "block");
    }
    /* From the end of the subsystem's name on: its NUL, SEQNUM=7 and the NUL after that. */
    g_assert_cmpuint(whole, ==, 1 + 1 + strlen("SEQNUM=7") + 1);
}

/* The end of the wait is the deadline's, not the number of polls'. */
static void test_deadline(void)
{
    int fds[2];
    gint64 start = now_ms();

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds), ==, 0);
    g_assert_false(uevent_wait(fds[0], "block", start + 50));
    g_assert_cmpint(now_ms(), >=, start + 50);
    g_assert_false(uevent_wait(fds[0], "block", start));
    close(fds[0]);
    close(fds[1]);
}

/* Other subsystems' events neither wake nor lengthen it. */
static void test_wakes(void)
{
    static const char net[] = MESSAGE("add", "net"), block[] = MESSAGE("add", "block");
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds), ==, 0);
    g_assert_cmpint(send(fds[1], net, sizeof(net), 0), ==, sizeof(net));
    g_assert_false(uevent_wait(fds[0], "block", now_ms() + 50));
    g_assert_cmpint(send(fds[1], net, sizeof(net), 0), ==, sizeof(net));
    g_assert_cmpint(send(fds[1], block, sizeof(block), 0), ==, sizeof(block));
    g_assert_true(uevent_wait(fds[0], "block", now_ms() + 60000));
    close(fds[0]);
    close(fds[1]);
}

static void test_socket(void)
{
    int fd = uevent_open();

    g_assert_cmpint(fd, >=, 0);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uevent/matches", test_matches);
    g_test_add_func("/uevent/truncated", test_truncated);
    g_test_add_func("/uevent/deadline", test_deadline);
    g_test_add_func("/uevent/wakes", test_wakes);
    g_test_add_func("/uevent/socket", test_socket);
    return g_test_run();
}
