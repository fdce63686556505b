/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * microvm-ctl on a guest that runs: a Linux of 128 MiB with a qcow2 disk, on TCG; and its move
 * between two hosts, which are network namespaces.
 *
 *   test-life LAUNCHER MICROVM-CTL INITRD
 *
 * The environment names what is used: MICROVM_QEMU, MICROVM_QEMU_IMG, MICROVM_VMLINUX, and
 * MICROVM_SSHD, which is ci/sshd. Guests go into the background: run it in a PID namespace, so that
 * they end with it however it ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-glib/json-glib.h>

#include "channel.h"

#define LIMIT 300 /* seconds for a test, on a slow, busy host */
#define LEAVE "\035"

static const char *launcher, *ctl, *initrd, *qemu, *qemu_img, *vmlinux, *sshd;

typedef struct {
    char *dir, *run, *there; /* all; the run directories of the guest and of where it moves to */
    gint64 deadline;
    char *out, *err;
    int code;
} Fixture;

static char *in_dir(const Fixture *f, const char *name)
{
    return g_build_filename(f->dir, name, NULL);
}

static void run(Fixture *f, const char *const *argv)
{
    GError *error = NULL;
    int status;

    g_clear_pointer(&f->out, g_free);
    g_clear_pointer(&f->err, g_free);
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &f->out, &f->err,
                 &status, &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status));
    f->code = WEXITSTATUS(status);
}

static void run_ctl(Fixture *f, const char *run_dir, const char *const *words)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) argv = NULL;

    g_strv_builder_add_many(builder, ctl, "--runtime-dir", run_dir, NULL);
    for (; *words; words++)
        g_strv_builder_add(builder, *words);
    argv = g_strv_builder_end(builder);
    run(f, (const char *const *)argv);
}

#define CTL_AT(f, run_dir, ...) run_ctl(f, run_dir, (const char *const[]){__VA_ARGS__, NULL})
#define CTL(f, ...) CTL_AT(f, (f)->run, __VA_ARGS__)

static void assert_done(const Fixture *f)
{
    g_assert_cmpstr(f->err, ==, "");
    g_assert_cmpint(f->code, ==, 0);
}

static void assert_refused(const Fixture *f, int code, const char *word)
{
    if (!strstr(f->err, word))
        g_error("'%s' does not mention '%s'", f->err, word);
    g_assert_cmpint(f->code, ==, code);
}

static void write_config(const Fixture *f, int memory, const char *net)
{
    g_autofree char *path = in_dir(f, "7.conf"), *text = NULL;

    text = g_strdup_printf("machine: microvm\nkvm: 0\nmemory: %d\nname: life\n"
                           "scsi0: %s/disk.qcow2,format=qcow2\nnet0: virtio=02:00:00:00:00:07%s\n"
                           "serial0: socket\nargs: -append \"console=ttyS0 panic=-1 addr=7\"\n",
                           memory, f->dir, net);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Starts the guest; @prefix are words before the launcher's, or options of it. */
static void launch(Fixture *f, const char *run_dir, const char *const *prefix,
                   const char *const *options, const char *incoming)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    g_autofree char *config = in_dir(f, "7.conf");
    g_auto(GStrv) argv = NULL;

    for (; *prefix; prefix++)
        g_strv_builder_add(words, *prefix);
    g_strv_builder_add_many(words, launcher, "--qemu", qemu, "--kernel", vmlinux, "--initrd",
                            initrd, "--runtime-dir", run_dir, "--user", "root", "--daemonize",
                            NULL);
    for (; *options; options++)
        g_strv_builder_add(words, *options);
    g_strv_builder_add(words, config);
    if (incoming)
        g_strv_builder_add_many(words, "-incoming", incoming, NULL);
    argv = g_strv_builder_end(words);
    run(f, (const char *const *)argv);
    assert_done(f);
}

static const char *const none[] = {NULL}, *const user_net[] = {"--net", "user", NULL};

