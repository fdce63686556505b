/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The main job, from outside: a real Debian guest, started by microvm-launch from a config, looked
 * at through the guest agent, a forwarded port and QMP. Runs on TCG, which the configs say (kvm:
 * 0).
 *
 * The environment names what is tested:
 *   MICROVM_LAUNCH   the launcher
 *   MICROVM_CTL      microvm-ctl
 *   MICROVM_IMAGE    the guest's disk; each test works on a copy
 *   MICROVM_CONFIG   the config; it is tried as it is, and without its args line
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checks.h"
#include "live-share.h"
#include "place.h"

#define BOOT_LIMIT 300 /* seconds, on a slow, busy host */
#define OWNER 1234     /* of a directory that is shared: nobody we know */

static const char *launcher, *ctl, *image, *config;

typedef struct {
    Place *place;
    char *run; /* the run directory: the launcher makes it, for whoever QEMU runs as */
} Fixture;

/* @text without the line that begins with @start, if any. */
static char *without_line(const char *text, const char *start)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GString) kept = g_string_new(NULL);

    for (char **line = lines; *line; line++) {
        if (!g_str_has_prefix(*line, start)) {
            g_string_append_printf(kept, "%s\n", *line);
        }
    }
    return g_string_free(g_steal_pointer(&kept), FALSE);
}

/* The config with kvm: 0 and without the line that begins with @data, if it is not NULL. */
static void set_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL, *kept = NULL, *tcg = NULL;

    fixture->place = place_new("114", image);
    g_file_get_contents(config, &text, NULL, &error);
    g_assert_no_error(error);
    kept = data ? without_line(text, data) : g_strdup(text);
    tcg = g_strconcat("kvm: 0\n", kept, NULL);
    place_write(fixture->place->config, tcg);
    fixture->run = place_file(fixture->place, "run");
    g_assert_no_errno(g_chmod(fixture->place->dir, 0711));
}

static void tear_down(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    place_free(fixture->place);
    g_free(fixture->run);
}

/* For the log of a test that is about to fail. */
static void show_console(Guest *guest)
{
    g_autofree char *text = console_text(guest->console);

    g_test_message("the console showed:\n%s", text);
}

static Guest *boot(const Fixture *fixture, const char *runtime_dir, const char *const *options)
{
    g_autoptr(GError) error = NULL;
    GuestSpec spec = {.launcher = launcher,
                      .config = fixture->place->config,
                      .storage_cfg = fixture->place->storage_cfg,
                      .runtime_dir = runtime_dir,
                      .options = options};
    Guest *guest = guest_start(&spec, &error);

    g_assert_no_error(error);
    if (!guest_wait_ready(guest, channel_deadline(BOOT_LIMIT), &error)) {
        show_console(guest);
    }
    g_assert_no_error(error);
    return guest;
}

static void assert_seen(const char *what, char *seen, GError *error)
{
    g_assert_no_error(error);
    g_test_message("%s: %s", what, seen);
    g_free(seen);
}

static char *in_guest(Guest *guest, const char *shell_command)
{
    g_autoptr(GError) error = NULL;
    char *out = agent_shell(guest->agent, shell_command, channel_deadline(BOOT_LIMIT), &error);

    g_assert_no_error(error);
    return g_strchomp(out);
}

static void power_down(Guest *guest)
{
    g_autoptr(GError) error = NULL;

    if (!guest_power_down(guest, channel_deadline(BOOT_LIMIT), &error)) {
        show_console(guest);
    }
    g_assert_no_error(error);
    guest_left_nothing(guest, &error);
    g_assert_no_error(error);
}

static void check_all(Guest *guest)
{
    GError *error = NULL;
    char *seen = check_devices(guest, FALSE, NULL, &error);
    g_autofree char *failed = NULL;

    assert_seen("devices", seen, error);
    seen = check_agent(guest, &error);
    assert_seen("agent", seen, error);
    seen = check_network(guest, &error);
    assert_seen("network", seen, error);
    seen = check_disk(guest, &error);
    assert_seen("disk", seen, error);
    seen = check_balloon(guest, &error);
    assert_seen("balloon", seen, error);
    failed = in_guest(guest, "systemctl is-system-running --wait >/dev/null;"
                             "systemctl list-units --failed --no-legend");
    g_assert_cmpstr(failed, ==, "");
}

