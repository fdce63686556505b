/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * microvm-ctl as its users see it: what it says and exits with, and what it tells QEMU and the
 * agent, which fake.c stands for.
 *
 *   test-ctl MICROVM-CTL MAN-PAGE BASH-COMPLETION ZSH-COMPLETION
 */
#include <glib/gstdio.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "fake.h"

static const char *ctl, *man_page, *completions[2];

typedef struct {
    char *dir;
    GPid guest; /* 0: none */
    int code;
    char *out, *err;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->dir = g_dir_make_tmp("ctl-XXXXXX", NULL);
}

static void end_guest(Fixture *f)
{
    if (f->guest)
        fake_end(f->guest);
    f->guest = 0;
}

static void tear_down(Fixture *f, gconstpointer data)
{
    static const char *const files[] = {"7.pid", "7.qmp", "7.qga", "7.serial0", "log"};

    (void)data;
    end_guest(f);
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(f->dir, files[i], NULL);

        g_unlink(path);
    }
    g_assert_cmpint(g_rmdir(f->dir), ==, 0);
    g_free(f->dir);
    g_free(f->out);
    g_free(f->err);
}

static void start(Fixture *f, const FakeGuest *guest)
{
    end_guest(f);
    f->guest = fake_start(guest, f->dir);
}

static void start_steps(Fixture *f, const FakeStep *steps)
{
    FakeGuest guest = {.steps = steps};

    start(f, &guest);
}

#define START(f, ...) start_steps(f, (const FakeStep[]){__VA_ARGS__, {0}})

/* Runs microvm-ctl on ->dir with @input on its standard input. */
static void run_with(Fixture *f, const char *input, const char *const *words)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) argv = NULL;
    g_autofree char *in = g_build_filename(f->dir, "input", NULL);
    GError *error = NULL;
    int status;

    g_clear_pointer(&f->out, g_free);
    g_clear_pointer(&f->err, g_free);
    g_assert_true(g_file_set_contents(in, input, -1, NULL));
    g_strv_builder_add_many(builder, "/bin/sh", "-c", "exec \"$@\" <\"$0\"", in, ctl,
                            "--runtime-dir", f->dir, NULL);
    for (; *words; words++)
        g_strv_builder_add(builder, *words);
    argv = g_strv_builder_end(builder);
    g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &f->out, &f->err, &status, &error);
    g_assert_no_error(error);
    g_unlink(in);
    g_assert_true(WIFEXITED(status));
    f->code = WEXITSTATUS(status);
}

#define RUN(f, ...) run_with(f, "", (const char *const[]){__VA_ARGS__, NULL})

static void assert_ended(const Fixture *f, int code, const char *out, const char *err)
{
    g_assert_cmpstr(f->err, ==, err);
    g_assert_cmpstr(f->out, ==, out);
    g_assert_cmpint(f->code, ==, code);
}

static void assert_done(const Fixture *f, const char *out)
{
    assert_ended(f, 0, out, "");
}

/* One line on stderr with @word in it. */
static void assert_refused(const Fixture *f, int code, const char *word)
{
    if (!strstr(f->err, word))
        g_error("'%s' does not mention '%s'", f->err, word);
    g_assert_true(strchr(f->err, '\n') == f->err + strlen(f->err) - 1);
    g_assert_cmpint(f->code, ==, code);
}

static void assert_told(const Fixture *f, const char *log)
{
    g_autofree char *told = fake_log(f->dir);

    g_assert_cmpstr(told, ==, log);
}

/* The process behind the guest is gone, and not by us. */
static void assert_gone(Fixture *f)
{
    g_assert_cmpint(waitpid(f->guest, NULL, WNOHANG), ==, f->guest);
    f->guest = 0;
}

#define RUNNING                                                                            \
    {                                                                                      \
        .command = "query-status", .reply = "{\"status\": \"running\", \"running\": true}" \
    }
#define STATE(state)                                                      \
    {                                                                     \
        .command = "query-status", .reply = "{\"status\": \"" state "\"}" \
    }

static void test_usage(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *words[6], *says;
    } wrong[] = {
        {{NULL}, "no verb"},
        {{"dance"}, "no verb 'dance'"},
        {{"status"}, "'' is not a guest's id"},
        {{"status", "web"}, "'web' is not a guest's id"},
        {{"status", "../7"}, "'../7' is not"},
        {{"status", "7", "8"}, "usage: microvm-ctl status ID"},
        {{"stop", "7", "--force"}, "stop has no --force"},
        {{"list", "--timeout", "5"}, "list has no --timeout"},
        {{"status", "7", "--timeout", "soon"}, "--timeout: 'soon' is not good for SECONDS"},
        {{"status", "7", "--timeout", "-1"}, "--timeout: '-1'"},
        {{"console", "7", "--serial", "4"}, "--serial: '4' is not good for N"},
        {{"console", "7", "--detach-key", "q"}, "--detach-key: 'q'"},
        {{"migrate", "7"}, "either --to URI or --cancel"},
        {{"migrate", "7", "--to", "exec:sh"}, "'exec:sh' is neither"},
        {{"migrate", "7", "--to", "unix:here"}, "'unix:here' is neither"},
        {{"migrate", "7", "--to", "tcp:h:1", "--cancel"}, "either"},
        {{"migrate", "7", "--to", "ssh:"}, "'ssh:' is neither"},
        {{"migrate", "7", "--to", "ssh:-oProxyCommand=x"}, "'ssh:-oProxyCommand=x' is neither"},
        {{"migrate", "7", "--to", "ssh://-x"}, "is neither"},
        {{"migrate", "7", "--to", "tcp:h:1", "x.conf"}, "go with --to ssh:HOST only"},
        {{"share", "7"}, "usage: microvm-ctl share ID PATH"},
        {{"share", "7", "/srv", "--force"}, "usage: microvm-ctl share"},
        {{"share", "7", "--list", "--remove"}, "usage: microvm-ctl share"},
        {{"share", "7", "--list", "x"}, "usage: microvm-ctl share"},
        {{"migrate", "7", "--to", "tcp:h:1", "--bandwidth", "x"}, "--bandwidth: 'x'"},
        {{"snapshot", "7"}, "usage: microvm-ctl snapshot ID save NAME"},
        {{"snapshot", "7", "save"}, "save, restore or delete NAME"},
        {{"snapshot", "7", "list", "x"}, "save, restore or delete NAME"},
        {{"snapshot", "7", "save", ""}, "save, restore or delete NAME"},
        {{"agent", "7", "exec"}, "agent exec: no program"},
        {{"agent", "7", "dance"}, "ping, exec PROGRAM"},
        {{"agent", "7", "guest-x\"y"}, "ping, exec PROGRAM"},
        {{"agent", "7", "ping", "x"}, "ping, exec PROGRAM"},
    };

    (void)data;
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        run_with(f, "", wrong[i].words);
        assert_refused(f, 2, wrong[i].says);
        g_assert_cmpstr(f->out, ==, "");
    }
    RUN(f, "--nonsense");
    assert_refused(f, 2, "nonsense");
}