/* With @data, a bridge for the guest, which is then not started. */
static void set_up(Fixture *f, gconstpointer data)
{
    g_autofree char *disk = NULL;

    f->dir = g_dir_make_tmp("life-XXXXXX", NULL);
    f->run = in_dir(f, "run");
    f->there = in_dir(f, "there");
    f->deadline = channel_deadline(LIMIT);
    disk = in_dir(f, "disk.qcow2");
    run(f, (const char *const[]){qemu_img, "create", "-q", "-f", "qcow2", disk, "64M", NULL});
    assert_done(f);
    write_config(f, 128, data ? data : "");
    if (!data)
        launch(f, f->run, none, user_net, NULL);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    CTL(f, "stop", "7");
    CTL_AT(f, f->there, "stop", "7");
    run(f, (const char *const[]){"rm", "-r", f->dir, NULL});
    g_free(f->dir);
    g_free(f->run);
    g_free(f->there);
    g_free(f->out);
    g_free(f->err);
}

static int count(const char *text, const char *word)
{
    int n = 0;

    for (; (text = strstr(text, word)); text += strlen(word))
        n++;
    return n;
}

/* A user at the console until @text has come @times; all that was seen, to be freed. */
static char *watch(Fixture *f, const char *run_dir, const char *text, int times)
{
    const char *argv[] = {ctl, "--runtime-dir", run_dir, "console", "7", NULL};
    g_autoptr(GString) seen = g_string_new(NULL);
    GError *error = NULL;
    int in, out, status;
    char buffer[4096];
    ssize_t n = 1;
    GPid pid;

    g_spawn_async_with_pipes(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid,
                             &in, &out, NULL, &error);
    g_assert_no_error(error);
    while (n > 0 && count(seen->str, text) < times && g_get_monotonic_time() < f->deadline) {
        n = read(out, buffer, sizeof(buffer));
        for (ssize_t i = 0; i < n; i++)
            g_string_append_c(seen, buffer[i] ? buffer[i] : ' ');
    }
    g_assert_cmpint(write(in, LEAVE, 1), ==, 1);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    close(in);
    close(out);
    if (count(seen->str, text) < times)
        g_error("'%s' was not printed %d times:\n%s", text, times, seen->str);
    return g_string_free(g_steal_pointer(&seen), FALSE);
}

static void wait_up(Fixture *f)
{
    g_autofree char *seen = watch(f, f->run, "net: up", 1);
}

/* A member of the guest's status; @path is as JSONPath has it. */
static gint64 status_int(Fixture *f, const char *run_dir, const char *path)
{
    g_autoptr(JsonNode) status = NULL, found = NULL;

    CTL_AT(f, run_dir, "status", "7", "--json");
    assert_done(f);
    status = json_from_string(f->out, NULL);
    found = json_path_query(path, status, NULL);
    g_assert_cmpuint(json_array_get_length(json_node_get_array(found)), ==, 1);
    return json_array_get_int_element(json_node_get_array(found), 0);
}

static void assert_state(Fixture *f, const char *run_dir, const char *state)
{
    g_autofree char *line = g_strdup_printf("life                  %s ", state);

    CTL_AT(f, run_dir, "list");
    assert_done(f);
    if (!strstr(f->out, line))
        g_error("the guest is not %s:\n%s", state, f->out);
}

static void assert_none(Fixture *f, const char *run_dir)
{
    CTL_AT(f, run_dir, "status", "7");
    assert_refused(f, 3, "does not run");
}

/* Every word from the first one on, once, whenever one comes. */
static void test_console(Fixture *f, gconstpointer data)
{
    static const char *const words[] = {"Linux version", "net: up"};
    g_autofree char *live = watch(f, f->run, "net: up", 1), *again = watch(f, f->run, "net: up", 1);

    (void)data;
    CTL(f, "console", "7", "--log");
    assert_done(f);
    for (gsize i = 0; i < G_N_ELEMENTS(words); i++) {
        g_assert_cmpint(count(live, words[i]), ==, 1);
        g_assert_cmpint(count(again, words[i]), ==, 1);
        g_assert_cmpint(count(f->out, words[i]), ==, 1);
    }
    CTL(f, "reset", "7");
    assert_done(f);
    g_free(watch(f, f->run, "net: up", 2));
    CTL(f, "console", "7", "--log");
    g_assert_cmpint(count(f->out, "Linux version"), ==, 2);
}

