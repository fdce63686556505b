/* SPDX-License-Identifier: GPL-2.0-or-later */
/* microvm-run, in clones of the template that the other tests of test-warm have. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel.h"
#include "warm-common.h"

#define MIB (1024 * 1024)

static char **run_words(const char *const *words)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    g_strv_builder_add_many(builder, microvm_run, "--state-dir", store, "--image", "web",
                            "--timeout", LIMIT, NULL);
    for (; *words; words++)
        g_strv_builder_add(builder, *words);
    return g_strv_builder_end(builder);
}

static void run_in_guest(const char *const *words)
{
    g_auto(GStrv) argv = run_words(words);

    need_template();
    run((const char *const *)argv);
}

#define RUN(...) run_in_guest((const char *const[]){__VA_ARGS__, NULL})

static void assert_nothing_left(void)
{
    g_autofree char *clones = g_build_filename(store, "clones", NULL);

    assert_empty(clones);
    g_assert_cmpint(count_qemus(), ==, 0);
}

/* The same, for what is cleared away behind our back. */
static void wait_nothing_left(void)
{
    g_autofree char *clones = g_build_filename(store, "clones", NULL), *names = NULL;
    gint64 deadline = channel_deadline(LIMIT_SECONDS);

    for (;;) { /* the keeper is nobody's child any more that could be waited for */
        g_free(names);
        names = names_in(clones);
        if (!*names)
            break;
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(2000);
    }
    assert_nothing_left();
}

/* Starts it with pipes for standard input (@in) and output (@from), each NULL: none. */
static GPid start(int *in, int *from, const char *const *words)
{
    g_auto(GStrv) argv = run_words(words);
    GError *error = NULL;
    GPid pid;

    g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, in,
                             from, NULL, &error);
    g_assert_no_error(error);
    return pid;
}

