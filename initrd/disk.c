/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk.h"
#include "say.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool attribute_read(int dir, const char *name, const char *file, char *buf, size_t size)
{
    char path[320];

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", name, file) >= sizeof(path)) {
        return false;
    }
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    size_t n = 0;
    for (ssize_t got = 1; got > 0 && n<size - 1; n += got> 0 ? (size_t)got : 0) {
        got = read(fd, buf + n, size - 1 - n);
    }
    buf[n] = '\0';
    close(fd);
    return n > 0;
}

static uint64_t read_number(int dir, const char *name, const char *file)
{
    char text[32];

    return attribute_read(dir, name, file, text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;
}

/* The value of KEY in the lines of an uevent file, or NULL. Cuts the text at the value's end. */
static char *uevent_value(char *text, const char *key)
{
    size_t n = strlen(key);

    for (char *line = text; line && *line;) {
        char *end = strchr(line, '\n');
        if (!strncmp(line, key, n) && line[n] == '=') {
            if (end) {
                *end = '\0';
            }
            return line + n + 1;
        }
        line = end ? end + 1 : NULL;
    }
    return NULL;
}

static unsigned uevent_number(int dir, const char *name, const char *key)
{
    char text[1024];
    char *value = NULL;

    if (attribute_read(dir, name, "uevent", text, sizeof(text))) {
        value = uevent_value(text, key);
    }
    return value ? (unsigned)strtoul(value, NULL, 10) : 0;
}

/* The disk that partition NAME lies on: the directory above its own in /sys/devices. */
static bool parent_of(int dir, const char *name, char *out, size_t size)
{
    char target[1024];
    ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

    if (n <= 0) {
        return false;
    }
    target[n] = '\0';
    char *last = strrchr(target, '/');
    if (!last) {
        return false;
    }
    *last = '\0';
    char *above = strrchr(target, '/');
    return above && (size_t)snprintf(out, size, "%s", above + 1) < size;
}

static int open_disk(const char *dev, const char *name)
{
    char path[512];

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dev, name) >= sizeof(path)) {
        return -1;
    }
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* Partition identity: what the table on the disk says of entry NUMBER. */
static void look_at_table(struct disk *disk, int dir, const char *entry, const char *dev,
                          unsigned number)
{
    char parent[64];
    int sector = 512;

    if (!parent_of(dir, entry, parent, sizeof(parent))) {
        return;
    }
    int fd = open_disk(dev, parent);
    if (fd < 0) {
        return;
    }
    if (ioctl(fd, BLKSSZGET, &sector) < 0) {
        sector = 512;
    }
    part_identify(&disk->part, fd, (uint32_t)sector, number);
    close(fd);
}

/* Fills DISK from the sysfs entry. False: nothing of interest there. */
static bool look_at(struct disk *disk, int dir, const char *entry, const char *dev)
{
    char text[1024];
    const char *name = entry;

    *disk = (struct disk){.bytes = read_number(dir, entry, "size") * 512};
    if (!disk->bytes || !strncmp(entry, "ram", 3)) {
        return false;
    }
    if (attribute_read(dir, entry, "uevent", text, sizeof(text))) {
        char *devname = uevent_value(text, "DEVNAME");
        name = devname ? devname : entry;
    }
    if ((size_t)snprintf(disk->name, sizeof(disk->name), "%s", name) >= sizeof(disk->name)) {
        return false;
    }
    disk->major = uevent_number(dir, entry, "MAJOR");
    disk->minor = uevent_number(dir, entry, "MINOR");
    unsigned number = uevent_number(dir, entry, "PARTN");
    if (number) {
        look_at_table(disk, dir, entry, dev, number);
    }
    int fd = open_disk(dev, disk->name);
    if (fd >= 0) {
        fs_probe(&disk->fs, fd);
        close(fd);
    }
    return true;
}