static void test_status(Fixture *f, gconstpointer data)
{
    (void)data;
    wait_up(f);
    g_assert_cmpint(status_int(f, f->run, "$.memory.size"), ==, 128 << 20);
    g_assert_cmpint(status_int(f, f->run, "$.memory.balloon"), ==, 128 << 20);
    g_assert_cmpint(status_int(f, f->run, "$.disks[0].size"), ==, 64 << 20);
    g_assert_cmpint(status_int(f, f->run, "$.disks[0]['read-bytes']"), >, 0);
    g_assert_cmpint(status_int(f, f->run, "$.cpus[0]['used-ms']"), >, 0);
    g_assert_nonnull(strstr(f->out, "\"key\" : \"scsi0\""));
    g_assert_nonnull(strstr(f->out, "\"key\" : \"net0\""));
    CTL(f, "pause", "7");
    assert_done(f);
    assert_state(f, f->run, "paused");
    CTL(f, "resume", "7");
    assert_done(f);
    assert_state(f, f->run, "running");
    CTL(f, "balloon", "7", "64");
    assert_done(f);
    g_assert_cmpint(status_int(f, f->run, "$.memory.balloon"), ==, 64 << 20);
}

/* What came after a snapshot is gone by its restoring: here, that the guest was given memory back.
 */
static void test_snapshot(Fixture *f, gconstpointer data)
{
    (void)data;
    wait_up(f);
    CTL(f, "balloon", "7", "96");
    CTL(f, "snapshot", "7", "save", "it's \"one\"");
    assert_done(f);
    CTL(f, "balloon", "7", "128");
    assert_done(f);
    CTL(f, "snapshot", "7", "restore", "it's \"one\"");
    assert_done(f);
    assert_state(f, f->run, "running");
    g_assert_cmpint(status_int(f, f->run, "$.memory.balloon"), ==, 96 << 20);
    CTL(f, "snapshot", "7", "list");
    g_assert_true(g_str_has_prefix(f->out, "it's \"one\" "));
    CTL(f, "snapshot", "7", "delete", "it's \"one\"");
    assert_done(f);
    CTL(f, "snapshot", "7", "list");
    g_assert_cmpstr(f->out, ==, "");
}

static void test_migrate(Fixture *f, gconstpointer data)
{
    g_autofree char *path = in_dir(f, "move"), *uri = g_strconcat("unix:", path, NULL);

    (void)data;
    wait_up(f);
    CTL(f, "migrate", "7", "--to", uri);
    assert_refused(f, 1, "No such file or directory); it goes on here");
    assert_state(f, f->run, "running");

    /* one that takes all, and then cannot go on: its memory has another size */
    write_config(f, 256, "");
    launch(f, f->there, none, user_net, uri);
    CTL(f, "migrate", "7", "--to", uri);
    assert_refused(f, 1, "it goes on here");
    assert_state(f, f->run, "running");
    CTL_AT(f, f->there, "stop", "7");

    write_config(f, 128, "");
    launch(f, f->there, none, user_net, uri);
    CTL(f, "migrate", "7", "--to", uri, "--downtime", "100");
    assert_done(f);
    g_assert_nonnull(strstr(f->out, "moved: downtime "));
    g_test_message("%s", f->out);
    assert_none(f, f->run);
    assert_state(f, f->there, "running");
}

static gboolean shell(const char *format, ...) G_GNUC_PRINTF(1, 2);

static gboolean shell(const char *format, ...)
{
    g_autofree char *line = NULL;
    va_list args;

    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    return system(line) == 0;
}