static void test_no_guest(Fixture *f, gconstpointer data)
{
    g_autofree char *pidfile = g_build_filename(f->dir, "7.pid", NULL);

    (void)data;
    RUN(f, "status", "7");
    assert_refused(f, 3, "guest 7 does not run");
    /* left by a crash; the number may be anybody's by now */
    g_assert_true(g_file_set_contents(pidfile, "1\n", -1, NULL));
    RUN(f, "stop", "7");
    assert_refused(f, 3, "guest 7 does not run");
    RUN(f, "list");
    assert_done(f, "ID         NAME                  STATE         PID\n");
    RUN(f, "list", "--json");
    assert_done(f, "[]\n");
    START(f, RUNNING);
    RUN(f, "status", "07");
    assert_refused(f, 3, "guest 07 does not run");
}

static void test_list(Fixture *f, gconstpointer data)
{
    g_autofree char *expected = NULL, *json = NULL;

    (void)data;
    START(f, STATE("paused"));
    RUN(f, "list");
    expected = g_strdup_printf("ID         NAME                  STATE         PID\n"
                               "7                                paused        %d\n",
                               f->guest);
    assert_done(f, expected);
    RUN(f, "list", "--json");
    json = g_strdup_printf("[\n  {\n    \"id\" : 7,\n    \"name\" : \"\",\n"
                           "    \"state\" : \"paused\",\n    \"pid\" : %d,\n"
                           "    \"directory\" : \"%s\"\n  }\n]\n",
                           f->guest, f->dir);
    assert_done(f, json);
}

#define STATUS_STEPS                                                                            \
    RUNNING, {.command = "query-cpus-fast", .reply = "[{\"cpu-index\": 0, \"thread-id\": 1}]"}, \
        {.command = "query-memory-size-summary", .reply = "{\"base-memory\": 536870912}"},      \
        {.command = "query-balloon", .reply = "{\"actual\": 268435456}"},                       \
        {.command = "query-block",                                                              \
         .reply = "[{\"qdev\": \"/machine/peripheral/scsi0/virtio-backend\", \"inserted\":"     \
                  " {\"image\": {\"virtual-size\": 8589934592}}}, {\"qdev\": \"/machine/"       \
                  "peripheral/ide2/virtio-backend\"}]"},                                        \
        {.command = "query-blockstats",                                                         \
         .reply = "[{\"qdev\": \"/machine/peripheral/scsi0/virtio-backend\", \"stats\":"        \
                  " {\"rd_bytes\": 1572864, \"wr_bytes\": 4096, \"rd_operations\": 3,"          \
                  " \"wr_operations\": 1, \"flush_operations\": 2}}]"},                         \
    {                                                                                           \
        .command = "qom-list", .reply = "[{\"name\": \"type\", \"type\": \"string\"},"          \
                                        " {\"name\": \"net0\","                                 \
                                        " \"type\": \"child<virtio-net-device>\"}]"             \
    }

static void test_status(Fixture *f, gconstpointer data)
{
    g_autofree char *text = NULL;

    (void)data;
    START(f, STATUS_STEPS);
    RUN(f, "status", "7");
    text = g_strdup_printf("           running, process %d\n"
                           "cpu0       0.0 s used\n"
                           "memory     512 MiB, of which the balloon leaves 256 MiB\n"
                           "scsi0      8 GiB; 1.5 MiB read, 4 KiB written\n"
                           "net0       QEMU's user network, which has no counters\n",
                           f->guest);
    assert_done(f, text);
    assert_told(f, "query-status\nquery-cpus-fast\nquery-memory-size-summary\nquery-balloon\n"
                   "query-block\nquery-blockstats\nqom-list {\"path\":\"/machine/peripheral\"}\n");
    RUN(f, "status", "--json", "7");
    g_assert_nonnull(strstr(f->out, "\"size\" : 8589934592,\n      \"read-bytes\" : 1572864,\n"
                                    "      \"written-bytes\" : 4096,\n      \"reads\" : 3,\n"
                                    "      \"writes\" : 1,\n      \"flushes\" : 2\n"));
    g_assert_nonnull(strstr(f->out, "\"balloon\" : 268435456\n"));
    g_assert_cmpint(f->code, ==, 0);
}

