/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File systems are saved frozen: what is on the disk is whole, and a clone writes nothing before it
 * is thawed. The guest agent could do the same, but is some hundred times as much code to run in
 * each clone.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <unistd.h>

#include "identity.h"

#define FROZEN_MAX 64
#define LINE_SIZE 4096

static struct {
    int fd;
    dev_t dev;
} frozen[FROZEN_MAX];
static size_t n_frozen;

/* Octal escapes, as of blanks in names, in their place. */
static void unescape(char *text)
{
    char *to = text;

    while (*text) {
        if (text[0] == '\\' && text[1] && text[2] && text[3]) {
            *to++ = (text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0');
            text += 4;
        } else {
            *to++ = *text++;
        }
    }
    *to = '\0';
}

static bool is_known(dev_t dev)
{
    for (size_t i = 0; i < n_frozen; i++) {
        if (frozen[i].dev == dev) {
            return true;
        }
    }
    return false;
}

/* What is only a place where something would be mounted by being looked at. */
static bool is_autofs(const char *line)
{
    const char *type = strstr(line, " - ");

    return type && strncmp(type, " - autofs ", strlen(" - autofs ")) == 0;
}

/* A line of mountinfo. */
static void add_mount(char *line)
{
    unsigned major, minor;
    char root[LINE_SIZE], point[LINE_SIZE];
    dev_t dev;
    int fd;

    if (sscanf(line, "%*u %*u %u:%u %4095s %4095s", &major, &minor, root, point) != 4) {
        return;
    }
    dev = makedev(major, minor);
    if (n_frozen == FROZEN_MAX || is_known(dev) || is_autofs(line)) {
        return;
    }
    unescape(point);
    fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        frozen[n_frozen].fd = fd;
        frozen[n_frozen++].dev = dev;
    }
}

static void find_mounts(void)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    static char line[3 * LINE_SIZE];

    n_frozen = 0;
    while (file && fgets(line, sizeof(line), file)) {
        add_mount(line);
    }
    if (file) {
        fclose(file);
    }
}

/*
 * The last one mounted first, as it may lie in a file of another. Processes that serve file systems
 * must not stand still before these are open, nor go on before they are thawed.
 */
void freeze_all(void)
{
    size_t kept = 0;

    sync();
    find_mounts();
    others_freeze();
    for (size_t i = n_frozen; i-- > 0;) {
        if (ioctl(frozen[i].fd, FIFREEZE, 0) < 0) {
            if (errno != EOPNOTSUPP && errno != ENOTTY && errno != EROFS && errno != EINVAL) {
                fail("freezing a file system: %s", strerror(errno));
            }
            close(frozen[i].fd);
            frozen[i].fd = -1;
        }
    }
    for (size_t i = 0; i < n_frozen; i++) {
        if (frozen[i].fd >= 0) {
            frozen[kept++] = frozen[i];
        }
    }
    n_frozen = kept;
}

void thaw_all(void)
{
    for (size_t i = 0; i < n_frozen; i++) {
        if (ioctl(frozen[i].fd, FITHAW, 0) < 0) {
            fail("thawing a file system: %s", strerror(errno));
        }
        close(frozen[i].fd);
    }
    n_frozen = 0;
}