static pid_t hold_namespace(void)
{
    int ready[2];
    char byte;
    pid_t pid;

    g_assert_no_errno(pipe(ready));
    pid = fork();
    g_assert_no_errno(pid);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

/* A host: a network namespace with a bridge, whose port leads to the net that all hosts are on. */
static pid_t add_host(int n)
{
    pid_t pid = hold_namespace();

    g_assert_true(shell("ip link add host%d type veth peer name eth netns %d &&"
                        " ip link set host%d master net up",
                        n, pid, n));
    g_assert_true(shell("nsenter -t %d -n sh -c 'ip link add vmbr0 type bridge &&"
                        " ip link set eth master vmbr0 && ip link set eth up &&"
                        " ip link set vmbr0 up && ip address add 10.9.0.%d/24 dev vmbr0'",
                        pid, 10 + n));
    return pid;
}

/* A connection to the guest on which a word goes there and back all the time. */
typedef struct {
    int fd;
    gint stop;
    guint32 rounds;
    gint64 worst; /* µs for one round */
} Talk;

static gpointer talk(gpointer data)
{
    Talk *t = data;

    while (!g_atomic_int_get(&t->stop)) {
        gint64 sent = g_get_monotonic_time();
        guint32 back = 0;
        ssize_t got;

        g_assert_cmpint(send(t->fd, &t->rounds, sizeof(t->rounds), MSG_NOSIGNAL), ==, 4);
        do {
            got = recv(t->fd, &back, sizeof(back), MSG_WAITALL);
        } while (got < 0 && errno == EINTR); /* a child of ours has ended */
        g_assert_cmpint(got, ==, 4);
        g_assert_cmpuint(back, ==, t->rounds);
        t->worst = MAX(t->worst, g_get_monotonic_time() - sent);
        t->rounds++;
    }
    return NULL;
}

static int connect_guest(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(7777)};
    struct timeval limit = {.tv_sec = LIMIT};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, "10.9.0.7", &address.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    g_assert_no_errno(connect(fd, (struct sockaddr *)&address, sizeof(address)));
    return fd;
}

/* Their links go with their namespaces, too, but only some time later. */
static void end_hosts(const pid_t *hosts, gsize n)
{
    for (gsize i = 0; i < n; i++) {
        g_assert_true(shell("ip link delete host%d", (int)i + 1));
        kill(hosts[i], SIGKILL);
        waitpid(hosts[i], NULL, 0);
    }
}

/* There and back again by TCP between the hosts; a connection to the guest lives on. */
static void test_hosts(Fixture *f, gconstpointer data)
{
    pid_t hosts[] = {add_host(1), add_host(2)};
    const char *dirs[] = {f->run, f->there};
    Talk t = {0};
    GThread *thread;
    g_autofree char *pid = g_strdup_printf("%d", hosts[0]);

    (void)data;
    launch(f, dirs[0], (const char *const[]){"nsenter", "-t", pid, "-n", NULL}, none, NULL);
    wait_up(f);
    t.fd = connect_guest();
    thread = g_thread_new("talk", talk, &t);
    for (int i = 0; i < 2; i++) {
        g_autofree char *there = g_strdup_printf("%d", hosts[1 - i]);
        g_autofree char *uri = g_strdup_printf("tcp:10.9.0.%d:4444", 12 - i);
        const char *enter[] = {"nsenter", "-t", there, "-n", NULL};
        guint32 rounds = t.rounds;

        launch(f, dirs[1 - i], enter, none, uri);
        CTL_AT(f, dirs[i], "migrate", "7", "--to", uri);
        assert_done(f);
        g_test_message("%s", f->out);
        assert_none(f, dirs[i]);
        assert_state(f, dirs[1 - i], "running");
        while (g_atomic_int_get((gint *)&t.rounds) == (gint)rounds)
            g_thread_yield();
    }
    g_atomic_int_set(&t.stop, 1);
    g_thread_join(thread);
    close(t.fd);
    g_test_message("%u rounds, the longest took %.0f ms", t.rounds, (double)t.worst / 1000);
    end_hosts(hosts, G_N_ELEMENTS(hosts));
}

/* A shell's word for each of @words. */
static char *quote_words(const char *const *words)
{
    GString *line = g_string_new(NULL);

    for (; *words; words++) {
        g_autofree char *word = g_shell_quote(*words);

        g_string_append_printf(line, "%s ", word);
    }
    return g_string_free(line, FALSE);
}

/* An sshd on 10.9.0.12, with its keys in DIR/ssh, and microvm-ctl for those who come. */
static GPid start_sshd(const Fixture *f, const char *host)
{
    g_autofree char *dir = in_dir(f, "ssh");
    g_autofree char *config = g_build_filename(dir, "config", NULL);
    const char *argv[] = {"nsenter", "-t", host, "-n", sshd, dir, "10.9.0.12", NULL};
    GError *error = NULL;
    GPid pid;

    g_assert_true(shell("mkdir -p %s/bin && ln -s %s %s %s/bin", dir, ctl, launcher, dir));
    g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL,
                  NULL, &pid, &error);
    g_assert_no_error(error);
    while (!shell("test -e %s && ssh -F %s there true 2>/dev/null", config, config)) {
        g_assert_cmpint(g_get_monotonic_time(), <, f->deadline);
        g_assert_cmpint(waitpid(pid, NULL, WNOHANG), ==, 0);
    }
    return pid;
}

