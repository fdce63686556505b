/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The launcher as a user meets it: each bad input is one line on stderr and leaves nothing behind,
 * and what is executed in the end inherits what it should and no more.
 *
 *   test-launch LAUNCHER QEMU-FAKE VIRTIOFSD-FAKE MAN-PAGE CONFIG-MD
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <net/if.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *launcher, *qemu_fake, *virtiofsd_fake, *manual, *document;

typedef struct {
    char *dir; /* everything lies in here: config, disk, kernel, initrd; "run" is to be made */
    char *out, *err;
    int code; /* exit status */
} Fixture;

static char *in_dir(const Fixture *f, const char *name)
{
    return g_build_filename(f->dir, name, NULL);
}

static void write_file(const Fixture *f, const char *name, const char *text, gssize len)
{
    g_autofree char *path = in_dir(f, name);

    g_assert_true(g_file_set_contents(path, text, len, NULL));
}

/* The least that passes for a bzImage. */
static void write_kernel(const Fixture *f, const char *name)
{
    char image[2048] = {0};

    memcpy(image + 0x202, "HdrS\x0f\x02", 6);
    write_file(f, name, image, sizeof(image));
}

static void write_config(const Fixture *f, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void write_config(const Fixture *f, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    write_file(f, "114.conf", text, -1);
}

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->dir = g_dir_make_tmp("launch-XXXXXX", NULL);
    write_kernel(f, "kernel");
    write_file(f, "initrd", "x", 1);
    write_file(f, "disk.raw", "x", 1);
    write_config(f, "machine: microvm\nkvm: 0\nscsi0: %s/disk.raw\nserial0: socket\n", f->dir);
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
    remove_tree(f->dir);
    g_free(f->dir);
    g_free(f->out);
    g_free(f->err);
}

/*
 * Runs the launcher in ->dir with good options, and then @more, which may override them. As root it
 * is told to stay that, unless @more begins with "".
 */
static void run(Fixture *f, const char *const *more)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    g_auto(GStrv) argv = NULL;
    GError *error = NULL;
    int status;

    g_clear_pointer(&f->out, g_free);
    g_clear_pointer(&f->err, g_free);
    g_strv_builder_add_many(words, launcher, "--qemu", qemu_fake, "--kernel", "kernel", "--initrd",
                            "initrd", "--runtime-dir", "run", NULL);
    if (more && more[0] && !*more[0])
        more++;
    else if (geteuid() == 0)
        g_strv_builder_add_many(words, "--user", "root", NULL);
    for (; more && *more; more++)
        g_strv_builder_add(words, *more);
    argv = g_strv_builder_end(words);
    g_spawn_sync(f->dir, argv, NULL, G_SPAWN_LEAVE_DESCRIPTORS_OPEN, NULL, NULL, &f->out, &f->err,
                 &status, &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status));
    f->code = WEXITSTATUS(status);
}

#define RUN(f, ...) run(f, (const char *const[]){__VA_ARGS__, NULL})

/* Refused with one line that has @word, and no run directory made. */
static void assert_refused(const Fixture *f, int code, const char *word)
{
    g_autofree char *run_dir = in_dir(f, "run");

    g_assert_cmpstr(f->out, ==, "");
    if (!strstr(f->err, word))
        g_error("'%s' does not mention '%s'", f->err, word);
    g_assert_true(strchr(f->err, '\n') == f->err + strlen(f->err) - 1);
    g_assert_cmpint(f->code, ==, code);
    g_assert_false(g_file_test(run_dir, G_FILE_TEST_EXISTS));
}

