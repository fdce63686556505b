/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The init of a guest whose disk was made from a container image without one. Mounts what a
 * container finds, brings the loopback up, runs the image's program as the image asks for, reaps
 * what others leave behind, and powers off when the program has ended; which the power button asks
 * it to.
 *
 * Static, so that it needs nothing from the image.
 */
#include "container-init.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/input.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_MAX_BYTES (1 << 20)
#define WORDS_MAX 4096
#define GROUPS_MAX 256
#define GRACE_SECONDS 10
#define BUTTONS_MAX 16

typedef struct {
    char *argv[WORDS_MAX], *env[WORDS_MAX];
    size_t argc, envc, n_groups;
    gid_t groups[GROUPS_MAX];
    const char *cwd;
    uid_t uid;
    gid_t gid;
} Run;

static void say(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    dprintf(STDERR_FILENO, "container-init: ");
    vdprintf(STDERR_FILENO, format, ap);
    dprintf(STDERR_FILENO, "\n");
    va_end(ap);
}

static void power_off(void)
{
    sync();
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}

static void mount_one(const char *type, const char *where, unsigned long flags, const char *options)
{
    mkdir(where, 0755);
    /* busy: the initrd has done it */
    if (mount(type, where, type, flags, options) < 0 && errno != EBUSY)
        say("mounting %s: %s", where, strerror(errno));
}

static void mount_all(void)
{
    const unsigned long nothing = MS_NOSUID | MS_NODEV | MS_NOEXEC;

    mount_one("devtmpfs", "/dev", MS_NOSUID, "mode=0755");
    mount_one("proc", "/proc", nothing, NULL);
    mount_one("sysfs", "/sys", nothing, NULL);
    mount_one("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755");
    mount_one("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666");
    mount_one("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
    (void)!symlink("/proc/self/fd", "/dev/fd");
    (void)!symlink("/proc/self/fd/0", "/dev/stdin");
    (void)!symlink("/proc/self/fd/1", "/dev/stdout");
    (void)!symlink("/proc/self/fd/2", "/dev/stderr");
    mount_one("cgroup2", "/sys/fs/cgroup", nothing, NULL);
}

static void loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    if (ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags |= IFF_UP;
        ioctl(fd, SIOCSIFFLAGS, &request);
    }
    close(fd);
}

static void set_hostname(void)
{
    char name[65];
    int fd = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, name, sizeof(name) - 1) : 0;

    if (n > 0)
        sethostname(name, (size_t)n - (name[n - 1] == '\n'));
    if (fd >= 0)
        close(fd);
}

static void take(Run *run, char *record)
{
    char *value = strchr(record, '=');

    if (!value)
        return;
    *value++ = '\0';
    if (strcmp(record, "arg") == 0 && run->argc < WORDS_MAX - 1)
        run->argv[run->argc++] = value;
    else if (strcmp(record, "env") == 0 && run->envc < WORDS_MAX - 1)
        run->env[run->envc++] = value;
    else if (strcmp(record, "cwd") == 0)
        run->cwd = value;
    else if (strcmp(record, "uid") == 0)
        run->uid = (uid_t)strtoul(value, NULL, 10);
    else if (strcmp(record, "gid") == 0)
        run->gid = (gid_t)strtoul(value, NULL, 10);
    else if (strcmp(record, "group") == 0 && run->n_groups < GROUPS_MAX)
        run->groups[run->n_groups++] = (gid_t)strtoul(value, NULL, 10);
}

static void read_run(Run *run)
{
    static char text[FILE_MAX_BYTES + 1];
    int fd = open(CONTAINER_INIT_FILE, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t got = 0;

    while (fd >= 0 && n < FILE_MAX_BYTES && (got = read(fd, text + n, FILE_MAX_BYTES - n)) > 0)
        n += (size_t)got;
    if (fd < 0 || got < 0) {
        say("%s: %s", CONTAINER_INIT_FILE, strerror(errno));
        power_off();
    }
    close(fd);
    for (char *record = text, *next; record < text + n; record = next) {
        next = record + strlen(record) + 1;
        take(run, record);
    }
}

/* In the child; returns only what went wrong. */
static void become(Run *run)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    ioctl(STDIN_FILENO, TIOCSCTTY, 1);
    environ = run->env;
    if (run->cwd && chdir(run->cwd) < 0)
        say("directory %s: %s", run->cwd, strerror(errno));
    else if (setgroups(run->n_groups, run->groups) < 0 || setgid(run->gid) < 0 ||
             setuid(run->uid) < 0)
        say("user %u: %s", run->uid, strerror(errno));
    else if (execvp(run->argv[0], run->argv) < 0)
        say("%s: %s", run->argv[0], strerror(errno));
    _exit(127);
}

/* The power button is a key; devices that have none are silent. Returns how many are open. */
static nfds_t open_buttons(struct pollfd *fds)
{
    nfds_t n = 0;
    char path[32];

    for (int i = 0; i < BUTTONS_MAX; i++) {
        snprintf(path, sizeof(path), "/dev/input/event%d", i);
        fds[n].fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        fds[n].events = POLLIN;
        n += fds[n].fd >= 0;
    }
    return n;
}

static bool pressed(int fd)
{
    struct input_event event;
    bool power = false;

    while (read(fd, &event, sizeof(event)) == sizeof(event))
        power = power || (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1);
    return power;
}

/* Whether @child has ended, and how; others that have are forgotten. */
static bool reap(pid_t child, int *status)
{
    int how;
    pid_t pid;

    while ((pid = waitpid(-1, &how, WNOHANG)) > 0) {
        if (pid == child) {
            *status = how;
            return true;
        }
    }
    return false;
}

/* Waits for the end of the program, which the power button and SIGTERM ask for. */
static int watch(pid_t child, int signals)
{
    struct pollfd fds[BUTTONS_MAX + 1] = {{.fd = signals, .events = POLLIN}};
    nfds_t n = 1 + open_buttons(fds + 1);
    struct signalfd_siginfo info;
    int status = 0;

    while (!reap(child, &status)) {
        poll(fds, n, -1);
        while (read(signals, &info, sizeof(info)) == sizeof(info)) {
            if (info.ssi_signo == SIGTERM)
                kill(child, SIGTERM);
        }
        for (nfds_t i = 1; i < n; i++) {
            if ((fds[i].revents & POLLIN) && pressed(fds[i].fd))
                kill(child, SIGTERM);
        }
    }
    return status;
}

/* What the program has left behind gets a moment to write what it has. */
static void end_others(int signals)
{
    struct pollfd fd = {.fd = signals, .events = POLLIN};
    struct signalfd_siginfo info;

    kill(-1, SIGTERM);
    while (waitpid(-1, NULL, WNOHANG) >= 0) {
        if (poll(&fd, 1, GRACE_SECONDS * 1000) == 0)
            break;
        while (read(signals, &info, sizeof(info)) == sizeof(info))
            ;
    }
    kill(-1, SIGKILL);
}

int main(void)
{
    static Run run = {.cwd = "/"};
    sigset_t set;
    int signals, status = -1;
    pid_t child;

    mount_all();
    loopback_up();
    set_hostname();
    read_run(&run);
    if (run.argc == 0) {
        say("%s names no program", CONTAINER_INIT_FILE);
        power_off();
    }
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    child = fork();
    if (child == 0)
        become(&run);
    if (child > 0)
        status = watch(child, signals);
    say("%s has ended (%s %d)", run.argv[0], WIFSIGNALED(status) ? "signal" : "status",
        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    end_others(signals);
    power_off();
    return 1;
}
