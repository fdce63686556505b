/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output.h"

#include <stdio.h>

void output_string(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, value);
}

void output_int(JsonBuilder *builder, const char *name, gint64 value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, value);
}

void output_node(JsonNode *node)
{
    g_autofree char *text = json_to_string(node, TRUE);

    puts(text);
}

void output_json(JsonBuilder *builder)
{
    g_autoptr(JsonNode) root = json_builder_get_root(builder);

    output_node(root);
}

char *output_bytes(gint64 bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    gsize unit = 0;

    while (value >= 1024 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    return g_strdup_printf("%.*f %s", value < 10 && unit > 0 && value != (gint64)value ? 1 : 0,
                           value, units[unit]);
}

char *output_clean(const char *text)
{
    GString *clean = g_string_new(NULL);
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        g_string_append_unichar(clean, g_unichar_isprint(c) ? c : 0xfffd);
    }
    return g_string_free(clean, FALSE);
}

static const char *program = "microvm-ctl";

void output_hex(GString *text, const void *data, gsize size)
{
    const guint8 *bytes = data;

    for (gsize i = 0; i < size; i++) {
        g_string_append_printf(text, "%02x", bytes[i]);
    }
}

void output_program(const char *name)
{
    program = name;
}

void output_say(const char *format, ...)
{
    g_autofree char *text = NULL, *clean = NULL;
    va_list ap;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    clean = output_clean(text);
    fprintf(stderr, "%s: %s\n", program, clean);
}