/* On the first host, by ssh to the second one, where @words are the launcher's. */
static char **move_words(const Fixture *f, const char *host, const char *config,
                         const char *const *options)
{
    g_autofree char *ssh_config = g_build_filename(f->dir, "ssh", "config", NULL);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    g_strv_builder_add_many(builder, "nsenter", "-t", host, "-n", ctl, "--runtime-dir", f->run,
                            "migrate", "7", "--to", "ssh:there", "--ssh-config", ssh_config, NULL);
    g_strv_builder_addv(builder, (const char **)options);
    g_strv_builder_add_many(builder, "--", "--qemu", qemu, "--kernel", vmlinux, "--initrd", initrd,
                            "--runtime-dir", f->there, "--user", "root", config, NULL);
    return g_strv_builder_end(builder);
}

/* The move of @words has begun; then its ssh is killed. */
static void break_move(Fixture *f, const char *const *words)
{
    g_autofree char *line = quote_words(words), *err = in_dir(f, "err");
    g_autofree char *command = g_strdup_printf("exec %s2>%s", line, err);
    const char *argv[] = {"sh", "-c", command, NULL};
    g_autoptr(GString) seen = g_string_new(NULL);
    GError *error = NULL;
    char buffer[4096];
    int out, status;
    ssize_t n = 1;
    GPid pid;

    g_spawn_async_with_pipes(NULL, (char **)argv, NULL,
                             G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid,
                             NULL, &out, NULL, &error);
    g_assert_no_error(error);
    while (n > 0 && !strstr(seen->str, "active: ")) {
        n = read(out, buffer, sizeof(buffer));
        g_string_append_len(seen, buffer, MAX(n, 0));
    }
    g_assert_nonnull(strstr(seen->str, "active: "));
    /* it is microvm-ctl's only child */
    g_assert_true(shell("kill -KILL $(cat /proc/%d/task/%d/children)", pid, pid));
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    close(out);
    f->code = WEXITSTATUS(status);
    g_clear_pointer(&f->err, g_free);
    g_assert_true(g_file_get_contents(err, &f->err, NULL, NULL));
}

/* What waited there has gone, as soon as it has seen that nothing comes. */
static void wait_none(Fixture *f, const char *run_dir)
{
    do {
        CTL_AT(f, run_dir, "status", "7");
        g_assert_cmpint(g_get_monotonic_time(), <, f->deadline);
    } while (f->code != 3);
}

/* How long nobody answers when the guest is stopped there and started here instead, in µs. */
static gint64 restart(Fixture *f, const char *host)
{
    gint64 start = g_get_monotonic_time();
    guint32 word = 1, back = 0;
    int fd;

    CTL_AT(f, f->there, "stop", "7");
    assert_done(f);
    launch(f, f->run, (const char *const[]){"nsenter", "-t", host, "-n", NULL}, none, NULL);
    wait_up(f);
    fd = connect_guest();
    g_assert_cmpint(send(fd, &word, sizeof(word), MSG_NOSIGNAL), ==, 4);
    g_assert_cmpint(recv(fd, &back, sizeof(back), MSG_WAITALL), ==, 4);
    close(fd);
    return g_get_monotonic_time() - start;
}

