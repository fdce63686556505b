/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waits in a guest that is to be a template, and so in each of its clones, to be told by the host
 * who this guest is from now on.
 *
 *     microvm-identity PORT
 *
 * PORT is a virtio-serial port. Lines from the host, and what is answered:
 *
 *     settle [drop-caches]     services that hold on to an identity are stopped, SSH host keys
 *                              removed, everything is written to disk: "settled vmgenid=0
 *                              keys=ed25519", with the kinds of keys
 *     freeze                   all other processes and the file systems are frozen: "frozen"
 *     thaw                     the file systems may be written to again; the processes go on when
 *                              the guest is awake, or has started a command that leaves them time
 *     random HEX               what the kernel's random numbers depend on from now on
 *     time NANOSECONDS         since 1970
 *     hostname NAME
 *     machine-id HEX
 *     mac OLD NEW              of one NIC
 *     key TYPE HEX HEX         an SSH host key, and its public half
 *     wake                     the keys that were not sent are made, hooks run: "awake"; then the
 *                              processes go on, and the services are started
 *     host ADDRESS NAME        what a name stands for
 *     online SECONDS           wait until they have set the network up: "online"
 *     run                      a command, as the frames say that follow this line; see frame.h
 *
 * If something went wrong since the last answer, it is "failed: " and what. Whoever is at the other
 * end of the port has the guest's memory and disk, and is trusted.
 */
#include "identity.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_SIZE 16384 /* an RSA key of 4096 bits takes 8.5 thousand */
#define ANSWER_SIZE 1024
#define RANDOM_MAX 256
#define HOOKS "/etc/microvm/identity.d" /* programs that are run in each clone, in order */
#define DROP_CACHES "/proc/sys/vm/drop_caches"

int start(char *const *argv)
{
    pid_t pid = fork();
    sigset_t none;
    int null;

    if (pid != 0) {
        return pid;
    }
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++) {
        dup2(null, fd);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(argv[0], argv);
    _exit(127);
}

bool finish_soon(int pid, int ms)
{
    struct pollfd pfd = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    bool ended = pfd.fd >= 0 && poll(&pfd, 1, ms) > 0;

    if (pfd.fd >= 0) {
        close(pfd.fd);
    }
    return ended;
}

