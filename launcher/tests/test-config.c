/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib/gstdio.h>
#include <string.h>

#include "config.h"

static Config *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    Config *config = config_parse("114.conf", text, strlen(text), FALSE, &error);

    g_assert_no_error(error);
    return config;
}

/* "key=value;…" of all keys, in their order. */
static char *keys_of(const Config *config)
{
    GString *out = g_string_new(NULL);

    for (guint i = 0; i < config->keys->len; i++) {
        const ConfigKey *key = config->keys->pdata[i];

        g_assert_true(config_find(config, key->key) == key);
        g_string_append_printf(out, "%s=%s;", key->key, key->value);
    }
    return g_string_free(out, FALSE);
}

static void assert_keys(const char *text, const char *keys, guint warnings)
{
    g_autoptr(Config) config = parse(text);
    g_autofree char *got = keys_of(config);

    g_assert_cmpstr(got, ==, keys);
    if (config->warnings->len != warnings)
        g_error("'%s': %u warnings, not %u", text, config->warnings->len, warnings);
}

static void assert_warning(const char *text, const char *warning)
{
    g_autoptr(Config) config = parse(text);
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(config->warnings->len, ==, 1);
    g_assert_cmpstr(config->warnings->pdata[0], ==, warning);
    g_assert_null(config_parse("114.conf", text, strlen(text), TRUE, &error));
    g_assert_error(error, CONFIG_ERROR, CONFIG_ERROR_SYNTAX);
    g_assert_cmpstr(error->message, ==, warning);
}

static void test_keys(void)
{
    g_autoptr(Config) config = parse("agent: 1\n\n \t\ncores:2\nnet0:   virtio=x,bridge=y  \n"
                                     "args: -a \"b #c\"\namd-sev: std");

    g_assert_cmpstr(config_get(config, "agent"), ==, "1");
    g_assert_cmpstr(config_get(config, "cores"), ==, "2");
    g_assert_cmpstr(config_get(config, "net0"), ==, "virtio=x,bridge=y");
    g_assert_cmpstr(config_get(config, "args"), ==, "-a \"b #c\"");
    g_assert_cmpstr(config_get(config, "amd-sev"), ==, "std");
    g_assert_null(config_get(config, "memory"));
    g_assert_null(config_find(config, "memory"));
    g_assert_cmpuint(config_find(config, "cores")->line, ==, 4);
    g_assert_cmpuint(config->warnings->len, ==, 0);
    g_assert_null(config->description);
}

static void test_lines(void)
{
    assert_keys("", "", 0);
    assert_keys("\n\n\r\n", "", 0);
    assert_keys("cores: 2\r\nname: a\r\n", "cores=2;name=a;", 0); /* CRLF */
    assert_keys("cores: 2", "cores=2;", 0);                       /* no newline at the end */
    assert_keys(" cores: 2\n", "", 1);
    assert_keys("cores : 2\n", "", 1);
    assert_keys("Cores: 2\n", "", 1);
    assert_keys("cores\n", "", 1);
    assert_keys("cores:\n", "", 1);
    assert_keys("cores=2\n", "", 1);
    assert_keys("net0x: 2\n", "", 1);
    assert_keys("0net: 2\n", "", 1);
    assert_keys("-net: 2\n", "", 1);
    assert_keys("name: a:b: c\n", "name=a:b: c;", 0);
    assert_keys("name: a # b\n", "name=a # b;", 0);
    assert_keys("args: \n", "args= ;", 0); /* Perl's .+? takes the last space */
    assert_keys("cdrom: none,media=cdrom\n", "ide2=none,media=cdrom;", 0);
    assert_keys("cdrom: a\nide2: b\n", "ide2=b;", 0);
}

static void test_duplicates(void)
{
    g_autoptr(Config) config = parse("cores: 1\nname: a\ncores: 2\ncores: 3\n");
    const ConfigKey *cores = config_find(config, "cores");

    g_assert_cmpuint(config->keys->len, ==, 2);
    g_assert_cmpstr(cores->value, ==, "3");
    g_assert_cmpuint(cores->line, ==, 4);
    g_assert_cmpstr(cores->earlier->value, ==, "2");
    g_assert_cmpstr(cores->earlier->earlier->value, ==, "1");
    g_assert_cmpuint(cores->earlier->earlier->line, ==, 1);
    g_assert_null(cores->earlier->earlier->earlier);
}

static gboolean is_not_bad(ConfigKey *key, gpointer data)
{
    g_string_append_printf(data, "%s ", key->value);
    return !g_str_has_prefix(key->value, "bad");
}

