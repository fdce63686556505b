/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test-mkcpio MKCPIO INIT INITRD: what cpio(1) finds in the archive, and that it stays the same. */
#include "image.h"

#include <elf.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>
#include <utime.h>

static const char *mkcpio, *init, *initrd;

#define INITRD_MAX (64 * 1024)

static GBytes *read_bytes(const char *path)
{
    g_autoptr(GError) error = NULL;
    char *data;
    gsize len;

    g_file_get_contents(path, &data, &len, &error);
    g_assert_no_error(error);
    return g_bytes_new_take(data, len);
}

static void pack(const char *out, const char *in)
{
    g_autofree char *command = g_strdup_printf("%s %s @", mkcpio, out);

    g_free(image_run(command, in, NULL));
}

/* cpio -tv, less what depends on the machine: mode, links, owner's ids, size or device, name. */
static void test_listing(void)
{
    g_autofree char *text = image_run("cpio --quiet -tvn -F @", initrd, NULL);
    g_autoptr(GBytes) data = read_bytes(init);
    g_autofree char *init_size = g_strdup_printf("%zu", g_bytes_get_size(data));
    const char *const expected[][5] = {
        {"drwxr-xr-x", "0", "0", "0", "dev"},  {"crw-------", "0", "0", "5, 1", "dev/console"},
        {"dr-xr-xr-x", "0", "0", "0", "proc"}, {"drwxr-xr-x", "0", "0", "0", "root"},
        {"dr-xr-xr-x", "0", "0", "0", "sys"},  {"-rwxr-xr-x", "0", "0", init_size, "init"},
    };
    g_auto(GStrv) lines = g_strsplit(g_strchomp(text), "\n", -1);

    g_assert_cmpuint(g_strv_length(lines), ==, G_N_ELEMENTS(expected));
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_autoptr(GRegex) blanks = g_regex_new(" +", 0, 0, NULL);
        g_autofree char *line = g_regex_replace_literal(blanks, lines[i], -1, 0, " ", 0, NULL);
        g_autofree char *start = g_strdup_printf("%s %s %s %s %s Jan 1 1970 ", expected[i][0],
                                                 expected[i][0][0] == 'd' ? "2" : "1",
                                                 expected[i][1], expected[i][2], expected[i][3]);
        g_autofree char *end = g_strdup_printf(" %s", expected[i][4]);
        g_test_message("%s", line);
        g_assert_true(g_str_has_prefix(line, start));
        g_assert_true(g_str_has_suffix(line, end));
    }
}

/* The bytes of /init come out as they went in. */
static void test_content(void)
{
    g_autoptr(GSubprocess) cpio = NULL;
    g_autoptr(GBytes) got = NULL, expected = read_bytes(init);
    g_autoptr(GError) error = NULL;

    cpio = g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error, "cpio", "--quiet", "-i",
                            "--to-stdout", "-F", initrd, "init", NULL);
    g_assert_no_error(error);
    g_subprocess_communicate(cpio, NULL, NULL, &got, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(g_subprocess_get_successful(cpio));
    g_assert_true(g_bytes_equal(got, expected));
}

/* The same input, of another date and name and mode, gives the same archive. */
static void test_same_bytes(void)
{
    g_autoptr(GBytes) first = read_bytes(initrd), content = read_bytes(init);
    char *in = image_make(0, NULL, NULL), *out = image_make(0, NULL, NULL);
    struct utimbuf long_ago = {.actime = 1, .modtime = 1};
    g_autoptr(GError) error = NULL;

    g_file_set_contents(in, g_bytes_get_data(content, NULL), (gssize)g_bytes_get_size(content),
                        &error);
    g_assert_no_error(error);
    g_assert_cmpint(g_chmod(in, 0400), ==, 0);
    g_assert_cmpint(g_utime(in, &long_ago), ==, 0);
    pack(out, in);
    g_autoptr(GBytes) second = read_bytes(out);
    g_assert_true(g_bytes_equal(first, second));
    image_free(in);
    image_free(out);
}

