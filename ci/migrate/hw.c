/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/input.h>

#include "../board/sysfs.h"

/* The sum of the CPUs' counts in a line of /proc/interrupts. */
static unsigned long sum_of(const char *line)
{
    unsigned long sum = 0, each;
    char *end;

    for (const char *at = strchr(line, ':') + 1; each = strtoul(at, &end, 10), end != at;
         at = end) {
        sum += each;
    }
    return sum;
}

void hw_show_alarms(int fd)
{
    FILE *interrupts = fopen("/proc/interrupts", "re");
    char line[1024];
    unsigned long alarms = 0;

    while (interrupts && fgets(line, sizeof(line), interrupts)) {
        if (strstr(line, " rtc0\n")) {
            alarms = sum_of(line);
        }
    }
    fclose(interrupts);
    dprintf(fd, "migrate: alarms=%lu\n", alarms);
}

static int has_vmgenid(void)
{
    return !access("/sys/bus/platform/drivers/vmgenid", F_OK) ||
           !access("/sys/bus/acpi/drivers/vmgenid", F_OK);
}

void hw_show_forks(int fd)
{
    int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC), forks = 0;
    char record[8192];
    ssize_t n;

    while ((n = read(log, record, sizeof(record) - 1)) > 0) {
        record[n] = '\0';
        forks += strstr(record, "crng reseeded due to virtual machine fork") != NULL;
    }
    close(log);
    dprintf(fd, "migrate: forks=%d\n", has_vmgenid() ? forks : -1);
}

static char button[PATH_MAX];

static void find_button(const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "/sys/class/input/%s/name", name);
    if (!strncmp(name, "input", 5) && !strcmp(first_line(path), "Power Button")) {
        snprintf(button, sizeof(button), "/sys/class/input/%s", name);
    }
}

static void find_event(const char *name)
{
    if (!strncmp(name, "event", 5)) {
        snprintf(button, sizeof(button), "/dev/input/%s", name);
    }
}

void hw_watch_button(int fd)
{
    struct input_event event;
    int input;

    for_each("/sys/class/input", find_button);
    if (!button[0] || fork()) {
        return;
    }
    for_each(strdupa(button), find_event);
    input = open(button, O_RDONLY | O_CLOEXEC);
    while (read(input, &event, sizeof(event)) == sizeof(event)) {
        if (event.type == EV_KEY && event.code == KEY_POWER && event.value) {
            dprintf(fd, "migrate: power button\n");
        }
    }
    _exit(0);
}
