/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Templates that no longer fit, and what interrupted commands leave, without a guest: the files are
 * made here, and microvm-ctl is asked what it thinks of them.
 *
 *   test-template MICROVM-CTL
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "template.h"

#define NAME "web"

static const char *ctl;

typedef struct {
    char *dir, *store, *tmpl; /* all; the store in it; the template's directory in that */
    int code;
    char *out, *err;
} Fixture;

static char *in_dir(const Fixture *f, const char *name)
{
    return g_build_filename(f->dir, name, NULL);
}

static void write_file(const char *path, const char *text)
{
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* A file of the host's, or of the template's. */
static void add_file(const Fixture *f, Template *tmpl, const char *what, const char *name,
                     gboolean own)
{
    g_autofree char *path = own ? template_path(tmpl, name) : in_dir(f, name);

    write_file(path, what);
    g_assert_true(template_add_file(tmpl, what, own ? name : path, !own, NULL));
}

static void set_up(Fixture *f, gconstpointer data)
{
    g_autoptr(Template) tmpl = NULL;

    (void)data;
    f->dir = g_dir_make_tmp("template-XXXXXX", NULL);
    f->store = in_dir(f, "store");
    f->tmpl = store_path(f->store, STORE_TEMPLATE, NAME);
    g_assert_cmpint(g_mkdir_with_parents(f->tmpl, 0700), ==, 0);
    tmpl = template_new(NAME, f->tmpl);
    tmpl->made = g_strdup("2026-01-01T00:00:00Z");
    tmpl->made_in = g_strdup(f->tmpl);
    tmpl->id = g_strdup("114");
    tmpl->config = in_dir(f, "114.conf");
    write_file(tmpl->config, "machine: microvm\n");
    tmpl->config_sha256 =
        g_compute_checksum_for_string(G_CHECKSUM_SHA256, "machine: microvm\n", -1);
    tmpl->machine = g_strdup("microvm-10.0");
    tmpl->cpu = g_strdup("max");
    tmpl->qemu = in_dir(f, "qemu");
    tmpl->memory_mib = 64;
    add_file(f, tmpl, "QEMU", "qemu", FALSE);
    add_file(f, tmpl, "kernel", "vmlinux", FALSE);
    add_file(f, tmpl, "memory", TEMPLATE_MEMORY, TRUE);
    add_file(f, tmpl, "state", TEMPLATE_STATE, TRUE);
    add_file(f, tmpl, "disk", "scsi0.qcow2", TRUE);
    g_assert_true(template_save(tmpl, NULL));
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    g_assert_true(store_remove_tree(f->dir, NULL));
    g_free(f->dir);
    g_free(f->store);
    g_free(f->tmpl);
    g_free(f->out);
    g_free(f->err);
}

static void run(Fixture *f, const char *const *words)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) argv = NULL;
    GError *error = NULL;
    int status;

    g_clear_pointer(&f->out, g_free);
    g_clear_pointer(&f->err, g_free);
    g_strv_builder_add_many(builder, ctl, "--state-dir", f->store, NULL);
    for (; *words; words++)
        g_strv_builder_add(builder, *words);
    argv = g_strv_builder_end(builder);
    g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &f->out, &f->err, &status, &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status));
    f->code = WEXITSTATUS(status);
}

#define RUN(f, ...) run(f, (const char *const[]){__VA_ARGS__, NULL})

static void assert_refused(const Fixture *f, int code, const char *word)
{
    if (!strstr(f->err, word))
        g_error("'%s' does not mention '%s'", f->err, word);
    g_assert_true(strchr(f->err, '\n') == f->err + strlen(f->err) - 1);
    g_assert_cmpstr(f->out, ==, "");
    g_assert_cmpint(f->code, ==, code);
}

/* A clone is refused with @word, and nothing is there that was not before; a list says the same. */
static void assert_no_clone(Fixture *f, const char *word)
{
    g_autofree char *clones = g_build_filename(f->store, "clones", NULL);

    RUN(f, "clone", NAME, "201");
    assert_refused(f, 1, word);
    g_assert_false(g_file_test(clones, G_FILE_TEST_EXISTS));
    RUN(f, "template", "list");
    g_assert_cmpint(f->code, ==, 0);
    g_assert_nonnull(strstr(f->out, word));
}

static void test_list(Fixture *f, gconstpointer data)
{
    (void)data;
    RUN(f, "template", "list");
    g_assert_cmpstr(f->err, ==, "");
    g_assert_true(g_regex_match_simple("^web +2026-01-01T00:00:00Z +64 MiB .* usable$", f->out,
                                       G_REGEX_MULTILINE, 0));
    RUN(f, "template", "list", "--json");
    g_assert_nonnull(strstr(f->out, "\"usable\" : true"));
    RUN(f, "template", "remove", NAME);
    g_assert_cmpint(f->code, ==, 0);
    g_assert_false(g_file_test(f->tmpl, G_FILE_TEST_EXISTS));
    RUN(f, "template", "remove", NAME);
    assert_refused(f, 1, "there is no template 'web'");
    RUN(f, "clone", NAME, "201");
    assert_refused(f, 1, "there is no template 'web'");
}