/* Every length of content keeps the entries aligned. */
static void test_lengths(void)
{
    char *in = image_make(0, NULL, NULL), *out = image_make(0, NULL, NULL);

    for (gssize n = 1; n <= 9; n++) {
        g_autoptr(GError) error = NULL;
        g_file_set_contents(in, "123456789", n, &error);
        g_assert_no_error(error);
        pack(out, in);
        g_autoptr(GBytes) archive = read_bytes(out);
        g_assert_cmpuint(g_bytes_get_size(archive) % 512, ==, 0);
        g_autofree char *names = image_run("cpio --quiet -t -F @", out, NULL);
        g_assert_cmpstr(names, ==, "dev\ndev/console\nproc\nroot\nsys\ninit\n");
        g_autofree char *content = image_run("cpio --quiet -i --to-stdout -F @ init", out, NULL);
        g_assert_cmpuint(strlen(content), ==, (gsize)n);
        g_assert_true(g_str_has_prefix("123456789", content));
    }
    image_free(in);
    image_free(out);
}

static void test_size(void)
{
    g_autoptr(GBytes) archive = read_bytes(initrd);

    g_test_message("%zu bytes", g_bytes_get_size(archive));
    g_assert_cmpuint(g_bytes_get_size(archive), <=, INITRD_MAX);
}

/* No interpreter to load, and no debugging left in. */
static void test_static(void)
{
    g_autoptr(GBytes) data = read_bytes(init);
    const Elf64_Ehdr *elf = g_bytes_get_data(data, NULL);
    const Elf64_Phdr *segments = (const Elf64_Phdr *)((const char *)elf + elf->e_phoff);

    g_assert_cmpmem(elf->e_ident, SELFMAG, ELFMAG, SELFMAG);
    g_assert_cmpint(elf->e_machine, ==, EM_X86_64);
    for (int i = 0; i < elf->e_phnum; i++) {
        g_assert_cmpint(segments[i].p_type, !=, PT_INTERP);
    }
    g_autofree char *sections = image_run("readelf -SW @", init, NULL);
    g_assert_null(strstr(sections, ".symtab"));
    g_assert_null(strstr(sections, ".debug"));
}

static void expect_failure(const char *out, const char *in, const char *message)
{
    g_autoptr(GSubprocess) process = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *err = NULL;

    process = g_subprocess_new(G_SUBPROCESS_FLAGS_STDERR_PIPE, &error, mkcpio, out, in, NULL);
    g_assert_no_error(error);
    g_subprocess_communicate_utf8(process, NULL, NULL, NULL, &err, &error);
    g_assert_no_error(error);
    g_assert_true(g_subprocess_get_if_exited(process));
    g_assert_cmpint(g_subprocess_get_exit_status(process), !=, 0);
    g_assert_nonnull(strstr(err, message));
    g_assert_nonnull(strchr(err, '\n'));
    g_assert_cmpstr(strchr(err, '\n'), ==, "\n");
}

static void test_errors(void)
{
    char *empty = image_make(0, NULL, NULL);
    g_autofree char *out = g_strconcat(empty, ".out", NULL);

    expect_failure(out, "/nonexistent/init", "/nonexistent/init");
    expect_failure(out, "/", "cannot read /");
    expect_failure(out, empty, "cannot read");
    expect_failure("/nonexistent/out", init, "cannot write /nonexistent/out");
    /* Through a link: what is not a plain file must not be deleted. */
    g_assert_cmpint(symlink("/dev/full", out), ==, 0);
    expect_failure(out, init, "No space left on device");
    g_assert_cmpint(g_unlink(out), ==, 0);
    expect_failure(out, NULL, "usage");
    g_assert_false(g_file_test(out, G_FILE_TEST_EXISTS));
    image_free(empty);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 4);
    mkcpio = argv[1];
    init = argv[2];
    initrd = argv[3];
    g_setenv("LC_ALL", "C", TRUE);
    g_setenv("TZ", "UTC", TRUE);
    g_test_add_func("/mkcpio/listing", test_listing);
    g_test_add_func("/mkcpio/content", test_content);
    g_test_add_func("/mkcpio/same-bytes", test_same_bytes);
    g_test_add_func("/mkcpio/lengths", test_lengths);
    g_test_add_func("/mkcpio/size", test_size);
    g_test_add_func("/mkcpio/static", test_static);
    g_test_add_func("/mkcpio/errors", test_errors);
    return g_test_run();
}
