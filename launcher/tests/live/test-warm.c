/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Templates and clones of a real Debian guest, on TCG, as a user sees them.
 *
 *   test-warm MICROVM-CTL MICROVM-LAUNCH MICROVM-RUN
 *
 * The environment names what is used: MICROVM_QEMU, MICROVM_VMLINUX, MICROVM_INITRD, and
 * MICROVM_IMAGE, the demo guest's disk, of which a copy is made and given SSH keys. It runs as
 * root. Guests go into the background: run it in a PID namespace, so that they end with it however
 * it ends.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-glib/json-glib.h>

#include "channel.h"
#include "warm-common.h"

#define CLONES 3          /* at once */
#define CLONES_FULL 20    /* with MICROVM_FULL */
#define CLOCK_SECONDS 120 /* between a guest's answer and our looking at it, on such a host */
#define FIRST_ID 201
#define LIBCRYPTO "/usr/lib/x86_64-linux-gnu/libcrypto.so.3"

static void assert_refused(const char *word)
{
    if (!strstr(err, word))
        g_error("'%s' does not mention '%s'", err, word);
    g_assert_cmpint(code, ==, 1);
}

static void assert_usable(void)
{
    CTL("template", "list");
    assert_done();
    g_assert_true(g_regex_match_simple("^web .* usable$", out, G_REGEX_MULTILINE, 0));
}

static char *memory_sum(void)
{
    g_autofree char *path = g_build_filename(store, "templates/web/memory", NULL);
    const char *argv[] = {"sha256sum", path, NULL};

    run(argv);
    g_assert_cmpint(code, ==, 0);
    return g_strdup(out);
}

static void assert_mode(const char *name, guint mode)
{
    g_autofree char *path = g_build_filename(store, "templates/web", name, NULL);
    struct stat st;

    g_assert_cmpint(lstat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, mode);
    g_assert_cmpuint(st.st_uid, ==, 0);
}

/* Only for its owner; nothing of the guest that it was is left; and not made twice by mistake. */
static void test_make(void)
{
    static const char *const files[] = {"memory",     "state",         "scsi0.qcow2", "scsi0.layer",
                                        "guest.conf", "manifest.json", NULL};
    g_autofree char *templates = g_build_filename(store, "templates", NULL);
    g_autofree char *web = g_build_filename(templates, "web", NULL), *all = NULL, *there = NULL;

    need_template();
    assert_mode("", 0700);
    for (int i = 0; files[i]; i++)
        assert_mode(files[i], 0600);
    all = names_in(templates);
    g_assert_cmpstr(all, ==, "web");
    there = names_in(web);
    g_assert_cmpstr(there, ==,
                    "guest.conf\nmanifest.json\nmemory\nscsi0.layer\nscsi0.qcow2\nstate");
    assert_empty(run_dir);
    assert_usable();
    CTL("template", "make", config, "--name", "web", MAKE_WORDS);
    assert_refused("there is a template 'web' already; --replace makes it anew");
}

static const struct {
    const char *what, *line;
} parts[] = {
    {"the first random bytes", "head -c 32 /dev/urandom | base64"},
    {"host name", "hostname"},
    {"the file of the host name", "cat /etc/hostname"},
    {"machine id", "cat /etc/machine-id"},
    {"address of eth0", "cat /sys/class/net/eth0/address"},
    {"IPv6 address of eth0", "ip -6 -br address show dev eth0"},
    {"SSH host key", "cat /etc/ssh/ssh_host_ed25519_key.pub"},
    {"seed for the next boot", "base64 -w0 /var/lib/systemd/random-seed"},
};

/* Nothing of @id that anybody had before. */
static void look_at(int id, GHashTable *seen)
{
    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        char *said = in_guest(id, parts[i].line),
             *key = g_strconcat(parts[i].what, ": ", said, NULL);

        g_free(said);
        if (!g_hash_table_add(seen, key))
            g_error("guest %d is not the first with %s", id, key);
    }
}