static void test_memory_truncated(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->tmpl, TEMPLATE_MEMORY, NULL);

    (void)data;
    g_assert_cmpint(truncate(path, 1), ==, 0);
    assert_no_clone(f, "memory");
    assert_no_clone(f, "has changed since it was made");
}

/* As long as before, and with the old time: its change time tells. */
static void test_memory_changed(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->tmpl, TEMPLATE_MEMORY, NULL);
    struct timespec times[2];
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    (void)data;
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(pwrite(fd, "M", 1, 0), ==, 1);
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    g_assert_cmpint(futimens(fd, times), ==, 0);
    close(fd);
    assert_no_clone(f, "has changed since it was made");
}

static void test_base_moved(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->tmpl, "scsi0.qcow2", NULL);
    g_autofree char *away = in_dir(f, "away");

    (void)data;
    g_assert_cmpint(rename(path, away), ==, 0);
    assert_no_clone(f, "scsi0.qcow2: No such file");
}

/* Its layers would lead to the disks of whatever is called as it was. */
static void test_renamed(Fixture *f, gconstpointer data)
{
    g_autofree char *other = store_path(f->store, STORE_TEMPLATE, "other");

    (void)data;
    g_assert_cmpint(rename(f->tmpl, other), ==, 0);
    RUN(f, "clone", "other", "201");
    assert_refused(f, 1, "was made in");
}

static void test_wrong_qemu(Fixture *f, gconstpointer data)
{
    g_autofree char *path = in_dir(f, "qemu");

    (void)data;
    write_file(path, "qEMU");
    assert_no_clone(f, "its QEMU");
    write_file(path, "QEMU"); /* another file, with the same in it */
    RUN(f, "template", "list");
    g_assert_nonnull(strstr(f->out, " usable"));
    g_assert_cmpint(unlink(path), ==, 0);
    assert_no_clone(f, "its QEMU");
}

static void test_config_changed(Fixture *f, gconstpointer data)
{
    g_autofree char *path = in_dir(f, "114.conf");

    (void)data;
    write_file(path, "machine: microvm\nmemory: 128\n");
    assert_no_clone(f, "114.conf has changed since it was made");
    g_assert_cmpint(unlink(path), ==, 0);
    RUN(f, "template", "list");
    g_assert_nonnull(strstr(f->out, " usable"));
}

static void test_manifest(Fixture *f, gconstpointer data)
{
    static const char *const cases[][2] = {
        {"", "no JSON object"},
        {"[]", "no JSON object"},
        {"{\"version\": 1}", "another version"},
        {"{\"version\": 3}", "is not whole"},
        {"{\"version\": 3, \"made\": 7, \"files\": [[]]}", "is not whole"},
    };
    g_autofree char *path = g_build_filename(f->tmpl, TEMPLATE_MANIFEST, NULL);

    (void)data;
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        write_file(path, cases[i][0]);
        assert_no_clone(f, cases[i][1]);
    }
}

static void test_usage(Fixture *f, gconstpointer data)
{
    static const char *const cases[][6] = {
        {"template"},
        {"template", "burn"},
        {"template", "make"},
        {"template", "remove", "../template"},
        {"template", "remove", ".template"},
        {"template", "make", "x.conf", "--name", "a/template"},
        {"clone", NAME},
        {"clone", NAME, "0"},
        {"clone", NAME, "x"},
        {"clone", NAME, "201", "201"},
        {"clone", "../clone", "201"},
        {"clone", NAME, "201", "202", "--foreground"},
    };

    (void)data;
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        run(f, cases[i]);
        assert_refused(f, 2, cases[i][0]);
    }
}

static void test_no_config(Fixture *f, gconstpointer data)
{
    g_autofree char *path = in_dir(f, "115.conf");

    (void)data;
    RUN(f, "template", "make", path, "--name", "other");
    assert_refused(f, 1, "115.conf");
}

/* A process that looks like a QEMU at work there; its end is waited for by the caller. */
static pid_t start_worker(const char *dir)
{
    g_autofree char *file = g_build_filename(dir, "disk.qcow2", NULL);
    char *argv[] = {"qemu-system-none", "-c", "read line; exit 1", file, NULL};
    int pipes[2];
    pid_t pid;

    g_assert_cmpint(pipe2(pipes, O_CLOEXEC), ==, 0);
    pid = fork();
    if (pid == 0) {
        dup2(pipes[0], 0);
        execv("/bin/sh", argv);
        _exit(127);
    }
    close(pipes[0]);
    return pid; /* the other end stays open: it waits until it is killed */
}

