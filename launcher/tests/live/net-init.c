/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The /init of the guests that test-net boots. Takes the address 10.9.0.N from "addr=N" on the
 * kernel's command line, says N to all on its net ten times a second, and on the console whom it
 * hears:
 *
 *     net: up mtu=1500
 *     net: heard 202
 *
 * With "vsock=N" it connects to that port of the host's again and again, sends "hello", and says
 * what comes back, or that the connection was closed:
 *
 *     vsock: answered hello
 *     vsock: turned away
 *
 * With "vlan=N" it does so in that VLAN, with tags. What comes on a TCP connection to the same port
 * goes back. With "end=1" it powers the guest off once it is up.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_vlan.h>
#include <linux/sockios.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

#define PORT 7777
#define PERIOD_MS 100

static int console;

static void set_address(struct ifreq *request, const char *text)
{
    struct sockaddr_in *address = (struct sockaddr_in *)&request->ifr_addr;

    memset(address, 0, sizeof(*address));
    address->sin_family = AF_INET;
    inet_pton(AF_INET, text, &address->sin_addr);
}

/* The kernel has VLANs as a module, on the disk that the launcher gives these guests. */
static void load_vlans(void)
{
    struct utsname us;
    char path[256];
    int fd;

    uname(&us);
    mkdir("/modules", 0755);
    mount("/dev/vda", "/modules", "erofs", MS_RDONLY, NULL);
    snprintf(path, sizeof(path), "/modules/lib/modules/%s/kernel/net/8021q/8021q.ko", us.release);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (syscall(SYS_finit_module, fd, "", 0) < 0) {
        dprintf(console, "net: %s: %s\n", path, strerror(errno));
    }
    close(fd);
}

static void bring_up(int fd, int n)
{
    struct ifreq request = {.ifr_name = "eth0"};
    struct vlan_ioctl_args vlan = {.cmd = ADD_VLAN_CMD, .device1 = "eth0"};
    char text[32];

    if (getenv("vlan")) {
        load_vlans();
        request.ifr_flags = IFF_UP;
        ioctl(fd, SIOCSIFFLAGS, &request);
        vlan.u.VID = atoi(getenv("vlan"));
        ioctl(fd, SIOCSIFVLAN, &vlan);
        snprintf(request.ifr_name, sizeof(request.ifr_name), "eth0.%d", vlan.u.VID);
    }
    snprintf(text, sizeof(text), "10.9.0.%d", n);
    set_address(&request, text);
    ioctl(fd, SIOCSIFADDR, &request);
    set_address(&request, "255.255.255.0");
    ioctl(fd, SIOCSIFNETMASK, &request);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    ioctl(fd, SIOCSIFFLAGS, &request);
    ioctl(fd, SIOCGIFMTU, &request);
    dprintf(console, "\nnet: up mtu=%d\n", request.ifr_mtu);
}

static void listen_for(int fd, int n)
{
    static char heard[256];
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    int other;

    while (poll(&pfd, 1, PERIOD_MS) > 0) {
        if (recv(fd, &other, sizeof(other), 0) != sizeof(other) || other == n || other < 0 ||
            other > 255 || heard[other]) {
            continue;
        }
        heard[other] = 1;
        dprintf(console, "net: heard %d\n", other);
        return;
    }
}

/* One connection after the other, in a process of its own. */
static void echo(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client;
    char buffer[4096];
    ssize_t n;

    if (fork() != 0) {
        close(fd);
        return;
    }
    bind(fd, (struct sockaddr *)&any, sizeof(any));
    listen(fd, 1);
    while ((client = accept(fd, NULL, NULL)) >= 0) {
        while ((n = read(client, buffer, sizeof(buffer))) > 0 && write(client, buffer, n) == n) {
        }
        close(client);
    }
    _exit(1);
}

/* In a process of its own; what is said once is not said again until it changes. */
static void call_host(unsigned port)
{
    struct sockaddr_vm host = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
    char now[64], before[64] = "";

    if (fork() != 0) {
        return;
    }
    for (;;) {
        int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char answer[32] = "";

        if (connect(fd, (struct sockaddr *)&host, sizeof(host)) == 0) {
            if (send(fd, "hello", 5, MSG_NOSIGNAL) == 5 &&
                read(fd, answer, sizeof(answer) - 1) > 0) {
                snprintf(now, sizeof(now), "vsock: answered %s\n", answer);
            } else {
                strcpy(now, "vsock: turned away\n");
            }
        } else {
            snprintf(now, sizeof(now), "vsock: %s\n", strerror(errno));
        }
        close(fd);
        if (strcmp(now, before) != 0) {
            dprintf(console, "%s", now);
        }
        strcpy(before, now);
        poll(NULL, 0, PERIOD_MS);
    }
}

int main(void)
{
    struct sockaddr_in all = {.sin_family = AF_INET, .sin_port = htons(PORT)}, any = all;
    int n = getenv("addr") ? atoi(getenv("addr")) : 0, on = 1;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    console = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
    inet_pton(AF_INET, "10.9.0.255", &all.sin_addr);
    bind(fd, (struct sockaddr *)&any, sizeof(any));
    echo();
    bring_up(fd, n);
    if (getenv("vsock")) {
        call_host((unsigned)atoi(getenv("vsock")));
    }
    if (getenv("end")) {
        tcdrain(console);
        reboot(RB_POWER_OFF);
    }
    for (;;) {
        sendto(fd, &n, sizeof(n), 0, (struct sockaddr *)&all, sizeof(all));
        listen_for(fd, n);
    }
}
