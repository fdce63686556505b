/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <string.h>

#include "argv.h"
#include "schema.h"

static Plan *plan_text(const char *text)
{
    g_autofree char *whole = g_strconcat("machine: microvm\n", text, NULL);
    g_autoptr(Config) config = config_parse("100.conf", whole, strlen(whole), TRUE, NULL);
    g_autoptr(Storages) storages = storage_load(NULL, NULL, NULL);
    g_autoptr(Host) host = host_assume("none", NULL);
    PlanOptions options = {.runtime_dir = "/run/a,b"};
    GError *error = NULL;
    Plan *plan;

    schema_check(config, TRUE, &error);
    g_assert_no_error(error);
    plan = plan_new(config, storages, host, &options, &error);
    g_assert_no_error(error);
    return plan;
}

/* The value of the @n-th @option, counted from 0; NULL when there are fewer. */
static const char *value_of(char **argv, const char *option, guint n)
{
    for (char **word = argv + 1; *word; word++) {
        if (strcmp(*word, option) == 0 && n-- == 0)
            return word[1];
    }
    return NULL;
}

static void test_commas_are_doubled(void)
{
    g_autoptr(Plan) plan = plan_text("scsi0: /srv/x,serial=a%2Cb%2C%2Cc\nserial0: socket\n");
    g_auto(GStrv) argv = argv_build(plan);

    g_assert_true(g_str_has_suffix(value_of(argv, "-device", 0), ",serial=a,,b,,,,c"));
    g_assert_cmpstr(value_of(argv, "-chardev", 0), ==,
                    "socket,id=qmp,path=/run/a,,b/100.qmp,server=on,wait=off");
    /* A file name is no option string. */
    g_assert_cmpstr(value_of(argv, "-pidfile", 0), ==, "/run/a,b/100.pid");
}

static void test_json_is_escaped(void)
{
    g_autoptr(Plan) plan = plan_text("scsi0: /srv/x\n");
    g_auto(GStrv) argv = NULL;
    PlanDisk *disk = plan->disks->pdata[0];

    g_free(disk->source->path);
    disk->source->path = g_strdup("/srv/a\"}\\\n\t\x7f\xc3\xa9");
    argv = argv_build(plan);
    g_assert_nonnull(strstr(value_of(argv, "-blockdev", 0),
                            "\"filename\":\"/srv/a\\\"}\\\\\\u000a\\u0009\\u007f\xc3\xa9\""));
}

/* Whatever @value is, it stays inside the word that it belongs to. */
static void test_hostile_values(void)
{
    static const char *const values[] = {",", "a,b=c", "'\"", "%2C", "-S", "$(id)", "é", "a\\"};

    for (gsize i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autoptr(Plan) harmless = plan_text("scsi0: /srv/x\nserial0: socket\nagent: 1\n");
        g_autoptr(Plan) hostile = plan_text("scsi0: /srv/x\nserial0: socket\nagent: 1\n");
        g_auto(GStrv) expected = argv_build(harmless);
        g_auto(GStrv) argv = NULL;
        PlanDisk *disk = hostile->disks->pdata[0];

        g_free(hostile->name);
        hostile->name = g_strdup(values[i]);
        g_free(disk->source->path);
        disk->source->path = g_strdup(values[i]);
        disk->serial = g_strdup(values[i]);
        argv = argv_build(hostile);
        g_assert_cmpuint(g_strv_length(argv), ==, g_strv_length(expected));
        for (guint j = 0; argv[j]; j++)
            g_assert_cmpint(argv[j][0] == '-', ==, expected[j][0] == '-');
    }
}

static char *printed(void (*print)(FILE *, char *const *), char *const *argv, gsize *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);

    print(out, argv);
    fclose(out);
    return text;
}

/* A shell must read back from --print what --print0 has. */
static void test_print_round_trip(void)
{
    char *words[] = {"/opt/a b/qemu",
                     "-name",
                     "it's",
                     "-S",
                     "-append",
                     "a \"b\" $c `d` \\ e\nf",
                     "",
                     "é",
                     "-x",
                     "*",
                     NULL};
    gsize len;
    g_autofree char *text = printed(argv_print, words, &len);
    g_auto(GStrv) parsed = NULL;
    int n;

    g_assert_true(g_shell_parse_argv(text, &n, &parsed, NULL));
    g_assert_cmpint(n, ==, G_N_ELEMENTS(words) - 1);
    for (int i = 0; i < n; i++)
        g_assert_cmpstr(parsed[i], ==, words[i]);
}

static void test_print0(void)
{
    char *words[] = {"qemu", "", "a\nb", NULL};
    gsize len;
    g_autofree char *text = printed(argv_print0, words, &len);

    g_assert_cmpmem(text, len, "qemu\0\0a\nb\0", 10);
}

static void test_process_name(void)
{
    g_autoptr(Plan) plan = plan_text("");
    g_auto(GStrv) known = NULL, other = NULL;

    g_free(plan->qemu);
    plan->qemu = g_strdup("/opt/qemu-10/qemu-mine");
    known = argv_build(plan);
    g_assert_cmpstr(known[0], ==, "/opt/qemu-10/qemu-mine");
    g_free(plan->qemu);
    plan->qemu = g_strdup("/opt/qemu-10/kvm-thing");
    other = argv_build(plan);
    g_assert_cmpstr(other[0], ==, "qemu-system-x86_64");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/argv/commas-are-doubled", test_commas_are_doubled);
    g_test_add_func("/argv/json-is-escaped", test_json_is_escaped);
    g_test_add_func("/argv/hostile-values", test_hostile_values);
    g_test_add_func("/argv/print-round-trip", test_print_round_trip);
    g_test_add_func("/argv/print0", test_print0);
    g_test_add_func("/argv/process-name", test_process_name);
    return g_test_run();
}
