/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two sides of microvm-run's connection, one against the other without a guest between them,
 * and the host's against what a guest should not send; and the command line.
 *
 *   test-run MICROVM-RUN FILE...
 *
 * The files are its manual page and its completions for shells, which have all of its options.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <glib.h>

#include "../../guest/identity.h"
#include "ctl.h"
#include "frame.h"
#include "run-allow.h"
#include "run-session.h"

#define LIMIT_SECONDS 120 /* for a session; a busy host is slow */
#define MIB (1024 * 1024)

static const char *program;
static char **pages;

/* What a session was and came to. */
typedef struct {
    int status;
    GError *error;
    GByteArray *out, *err;
} Result;

static void result_clear(Result *result)
{
    g_clear_error(&result->error);
    g_clear_pointer(&result->out, g_byte_array_unref);
    g_clear_pointer(&result->err, g_byte_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Result, result_clear)

static gint64 deadline(void)
{
    return g_get_monotonic_time() + LIMIT_SECONDS * G_TIME_SPAN_SECOND;
}

/* A process that does what the guest's program does, at the other end of what is returned. */
static int start_guest(pid_t *pid)
{
    int ends[2];

    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    *pid = fork();
    if (*pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        command_serve(ends[1], "", 0);
        _exit(0);
    }
    close(ends[1]);
    return ends[0];
}

/* All that comes from @fd, in a thread so that nobody waits for it. */
static gpointer read_all(gpointer data)
{
    GByteArray *all = g_byte_array_new();
    int fd = GPOINTER_TO_INT(data);
    guint8 buffer[65536];
    ssize_t n;

    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        g_byte_array_append(all, buffer, (guint)n);
    close(fd);
    return all;
}

static GThread *collect(int *write_end)
{
    int fds[2];

    g_assert_no_errno(pipe2(fds, O_CLOEXEC));
    *write_end = fds[1];
    return g_thread_new("reader", read_all, GINT_TO_POINTER(fds[0]));
}

typedef struct {
    int fd;
    const GByteArray *data;
} Feed;

static gpointer write_all(gpointer data)
{
    Feed *feed = data;
    gsize at = 0;

    while (at < feed->data->len) {
        ssize_t n = write(feed->fd, feed->data->data + at, feed->data->len - at);

        if (n <= 0)
            break;
        at += (gsize)n;
    }
    close(feed->fd);
    return NULL;
}

/* Runs @words with @input, by @fd or a guest of its own (-1). */
static void run_with(char *const *words, const GByteArray *input, int fd, Result *result)
{
    RunSession session = {.words = words, .deadline = deadline()};
    GThread *out = collect(&session.out), *err = collect(&session.err), *writer;
    Feed feed = {.data = input};
    pid_t pid = 0;
    int fds[2];

    if (fd < 0)
        fd = start_guest(&pid);
    g_assert_no_errno(pipe2(fds, O_CLOEXEC));
    session.in = fds[0];
    feed.fd = fds[1];
    writer = g_thread_new("writer", write_all, &feed);
    run_session(fd, &session, &result->status, &result->error);
    close(fd);
    close(session.in);
    close(session.out);
    close(session.err);
    g_thread_join(writer);
    result->out = g_thread_join(out);
    result->err = g_thread_join(err);
    if (pid > 0)
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

static void run_shell(const char *line, const char *input, Result *result)
{
    char *words[] = {(char *)"sh", (char *)"-c", (char *)line, NULL};
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    g_byte_array_append(bytes, (const guint8 *)input, (guint)strlen(input));
    run_with(words, bytes, -1, result);
}

static void assert_text(const GByteArray *bytes, const char *text)
{
    g_assert_cmpmem(bytes->data, bytes->len, text, strlen(text));
}

static void test_status(void)
{
    static const struct {
        const char *line;
        int status;
    } cases[] = {
        {"exit 0", 0},          {"exit 7", 7},          {"exit 255", 255},
        {"kill -TERM $$", 143}, {"kill -KILL $$", 137}, {"kill -SEGV $$", 139},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(Result) result = {0};

        run_shell(cases[i].line, "", &result);
        g_assert_no_error(result.error);
        g_assert_cmpint(result.status, ==, cases[i].status);
    }
}

/* Each by its own way; and a command that does not read what it gets. */
static void test_streams(void)
{
    g_auto(Result) result = {0}, unread = {0};

    run_shell("cat; echo error >&2; exit 3", "hello\n", &result);
    g_assert_no_error(result.error);
    assert_text(result.out, "hello\n");
    assert_text(result.err, "error\n");
    g_assert_cmpint(result.status, ==, 3);
    run_shell("exec <&-; echo done", "nobody reads this", &unread);
    g_assert_no_error(unread.error);
    assert_text(unread.out, "done\n");
}

static void test_not_started(void)
{
    g_autoptr(GByteArray) none = g_byte_array_new();
    char *missing[] = {(char *)"/no/such/program", NULL}, *directory[] = {(char *)"/", NULL};
    g_auto(Result) first = {0}, second = {0};

    run_with(missing, none, -1, &first);
    g_assert_no_error(first.error);
    g_assert_cmpint(first.status, ==, 127);
    assert_text(first.err, "microvm-run: /no/such/program: No such file or directory\n");
    run_with(directory, none, -1, &second);
    g_assert_no_error(second.error);
    g_assert_cmpint(second.status, ==, 126);
}

static void test_environment(void)
{
    g_auto(Result) result = {0};

    g_setenv("MICROVM_SECRET", "of the host", TRUE);
    run_shell(
        "env -u PWD -u SHLVL -u _ | sort; trap; awk '/SigBlk|SigIgn/ {print $2}' /proc/self/status",
        "", &result);
    assert_text(result.out, "HOME=/root\nLOGNAME=root\n"
                            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
                            "SHELL=/bin/sh\nUSER=root\n0000000000000000\n0000000000000000\n");
}

static GByteArray *random_bytes(gsize size)
{
    GByteArray *bytes = g_byte_array_sized_new((guint)size);

    for (gsize i = 0; i < size; i += 4) {
        guint32 word = g_test_rand_int_range(G_MININT32, G_MAXINT32);

        g_byte_array_append(bytes, (const guint8 *)&word, 4);
    }
    return bytes;
}

/* More than all buffers together, both ways at once. */
static void test_bulk(void)
{
    char *words[] = {(char *)"cat", NULL};
    g_autoptr(GByteArray) bytes = random_bytes(16 * MIB);
    g_auto(Result) result = {0};

    run_with(words, bytes, -1, &result);
    g_assert_no_error(result.error);
    g_assert_cmpint(result.status, ==, 0);
    g_assert_true(result.out->len == bytes->len &&
                  memcmp(result.out->data, bytes->data, bytes->len) == 0);
    g_assert_cmpint(result.err->len, ==, 0);
}

/* All that it has written before it ends, though something that it has left holds its streams. */
static void test_left_behind(void)
{
    g_auto(Result) result = {0};

    run_shell("sleep 1000 & head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2; exit 5", "",
              &result);
    g_assert_no_error(result.error);
    g_assert_cmpint(result.status, ==, 5);
    g_assert_cmpint(result.out->len, ==, 60000);
    g_assert_cmpint(result.err->len, ==, 60000);
}

/* A stream that nobody takes stands in no other's way, and takes no memory without limit. */
static void test_unread(void)
{
    static char *words[] = {(char *)"sh", (char *)"-c",
                            (char *)"head -c 100000000 /dev/zero >&2 & echo here; wait", NULL};
    RunSession session = {.words = words, .in = -1, .deadline = deadline()};
    pid_t pid, host;
    int fd = start_guest(&pid), out[2], err[2], status;
    char buffer[8] = "";
    struct rusage usage;

    g_assert_no_errno(pipe2(out, O_CLOEXEC));
    g_assert_no_errno(pipe2(err, O_CLOEXEC));
    host = fork();
    if (host == 0) {
        g_autoptr(GError) error = NULL;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(out[0]);
        close(err[0]);
        session.out = out[1];
        session.err = err[1];
        run_session(fd, &session, &status, &error);
        getrusage(RUSAGE_SELF, &usage);
        _exit(error != NULL || usage.ru_maxrss > 200 * 1024 || status != 0);
    }
    close(fd);
    close(out[1]);
    close(err[1]);
    g_assert_cmpint(read(out[0], buffer, 5), ==, 5);
    g_assert_cmpstr(buffer, ==, "here\n");
    close(err[0]); /* and it is told that nobody reads: head ends by SIGPIPE */
    g_assert_cmpint(waitpid(host, &status, 0), ==, host);
    g_assert_cmpint(status, ==, 0);
    close(out[0]);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

/* "yes | head -1", as a shell would have it. */
static void test_broken_pipe(void)
{
    char *words[] = {(char *)"yes", NULL};
    int fd, fds[2], status = 0;
    RunSession session = {.words = words, .in = -1, .err = -1, .deadline = deadline()};
    g_autoptr(GError) error = NULL;
    pid_t pid;

    g_assert_no_errno(pipe2(fds, O_CLOEXEC));
    close(fds[0]);
    session.out = fds[1];
    fd = start_guest(&pid);
    run_session(fd, &session, &status, &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 128 + SIGPIPE);
    close(fd);
    close(fds[1]);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

/* Sends @number to us when the command says that it is ready. */
static gpointer signal_when_ready(gpointer data)
{
    int *fd_and_signal = data;
    char byte;

    g_assert_cmpint(read(fd_and_signal[0], &byte, 1), ==, 1);
    kill(getpid(), fd_and_signal[1]);
    while (read(fd_and_signal[0], &byte, 1) > 0) {
    }
    return NULL;
}

static int run_signalled(const char *line, int number)
{
    char *words[] = {(char *)"sh", (char *)"-c", (char *)line, NULL};
    int fds[2], args[2], status = 0, fd;
    RunSession session = {.words = words, .in = -1, .err = -1, .deadline = deadline()};
    g_autoptr(GError) error = NULL;
    sigset_t signals, before;
    GThread *thread;
    pid_t pid;

    run_session_signals(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    g_assert_no_errno(pipe2(fds, O_CLOEXEC));
    fd = start_guest(&pid);
    session.out = fds[1];
    args[0] = fds[0];
    args[1] = number;
    thread = g_thread_new("signal", signal_when_ready, args);
    run_session(fd, &session, &status, &error);
    g_assert_no_error(error);
    close(fd);
    close(fds[1]);
    g_thread_join(thread);
    close(fds[0]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    return status;
}

static void test_signals(void)
{
    g_assert_cmpint(run_signalled("echo; exec sleep 1000", SIGINT), ==, 128 + SIGINT);
    g_assert_cmpint(run_signalled("echo; exec sleep 1000", SIGTERM), ==, 128 + SIGTERM);
    g_assert_cmpint(run_signalled("echo; exec sleep 1000", SIGHUP), ==, 128 + SIGHUP);
    g_assert_cmpint(
        run_signalled("trap 'exit 9' USR1; echo; while :; do sleep 0.01; done", SIGUSR1), ==, 9);
}

static void test_timeout(void)
{
    char *words[] = {(char *)"sleep", (char *)"1000", NULL};
    RunSession session = {.words = words,
                          .in = -1,
                          .out = -1,
                          .err = -1,
                          .deadline = g_get_monotonic_time() + G_TIME_SPAN_SECOND / 2};
    g_autoptr(GError) error = NULL;
    int status = 0, fd;
    pid_t pid;

    fd = start_guest(&pid);
    g_assert_false(run_session(fd, &session, &status, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
    close(fd); /* the guest's program ends the command when the host has gone */
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

/* A terminal of ours, with its master's output collected. */
static void test_terminal(void)
{
    static const char line[] =
        "tty -s && stty size && stty -a | grep -c -- '-echo ' ; echo $TERM; read x; "
        "echo \"got $x\"; exit 4";
    char *words[] = {(char *)"sh", (char *)"-c", (char *)line, NULL};
    struct winsize size = {.ws_row = 33, .ws_col = 77};
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), fd, slave, status = 0;
    RunSession session = {.words = words, .terminal = TRUE, .deadline = deadline()};
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    struct termios before, after;
    char buffer[4096];
    ssize_t n;
    pid_t pid;

    g_setenv("TERM", "vt220", TRUE);
    g_assert_no_errno(master);
    g_assert_no_errno(grantpt(master));
    g_assert_no_errno(unlockpt(master));
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    g_assert_no_errno(slave);
    g_assert_no_errno(ioctl(master, TIOCSWINSZ, &size));
    tcgetattr(slave, &before);
    session.in = session.out = session.err = slave;
    g_assert_cmpint(write(master, "word\r", 5), ==, 5);
    fd = start_guest(&pid);
    run_session(fd, &session, &status, &error);
    tcgetattr(slave, &after);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 4);
    close(fd);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    close(slave);
    while ((n = read(master, buffer, sizeof(buffer))) > 0)
        g_string_append_len(text, buffer, n);
    g_assert_nonnull(strstr(text->str, "33 77\r\n"));
    g_assert_nonnull(strstr(text->str, "vt220\r\n"));
    g_assert_nonnull(strstr(text->str, "got word\r\n"));
    g_assert_cmpuint(after.c_lflag, ==, before.c_lflag);
    g_assert_cmpuint(after.c_oflag, ==, before.c_oflag);
    close(master);
}

static void put_frame(GByteArray *bytes, unsigned kind, const void *data, guint32 size)
{
    guint8 head[FRAME_HEAD] = {(guint8)kind};

    frame_put32(head + 1, size);
    g_byte_array_append(bytes, head, sizeof(head));
    g_byte_array_append(bytes, data, size);
}

/* What the host makes of a guest that sends @bytes and no more. */
static void hear(const GByteArray *bytes, Result *result)
{
    char *words[] = {(char *)"true", NULL};
    g_autoptr(GByteArray) none = g_byte_array_new();
    int ends[2];
    Feed feed = {.data = bytes};
    GThread *thread;

    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    feed.fd = ends[1];
    thread = g_thread_new("guest", write_all, &feed);
    run_with(words, none, ends[0], result);
    g_thread_join(thread);
}

static void assert_refused(const GByteArray *bytes, const char *words)
{
    g_auto(Result) result = {0};

    hear(bytes, &result);
    g_assert_nonnull(result.error);
    if (!strstr(result.error->message, words))
        g_error("'%s' does not say '%s'", result.error->message, words);
}

static void test_hostile_frames(void)
{
    static const struct {
        unsigned kind;
        const char *data;
        guint32 size;
    } bad[] = {
        {FRAME_EXIT, "\0", 1},
        {FRAME_EXIT, "\2\0", 2},
        {FRAME_EXIT, "\1\377", 2},
        {FRAME_EXIT, "\0\0\0", 3},
        {FRAME_CREDIT, "i", 1},
        {FRAME_CREDIT, "i\1\0\0\0", 5},
        {FRAME_CREDIT, "o\0\0\0\0", 5},
        {FRAME_INPUT, "hello", 5},
        {FRAME_START, "", 0},
        {FRAME_SIGNAL, "\t", 1},
        {0, "", 0},
        {255, "", 0},
        {FRAME_CREDIT, "i\377\377\377\377", 5},
    };
    static const char *const said = "the guest sends what it should not";

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();

        put_frame(bytes, bad[i].kind, bad[i].data, bad[i].size);
        assert_refused(bytes, said);
    }
}

static void test_hostile_sizes(void)
{
    static const guint8 large[] = {FRAME_OUTPUT, 0, 0, 1, 0, 'x'},
                        most[] = {FRAME_OUTPUT, 255, 255, 255, 255};
    g_autoptr(GByteArray) first = g_byte_array_new(), second = g_byte_array_new();
    g_autoptr(GByteArray) half = g_byte_array_new(), empty = g_byte_array_new();

    g_byte_array_append(first, large, sizeof(large));
    assert_refused(first, "the guest sends what it should not");
    g_byte_array_append(second, most, sizeof(most));
    assert_refused(second, "the guest sends what it should not");
    g_byte_array_append(half, large, 3);
    assert_refused(half, "the guest has ended before the command");
    assert_refused(empty, "the guest has ended before the command");
}

/* More output than it was allowed, and nobody who takes it. */
static void test_hostile_flood(void)
{
    char *words[] = {(char *)"true", NULL};
    g_autoptr(GByteArray) bytes = g_byte_array_new(), data = random_bytes(32000);
    RunSession session = {.words = words, .in = -1, .err = -1, .deadline = deadline()};
    g_autoptr(GError) error = NULL;
    int ends[2], out[2], status;
    Feed feed = {.data = bytes};
    GThread *thread;

    for (int i = 0; i < 100; i++)
        put_frame(bytes, FRAME_OUTPUT, data->data, data->len);
    g_assert_no_errno(pipe2(out, O_CLOEXEC));
    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    session.out = out[1];
    feed.fd = ends[1];
    thread = g_thread_new("guest", write_all, &feed);
    g_assert_false(run_session(ends[0], &session, &status, &error));
    g_assert_error(error, CTL_ERROR, CTL_ERROR_FAILED);
    close(ends[0]);
    g_thread_join(thread);
    close(out[0]);
    close(out[1]);
}

/* It cannot put anything but its text on the user's terminal by that; see output_say(). */
static void test_failed(void)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    put_frame(bytes, FRAME_FAILED, "no room", 7);
    assert_refused(bytes, "in the guest: no room");
}

/* However the bytes come in, the frames are the same. */
static void test_parse(void)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autofree Link *link = g_new0(Link, 1);
    int fds[2], frames = 0;
    Frame frame;

    for (int i = 0; i < 200; i++) {
        g_autoptr(GByteArray) data = random_bytes((gsize)g_test_rand_int_range(0, 8000) * 4);

        put_frame(bytes, (unsigned)(i % 256), data->data, data->len);
    }
    g_assert_no_errno(pipe2(fds, O_CLOEXEC | O_NONBLOCK));
    link->fd = fds[0];
    for (gsize at = 0, seen = 0; at < bytes->len;) {
        gsize n = (gsize)g_test_rand_int_range(1, 40000); /* less than a pipe holds */
        ssize_t size;

        n = MIN(n, bytes->len - at);
        g_assert_cmpint(write(fds[1], bytes->data + at, n), ==, n);
        at += n;
        for (gsize got = 0; got < n;) {
            ssize_t more = link_receive(link);

            g_assert_cmpint(more, >, 0);
            got += (gsize)more;
            while ((size = link_next(link, &frame)) > 0) {
                g_assert_cmpuint(frame.kind, ==, (unsigned)(frames++ % 256));
                g_assert_cmpmem(frame.data, frame.size, bytes->data + seen + FRAME_HEAD,
                                (gsize)size - FRAME_HEAD);
                seen += (gsize)size;
            }
            g_assert_cmpint(size, ==, 0);
        }
    }
    g_assert_cmpint(frames, ==, 200);
    close(fds[0]);
    close(fds[1]);
}

static void test_command_line(void)
{
    static const struct {
        const char *words, *says;
    } bad[] = {
        {"", "no command; see --help"},
        {"--", "no command; see --help"},
        {"--net bridge= true", "'' is not the name of a bridge"},
        {"--net bridge=a/b true", "'a/b' is not the name of a bridge"},
        {"--net bridge=averyverylongname true", "is not the name of a bridge"},
        {"--net bridge=vmbr0,deny=10.0.0.0/8 true", "behind 'bridge=vmbr0' there can be ',allow='"},
        {"--net bridge=vmbr0,allow= true", "allow= names nothing"},
        {"--net bridge=vmbr0,allow=10.0.0.0/33 true", "neither HOST:PORT nor ADDRESS"},
        {"--net bridge=vmbr0,allow=10.0.0.300 true", "neither HOST:PORT nor ADDRESS"},
        {"--net bridge=vmbr0,allow=10.0.0.1:0 true", "the port is not a number from 1 to 65535"},
        {"--net bridge=vmbr0,allow=10.0.0.1:65536 true", "the port is not a number"},
        {"--net bridge=vmbr0,allow=[::1 true", "the bracket is not closed"},
        {"--net bridge=vmbr0,allow=[::1]80 true", "the bracket is not closed"},
        {"--net bridge=vmbr0,allow=localhost true", "behind a name there must be a port"},
        {"--net bridge=vmbr0,allow=a;drop:80 true", "neither HOST:PORT nor ADDRESS"},
        {"--net bridge=vmbr0,allow=no-such-name.invalid:80 true",
         "allow=no-such-name.invalid:80: "},
        {"--net host true", "'host' is not none, user or bridge=NAME"},
        {"--mount /no/such/directory true", "--mount: /no/such/directory: No such file"},
        {"--mount /etc/passwd:ro true", "--mount: /etc/passwd is not a directory"},
        {"--memory 1G true", "'1G' is not a number of MiB"},
        {"--memory 0 true", "'0' is not a number of MiB"},
        {"--timeout 0 true", "'0' is not a number of seconds, above 0"},
        {"--timeout 1s true", "'1s' is not a number of seconds"},
        {"--image ../x true", "'../x' is no name for a template"},
        {"--image nothere true", "there is no template 'nothere'"},
        {"--frobnicate true", "--frobnicate"},
    };
    g_autofree char *dir = g_dir_make_tmp("run-XXXXXX", NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *line = g_strdup_printf("%s --state-dir %s %s", program, dir, bad[i].words);
        g_autofree char *out = NULL, *err = NULL;
        int status;

        g_assert_true(g_spawn_command_line_sync(line, &out, &err, &status, NULL));
        g_assert_cmpstr(out, ==, "");
        if (!strstr(err, bad[i].says))
            g_error("%s: '%s' does not say '%s'", line, err, bad[i].says);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, 125);
    }
    g_assert_no_errno(rmdir(dir));
}

/* Everything once, each as nft would be told. */
static void test_allow(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Allow) allow = allow_parse(
        "192.0.2.1:443,10.0.0.0/8,[2001:db8::1]:80,2001:db8:1::/48,localhost:53", &error);
    g_autofree char *text = NULL;
    static const char *const lines[] = {
        "table bridge t1 {\n",
        "iifname != \"tap1i0\" accept\n    ether saddr != 02:00:00:00:00:01 drop\n",
        "    ip daddr 192.0.2.1/32 tcp dport 443 accept\n"
        "    ip daddr 192.0.2.1/32 udp dport 443 accept\n"
        "    ip daddr 10.0.0.0/8 accept\n"
        "    ip6 daddr 2001:db8::1/128 tcp dport 80 accept\n"
        "    ip6 daddr 2001:db8::1/128 udp dport 80 accept\n"
        "    ip6 daddr 2001:db8::1/128 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } "
        "accept\n"
        "    ip6 daddr 2001:db8:1::/48 accept\n",
        "    ip daddr 127.0.0.1/32 udp dport 53 accept\n",
        "    ip saddr 192.0.2.1/32 tcp sport 443 accept\n",
        "    ip6 saddr 2001:db8:1::/48 accept\n",
        "nd-neighbor-solicit",
        "    drop\n  }\n  chain here {\n",
        "    drop\n  }\n}\n",
    };

    g_assert_no_error(error);
    g_assert_cmpuint(allow->hosts->len, >=, 1);
    g_assert_true(g_str_has_suffix(allow->hosts->pdata[0], " localhost"));
    text = allow_ruleset(allow, "t1", "tap1i0", "02:00:00:00:00:01");
    for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
        if (!strstr(text, lines[i]))
            g_error("no '%s' in:\n%s", lines[i], text);
    }
}

static void test_pages(void)
{
    g_autofree char *line = g_strdup_printf("%s --help", program), *help = NULL;
    g_auto(GStrv) words = NULL;
    int found = 0;

    g_assert_true(g_spawn_command_line_sync(line, &help, NULL, NULL, NULL));
    words = g_strsplit_set(help, " \n", -1);
    for (char **page = pages; *page; page++) {
        g_autofree char *text = NULL, *plain = NULL;
        g_auto(GStrv) parts = NULL;

        g_assert_true(g_file_get_contents(*page, &text, NULL, NULL));
        parts = g_strsplit(text, "\\-", -1);
        plain = g_strjoinv("-", parts);
        for (char **word = words; *word; word++) {
            if (g_str_has_prefix(*word, "--") && !strstr(plain, *word))
                g_error("%s has no %s", *page, *word);
            found += g_str_has_prefix(*word, "--");
        }
    }
    g_assert_cmpint(found, >, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, >, 2);
    program = argv[1];
    pages = argv + 2;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_DFL); /* also where nohup has started us */
    g_test_add_func("/run/parse", test_parse);
    g_test_add_func("/run/status", test_status);
    g_test_add_func("/run/streams", test_streams);
    g_test_add_func("/run/not-started", test_not_started);
    g_test_add_func("/run/environment", test_environment);
    g_test_add_func("/run/bulk", test_bulk);
    g_test_add_func("/run/left-behind", test_left_behind);
    g_test_add_func("/run/unread", test_unread);
    g_test_add_func("/run/broken-pipe", test_broken_pipe);
    g_test_add_func("/run/signals", test_signals);
    g_test_add_func("/run/timeout", test_timeout);
    g_test_add_func("/run/terminal", test_terminal);
    g_test_add_func("/run/hostile-frames", test_hostile_frames);
    g_test_add_func("/run/hostile-sizes", test_hostile_sizes);
    g_test_add_func("/run/hostile-flood", test_hostile_flood);
    g_test_add_func("/run/failed", test_failed);
    g_test_add_func("/run/command-line", test_command_line);
    g_test_add_func("/run/allow", test_allow);
    g_test_add_func("/run/pages", test_pages);
    return g_test_run();
}
