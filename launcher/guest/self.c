/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of a guest's identity that are the kernel's, or a file's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/random.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "identity.h"

#define MAC_SIZE 6
#define HOSTS "/etc/hosts"
#define HOSTS_MAX 65536
#define SEED "/var/lib/systemd/random-seed" /* what the next boot is to begin with */

/* Credited in full, since it is the host's; and the numbers drawn from now on come from it. */
void set_random(const unsigned char *bytes, size_t size)
{
    struct rand_pool_info *pool = calloc(1, sizeof(*pool) + size);
    int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);

    if (!pool || fd < 0) {
        fail("/dev/urandom: %s", strerror(errno));
        return;
    }
    pool->entropy_count = size * CHAR_BIT;
    pool->buf_size = size;
    memcpy(pool->buf, bytes, size);
    if (ioctl(fd, RNDADDENTROPY, pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0) {
        fail("new random numbers: %s", strerror(errno));
    }
    close(fd);
    explicit_bzero(pool, sizeof(*pool) + size);
    free(pool);
}

/* Two clones that boot anew are not to begin with the same numbers. */
static void renew_seed(void)
{
    unsigned char seed[512];

    if (access(SEED, F_OK) == 0 && getrandom(seed, sizeof(seed), 0) == sizeof(seed)) {
        overwrite(SEED, (const char *)seed, sizeof(seed));
    }
}

void set_time(long long ns)
{
    struct timespec now = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    if (clock_settime(CLOCK_REALTIME, &now) < 0) {
        fail("the clock: %s", strerror(errno));
    }
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\0';
}

/* Every word @from of the file becomes @to; what is not there or too large is left alone. */
static void rename_in_hosts(const char *from, const char *to)
{
    static char text[HOSTS_MAX], changed[2 * HOSTS_MAX];
    int fd = open(HOSTS, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    size_t n = strlen(from), used = 0;

    if (fd >= 0) {
        close(fd);
    }
    if (size <= 0 || size == sizeof(text) - 1 || n == 0) {
        return;
    }
    text[size] = '\0';
    for (char *p = text; *p && used + strlen(to) + 1 < sizeof(changed);) {
        if (strncmp(p, from, n) == 0 && is_blank(p[n]) && (p == text || is_blank(p[-1]))) {
            used += sprintf(changed + used, "%s", to);
            p += n;
        } else {
            changed[used++] = *p++;
        }
    }
    overwrite(HOSTS, changed, used);
}

void add_host(const char *line)
{
    int fd = open(HOSTS, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0 || dprintf(fd, "%s\n", line) < 0) {
        fail(HOSTS ": %s", strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

void set_hostname(const char *name)
{
    char before[HOST_NAME_MAX + 1] = "", line[HOST_NAME_MAX + 2];

    gethostname(before, sizeof(before) - 1);
    if (sethostname(name, strlen(name)) < 0) {
        fail("host name %s: %s", name, strerror(errno));
    }
    if (access("/etc/hostname", F_OK) == 0) {
        overwrite("/etc/hostname", line, snprintf(line, sizeof(line), "%s\n", name));
    }
    rename_in_hosts(before, name);
}

/* systemd's, and the one of D-Bus where that is a file of its own. */
void set_machine_id(const char *id)
{
    static const char *const files[] = {"/etc/machine-id", "/var/lib/dbus/machine-id"};
    char line[64];
    int n = snprintf(line, sizeof(line), "%s\n", id);
    struct stat st;

    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        if (lstat(files[i], &st) == 0 && S_ISREG(st.st_mode)) {
            overwrite(files[i], line, n);
        }
    }
    renew_seed();
}

static int read_mac(const char *text, unsigned char *mac)
{
    unsigned byte[MAC_SIZE];

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4],
               &byte[5]) != MAC_SIZE) {
        return -1;
    }
    for (int i = 0; i < MAC_SIZE; i++) {
        mac[i] = byte[i];
    }
    return 0;
}

static void name_nic(struct ifreq *request, const char *name)
{
    memcpy(request->ifr_name, name, strnlen(name, IFNAMSIZ - 1));
}

/* A NIC, not a bridge or VLAN on it, which may have its address. */
static int is_nic(int fd, const char *name, const unsigned char *mac)
{
    char path[PATH_MAX];
    struct ifreq request = {0};

    snprintf(path, sizeof(path), "/sys/class/net/%s/device", name);
    name_nic(&request, name);
    return access(path, F_OK) == 0 && ioctl(fd, SIOCGIFHWADDR, &request) == 0 &&
           memcmp(request.ifr_hwaddr.sa_data, mac, MAC_SIZE) == 0;
}

/* Its IPv6 addresses may be made of the old one: they go, and the kernel makes new ones. */
static void renew_ipv6(const char *name)
{
    char path[PATH_MAX], disabled = '1';
    int fd;

    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    if (read(fd, &disabled, 1) == 1 && disabled == '0') {
        overwrite(path, "1", 1);
        overwrite(path, "0", 1);
    }
    close(fd);
}

static int give_mac(int fd, const char *name, const unsigned char *mac)
{
    struct ifreq request = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};

    name_nic(&request, name);
    memcpy(request.ifr_hwaddr.sa_data, mac, MAC_SIZE);
    if (ioctl(fd, SIOCSIFHWADDR, &request) < 0) {
        return -1;
    }
    renew_ipv6(name);
    return 0;
}

void set_mac(const char *from, const char *to)
{
    unsigned char before[MAC_SIZE], after[MAC_SIZE];
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), found = 0;
    DIR *dir = opendir("/sys/class/net");
    struct dirent *entry;

    if (fd < 0 || !dir || read_mac(from, before) < 0 || read_mac(to, after) < 0) {
        fail("mac %s %s: %s", from, to, strerror(errno));
    } else {
        while (!found && (entry = readdir(dir))) {
            if (is_nic(fd, entry->d_name, before)) {
                found = 1;
                if (give_mac(fd, entry->d_name, after) < 0) {
                    fail("address %s of %s: %s", to, entry->d_name, strerror(errno));
                }
            }
        }
        if (!found) {
            fail("there is no NIC with the address %s", from);
        }
    }
    if (dir) {
        closedir(dir);
    }
    if (fd >= 0) {
        close(fd);
    }
}

bool has_vmgenid(void)
{
    /* where the driver's devices are: that of Linux since 6.10, and before */
    static const char *const dirs[] = {"/sys/bus/platform/drivers/vmgenid",
                                       "/sys/bus/acpi/drivers/vmgenid"};
    bool found = false;

    for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
        DIR *dir = opendir(dirs[i]);
        struct dirent *entry;

        while (dir && (entry = readdir(dir))) {
            found |= strchr(entry->d_name, ':') != NULL;
        }
        if (dir) {
            closedir(dir);
        }
    }
    return found;
}
