/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks that microvm-image has made, booted on TCG: a directory, a container image on disk and from
 * a registry, a tarball of Debian and, with MICROVM_FULL, a fresh Debian that is fetched.
 *
 *   test-boot MICROVM-LAUNCH MICROVM-IMAGE
 *
 * The environment names what is used: MICROVM_QEMU, MICROVM_KERNEL, MICROVM_INITRD, a tarball of a
 * Debian with the guest agent, MICROVM_DEBIAN_TAR, and MICROVM_REGISTRY, which is ci/registry.
 */
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "guest.h"

#define LIMIT 300 /* seconds for a boot, on a slow, busy host */

static const char *launcher, *image;

typedef struct {
    char *dir, *disk, *config;
} Fixture;

static void run(const Fixture *f, const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    int status;

    g_spawn_sync(f->dir, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status,
                 &error);
    g_assert_no_error(error);
    if (status != 0)
        g_error("%s has failed", argv[0]);
}

#define RUN(f, ...) run(f, (const char *const[]){__VA_ARGS__, NULL})
#define IMAGE(f, ...) RUN(f, image, "--cache", "cache", __VA_ARGS__, (f)->disk)

static void write_file(const Fixture *f, const char *name, const char *text, int mode)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL), *dir = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(g_chmod(path, mode), ==, 0);
}

static void set_up(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *text = NULL;

    f->dir = g_dir_make_tmp("microvm-boot-XXXXXX", NULL);
    g_assert_nonnull(f->dir);
    f->disk = g_build_filename(f->dir, "disk.img", NULL);
    f->config = g_build_filename(f->dir, "7.conf", NULL);
    text =
        g_strdup_printf("machine: microvm\nkvm: 0\nmemory: 512\nagent: 1\n"
                        "scsi0: %s,format=raw\nnet0: virtio=02:00:00:00:00:07\nserial0: socket\n",
                        f->disk);
    write_file(f, "7.conf", text, 0644);
}

static void tear_down(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    RUN(f, "rm", "-rf", "--one-file-system", f->dir);
    g_free(f->dir);
    g_free(f->disk);
    g_free(f->config);
}

static Guest *boot(const Fixture *f)
{
    const char *options[] = {
        "--qemu",   g_getenv("MICROVM_QEMU"),   "--kernel", g_getenv("MICROVM_KERNEL"),
        "--initrd", g_getenv("MICROVM_INITRD"), "--user",   "root",
        NULL};
    GuestSpec spec = {
        .launcher = launcher, .config = f->config, .runtime_dir = f->dir, .options = options};
    g_autoptr(GError) error = NULL;
    Guest *guest = guest_start(&spec, &error);

    g_assert_no_error(error);
    return guest;
}

/* All that the guest prints up to its end; to be freed. */
static char *console_of(Guest *guest)
{
    g_autoptr(GError) error = NULL;
    char *text;

    if (!console_wait_closed(guest->console, channel_deadline(LIMIT), &error)) {
        g_autofree char *shown = console_text(guest->console);

        g_test_message("the console showed:\n%s", shown);
    }
    g_assert_no_error(error);
    text = console_text(guest->console);
    g_test_message("the console showed:\n%s", text);
    return text;
}

static void add_busybox(const Fixture *f, const char *tree)
{
    g_autofree char *bin = g_build_filename(tree, "bin", NULL),
                    *sh = g_build_filename(bin, "sh", NULL);

    RUN(f, "mkdir", "-p", bin);
    RUN(f, "cp", "/bin/busybox", bin);
    RUN(f, "ln", "-s", "busybox", sh);
}

static void test_directory(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Guest) guest = NULL;
    g_autofree char *text = NULL;

    add_busybox(f, "tree");
    RUN(f, "mkdir", "-p", "tree/proc", "tree/sys", "tree/dev", "tree/sbin");
    write_file(f, "tree/sbin/init",
               "#!/bin/sh\necho \"root-is $(/bin/busybox grep ' / ' /proc/mounts)\"\n"
               "/bin/busybox poweroff -f\n",
               0755);
    IMAGE(f, "--size", "64M", "tree");
    guest = boot(f);
    text = console_of(guest);
    g_assert_nonnull(strstr(text, "root-is /dev/vda / ext4 "));
}

/* The image oci:t in the directory "oci". */
static void make_oci(const Fixture *f, const char *script)
{
    RUN(f, "umoci", "init", "--layout", "oci");
    RUN(f, "umoci", "new", "--image", "oci:t");
    add_busybox(f, "tree");
    RUN(f, "umoci", "insert", "--image", "oci:t", "tree/bin", "/bin");
    RUN(f, "umoci", "config", "--image", "oci:t", "--config.entrypoint", "busybox",
        "--config.entrypoint", "sh", "--config.entrypoint", "-c", "--config.cmd", script,
        "--config.env", "WORDS=its own  words", "--config.user", "1000:1001", "--config.workingdir",
        "/bin");
}

static void make_container(const Fixture *f, const char *script)
{
    make_oci(f, script);
    IMAGE(f, "--size", "64M", "--hostname", "box", "oci:oci:t");
}

