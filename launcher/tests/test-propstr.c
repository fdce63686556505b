/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "propstr.h"

static const char *const models[] = {"virtio", "e1000", NULL};

static const PropSpec net[] = {
    {.name = "model", .type = PROP_ENUM, .choices = models, .is_default = TRUE},
    {.name = "macaddr", .type = PROP_MAC, .optional = TRUE},
    {.name = "virtio", .alias = "macaddr", .key_alias = "model"},
    {.name = "e1000", .alias = "macaddr", .key_alias = "model"},
    {.name = "bridge", .type = PROP_STRING, .max = 15, .optional = TRUE},
    {.name = "queues", .type = PROP_INTEGER, .min = 0, .max = 64, .optional = TRUE},
    {.name = "rate", .type = PROP_NUMBER, .min = 0, .max = G_MAXINT64, .optional = TRUE},
    {.name = "firewall", .type = PROP_BOOLEAN, .optional = TRUE},
    {.name = "size", .type = PROP_SIZE, .optional = TRUE},
    {.name = "serial", .type = PROP_URLENCODED, .max = 60, .optional = TRUE},
    {.name = NULL},
};

static void test_props(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PropStr) props = propstr_parse(
        "virtio=bc:24:11:00:6e:01,bridge=vmbr0,, ,queues=4,rate=1.5,firewall=YES,size=32G", net,
        &error);

    g_assert_no_error(error);
    g_assert_cmpstr(propstr_get(props, "model"), ==, "virtio");
    g_assert_cmpstr(propstr_get(props, "macaddr"), ==, "BC:24:11:00:6E:01");
    g_assert_cmpstr(propstr_get(props, "bridge"), ==, "vmbr0");
    g_assert_cmpint(propstr_get_int(props, "queues", 0), ==, 4);
    g_assert_cmpfloat(propstr_get_number(props, "rate", 0), ==, 1.5);
    g_assert_true(propstr_get_bool(props, "firewall", FALSE));
    g_assert_cmpstr(propstr_get(props, "firewall"), ==, "1");
    g_assert_null(propstr_get(props, "serial"));
}

static void test_fallbacks(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PropStr) props = propstr_parse("virtio", net, &error);

    g_assert_no_error(error);
    g_assert_null(propstr_get(props, "macaddr"));
    g_assert_cmpint(propstr_get_int(props, "queues", 7), ==, 7);
    g_assert_cmpfloat(propstr_get_number(props, "rate", 2.5), ==, 2.5);
    g_assert_true(propstr_get_bool(props, "firewall", TRUE));
}

/* As in Proxmox, where only an alias may overwrite the key it stands for. */
static void test_alias_overwrites(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PropStr) props =
        propstr_parse("macaddr=BC:24:11:00:00:01,virtio=BC:24:11:00:00:02", net, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(propstr_get(props, "macaddr"), ==, "BC:24:11:00:00:02");
    g_assert_cmpstr(propstr_get(props, "model"), ==, "virtio");
}

static void test_bad_props(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"virtio,bridge=", "value around"},
        {"virtio,=vmbr0", "key around"},
        {"virtio,=", "key around"},
        {"virtio, bridge=vmbr0", "unknown sub-key ' bridge'"},
        {"virtio,bridge =vmbr0", "unknown sub-key 'bridge '"},
        {"virtio,color=red", "unknown sub-key 'color'"},
        {"virtio,e1000", "'model' is given twice"},
        {"virtio,virtio=BC:24:11:00:00:01", "'model' is given twice"},
        {"virtio=BC:24:11:00:00:01,virtio", "'model' is given twice"},
        {"virtio=BC:24:11:00:00:01,e1000=BC:24:11:00:00:02", "'model' is given twice"},
        {"virtio=BC:24:11:00:00:01,macaddr=BC:24:11:00:00:01", "'macaddr' is given twice"},
        {"virtio,bridge=a,bridge=b", "'bridge' is given twice"},
        {"bridge=vmbr0", "'model' is missing"},
        {"", "'model' is missing"},
        {",", "'model' is missing"},
        {"ne2k", "one of virtio, e1000"},
        {"VIRTIO", "one of virtio, e1000"},
        {"virtio=BD:24:11:00:00:01", "unicast"},
        {"virtio,queues=65", "from 0 to 64"},
        {"virtio,queues=-1", "from 0 to 64"},
        {"virtio,queues=1x", "from 0 to 64"},
        {"virtio,rate=fast", "a number"},
        {"virtio,rate=-1", "a number"},
        {"virtio,firewall=2", "a boolean"},
        {"virtio,size=big", "a size"},
        {"virtio,bridge=0123456789abcdef", "at most 15 bytes"},
        {"virtio,serial=a b", "percent-encoded"},
        {"virtio,serial=%zz", "percent-encoded"},
        {"virtio,serial=a%0ab", "control characters"},
        {"virtio,serial=%00", "control characters"},
        {"virtio,serial=%ff", "UTF-8"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(propstr_parse(cases[i].text, net, &error));
        g_assert_nonnull(error);
        g_assert_true(error->domain == PROPSTR_ERROR);
        if (!strstr(error->message, cases[i].message))
            g_error("%s: '%s' lacks '%s'", cases[i].text, error->message, cases[i].message);
    }
}