/* What it exits with; 128 and the number if a signal ends it. */
static int end_of(GPid pid)
{
    int status;

    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void read_line(int fd, const char *expected)
{
    g_autofree char *line = g_malloc0(strlen(expected) + 1);
    gsize got = 0;

    while (got < strlen(expected)) {
        ssize_t n = read(fd, line + got, strlen(expected) - got);

        g_assert_cmpint(n, >, 0);
        got += (gsize)n;
    }
    g_assert_cmpstr(line, ==, expected);
}

static void test_status(void)
{
    RUN("--", "sh", "-c", "echo out; echo err >&2; exit 7");
    g_assert_cmpstr(out, ==, "out\n");
    g_assert_cmpstr(err, ==, "err\n");
    g_assert_cmpint(code, ==, 7);
    RUN("--", "sh", "-c", "kill -TERM $$");
    g_assert_cmpint(code, ==, 128 + SIGTERM);
    RUN("--", "no-such-program");
    g_assert_cmpint(code, ==, 127);
    g_assert_cmpstr(err, ==, "microvm-run: no-such-program: No such file or directory\n");
    RUN("--", "/etc/hostname");
    g_assert_cmpint(code, ==, 126);
    assert_nothing_left();
}

typedef struct {
    int fd;
    const guint8 *data;
    gsize size;
} Feed;

static gpointer write_all(gpointer data)
{
    Feed *feed = data;
    ssize_t n;

    for (; feed->size > 0; feed->size -= (gsize)n, feed->data += n) {
        n = write(feed->fd, feed->data, feed->size);
        if (n <= 0)
            break;
    }
    close(feed->fd);
    return NULL;
}

/* A MiB there and back at once, and its end; with MICROVM_FULL a GiB. */
static void test_streams(void)
{
    static guint8 buffer[MIB];
    const char *words[] = {"--", "cat", NULL};
    gsize rounds = g_getenv("MICROVM_FULL") ? 1024 : 1, left = rounds * MIB;
    g_autofree guint8 *bytes = g_malloc(left);
    g_autoptr(GChecksum) sent = g_checksum_new(G_CHECKSUM_SHA256);
    g_autoptr(GChecksum) got = g_checksum_new(G_CHECKSUM_SHA256);
    Feed feed = {.data = bytes, .size = left};
    struct rusage usage;
    GThread *writer;
    int from, status;
    GPid pid;

    need_template();
    for (gsize i = 0; i < left; i += 4)
        *(guint32 *)(void *)(bytes + i) = (guint32)g_test_rand_int();
    g_checksum_update(sent, bytes, (gssize)left);
    pid = start(&feed.fd, &from, words);
    writer = g_thread_new("writer", write_all, &feed);
    while (left > 0) {
        ssize_t n = read(from, buffer, sizeof(buffer));

        g_assert_cmpint(n, >, 0);
        g_checksum_update(got, buffer, n);
        left -= MIN((gsize)n, left);
    }
    g_assert_cmpint(read(from, buffer, 1), ==, 0);
    g_thread_join(writer);
    close(from);
    g_assert_cmpint(wait4(pid, &status, 0, &usage), ==, pid);
    g_assert_cmpint(status, ==, 0);
    g_assert_cmpstr(g_checksum_get_string(got), ==, g_checksum_get_string(sent));
    g_test_message("largest it has been: %ld KiB", usage.ru_maxrss);
    g_assert_cmpint(usage.ru_maxrss, <, 64 * 1024);
}

static void test_terminal(void)
{
    const char *words[] = {"--", "sh", "-c", "tty -s && stty size; exit 4", NULL};
    g_auto(GStrv) argv = run_words(words);
    const struct winsize size = {.ws_row = 33, .ws_col = 77};
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    g_autoptr(GString) text = g_string_new(NULL);
    char buffer[256];
    ssize_t n;
    pid_t pid;

    need_template();
    g_assert_no_errno(grantpt(master));
    g_assert_no_errno(unlockpt(master));
    g_assert_no_errno(ioctl(master, TIOCSWINSZ, &size));
    pid = fork();
    if (pid == 0) {
        setsid();
        for (int fd = open(ptsname(master), O_RDWR), i = 0; i < 3; i++)
            dup2(fd, i);
        execv(argv[0], argv);
        _exit(99);
    }
    while ((n = read(master, buffer, sizeof(buffer))) > 0)
        g_string_append_len(text, buffer, n);
    g_assert_cmpint(end_of(pid), ==, 4);
    g_assert_cmpstr(text->str, ==, "33 77\r\n");
    close(master);
    assert_nothing_left();
}

/* A child that the shell has just forked may lose the signal, and the shell waits for it. */
static void test_signal(void)
{
    const char *words[] = {"--", "sh", "-c",
                           "trap 'exit 9' INT; echo ready; while :; do sleep 1; done", NULL};
    int from;
    GPid pid;

    need_template();
    pid = start(NULL, &from, words);
    read_line(from, "ready\n");
    kill(pid, SIGINT);
    g_assert_cmpint(end_of(pid), ==, 9);
    close(from);
    assert_nothing_left();
}

/* On a busy host the guest may not even be awake by then. */
static void test_timeout(void)
{
    RUN("--timeout", "5", "--", "sleep", "100000");
    g_assert_cmpint(code, ==, 124);
    g_assert_true(g_str_has_prefix(err, "microvm-run: "));
    assert_nothing_left();
}

/* Each is its own guest, with random numbers of its own. */
static void test_together(void)
{
    const char *words[] = {"--", "sh", "-c", "head -c 16 /dev/urandom | base64; cat", NULL};
    g_autofree char *clones = g_build_filename(store, "clones", NULL), *names = NULL;
    char seen[2][25] = {"", ""};
    int in[2], from[2];
    GPid pids[2];

    need_template();
    for (int i = 0; i < 2; i++)
        pids[i] = start(&in[i], &from[i], words);
    for (int i = 0; i < 2; i++) {
        for (gsize got = 0; got < sizeof(seen[i]);) {
            ssize_t n = read(from[i], seen[i] + got, sizeof(seen[i]) - got);

            g_assert_cmpint(n, >, 0);
            got += (gsize)n;
        }
    }
    g_assert_cmpint(memcmp(seen[0], seen[1], sizeof(seen[0])), !=, 0);
    names = names_in(clones);
    g_assert_nonnull(strchr(names, '\n')); /* two of them */
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(write(in[i], "word", 4), ==, 4);
        close(in[i]);
        read_line(from[i], "word");
        close(from[i]);
        g_assert_cmpint(end_of(pids[i]), ==, 0);
    }
    assert_nothing_left();
}

