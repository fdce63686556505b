/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "uevent.h"

#include <errno.h>
#include <limits.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int uevent_open(void)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK, .nl_groups = 1};
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&kernel, sizeof(kernel)) < 0) {
        int err = errno;
        close(fd);
        errno = err;
        fd = -1;
    }
    return fd;
}

bool uevent_matches(const char *msg, size_t len, const char *subsystem)
{
    const char *end = msg + len;
    size_t n = strlen(subsystem);
    bool ours = false;

    if (len >= 7 && !memcmp(msg, "remove@", 7)) {
        return false;
    }
    while (msg < end) {
        size_t left = (size_t)(end - msg);
        size_t item = strnlen(msg, left);
        if (item == 10 + n && !memcmp(msg, "SUBSYSTEM=", 10) && !memcmp(msg + 10, subsystem, n)) {
            ours = true;
        }
        msg += item < left ? item + 1 : left;
    }
    return ours;
}

/* Takes all events that are queued. True when one of them is of SUBSYSTEM, or some were lost. */
static bool drain(int fd, const char *subsystem)
{
    char msg[8192];
    bool matched = false;

    for (;;) {
        struct sockaddr_nl from = {0};
        socklen_t from_len = sizeof(from);
        ssize_t n = recvfrom(fd, msg, sizeof(msg), 0, (struct sockaddr *)&from, &from_len);
        if (n < 0 && errno == ENOBUFS) {
            matched = true;
        } else if (n < 0 && errno != EINTR) {
            return matched;
        } else if (n > 0 && from.nl_pid == 0) {
            matched = uevent_matches(msg, (size_t)n, subsystem) || matched;
        }
    }
}

bool uevent_wait(int fd, const char *subsystem, int64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    for (;;) {
        int64_t left = deadline < 0 ? -1 : deadline - now_ms();
        if (deadline >= 0 && left <= 0) {
            return false;
        }
        if (poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left) > 0 && drain(fd, subsystem)) {
            return true;
        }
    }
}
