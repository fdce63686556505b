/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A value, read by every grammar that values have. */
#include <string.h>

#include "fuzz.h"
#include "propstr.h"
#include "schema.h"

/* What was taken has the type that it was asked for. */
static void read_back(const PropStr *props, const PropSpec *specs)
{
    for (const PropSpec *spec = specs; spec->name; spec++) {
        const char *value = propstr_get(props, spec->name);

        if (spec->alias || !value)
            continue;
        if (spec->type == PROP_INTEGER && (spec->min || spec->max))
            g_assert_cmpint(propstr_get_int(props, spec->name, 0), >=, spec->min);
        if (spec->type == PROP_NUMBER)
            g_assert_true(propstr_get_number(props, spec->name, -1) >= 0);
        if (spec->type == PROP_MAC)
            g_assert_cmpuint(strlen(value), ==, 17);
    }
}

static void parse_words(const char *text)
{
    g_auto(GStrv) words = propstr_shellwords(text, NULL);
    gsize len = 0;

    for (char **word = words; word && *word; word++)
        len += strlen(*word);
    g_assert_cmpuint(len, <=, strlen(text));
}

static void parse_parts(const char *text)
{
    g_autoptr(VolumeId) id = volume_id_parse(text, NULL);
    g_autofree char *decoded = propstr_url_decode(text, NULL), *quoted = propstr_quote(text);
    char mac[18];
    gboolean on;
    guint64 n;

    if (id)
        g_assert_nonnull(id->volume);
    if (decoded)
        g_assert_true(propstr_printable(decoded, FALSE));
    g_assert_true(propstr_printable(quoted, FALSE));
    propstr_size(text, &n, NULL);
    propstr_uint(text, 0, 1000, &n, NULL);
    propstr_bool(text, &on, NULL);
    propstr_mac(text, mac, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    gsize n;
    const SchemaKey *table = schema_table(&n);

    for (gsize i = 0; i < n; i++) {
        g_autoptr(PropStr) props =
            table[i].props ? propstr_parse(text, table[i].props, NULL) : NULL;

        if (!props)
            continue;
        read_back(props, table[i].props);
        if (table[i].format && table[i].format(text, props, NULL) && table[i].check)
            table[i].check(text, props, NULL);
    }
    parse_words(text);
    parse_parts(text);
    return 0;
}