static void test_tell(Fixture *f, gconstpointer data)
{
    static const char *const verbs[][2] = {
        {"reset", "system_reset\n"}, {"pause", "stop\n"}, {"resume", "query-status\ncont\n"}};

    (void)data;
    for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++) {
        START(f, RUNNING, {.command = "system_reset"}, {.command = "stop"}, {.command = "cont"});
        RUN(f, verbs[i][0], "7");
        assert_done(f, "");
        assert_told(f, verbs[i][1]);
    }
    START(f, RUNNING, {"cont", FAKE_ERROR, "Resetting the Virtual Machine is required", NULL});
    RUN(f, "resume", "7");
    assert_ended(f, 1, "", "microvm-ctl: cont: Resetting the Virtual Machine is required\n");
    START(f, {"stop", FAKE_MUTE, NULL, NULL});
    RUN(f, "pause", "7", "--timeout", "0.2");
    assert_refused(f, 4, "no answer in time");
}

static void test_shutdown_agent(Fixture *f, gconstpointer data)
{
    static const FakeStep obeys[] = {{"guest-shutdown", FAKE_END, NULL, NULL}, {0}};
    static const FakeStep refuses[] = {{"guest-shutdown", FAKE_ERROR, "not allowed", NULL},
                                       RUNNING,
                                       {"system_powerdown", FAKE_END, NULL, NULL},
                                       {0}};
    FakeGuest guest = {.steps = obeys, .agent = TRUE};

    (void)data;
    start(f, &guest);
    RUN(f, "shutdown", "7");
    assert_done(f, "");
    assert_told(f, "guest-shutdown {\"mode\":\"powerdown\"}\n");
    assert_gone(f);
    guest.steps = refuses;
    start(f, &guest);
    RUN(f, "shutdown", "7");
    assert_refused(f, 0, "not allowed; pressing the power button");
    assert_told(f, "guest-shutdown {\"mode\":\"powerdown\"}\nquery-status\nsystem_powerdown\n");
    assert_gone(f);
}

/* An agent that obeys in a guest that hangs: the button comes at half of the time. */
static void test_shutdown_late(Fixture *f, gconstpointer data)
{
    static const FakeStep hangs[] = {
        {.command = "guest-shutdown"}, RUNNING, {"system_powerdown", FAKE_END, NULL, NULL}, {0}};
    FakeGuest guest = {.steps = hangs, .agent = TRUE};

    (void)data;
    start(f, &guest);
    RUN(f, "shutdown", "7", "--timeout", "1");
    assert_done(f, "");
    assert_told(f, "guest-shutdown {\"mode\":\"powerdown\"}\nquery-status\nsystem_powerdown\n");
    assert_gone(f);
}

static void test_shutdown_button(Fixture *f, gconstpointer data)
{
    (void)data;
    START(f, RUNNING, {.command = "system_powerdown"});
    RUN(f, "shutdown", "7", "--timeout", "0.2");
    assert_refused(f, 4, "guest 7 did not shut down in 0.2 s; --force");
    assert_told(f, "query-status\nsystem_powerdown\n");
    START(f, RUNNING, {.command = "system_powerdown"});
    RUN(f, "shutdown", "7", "--timeout", "0.2", "--force");
    assert_refused(f, 0, "guest 7 did not shut down; ending it");
    assert_gone(f);
    START(f, STATE("paused"));
    RUN(f, "shutdown", "7");
    assert_refused(f, 1, "cannot shut down, it is paused");
}

static void test_stop(Fixture *f, gconstpointer data)
{
    static const FakeStep none[] = {{0}};
    static const FakeGuest deaf = {.steps = none, .deaf = TRUE};

    (void)data;
    START(f, RUNNING);
    RUN(f, "stop", "7");
    assert_done(f, "");
    assert_gone(f);
    start(f, &deaf);
    RUN(f, "stop", "7", "--timeout", "0.2");
    assert_refused(f, 0, "QEMU does not end; killing process");
    assert_gone(f);
}

#define MEMORY                                                                          \
    {                                                                                   \
        .command = "query-memory-size-summary", .reply = "{\"base-memory\": 536870912}" \
    }
#define CHANGE "{\"event\": \"BALLOON_CHANGE\", \"data\": {\"actual\": 1}}\n"

static void test_balloon(Fixture *f, gconstpointer data)
{
    (void)data;
    START(f, MEMORY, {.command = "balloon"},
          {"query-balloon", FAKE_ANSWER, "{\"actual\": 536870912}", NULL},
          {"query-balloon", FAKE_ANSWER, "{\"actual\": 268435456}", NULL});
    RUN(f, "balloon", "7", "256", "--timeout", "0.3");
    assert_refused(f, 4, "has come to 512 MiB, not to 256");
    START(f, MEMORY, {.command = "balloon"},
          {"query-balloon", FAKE_ANSWER, "{\"actual\": 536870912}", CHANGE CHANGE},
          {"query-balloon", FAKE_ANSWER, "{\"actual\": 300000000}", NULL},
          {"query-balloon", FAKE_ANSWER, "{\"actual\": 268435456}", NULL});
    RUN(f, "balloon", "7", "256");
    assert_done(f, "");
    assert_told(f, "query-memory-size-summary\nballoon {\"value\":268435456}\nquery-balloon\n"
                   "query-balloon\nquery-balloon\n");
    START(f, MEMORY);
    RUN(f, "balloon", "7", "513");
    assert_refused(f, 2, "'513' is not a number of MiB from 16 to 512");
    RUN(f, "balloon", "7", "1G");
    assert_refused(f, 2, "'1G' is not");
    START(f, MEMORY, {"balloon", FAKE_ERROR, "No balloon device has been activated", NULL});
    RUN(f, "balloon", "7", "256");
    assert_refused(f, 1, "No balloon device has been activated");
}