static void test_no_default_key(void)
{
    static const PropSpec specs[] = {{.name = "uuid", .optional = TRUE}, {.name = NULL}};
    g_autoptr(GError) error = NULL;

    g_assert_null(propstr_parse("abc", specs, &error));
    g_assert_error(error, PROPSTR_ERROR, PROPSTR_ERROR_SYNTAX);
    g_assert_nonnull(strstr(error->message, "KEY=VALUE"));
}

static void test_value_keeps_equals(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PropStr) props = propstr_parse("virtio,bridge=a=b", net, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(propstr_get(props, "bridge"), ==, "a=b");
}

static void test_numbers(void)
{
    static const struct {
        const char *text;
        double value; /* -1: refused */
    } cases[] = {
        {"2", 2},     {"2.5", 2.5}, {".5", 0.5}, {"3.", 3},  {"1e3", 1000}, {"1E-1", 0.1},
        {".", -1},    {"", -1},     {"e3", -1},  {"1e", -1}, {"1e+", -1},   {"+1", -1},
        {"0x10", -1}, {"inf", -1},  {"nan", -1}, {"1 ", -1}, {"1,5", -1},   {"1e999", -1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        static const PropSpec specs[] = {{.name = "n", .type = PROP_NUMBER}, {.name = NULL}};
        g_autofree char *text = g_strconcat("n=", cases[i].text, NULL);
        g_autoptr(PropStr) props = propstr_parse(text, specs, NULL);

        g_assert_cmpfloat(props ? propstr_get_number(props, "n", -2) : -1, ==, cases[i].value);
    }
}

static void test_bool(void)
{
    static const char *const on[] = {"1", "on", "yes", "true", "ON", "Yes", "tRuE"};
    static const char *const off[] = {"0", "off", "no", "false", "OFF", "No"};
    static const char *const bad[] = {"", "2", "01", "y", "enabled", " 1", "1 ", "truee"};
    gboolean value;

    for (gsize i = 0; i < G_N_ELEMENTS(on); i++) {
        g_assert_true(propstr_bool(on[i], &value, NULL));
        g_assert_true(value);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(off); i++) {
        g_assert_true(propstr_bool(off[i], &value, NULL));
        g_assert_false(value);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(propstr_bool(bad[i], &value, NULL));
}

static void test_uint(void)
{
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "1.0",
                                      "1e1",
                                      "9",
                                      "101",
                                      "18446744073709551616",
                                      "99999999999999999999999999"};
    guint64 n = 1;

    g_assert_true(propstr_uint("10", 10, 100, &n, NULL));
    g_assert_cmpuint(n, ==, 10);
    g_assert_true(propstr_uint("000100", 10, 100, &n, NULL));
    g_assert_cmpuint(n, ==, 100);
    g_assert_true(propstr_uint("18446744073709551615", 0, G_MAXUINT64, &n, NULL));
    g_assert_cmpuint(n, ==, G_MAXUINT64);
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(propstr_uint(bad[i], 10, 100, &n, NULL));
    g_assert_cmpuint(n, ==, G_MAXUINT64);
}

static void test_size(void)
{
    static const struct {
        const char *text;
        guint64 bytes;
    } good[] = {
        {"0", 0},
        {"512", 512},
        {"4K", 4096},
        {"32G", 32ULL << 30},
        {"32GiB", 32ULL << 30},
        {"1.5M", 1536 * 1024},
        {"0.5KiB", 512},
        {"2T", 2ULL << 40},
        {"1.1", 1},
        {"9223372036854775807", G_MAXINT64},
    };
    static const char *const bad[] = {"",
                                      "G",
                                      "1g",
                                      "1GB",
                                      "1iB",
                                      "1Gi",
                                      "1.G",
                                      ".5G",
                                      "-1G",
                                      "1 G",
                                      "1G ",
                                      "1e3",
                                      "1P",
                                      "0x10K",
                                      "1GiBx",
                                      "1.5.",
                                      "8388608T",
                                      "9e18",
                                      "9223372036854775808",
                                      "99999999999999999999.5T"};

    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        guint64 bytes = 1;

        g_assert_true(propstr_size(good[i].text, &bytes, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(bytes, ==, good[i].bytes);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        guint64 bytes;

        if (propstr_size(bad[i], &bytes, &error))
            g_error("size '%s' accepted", bad[i]);
        g_assert_error(error, PROPSTR_ERROR, PROPSTR_ERROR_VALUE);
    }
}

static void test_mac(void)
{
    static const char *const bad[] = {"",
                                      "BC:24:11:00:6E",
                                      "BC:24:11:00:6E:01:",
                                      "BC-24-11-00-6E-01",
                                      "BD:24:11:00:6E:01",
                                      "FF:FF:FF:FF:FF:FF",
                                      "BG:24:11:00:6E:01",
                                      "BC:24:11:00:6E:0",
                                      "BC:24:11:00:6E:01 "};
    char mac[18];

    g_assert_true(propstr_mac("bc:24:11:00:6e:01", mac, NULL));
    g_assert_cmpstr(mac, ==, "BC:24:11:00:6E:01");
    g_assert_true(propstr_mac("0E:00:00:00:00:00", mac, NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(propstr_mac(bad[i], mac, NULL));
}

static void test_volume_id(void)
{
    static const struct {
        const char *text, *storage, *volume;
    } good[] = {
        {"local-lvm:vm-114-disk-0", "local-lvm", "vm-114-disk-0"},
        {"local:114/vm-114-disk-0.qcow2", "local", "114/vm-114-disk-0.qcow2"},
        {"Nas.2_x:a:b", "Nas.2_x", "a:b"},
        {"/dev/sdb", NULL, "/dev/sdb"},
        {"/dev/disk/by-path/pci-0000:00", NULL, "/dev/disk/by-path/pci-0000:00"},
        {"none", NULL, "none"},
        {"cdrom", NULL, "cdrom"},
    };
    static const char *const bad[] = {"",          ":x",       "local:",   "l:x",    "1ocal:x",
                                      "local-:x",  "lo cal:x", "disk.raw", "./disk", "local:a\tb",
                                      "/dev/\x01", "None",     "/\xff"};

    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VolumeId) id = volume_id_parse(good[i].text, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(id->storage, ==, good[i].storage);
        g_assert_cmpstr(id->volume, ==, good[i].volume);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        if (volume_id_parse(bad[i], &error))
            g_error("volume '%s' accepted", bad[i]);
        g_assert_error(error, PROPSTR_ERROR, PROPSTR_ERROR_VALUE);
    }
}

/* Expected words are what Perl 5.36's Text::ParseWords::shellwords() returns. */
static void test_shellwords(void)
{
    static const struct {
        const char *text;
        const char *words[5];
    } good[] = {
        {"", {NULL}},
        {" \t ", {NULL}},
        {"-a -b", {"-a", "-b", NULL}},
        {"  -a\t\t-b  ", {"-a", "-b", NULL}},
        {"-append \"console=ttyS0 root=/dev/vda\"",
         {"-append", "console=ttyS0 root=/dev/vda", NULL}},
        {"a\"b c\"d", {"ab cd", NULL}},
        {"'a \"b' \"c 'd\"", {"a \"b", "c 'd", NULL}},
        {"a\\ b \\\"c\\\\", {"a b", "\"c\\", NULL}},
        {"\"a\\\"b\\c\"", {"a\"bc", NULL}},
        {"'a\\nb'", {"a\\nb", NULL}},
        {"'a\\'b'", {"a\\'b", NULL}},
        {"'' \"\" x", {"", "", "x", NULL}},
        {"$HOME `id` *", {"$HOME", "`id`", "*", NULL}},
    };
    static const char *const bad[] = {"\"a", "a 'b", "a\\", "'a\\'", "\"a\\\"", "a\"b\"c'"};

    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) words = propstr_shellwords(good[i].text, &error);

        g_assert_no_error(error);
        g_assert_cmpstrv(words, good[i].words);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(propstr_shellwords(bad[i], &error));
        g_assert_error(error, PROPSTR_ERROR, PROPSTR_ERROR_SYNTAX);
    }
}

static void test_url_decode(void)
{
    static const char *const bad[] = {"%", "a%4", "%4g", "%00", "%1b", "%7f", "%c2%85", "%c3"};
    g_autofree char *text = propstr_url_decode("a%2Cb%20%c3%A9+", NULL);

    g_assert_cmpstr(text, ==, "a,b é+");
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(propstr_url_decode(bad[i], &error));
        g_assert_error(error, PROPSTR_ERROR, PROPSTR_ERROR_VALUE);
    }
}

