/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * microvm-image, from outside: disks of each kind of source but a fetched one, what it refuses, and
 * what it leaves when it is broken off.
 *
 *   test-image MICROVM-IMAGE CONTAINER-INIT AS-USER LIB MAN-PAGE BASH-COMPLETION ZSH-COMPLETION
 *
 * Wants to be root. Disks are looked at with debugfs and e2fsck.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER 70123             /* nobody's */
#define LIMIT 120              /* seconds */
#define FILE_LIMIT (8LL << 30) /* a fault in what is tested is not to fill the disk */

static const char *program, *container_init, *as_user, *lib, *man_page, *completions[2];

typedef struct {
    char *dir, *cache, *out_dir, *output;
    int code;
    char *out, *err;
} Fixture;

static char *in_dir(const Fixture *f, const char *name)
{
    return g_build_filename(f->dir, name, NULL);
}

static void run(Fixture *f, const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    int status;

    g_clear_pointer(&f->out, g_free);
    g_clear_pointer(&f->err, g_free);
    g_spawn_sync(f->dir, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &f->out, &f->err,
                 &status, &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status));
    f->code = WEXITSTATUS(status);
}

#define RUN(f, ...) run(f, (const char *const[]){__VA_ARGS__, NULL})
#define IMAGE(f, ...) RUN(f, program, "--cache", (f)->cache, __VA_ARGS__)

static void assert_done(const Fixture *f)
{
    if (f->code != 0)
        g_error("status %d: %s", f->code, f->err);
}

static void assert_refused(const Fixture *f, int code, const char *words)
{
    if (!strstr(f->err, words))
        g_error("'%s' does not say '%s'", f->err, words);
    g_assert_cmpint(f->code, ==, code);
}

static guint count_files(const char *path, const char *prefix)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    guint n = 0;

    while (dir && (name = g_dir_read_name(dir)))
        n += g_str_has_prefix(name, prefix);
    return n;
}

/* Neither an output nor a part of one, nor work. */
static void assert_nothing_left(const Fixture *f)
{
    g_assert_cmpuint(count_files(f->out_dir, ""), ==, 0);
    g_assert_cmpuint(count_files(f->cache, "work."), ==, 0);
}

static void write_file(const Fixture *f, const char *name, const char *text, int mode)
{
    g_autofree char *path = in_dir(f, name), *dir = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(chmod(path, (mode_t)mode), ==, 0);
}

static void set_up(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *tree = NULL;

    f->dir = g_dir_make_tmp("microvm-image-XXXXXX", NULL);
    g_assert_nonnull(f->dir);
    g_assert_cmpint(chmod(f->dir, 0755), ==, 0);
    f->cache = in_dir(f, "cache");
    f->out_dir = in_dir(f, "out");
    f->output = g_build_filename(f->out_dir, "disk.img", NULL);
    g_assert_cmpint(mkdir(f->out_dir, 0755), ==, 0);
    write_file(f, "tree/sbin/init", "not run here\n", 0755);
    write_file(f, "tree/etc/shadow", "root:*:1:0:99999:7:::\ndaemon:*:1::::::\n", 0640);
    write_file(f, "tree/home/file", "of somebody\n", 04711);
    tree = in_dir(f, "tree/home/file");
    g_assert_cmpint(chown(tree, 1234, 4321), ==, 0);
    g_assert_cmpint(chmod(tree, 04711), ==, 0);
}

static void tear_down(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    RUN(f, "rm", "-rf", "--one-file-system", f->dir);
    assert_done(f);
    g_free(f->dir);
    g_free(f->cache);
    g_free(f->out_dir);
    g_free(f->output);
    g_free(f->out);
    g_free(f->err);
}

/* What debugfs says to @command; to be freed. */
static char *debugfs(Fixture *f, const char *command)
{
    RUN(f, "/usr/sbin/debugfs", "-R", command, f->output);
    assert_done(f);
    return g_strdup(f->out);
}

static void assert_in_disk(Fixture *f, const char *command, const char *words)
{
    g_autofree char *said = debugfs(f, command);

    if (!strstr(said, words))
        g_error("%s: '%s' does not say '%s'", command, said, words);
}