/* What microvm-ctl says, on both outputs; to be freed. */
static char *run_ctl(const char *runtime_dir, const char *const *words, int expected)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) error = NULL;
    char *out, *err, *all;
    int status;

    g_strv_builder_add_many(builder, ctl, "--runtime-dir", runtime_dir, NULL);
    for (; *words; words++) {
        g_strv_builder_add(builder, *words);
    }
    argv = g_strv_builder_end(builder);
    g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err, &status, &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) != expected)
        g_error("microvm-ctl ended with %d: %s", WEXITSTATUS(status), err);
    all = g_strconcat(out, err, NULL);
    g_free(out);
    g_free(err);
    return g_strchomp(all);
}

/* A program in the guest, then its end, both by the agent, which serves one client at a time. */
static void end_by_ctl(const Fixture *fixture, Guest *guest)
{
    static const char *const program[] = {"agent", "114", "exec", "sh", "-c", "echo \"$0\"; exit 3",
                                          "a  b",  NULL};
    static const char *const shut_down[] = {"shutdown", "114", NULL};
    g_autofree char *seen = NULL, *nothing = NULL;
    GError *error = NULL;

    g_clear_pointer(&guest->agent, agent_free);
    g_clear_pointer(&guest->qmp, qmp_free);
    seen = run_ctl(fixture->run, program, 3);
    g_assert_cmpstr(seen, ==, "a  b");
    nothing = run_ctl(fixture->run, shut_down, 0);
    guest_left_nothing(guest, &error);
    g_assert_no_error(error);
    guest_let_go(guest);
}

/* The same id twice is refused, and the first guest does not notice. */
static void refuse_second(const Fixture *fixture, Guest *first)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *answer = NULL;
    GuestSpec spec = {.launcher = launcher,
                      .config = fixture->place->config,
                      .storage_cfg = fixture->place->storage_cfg,
                      .runtime_dir = fixture->run};
    Guest *second = guest_start(&spec, &error);

    g_assert_null(second);
    g_assert_error(error, GUEST_ERROR, GUEST_ERROR_LAUNCH);
    g_assert_nonnull(strstr(error->message, "114"));
    g_assert_nonnull(strstr(error->message, "already"));
    answer = in_guest(first, "echo alive");
    g_assert_cmpstr(answer, ==, "alive");
}

static Guest *boot_and_check(const Fixture *fixture)
{
    Guest *guest = boot(fixture, fixture->run, NULL);
    g_autofree char *machine = NULL;

    check_all(guest);
    /* the kernel could mount /dev/vda by itself: it is our initrd that did */
    machine = in_guest(guest, "cat /proc/cmdline; nproc; uname -r; dmesg | grep 'Run /init'");
    g_test_message("%s", machine);
    return guest;
}

/* Boot, every check, shut down; boot again: what was written is there; end by microvm-ctl. */
static void test_main_job(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Guest) first = boot_and_check(fixture), second = NULL;
    g_autofree char *written = NULL, *found = NULL;

    written = in_guest(first, "head -c 1M /dev/urandom >/var/survivor; sha256sum /var/survivor");
    power_down(first);

    second = boot(fixture, fixture->run, NULL);
    found = in_guest(second, "sha256sum /var/survivor");
    g_assert_cmpstr(found, ==, written);
    refuse_second(fixture, second);
    end_by_ctl(fixture, second);
}

/* In the guest; its exit status must be 0 or not, and what it said is to be @expected. */
static void assert_there(Guest *guest, const char *shell_command, const char *expected)
{
    g_autofree char *line = g_strdup_printf("{ %s; } 2>&1 || echo failed", shell_command);
    g_autofree char *seen = in_guest(guest, line);

    if (!g_pattern_match_simple(expected, seen))
        g_error("%s: '%s' is not '%s'", shell_command, seen, expected);
}

static void assert_share(const char *run, const char *const *words, int code, const char *expected)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_autofree char *seen = NULL;
    g_auto(GStrv) argv = NULL;

    g_strv_builder_add_many(builder, "share", "114", NULL);
    for (; *words; words++)
        g_strv_builder_add(builder, *words);
    argv = g_strv_builder_end(builder);
    seen = run_ctl(run, (const char *const *)argv, code);
    if (!g_pattern_match_simple(expected, seen))
        g_error("share %s: '%s' is not '%s'", argv[2], seen, expected);
}