/* By a signal that nobody can see to: another process does. */
static void test_killed(void)
{
    const char *words[] = {"--", "sh", "-c", "echo ready; sleep 100000", NULL};
    int from;
    GPid pid;

    need_template();
    pid = start(NULL, &from, words);
    read_line(from, "ready\n");
    kill(pid, SIGKILL);
    g_assert_cmpint(end_of(pid), ==, 128 + SIGKILL);
    close(from);
    wait_nothing_left();
}

/* Before the guest is awake. The signal ends it, but not before all is cleared away. */
static void test_killed_while_waking(void)
{
    const char *words[] = {"--", "sleep", "100000", NULL};
    g_autofree char *clones = g_build_filename(store, "clones", NULL);
    gint64 deadline = channel_deadline(LIMIT_SECONDS);
    GPid pid;

    need_template();
    pid = start(NULL, NULL, words);
    for (g_autofree char *names = NULL; !names || !*names;) {
        g_free(names);
        names = names_in(clones);
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
    }
    kill(pid, SIGTERM);
    g_assert_cmpint(end_of(pid), ==, 128 + SIGTERM);
    assert_nothing_left();
}

/* An echo service of the host's, which a guest with the user network reaches as 10.0.2.2. */
static int listen_on(int *port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    *port = free_port();
    addr.sin_port = htons((guint16)*port);
    g_assert_no_errno(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
    g_assert_no_errno(listen(fd, 8));
    return fd;
}

static gboolean was_called(int fd)
{
    int caller = accept(fd, NULL, NULL);

    if (caller >= 0)
        close(caller);
    return caller >= 0;
}

/* The guest does all that it can to get out. */
static void test_network(void)
{
    static const char by_hand[] =
        "ip link set eth0 up; ip address add 10.0.2.15/24 dev eth0; "
        "ip route add default via 10.0.2.2; cat /sys/class/net/eth0/carrier; "
        "ping -c 1 -W 3 10.0.2.2 >/dev/null && echo answered; ";
    int port, fd = listen_on(&port);
    g_autofree char *call = g_strdup_printf("timeout 30 bash -c ': </dev/tcp/10.0.2.2/%d'", port);
    g_autofree char *alone = g_strconcat(by_hand, call, NULL);

    RUN("--net", "none", "--", "sh", "-c", alone);
    g_assert_cmpint(code, !=, 0);
    g_assert_cmpstr(out, ==, "0\n");
    g_assert_false(was_called(fd));
    RUN("--net", "user", "--", "sh", "-c", call);
    g_assert_cmpstr(err, ==, "");
    g_assert_cmpint(code, ==, 0);
    g_assert_true(was_called(fd));
    close(fd);
    assert_nothing_left();
}

/* A server of @type on @port of all addresses of this network namespace. */
static int serve_on(int port, int type)
{
    struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_port = htons((guint16)port)};
    int fd = socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_assert_no_errno(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
    if (type == SOCK_STREAM)
        g_assert_no_errno(listen(fd, 8));
    return fd;
}

/* How many datagrams have come. */
static int count_datagrams(int fd)
{
    char byte;
    int n = 0;

    while (recv(fd, &byte, 1, 0) >= 0)
        n++;
    return n;
}

/* Does what a line of shell says, in this network namespace. */
static void shell(const char *line)
{
    run((const char *const[]){"sh", "-ec", line, NULL});
    if (code != 0)
        g_error("%s: %s", line, err);
}

static void assert_no_rules(void)
{
    shell("nft list tables; ip -o link show type tun");
    g_assert_cmpstr(out, ==, "");
}

/* Its rules outlive it when nobody is left who could remove them; the next one does. */
static void allow_killed(void)
{
    const char *words[] = {"--net", "bridge=br0,allow=192.0.2.1", "--", "sh",
                           "-c",    "echo ready; sleep 100000",   NULL};
    int from;
    GPid pid = start(NULL, &from, words);

    read_line(from, "ready\n");
    kill_all(pid);
    close(from);
    shell("nft list tables");
    g_assert_true(g_str_has_prefix(out, "table bridge microvm-run-"));
    RUN("--", "true");
    g_assert_cmpint(code, ==, 0);
    assert_no_rules();
    assert_nothing_left();
}

/*
 * A bridge with this host at it, by two addresses of each family, and somebody else behind a veth,
 * with 192.0.2.3. All of it ends with the namespace.
 */
static void test_allow(void)
{
    static const char network[] =
        "ip link set lo up; ip link add br0 type bridge mcast_snooping 0; ip link set br0 up; "
        "ip address add 192.0.2.1/24 dev br0; ip address add 192.0.2.2/24 dev br0; "
        "ip address add 2001:db8::1/64 dev br0 nodad; ip address add 2001:db8::2/64 dev br0 nodad; "
        "unshare --net sleep 100000 >/dev/null 2>&1 & other=$!; "
        "until [ \"$(readlink /proc/$other/ns/net)\" != \"$(readlink /proc/$$/ns/net)\" ]; do :; "
        "done; "
        "ip link add veth0 type veth peer name veth1 netns $other; "
        "ip link set veth0 master br0 up; "
        "nsenter -t $other -n sh -ec 'ip address add 192.0.2.3/24 dev veth1; ip link set veth1 "
        "up'; "
        "echo $other";
    static const char script[] =
        "ip address add 192.0.2.14/24 dev eth0; ip address add 2001:db8::14/64 dev eth0 nodad; "
        "try() { shift; if \"$@\" 2>/dev/null >&2; then echo yes; else echo no; fi; }; "
        "call() { try x timeout $3 bash -c \": </dev/tcp/$1/$2\"; }; "
        "call 192.0.2.1 81 60; call 2001:db8::1 81 60; " /* allowed */
        "call 192.0.2.1 82 3; call 2001:db8::1 82 3; "   /* another port */
        "call 192.0.2.2 81 3; call 2001:db8::2 81 3; "   /* another address */
        "bash -c 'for to in 192.0.2.1/81 192.0.2.1/53 2001:db8::1/53 192.0.2.2/81; do "
        "echo x >/dev/udp/$to; done'; "
        "try x ping -c 1 -W 3 192.0.2.1; "  /* another protocol */
        "try x ping -c 1 -W 60 192.0.2.3; " /* allowed, all of it */
        "ip link set eth0 address 02:00:00:00:00:99; try x ping -c 1 -W 3 192.0.2.3; "
        "tail -n 1 /etc/hosts";
    int host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), allowed, denied;
    int datagrams, dns;
    GPid other;

    need_template();
    g_assert_no_errno(unshare(CLONE_NEWNET));
    shell(network);
    other = (GPid)g_ascii_strtoll(out, NULL, 10);
    allowed = serve_on(81, SOCK_STREAM);
    denied = serve_on(82, SOCK_STREAM);
    datagrams = serve_on(81, SOCK_DGRAM);
    dns = serve_on(53, SOCK_DGRAM);
    RUN("--net", "bridge=br0,allow=192.0.2.1:81,[2001:db8::1]:81,192.0.2.3,localhost:9", "--", "sh",
        "-c", script);
    g_test_message("%s", err);
    g_assert_cmpint(code, ==, 0);
    g_assert_true(g_str_has_prefix(out, "yes\nyes\nno\nno\nno\nno\nno\nyes\nno\n"));
    g_assert_true(g_str_has_suffix(out, " localhost\n"));
    g_assert_true(was_called(allowed));
    g_assert_false(was_called(denied));
    g_assert_cmpint(count_datagrams(datagrams), ==, 1);
    g_assert_cmpint(count_datagrams(dns), ==, 0);
    assert_no_rules();
    assert_nothing_left();
    allow_killed();
    kill(other, SIGKILL);
    close(allowed);
    close(denied);
    close(datagrams);
    close(dns);
    g_assert_no_errno(setns(host, CLONE_NEWNET));
    close(host);
}