static void assert_not_in_disk(Fixture *f, const char *path)
{
    g_autofree char *command = g_strconcat("stat ", path, NULL);
    g_autofree char *said = debugfs(f, command);

    g_assert_null(strstr(said, "Inode:"));
}

static void assert_good_disk(Fixture *f)
{
    struct stat st;

    RUN(f, "/usr/sbin/e2fsck", "-fn", f->output);
    assert_done(f);
    assert_in_disk(f, "show_super_stats -h", "microvm-root");
    g_assert_cmpint(stat(f->output, &st), ==, 0);
    g_assert_cmpint(st.st_blocks * 512, <, st.st_size / 2); /* sparse */
    g_assert_cmpuint(count_files(f->out_dir, ""), ==, 1);
    g_assert_cmpuint(count_files(f->cache, "work."), ==, 0);
}

static void test_usage(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    static const struct {
        const char *words[7], *says;
        int code;
    } wrong[] = {
        {{NULL}, "a SOURCE and an OUTPUT", 2},
        {{"tree"}, "a SOURCE and an OUTPUT", 2},
        {{"tree", "out/disk.img", "more"}, "a SOURCE and an OUTPUT", 2},
        {{"--nonsense", "tree", "out/disk.img"}, "nonsense", 2},
        {{"--size", "big", "tree", "out/disk.img"}, "--size: 'big'", 2},
        {{"--size", "1M", "tree", "out/disk.img"}, "--size: 1M is not from 16M to 16T", 2},
        {{"--size", "17T", "tree", "out/disk.img"}, "--size: 17T", 2},
        {{"--format", "vmdk", "tree", "out/disk.img"}, "'vmdk' is neither", 2},
        {{"--profile", "web", "tree", "out/disk.img"}, "there is no 'web'", 2},
        {{"--profile", "", "tree", "out/disk.img"}, "--profile: NAME", 2},
        {{"--hostname", "a b", "tree", "out/disk.img"}, "'a b' is not a host name", 2},
        {{"--packages", "vim", "tree", "out/disk.img"}, "--packages, --mirror", 2},
        {{"--packages", "a\"b", "debian:trixie", "out/disk.img"}, "a blank or a quote", 2},
        {{"--packages", "-o", "debian:trixie", "out/disk.img"}, "'-o' is not a package", 2},
        {{"--mirror", "http://a b", "debian:trixie", "out/disk.img"}, "--mirror", 2},
        {{"debian:Trixie", "out/disk.img"}, "'Trixie' is not a suite", 2},
        {{"debian:", "out/disk.img"}, "'' is not a suite", 2},
        {{"--keyring", "/none", "debian:trixie", "out/disk.img"}, "/none: No such file", 1},
        {{"missing.tar", "out/disk.img"}, "missing.tar: No such file", 1},
        {{"/dev/null", "out/disk.img"}, "neither a directory nor a file", 1},
        {{"tree", "none/disk.img"}, "none: No such file", 1},
        {{"tree", "/dev/null"}, "is there and no file", 1},
        {{"--ssh-key", "missing", "tree", "out/disk.img"}, "missing", 1},
        {{"--ssh-key", "tree/etc/shadow", "tree", "out/disk.img"}, "public keys are wanted", 1},
        {{"--profile", "docker", "tree", "out/disk.img"}, "no usr/bin/dockerd", 1},
        {{"--profile", "ssh", "tree", "out/disk.img"}, "no usr/sbin/sshd", 1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new();

        g_ptr_array_add(argv, (char *)program);
        g_ptr_array_add(argv, (char *)"--cache");
        g_ptr_array_add(argv, f->cache);
        for (const char *const *word = wrong[i].words; *word; word++)
            g_ptr_array_add(argv, (char *)*word);
        g_ptr_array_add(argv, NULL);
        run(f, (const char *const *)argv->pdata);
        assert_refused(f, wrong[i].code, wrong[i].says);
        g_assert_cmpstr(f->out, ==, "");
        assert_nothing_left(f);
    }
}

/* --help, the man page and the completions know the same options. */
static void test_help(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    const char *pages[] = {man_page, completions[0], completions[1]};
    g_auto(GStrv) words = NULL;
    guint n = 0;

    RUN(f, program, "--help");
    assert_done(f);
    words = g_strsplit_set(f->out, " \n", -1);
    for (gsize i = 0; i < G_N_ELEMENTS(pages); i++) {
        g_autofree char *raw = NULL;
        g_autoptr(GString) text = NULL;

        g_assert_true(g_file_get_contents(pages[i], &raw, NULL, NULL));
        text = g_string_new(raw);
        g_string_replace(text, "\\-", "-", 0);
        for (char **word = words; *word; word++) {
            g_autofree char *pattern = NULL;

            if (!g_str_has_prefix(*word, "--"))
                continue;
            n++;
            pattern = g_strdup_printf("(^|[^-\\w])%s([^-\\w]|$)", *word);
            if (!g_regex_match_simple(pattern, text->str, G_REGEX_MULTILINE, 0))
                g_error("%s does not have %s", pages[i], *word);
        }
    }
    g_assert_cmpuint(n, >=, 3 * 13);
}

static void test_directory(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *device = in_dir(f, "tree/home/device");

    g_assert_cmpint(mknod(device, S_IFCHR | 0600, makedev(1, 3)), ==, 0);
    IMAGE(f, "--size", "32M", "tree", f->output);
    assert_done(f);
    g_assert_nonnull(strstr(f->err, "1 device nodes are left out"));
    g_assert_nonnull(strstr(f->out, ": 32 MiB, takes "));
    assert_good_disk(f);
    assert_in_disk(f, "stat /home/file", "Mode:  04711");
    assert_in_disk(f, "stat /home/file", "User:  1234   Group:  4321");
    assert_in_disk(f, "cat /etc/shadow", "root:*:1:");
    assert_not_in_disk(f, "/home/device");
    assert_not_in_disk(f, "/etc/hostname");
}

static void test_options(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    write_file(f, "key.pub", "ssh-ed25519 AAAA me@here\n", 0644);
    IMAGE(f, "--size", "32M", "--hostname", "web", "--no-password", "--ssh-key", "key.pub", "tree",
          f->output);
    assert_done(f);
    assert_good_disk(f);
    assert_in_disk(f, "cat /etc/hostname", "web\n");
    assert_in_disk(f, "cat /etc/shadow", "root::1:0:99999:7:::\ndaemon:*:");
    assert_in_disk(f, "stat /etc/shadow", "Mode:  0640");
    assert_in_disk(f, "cat /root/.ssh/authorized_keys", "ssh-ed25519 AAAA me@here\n");
    assert_in_disk(f, "stat /root/.ssh", "Mode:  0700");
    /* the source is not touched */
    RUN(f, "cat", "tree/etc/shadow");
    g_assert_nonnull(strstr(f->out, "root:*:1:"));
}

static void test_tarballs(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    static const char *const kinds[][2] = {{"--no-auto-compress", "t.tar"},
                                           {"--gzip", "t.tar.gz"},
                                           {"--xz", "t.anything"},
                                           {"--zstd", "t.zst"}};

    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        RUN(f, "tar", "-C", "tree", kinds[i][0], "-cf", kinds[i][1], ".");
        assert_done(f);
        IMAGE(f, "--size", "32M", kinds[i][1], f->output);
        assert_done(f);
        assert_good_disk(f);
        assert_in_disk(f, "stat /home/file", "User:  1234   Group:  4321");
        g_assert_cmpint(g_unlink(f->output), ==, 0);
    }
}