static void test_config_files(Fixture *f, gconstpointer data)
{
    (void)data;
    RUN(f, "115.conf");
    assert_refused(f, 1, "115.conf: cannot be read: No such file or directory");
    RUN(f, "--id", "1", ".");
    assert_refused(f, 1, "directory");
    write_config(f, "machine: pc-i440fx-9.0\n");
    RUN(f, "114.conf");
    assert_refused(f, 1, "114.conf:1: machine: unknown machine 'pc-i440fx-9.0'");
    RUN(f, "--check", "114.conf");
    assert_refused(f, 1, "114.conf:1: machine: unknown machine 'pc-i440fx-9.0'");
    RUN(f, "--id", "7", "kernel");
    g_assert_cmpint(f->code, ==, 1);
}

static void test_usage(Fixture *f, gconstpointer data)
{
    (void)data;
    run(f, NULL);
    assert_refused(f, 2, "no config file given");
    RUN(f, "114.conf", "115.conf");
    assert_refused(f, 2, "more than one config file");
    RUN(f, "--assume", "none", "114.conf");
    assert_refused(f, 2, "--assume goes with --print");
    RUN(f, "--frobnicate", "114.conf");
    assert_refused(f, 2, "frobnicate");
}

/* @text without what roff needs a backslash for. */
static char *plain(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "\\", -1);

    return g_strjoinv("", parts);
}

/* Each option of --help is in the manual and in the document on configs. */
static void test_options_documented(Fixture *f, gconstpointer data)
{
    const char *const files[] = {manual, document};
    guint n = 0;

    (void)data;
    RUN(f, "--help");
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *text = NULL, *words = NULL;
        const char *at = f->out;

        g_assert_true(g_file_get_contents(files[i], &text, NULL, NULL));
        words = plain(text);
        for (; (at = strstr(at, "\n  --")); n++) {
            g_autofree char *option = NULL;

            at += strlen("\n  ");
            option = g_strndup(at, strcspn(at, " \n"));
            if (!strstr(words, option))
                g_error("%s does not mention %s", files[i], option);
        }
    }
    g_assert_cmpuint(n, >, 30);
}

/* A command line that nobody gets is no success. */
static void test_standard_output(Fixture *f, gconstpointer data)
{
    g_autofree char *err = NULL;
    char *argv[] = {(char *)"sh",     (char *)"-c",       (char *)"exec \"$0\" \"$@\" >/dev/full",
                    (char *)launcher, (char *)"--print",  (char *)"--assume",
                    (char *)"none",   (char *)"114.conf", NULL};
    int status;

    (void)data;
    g_assert_true(g_spawn_sync(f->dir, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &err,
                               &status, NULL));
    g_assert_cmpstr(err, ==, "microvm-launch: standard output: No space left on device\n");
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
}

static void test_affinity(Fixture *f, gconstpointer data)
{
    (void)data;
    write_config(f, "machine: microvm\nkvm: 0\naffinity: 8000-8191\n");
    RUN(f, "114.conf");
    assert_refused(f, 1, "114.conf:3: affinity: cannot run on CPUs 8000-8191 of this host: ");
}

static void test_missing_disk(Fixture *f, gconstpointer data)
{
    (void)data;
    write_config(f, "machine: microvm\nkvm: 0\nscsi0: /nonexistent/d.raw\n");
    RUN(f, "114.conf");
    assert_refused(f, 1, "114.conf:3: scsi0: disk /nonexistent/d.raw: No such file or directory");
    write_config(f, "machine: microvm\nkvm: 0\nvirtio1: %s\n", f->dir);
    RUN(f, "114.conf");
    assert_refused(f, 1, "a directory");
    write_config(f, "machine: microvm\nkvm: 0\nvirtio1: /dev/null\n");
    RUN(f, "114.conf");
    assert_refused(f, 1, "114.conf:3: virtio1: disk /dev/null: not a");
}

