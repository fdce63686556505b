/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * microvm-ctl on a guest that runs: a Linux of 128 MiB with a qcow2 disk, on TCG.
 *
 *   test-life LAUNCHER MICROVM-CTL INITRD
 *
 * The environment names what is used: MICROVM_QEMU, MICROVM_QEMU_IMG, MICROVM_VMLINUX. Guests go
 * into the background: run it in a PID namespace, so that they end with it however it ends.
 */
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-glib/json-glib.h>

#include "channel.h"

#define LIMIT 300 /* seconds for a test, on a slow, busy host */
#define LEAVE "\035"

static const char *launcher, *ctl, *initrd, *qemu, *qemu_img, *vmlinux;

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
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &f->out, &f->err, &status,
                 &error);
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

static void write_config(const Fixture *f, int memory)
{
    g_autofree char *path = in_dir(f, "7.conf"), *text = NULL;

    text = g_strdup_printf("machine: microvm\nkvm: 0\nmemory: %d\nname: life\n"
                           "scsi0: %s/disk.qcow2,format=qcow2\nnet0: virtio=02:00:00:00:00:07\n"
                           "serial0: socket\nargs: -append \"console=ttyS0 panic=-1 addr=7\"\n",
                           memory, f->dir);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void launch(Fixture *f, const char *run_dir, const char *incoming)
{
    g_autofree char *config = in_dir(f, "7.conf");
    const char *argv[] = {
        launcher, "--qemu", qemu,   "--kernel",    vmlinux, "--initrd", initrd, "--runtime-dir",
        run_dir,  "--net",  "user", "--daemonize", config,  NULL,       NULL,   NULL};

    if (incoming) {
        argv[G_N_ELEMENTS(argv) - 3] = "-incoming";
        argv[G_N_ELEMENTS(argv) - 2] = incoming;
    }
    run(f, argv);
    assert_done(f);
}

static void set_up(Fixture *f, gconstpointer data)
{
    g_autofree char *disk = NULL;

    (void)data;
    f->dir = g_dir_make_tmp("life-XXXXXX", NULL);
    f->run = in_dir(f, "run");
    f->there = in_dir(f, "there");
    f->deadline = channel_deadline(LIMIT);
    disk = in_dir(f, "disk.qcow2");
    run(f, (const char *const[]){qemu_img, "create", "-q", "-f", "qcow2", disk, "64M", NULL});
    assert_done(f);
    write_config(f, 128);
    launch(f, f->run, NULL);
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_remove(path);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    CTL(f, "stop", "7");
    CTL_AT(f, f->there, "stop", "7");
    remove_tree(f->dir);
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
    write_config(f, 256);
    launch(f, f->there, uri);
    CTL(f, "migrate", "7", "--to", uri);
    assert_refused(f, 1, "it goes on here");
    assert_state(f, f->run, "running");
    CTL_AT(f, f->there, "stop", "7");

    write_config(f, 128);
    launch(f, f->there, uri);
    CTL(f, "migrate", "7", "--to", uri, "--downtime", "100");
    assert_done(f);
    g_assert_nonnull(strstr(f->out, "moved: downtime "));
    g_test_message("%s", f->out);
    assert_none(f, f->run);
    assert_state(f, f->there, "running");
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
    launcher = argv[1];
    ctl = argv[2];
    initrd = argv[3];
    qemu = g_getenv("MICROVM_QEMU");
    qemu_img = g_getenv("MICROVM_QEMU_IMG");
    vmlinux = g_getenv("MICROVM_VMLINUX");
    g_assert_true(qemu && qemu_img && vmlinux);
    g_test_add("/life/console", Fixture, NULL, set_up, test_console, tear_down);
    g_test_add("/life/status", Fixture, NULL, set_up, test_status, tear_down);
    g_test_add("/life/snapshot", Fixture, NULL, set_up, test_snapshot, tear_down);
    g_test_add("/life/migrate", Fixture, NULL, set_up, test_migrate, tear_down);
    g_test_add("/life/end", Fixture, NULL, set_up, test_end, tear_down);
    return g_test_run();
}