int finish(int pid)
{
    int status;

    if (pid < 0) {
        return 255;
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return 255;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int run(char *const *argv)
{
    return finish(start(argv));
}

void overwrite(const char *path, const char *text, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    struct stat st;

    /* a file that is cut to nothing before is written to the disk at once, and waited for */
    if (fd < 0 || write(fd, text, size) != (ssize_t)size || fstat(fd, &st) < 0 ||
        (st.st_size > (off_t)size && ftruncate(fd, (off_t)size) < 0)) {
        fail("%s: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void settle(const char *how)
{
    services_stop();
    sync();
    if (strcmp(how, "drop-caches") == 0) {
        overwrite(DROP_CACHES, "3", 1);
    }
}

size_t from_hex(const char *hex, unsigned char *bytes, size_t size)
{
    size_t n = 0;
    unsigned byte;

    while (n < size && isxdigit(hex[0]) && isxdigit(hex[1]) && sscanf(hex, "%2x", &byte) == 1) {
        bytes[n++] = byte;
        hex += 2;
    }
    return n;
}

static void set_random_hex(const char *hex)
{
    unsigned char bytes[RANDOM_MAX];
    size_t n = from_hex(hex, bytes, sizeof(bytes));

    if (n == 0) {
        fail("random: no hexadecimal digits");
        return;
    }
    set_random(bytes, n);
    explicit_bzero(bytes, sizeof(bytes));
}

static int is_program(const struct dirent *entry)
{
    char path[PATH_MAX];
    struct stat st;

    snprintf(path, sizeof(path), HOOKS "/%s", entry->d_name);
    return entry->d_name[0] != '.' && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           (st.st_mode & 0111);
}

/* What the guest's owner has added, for services that we do not know, and that are to be there. */
static void run_hooks(void)
{
    struct dirent **entries;
    int n = scandir(HOOKS, &entries, is_program, alphasort);

    if (n > 0) {
        others_thaw();
    }
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        char *argv[] = {path, NULL};
        int status;

        snprintf(path, sizeof(path), HOOKS "/%s", entries[i]->d_name);
        status = run(argv);
        if (status != 0) {
            fail("%s ended with %d", path, status);
        }
        free(entries[i]);
    }
    if (n >= 0) {
        free(entries);
    }
}

static void answer(int port, const char *text)
{
    char line[ANSWER_SIZE];
    int n;

    if (failed()) {
        n = snprintf(line, sizeof(line), "failed: %s\n", failed());
    } else {
        n = snprintf(line, sizeof(line), "%s\n", text);
    }
    forgive();
    if (write(port, line, n) != n) {
        return; /* the host has gone, and will see to it */
    }
}

static void answer_settled(int port)
{
    char text[ANSWER_SIZE], types[ANSWER_SIZE / 2];

    services_key_types(types, sizeof(types));
    snprintf(text, sizeof(text), "settled vmgenid=%d keys=%s", has_vmgenid(), types);
    answer(port, text);
}

static void obey(int port, char *line)
{
    char *rest = strchr(line, ' '), *to;

    if (rest) {
        *rest++ = '\0';
    } else {
        rest = line + strlen(line);
    }
    if (strcmp(line, "settle") == 0) {
        settle(rest);
        answer_settled(port);
    } else if (strcmp(line, "freeze") == 0) {
        freeze_all();
        answer(port, "frozen");
    } else if (strcmp(line, "thaw") == 0) {
        thaw_all();
    } else if (strcmp(line, "random") == 0) {
        set_random_hex(rest);
    } else if (strcmp(line, "time") == 0) {
        set_time(strtoll(rest, NULL, 10));
    } else if (strcmp(line, "hostname") == 0) {
        set_hostname(rest);
    } else if (strcmp(line, "machine-id") == 0) {
        set_machine_id(rest);
    } else if (strcmp(line, "mac") == 0 && (to = strchr(rest, ' '))) {
        *to++ = '\0';
        set_mac(rest, to);
    } else if (strcmp(line, "key") == 0) {
        services_put_key(rest);
    } else if (strcmp(line, "wake") == 0) {
        services_make_keys();
        run_hooks();
        answer(port, "awake");
        others_thaw();
        services_start();
    } else if (strcmp(line, "host") == 0) {
        add_host(rest);
    } else if (strcmp(line, "online") == 0) {
        services_wait_online(rest);
        answer(port, "online");
    } else {
        fail("'%s' is not understood", line);
    }
}

/*
 * A port that nobody is at reads as if at its end, and poll() returns at once. Its driver raises
 * SIGIO when somebody comes.
 */
static void wait_for_host(void)
{
    sigset_t io;
    int signal;

    sigemptyset(&io);
    sigaddset(&io, SIGIO);
    sigwait(&io, &signal);
}

/* When a clone wakes, all its timers have run out: nobody is to go on before it knows who it is. */
static void go_first(void)
{
    const struct sched_param first = {.sched_priority = 1};

    if (syscall(SYS_sched_setscheduler, 0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first) < 0) {
        return; /* it is then one among others, and merely later */
    }
}

static int open_port(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    sigset_t io;

    if (fd < 0) {
        return -1;
    }
    sigemptyset(&io);
    sigaddset(&io, SIGIO);
    sigprocmask(SIG_BLOCK, &io, NULL);
    if (fcntl(fd, F_SETOWN, getpid()) < 0 || fcntl(fd, F_SETFL, O_ASYNC) < 0) {
        return -1;
    }
    return fd;
}

int main(int argc, char **argv)
{
    static char line[LINE_SIZE];
    size_t used = 0;
    int port = argc == 2 ? open_port(argv[1]) : -1;

    if (port < 0) {
        dprintf(2, "usage: microvm-identity PORT, a virtio-serial port that nobody has open\n");
        return 1;
    }
    go_first();
    for (;;) {
        ssize_t n = read(port, line + used, sizeof(line) - 1 - used);
        char *end;

        if (n == 0 || (n < 0 && errno != EINTR)) {
            used = 0;
            wait_for_host();
        }
        used += n > 0 ? n : 0;
        while ((end = memchr(line, '\n', used))) {
            size_t size = end - line + 1;

            *end = '\0';
            if (strcmp(line, "run") == 0) {
                command_serve(port, end + 1, used - size);
                return 0;
            }
            obey(port, line);
            used -= size;
            memmove(line, line + size, used);
        }
        if (used == sizeof(line) - 1) {
            fail("a line of more than %d bytes", LINE_SIZE);
            used = 0;
        }
    }
}