static void test_missing_programs(Fixture *f, gconstpointer data)
{
    (void)data;
    RUN(f, "--qemu", "/nonexistent/qemu", "114.conf");
    assert_refused(f, 1, "QEMU /nonexistent/qemu: No such file or directory");
    RUN(f, "--qemu", "disk.raw", "114.conf");
    assert_refused(f, 1, "disk.raw: Permission denied");
    RUN(f, "--kernel", "/nonexistent/vmlinux", "114.conf");
    assert_refused(f, 1, ": kernel /nonexistent/vmlinux: No such file or directory");
    RUN(f, "--kernel", "disk.raw", "114.conf");
    assert_refused(f, 1, "no known kind of file, not a kernel");
    RUN(f, "--initrd", "/nonexistent/initrd", "114.conf");
    assert_refused(f, 1, "initrd /nonexistent/initrd: No such file or directory");
    write_config(f, "machine: microvm\nkvm: 0\nargs: -kernel /nonexistent/k\n");
    RUN(f, "114.conf");
    assert_refused(f, 1, "114.conf:3: args: kernel /nonexistent/k: No such file or directory");
    write_config(f, "machine: microvm\nkvm: 0\nargs: -initrd /nonexistent/i\n");
    RUN(f, "114.conf");
    assert_refused(f, 1, "args: initrd /nonexistent/i: No such file or directory");
}

/* A copy of the launcher, with nothing beside it, on a machine where nothing is installed. */
static void test_no_qemu_anywhere(Fixture *f, gconstpointer data)
{
    g_autofree char *out = NULL, *err = NULL;
    char *argv[] = {(char *)launcher, (char *)"--print", (char *)"114.conf", NULL};
    int status;

    (void)data;
    if (g_file_test("/usr/lib/microvm/qemu-system-x86_64", G_FILE_TEST_EXISTS)) {
        g_test_skip("QEMU is installed here");
        return;
    }
    g_assert_true(
        g_spawn_sync(f->dir, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err, &status, NULL));
    g_assert_nonnull(strstr(err, "no QEMU: none of "));
    g_assert_nonnull(strstr(err, "--qemu"));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
}

static void test_run_directory(Fixture *f, gconstpointer data)
{
    (void)data;
    RUN(f, "--runtime-dir", "disk.raw", "114.conf");
    assert_refused(f, 1, "disk.raw: not a directory");
    RUN(f, "--runtime-dir", "", "114.conf");
    assert_refused(f, 2, "an option has an empty value");
    RUN(f, "--runtime-dir", "/proc/microvm", "114.conf");
    assert_refused(f, 1, "run directory /proc/microvm: No such file or directory");
    g_assert_cmpint(g_chmod(f->dir, 0777), ==, 0);
    RUN(f, "--runtime-dir", ".", "114.conf");
    assert_refused(f, 1, "other users can write in it");
}

static void test_running(Fixture *f, gconstpointer data)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    g_autofree char *dir = in_dir(f, "run"), *pidfile = in_dir(f, "run/114.pid");
    g_autofree char *pid = g_strdup_printf("as process %d", (int)getpid());
    int fd;

    (void)data;
    g_assert_cmpint(g_mkdir(dir, 0700), ==, 0);
    fd = open(pidfile, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    g_assert_cmpint(fcntl(fd, F_SETLK, &lock), ==, 0);
    RUN(f, "114.conf");
    g_assert_cmpint(f->code, ==, 3);
    g_assert_nonnull(strstr(f->err, "guest 114 runs already"));
    g_assert_nonnull(strstr(f->err, pid));
    /* A file that nobody locks is what a crash leaves. */
    close(fd);
    RUN(f, "114.conf");
    g_assert_cmpint(f->code, ==, 0);
}

static void test_bridge(Fixture *f, gconstpointer data)
{
    (void)data;
    write_config(f, "machine: microvm\nkvm: 0\nnet0: virtio,bridge=nosuchbr0\n");
    RUN(f, "114.conf");
    assert_refused(f, 1, "114.conf:3: net0: there is no bridge nosuchbr0");
    g_assert_nonnull(strstr(f->err, "--net user"));
    /* An interface, and no bridge. */
    write_config(f, "machine: microvm\nkvm: 0\nnet0: virtio,bridge=lo\n");
    RUN(f, "114.conf");
    assert_refused(f, 1, "there is no bridge lo");
    RUN(f, "--net", "user", "114.conf");
    g_assert_cmpint(f->code, ==, 0);
}