static void test_qcow2(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    static const char stub[] =
        "#!/bin/sh\n"
        "printf '    (50.00/100%%)\\r    (100.00/100%%)\\n'\n"
        "[ \"$1 $2 $3 $4 $5 $6\" = 'convert -p -f raw -O qcow2' ] || exit 1\n"
        "exec cp --sparse=always -- \"$7\" \"$8\"\n";
    g_autofree char *path = NULL, *bin = in_dir(f, "bin");

    /* the words that qemu-img gets, whether or not this machine has one */
    write_file(f, "bin/qemu-img", stub, 0755);
    path = g_strdup_printf("PATH=%s:%s", bin, g_getenv("PATH"));
    RUN(f, "env", path, program, "--cache", f->cache, "--size", "32M", "--format", "qcow2", "tree",
        f->output);
    assert_done(f);
    g_assert_nonnull(strstr(f->err, "converting to qcow2"));
    assert_good_disk(f);
}

static void test_output(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *link = g_build_filename(f->out_dir, "link", NULL), *text = NULL;
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1};
    int fd;

    write_file(f, "out/disk.img", "precious", 0600);
    IMAGE(f, "--size", "32M", "tree", f->output);
    assert_refused(f, 1, "--force would replace it");
    g_assert_cmpint(symlink("disk.img", link), ==, 0);
    IMAGE(f, "--size", "32M", "--force", "tree", "out/link");
    assert_refused(f, 1, "only a file is ever made");
    g_unlink(link);

    /* as QEMU locks */
    fd = open(f->output, O_RDWR);
    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
    IMAGE(f, "--size", "32M", "--force", "tree", f->output);
    assert_refused(f, 1, "is in use");
    close(fd);
    g_assert_true(g_file_get_contents(f->output, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "precious");
    g_assert_cmpuint(count_files(f->out_dir, ""), ==, 1);

    IMAGE(f, "--size", "32M", "--force", "tree", f->output);
    assert_done(f);
    assert_good_disk(f);
}