#define NODE(name, driver, ro, more)                                                    \
    "{\"node-name\": \"" name "\", \"drv\": \"" driver "\", \"ro\": " ro ", \"image\":" \
    " {\"filename\": \"/srv/" name "\"" more "}}"
#define SAVED ", \"snapshots\": [{\"name\": \"one\", \"date-sec\": 0, \"vm-state-size\": 3145728}]"
#define NODES                                                          \
    "[" NODE("drive-scsi0", "throttle", "false", "") "," NODE(         \
        "fa", "qcow2", "false",                                        \
        SAVED) "," NODE("ea", "file", "false",                         \
                        "") "," NODE("fb", "qcow2", "false",           \
                                     "") "," NODE("fc", "raw", "true", \
                                                  "") "," NODE("base", "qcow2", "true", "") "]"
#define JOB(status, more)                                                      \
    "[{\"id\": \"other\", \"status\": \"running\"}, {\"id\": \"microvm-ctl\"," \
    " \"status\": \"" status "\"" more "}]"
#define JOB_EVENT "{\"event\": \"JOB_STATUS_CHANGE\", \"data\": {}}\n"

static void test_snapshot(Fixture *f, gconstpointer data)
{
    (void)data;
    START(f, {.command = "query-named-block-nodes", .reply = NODES}, {.command = "snapshot-save"},
          {"query-jobs", FAKE_ANSWER, "[]", NULL},
          {"query-jobs", FAKE_ANSWER, JOB("running", ""), JOB_EVENT},
          {"query-jobs", FAKE_ANSWER, JOB("concluded", ""), NULL}, {.command = "job-dismiss"});
    RUN(f, "snapshot", "7", "save", "a\"b");
    assert_done(f, "");
    assert_told(f, "query-named-block-nodes {\"flat\":true}\nquery-jobs\n"
                   "snapshot-save {\"job-id\":\"microvm-ctl\",\"tag\":\"a\\\"b\",\"vmstate\":\"fa\""
                   ",\"devices\":[\"fa\",\"fb\"]}\nquery-jobs\nquery-jobs\n"
                   "job-dismiss {\"id\":\"microvm-ctl\"}\n");
    RUN(f, "snapshot", "7", "save", "one");
    assert_refused(f, 1, "there is a snapshot 'one' already");
    RUN(f, "snapshot", "7", "restore", "two");
    assert_refused(f, 1, "there is no snapshot 'two'");
    RUN(f, "snapshot", "7", "list");
    assert_done(f, "one                   1970-01-01T00:00:00Z  3 MiB of memory\n");
    RUN(f, "snapshot", "7", "list", "--json");
    assert_done(f, "[\n  {\n    \"name\" : \"one\",\n    \"time\" : \"1970-01-01T00:00:00Z\",\n"
                   "    \"memory-bytes\" : 3145728\n  }\n]\n");
}

static void test_snapshot_fails(Fixture *f, gconstpointer data)
{
    (void)data;
    START(f, {.command = "query-named-block-nodes", .reply = NODES}, {.command = "snapshot-load"},
          {.command = "query-jobs", .reply = JOB("concluded", ", \"error\": \"no room\"")},
          {.command = "job-dismiss"});
    RUN(f, "snapshot", "7", "restore", "one");
    assert_refused(f, 1, "snapshot-load 'one': no room");
    RUN(f, "snapshot", "7", "delete", "one");
    assert_refused(f, 1, "no step for snapshot-delete");
    START(f, {.command = "query-named-block-nodes", .reply = NODES},
          {.command = "query-jobs", .reply = JOB("running", "")});
    RUN(f, "snapshot", "7", "restore", "one");
    assert_refused(f, 1, "an earlier snapshot command is still at work");
    START(f,
          {.command = "query-named-block-nodes",
           .reply = "[" NODE("fa", "qcow2", "false", "") "," NODE("fb", "raw", "false", "") "]"});
    RUN(f, "snapshot", "7", "save", "one");
    assert_refused(f, 1, "/srv/fb is raw; for snapshots, every disk");
    START(f,
          {.command = "query-named-block-nodes",
           .reply = "[" NODE("fa", "qcow2", "false", "") "," NODE("fb", "vmdk", "false", "") "]"});
    RUN(f, "snapshot", "7", "save", "one");
    assert_refused(f, 1, "/srv/fb is vmdk; for snapshots, every disk");
    START(f, {.command = "query-named-block-nodes", .reply = "[]"});
    RUN(f, "snapshot", "7", "list");
    assert_refused(f, 1, "no qcow2 disk");
}

#define MOVE_STEPS                                                                       \
    {"query-migrate", FAKE_ANSWER, "{}", NULL}, {.command = "migrate-set-capabilities"}, \
        {.command = "migrate-set-parameters"},                                           \
    {                                                                                    \
        .command = "migrate"                                                             \
    }
#define ACTIVE                                                                      \
    "{\"status\": \"active\", \"expected-downtime\": 9, \"ram\": {\"transferred\":" \
    " 1048576, \"remaining\": 2097152, \"mbps\": 80.4}}"
#define MOVE_EVENT "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"active\"}}\n"
#define SETTINGS                                                                              \
    "migrate-set-capabilities {\"capabilities\":[{\"capability\":\"events\",\"state\":true}," \
    "{\"capability\":\"return-path\",\"state\":true},{\"capability\":\"auto-converge\","      \
    "\"state\":true}]}\n"