static void test_printable(void)
{
    g_assert_true(propstr_printable("", FALSE));
    g_assert_true(propstr_printable("aé☃ ", FALSE));
    g_assert_true(propstr_printable("a\tb", TRUE));
    g_assert_false(propstr_printable("a\tb", FALSE));
    g_assert_false(propstr_printable("a\rb", TRUE));
    g_assert_false(propstr_printable("\x7f", FALSE));
    g_assert_false(propstr_printable("\xc2\x9b", FALSE)); /* CSI */
    g_assert_false(propstr_printable("\xe9", FALSE));
}

static void test_quote(void)
{
    g_autofree char *hostile = propstr_quote("a\x1b[31m\xff\r\xc2\x9b"
                                             "é");
    g_autofree char *text = g_strnfill(1000, 'x');
    g_autofree char *cut = propstr_quote(text);

    g_assert_cmpstr(hostile, ==, "'a\\x1b[31m\\xff\\x0d\\xc2\\x9bé'");
    g_assert_cmpuint(strlen(cut), <, 70);
    g_assert_true(g_str_has_suffix(cut, "…'"));
}

/* Whatever bytes come in: no crash, and what is accepted keeps its promises. */
static void test_random(void)
{
    static const char alphabet[] = "virtio=,%0a9:/\\\"' \t\x01\xff\xc3\xa9.GK-eBCmodel";
    g_autoptr(GRand) rand = g_rand_new_with_seed(114);

    for (int round = 0; round < 50000; round++) {
        char text[25];
        gsize len = g_rand_int_range(rand, 0, sizeof(text));
        guint64 n;
        char mac[18];

        for (gsize i = 0; i < len; i++)
            text[i] = alphabet[g_rand_int_range(rand, 0, sizeof(alphabet) - 1)];
        text[len] = '\0';

        g_autoptr(PropStr) props = propstr_parse(text, net, NULL);
        g_autoptr(VolumeId) id = volume_id_parse(text, NULL);
        g_auto(GStrv) words = propstr_shellwords(text, NULL);
        g_autofree char *decoded = propstr_url_decode(text, NULL);
        g_autofree char *quoted = propstr_quote(text);

        g_assert_true(propstr_printable(quoted, FALSE));
        if (props)
            g_assert_true(g_strv_contains(models, propstr_get(props, "model")));
        if (id)
            g_assert_true(propstr_printable(id->volume, FALSE));
        if (decoded)
            g_assert_true(propstr_printable(decoded, FALSE));
        if (words && strpbrk(text, "\"'\\") == NULL) {
            g_autofree char *joined = g_strjoinv("", words);

            g_assert_null(strpbrk(joined, " \t"));
        }
        propstr_size(text, &n, NULL);
        propstr_mac(text, mac, NULL);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/propstr/props", test_props);
    g_test_add_func("/propstr/fallbacks", test_fallbacks);
    g_test_add_func("/propstr/alias-overwrites", test_alias_overwrites);
    g_test_add_func("/propstr/bad-props", test_bad_props);
    g_test_add_func("/propstr/no-default-key", test_no_default_key);
    g_test_add_func("/propstr/value-keeps-equals", test_value_keeps_equals);
    g_test_add_func("/propstr/numbers", test_numbers);
    g_test_add_func("/propstr/bool", test_bool);
    g_test_add_func("/propstr/uint", test_uint);
    g_test_add_func("/propstr/size", test_size);
    g_test_add_func("/propstr/mac", test_mac);
    g_test_add_func("/propstr/volume-id", test_volume_id);
    g_test_add_func("/propstr/shellwords", test_shellwords);
    g_test_add_func("/propstr/url-decode", test_url_decode);
    g_test_add_func("/propstr/printable", test_printable);
    g_test_add_func("/propstr/quote", test_quote);
    g_test_add_func("/propstr/random", test_random);
    return g_test_run();
}
