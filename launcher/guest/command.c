/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's side of microvm-run: one command, whose streams and end go to the host as frames. It
 * keeps the priority that the program has, so that a busy guest still passes on what comes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frame.h"
#include "identity.h"

#define MOUNT_TAG "microvm" /* PLAN_MOUNT_TAG of the host's side */
#define MOUNT_POINT "/mnt"
#define MOUNT_OPTIONS "trans=virtio,version=9p2000.L,cache=mmap,msize=262144"

/* What a pipe or terminal can hold that the command has left; another process may write more. */
#define REST_MAX 262144

#define NOT_FOUND 127 /* exit statuses, as those of env(1) */
#define NOT_STARTED 126

/* A stream from the command. */
typedef struct {
    unsigned kind;
    int fd; /* -1: at its end */
    uint32_t credit;
    size_t rest; /* what may still come once the command has ended */
} Source;

static struct {
    Link link;
    char words[FRAME_WORDS_MAX];
    size_t n_words;
    char term[256];
    bool terminal, mounted;
    struct winsize size;
    int master; /* the terminal's; -1: there is none */
    pid_t pid;
    bool ended, told; /* the command; the host */
    int status;
    int children; /* a signalfd */
    Sink input;
    Source sources[2];
} it; /* of which all begins with zeros */

static void give_terminal_size(const Frame *frame)
{
    if (frame->size != 4) {
        return;
    }
    it.terminal |= it.pid == 0;
    it.size.ws_row = frame_get16(frame->data);
    it.size.ws_col = frame_get16(frame->data + 2);
    if (it.master >= 0) {
        ioctl(it.master, TIOCSWINSZ, &it.size);
    }
}

static void mount_directory(bool readonly)
{
    unsigned long flags = MS_NOSUID | MS_NODEV | (readonly ? MS_RDONLY : 0);

    if (mount(MOUNT_TAG, MOUNT_POINT, "9p", flags, MOUNT_OPTIONS) < 0) {
        fail("the directory cannot be mounted at " MOUNT_POINT ": %s%s", strerror(errno),
             errno == ENODEV ? " (its kernel has no 9p)" : "");
        return;
    }
    it.mounted = true;
}

static void add_words(const Frame *frame)
{
    if (frame->size >= sizeof(it.words) - it.n_words) {
        fail("the command is longer than %d bytes", FRAME_WORDS_MAX);
        return;
    }
    memcpy(it.words + it.n_words, frame->data, frame->size);
    it.n_words += frame->size;
    it.words[it.n_words] = '\0';
}

/* An argv of it.words, for exec(). */
static char **make_argv(void)
{
    size_t n = 0;
    char **argv, *word = it.words;

    for (size_t i = 0; i < it.n_words; i++) {
        n += it.words[i] == '\0';
    }
    argv = calloc(n + 1, sizeof(*argv));
    for (size_t i = 0; argv && i < n; i++) {
        argv[i] = word;
        word += strlen(word) + 1;
    }
    return argv;
}

static void set_environment(void)
{
    clearenv();
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("HOME", "/root", 1);
    setenv("USER", "root", 1);
    setenv("LOGNAME", "root", 1);
    setenv("SHELL", "/bin/sh", 1);
    if (it.terminal) {
        setenv("TERM", *it.term ? it.term : "linux", 1);
    }
}

/* In the new process: its end of the terminal becomes the one that controls its session. */
static void use_terminal(void)
{
    char name[64];
    int fd = ptsname_r(it.master, name, sizeof(name)) == 0 ? open(name, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0) {
        _exit(NOT_STARTED);
    }
    ioctl(fd, TIOCSCTTY, 0);
    for (int i = 0; i < 3; i++) {
        dup2(fd, i);
    }
}

static void use_pipes(const int *fds)
{
    for (int i = 0; i < 3; i++) {
        dup2(fds[i], i);
    }
}

