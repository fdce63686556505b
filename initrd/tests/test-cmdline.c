/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmdline.h"

#include <glib.h>
#include <string.h>

static struct cmdline parse(char *text)
{
    struct cmdline cmd;

    cmdline_parse(&cmd, text);
    return cmd;
}

static void test_defaults(void)
{
    char text[] = "\n";
    struct cmdline cmd = parse(text);

    g_assert_null(cmd.root);
    g_assert_null(cmd.init);
    g_assert_false(cmd.rw);
    g_assert_false(cmd.marks);
    g_assert_false(cmd.has_panic);
    g_assert_cmpint(cmd.wait_ms, ==, ROOT_WAIT_DEFAULT_MS);
}

static void test_all(void)
{
    char text[] = "console=ttyS0  root=/dev/vda\trw quiet rootfstype=ext4 rootflags=a,b=c init=/x "
                  "rootdelay=2 panic=-1 microvm.marks microvm.overlay=tmpfs rootwait "
                  "loadpin.enforce=0\n";
    struct cmdline cmd = parse(text);

    g_assert_cmpstr(cmd.root, ==, "/dev/vda");
    g_assert_cmpstr(cmd.rootfstype, ==, "ext4");
    g_assert_cmpstr(cmd.rootflags, ==, "a,b=c");
    g_assert_cmpstr(cmd.init, ==, "/x");
    g_assert_true(cmd.rw);
    g_assert_true(cmd.marks);
    g_assert_true(cmd.overlay);
    g_assert_true(cmd.any_modules);
    g_assert_true(cmd.has_panic);
    g_assert_cmpint(cmd.panic, ==, -1);
    g_assert_cmpuint(cmd.delay_ms, ==, 2000);
    g_assert_cmpint(cmd.wait_ms, ==, -1);
    g_assert_null(cmd.bad);
}

static void test_last_wins(void)
{
    char text[] = "root=/dev/vda rw root=LABEL=x ro rootwait rootwait=7 panic=3 panic=0";
    struct cmdline cmd = parse(text);

    g_assert_cmpstr(cmd.root, ==, "LABEL=x");
    g_assert_false(cmd.rw);
    g_assert_cmpint(cmd.wait_ms, ==, 7000);
    g_assert_cmpint(cmd.panic, ==, 0);
}

static void test_after_dashes(void)
{
    char text[] = "root=/dev/vda -- root=/dev/vdb rw init=/evil";
    struct cmdline cmd = parse(text);

    g_assert_cmpstr(cmd.root, ==, "/dev/vda");
    g_assert_false(cmd.rw);
    g_assert_null(cmd.init);
}

static void test_not_options(void)
{
    char text[] = "notroot=/a rootx=/b rwx arw panic microvm.marks=1 root= microvm.overlay "
                  "loadpin.enforce=1";
    struct cmdline cmd = parse(text);

    g_assert_cmpstr(cmd.root, ==, "");
    g_assert_false(cmd.rw);
    g_assert_false(cmd.has_panic);
    g_assert_false(cmd.overlay);
    g_assert_false(cmd.any_modules);
}

static void test_quotes(void)
{
    char text[] = "root=\"LABEL=my root\" \"init=/a b\" rootflags=x=\"y z\" rw";
    struct cmdline cmd = parse(text);

    g_assert_cmpstr(cmd.root, ==, "LABEL=my root");
    g_assert_cmpstr(cmd.init, ==, "/a b");
    g_assert_cmpstr(cmd.rootflags, ==, "x=\"y z\"");
    g_assert_true(cmd.rw);
}

static void test_bad_values(void)
{
    static const char *const bad[] = {
        "rootwait=",    "rootwait=5s",      "rootdelay=-1",       "rootdelay=99999999999999999999",
        "panic=\" 1\"", "panic=4294967296", "rootwait=999999999", "microvm.overlay=disk"};

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text = g_strdup(bad[i]);
        g_autofree char *key = g_strndup(bad[i], strcspn(bad[i], "="));
        struct cmdline cmd = parse(text);
        g_assert_cmpstr(cmd.bad, ==, key);
        g_assert_cmpint(cmd.wait_ms, ==, ROOT_WAIT_DEFAULT_MS);
        g_assert_false(cmd.has_panic);
    }
}

/* No text, however odd, makes the parser leave its buffer (the sanitizers watch). */
static void test_random(void)
{
    static const char alphabet[] = "\"\"== -- rootwi,\t\n\x80";

    for (int i = 0; i < 200000; i++) {
        int n = g_test_rand_int_range(0, 40);
        g_autofree char *text = g_malloc0((gsize)n + 1);
        for (int j = 0; j < n; j++) {
            text[j] = alphabet[g_test_rand_int_range(0, sizeof(alphabet) - 1)];
        }
        struct cmdline cmd = parse(text);
        if (cmd.root) {
            g_assert_cmpuint(strlen(cmd.root), <=, (gsize)n);
        }
    }
}