#define SHARE(code, expected, ...) \
    assert_share(run_dir, (const char *const[]){__VA_ARGS__, NULL}, code, expected)

/* A file there: its kind and mode, and that its owner is whose the directory is. */
static void assert_owned(const char *dir, const char *name, mode_t mode)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    GStatBuf st;

    g_assert_no_errno(g_lstat(path, &st));
    g_assert_cmpint(st.st_uid, ==, OWNER);
    g_assert_cmpint(st.st_gid, ==, OWNER);
    g_assert_cmphex(st.st_mode, ==, mode);
}

static char *make_shared(const Fixture *fixture)
{
    char *dir = g_strconcat(fixture->place->dir, "/src", NULL);
    g_autofree char *hello = g_strconcat(dir, "/hello", NULL);
    g_autofree char *out = g_strconcat(dir, "/out", NULL);

    g_assert_no_errno(g_mkdir(dir, 0700));
    place_write(hello, "from the host\n");
    g_assert_no_errno(symlink("/etc", out));
    g_assert_no_errno(chown(hello, OWNER, OWNER));
    g_assert_no_errno(chown(dir, OWNER, OWNER));
    return dir;
}

/* What QEMU, as nobody, may do for a guest: no less than was shared, and no more. */
static void test_share(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    static const char *const options[] = {"--shares", "--user", "nobody", NULL};
    const char *run_dir = fixture->run;
    g_autofree char *src = make_shared(fixture);
    g_autoptr(Guest) guest = boot(fixture, run_dir, options);
    g_autoptr(GError) error = NULL;

    assert_there(guest, "mkdir /s && mount -t 9p -o trans=virtio,version=9p2000.L shares /s", "");
    assert_there(guest, "ls /s", "");
    SHARE(0, "*it is /mnt/src", src);
    SHARE(1, "*has a share 'src' already*", src);
    SHARE(0, "*it is /mnt/ro", src, "--name", "ro", "--read-only");
    assert_there(guest, "cat /s/src/hello /s/ro/hello", "from the host\nfrom the host");
    assert_there(guest,
                 "cd /s/src && echo x >new && chmod 4755 new && ln -s /etc/passwd link && "
                 "mknod null c 1 3 && readlink link",
                 "/etc/passwd");
    assert_owned(src, "new", S_IFREG | 0600);
    assert_owned(src, "link", S_IFREG | 0600);
    assert_owned(src, "null", S_IFREG | 0600);
    assert_there(guest, "cat /s/src/out/hostname", "*failed");
    assert_there(guest, "touch /s/ro/new2", "*Read-only file system*failed");
    assert_there(guest, "touch /s/new3", "*failed");
    assert_there(guest, "sleep 1000 </s/src/hello >/dev/null 2>&1 & echo $!", "*");
    SHARE(1, "*files open in 'src'*", "src", "--remove");
    assert_there(guest, "pkill sleep; while pgrep sleep; do :; done", "*");
    SHARE(0, "", "src", "--remove");
    SHARE(1, "*has no share 'src'", "src", "--remove");
    SHARE(0, "ro *read-only*/src", "--list");
    assert_there(guest, "ls /s", "ro");
    /* a mounted tree cannot be moved along with the guest */
    g_assert_false(qmp_run(guest->qmp, "migrate", g_strdup("{\"uri\": \"unix:/nowhere\"}"),
                           channel_deadline(BOOT_LIMIT), &error));
    g_assert_nonnull(strstr(error->message, "mounted in the guest"));
    power_down(guest);
    g_assert_no_errno(g_rmdir(LIVE_SHARE_DIR)); /* it is empty */
}

/* The answer's member @name, an integer. */
static gint64 int_of(JsonNode *answer, const char *name)
{
    g_assert_nonnull(answer);
    return json_object_get_int_member_with_default(json_node_get_object(answer), name, -1);
}