static void become_command(const int *fds)
{
    char **argv = make_argv();
    sigset_t none;

    setsid();
    if (it.terminal) {
        use_terminal();
    } else {
        use_pipes(fds);
    }
    for (int i = 1; i < NSIG; i++) {
        signal(i, SIG_DFL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (chdir(it.mounted ? MOUNT_POINT : "/root") < 0 && chdir("/") < 0) {
        _exit(NOT_STARTED);
    }
    set_environment();
    execvp(argv[0], argv);
    dprintf(2, "microvm-run: %s: %s\n", argv[0], strerror(errno));
    _exit(errno == ENOENT ? NOT_FOUND : NOT_STARTED);
}

/* The ends that stay here do not wait. */
static bool open_pipe(int *ours, int *theirs, int our_end)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0) {
        return false;
    }
    *ours = fds[our_end];
    *theirs = fds[!our_end];
    return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
}

static bool open_streams(int *theirs)
{
    if (!it.terminal) {
        return open_pipe(&it.input.fd, &theirs[0], 1) &&
               open_pipe(&it.sources[0].fd, &theirs[1], 0) &&
               open_pipe(&it.sources[1].fd, &theirs[2], 0);
    }
    it.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    it.input.fd = it.sources[0].fd = it.master;
    return it.master >= 0 && grantpt(it.master) == 0 && unlockpt(it.master) == 0 &&
           ioctl(it.master, TIOCSWINSZ, &it.size) == 0;
}

static void start_command(void)
{
    int theirs[3] = {-1, -1, -1};

    if (it.n_words == 0) {
        fail("there is no command");
    }
    if (failed()) {
        return;
    }
    if (!open_streams(theirs)) {
        fail("no pipe or terminal for the command: %s", strerror(errno));
        return;
    }
    it.pid = fork();
    if (it.pid == 0) {
        become_command(theirs);
    }
    others_thaw_when_idle();
    if (it.pid < 0) {
        it.pid = 0;
        fail("no process for the command: %s", strerror(errno));
    }
    for (int i = 0; i < 3; i++) {
        if (theirs[i] >= 0) {
            close(theirs[i]);
        }
    }
}

static Source *find_source(unsigned kind)
{
    return &it.sources[kind == FRAME_ERRORS];
}

static void close_source(Source *source)
{
    if (source->fd >= 0 && source->fd != it.master) {
        close(source->fd);
    }
    source->fd = -1;
}

/* A terminal is told the end of the input by a character. */
static void close_input(void)
{
    const char end = 'D' - '@';

    if (it.input.fd >= 0 && it.input.fd != it.master) {
        close(it.input.fd);
    } else if (it.input.fd >= 0 && write(it.master, &end, 1) < 0) {
        sink_break(&it.input);
    }
    sink_break(&it.input);
}

static void obey(const Frame *frame)
{
    switch (frame->kind) {
    case FRAME_WORD:
        add_words(frame);
        break;
    case FRAME_TERM:
        snprintf(it.term, sizeof(it.term), "%.*s", (int)frame->size, (const char *)frame->data);
        break;
    case FRAME_MOUNT:
        mount_directory(frame->size == 1 && frame->data[0] == 1);
        break;
    case FRAME_SIZE:
        give_terminal_size(frame);
        break;
    case FRAME_START:
        start_command();
        break;
    case FRAME_INPUT:
        it.input.ended |= frame->size == 0;
        sink_put(&it.input, frame->data, frame->size);
        break;
    case FRAME_SIGNAL:
        if (it.pid > 0 && !it.ended && frame->size == 1) {
            kill(-it.pid, frame->data[0]);
        }
        break;
    case FRAME_BROKEN:
        if (frame->size == 1 && it.master < 0) {
            close_source(find_source(frame->data[0]));
        }
        break;
    case FRAME_CREDIT:
        if (frame->size == 5) {
            find_source(frame->data[0])->credit += frame_get32(frame->data + 1);
        }
        break;
    default:
        fail("a frame of the unknown kind %u", frame->kind);
    }
}

/* false when the host has gone. */
static bool receive(void)
{
    ssize_t n = link_receive(&it.link);
    Frame frame;

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (n <= 0) {
        return false;
    }
    while ((n = link_next(&it.link, &frame)) > 0) {
        obey(&frame);
    }
    return n == 0;
}

static void pass_input(void)
{
    if (!sink_write(&it.input)) {
        if (it.input.fd != it.master) {
            close(it.input.fd);
        }
        sink_break(&it.input);
    }
    if (it.input.ended && it.input.used == 0 && it.input.fd >= 0) {
        close_input();
    }
    sink_credit(&it.input, &it.link);
}