static void test_too_small(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    RUN(f, "dd", "if=/dev/urandom", "of=tree/large", "bs=1M", "count=31", "status=none");
    assert_done(f);
    IMAGE(f, "--size", "32M", "tree", f->output);
    assert_refused(f, 1, "a disk of 32 MiB is too small for");
    assert_nothing_left(f);
    RUN(f, "dd", "if=/dev/urandom", "of=tree/large", "bs=1M", "count=40", "status=none");
    IMAGE(f, "--size", "32M", "tree", f->output);
    assert_refused(f, 1, "does not fit: more than 32 MiB");
    assert_nothing_left(f);
}

/* One member of a tarball that means harm, or nothing. */
typedef struct {
    const char *name;
    unsigned int type;
    const char *link, *text;
    gboolean hard;
} Member;

static void write_tarball(const Fixture *f, const char *name, const Member *members, gsize n)
{
    g_autofree char *path = in_dir(f, name);
    struct archive *archive = archive_write_new();

    archive_write_set_format_pax_restricted(archive);
    archive_write_open_filename(archive, path);
    for (gsize i = 0; i < n; i++) {
        const char *text = members[i].text ? members[i].text : "";
        struct archive_entry *entry = archive_entry_new();

        archive_entry_set_pathname(entry, members[i].name);
        archive_entry_set_filetype(entry, members[i].type);
        archive_entry_set_perm(entry, members[i].type == AE_IFDIR ? 0755 : 0644);
        archive_entry_set_size(entry, (gint64)strlen(text));
        if (members[i].hard)
            archive_entry_set_hardlink(entry, members[i].link);
        else if (members[i].link)
            archive_entry_set_symlink(entry, members[i].link);
        g_assert_cmpint(archive_write_header(archive, entry), ==, ARCHIVE_OK);
        archive_write_data(archive, text, strlen(text));
        archive_entry_free(entry);
    }
    g_assert_cmpint(archive_write_free(archive), ==, ARCHIVE_OK);
}

#define INIT                                         \
    {                                                \
        "sbin/init", AE_IFREG, NULL, "init\n", FALSE \
    }