/* vda, vda1, vda10, vdb … vdaa: by the length of the letters, then the letters, then the number. */
static int by_name(const void *a, const void *b)
{
    const char *x = ((const struct disk *)a)->name, *y = ((const struct disk *)b)->name;
    size_t nx = strcspn(x, "0123456789"), ny = strcspn(y, "0123456789");

    if (nx != ny) {
        return nx < ny ? -1 : 1;
    }
    int letters = strncmp(x, y, nx);
    if (letters) {
        return letters;
    }
    if (strlen(x) != strlen(y)) {
        return strlen(x) < strlen(y) ? -1 : 1;
    }
    return strcmp(x, y);
}

bool disks_scan(struct disk_list *out, const char *sysfs, const char *dev)
{
    struct dirent *entry;
    size_t room = 0;

    *out = (struct disk_list){0};
    DIR *d = opendir(sysfs);
    if (!d) {
        return false;
    }
    while ((entry = readdir(d))) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (out->n == room) {
            room = room ? 2 * room : 16;
            struct disk *grown = realloc(out->at, room * sizeof(*grown));
            if (!grown) {
                break;
            }
            out->at = grown;
        }
        if (look_at(&out->at[out->n], dirfd(d), entry->d_name, dev)) {
            out->n++;
        }
    }
    closedir(d);
    if (out->n) {
        qsort(out->at, out->n, sizeof(*out->at), by_name);
    }
    return true;
}

void disks_free(struct disk_list *list)
{
    free(list->at);
    *list = (struct disk_list){0};
}

static bool is_named(const struct disk *disk, const struct root_spec *spec)
{
    switch (spec->kind) {
    case ROOT_DEVICE:
        return !strcmp(disk->name, spec->value + strlen("/dev/"));
    case ROOT_DEVNO:
        return disk->major == spec->major && disk->minor == spec->minor;
    case ROOT_LABEL:
        return disk->fs.mountable && !strcmp(disk->fs.label, spec->value);
    case ROOT_UUID:
        return disk->fs.mountable && !strcasecmp(disk->fs.uuid, spec->value);
    case ROOT_PARTUUID:
        return !strcasecmp(disk->part.uuid, spec->value);
    case ROOT_PARTLABEL:
        return !strcmp(disk->part.label, spec->value);
    default:
        return false;
    }
}

const struct disk *disks_find(const struct disk_list *list, const struct root_spec *spec,
                              size_t *matches)
{
    const struct disk *first = NULL;
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++) {
        if (is_named(&list->at[i], spec)) {
            first = first ? first : &list->at[i];
            n++;
        }
    }
    if (matches) {
        *matches = n;
    }
    return first;
}

bool disk_other_name(char *out, size_t size, const char *name)
{
    if ((name[0] != 'v' && name[0] != 's') || name[1] != 'd' || !name[2]) {
        return false;
    }
    return (size_t)snprintf(out, size, "%cd%s", name[0] == 'v' ? 's' : 'v', name + 2) < size;
}

static void describe_size(char *out, size_t size, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    uint64_t tenths = bytes > UINT64_MAX / 10 ? UINT64_MAX : bytes * 10;

    for (; tenths >= 10240 && unit < 4; unit++) {
        tenths /= 1024;
    }
    snprintf(out, size, "%llu.%llu %s", (unsigned long long)(tenths / 10),
             (unsigned long long)(tenths % 10), units[unit]);
}

/* Appends ` KEY "VALUE"` to OUT when VALUE is not empty. */
static void describe_text(char *out, size_t size, const char *key, const char *value)
{
    char clean[120];
    size_t n = strlen(out);

    if (value[0] && n < size) {
        say_clean(clean, sizeof(clean), value);
        snprintf(out + n, size - n, " %s=\"%s\"", key, clean);
    }
}

void disk_describe(char *out, size_t size, const struct disk *disk)
{
    char bytes[32], name[80];

    describe_size(bytes, sizeof(bytes), disk->bytes);
    say_clean(name, sizeof(name), disk->name);
    snprintf(out, size, "/dev/%s, %s, %s", name, bytes,
             disk->fs.type ? disk->fs.type : "no known file system");
    describe_text(out, size, "LABEL", disk->fs.label);
    describe_text(out, size, "UUID", disk->fs.uuid);
    describe_text(out, size, "PARTLABEL", disk->part.label);
    describe_text(out, size, "PARTUUID", disk->part.uuid);
}