static void test_migrate(Fixture *f, gconstpointer data)
{
    (void)data;
    START(f, RUNNING, MOVE_STEPS, {"query-migrate", FAKE_ANSWER, ACTIVE, MOVE_EVENT},
          {"query-migrate", FAKE_ANSWER,
           "{\"status\": \"completed\", \"downtime\": 12, \"total-time\": 1840}", NULL},
          {"quit", FAKE_END, NULL, NULL});
    RUN(f, "migrate", "7", "--to", "tcp:[::1]:4444", "--downtime", "50", "--bandwidth", "100M");
    assert_done(f, "active: 1 MiB sent, 2 MiB left, 80 Mbit/s, downtime would be 9 ms\n"
                   "moved: downtime 12 ms, 1.8 s in all\n");
    assert_told(f, "query-status\nquery-migrate\n" SETTINGS
                   "migrate-set-parameters {\"downtime-limit\":50,\"max-bandwidth\":104857600}\n"
                   "migrate {\"uri\":\"tcp:[::1]:4444\"}\nquery-migrate\nquery-migrate\nquit\n");
    assert_gone(f);
}

/* A program "ssh" that is @script, before all others in PATH. */
static char *use_ssh(const Fixture *f, const char *script)
{
    char *path = g_build_filename(f->dir, "ssh", NULL);
    g_autofree char *old = g_strdup(g_getenv("PATH")), *new = g_strdup_printf("%s:%s", f->dir, old);
    g_autofree char *text = g_strdup_printf("#!/bin/sh\n%s\n", script);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_no_errno(g_chmod(path, 0700));
    if (!g_str_has_prefix(old, f->dir))
        g_setenv("PATH", new, TRUE);
    return path;
}

#define SSH_STEPS(last)                                                \
    RUNNING, MOVE_STEPS, {.command = "getfd"}, {.command = "closefd"}, \
        {"query-migrate", FAKE_ANSWER, last, NULL},                    \
    {                                                                  \
        "quit", FAKE_END, NULL, NULL                                   \
    }

/* Words reach the other side's shell as they are; what its log-in prints does no harm. */
static void test_migrate_ssh(Fixture *f, gconstpointer data)
{
    g_autofree char *ssh = NULL, *seen = g_build_filename(f->dir, "seen", NULL), *words = NULL;
    g_autofree char *script =
        g_strdup_printf("printf '%%s\\n' \"$@\" >%s\necho a message of the day\n"
                        "echo microvm-ctl receive: ready\ncat >/dev/null",
                        seen);

    (void)data;
    ssh = use_ssh(f, script);
    START(f, SSH_STEPS("{\"status\": \"completed\", \"downtime\": 12, \"total-time\": 1000}"));
    RUN(f, "migrate", "7", "--to", "ssh:me@two", "--ssh-config", "cfg", "--", "--net", "a 'b'",
        "7.conf");
    assert_done(f, "moved: downtime 12 ms, 1.0 s in all\n");
    assert_told(f, "query-status\nquery-migrate\n" SETTINGS
                   "migrate-set-parameters {\"downtime-limit\":200,\"max-bandwidth\":0}\n"
                   "getfd {\"fdname\":\"microvm-ctl\"}\nmigrate {\"uri\":\"fd:microvm-ctl\"}\n"
                   "query-migrate\nquit\n");
    assert_gone(f);
    g_assert_true(g_file_get_contents(seen, &words, NULL, NULL));
    g_assert_true(g_str_has_prefix(words, "-F\ncfg\n-T\n"));
    g_assert_true(g_str_has_suffix(words, "\n--\nme@two\nmicrovm-ctl receive 7 -- '--net' "
                                          "'a '\\''b'\\''' '7.conf'\n"));
    g_unlink(seen);
    g_unlink(ssh);
}

static void test_migrate_ssh_fails(Fixture *f, gconstpointer data)
{
    g_autofree char *ssh = use_ssh(f, "echo no; exit 255");
    g_autofree char *log = NULL;

    (void)data;
    START(f, SSH_STEPS("{}"));
    RUN(f, "migrate", "7", "--to", "ssh:two");
    assert_refused(f, 1, "the other side does not take the guest, which goes on here");
    log = fake_log(f->dir);
    g_assert_null(strstr(log, "migrate {"));
    g_assert_null(strstr(log, "quit"));
    g_free(use_ssh(f, "sleep 60 & trap 'kill $!; exit' TERM; wait"));
    RUN(f, "migrate", "7", "--to", "ssh:two", "--timeout", "0.3");
    assert_refused(f, 4, "the other side was not ready in time");
    g_unlink(ssh);
}

/* Whatever goes wrong, the guest goes on here, and QEMU is not told to end. */
static void test_migrate_back(Fixture *f, gconstpointer data)
{
    g_autofree char *log = NULL;

    (void)data;
    START(f, RUNNING, STATE("finish-migrate"), RUNNING, MOVE_STEPS,
          {"query-migrate", FAKE_ANSWER,
           "{\"status\": \"failed\", \"error-desc\": \"Connection reset\"}", MOVE_EVENT});
    RUN(f, "migrate", "7", "--to", "unix:/nowhere");
    assert_refused(f, 1, "guest 7 was not moved (Connection reset); it goes on here");
    log = fake_log(f->dir);
    g_assert_null(strstr(log, "quit"));
    START(f, STATE("paused"), MOVE_STEPS,
          {.command = "query-migrate", .reply = "{\"status\": \"failed\"}"});
    RUN(f, "migrate", "7", "--to", "unix:/nowhere");
    assert_refused(f, 1, "it goes on here, paused as it was");
    START(f, RUNNING, STATE("internal-error"), MOVE_STEPS,
          {.command = "query-migrate", .reply = "{\"status\": \"failed\"}"});
    RUN(f, "migrate", "7", "--to", "unix:/nowhere");
    assert_refused(f, 1, "(failed), and is internal-error here");
}