static void assert_identity(int id)
{
    g_autofree char *name = g_strdup_printf("web-%d", id), *host = in_guest(id, "hostname");
    g_autofree char *hosts = in_guest(id, "getent hosts 127.0.1.1; date +%s");
    g_autofree char *keys = in_guest(id, "ls /etc/ssh/ssh_host_*; stat -c %a "
                                         "/etc/ssh/ssh_host_ed25519_key");
    g_autofree char *link = in_guest(id, "cat /sys/class/net/eth0/carrier");
    gint64 now = g_get_real_time() / G_USEC_PER_SEC, there;

    g_assert_cmpstr(host, ==, name);
    g_assert_nonnull(strstr(hosts, name));
    there = g_ascii_strtoll(strrchr(hosts, '\n') + 1, NULL, 10);
    g_assert_cmpint(ABS(now - there), <, CLOCK_SECONDS);
    g_assert_cmpstr(keys, ==,
                    "/etc/ssh/ssh_host_ed25519_key\n/etc/ssh/ssh_host_ed25519_key.pub\n600");
    g_assert_cmpstr(link, ==, "1");
}

/* By DHCP, once the service that does it has started. */
static void assert_address(int id)
{
    g_autofree char *said =
        in_guest(id, "/usr/lib/systemd/systemd-networkd-wait-online --timeout=600 -i eth0 -4 && "
                     "ip -4 -br address show dev eth0");

    if (!strstr(said, "10.0.2.15/24"))
        g_error("guest %d has no address: %s", id, said);
}

/* Its kernel has heard of it, if the template says that it would, and only then. */
static void assert_generation(int id)
{
    g_autofree char *said = NULL;
    gboolean has;

    CTL("template", "list", "--json");
    assert_done();
    has = strstr(out, "\"vmgenid\" : true") != NULL;
    g_test_message("VM generation ID: %s", has ? "yes" : "no");
    said = in_guest(id, "dmesg | grep -c 'reseeded due to virtual machine fork' || true");
    g_assert_cmpstr(said, ==, has ? "1" : "0");
}

/* Woken together, each is somebody. They are guests like any other to the other verbs. */
static void test_identity(void)
{
    int n = g_getenv("MICROVM_FULL") ? CLONES_FULL : CLONES;
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    need_template();
    wake(FIRST_ID, n);
    for (int i = 0; i < n; i++)
        look_at(FIRST_ID + i, seen);
    for (int i = 0; i < n; i++)
        assert_identity(FIRST_ID + i);
    assert_generation(FIRST_ID);
    assert_address(FIRST_ID);
    CTL("list");
    for (int i = 0; i < n; i++) {
        g_autofree char *line =
            g_strdup_printf("%-9d  web-%-16d  running ", FIRST_ID + i, FIRST_ID + i);

        if (!strstr(out, line))
            g_error("no '%s' in:\n%s", line, out);
    }
    CTL("clone", "web", "201");
    assert_refused("guest 201 runs already");
    for (int i = 0; i < n; i++)
        stop(FIRST_ID + i);
    assert_empty(run_dir);
}

/* The public half of a key, without its comment, by the private one and as it is told to others. */
static char *public_key(int id)
{
    g_autofree char *derived = in_guest(id, "ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key");
    char *told = in_guest(id, "cat /etc/ssh/ssh_host_ed25519_key.pub");
    gsize n = strlen("ssh-ed25519 ") + strcspn(told + strlen("ssh-ed25519 "), " ");

    g_assert_true(g_str_has_prefix(told, "ssh-ed25519 "));
    g_assert_cmpint(strncmp(derived, told, n), ==, 0);
    told[n] = '\0';
    return told;
}

