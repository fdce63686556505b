/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "directory.h"

#include <string.h>

#include "config.h"
#include "propstr.h"

G_DEFINE_QUARK(directory - error - quark, directory_error)

static const PropSpec map_props[] = {
    {.name = "node", .type = PROP_STRING, .optional = TRUE},
    {.name = "path", .type = PROP_STRING},
    {.name = NULL},
};

/* What follows "map" in @line, or NULL. */
static const char *map_of(char *line)
{
    char *text = g_strstrip(line);

    if (!g_str_has_prefix(text, "map") || !g_ascii_isspace(text[3]))
        return NULL;
    return g_strchug(text + 3);
}

/* The path in @map when it is one for @node. NULL without @error: it is for another. */
static char *path_on(const char *map, const char *node, GError **error)
{
    g_autoptr(PropStr) props = propstr_parse(map, map_props, error);
    const char *on = props ? propstr_get(props, "node") : NULL;
    const char *path = props ? propstr_get(props, "path") : NULL;

    if (!props || (on && strcmp(on, node) != 0))
        return NULL;
    if (*path != '/' || !propstr_printable(path, FALSE)) {
        g_autofree char *quoted = propstr_quote(path);

        g_set_error(error, DIRECTORY_ERROR, DIRECTORY_ERROR_SYNTAX, "%s is not an absolute path",
                    quoted);
        return NULL;
    }
    return g_strdup(path);
}

static char *search(char **lines, const char *name, const char *node, guint *number, GError **error)
{
    gboolean inside = FALSE;

    for (*number = 1; *lines; lines++, (*number)++) {
        const char *map;
        GError *cause = NULL;
        char *path;

        if (**lines == '#' || !*g_strchomp(*lines))
            continue;
        if (!g_ascii_isspace(**lines)) {
            inside = strcmp(*lines, name) == 0;
            continue;
        }
        if (!inside || !(map = map_of(*lines)))
            continue;
        path = path_on(map, node, &cause);
        if (path)
            return path;
        if (cause) {
            g_propagate_error(error, cause);
            return NULL;
        }
    }
    return NULL;
}

char *directory_find(const char *file, const char *name, const char *node, GError **error)
{
    gsize len;
    g_autofree char *text = config_read_text(file, &len, error);
    g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;
    GError *cause = NULL;
    guint number;
    char *path;

    if (!text)
        return NULL;
    path = search(lines, name, node, &number, &cause);
    if (path)
        return path;
    if (cause)
        g_propagate_prefixed_error(error, cause, "%s:%u: ", file, number);
    else
        g_set_error(error, DIRECTORY_ERROR, DIRECTORY_ERROR_UNKNOWN,
                    "%s says of no directory '%s' on this host (%s)", file, name, node);
    return NULL;
}