/* Whatever a tarball says, nothing outside is read, changed or made. */
static void test_hostile(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *outside = in_dir(f, "outside"), *secret = in_dir(f, "outside/secret"),
                    *text = NULL;
    g_autofree char *through = g_strconcat("way", secret, NULL);
    const Member dots[] = {INIT, {"../../escaped", AE_IFREG, NULL, "x", FALSE}};
    const Member inner[] = {INIT, {"a/../../escaped", AE_IFREG, NULL, "x", FALSE}};
    const Member absolute[] = {INIT, {secret, AE_IFREG, NULL, "changed", FALSE}};
    const Member by_link[] = {INIT,
                              {"way", AE_IFLNK, outside, NULL, FALSE},
                              {"way/secret", AE_IFREG, NULL, "changed", FALSE}};
    const Member up_link[] = {INIT,
                              {"way", AE_IFLNK, "../../../../../../..", NULL, FALSE},
                              {through, AE_IFREG, NULL, "changed", FALSE}};
    const Member hard_link[] = {INIT, {"copy", AE_IFREG, secret, NULL, TRUE}};
    const Member etc[] = {INIT, {"etc", AE_IFLNK, outside, NULL, FALSE}};
    const Member devices[] = {
        INIT, {"disk", AE_IFBLK, NULL, NULL, FALSE}, {"fifo", AE_IFIFO, NULL, NULL, FALSE}};
    const struct {
        const char *what;
        const Member *members;
        gsize n;
        const char *refused; /* NULL: a disk is made */
    } cases[] = {
        {"dots", dots, 2, "contains '..'"}, {"inner", inner, 2, "contains '..'"},
        {"absolute", absolute, 2, NULL},    {"link", by_link, 3, "way/secret"},
        {"up", up_link, 3, NULL},           {"hard link", hard_link, 2, "copy"},
        {"etc", etc, 2, "/etc/hostname"},   {"devices", devices, 3, NULL},
    };

    write_file(f, "outside/secret", "kept", 0644);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].what);
        write_tarball(f, "t.tar", cases[i].members, cases[i].n);
        IMAGE(f, "--size", "32M", "--hostname", "owned", "t.tar", f->output);
        if (cases[i].refused) {
            assert_refused(f, 1, cases[i].refused);
            assert_nothing_left(f);
        } else {
            assert_done(f);
            assert_good_disk(f);
            g_unlink(f->output);
        }
        g_clear_pointer(&text, g_free);
        g_assert_true(g_file_get_contents(secret, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "kept");
        g_assert_cmpuint(count_files(outside, ""), ==, 1);
        g_assert_cmpuint(count_files(f->dir, "escaped"), ==, 0);
    }
}

static void test_broken_tarballs(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *path = in_dir(f, "t.tar");

    write_file(f, "t.tar", "", 0644);
    IMAGE(f, "t.tar", f->output);
    assert_refused(f, 1, "t.tar: ");
    write_file(f, "t.tar", "this is no tarball, but a text of some length\n", 0644);
    IMAGE(f, "t.tar", f->output);
    assert_refused(f, 1, "Unrecognized archive format");
    RUN(f, "tar", "-C", "tree", "-czf", "t.tar", ".");
    assert_done(f);
    g_assert_cmpint(truncate(path, 200), ==, 0);
    IMAGE(f, "t.tar", f->output);
    assert_refused(f, 1, "t.tar: ");
    assert_nothing_left(f);

    /* large, but for the most part a hole */
    RUN(f, "truncate", "-s", "1G", "tree/hole");
    RUN(f, "tar", "-C", "tree", "--sparse", "-cf", "t.tar", ".");
    assert_done(f);
    IMAGE(f, "--size", "32M", "t.tar", f->output);
    assert_done(f);
    assert_good_disk(f);
    assert_in_disk(f, "stat /hole", "Size: 1073741824");
}

static void test_nothing_to_start(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    RUN(f, "rm", "tree/sbin/init");
    IMAGE(f, "--size", "32M", "tree", f->output);
    assert_refused(f, 1, "nothing in it can be started");
    assert_nothing_left(f);
}

/* Starts the program with @bin before PATH; *@err is its standard error. */
static GPid start(Fixture *f, const char *bin, int *err)
{
    g_autofree char *path = g_strdup_printf("PATH=%s:%s", bin, g_getenv("PATH"));
    const char *argv[] = {"env",    path,  program, "--cache", f->cache,
                          "--size", "32M", "tree",  f->output, NULL};
    g_autoptr(GError) error = NULL;
    GPid pid;

    g_spawn_async_with_pipes(f->dir, (char **)argv, NULL,
                             G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid,
                             NULL, NULL, err, &error);
    g_assert_no_error(error);
    return pid;
}

/* Until @path is there. */
static void wait_for_file(const char *path)
{
    gint64 deadline = g_get_monotonic_time() + LIMIT * G_USEC_PER_SEC;

    while (access(path, F_OK) < 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(10000);
    }
}