static void test_exec(Fixture *f, gconstpointer data)
{
    g_autofree char *dir = in_dir(f, "run"), *argv0 = g_strdup_printf("argv0=%s\n", qemu_fake);
    struct stat st;
    int stray = open("/etc/hostname", O_RDONLY);

    (void)data;
    RUN(f, "114.conf", "--", "-S", "--", "x y");
    g_assert_cmpstr(f->err, ==, "");
    g_assert_cmpint(f->code, ==, 0);
    g_assert_true(g_str_has_prefix(f->out, argv0));
    g_assert_nonnull(strstr(f->out, "\numask=077\ncore=0\narg="));
    g_assert_true(g_str_has_suffix(f->out, "\narg=-S\narg=--\narg=x y\n"));
    g_assert_cmpint(stat(dir, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0700);
    if (stray >= 0)
        close(stray);
}

/* No program that QEMU starts can have more rights, unless the config says how it is confined. */
static void test_privileges(Fixture *f, gconstpointer data)
{
    (void)data;
    RUN(f, "114.conf");
    g_assert_nonnull(strstr(f->out, "\nNoNewPrivs:\t1\n"));
    g_assert_nonnull(strstr(f->out, "\narg=-sandbox\n"));
    RUN(f, "114.conf", "--", "-sandbox", "off");
    g_assert_nonnull(strstr(f->out, "\nNoNewPrivs:\t0\n"));
}

/* A copy of the program that stands for QEMU, where anybody can get at it. */
static void copy_qemu(const Fixture *f)
{
    g_autofree char *program = NULL, *path = in_dir(f, "qemu");
    gsize len;

    g_assert_true(g_file_get_contents(qemu_fake, &program, &len, NULL));
    write_file(f, "qemu", program, (gssize)len);
    g_assert_cmpint(g_chmod(path, 0755), ==, 0);
}

static void test_user(Fixture *f, gconstpointer data)
{
    static const char backed[80] = "QFI\xfb\0\0\0\3\0\0\0\0\0\0\1";
    g_autofree char *run_dir = in_dir(f, "run"), *image = in_dir(f, "disk.qcow2");
    struct passwd *nobody = getpwnam("nobody");
    struct stat st;

    (void)data;
    RUN(f, "--user", "no such user", "114.conf");
    assert_refused(f, 1, "--user 'no such user': ");
    if (geteuid() != 0 || !nobody) {
        RUN(f, "--user", "root", "114.conf");
        assert_refused(f, 1, "only root can run QEMU as another user");
        return;
    }
    copy_qemu(f);
    /* What that user may not open is known before anything is done. */
    RUN(f, "--qemu", "qemu", "--user", "nobody", "114.conf");
    assert_refused(f, 1, "as user nobody: ");
    g_assert_cmpint(g_chmod(f->dir, 0755), ==, 0);
    /* An image whose backing file is QEMU's to find must be that user's; others are passed open. */
    write_file(f, "disk.qcow2", backed, sizeof(backed));
    write_config(f, "machine: microvm\nkvm: 0\nscsi1: %s/disk.qcow2,format=qcow2\n", f->dir);
    g_assert_cmpint(g_chmod(image, 0600), ==, 0);
    RUN(f, "--qemu", "qemu", "--user", "nobody", "114.conf");
    assert_refused(f, 1, "disk.qcow2: Permission denied");
    g_assert_cmpint(chown(image, nobody->pw_uid, (gid_t)-1), ==, 0);
    RUN(f, "--qemu", "qemu", "--user", "nobody", "114.conf");
    g_assert_cmpstr(f->err, ==, "");
    g_assert_nonnull(strstr(f->out, "\nuid=65534 gid=65534 groups="));
    g_assert_null(strstr(f->out, "\nfd="));
    g_assert_cmpint(stat(run_dir, &st), ==, 0);
    g_assert_cmpint(st.st_uid, ==, nobody->pw_uid);
    g_assert_cmpint(st.st_mode & 0777, ==, 0700);
    /* And is nobody else's from then on. */
    RUN(f, "114.conf");
    g_assert_cmpint(f->code, ==, 1);
    g_assert_nonnull(strstr(f->err, "it belongs to another user"));
}

/* Who is not root cannot mount directories for a guest, and is told so before anything is done. */
static void test_shares_refused(Fixture *f, gconstpointer data)
{
    const char *as_other[] = {"setpriv",  "--reuid=65534", "--regid=65534", "--clear-groups",
                              "./launch", "--qemu",        "./qemu",        "--kernel",
                              "kernel",   "--initrd",      "initrd",        "--runtime-dir",
                              "run",      "--shares",      "114.conf",      NULL};
    g_autofree char *copy = in_dir(f, "launch"), *disk = in_dir(f, "disk.raw");
    const char *copy_launcher[] = {"cp", launcher, copy, NULL};

    (void)data;
    if (geteuid() != 0) {
        RUN(f, "--shares", "114.conf");
        assert_refused(f, 1, "--shares: only root can mount directories for a guest");
        return;
    }
    copy_qemu(f);
    g_assert_true(g_spawn_sync(NULL, (char **)copy_launcher, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                               NULL, NULL, NULL, NULL));
    g_assert_cmpint(g_chmod(f->dir, 0777), ==, 0);
    g_assert_cmpint(g_chmod(disk, 0666), ==, 0);
    g_assert_true(g_spawn_sync(f->dir, (char **)as_other, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                               &f->out, &f->err, &f->code, NULL));
    g_assert_true(WIFEXITED(f->code));
    f->code = WEXITSTATUS(f->code);
    assert_refused(f, 1, "--shares: only root can mount directories for a guest");
}

/* In the child, which sees another /etc/passwd. Returns what it exits with. */
static int default_guest(Fixture *f)
{
    g_autofree char *passwd = in_dir(f, "passwd"), *disk = in_dir(f, "disk.raw");
    g_autofree char *opened = g_strdup_printf("\nfd=3 %s\n", disk);

    write_file(f, "passwd",
               "root:x:0:0::/root:/bin/sh\nmicrovm:x:65533:65534::/nonexistent:/usr/sbin/nologin\n",
               -1);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(passwd, "/etc/passwd", NULL, MS_BIND, NULL) < 0)
        return 77;
    RUN(f, "", "--qemu", "qemu", "114.conf");
    g_printerr("%s", f->err);
    return !(f->code == 0 && strstr(f->out, "\nuid=65533 gid=65534 ") && strstr(f->out, opened) &&
             strstr(f->out, "\narg=fd=3,set=3\n") &&
             strstr(f->out, "\"filename\":\"/dev/fdset/3\"") && !*f->err);
}