static void test_root_forms(void)
{
    static const struct {
        const char *root, *type;
        enum root_kind kind;
        const char *value;
    } cases[] = {
        {"/dev/vda", NULL, ROOT_DEVICE, "/dev/vda"},
        {"/dev/vda1", "ext4", ROOT_DEVICE, "/dev/vda1"},
        {"LABEL=microvm-root", NULL, ROOT_LABEL, "microvm-root"},
        {"LABEL=\"a b\"", NULL, ROOT_LABEL, "a b"},
        {"UUID=Ab-1", NULL, ROOT_UUID, "Ab-1"},
        {"PARTUUID=1-02", NULL, ROOT_PARTUUID, "1-02"},
        {"PARTLABEL=x", NULL, ROOT_PARTLABEL, "x"},
        {"/dev/disk/by-label/a\\x20b", NULL, ROOT_LABEL, "a b"},
        {"/dev/disk/by-label/a\\x2", NULL, ROOT_LABEL, "a\\x2"},
        {"/dev/disk/by-uuid/12", NULL, ROOT_UUID, "12"},
        {"/dev/disk/by-partuuid/12", NULL, ROOT_PARTUUID, "12"},
        {"/dev/disk/by-partlabel/12", NULL, ROOT_PARTLABEL, "12"},
        {"virtiofs:tag", NULL, ROOT_VIRTIOFS, "tag"},
        {"tag", "virtiofs", ROOT_VIRTIOFS, "tag"},
        {"9p:tag", NULL, ROOT_9P, "tag"},
        {"/dev/root", "9p", ROOT_9P, "/dev/root"},
        {"", NULL, ROOT_NONE, NULL},
        {"LABEL=", NULL, ROOT_NONE, NULL},
        {"/dev/", NULL, ROOT_NONE, NULL},
        {"vda", NULL, ROOT_NONE, NULL},
        {"/mnt/vda", NULL, ROOT_NONE, NULL},
        {"NFS=x", NULL, ROOT_NONE, NULL},
        {NULL, "ext4", ROOT_NONE, NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct root_spec spec;
        bool known = cmdline_root(&spec, cases[i].root, cases[i].type);
        g_test_message("root=%s", cases[i].root);
        g_assert_cmpint(spec.kind, ==, cases[i].kind);
        g_assert_cmpint(known, ==, cases[i].kind != ROOT_NONE);
        if (known) {
            g_assert_cmpstr(spec.value, ==, cases[i].value);
        }
    }
}

static void test_root_numbers(void)
{
    struct root_spec spec;

    g_assert_true(cmdline_root(&spec, "254:17", NULL));
    g_assert_cmpint(spec.kind, ==, ROOT_DEVNO);
    g_assert_cmpuint(spec.major, ==, 254);
    g_assert_cmpuint(spec.minor, ==, 17);
    g_assert_true(cmdline_root(&spec, "fe01", NULL));
    g_assert_cmpuint(spec.major, ==, 254);
    g_assert_cmpuint(spec.minor, ==, 1);
    g_assert_true(cmdline_root(&spec, "0010fe02", NULL)); /* minor 0x102 */
    g_assert_cmpuint(spec.major, ==, 254);
    g_assert_cmpuint(spec.minor, ==, 0x102);
    g_assert_false(cmdline_root(&spec, "254:", NULL));
    g_assert_false(cmdline_root(&spec, "254:1x", NULL));
    g_assert_false(cmdline_root(&spec, "4096:0", NULL));
    g_assert_false(cmdline_root(&spec, "1ffffffff", NULL));
}

static void test_root_too_long(void)
{
    struct root_spec spec;
    g_autofree char *longest = g_strnfill(sizeof(spec.value) - 1, 'x');
    g_autofree char *longer = g_strnfill(sizeof(spec.value), 'x');

    memcpy(longest, "/dev/", 5);
    memcpy(longer, "/dev/", 5);
    g_assert_true(cmdline_root(&spec, longest, NULL));
    g_assert_false(cmdline_root(&spec, longer, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cmdline/defaults", test_defaults);
    g_test_add_func("/cmdline/all", test_all);
    g_test_add_func("/cmdline/last-wins", test_last_wins);
    g_test_add_func("/cmdline/after-dashes", test_after_dashes);
    g_test_add_func("/cmdline/not-options", test_not_options);
    g_test_add_func("/cmdline/quotes", test_quotes);
    g_test_add_func("/cmdline/bad-values", test_bad_values);
    g_test_add_func("/cmdline/random", test_random);
    g_test_add_func("/root/forms", test_root_forms);
    g_test_add_func("/root/numbers", test_root_numbers);
    g_test_add_func("/root/too-long", test_root_too_long);
    return g_test_run();
}