/* Where the host's ssh-keygen makes no key, the guest does. */
static void test_keys(void)
{
    g_autofree char *path = g_strdup(g_getenv("PATH")), *by_host = NULL, *by_guest = NULL;
    g_autofree char *bin = in_dir("bin"), *asked = in_dir("asked");
    g_autofree char *program = g_build_filename(bin, "ssh-keygen", NULL);
    g_autofree char *script = g_strdup_printf("#!/bin/sh\n>%s\nexit 1\n", asked);

    need_template();
    wake(201, 1);
    by_host = public_key(201);
    stop(201);
    g_assert_no_errno(g_mkdir(bin, 0755));
    g_assert_true(g_file_set_contents(program, script, -1, NULL));
    g_assert_no_errno(g_chmod(program, 0755));
    g_setenv("PATH", bin, TRUE);
    wake(201, 1);
    g_assert_true(g_file_test(asked, G_FILE_TEST_EXISTS));
    g_setenv("PATH", path, TRUE);
    by_guest = public_key(201);
    stop(201);
    g_assert_cmpstr(by_host, !=, by_guest);
}

/* Reached from outside at its new address, by the image's echo service. */
static void test_forward(void)
{
    int port = free_port();
    g_autofree char *net = g_strdup_printf("user,hostfwd=tcp::%d-:7777", port), *line = NULL;

    need_template();
    CTL("clone", "web", "201", "--net", net);
    assert_done();
    assert_address(201);
    line = g_strdup_printf("exec 3<>/dev/tcp/127.0.0.1/%d; echo hello >&3; head -n 1 <&3", port);
    run((const char *const[]){"timeout", LIMIT, "bash", "-c", line, NULL});
    g_assert_cmpstr(err, ==, "");
    g_assert_cmpstr(out, ==, "hello\n");
    stop(201);
}

/* What one does to its memory and disk, no other sees, nor does it outlive it. */
static void test_private(void)
{
    g_autofree char *clones = g_build_filename(store, "clones", NULL), *before = NULL;
    g_autofree char *after = NULL, *said = NULL, *boot = NULL;

    need_template();
    before = memory_sum();
    wake(201, 1);
    assert_empty(clones);
    g_free(in_guest(201, "head -c 8M /dev/urandom >/var/mine; sync; "
                         "head -c 32M /dev/urandom >/dev/shm/mine"));
    CTL("balloon", "201", "160", "--timeout", LIMIT);
    assert_done();
    CTL("balloon", "201", "256", "--timeout", LIMIT);
    assert_done();
    wake(202, 1);
    said = in_guest(202, "ls /var/mine /dev/shm/mine 2>&1 || true");
    g_assert_null(strstr(said, "\n/"));
    g_assert_cmpint(said[0], ==, 'l');
    boot = in_guest(201, "sha256sum /var/mine | wc -l");
    g_assert_cmpstr(boot, ==, "1");
    stop(201);
    stop(202);
    after = memory_sum();
    g_assert_cmpstr(after, ==, before);
    assert_usable();
}

/* A config that names the template: in the launcher's place is what ends with the guest, and ends
 * it. */
static void test_by_config(void)
{
    g_autofree char *conf = in_dir("210.conf"), *said = NULL;
    const char *argv[] = {launcher, "--runtime-dir", run_dir, "--state-dir",
                          store,    "--no-limits",   conf,    NULL};
    char first[4] = "";
    GError *error = NULL;
    int output, status;
    GPid pid;

    need_template();
    g_assert_true(g_file_set_contents(conf, "machine: microvm\ntemplate: web\n", -1, NULL));
    g_spawn_async_with_pipes(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid,
                             NULL, &output, NULL, &error);
    g_assert_no_error(error);
    /* it says so when the guest is ready */
    g_assert_cmpint(read(output, first, 3), ==, 3);
    g_assert_cmpstr(first, ==, "210");
    said = in_guest(210, "hostname");
    g_assert_cmpstr(said, ==, "web-210");
    g_assert_cmpint(waitpid(pid, &status, WNOHANG), ==, 0);
    kill(pid, SIGTERM);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    close(output);
    assert_empty(run_dir);
    g_assert_cmpint(count_qemus(), ==, 0);
}