/* What a command that was killed has left is cleared away, and not what one still works on. */
static void test_sweep(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    Work *left = work_new(f->store, STORE_TEMPLATE, "left", &error);
    Work *clone = work_new(f->store, STORE_CLONE, "201", &error);
    Work *busy = work_new(f->store, STORE_CLONE, "202", &error);
    pid_t ours, others;
    int status;

    (void)data;
    g_assert_no_error(error);
    ours = start_worker(clone->path);
    others = start_worker(busy->path);
    close(left->fd); /* as the end of the process would */
    close(clone->fd);
    RUN(f, "template", "remove", NAME);
    g_assert_cmpint(f->code, ==, 0);
    g_assert_false(g_file_test(left->path, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(clone->path, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(busy->path, G_FILE_TEST_EXISTS));
    g_assert_cmpint(waitpid(ours, &status, 0), ==, ours);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    g_assert_cmpint(waitpid(others, &status, WNOHANG), ==, 0);
    kill(others, SIGKILL);
    waitpid(others, &status, 0);
    left->fd = clone->fd = -1;
    work_free(left);
    work_free(clone);
    work_remove(busy);
}

/* An nft that ends with @deleted and @listed. */
static void write_nft(const Fixture *f, int deleted, int listed)
{
    g_autofree char *path = in_dir(f, "nft"), *text = NULL;

    text = g_strdup_printf("#!/bin/sh\n[ $1 = list ] && exit %d\n"
                           "[ \"$*\" = 'delete table bridge microvm-run-203' ] && exit %d\n"
                           "exit 9\n",
                           listed, deleted);
    write_file(path, text);
    g_assert_cmpint(chmod(path, 0755), ==, 0);
}

/* A clone's directory stays as long as a table of nftables may be there for it. */
static void test_sweep_rules(Fixture *f, gconstpointer data)
{
    static const struct {
        int deleted, listed;
        gboolean stays;
    } cases[] = {{1, 0, TRUE}, {1, 1, FALSE}, {0, 0, FALSE}};
    g_autofree char *path = g_strdup(g_getenv("PATH"));

    (void)data;
    g_setenv("PATH", f->dir, TRUE);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        Work *clone = work_new(f->store, STORE_CLONE, "203", NULL);
        g_autofree char *rules = g_build_filename(clone->path, STORE_RULES, NULL);
        g_autofree char *dir = g_strdup(clone->path);

        write_file(rules, "");
        write_nft(f, cases[i].deleted, cases[i].listed);
        work_free(clone);
        store_sweep(f->store);
        g_assert_cmpint(g_file_test(dir, G_FILE_TEST_EXISTS), ==, cases[i].stays);
        if (cases[i].stays)
            g_assert_true(store_remove_tree(dir, NULL));
    }
    g_setenv("PATH", path, TRUE);
}

/* One at a time works in a directory; a template appears whole, and not over another. */
static void test_publish(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    Work *work = work_new(f->store, STORE_TEMPLATE, NAME, &error);
    g_autofree char *mark = NULL, *there = g_build_filename(f->tmpl, "mark", NULL);

    (void)data;
    g_assert_no_error(error);
    g_assert_null(work_new(f->store, STORE_TEMPLATE, NAME, &error));
    g_assert_nonnull(strstr(error->message, "another microvm-ctl is at work"));
    g_clear_error(&error);
    mark = g_build_filename(work->path, "mark", NULL);
    write_file(mark, "new");
    g_assert_false(store_publish(f->store, work, NAME, FALSE, &error));
    g_assert_nonnull(strstr(error->message, "--replace"));
    g_clear_error(&error);
    g_assert_false(g_file_test(there, G_FILE_TEST_EXISTS));
    g_assert_true(store_publish(f->store, work, NAME, TRUE, &error));
    g_assert_true(g_file_test(there, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(mark, G_FILE_TEST_EXISTS));
    work_remove(work);
    g_assert_true(g_file_test(there, G_FILE_TEST_EXISTS));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(Fixture *, gconstpointer);
    } tests[] = {
        {"/template/list", test_list},
        {"/template/memory-truncated", test_memory_truncated},
        {"/template/memory-changed", test_memory_changed},
        {"/template/base-moved", test_base_moved},
        {"/template/renamed", test_renamed},
        {"/template/wrong-qemu", test_wrong_qemu},
        {"/template/config-changed", test_config_changed},
        {"/template/manifest", test_manifest},
        {"/template/usage", test_usage},
        {"/template/no-config", test_no_config},
        {"/template/sweep", test_sweep},
        {"/template/sweep/rules", test_sweep_rules},
        {"/template/publish", test_publish},
    };

    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 2);
    ctl = argv[1];
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].test, tear_down);
    return g_test_run();
}
