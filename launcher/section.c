/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "section.h"

#include <string.h>

#include "propstr.h"

#define SPACES " \t\r\v\f"

typedef struct {
    const char *file;
    gboolean (*good_id)(const char *id);
    GPtrArray *warnings; /* may be NULL */
    unsigned line;
} Reader;

G_DEFINE_QUARK(section - error - quark, section_error)

static void section_free(gpointer data)
{
    Section *section = data;

    g_free(section->id);
    g_free(section->type);
    g_hash_table_destroy(section->props);
    g_free(section);
}

Section *sections_add(GHashTable *sections, const char *id, const char *type)
{
    Section *section = g_new0(Section, 1);

    section->id = g_strdup(id);
    section->type = g_ascii_strdown(type, -1);
    section->props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_replace(sections, section->id, section);
    return section;
}

static void warn(const Reader *reader, const char *what, const char *text)
{
    g_autofree char *quoted = propstr_quote(text);

    if (reader->warnings) {
        g_ptr_array_add(reader->warnings,
                        g_strdup_printf("%s:%u: %s: %s", reader->file, reader->line, what, quoted));
    }
}

/* ^(\S+):\s*(\S+)\s*$; FALSE when @line is not that. @section is NULL when the id is bad. */
static gboolean parse_header(const Reader *reader, GHashTable *sections, const char *line,
                             Section **section)
{
    gsize len = strcspn(line, SPACES);
    const char *colon = memrchr(line, ':', len);
    gsize type_len = colon ? colon - line : 0;
    g_autofree char *type = g_strndup(line, type_len);
    g_autofree char *id = NULL;

    *section = NULL;
    if (type_len)
        id = g_strstrip(g_strdup(colon + 1));
    if (!id || !*id || strpbrk(id, SPACES)) {
        warn(reader, "not a section (TYPE: NAME), skipped", line);
        return FALSE;
    }
    if (!reader->good_id(id)) {
        warn(reader, "not a section's name, skipped", id);
        return TRUE;
    }
    if (g_hash_table_contains(sections, id))
        warn(reader, "section stands twice, the last one holds", id);
    *section = sections_add(sections, id, type);
    return TRUE;
}

/* ^\s+(\S+)(\s+(.*\S))?\s*$ */
static void parse_property(const Reader *reader, Section *section, const char *line)
{
    const char *key = line + strspn(line, SPACES);
    gsize len = strcspn(key, SPACES);
    g_autofree char *name = g_strndup(key, len);
    char *value = g_strstrip(g_strdup(key + len));

    if (key == line || !len) {
        warn(reader, "not a property, skipped", line);
        g_free(value);
    } else if (g_hash_table_contains(section->props, name)) {
        warn(reader, "given twice, the first one holds", name);
        g_free(value);
    } else {
        g_hash_table_insert(section->props, g_steal_pointer(&name), value);
    }
}

static void parse_text(Reader *reader, GHashTable *sections, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    Section *section = NULL;
    gboolean inside = FALSE;

    for (char **line = lines; *line; line++) {
        reader->line++;
        if (g_str_has_suffix(*line, "\r"))
            (*line)[strlen(*line) - 1] = '\0';
        if ((*line)[strspn(*line, SPACES)] == '#')
            continue;
        if (!**line)
            inside = FALSE;
        else if (!inside)
            inside = parse_header(reader, sections, *line, &section);
        else if (section)
            parse_property(reader, section, *line);
    }
}

GHashTable *sections_parse(const char *file, const char *text, gsize len,
                           gboolean (*good_id)(const char *id), GPtrArray *warnings, GError **error)
{
    Reader reader = {.file = file, .good_id = good_id, .warnings = warnings};
    g_autofree char *copy = g_strndup(text, len);
    GHashTable *sections;

    if (strlen(copy) != len) {
        g_set_error(error, SECTION_ERROR, SECTION_ERROR_SYNTAX,
                    "%s: holds a NUL byte; it must be text", file);
        return NULL;
    }
    sections = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, section_free);
    parse_text(&reader, sections, copy);
    return sections;
}