/* Killed while the guest boots: there is no template, and the next command leaves nothing of it. */
static void test_killed_while_made(void)
{
    g_autofree char *hidden = g_build_filename(store, "templates/.half", NULL);
    g_autofree char *qmp = g_build_filename(hidden, "run/114.qmp", NULL);
    const char *words[] = {"template", "make", config, "--name", "half", MAKE_WORDS, NULL};
    GPid pid = start_ctl(words);

    wait_for(qmp);
    kill_all(pid);
    g_assert_cmpint(count_qemus(), >, 0);
    CTL("template", "list");
    g_assert_null(strstr(out, "half"));
    CTL("clone", "half", "209");
    assert_refused("there is no template 'half'");
    CTL("template", "make", config, "--name", "half", "--", "--qemu", "/bin/false", "--kernel",
        vmlinux, "--initrd", initrd, "--net", "user");
    g_assert_cmpint(code, ==, 1);
    g_assert_false(g_file_test(hidden, G_FILE_TEST_EXISTS));
    g_assert_cmpint(count_qemus(), ==, 0);
}

/* ^C clears away by itself. */
static void test_interrupted(void)
{
    g_autofree char *hidden = g_build_filename(store, "templates/.half", NULL);
    g_autofree char *qmp = g_build_filename(hidden, "run/114.qmp", NULL);
    const char *words[] = {"template", "make", config, "--name", "half", MAKE_WORDS, NULL};
    GPid pid = start_ctl(words);
    int status;

    wait_for(qmp);
    kill(pid, SIGINT);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 128 + SIGINT);
    g_assert_false(g_file_test(hidden, G_FILE_TEST_EXISTS));
    g_assert_cmpint(count_qemus(), ==, 0);
}

/* QEMU ends while its guest wakes: an error, nothing left, and nobody else takes notice. */
static void test_killed_while_waking(void)
{
    g_autofree char *clones = g_build_filename(store, "clones", NULL);
    g_autofree char *pidfile = g_build_filename(run_dir, "202.pid", NULL), *text = NULL;
    g_autofree char *names = NULL, *said = NULL;
    const char *words[] = {"clone", "web", "202", NULL};
    int status;
    GPid pid;

    need_template();
    wake(201, 1);
    pid = start_ctl(words);
    wait_for(pidfile);
    while (!text || !*text)
        g_assert_true(g_file_get_contents(pidfile, &text, NULL, NULL));
    kill((pid_t)g_ascii_strtoll(text, NULL, 10), SIGKILL);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    assert_empty(clones);
    assert_usable();
    said = in_guest(201, "hostname");
    g_assert_cmpstr(said, ==, "web-201");
    stop(201);
    CTL("clone", "web", "202");
    assert_done();
    stop(202);
}