/*
 * What has not been read when the command ends is all there: a terminal's driver passes on what is
 * under way before it says that there is no more. false when the host has gone.
 */
static bool pass_output(Source *source)
{
    do {
        size_t most = it.ended && source->rest < source->credit ? source->rest : source->credit;
        ssize_t n;

        if (source->fd < 0 || !link_is_free(&it.link) || source->credit == 0) {
            return true;
        }
        n = most > 0 ? link_put_from(&it.link, source->kind, source->fd, most) : 0;
        if (n > 0) {
            source->credit -= (uint32_t)n;
            source->rest -= it.ended ? (size_t)n : 0;
        } else if (n == 0 || errno != EAGAIN || it.ended) {
            close_source(source);
        }
        if (!link_send(&it.link)) {
            return false;
        }
    } while (it.ended);
    return true;
}

static void look_for_end(void)
{
    struct signalfd_siginfo info;

    if (read(it.children, &info, sizeof(info)) == sizeof(info) && it.pid > 0 && !it.ended &&
        waitpid(it.pid, &it.status, WNOHANG) == it.pid) {
        it.ended = true;
        it.sources[0].rest = it.sources[1].rest = REST_MAX;
    }
}

/* The last frame, when all else has been sent. */
static void tell_end(void)
{
    const uint8_t data[2] = {WIFSIGNALED(it.status) ? 1 : 0, WIFSIGNALED(it.status)
                                                                 ? (uint8_t)WTERMSIG(it.status)
                                                                 : (uint8_t)WEXITSTATUS(it.status)};

    if (it.told || !link_is_free(&it.link)) {
        return;
    }
    if (failed()) {
        it.told = link_put(&it.link, FRAME_FAILED, failed(), strlen(failed()));
    } else if (it.ended && it.sources[0].fd < 0 && it.sources[1].fd < 0) {
        it.told = link_put(&it.link, FRAME_EXIT, data, sizeof(data));
    }
}

enum { PORT, CHILDREN, INPUT, SOURCES, N_FDS = SOURCES + 2 };

/* What is closed, or has nothing to do, is not waited for. */
static bool wait_for_more(struct pollfd *fds)
{
    bool idle = link_is_free(&it.link);

    fds[PORT] = (struct pollfd){it.link.fd, POLLIN | (idle ? 0 : POLLOUT), 0};
    fds[CHILDREN] = (struct pollfd){it.children, POLLIN, 0};
    fds[INPUT] = (struct pollfd){it.input.used > 0 ? it.input.fd : -1, POLLOUT, 0};
    for (int i = 0; i < 2; i++) {
        bool wanted = idle && it.sources[i].credit > 0;

        fds[SOURCES + i] = (struct pollfd){wanted ? it.sources[i].fd : -1, POLLIN, 0};
    }
    return poll(fds, N_FDS, -1) >= 0 || errno == EINTR;
}

static bool go_on(const struct pollfd *fds)
{
    if (fds[CHILDREN].revents) {
        look_for_end();
    }
    if (fds[PORT].revents && !receive()) {
        return false;
    }
    if (it.pid > 0) {
        pass_input();
    }
    if (!link_send(&it.link)) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        if ((it.ended || fds[SOURCES + i].revents) && !pass_output(&it.sources[i])) {
            return false;
        }
    }
    tell_end();
    return link_send(&it.link);
}

static void prepare(int port)
{
    sigset_t child;

    it.link.fd = port;
    it.master = it.input.fd = it.sources[0].fd = it.sources[1].fd = -1;
    it.input.kind = FRAME_INPUT;
    it.sources[0].kind = FRAME_OUTPUT;
    it.sources[1].kind = FRAME_ERRORS;
    it.sources[0].credit = it.sources[1].credit = FRAME_WINDOW;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    it.children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    fcntl(port, F_SETFL, O_NONBLOCK);
}

void command_serve(int port, const void *rest, size_t size)
{
    struct pollfd fds[N_FDS] = {0};

    prepare(port);
    memcpy(it.link.in, rest, size);
    it.link.in_end = size;
    for (Frame frame; link_next(&it.link, &frame) > 0;) {
        obey(&frame);
    }
    while (go_on(fds) && wait_for_more(fds)) {
    }
    if (it.pid > 0) { /* what it has left, too */
        kill(-it.pid, SIGKILL);
    }
}