/* Broken off by a signal it cleans up; killed outright, the next run does. */
static void test_interrupted(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *bin = in_dir(f, "bin"), *begun = in_dir(f, "begun"), *stub = NULL;
    int status, err;
    GPid pid;

    stub = g_strdup_printf("#!/bin/sh\n: >%s\nexec sleep 1000\n", begun);
    write_file(f, "bin/mke2fs", stub, 0755);
    pid = start(f, bin, &err);
    wait_for_file(begun);
    g_assert_cmpuint(count_files(f->cache, "work."), ==, 1);
    kill(pid, SIGTERM);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    close(err);
    assert_nothing_left(f);

    g_assert_cmpint(mkdir(f->cache, 0755) < 0 ? errno : 0, ==, EEXIST);
    write_file(f, "cache/work.killed/root/file", "left", 0644);
    IMAGE(f, "--size", "32M", "tree", f->output);
    assert_done(f);
    assert_good_disk(f);
}

/* What it says is what a tool has said last. */
static void test_tool_fails(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *bin = in_dir(f, "bin"), *path = NULL;

    write_file(f, "bin/mke2fs",
               "#!/bin/sh\necho first; echo 'no space, says the stub' >&2\nexit 7\n", 0755);
    path = g_strdup_printf("PATH=%s:%s", bin, g_getenv("PATH"));
    RUN(f, "env", path, program, "--cache", f->cache, "--size", "32M", "tree", f->output);
    assert_refused(f, 1, "mke2fs failed (status 7): no space, says the stub");
    assert_nothing_left(f);
}

/*
 * Programs that stand for apt-get and mmdebstrap: each leaves what it was told in a file, and fails
 * while the file "break-NAME" is there. The mirrors of apt-get's are those in the file "mirrors",
 * if there is one; mmdebstrap's makes a tarball.
 */
static void write_stubs(const Fixture *f)
{
    g_autofree char *apt =
        g_strdup_printf("#!/bin/sh\n[ $1 != indextargets ] || exec cat %s/mirrors\n"
                        "echo \"$@\" >>%s/apt-get.said\n"
                        "[ ! -e %s/break-apt-get ]\n",
                        f->dir, f->dir, f->dir);
    g_autofree char *mmdebstrap = g_strdup_printf(
        "#!/bin/sh\necho \"$@\" >>%s/mmdebstrap.said\n"
        "for word; do case $word in *.tar.new) tar -C %s/tree -cf \"$word\" .;; esac; done\n"
        "echo 'Unpacking x'\n[ ! -e %s/break-mmdebstrap ] || { echo broken; exit 3; }\n",
        f->dir, f->dir, f->dir);

    write_file(f, "bin/apt-get", apt, 0755);
    write_file(f, "bin/mmdebstrap", mmdebstrap, 0755);
    write_file(f, "bin/systemctl", "#!/bin/sh\necho \"$@\"\n", 0755);
    write_file(f, "keyring", "", 0644);
}

static gsize said_lines(const Fixture *f, const char *name)
{
    g_autofree char *path = in_dir(f, name), *text = NULL;
    gsize n = 0;

    if (g_file_get_contents(path, &text, NULL, NULL)) {
        for (const char *at = text; (at = strchr(at, '\n')); at++)
            n++;
    }
    return n;
}