static void test_filter(void)
{
    g_autoptr(Config) config =
        parse("a: bad1\nb: bad2\nc: 1\nc: 2\nc: bad3\nd: bad4\nd: 3\ne: bad5\ne: bad6\nf: 4\n");
    g_autoptr(GString) seen = g_string_new(NULL);
    g_autofree char *keys = NULL;

    config_filter(config, is_not_bad, seen);
    keys = keys_of(config);
    g_assert_cmpstr(keys, ==, "c=2;d=3;f=4;");
    g_assert_cmpstr(seen->str, ==, "bad1 bad2 1 2 bad3 bad4 3 bad5 bad6 4 ");
    g_assert_cmpuint(config_find(config, "c")->line, ==, 4);
    g_assert_null(config_find(config, "c")->earlier);
    g_assert_null(config_find(config, "a"));
}

static void test_description(void)
{
    static const struct {
        const char *text, *description;
    } cases[] = {
        {"#a\n#b\n", "a\nb"},
        {"cores: 1\n#a\nname: x\n# b\n", "a\n b"},
        {"description: a%0Ab\n", "a\nb"},
        {"#a\ndescription: b\n#c\n", "a\nbc"},
        {"#caf%C3%A9 100%25 50% %zz\n", "café 100% 50% %zz"},
        {"#%ff%00x\n", "\xef\xbf\xbd\xef\xbf\xbdx"},
        {"#\xff\n", "\xef\xbf\xbd"},
        {"#\n", ""},
        {"#a  \r\n", "a"},
        {"#a\n[snap]\n#b\n", "a"},
        {"[snap]\n#b\n", NULL},
        {" #a\n", NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Config) config = parse(cases[i].text);

        g_assert_cmpstr(config->description, ==, cases[i].description);
    }
}

static void test_sections(void)
{
    assert_keys("cores: 1\n[PENDING]\ncores: 2\ndelete: net0\n", "cores=1;", 0);
    assert_keys("cores: 1\n[pending]  \ncores: 2\ndelete: net0\n", "cores=1;", 0);
    assert_keys("[special:cloudinit]\nname: x\n[special:fleecing]\nfleecing-images: y\n", "", 0);
    assert_keys("[Snap-1_a]\ncores: 2\nsnapstate: delete\n", "", 0);
    assert_keys("[snap]\nbad line\n", "", 1);
    assert_keys("[snap]\ndelete: net0\n", "", 1);
    /* Lines of a section that is unknown are not even looked at. */
    assert_keys("[a]\nbad line\nbad line\ncores: 2\n", "", 1);
    assert_keys("[1abc]\nbad line\nbad line\n[snap]\nbad line\n", "", 2);
    assert_keys("[special:CLOUDINIT]\nbad line\nbad line\n", "", 1);
    assert_keys("[special:other]\n", "", 1);
    assert_keys("[]\n", "", 1);
    /* No header: the line is bad, the section goes on. */
    assert_keys("[snap\ncores: 2\n", "cores=2;", 1);
    assert_keys(" [snap]\ncores: 2\n", "cores=2;", 1);
    assert_keys("[snap] x\ncores: 2\n", "cores=2;", 1);
    assert_keys("[snap]\n[snap]\n[PENDING]\n[Pending]\n", "", 2);
    assert_keys("[snap]\n[SNAP]\n", "", 0);
}

static void test_snapstate(void)
{
    assert_keys("snapstate: prepare\ncores: 1\n", "cores=1;", 0);
    assert_keys("snapstate:delete \r\n", "", 0);
    assert_keys("snapstate: other\n", "snapstate=other;", 0);
    /* Proxmox looks for it anywhere in a line, and so loses this one: said, not hidden. */
    assert_keys("args: -name snapstate: delete\n", "", 1);
    assert_keys("#snapstate: delete\n", "", 0);
    assert_keys("description: snapstate: delete\n", "", 0);
}

static void test_warnings(void)
{
    assert_warning("cores: 1\nbad line\n",
                   "114.conf:2: unable to parse this line, dropped: 'bad line'");
    assert_warning("delete: net0\n",
                   "114.conf:1: delete: is only allowed in [PENDING], dropped: 'net0'");
    assert_warning("\n[1]\nx\n", "114.conf:2: unknown section, skipped: '1'");
    assert_warning("[ab]\n[ab]\n", "114.conf:2: section stands twice: 'ab'");
    assert_warning("\x1b[2J\n", "114.conf:1: unable to parse this line, dropped: '\\x1b[2J'");
}

static void test_nul(void)
{
    static const char text[] = "cores: 1\nname: a\0b\n";
    g_autoptr(GError) error = NULL;

    g_assert_null(config_parse("114.conf", text, sizeof(text) - 1, FALSE, &error));
    g_assert_error(error, CONFIG_ERROR, CONFIG_ERROR_SYNTAX);
    g_assert_true(g_str_has_prefix(error->message, "114.conf:2: "));
}

