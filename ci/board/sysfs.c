/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sysfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define VIRTIO_F_VERSION_1 32

const char *first_line(const char *path)
{
    static char line[256];
    FILE *f = fopen(path, "re");

    line[0] = '\0';
    if (f && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
    }
    if (f) {
        fclose(f);
    }
    return line;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

void say_device(int fd, const char *name)
{
    char path[PATH_MAX], real[PATH_MAX], driver[PATH_MAX];

    snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s", name);
    if (!realpath(path, real)) {
        return;
    }
    snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/driver", name);
    const char *bound = realpath(path, driver) ? base_of(driver) : "none";
    snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/features", name);
    const char *features = first_line(path); /* a digit a bit, bit 0 first */
    char modern = strlen(features) > VIRTIO_F_VERSION_1 ? features[VIRTIO_F_VERSION_1] : '?';
    dprintf(fd, "board: device=%s driver=%s modern=%c path=%s\n", name, bound, modern, real);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

void for_each(const char *path, void (*visit)(const char *name))
{
    struct dirent **entries;
    int count = scandir(path, &entries, is_visible, versionsort);

    for (int i = 0; i < count; i++) {
        visit(entries[i]->d_name);
    }
}

void say_errors(int fd)
{
    static int log = -1;
    char record[8192], *text;
    int level;
    ssize_t n;

    if (log < 0) {
        log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    }
    while ((n = read(log, record, sizeof(record) - 1)) > 0) {
        record[n] = '\0';
        record[strcspn(record, "\n")] = '\0';
        text = strchr(record, ';'); /* "level,number,time,flags;text" */
        if (text && sscanf(record, "%d", &level) == 1 &&
            ((level & 7) <= LOG_ERR || strstr(text, "WARNING: "))) {
            dprintf(fd, "board: error=%s\n", text + 1);
        }
    }
}
