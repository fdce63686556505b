/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Holds docs/config.md to the table of keys: the rows between its markers are the table's, and each
 * sub-key stands in the section of its key. And docs/architecture.md to the list of packages: each
 * has its reason there.
 *
 *   test-docs CONFIG-MD [ARCHITECTURE-MD PACKAGES]
 *
 * With DOCS_UPDATE=1 the rows are written into CONFIG-MD instead, to be reviewed as a diff.
 */
#include <glib.h>
#include <string.h>

#include "schema.h"

static const char *file, *architecture, *packages;

static const struct {
    SchemaFate fate;
    const char *marker;
} parts[] = {
    {SCHEMA_USED, "used"},
    {SCHEMA_PROXMOX, "proxmox"},
    {SCHEMA_REFUSED, "refused"},
};

#define END "<!-- end -->\n"

static char *read_text(const char *path)
{
    char *text = NULL;
    GError *error = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

static char *read_doc(void)
{
    return read_text(file);
}

static char *key_of(const SchemaKey *row)
{
    if (row->last < 0)
        return g_strdup_printf("`%s`", row->key);
    return g_strdup_printf("`%s0` to `%s%d`", row->key, row->key, row->last);
}

static char *value_of(const SchemaKey *row)
{
    switch (row->type) {
    case SCHEMA_BOOLEAN:
        return g_strdup("0 or 1");
    case SCHEMA_TEMPLATE:
        return g_strdup("0, 1 or a name");
    case SCHEMA_INTEGER:
        if (!row->min && !row->max)
            return g_strdup("integer");
        return g_strdup_printf("%" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, row->min, row->max);
    case SCHEMA_NUMBER:
        return g_strdup("number");
    case SCHEMA_CPUSET:
        return g_strdup("`0,5,8-11`");
    case SCHEMA_PROPS:
        return g_strdup_printf("[sub-keys](#%s)", row->key);
    case SCHEMA_STRING:
        return g_strdup("text");
    }
    g_assert_not_reached();
}

static char *rows_of(SchemaFate fate)
{
    GString *rows = g_string_new(NULL);
    gsize n;
    const SchemaKey *table = schema_table(&n);

    for (gsize i = 0; i < n; i++) {
        g_autofree char *key = key_of(&table[i]), *value = value_of(&table[i]);

        if (table[i].fate != fate)
            continue;
        g_assert_null(strchr(table[i].why, '|'));
        if (fate == SCHEMA_REFUSED)
            g_string_append_printf(rows, "| %s | %s |\n", key, table[i].why);
        else
            g_string_append_printf(rows, "| %s | %s | %s |\n", key, value, table[i].why);
    }
    return g_string_free(rows, FALSE);
}

/* Where the rows of @marker are in @text; @end gets where they end. */
static char *find_rows(char *text, const char *marker, char **end)
{
    g_autofree char *begin =
        g_strdup_printf("<!-- %s: the rows of launcher/schema.c -->\n", marker);
    char *start = strstr(text, begin);

    if (!start)
        g_error("%s has no line %s", file, begin);
    /* The head of the table is two lines. */
    start += strlen(begin);
    for (int i = 0; i < 2; i++)
        start = strchr(start, '\n') + 1;
    *end = strstr(start, END);
    g_assert_nonnull(*end);
    return start;
}

static void test_rows(gconstpointer data)
{
    gsize part = GPOINTER_TO_SIZE(data);
    g_autofree char *text = read_doc(), *rows = rows_of(parts[part].fate), *is = NULL;
    char *end, *start = find_rows(text, parts[part].marker, &end);

    is = g_strndup(start, end - start);
    if (g_getenv("DOCS_UPDATE")) {
        g_autofree char *changed =
            g_strdup_printf("%.*s%s%s", (int)(start - text), text, rows, end);

        g_assert_true(g_file_set_contents(file, changed, -1, NULL));
        return;
    }
    g_assert_cmpstr(is, ==, rows);
}

/* What stands under the heading "### KEY", up to the next heading. */
static char *section(const char *text, const char *key)
{
    g_autofree char *heading = g_strdup_printf("\n### %s\n", key);
    const char *start = strstr(text, heading), *end;

    if (!start)
        g_error("%s has no heading '### %s'", file, key);
    start += strlen(heading);
    end = strstr(start, "\n#");
    return end ? g_strndup(start, end - start) : g_strdup(start);
}

static void check_sub_keys(const char *text, const SchemaKey *row)
{
    g_autofree char *found = section(text, row->key);

    for (const PropSpec *spec = row->props; spec->name; spec++) {
        g_autofree char *quoted = g_strdup_printf("`%s`", spec->name);

        if (!spec->alias && !strstr(found, quoted))
            g_error("%s: the section of %s does not mention %s", file, row->key, quoted);
    }
}

static void test_sub_keys(void)
{
    g_autofree char *text = read_doc();
    gsize n;
    const SchemaKey *table = schema_table(&n);

    for (gsize i = 0; i < n; i++) {
        /* The disks have one list of sub-keys, in the section of the first of them. */
        gboolean later_disk = table[i].props == schema_drive && strcmp(table[i].key, "scsi") != 0;

        if (later_disk)
            g_free(section(text, table[i].key));
        else if (table[i].fate == SCHEMA_USED && table[i].type == SCHEMA_PROPS)
            check_sub_keys(text, &table[i]);
    }
}

/* Lines are "GROUPS PACKAGE". */
static void test_packages(void)
{
    g_autofree char *text = read_text(architecture), *list = read_text(packages);
    g_auto(GStrv) lines = g_strsplit(list, "\n", -1);
    guint n = 0;

    for (char **line = lines; *line; line++) {
        const char *space = strrchr(*line, ' ');
        g_autofree char *quoted = space ? g_strdup_printf("`%s`", space + 1) : NULL;

        if (!quoted || **line == '#')
            continue;
        if (!strstr(text, quoted))
            g_error("%s does not mention the package %s", architecture, quoted);
        n++;
    }
    g_assert_cmpuint(n, >, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_true(argc == 2 || argc == 4);
    file = argv[1];
    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *path = g_strconcat("/docs/", parts[i].marker, NULL);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_rows);
    }
    g_test_add_func("/docs/sub-keys", test_sub_keys);
    if (argc == 4) {
        architecture = argv[2];
        packages = argv[3];
        g_test_add_func("/docs/packages", test_packages);
    }
    return g_test_run();
}
