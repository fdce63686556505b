/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The /init of the archive that test-migrate boots. It starts the workers of work.h (that for vsock
 * only with the argument "vsock"), says "migrate: ready", and then does what lines on the serial
 * port tell it to. The first word counts:
 *
 *     report   migrate: LINE errors=0 reconnects=0 disk0=123 disk1=... monotonic=NS realtime=S
 *                                    what each worker has done, and the clocks
 *     hold     the workers finish the record they are at, and rest
 *     go       they go on
 *     alarms   migrate: alarms=0     see hw.h
 *     forks    migrate: forks=0      see hw.h
 *     errors   board: error=TEXT     what the kernel has complained of since it was asked last
 *     end      the guest ends
 *
 * Each is followed by "migrate: done LINE", with the line as it came.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../board/console.h"
#include "../board/ethernet.h"
#include "../board/sysfs.h"
#include "hw.h"
#include "migrate.h"
#include "work.h"

#define CONSOLE_OFF 6 /* for klogctl() */

static int console, count;
static const Worker *workers;

static void report(const char *line)
{
    unsigned long long errors = 0, reconnects = 0;
    struct timespec monotonic, realtime;
    char text[1024];
    int at = 0;

    for (int i = 0; i < count; i++) {
        const Tally *tally = workers[i].tally;

        errors += tally->errors;
        reconnects += tally->reconnects;
        at += snprintf(text + at, sizeof(text) - (size_t)at, " %s=%llu", workers[i].name,
                       (unsigned long long)tally->done);
    }
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    clock_gettime(CLOCK_REALTIME, &realtime);
    dprintf(console, "migrate: %s errors=%llu reconnects=%llu%s monotonic=%lld realtime=%lld\n",
            line, errors, reconnects, text,
            (long long)monotonic.tv_sec * 1000000000 + monotonic.tv_nsec,
            (long long)realtime.tv_sec);
}

/* FALSE when the guest is to end. */
static int do_command(const char *word, const char *line)
{
    if (!strcmp(word, "report")) {
        report(line);
    } else if (!strcmp(word, "hold")) {
        work_hold();
    } else if (!strcmp(word, "go")) {
        work_go_on();
    } else if (!strcmp(word, "alarms")) {
        hw_show_alarms(console);
    } else if (!strcmp(word, "forks")) {
        hw_show_forks(console);
    } else if (!strcmp(word, "errors")) {
        say_errors(console);
    }
    return strcmp(word, "end");
}

static void serve(void)
{
    FILE *commands = fdopen(console, "r");
    char line[64], word[16];

    while (fgets(line, sizeof(line), commands)) {
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%15s", word) != 1) {
            continue;
        }
        if (!do_command(word, line)) {
            return;
        }
        dprintf(console, "migrate: done %s\n", line);
    }
}

int main(int argc, char **argv)
{
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    console = console_open();
    klogctl(CONSOLE_OFF, NULL, 0); /* from here on no line is torn */
    ethernet_up(GUEST_ADDRESS);
    hw_watch_button(console);
    workers = work_start(console, argc > 1 && !strcmp(argv[1], "vsock"), &count);
    dprintf(console, "\nmigrate: ready\n");
    serve();
    tcdrain(console);
    /* without ACPI the board has no way to power off, but QEMU's -no-reboot does as well */
    reboot(access("/sys/firmware/acpi/tables", F_OK) ? RB_AUTOBOOT : RB_POWER_OFF);
    return 1;
}