/* The file @name in @path has @text, and nothing but its owner's rights. */
static void assert_file(const char *path, const char *name, const char *text)
{
    g_autofree char *file = g_build_filename(path, name, NULL), *there = NULL;
    struct stat st;

    g_assert_true(g_file_get_contents(file, &there, NULL, NULL));
    g_assert_cmpstr(there, ==, text);
    g_assert_no_errno(lstat(file, &st));
    g_assert_true(S_ISREG(st.st_mode));
    g_assert_cmpuint(st.st_mode & 06077, ==, 0);
}

/* A directory with a file, one beside it that is nobody's business, and ways there. */
static char *make_mount(void)
{
    g_autofree char *beside = in_dir("beside");
    char *path = in_dir("mount");
    g_autofree char *file = g_build_filename(path, "file", NULL);
    g_autofree char *way = g_build_filename(path, "way", NULL);
    g_autofree char *up = g_build_filename(path, "up", NULL);

    g_assert_no_errno(mkdir(path, 0755));
    g_assert_true(g_file_set_contents(file, "of the host\n", -1, NULL));
    g_assert_true(g_file_set_contents(beside, "secret\n", -1, NULL));
    g_assert_no_errno(symlink(beside, way));
    g_assert_no_errno(symlink("../beside", up));
    return path;
}

