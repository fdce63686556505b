/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "port.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "sysfs.h"

static char path[PATH_MAX];
static int wanted;

static void find(const char *name)
{
    int device, port;

    if (sscanf(name, "vport%dp%d", &device, &port) == 2 && (!wanted || port == wanted)) {
        snprintf(path, sizeof(path), "/dev/%s", name);
    }
}

int port_open(int number)
{
    struct pollfd created = {.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), .events = POLLIN};
    char events[4096];
    int fd;

    path[0] = '\0';
    wanted = number;
    inotify_add_watch(created.fd, "/dev", IN_CREATE);
    for_each("/sys/class/virtio-ports", find);
    while ((fd = open(path, O_RDWR | O_CLOEXEC)) < 0 && poll(&created, 1, -1) > 0) {
        while (read(created.fd, events, sizeof(events)) > 0) {
        }
        for_each("/sys/class/virtio-ports", find);
    }
    close(created.fd);
    return fd;
}