static void test_suite(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *bin = in_dir(f, "bin"), *path = NULL, *said = NULL, *file = NULL;
    g_autofree char *keyring = NULL, *signed_by = NULL;

    write_stubs(f);
    path = g_strdup_printf("PATH=%s:%s", bin, g_getenv("PATH"));
#define SUITE(f, ...)                                                                            \
    RUN(f, "env", path, program, "--cache", (f)->cache, "--size", "32M", "--keyring", "keyring", \
        "--mirror", "http://mirror.invalid/debian", __VA_ARGS__, "debian:trixie", (f)->output)

    write_file(f, "break-apt-get", "", 0644);
    SUITE(f, "--profile", "ssh", "--packages", "vim");
    assert_refused(f, 1, "fetching the package lists: apt-get failed (status 1)");
    g_assert_cmpuint(said_lines(f, "mmdebstrap.said"), ==, 0);
    RUN(f, "rm", "break-apt-get");

    write_file(f, "break-mmdebstrap", "", 0644);
    SUITE(f, "--profile", "ssh", "--packages", "vim");
    assert_refused(f, 1, "installing packages: mmdebstrap failed (status 3): broken");
    assert_nothing_left(f);
    g_assert_cmpuint(count_files(f->cache, "debian-trixie"), ==, 0);
    RUN(f, "rm", "break-mmdebstrap");

    SUITE(f, "--profile", "ssh", "--packages", "vim");
    assert_done(f);
    assert_good_disk(f);
    assert_in_disk(f, "cat /etc/fstab", "LABEL=microvm-root / ext4");
    assert_in_disk(f, "cat /etc/hostname", "microvm\n");
    assert_in_disk(f, "cat /etc/systemd/system/ssh.service.d/host-keys.conf", "ssh-keygen -A");
    file = in_dir(f, "mmdebstrap.said");
    g_assert_true(g_file_get_contents(file, &said, NULL, NULL));
    keyring = in_dir(f, "keyring"); /* apt takes no other path than a full one */
    signed_by =
        g_strdup_printf("deb [signed-by=%s] http://mirror.invalid/debian trixie main", keyring);
    g_assert_nonnull(strstr(said, signed_by));
    g_assert_nonnull(strstr(said, "--include=openssh-server"));
    g_assert_nonnull(strstr(said, "--include=vim"));
    g_assert_nonnull(strstr(said, "/apt-trixie/archives"));

    /* the same again needs no network; other packages do */
    g_assert_cmpuint(said_lines(f, "mmdebstrap.said"), ==, 2);
    SUITE(f, "--profile", "ssh", "--packages", "vim", "--force");
    assert_done(f);
    g_assert_cmpuint(said_lines(f, "mmdebstrap.said"), ==, 2);
    SUITE(f, "--profile", "minimal", "--force");
    assert_done(f);
    g_assert_cmpuint(said_lines(f, "mmdebstrap.said"), ==, 3);
}

/* Without --mirror it is the first that the host's apt names. */
static void test_mirror(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *bin = in_dir(f, "bin"), *path = NULL, *said = NULL, *file = NULL;

    write_stubs(f);
    path = g_strdup_printf("PATH=%s:%s", bin, g_getenv("PATH"));
#define HOSTS_SUITE(f)                                                                           \
    RUN(f, "env", path, program, "--cache", (f)->cache, "--size", "32M", "--keyring", "keyring", \
        "debian:trixie", (f)->output)

    HOSTS_SUITE(f);
    assert_refused(f, 2, "no mirror of Debian set up: --mirror URI names one");
    assert_nothing_left(f);

    write_file(f, "mirrors", "http://one.invalid/debian\nhttp://two.invalid/debian\n", 0644);
    HOSTS_SUITE(f);
    assert_done(f);
    file = in_dir(f, "mmdebstrap.said");
    g_assert_true(g_file_get_contents(file, &said, NULL, NULL));
    g_assert_nonnull(strstr(said, "http://one.invalid/debian trixie main"));
    g_assert_null(strstr(said, "two.invalid"));
}

/* An image that umoci makes of a tree with nothing but a program, as "oci:DIR/oci:t". */
static void make_oci(Fixture *f)
{
    RUN(f, "umoci", "init", "--layout", "oci");
    assert_done(f);
    RUN(f, "umoci", "new", "--image", "oci:t");
    assert_done(f);
    RUN(f, "umoci", "insert", "--image", "oci:t", "tree/home", "/opt");
    assert_done(f);
    RUN(f, "umoci", "config", "--image", "oci:t", "--config.entrypoint", "/opt/file",
        "--config.cmd", "two words", "--config.env", "NAME=its value", "--config.user", "12:34",
        "--config.workingdir", "/opt");
    assert_done(f);
}