static void test_not_terminated(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_memdup2("cores: 12345", 8);
    g_autoptr(Config) config = config_parse("x", text, 8, TRUE, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(config_get(config, "cores"), ==, "1");
}

static void test_load(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("test-config-XXXXXX", &error);
    g_autofree char *path = g_build_filename(dir, "114.conf", NULL);
    g_autofree char *big = g_strnfill(1024 * 1024, '\n');
    g_autoptr(Config) config = NULL;

    g_assert_no_error(error);
    g_assert_null(config_load(path, FALSE, &error));
    g_assert_error(error, CONFIG_ERROR, CONFIG_ERROR_READ);
    g_assert_nonnull(strstr(error->message, "No such file"));
    g_clear_error(&error);

    g_assert_null(config_load(dir, FALSE, &error));
    g_assert_error(error, CONFIG_ERROR, CONFIG_ERROR_READ);
    g_assert_nonnull(strstr(error->message, "Is a directory"));
    g_clear_error(&error);

    g_assert_true(g_file_set_contents(path, big, 1024 * 1024, NULL));
    config = config_load(path, TRUE, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(config->file, ==, path);

    g_assert_null(config_load("/dev/zero", FALSE, &error));
    g_assert_error(error, CONFIG_ERROR, CONFIG_ERROR_READ);
    g_assert_nonnull(strstr(error->message, "larger than 1 MiB"));

    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

/* Time must grow with the size of the file, whatever is in it; each of these is 350 kB. */
static void test_hostile_sizes(void)
{
    static const char *const units[] = {
        "a: 1\n", "x\n", "[ab]\n", "#%41\n", "snapstate:", "a: a", "snapstate:   ", "[", "%", " "};

    for (gsize i = 0; i < G_N_ELEMENTS(units); i++) {
        g_autoptr(GString) text = g_string_new(i < 5 ? "" : "#");

        while (text->len < 350000)
            g_string_append(text, units[i]);

        gint64 start = g_get_monotonic_time();
        g_autoptr(Config) config = config_parse("x", text->str, text->len, FALSE, NULL);

        g_assert_nonnull(config);
        g_assert_cmpint(g_get_monotonic_time() - start, <, 20 * G_USEC_PER_SEC);
    }
}

/* Lines put together at random: a key is only ever what its own line says. */
static void test_random(void)
{
    static const char *const pieces[] = {"cores: ",
                                         "net0: ",
                                         "args: ",
                                         "#",
                                         "[",
                                         "]",
                                         "ab",
                                         "\n",
                                         "\r\n",
                                         " ",
                                         "\t",
                                         ":",
                                         "%0a",
                                         "\xff",
                                         "PENDING",
                                         "1",
                                         "snapstate: delete",
                                         "delete: ",
                                         "description: ",
                                         "special:cloudinit"};
    g_autoptr(GRand) rand = g_rand_new_with_seed(114);

    for (int round = 0; round < 20000; round++) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_autoptr(Config) config = NULL;

        for (int n = g_rand_int_range(rand, 0, 30); n > 0; n--)
            g_string_append(text, pieces[g_rand_int_range(rand, 0, G_N_ELEMENTS(pieces))]);
        config = config_parse("x", text->str, text->len, FALSE, NULL);
        g_assert_nonnull(config);
        for (guint i = 0; i < config->keys->len; i++) {
            const ConfigKey *key = config->keys->pdata[i];
            g_auto(GStrv) lines = g_strsplit(text->str, "\n", -1);

            g_assert_cmpuint(key->line, <=, g_strv_length(lines));
            g_assert_true(g_str_has_prefix(lines[key->line - 1], key->key));
            g_assert_nonnull(strstr(lines[key->line - 1], key->value));
        }
        for (guint i = 0; i < config->warnings->len; i++)
            g_assert_true(g_utf8_validate(config->warnings->pdata[i], -1, NULL));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/keys", test_keys);
    g_test_add_func("/config/lines", test_lines);
    g_test_add_func("/config/duplicates", test_duplicates);
    g_test_add_func("/config/filter", test_filter);
    g_test_add_func("/config/description", test_description);
    g_test_add_func("/config/sections", test_sections);
    g_test_add_func("/config/snapstate", test_snapstate);
    g_test_add_func("/config/warnings", test_warnings);
    g_test_add_func("/config/nul", test_nul);
    g_test_add_func("/config/not-terminated", test_not_terminated);
    g_test_add_func("/config/load", test_load);
    g_test_add_func("/config/hostile-sizes", test_hostile_sizes);
    g_test_add_func("/config/random", test_random);
    return g_test_run();
}
