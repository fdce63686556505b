/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many instructions the launcher takes from its own exec to that of QEMU, counted by valgrind's
 * callgrind, so that a busy machine makes no difference. What stands for QEMU is a file that cannot
 * be executed: the launcher comes as far as that and ends.
 *
 *   test-speed LAUNCHER
 */
#include <glib/gstdio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define MOST 3000000 /* for any config that the board takes */
#define EVEN 1.25    /* what one more device costs, at most, as part of what it costs elsewhere */

static const char *launcher;

typedef struct {
    char *dir;
} Fixture;

static char *in_dir(const Fixture *f, const char *name)
{
    return g_build_filename(f->dir, name, NULL);
}

static void write_file(const Fixture *f, const char *name, const char *data, gssize len)
{
    g_autofree char *path = in_dir(f, name);

    g_assert_true(g_file_set_contents(path, data, len, NULL));
}

/*
 * As root: a user microvm, so that QEMU is to run as that, in a mount namespace of our own. Else
 * that part is not counted.
 */
static void make_account(const Fixture *f)
{
    g_autofree char *passwd = in_dir(f, "passwd");

    if (geteuid() != 0)
        return;
    write_file(f, "passwd", "root:x:0:0::/root:/bin/sh\nmicrovm:x:65533:65534::/:/bin/false\n", -1);
    g_assert_cmpint(unshare(CLONE_NEWNS), ==, 0);
    g_assert_cmpint(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
    g_assert_cmpint(mount(passwd, "/etc/passwd", NULL, MS_BIND, NULL), ==, 0);
}

static void set_up(Fixture *f, gconstpointer data)
{
    char kernel[2048] = {0};
    g_autofree char *qemu = NULL;

    (void)data;
    f->dir = g_dir_make_tmp("speed-XXXXXX", NULL);
    g_assert_cmpint(g_chmod(f->dir, 0755), ==, 0);
    make_account(f);
    memcpy(kernel + 0x202, "HdrS\x0f\x02", 6);
    write_file(f, "kernel", kernel, sizeof(kernel));
    write_file(f, "initrd", "x", 1);
    write_file(f, "disk.raw", "x", 1);
    write_file(f, "qemu",
               "\x7f"
               "ELF",
               4);
    qemu = in_dir(f, "qemu");
    g_assert_cmpint(g_chmod(qemu, 0755), ==, 0);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    g_autoptr(GDir) files = g_dir_open(f->dir, 0, NULL);
    const char *name;

    (void)data;
    if (geteuid() == 0)
        g_assert_cmpint(umount2("/etc/passwd", MNT_DETACH), ==, 0);
    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *path = in_dir(f, name);

        g_remove(path);
    }
    g_assert_cmpint(g_rmdir(f->dir), ==, 0);
    g_free(f->dir);
}

/* @disks with every option that is often seen, and @nics. */
static void write_config(const Fixture *f, int disks, int nics)
{
    g_autoptr(GString) text =
        g_string_new("machine: microvm\nkvm: 0\nname: web\ncores: 4\nmemory: 2048\nagent: 1\n"
                     "rng0: source=/dev/urandom\nserial0: socket\nonboot: 1\ntags: a;b\n");

    for (int i = 0; i < disks; i++)
        g_string_append_printf(text,
                               "scsi%d: %s/disk.raw,cache=writeback,discard=on,iothread=1,"
                               "mbps_rd=10,serial=disk%d,size=32G\n",
                               i, f->dir, i);
    for (int i = 0; i < nics; i++)
        g_string_append_printf(text, "net%d: virtio=BC:24:11:00:00:%02X,mtu=1400\n", i, i);
    write_file(f, "100.conf", text->str, -1);
}

/* The instructions of one run with @mode, or to the exec without it; it says @end on stderr. */
static gint64 count(const Fixture *f, const char *mode, const char *end)
{
    const char *argv[] = {"valgrind",
                          "--tool=callgrind",
                          "--callgrind-out-file=/dev/null",
                          launcher,
                          "--qemu",
                          "qemu",
                          "--kernel",
                          "kernel",
                          "--initrd",
                          "initrd",
                          "--runtime-dir",
                          "run",
                          "100.conf",
                          mode,
                          NULL};
    g_autofree char *err = NULL;
    GError *error = NULL;
    const char *at;

    g_spawn_sync(f->dir, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL,
                 NULL, NULL, NULL, &err, NULL, &error);
    g_assert_no_error(error);
    if (!strstr(err, end))
        g_error("'%s' is not in: %s", end, err);
    at = strstr(err, "Collected : ");
    g_assert_nonnull(at);
    return g_ascii_strtoll(at + strlen("Collected : "), NULL, 10);
}

static void test_to_exec(Fixture *f, gconstpointer data)
{
    static const char end[] = "qemu: Exec format error";
    gint64 small, half, largest;

    (void)data;
    write_config(f, 1, 0);
    small = count(f, NULL, end);
    write_config(f, 11, 0);
    half = count(f, NULL, end);
    write_config(f, 21, 0); /* and rng, balloon, agent: 24 devices */
    largest = count(f, NULL, end);
    g_test_message("one disk %" G_GINT64_FORMAT ", 21 disks %" G_GINT64_FORMAT
                   " instructions; a disk %" G_GINT64_FORMAT,
                   small, largest, (largest - small) / 20);
    g_assert_cmpint(largest, <, MOST);
    g_assert_cmpfloat((double)(largest - half), <, (double)(half - small) * EVEN);
}

/* More than the board takes is read and checked all the same. */
static void test_growth(Fixture *f, gconstpointer data)
{
    gint64 none, half, all;

    (void)data;
    write_config(f, 0, 0);
    none = count(f, "--check", "");
    write_config(f, 15, 16);
    half = count(f, "--check", "");
    write_config(f, 31, 32);
    all = count(f, "--check", "");
    g_test_message("checked: no device %" G_GINT64_FORMAT ", 31 disks and 32 NICs %" G_GINT64_FORMAT
                   " instructions; a device %" G_GINT64_FORMAT,
                   none, all, (all - none) / 63);
    g_assert_cmpint(all, <, MOST);
    g_assert_cmpfloat((double)(all - half) / 32, <, (double)(half - none) / 31 * EVEN);
    all = count(f, NULL, "66 virtio devices, and the board has 24 places");
    g_test_message("refused: %" G_GINT64_FORMAT " instructions", all);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 2);
    launcher = g_canonicalize_filename(argv[1], NULL);
    g_test_add("/speed/to-exec", Fixture, NULL, set_up, test_to_exec, tear_down);
    g_test_add("/speed/growth", Fixture, NULL, set_up, test_growth, tear_down);
    return g_test_run();
}