static void test_migrate_cancelled(Fixture *f, gconstpointer data)
{
    static const FakeAction actions[] = {FAKE_ANSWER, FAKE_INTERRUPT};
    static const char *const timeouts[] = {"0", "60"};
    static const char *const says[] = {"it took longer than --timeout allows", "interrupted"};

    (void)data;
    for (gsize i = 0; i < G_N_ELEMENTS(actions); i++) {
        START(f, RUNNING, MOVE_STEPS, {"query-migrate", actions[i], ACTIVE, NULL},
              {.command = "migrate_cancel"},
              {"query-migrate", FAKE_ANSWER, "{\"status\": \"cancelled\"}", NULL});
        RUN(f, "migrate", "7", "--to", "unix:/there", "--timeout", timeouts[i]);
        assert_refused(f, i == 0 ? 4 : 1, says[i]);
        assert_told(f, "query-status\nquery-migrate\n" SETTINGS
                       "migrate-set-parameters {\"downtime-limit\":200,\"max-bandwidth\":0}\n"
                       "migrate {\"uri\":\"unix:/there\"}\nquery-migrate\nmigrate_cancel\n"
                       "query-migrate\nquery-status\n");
    }
}

static void test_migrate_refused(Fixture *f, gconstpointer data)
{
    (void)data;
    START(f, RUNNING, {.command = "query-migrate", .reply = ACTIVE}, {.command = "migrate_cancel"});
    RUN(f, "migrate", "7", "--to", "unix:/there");
    assert_refused(f, 1, "guest 7 is being moved already (active)");
    RUN(f, "migrate", "7", "--cancel");
    assert_done(f, "");
    assert_told(f, "query-status\nquery-migrate\nmigrate_cancel\n");
    START(f, STATE("inmigrate"), {.command = "query-migrate"});
    RUN(f, "migrate", "7", "--to", "unix:/there");
    assert_refused(f, 1, "guest 7 cannot be moved, it is inmigrate");
}

static void test_agent(Fixture *f, gconstpointer data)
{
    static const FakeStep steps[] = {
        {.command = "guest-exec", .reply = "{\"pid\": 42}"},
        {"guest-exec-status", FAKE_ANSWER, "{\"exited\": false}", NULL},
        {"guest-exec-status", FAKE_ANSWER,
         "{\"exited\": true, \"exitcode\": 7, \"out-data\": \"YQBiCg==\", \"err-data\": \"YyE=\"}",
         NULL},
        {.command = "guest-get-osinfo", .reply = "{\"id\": \"debian\"}"},
        {"guest-fsfreeze-freeze", FAKE_ERROR, "not\\u001b[2J\\nallowed", NULL},
        {0}};
    FakeGuest guest = {.steps = steps, .agent = TRUE};

    (void)data;
    start(f, &guest);
    RUN(f, "agent", "7", "ping");
    assert_done(f, "");
    RUN(f, "agent", "--timeout", "9", "7", "exec", "ls", "-l", "a b", "--json", "\"$x");
    assert_ended(f, 7, "a", "c!"); /* the NUL ends what g_spawn_sync() returns */
    assert_told(f, "guest-exec {\"path\":\"ls\",\"arg\":[\"-l\",\"a b\",\"--json\",\"\\\"$x\"],"
                   "\"capture-output\":true}\nguest-exec-status {\"pid\":42}\n"
                   "guest-exec-status {\"pid\":42}\n");
    RUN(f, "agent", "7", "guest-get-osinfo");
    assert_done(f, "{\n  \"id\" : \"debian\"\n}\n");
    RUN(f, "agent", "7", "guest-fsfreeze-freeze", "{}");
    assert_refused(f, 1, "guest-fsfreeze-freeze: not\357\277\275[2J\357\277\275allowed");
    RUN(f, "agent", "7", "guest-get-osinfo", "[]");
    assert_refused(f, 2, "'[]' is not a JSON object");
}

static void test_agent_fails(Fixture *f, gconstpointer data)
{
    static const FakeStep steps[] = {{"guest-exec", FAKE_ERROR, "no such file", NULL}, {0}};
    FakeGuest guest = {.steps = steps, .agent = TRUE};
    g_autofree char *socket = g_build_filename(f->dir, "7.qga", NULL);

    (void)data;
    start(f, &guest);
    RUN(f, "agent", "7", "exec", "--", "/none");
    assert_refused(f, 125, "guest-exec: no such file");
    end_guest(f);
    RUN(f, "agent", "7", "exec", "ls");
    assert_refused(f, 125, "does not run");
    RUN(f, "agent", "7", "ping");
    assert_refused(f, 3, "does not run");
    guest.agent = FALSE;
    g_unlink(socket);
    start(f, &guest);
    RUN(f, "agent", "7", "ping");
    assert_refused(f, 1, "guest 7 has no agent");
}