static void test_mount(void)
{
    g_autofree char *path = make_mount(), *readonly = g_strconcat(path, ":ro", NULL);
    g_autofree char *names = NULL;

    RUN("--mount", path, "--", "sh", "-c",
        "pwd; cat file; echo new >made; chmod 4755 made; mkfifo pipe; ln -s /etc/shadow link; "
        "mkdir sub; echo deep >sub/made; cat link >/dev/null; "
        "for f in way up ../beside ../../beside; do cat $f; done 2>/dev/null");
    g_assert_cmpstr(out, ==, "/mnt\nof the host\n");
    assert_file(path, "made", "new\n");
    assert_file(path, "sub/made", "deep\n");
    assert_file(path, "link", "/etc/shadow");
    RUN("--mount", readonly, "--", "sh", "-c",
        "cat file; touch file || echo refused; mount -o remount,rw /mnt; echo x >file || echo "
        "refused; "
        "rm file || echo refused; for f in way up ../beside; do cat $f; done");
    g_assert_cmpstr(out, ==, "of the host\nrefused\nrefused\nrefused\n");
    assert_file(path, "made", "new\n");
    names = names_in(path);
    g_assert_cmpstr(names, ==, "file\nlink\nmade\npipe\nsub\nup\nway");
    assert_nothing_left();
}

static void test_memory(void)
{
    static const char available[] = "grep -o 'MemAvailable.*[0-9]' /proc/meminfo | tr -dc 0-9";
    gint64 all;

    RUN("--", "sh", "-c", available);
    all = g_ascii_strtoll(out, NULL, 10);
    RUN("--memory", "160", "--", "sh", "-c", available);
    g_assert_cmpint(code, ==, 0);
    g_assert_cmpint(g_ascii_strtoll(out, NULL, 10) + 64 * 1024, <, all);
    RUN("--memory", "257", "--", "true");
    g_assert_cmpint(code, ==, 125);
    g_assert_nonnull(strstr(err, "template 'web' has 256 MiB"));
}

/* Of all processes that it takes: QEMU, too, becomes ours when the one that has started it ends. */
double run_cpu_ms(void)
{
    struct rusage before, after;

    g_assert_no_errno(prctl(PR_SET_CHILD_SUBREAPER, 1));
    while (waitpid(-1, NULL, WNOHANG) > 0) { /* of tests before, when we are the first process */
    }
    getrusage(RUSAGE_CHILDREN, &before);
    RUN("--", "true");
    assert_done();
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {
    }
    g_assert_no_errno(prctl(PR_SET_CHILD_SUBREAPER, 0));
    getrusage(RUSAGE_CHILDREN, &after);
    return (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec -
                    before.ru_stime.tv_sec) *
               1e3 +
           (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec -
                    before.ru_stime.tv_usec) /
               1e3;
}

void add_run_tests(void)
{
    g_test_add_func("/warm/run/status", test_status);
    g_test_add_func("/warm/run/streams", test_streams);
    g_test_add_func("/warm/run/terminal", test_terminal);
    g_test_add_func("/warm/run/signal", test_signal);
    g_test_add_func("/warm/run/timeout", test_timeout);
    g_test_add_func("/warm/run/together", test_together);
    g_test_add_func("/warm/run/killed", test_killed);
    g_test_add_func("/warm/run/killed-while-waking", test_killed_while_waking);
    g_test_add_func("/warm/run/network", test_network);
    g_test_add_func("/warm/run/allow", test_allow);
    g_test_add_func("/warm/run/mount", test_mount);
    g_test_add_func("/warm/run/memory", test_memory);
}
