/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every configs/X.conf is printed by the launcher and compared with X.argv (accepted; warnings, if
 * any, with X.warn) or X.err (refused, one line or more on stderr). X.opts holds further options, a
 * word a line. The machine is assumed, so that the result is the same everywhere.
 *
 *   test-golden LAUNCHER CONFIG-DIR
 *
 * With GOLDEN_UPDATE=1 what the launcher says is written into the expected files instead, to be
 * reviewed as a diff.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

static const char *launcher, *configs;

static char *expected_path(const char *name, const char *suffix)
{
    return g_strdup_printf("%s/%s%s", configs, name, suffix);
}

/* The contents of NAME.SUFFIX, or NULL when there is no such file. */
static char *expected(const char *name, const char *suffix)
{
    g_autofree char *path = expected_path(name, suffix);
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

/* The command line for @name, with @conf as its config. */
static char **command(const char *name, const char *conf)
{
    static const char *const common[] = {"--print", "--assume",
                                         "io_uring,vhost-net,bridge=vmbr0,bridge=vmbr1:9000,"
                                         "bridge=vmbr2:1500:vlans",
                                         "--storage-cfg", "storage.cfg"};
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    g_autofree char *options = expected(name, ".opts");

    g_strv_builder_add(words, launcher);
    for (gsize i = 0; i < G_N_ELEMENTS(common); i++)
        g_strv_builder_add(words, common[i]);
    if (!g_ascii_isdigit(name[0]))
        g_strv_builder_add_many(words, "--id", "100", NULL);
    if (options) {
        g_auto(GStrv) lines = g_strsplit(g_strchomp(options), "\n", -1);
        gboolean after = FALSE;

        for (char **line = lines; *line; line++) {
            if (!after &&
                (strcmp(*line, "--") == 0 || g_regex_match_simple("^-[^-]", *line, 0, 0))) {
                g_strv_builder_add(words, conf);
                after = TRUE;
            }
            g_strv_builder_add(words, *line);
        }
        if (after)
            return g_strv_builder_end(words);
    }
    g_strv_builder_add(words, conf);
    return g_strv_builder_end(words);
}

static void write_or_remove(const char *name, const char *suffix, const char *text)
{
    g_autofree char *path = expected_path(name, suffix);

    if (*text)
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
    else
        g_unlink(path);
}

static void update(const char *name, int status, const char *out, const char *err)
{
    write_or_remove(name, ".argv", out);
    write_or_remove(name, ".warn", status == 0 ? err : "");
    write_or_remove(name, ".err", status == 0 ? "" : err);
}

static void compare(const char *name, int status, const char *out, const char *err)
{
    g_autofree char *argv = expected(name, ".argv"), *refusal = expected(name, ".err");
    g_autofree char *warnings = expected(name, ".warn");

    /* A pair is one of the two, or it would prove nothing. */
    g_assert_true((argv != NULL) != (refusal != NULL));
    if (argv) {
        g_assert_cmpstr(err, ==, warnings ? warnings : "");
        g_assert_cmpint(status, ==, 0);
        g_assert_cmpstr(out, ==, argv);
    } else {
        g_assert_cmpstr(err, ==, refusal);
        g_assert_true(g_spawn_check_wait_status(status, NULL) == FALSE);
        g_assert_cmpstr(out, ==, "");
    }
}

static void test_pair(gconstpointer data)
{
    const char *name = data;
    g_autofree char *conf = g_strconcat(name, ".conf", NULL);
    g_auto(GStrv) argv = command(name, conf);
    g_autofree char *out = NULL, *err = NULL;
    GError *error = NULL;
    int status;

    g_spawn_sync(configs, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err, &status, &error);
    g_assert_no_error(error);
    if (g_getenv("GOLDEN_UPDATE"))
        update(name, status, out, err);
    else
        compare(name, status, out, err);
}

/* @text with its lines in the opposite order, each ended as on DOS. */
static char *reversed(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GString *out = g_string_new(NULL);

    for (guint i = g_strv_length(lines); i-- > 0;)
        g_string_append_printf(out, "%s\r\n", lines[i]);
    return g_string_free(out, FALSE);
}

/* The order of a config's keys and its line ends make no difference to what is started. */
static void test_reversed(gconstpointer data)
{
    const char *name = data;
    g_autofree char *argv = expected(name, ".argv"), *text = expected(name, ".conf"), *other = NULL;
    g_autofree char *dir = NULL, *base = g_strconcat(name, ".conf", NULL), *conf = NULL;
    g_autofree char *out = NULL;
    g_auto(GStrv) words = NULL;

    /* In a config with sections the order has a meaning. */
    if (strchr(text, '['))
        return;
    dir = g_dir_make_tmp("golden-XXXXXX", NULL);
    conf = g_build_filename(dir, base, NULL);
    other = reversed(text);
    g_assert_true(g_file_set_contents(conf, other, -1, NULL));
    words = command(name, conf);
    g_assert_true(g_spawn_sync(configs, words, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out,
                               NULL, NULL, NULL));
    g_assert_cmpstr(out, ==, argv);
    g_unlink(conf);
    g_rmdir(dir);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = NULL;
    const char *file;
    int result;

    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 3);
    launcher = g_canonicalize_filename(argv[1], NULL);
    configs = argv[2];
    dir = g_dir_open(configs, 0, NULL);
    g_assert_nonnull(dir);
    while ((file = g_dir_read_name(dir))) {
        if (g_str_has_suffix(file, ".conf"))
            g_ptr_array_add(names, g_strndup(file, strlen(file) - strlen(".conf")));
    }
    g_ptr_array_sort(names, by_name);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *path = g_strconcat("/golden/", names->pdata[i], NULL);

        g_autofree char *other = g_strconcat("/reversed/", names->pdata[i], NULL);
        g_autofree char *argv_file = expected_path(names->pdata[i], ".argv");

        g_test_add_data_func(path, names->pdata[i], test_pair);
        if (g_file_test(argv_file, G_FILE_TEST_EXISTS) && !g_getenv("GOLDEN_UPDATE"))
            g_test_add_data_func(other, names->pdata[i], test_reversed);
    }
    g_assert_cmpuint(names->len, >, 0);
    result = g_test_run();
    return result;
}