/* What a hostile guest's agent says neither holds microvm-ctl up nor brings it down. */
static void test_agent_hostile(Fixture *f, gconstpointer data)
{
    g_autofree char *deep = g_strnfill(1 << 20, '[');
    FakeStep flood[] = {{"guest-sync-delimited", FAKE_FLOOD, "{}\n", NULL}, {0}};
    FakeStep nested[] = {{"guest-info", FAKE_ANSWER, deep, NULL}, {0}};
    static const struct {
        FakeStep steps[3];
        const char *says;
    } odd[] = {
        {{{.command = "guest-exec", .reply = "[]"}}, "guest-exec: the guest's answer has no 'pid'"},
        {{{.command = "guest-exec", .reply = "{\"pid\": {}}"}}, "no 'pid'"},
        {{{.command = "guest-exec", .events = "{\"error\": 1}\n"}}, "guest-exec: no description"},
        {{{.command = "guest-exec", .reply = "{\"pid\": 1}"}, {.command = "guest-exec-status"}},
         "guest-exec-status: the guest's answer has no 'exited'"},
    };
    FakeGuest guest = {.steps = flood, .agent = TRUE};

    (void)data;
    start(f, &guest);
    RUN(f, "agent", "7", "ping", "--timeout", "0.3");
    assert_refused(f, 4, "no answer in time");
    guest.steps = nested;
    start(f, &guest);
    RUN(f, "agent", "7", "guest-info");
    assert_refused(f, 1, "one too deep");
    for (gsize i = 0; i < G_N_ELEMENTS(odd); i++) {
        guest.steps = odd[i].steps;
        start(f, &guest);
        RUN(f, "agent", "7", "exec", "ls");
        assert_refused(f, 125, odd[i].says);
    }
}

/* What is left of a session that gave up does not disturb the next one. */
static void test_agent_late(Fixture *f, gconstpointer data)
{
    static const FakeStep steps[] = {{.command = "guest-info", .reply = "{\"version\": \"9\"}"},
                                     {0}};
    FakeGuest guest = {.steps = steps,
                       .agent = TRUE,
                       .late = "{\"return\": {\"pid\": 1}}\n{\"return\": [1]}\n"
                               "{\"error\": 2}\n{\"return\": \"1\"}\n"};

    (void)data;
    start(f, &guest);
    RUN(f, "agent", "7", "guest-info");
    assert_done(f, "{\n  \"version\" : \"9\"\n}\n");
}

/* A QEMU that answers otherwise than QEMU does; one whose guest has gone elsewhere. */
static void test_odd_answers(Fixture *f, gconstpointer data)
{
    static const FakeStep odd[] = {{.command = "ringbuf-read", .reply = "1"},
                                   {.command = "ringbuf-write"},
                                   {.command = "query-cpus-fast", .reply = "{}"},
                                   RUNNING,
                                   {0}};
    FakeGuest guest = {.steps = odd, .console = ""};

    (void)data;
    start(f, &guest);
    RUN(f, "status", "7");
    assert_refused(f, 1, "query-cpus-fast: the answer is of another type");
    RUN(f, "console", "7", "--log");
    assert_done(f, "");
    START(f, STATE("postmigrate"), {.command = "cont"});
    RUN(f, "resume", "7");
    assert_refused(f, 1, "guest 7 was moved away");
}

/* "early boot " was read before, "done" has come since; "done" and "live" are on the socket. */
static void test_console(Fixture *f, gconstpointer data)
{
    static const FakeStep steps[] = {
        {"query-chardev", FAKE_ANSWER,
         "[{\"label\": \"serial0-socket\", \"filename\": \"disconnected:unix:/x\"}]", NULL},
        {"query-chardev", FAKE_ANSWER,
         "[{\"label\": \"serial0-socket\", \"filename\": \"unix:/x\"}]", NULL},
        {"ringbuf-read", FAKE_ANSWER, "\"ZG9uZQ==\"", NULL},
        {"ringbuf-read", FAKE_ANSWER, "\"ZWFybHkgYm9vdCBkb25l\"", NULL},
        {.command = "ringbuf-write"},
        {0}};
    FakeGuest guest = {.steps = steps, .console = "donelive"};

    (void)data;
    start(f, &guest);
    run_with(f, "hello\035ignored", (const char *const[]){"console", "7", NULL});
    assert_done(f, "early boot donelive");
    assert_told(
        f, "query-chardev\nquery-chardev\n"
           "ringbuf-read {\"device\":\"serial0-log\",\"size\":16777216,\"format\":\"base64\"}\n"
           "ringbuf-write {\"device\":\"serial0-past\",\"data\":\"ZG9uZQ==\","
           "\"format\":\"base64\"}\n"
           "ringbuf-read {\"device\":\"serial0-past\",\"size\":16777216,\"format\":\"base64\"}\n"
           "ringbuf-write {\"device\":\"serial0-past\",\"data\":\"ZWFybHkgYm9vdCBkb25l\","
           "\"format\":\"base64\"}\nconsole: hello\n");
    start(f, &guest);
    RUN(f, "console", "7", "--log");
    assert_done(f, "early boot done");
    RUN(f, "console", "7", "--serial", "1");
    assert_refused(f, 1, "guest 7 has no serial1");
}

/* Without a ring, as of a guest that another program started, the console works all the same. */
static void test_console_plain(Fixture *f, gconstpointer data)
{
    static const FakeStep none[] = {
        {.command = "query-chardev", .reply = "[]"},
        {"ringbuf-read", FAKE_ERROR, "Device 'serial0-log' not found", NULL},
        {0}};
    FakeGuest guest = {.steps = none, .console = "live"};

    (void)data;
    start(f, &guest);
    run_with(f, "\001x", (const char *const[]){"console", "--detach-key", "^a", "7", NULL});
    assert_ended(f, 0, "live",
                 "microvm-ctl: what was printed before is not shown: "
                 "ringbuf-read: Device 'serial0-log' not found\n");
}