/* Has the agent run a program, and does not wait for its end; returns its process id there. */
static gint64 start_program(Guest *guest)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) answer =
        agent_execute(guest->agent, "guest-exec",
                      "{\"path\": \"/bin/sh\", \"arg\": [\"-c\", \"sleep 5; exit 7\"]}",
                      channel_deadline(BOOT_LIMIT), &error);

    g_assert_no_error(error);
    return int_of(answer, "pid");
}

static void assert_program_ends(Guest *guest, gint64 pid)
{
    g_autofree char *arguments = g_strdup_printf("{\"pid\": %" G_GINT64_FORMAT "}", pid);
    gint64 deadline = channel_deadline(BOOT_LIMIT);
    gint64 code = -1;

    /* the agent answers at once, and says nothing by itself */
    while (code < 0 && g_get_monotonic_time() < deadline) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) answer =
            agent_execute(guest->agent, "guest-exec-status", arguments, deadline, &error);

        g_assert_no_error(error);
        code = int_of(answer, "exitcode");
        if (code < 0)
            g_usleep(G_USEC_PER_SEC / 10);
    }
    g_assert_cmpint(code, ==, 7);
}

static Guest *await_move(const Fixture *fixture, const char *run_dir, const char *uri)
{
    g_autoptr(GError) error = NULL;
    const char *const trailing[] = {"-incoming", uri, NULL};
    GuestSpec spec = {.launcher = launcher,
                      .config = fixture->place->config,
                      .storage_cfg = fixture->place->storage_cfg,
                      .runtime_dir = run_dir,
                      .trailing = trailing};
    Guest *guest = guest_start(&spec, &error);

    g_assert_no_error(error);
    return guest;
}

/* Where QEMU, whoever it runs as, can make its socket; to be freed. */
static char *move_uri(const Fixture *fixture)
{
    g_autofree char *dir = place_file(fixture->place, "move");

    g_assert_no_errno(g_mkdir(dir, 0700));
    g_assert_no_errno(g_chmod(dir, 01777));
    return g_strconcat("unix:", dir, "/114", NULL);
}

/* Debian moves while its agent has a program run: the same agent tells how that ended. */
static Guest *move_guest(const Fixture *fixture, Guest *source)
{
    static const char boot_id[] = "cat /proc/sys/kernel/random/boot_id";
    g_autofree char *there = place_file(fixture->place, "there"), *uri = move_uri(fixture);
    const char *const words[] = {"migrate", "114", "--to", uri, NULL};
    g_autofree char *before = in_guest(source, boot_id), *said = NULL, *after = NULL;
    Guest *target = await_move(fixture, there, uri);
    gint64 pid = start_program(source);
    GError *error = NULL;

    g_clear_pointer(&source->agent, agent_free);
    g_clear_pointer(&source->qmp, qmp_free);
    said = run_ctl(fixture->run, words, 0);
    g_test_message("%s", said);
    guest_left_nothing(source, &error);
    g_assert_no_error(error);
    guest_let_go(source);

    guest_wait_ready(target, channel_deadline(BOOT_LIMIT), &error);
    g_assert_no_error(error);
    assert_program_ends(target, pid);
    after = in_guest(target, boot_id);
    g_assert_cmpstr(after, ==, before);
    return target;
}

/* The same without the config's own words for QEMU; and a move to another QEMU. */
static void test_without_args(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Guest) guest = boot_and_check(fixture);
    g_autoptr(Guest) moved = move_guest(fixture, guest);
    GError *error = NULL;
    char *seen = check_network(moved, &error);

    assert_seen("network", seen, error);
    power_down(moved);
}

static const char *environment(const char *name)
{
    const char *value = g_getenv(name);

    if (!value) {
        g_printerr("test-e2e: %s is not set\n", name);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    launcher = environment("MICROVM_LAUNCH");
    ctl = environment("MICROVM_CTL");
    image = environment("MICROVM_IMAGE");
    config = environment("MICROVM_CONFIG");

    g_test_add("/e2e/config-as-it-is", Fixture, NULL, set_up, test_main_job, tear_down);
    g_test_add("/e2e/without-args", Fixture, "args:", set_up, test_without_args, tear_down);
    g_test_add("/e2e/share", Fixture, "args:", set_up, test_share, tear_down);
    return g_test_run();
}