/* The program has what the image says; when it ends, the guest does, and says how. */
static void test_container(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Guest) guest = NULL;
    g_autofree char *text = NULL;

    make_container(f, "echo it-is $(busybox id -u) $(busybox id -g) $(busybox hostname) $(pwd) "
                      "\"$WORDS\"; exit 3");
    guest = boot(f);
    text = console_of(guest);
    g_assert_nonnull(strstr(text, "it-is 1000 1001 box /bin its own  words"));
    g_assert_nonnull(strstr(text, "busybox has ended (status 3)"));
}

/* The power button asks the program to end. */
static void test_container_button(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Guest) guest = NULL;
    g_autofree char *text = NULL;

    make_container(f, "trap 'echo asked to end; exit 0' TERM; echo ready-$((40 + 2)); "
                      "while :; do busybox sleep 1; done");
    guest = boot(f);
    console_wait(guest->console, "ready-42", channel_deadline(LIMIT), NULL, &error);
    g_assert_no_error(error);
    guest_power_down(guest, channel_deadline(LIMIT), &error);
    g_assert_no_error(error);
    text = console_text(guest->console);
    g_assert_nonnull(strstr(text, "asked to end"));
    g_assert_nonnull(strstr(text, "busybox has ended (status 0)"));
}

static void end_with_test(G_GNUC_UNUSED gpointer data)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

/*
 * Starts a registry in the directory "registry"; its address in *@address, to be freed. Its
 * log, which the pipe in *@said has room for, ends it if it is closed.
 */
static GPid start_registry(const Fixture *f, char **address, FILE **said)
{
    static const char sign[] = "listening on ";
    const char *argv[] = {g_getenv("MICROVM_REGISTRY"), "registry", NULL};
    GError *error = NULL;
    char line[4096], *at = NULL;
    GPid pid;
    int fd;

    RUN(f, "mkdir", "registry");
    g_spawn_async_with_pipes(f->dir, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, end_with_test,
                             NULL, &pid, NULL, NULL, &fd, &error);
    g_assert_no_error(error);
    *said = fdopen(fd, "r");
    while (!at && fgets(line, sizeof(line), *said)) {
        g_test_message("registry: %s", g_strchomp(line));
        at = strstr(line, sign);
    }
    g_assert_nonnull(at);
    at += strlen(sign);
    *address = g_strndup(at, strspn(at, "0123456789.:"));
    return pid;
}

/* From a registry, which has no TLS: skopeo is told so where it looks for it. */
static void test_registry(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *address = NULL, *conf = NULL, *to = NULL, *home = NULL, *text = NULL;
    g_autoptr(Guest) guest = NULL;
    FILE *said;
    GPid registry = start_registry(f, &address, &said);
    int status;

    make_oci(f, "echo it-came from afar");
    to = g_strdup_printf("docker://%s/some/box:t", address);
    RUN(f, "skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "oci:oci:t", to);
    RUN(f, "rm", "-r", "oci");
    conf = g_strdup_printf("[[registry]]\nlocation = \"%s\"\ninsecure = true\n", address);
    write_file(f, "home/.config/containers/registries.conf", conf, 0644);
    home = g_strdup_printf("HOME=%s/home", f->dir);
    RUN(f, "env", home, image, "--cache", "cache", "--size", "64M", to, f->disk);
    kill(registry, SIGTERM);
    g_assert_cmpint(waitpid(registry, &status, 0), ==, registry);
    fclose(said);
    guest = boot(f);
    text = console_of(guest);
    g_assert_nonnull(strstr(text, "it-came from afar"));
}

static void assert_says(Guest *guest, const char *command, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *out = agent_shell(guest->agent, command, channel_deadline(LIMIT), &error);

    g_assert_no_error(error);
    g_assert_cmpstr(g_strchomp(out), ==, expected);
}

static void boot_debian(const Fixture *f, const char *hostname)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Guest) guest = boot(f);

    if (!guest_wait_ready(guest, channel_deadline(LIMIT), &error)) {
        g_autofree char *text = console_text(guest->console);

        g_test_message("the console showed:\n%s", text);
    }
    g_assert_no_error(error);
    assert_says(guest, "hostname", hostname);
    assert_says(guest, "systemctl list-units --failed --no-legend", "");
    assert_says(guest, "sed -n 's/^root:\\([^:]*\\):.*/\\1/p' /etc/shadow", "");
    guest_power_down(guest, channel_deadline(LIMIT), &error);
    g_assert_no_error(error);
}

static void test_debian_tarball(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    IMAGE(f, "--hostname", "fromtar", "--no-password", g_getenv("MICROVM_DEBIAN_TAR"));
    boot_debian(f, "fromtar");
}

static void test_debian_suite(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    IMAGE(f, "--no-password", "--profile", "ssh", "debian:trixie");
    boot_debian(f, "microvm");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 3);
    launcher = argv[1];
    image = argv[2];
    g_assert_nonnull(g_getenv("MICROVM_QEMU"));
    g_assert_nonnull(g_getenv("MICROVM_KERNEL"));
    g_assert_nonnull(g_getenv("MICROVM_INITRD"));
    g_assert_nonnull(g_getenv("MICROVM_DEBIAN_TAR"));
    g_assert_nonnull(g_getenv("MICROVM_REGISTRY"));

#define ADD(name, function) g_test_add("/boot/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("directory", test_directory);
    ADD("container", test_container);
    ADD("container-button", test_container_button);
    ADD("registry", test_registry);
    ADD("debian-tarball", test_debian_tarball);
    if (g_getenv("MICROVM_FULL"))
        ADD("debian-suite", test_debian_suite);
    return g_test_run();
}