/* By ssh: moves that fail leave the guest here and nothing there; then one that does not. */
static void test_ssh(Fixture *f, gconstpointer data)
{
    pid_t hosts[] = {add_host(1), add_host(2)};
    g_autofree char *here = g_strdup_printf("%d", hosts[0]);
    g_autofree char *there = g_strdup_printf("%d", hosts[1]);
    g_autofree char *config = in_dir(f, "7.conf"), *other = in_dir(f, "bad/7.conf");
    g_autofree char *text = NULL;
    static const char *const slow[] = {"--bandwidth", "1M", NULL};
    static const char *const in_time[] = {"--bandwidth", "1M", "--timeout", "3", NULL};
    g_auto(GStrv) bad = NULL, gone = NULL, late = NULL, broken = NULL, good = NULL;
    GPid server = start_sshd(f, there);
    Talk t = {0};
    GThread *thread;
    gint64 without;

    launch(f, f->run, (const char *const[]){"nsenter", "-t", here, "-n", NULL}, none, NULL);
    wait_up(f);
    t.fd = connect_guest();
    thread = g_thread_new("talk", talk, &t);

    /* its memory has another size there, which is seen when all has come */
    g_assert_true(shell("mkdir %s/bad", f->dir));
    write_config(f, 256, data);
    g_assert_true(shell("mv %s %s", config, other));
    write_config(f, 128, data);
    bad = move_words(f, here, other, none);
    run(f, (const char *const *)bad);
    assert_refused(f, 1, "guest 7 did not arrive: ");
    assert_refused(f, 1, "Size mismatch: microvm.ram");
    assert_refused(f, 1, "it goes on here");
    g_test_message("%s", f->err);
    assert_none(f, f->there);
    other[strlen(other) - 1] = 'x';
    gone = move_words(f, here, other, none);
    run(f, (const char *const *)gone);
    assert_refused(f, 1, "does not take the guest, which goes on here");
    late = move_words(f, here, config, in_time);
    run(f, (const char *const *)late);
    assert_refused(f, 4, "it took longer than --timeout allows); it goes on here");
    wait_none(f, f->there);
    broken = move_words(f, here, config, slow);
    break_move(f, (const char *const *)broken);
    assert_refused(f, 1, "it goes on here");
    g_test_message("%s", f->err);
    wait_none(f, f->there);
    assert_state(f, f->run, "running");

    good = move_words(f, here, config, none);
    run(f, (const char *const *)good);
    assert_done(f);
    text = g_steal_pointer(&f->out);
    assert_none(f, f->run);
    assert_state(f, f->there, "running");
    g_atomic_int_set(&t.stop, 1);
    g_thread_join(thread);
    close(t.fd);
    without = restart(f, here);
    g_test_message("%s", text);
    g_test_message(
        "nobody answered for %.0f ms at most while it moved, and for %.0f ms when it was stopped "
        "there and started here",
        (double)t.worst / 1000, (double)without / 1000);
    g_assert_cmpint(t.worst, <, without);
    kill(server, SIGTERM);
    end_hosts(hosts, G_N_ELEMENTS(hosts));
}

/* This guest hears no power button. */
static void test_end(Fixture *f, gconstpointer data)
{
    (void)data;
    wait_up(f);
    CTL(f, "shutdown", "7", "--timeout", "1");
    assert_refused(f, 4, "did not shut down");
    assert_state(f, f->run, "running");
    CTL(f, "shutdown", "7", "--timeout", "1", "--force");
    assert_refused(f, 0, "ending it");
    assert_none(f, f->run);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 4);
    launcher = g_canonicalize_filename(argv[1], NULL);
    ctl = g_canonicalize_filename(argv[2], NULL);
    initrd = argv[3];
    qemu = g_getenv("MICROVM_QEMU");
    qemu_img = g_getenv("MICROVM_QEMU_IMG");
    vmlinux = g_getenv("MICROVM_VMLINUX");
    sshd = g_getenv("MICROVM_SSHD");
    g_assert_true(qemu && qemu_img && vmlinux && sshd);
    g_assert_no_errno(unshare(CLONE_NEWNET));
    g_assert_true(shell("ip link add net type bridge && ip link set net up &&"
                        " ip address add 10.9.0.1/24 dev net"));
    g_test_add("/life/console", Fixture, NULL, set_up, test_console, tear_down);
    g_test_add("/life/status", Fixture, NULL, set_up, test_status, tear_down);
    g_test_add("/life/snapshot", Fixture, NULL, set_up, test_snapshot, tear_down);
    g_test_add("/life/migrate", Fixture, NULL, set_up, test_migrate, tear_down);
    g_test_add("/life/hosts", Fixture, ",bridge=vmbr0", set_up, test_hosts, tear_down);
    g_test_add("/life/ssh", Fixture, ",bridge=vmbr0", set_up, test_ssh, tear_down);
    g_test_add("/life/end", Fixture, NULL, set_up, test_end, tear_down);
    return g_test_run();
}