/* A clone whose layer cannot grow stands still; the others and the template go on. */
static void test_disk_full(void)
{
    g_autofree char *clones = g_build_filename(store, "clones", NULL), *said = NULL;

    need_template();
    wake(201, 1);
    g_assert_no_errno(unshare(CLONE_NEWNS));
    g_assert_no_errno(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    g_assert_no_errno(mount("none", clones, "tmpfs", 0, "size=64k"));
    CTL("clone", "web", "202");
    assert_refused("No space left");
    assert_empty(clones);
    g_assert_no_errno(mount("none", clones, "tmpfs", MS_REMOUNT, "size=16m"));
    wake(202, 1);
    CTL("--timeout", "60", "agent", "202", "exec", "sh", "-c",
        "dd if=/dev/urandom of=/var/big bs=1M count=64 conv=fsync");
    CTL("list");
    g_assert_nonnull(strstr(out, "io-error"));
    said = in_guest(201, "hostname");
    g_assert_cmpstr(said, ==, "web-201");
    stop(202);
    stop(201);
    assert_usable();
    g_assert_no_errno(umount(clones));
}

static void debugfs(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void debugfs(const char *format, ...)
{
    g_autofree char *command = NULL;
    va_list ap;

    va_start(ap, format);
    command = g_strdup_vprintf(format, ap);
    va_end(ap);
    run((const char *const[]){"debugfs", "-w", "-R", command, disk, NULL});
    g_assert_cmpint(code, ==, 0);
}

/*
 * The image has no SSH: it gets a key, and this host's ssh-keygen, which makes others, with the
 * library that it was built for.
 */
static void add_ssh(void)
{
    g_autofree char *key = in_dir("ssh_host_ed25519_key"), *script = in_dir("ssh-keygen");
    g_autofree char *keygen = g_find_program_in_path("ssh-keygen");

    g_assert_true(g_file_set_contents(script,
                                      "#!/bin/sh\n"
                                      "LD_LIBRARY_PATH=/usr/lib/host exec "
                                      "/usr/lib/host/ssh-keygen \"$@\"\n",
                                      -1, NULL));
    run((const char *const[]){keygen, "-q", "-t", "ed25519", "-N", "", "-f", key, NULL});
    g_assert_cmpint(code, ==, 0);
    debugfs("write %s /etc/ssh/ssh_host_ed25519_key", key);
    debugfs("write %s.pub /etc/ssh/ssh_host_ed25519_key.pub", key);
    debugfs("mkdir /usr/lib/host");
    debugfs("write " LIBCRYPTO " /usr/lib/host/libcrypto.so.3");
    debugfs("write %s /usr/lib/host/ssh-keygen", keygen);
    debugfs("write %s /usr/bin/ssh-keygen", script);
    debugfs("sif /usr/lib/host/ssh-keygen mode 0100755");
    debugfs("sif /usr/bin/ssh-keygen mode 0100755");
    debugfs("sif /etc/ssh/ssh_host_ed25519_key mode 0100600");
}

/* The launcher looks for microvm-ctl beside itself, and then there. */
static void add_to_path(const char *program)
{
    g_autofree char *its = g_path_get_dirname(program);
    g_autofree char *path = g_strconcat(its, ":", g_getenv("PATH"), NULL);

    g_setenv("PATH", path, TRUE);
}

static void prepare(void)
{
    g_autofree char *text = NULL;

    add_to_path(ctl);
    dir = g_dir_make_tmp("warm-XXXXXX", NULL);
    store = in_dir("store");
    run_dir = in_dir("run");
    config = in_dir("114.conf");
    disk = in_dir("disk.raw");
    run((const char *const[]){"cp", "--sparse=always", image, disk, NULL});
    g_assert_cmpint(code, ==, 0);
    g_assert_cmpint(g_mkdir(run_dir, 0700), ==, 0);
    add_ssh();
    text = g_strdup_printf("machine: microvm\nkvm: 0\nagent: 1\nmemory: 256\nname: web\n"
                           "rng0: source=/dev/urandom\nserial0: socket\nnet0: virtio\n"
                           "scsi0: %s\n",
                           disk);
    g_assert_true(g_file_set_contents(config, text, -1, NULL));
}

static const char *need(const char *name)
{
    const char *value = g_getenv(name);

    if (!value)
        g_error("%s is not set", name);
    return value;
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 4);
    ctl = argv[1];
    launcher = argv[2];
    microvm_run = argv[3];
    qemu = need("MICROVM_QEMU");
    vmlinux = need("MICROVM_VMLINUX");
    initrd = need("MICROVM_INITRD");
    image = need("MICROVM_IMAGE");
    prepare();
    g_test_add_func("/warm/make", test_make);
    g_test_add_func("/warm/identity", test_identity);
    g_test_add_func("/warm/keys", test_keys);
    g_test_add_func("/warm/forward", test_forward);
    g_test_add_func("/warm/private", test_private);
    add_cost_tests();
    g_test_add_func("/warm/by-config", test_by_config);
    add_run_tests();
    g_test_add_func("/warm/killed-while-made", test_killed_while_made);
    g_test_add_func("/warm/interrupted", test_interrupted);
    g_test_add_func("/warm/killed-while-waking", test_killed_while_waking);
    g_test_add_func("/warm/disk-full", test_disk_full);
    status = g_test_run();
    run((const char *const[]){"rm", "-r", dir, NULL});
    return status;
}