/*
 * Started by root, QEMU runs as the user who is there for it, and gets open what only root may
 * open; where there is none, that is said.
 */
static void test_default_user(Fixture *f, gconstpointer data)
{
    g_autofree char *disk = in_dir(f, "disk.raw");
    int status;
    pid_t child;

    (void)data;
    if (geteuid() != 0) {
        g_test_skip("only root can run QEMU as another user");
        return;
    }
    copy_qemu(f);
    g_assert_cmpint(g_chmod(f->dir, 0755), ==, 0);
    g_assert_cmpint(g_chmod(disk, 0600), ==, 0);
    child = fork();
    if (child == 0)
        _exit(default_guest(f));
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        g_test_skip("no mount namespace of its own can be had here");
    else
        g_assert_cmpint(status, ==, 0);
    if (getpwnam("microvm"))
        return;
    RUN(f, "", "--runtime-dir", "other", "114.conf");
    g_assert_nonnull(strstr(f->err, "QEMU runs as root: this host has no user 'microvm' for it"));
    g_assert_cmpint(f->code, ==, 0);
}

/* One that cannot be limited is started all the same. */
static void test_limits(Fixture *f, gconstpointer data)
{
    (void)data;
    write_config(f, "machine: microvm\nkvm: 0\ncpulimit: 1.5\n");
    RUN(f, "114.conf");
    g_assert_cmpint(f->code, ==, 0);
    if (strstr(f->out, "\n0::/microvm/114\n"))
        g_assert_cmpstr(f->err, ==, "");
    else
        g_assert_nonnull(strstr(f->err, "warning: cpulimit, cpuunits: no limits set: "));
}

