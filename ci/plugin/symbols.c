/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "symbols.h"

#include <gio/gio.h>
#include <string.h>

typedef struct {
    guint64 address;
    char *name;
} Symbol;

struct Symbols {
    GArray *table; /* of Symbol, by address; the first is SYMBOL_NONE */
    guint64 start, end;
};

static void clear_symbol(gpointer data)
{
    g_free(((Symbol *)data)->name);
}

static int by_address(gconstpointer a, gconstpointer b)
{
    guint64 x = ((const Symbol *)a)->address, y = ((const Symbol *)b)->address;

    return x < y ? -1 : x > y;
}

/* Takes the line "ADDRESS TYPE NAME" if it is one of a function, or ends the functions' part. */
static void take_line(Symbols *symbols, const char *line)
{
    char *rest;
    guint64 address = g_ascii_strtoull(line, &rest, 16);
    Symbol symbol = {.address = address};

    if (address < KERNEL_BASE || strlen(rest) < 4) {
        return;
    }
    if (g_str_equal(rest + 3, "_end")) {
        symbols->end = address;
    }
    /* the names that stand for a place and hide the function there */
    if (!strchr("tTwW", rest[1]) || g_str_has_prefix(rest + 3, "__pfx_") ||
        g_str_equal(rest + 3, "_text") || g_str_equal(rest + 3, "_stext")) {
        return;
    }
    symbol.name = g_strdup(rest + 3);
    g_array_append_val(symbols->table, symbol);
}

/* Of several names for one address the first stays. */
static void drop_aliases(GArray *table)
{
    guint kept = 1;

    for (guint i = 1; i < table->len; i++) {
        Symbol *from = &g_array_index(table, Symbol, i);

        if (from->address == g_array_index(table, Symbol, kept - 1).address) {
            continue;
        }
        if (i != kept) {
            Symbol *to = &g_array_index(table, Symbol, kept);

            g_free(to->name);
            *to = (Symbol){from->address, g_steal_pointer(&from->name)};
        }
        kept++;
    }
    g_array_set_size(table, kept);
}

Symbols *symbols_load(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    Symbols *symbols;

    if (path && !g_file_get_contents(path, &text, NULL, error)) {
        return NULL;
    }
    symbols = g_new0(Symbols, 1);
    symbols->table = g_array_new(FALSE, TRUE, sizeof(Symbol));
    g_array_set_clear_func(symbols->table, clear_symbol);
    g_array_set_size(symbols->table, 1);
    lines = g_strsplit(text ? text : "", "\n", -1);
    for (char **line = lines; *line; line++) {
        take_line(symbols, *line);
    }
    g_array_sort(symbols->table, by_address);
    drop_aliases(symbols->table);
    if (symbols->table->len > 1) {
        symbols->start = g_array_index(symbols->table, Symbol, 1).address;
    } else if (path) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                    "%s: no functions of an x86-64 kernel in it; a System.map is wanted", path);
        symbols_free(symbols);
        return NULL;
    }
    return symbols;
}

void symbols_free(Symbols *symbols)
{
    g_array_unref(symbols->table);
    g_free(symbols);
}

guint symbols_count(const Symbols *symbols)
{
    return symbols->table->len;
}

guint symbols_find(const Symbols *symbols, guint64 address, gboolean *is_start)
{
    guint low = 1, high = symbols->table->len;

    *is_start = FALSE;
    if (high == 1 || address < symbols->start || address >= symbols->end) {
        return SYMBOL_NONE;
    }
    while (high - low > 1) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(symbols->table, Symbol, middle).address <= address) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *is_start = g_array_index(symbols->table, Symbol, low).address == address;
    return low;
}

const char *symbols_name(const Symbols *symbols, guint number)
{
    return g_array_index(symbols->table, Symbol, number).name;
}