/* Waits until the terminal behind @fd is raw, or not, as a user's has to be. */
static void wait_raw(int fd, gboolean raw)
{
    gint64 deadline = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    struct termios now;

    do {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_assert_no_errno(tcgetattr(fd, &now));
    } while (raw == ((now.c_lflag & (ICANON | ECHO | ISIG)) != 0));
}

static void wait_log(const Fixture *f, const char *text)
{
    gint64 deadline = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    for (;;) {
        g_autofree char *log = fake_log(f->dir);

        if (strstr(log, text))
            return;
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
    }
}

/*
 * On a terminal: ^C and the like go to the guest, and the terminal is as it was when the user
 * leaves, the program is ended, or the guest is.
 */
static void test_console_terminal(Fixture *f, gconstpointer data)
{
    static const FakeStep steps[] = {{.command = "query-chardev", .reply = "[]"},
                                     {.command = "ringbuf-read", .reply = "\"\""},
                                     {0}};
    const char *argv[] = {ctl, "--runtime-dir", f->dir, "console", "7", NULL};
    FakeGuest guest = {.steps = steps, .console = "live"};

    (void)data;
    for (int how = 0; how < 3; how++) {
        int master, slave, status;
        GError *error = NULL;
        GPid pid;

        start(f, &guest);
        g_assert_no_errno(openpty(&master, &slave, NULL, NULL, NULL));
        g_spawn_async_with_fds(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                               &pid, slave, slave, slave, &error);
        g_assert_no_error(error);
        wait_raw(slave, TRUE);
        g_assert_cmpint(write(master, "\003", 1), ==, 1);
        wait_log(f, "console: \003");
        if (how == 0)
            g_assert_cmpint(write(master, "\035", 1), ==, 1);
        else if (how == 1)
            kill(pid, SIGTERM);
        else
            end_guest(f);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_cmpint(status, ==, 0);
        wait_raw(slave, FALSE);
        close(master);
        close(slave);
    }
}

static void test_ssh_agent(Fixture *f, gconstpointer data)
{
    (void)data;
    START(f, {"qom-get", FAKE_ERROR, "Device 'vsock0' not found", NULL});
    g_unsetenv("SSH_AUTH_SOCK");
    RUN(f, "ssh-agent", "7");
    assert_refused(f, 1, "you have no ssh agent");
    g_setenv("SSH_AUTH_SOCK", "/nowhere", TRUE);
    RUN(f, "ssh-agent", "7");
    assert_refused(f, 1, "guest 7 has no vsock (microvm-launch --vsock)");
    assert_told(f, "qom-get {\"path\":\"/machine/peripheral/vsock0\","
                   "\"property\":\"guest-cid\"}\n");
}

/* Every verb and option of --help is in @text. */
static void assert_complete(const char *help, const char *file)
{
    g_autoptr(GRegex) words = g_regex_new("^  ((?:--)?[a-z][a-z-]+)", G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *raw = NULL;
    int found = 0;

    g_assert_true(g_file_get_contents(file, &raw, NULL, NULL));
    g_string_assign(text, raw);
    g_string_replace(text, "\\-", "-", 0); /* as man pages have it */
    g_regex_match(words, help, 0, &match);
    for (; g_match_info_matches(match); g_match_info_next(match, NULL)) {
        g_autofree char *word = g_match_info_fetch(match, 1);
        g_autofree char *whole = g_strconcat("(?<![a-z-])", word, "(?![a-z-])", NULL);

        if (!g_regex_match_simple(whole, text->str, 0, 0))
            g_error("%s does not know '%s'", file, word);
        found++;
    }
    g_assert_cmpint(found, >, 20);
}

static void test_documents(Fixture *f, gconstpointer data)
{
    (void)data;
    RUN(f, "--help");
    g_assert_cmpint(f->code, ==, 0);
    assert_complete(f->out, man_page);
    assert_complete(f->out, completions[0]);
    assert_complete(f->out, completions[1]);
}

static void add(const char *name, void (*test)(Fixture *, gconstpointer))
{
    g_autofree char *path = g_strconcat("/ctl/", name, NULL);

    g_test_add(path, Fixture, NULL, set_up, test, tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 5);
    ctl = argv[1];
    man_page = argv[2];
    completions[0] = argv[3];
    completions[1] = argv[4];
    add("usage", test_usage);
    add("no-guest", test_no_guest);
    add("list", test_list);
    add("status", test_status);
    add("tell", test_tell);
    add("shutdown/agent", test_shutdown_agent);
    add("shutdown/late", test_shutdown_late);
    add("shutdown/button", test_shutdown_button);
    add("stop", test_stop);
    add("balloon", test_balloon);
    add("snapshot", test_snapshot);
    add("snapshot/fails", test_snapshot_fails);
    add("migrate", test_migrate);
    add("migrate/back", test_migrate_back);
    add("migrate/ssh", test_migrate_ssh);
    add("migrate/ssh-fails", test_migrate_ssh_fails);
    add("migrate/cancelled", test_migrate_cancelled);
    add("migrate/refused", test_migrate_refused);
    add("agent", test_agent);
    add("agent/fails", test_agent_fails);
    add("agent/hostile", test_agent_hostile);
    add("agent/late", test_agent_late);
    add("odd-answers", test_odd_answers);
    add("console", test_console);
    add("console/plain", test_console_plain);
    add("console/terminal", test_console_terminal);
    add("ssh-agent", test_ssh_agent);
    add("documents", test_documents);
    return g_test_run();
}