static void write_share(const Fixture *f)
{
    g_autofree char *text = g_strdup_printf("srv\n\tmap path=%s\n", f->dir);

    write_file(f, "directory.cfg", text, -1);
    write_config(f, "machine: microvm\nkvm: 0\nvirtiofs0: srv,cache=never\n");
}

/* virtiofsd is connected to QEMU, has nothing else of ours, and ends when QEMU does. */
static void test_virtiofs(Fixture *f, gconstpointer data)
{
    g_autofree char *ended = in_dir(f, "ended");
    g_autofree char *words = g_strdup_printf("\nvirtiofsd=--shared-dir=%s --announce-submounts "
                                             "--cache=never --syslog --fd=3 \n",
                                             f->dir);
    struct pollfd pfd;

    (void)data;
    write_share(f);
    g_assert_cmpint(mkfifo(ended, 0600), ==, 0);
    pfd = (struct pollfd){.fd = open(ended, O_RDWR | O_CLOEXEC), .events = POLLIN};
    RUN(f, "--directory-cfg", "directory.cfg", "--virtiofsd", virtiofsd_fake, "114.conf");
    g_assert_cmpstr(f->err, ==, "");
    if (!strstr(f->out, words))
        g_error("not %s but %s", words, f->out);
    g_assert_nonnull(strstr(f->out, "\nfd=3 socket:"));
    g_assert_null(strstr(f->out, "\nfd=4 "));
    g_assert_cmpint(poll(&pfd, 1, 60000), ==, 1);
    close(pfd.fd);
}

static void test_virtiofs_refused(Fixture *f, gconstpointer data)
{
    (void)data;
    write_share(f);
    RUN(f, "--directory-cfg", "directory.cfg", "--virtiofsd", "/nonexistent/virtiofsd", "114.conf");
    assert_refused(f, 1, "virtiofs0: virtiofsd /nonexistent/virtiofsd: No such file or directory");
    /* It may be executed, but cannot. */
    write_file(f, "broken",
               "\x7f"
               "ELF",
               -1);
    {
        g_autofree char *broken = in_dir(f, "broken");

        g_assert_cmpint(g_chmod(broken, 0755), ==, 0);
    }
    RUN(f, "--directory-cfg", "directory.cfg", "--virtiofsd", "broken", "114.conf");
    assert_refused(f, 1, "broken: Exec format error");
    write_file(f, "directory.cfg", "srv\n\tmap path=/nonexistent/srv\n", -1);
    RUN(f, "--directory-cfg", "directory.cfg", "--virtiofsd", virtiofsd_fake, "114.conf");
    assert_refused(f, 1, "virtiofs0: directory /nonexistent/srv: No such file or directory");
}

/* In the child, in a network namespace of its own with a bridge. Returns what it exits with. */
static int bridge_guest(Fixture *f)
{
    char *out = NULL;

    if (!g_spawn_command_line_sync("ip link add vmbr0 type bridge", NULL, NULL, NULL, NULL))
        return 77;
    if (!if_nametoindex("vmbr0"))
        return 77;
    RUN(f, "114.conf");
    out = f->out;
    g_printerr("%s", f->err);
    /* Named by number, held by number, there while QEMU is, and gone with it. */
    return !(f->code == 0 && strstr(out, "fd=3 /dev/net/tun\n") && !strstr(out, "fd=6 ") &&
             strstr(out, "fd=4 /dev/net/tun\n") && strstr(out, "id=net0,fds=3:4,") &&
             strstr(out, "tap=") && !strstr(out, "tap=0\n") && strstr(out, "host_mtu=1500") &&
             !if_nametoindex("tap114i0"));
}