static void assert_container_disk(Fixture *f)
{
    assert_good_disk(f);
    assert_in_disk(f, "stat /opt/file", "User:  1234   Group:  4321");
    assert_in_disk(f, "stat /sbin/init", "Mode:  0755");
    /* what follows a NUL byte is not seen here: the boot test sees it */
    assert_in_disk(f, "cat /etc/microvm-run", "arg=/opt/file");
    g_assert_cmpint(g_unlink(f->output), ==, 0);
}

static void test_oci(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    make_oci(f);
    IMAGE(f, "--size", "32M", "oci:oci:t", f->output);
    assert_done(f);
    assert_container_disk(f);
    RUN(f, "skopeo", "--insecure-policy", "copy", "oci:oci:t", "docker-archive:d.tar:x:y");
    assert_done(f);
    IMAGE(f, "--size", "32M", "docker-archive:d.tar", f->output);
    assert_done(f);
    assert_container_disk(f);
    IMAGE(f, "oci:oci:other", f->output);
    assert_refused(f, 1, "fetching the image: skopeo failed");
    RUN(f, program, "--cache", "a:b", "oci:oci:t", f->output);
    assert_refused(f, 2, "without ':'");
    assert_nothing_left(f);
}

/* Runs the program, a copy that any user can reach, as a user who has ids for a namespace. */
static void run_as_user(Fixture *f, const char *home, const char *source)
{
    g_autofree char *uid = g_strdup_printf("%d", USER),
                    *copy = g_build_filename(home, "image", NULL);
    g_autofree char *init = g_build_filename(home, "container-init", NULL);

    RUN(f, "cp", program, copy);
    RUN(f, "cp", container_init, init);
    RUN(f, as_user, lib, uid, home, copy, "--cache", f->cache, "--size", "32M", "--hostname",
        "mine", source, f->output);
}

static void test_user(Fixture *f, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *home = in_dir(f, "home"), *uids = g_strdup_printf("%d:%d", USER, USER);
    g_autofree char *own = in_dir(f, "own");

    make_oci(f);
    RUN(f, "tar", "-C", "tree", "-cf", "t.tar", ".");
    RUN(f, "cp", "-r", "--no-preserve=ownership", "tree", "own");
    RUN(f, "mkdir", "home", "cache");
    RUN(f, "chown", "-R", uids, "home", "cache", "out", "own", "oci");
    assert_done(f);

    run_as_user(f, home, "t.tar");
    assert_done(f);
    assert_good_disk(f);
    assert_in_disk(f, "stat /home/file", "User:  1234   Group:  4321");
    assert_in_disk(f, "stat /home/file", "Mode:  04711");
    assert_in_disk(f, "stat /sbin/init", "User:     0   Group:     0");
    assert_in_disk(f, "cat /etc/hostname", "mine\n");
    g_unlink(f->output);

    run_as_user(f, home, own);
    assert_done(f);
    assert_in_disk(f, "stat /home/file", "User:     0   Group:     0");
    g_unlink(f->output);

    run_as_user(f, home, "oci:oci:t");
    assert_done(f);
    assert_container_disk(f);

    /* root's files have no place in the namespace */
    run_as_user(f, home, "tree");
    assert_refused(f, 1, "not among your ids in /etc/subuid");
    assert_nothing_left(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 8);
    program = argv[1];
    container_init = argv[2];
    as_user = argv[3];
    lib = argv[4];
    man_page = argv[5];
    completions[0] = argv[6];
    completions[1] = argv[7];
    umask(022);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){FILE_LIMIT, FILE_LIMIT});

#define ADD(name, function) g_test_add("/image/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("usage", test_usage);
    ADD("help", test_help);
    ADD("directory", test_directory);
    ADD("options", test_options);
    ADD("tarballs", test_tarballs);
    ADD("qcow2", test_qcow2);
    ADD("output", test_output);
    ADD("too-small", test_too_small);
    ADD("hostile", test_hostile);
    ADD("broken-tarballs", test_broken_tarballs);
    ADD("nothing-to-start", test_nothing_to_start);
    ADD("interrupted", test_interrupted);
    ADD("tool-fails", test_tool_fails);
    ADD("suite", test_suite);
    ADD("mirror", test_mirror);
    ADD("oci", test_oci);
    ADD("user", test_user);
    return g_test_run();
}
