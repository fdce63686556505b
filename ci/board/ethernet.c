/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ethernet.h"

#include <arpa/inet.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sysfs.h"

static char ethernet[IFNAMSIZ];

static void find_ethernet(const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "/sys/class/net/%s/device", name);
    if (!access(path, F_OK)) {
        snprintf(ethernet, sizeof(ethernet), "%s", name);
    }
}

const char *ethernet_up(const char *address)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(address)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {0};

    for_each("/sys/class/net", find_ethernet);
    memcpy(request.ifr_name, ethernet, sizeof(ethernet));
    memcpy(&request.ifr_addr, &own, sizeof(own));
    ioctl(fd, SIOCSIFADDR, &request);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
    return ethernet;
}