static void test_tap(Fixture *f, gconstpointer data)
{
    int status;
    pid_t child;

    (void)data;
    if (access("/dev/net/tun", R_OK | W_OK) < 0) {
        g_test_skip("/dev/net/tun cannot be opened");
        return;
    }
    write_config(f, "machine: microvm\nkvm: 0\nnet0: virtio,bridge=vmbr0,queues=2\n");
    child = fork();
    if (child == 0)
        _exit(unshare(CLONE_NEWNET) < 0 ? 77 : bridge_guest(f));
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        g_test_skip("no network namespace with a bridge can be made here");
    else
        g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

/* A second NIC that cannot be had (its tap is somebody else's) takes the first one's tap, and the
 * run directory, with it. */
static int failing_guest(Fixture *f)
{
    g_autofree char *dir = in_dir(f, "run");

    if (!g_spawn_command_line_sync("ip link add vmbr0 type bridge", NULL, NULL, NULL, NULL) ||
        !if_nametoindex("vmbr0"))
        return 77;
    g_spawn_command_line_sync("ip tuntap add tap114i1 mode tap", NULL, NULL, NULL, NULL);
    if (!if_nametoindex("tap114i1"))
        return 77;
    RUN(f, "114.conf");
    g_printerr("%s", f->err);
    return !(f->code == 1 && strstr(f->err, "net1: cannot make tap tap114i1") &&
             !if_nametoindex("tap114i0") && !g_file_test(dir, G_FILE_TEST_EXISTS));
}

static void test_nothing_left(Fixture *f, gconstpointer data)
{
    int status;
    pid_t child;

    (void)data;
    if (access("/dev/net/tun", R_OK | W_OK) < 0) {
        g_test_skip("/dev/net/tun cannot be opened");
        return;
    }
    write_config(f, "machine: microvm\nkvm: 0\nnet0: virtio,bridge=vmbr0\n"
                    "net1: virtio,bridge=vmbr0\n");
    child = fork();
    if (child == 0)
        _exit(unshare(CLONE_NEWNET) < 0 ? 77 : failing_guest(f));
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        g_test_skip("no network namespace with a bridge can be made here");
    else
        g_assert_cmpint(status, ==, 0);
}

#define ADD(name, func) g_test_add("/launch/" name, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 6);
    launcher = g_canonicalize_filename(argv[1], NULL);
    qemu_fake = g_canonicalize_filename(argv[2], NULL);
    virtiofsd_fake = g_canonicalize_filename(argv[3], NULL);
    manual = argv[4];
    document = argv[5];
    ADD("config-files", test_config_files);
    ADD("usage", test_usage);
    ADD("options-documented", test_options_documented);
    ADD("standard-output", test_standard_output);
    ADD("affinity", test_affinity);
    ADD("missing-disk", test_missing_disk);
    ADD("missing-programs", test_missing_programs);
    ADD("no-qemu-anywhere", test_no_qemu_anywhere);
    ADD("run-directory", test_run_directory);
    ADD("running", test_running);
    ADD("bridge", test_bridge);
    ADD("exec", test_exec);
    ADD("privileges", test_privileges);
    ADD("user", test_user);
    ADD("default-user", test_default_user);
    ADD("shares-refused", test_shares_refused);
    ADD("limits", test_limits);
    ADD("virtiofs", test_virtiofs);
    ADD("virtiofs-refused", test_virtiofs_refused);
    ADD("tap", test_tap);
    ADD("nothing-left", test_nothing_left);
    return g_test_run();
}
