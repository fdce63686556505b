/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "propstr.h"

#define TEXT_MAX (1024 * 1024) /* the most that Proxmox's cluster file system stores in a file */

#define SPACES " \t\r\v\f"

typedef enum {
    SECTION_MAIN,
    SECTION_PENDING,
    SECTION_OTHER,   /* a snapshot or a special section: parsed and dropped */
    SECTION_UNKNOWN, /* not parsed at all */
} Section;

typedef struct {
    Config *config;
    gboolean strict;
    Section section;
    GHashTable *seen;     /* names of the sections so far */
    GString *description; /* of the main section; NULL until its first line */
    unsigned line;
} Parser;

G_DEFINE_QUARK(config - error - quark, config_error)

static void config_key_free(gpointer data)
{
    ConfigKey *key = data;

    while (key) {
        ConfigKey *earlier = key->earlier;

        g_free(key->key);
        g_free(key->value);
        g_free(key);
        key = earlier;
    }
}

void config_warn(Config *config, unsigned line, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_ptr_array_add(config->warnings, g_strdup_printf("%s:%u: %s", config->file, line, text));
}

/* A line that Proxmox warns about and drops: a warning, or with strict an error (FALSE). */
static gboolean bad_line(Parser *parser, GError **error, const char *what, const char *text)
{
    g_autofree char *quoted = propstr_quote(text);

    if (!parser->strict) {
        config_warn(parser->config, parser->line, "%s: %s", what, quoted);
        return TRUE;
    }
    g_set_error(error, CONFIG_ERROR, CONFIG_ERROR_SYNTAX, "%s:%u: %s: %s", parser->config->file,
                parser->line, what, quoted);
    return FALSE;
}

static const char *skip_spaces(const char *p)
{
    return p + strspn(p, SPACES);
}

static void trim_end(char *text)
{
    gsize len = strlen(text);

    while (len && strchr(SPACES "\n", text[len - 1]))
        len--;
    text[len] = '\0';
}

/* What @line says after "@key:", without the spaces around it; NULL when it is not such a line. */
static char *value_after(const char *line, const char *key)
{
    gsize len = strlen(key);
    char *value;

    if (strncmp(line, key, len) != 0 || line[len] != ':')
        return NULL;
    value = g_strdup(skip_spaces(line + len + 1));
    trim_end(value);
    if (!*value)
        g_clear_pointer(&value, g_free);
    return value;
}

/* Decodes %xx as Perl does, where a bad escape stands for itself, and makes UTF-8 of it. */
static char *decode_description(const char *text)
{
    g_autoptr(GString) out = g_string_new(NULL);

    for (const char *p = text; *p; p++) {
        if (*p == '%' && g_ascii_isxdigit(p[1]) && g_ascii_isxdigit(p[2])) {
            g_string_append_c(out, g_ascii_xdigit_value(p[1]) << 4 | g_ascii_xdigit_value(p[2]));
            p += 2;
        } else {
            g_string_append_c(out, *p);
        }
    }
    return g_utf8_make_valid(out->str, out->len);
}

static void add_description(Parser *parser, const char *text, const char *end)
{
    g_autofree char *decoded = NULL;

    if (parser->section != SECTION_MAIN)
        return;
    decoded = decode_description(text);
    if (!parser->description)
        parser->description = g_string_new(NULL);
    g_string_append_printf(parser->description, "%s%s", decoded, end);
}

static void finish_description(Parser *parser)
{
    if (!parser->description)
        return;
    parser->config->description = g_string_free(g_steal_pointer(&parser->description), FALSE);
    trim_end(parser->config->description);
}

/* [A-Za-z][A-Za-z0-9_-]+, the name of a snapshot */
static gboolean is_snapshot_name(const char *name)
{
    gsize len = strlen(name);

    return len >= 2 && g_ascii_isalpha(*name) &&
           strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_-") == len;
}

/* The name in "[name]", or NULL when @line is not a section's header. */
static char *section_name(const char *line)
{
    const char *end;

    if (*line != '[')
        return NULL;
    end = strchr(line, ']');
    if (!end || *skip_spaces(end + 1))
        return NULL;
    return g_strndup(line + 1, end - line - 1);
}

static gboolean enter_section(Parser *parser, char *name, GError **error)
{
    finish_description(parser);
    if (g_ascii_strcasecmp(name, "pending") == 0) {
        parser->section = SECTION_PENDING;
        strcpy(name, "PENDING");
    } else if (g_str_equal(name, "special:cloudinit") || g_str_equal(name, "special:fleecing") ||
               is_snapshot_name(name)) {
        parser->section = SECTION_OTHER;
    } else {
        parser->section = SECTION_UNKNOWN;
        return bad_line(parser, error, "unknown section, skipped", name);
    }
    if (!g_hash_table_add(parser->seen, g_strdup(name)))
        return bad_line(parser, error, "section stands twice", name);
    return TRUE;
}

static void add_key(Parser *parser, const char *name, const char *value)
{
    Config *config = parser->config;
    ConfigKey *key, *old;

    if (parser->section != SECTION_MAIN)
        return;
    if (g_str_equal(name, "cdrom"))
        name = "ide2";

    old = g_hash_table_lookup(config->index, name);
    key = old ? old : g_new0(ConfigKey, 1);
    if (old) {
        /* The newest line keeps the place of the first, so that ->keys needs no search. */
        ConfigKey *earlier = g_new(ConfigKey, 1);

        *earlier = *old;
        key->earlier = earlier;
    }
    key->key = g_strdup(name);
    key->value = g_strdup(value);
    key->line = parser->line;
    if (!old)
        g_ptr_array_add(config->keys, key);
    g_hash_table_replace(config->index, key->key, key);
}

static gboolean is_last_word(const char *text, const char *word)
{
    size_t length = strlen(word);

    return !strncmp(text, word, length) && !text[length + strspn(text + length, SPACES)];
}

/* Whether @line ends in "snapstate: prepare" or "…delete", which Proxmox looks for anywhere. */
static gboolean is_snapstate(const char *line)
{
    static const char word[] = "snapstate:";

    for (const char *p = line; (p = strstr(p, word)); p++) {
        const char *value = skip_spaces(p + strlen(word));

        if (is_last_word(value, "prepare") || is_last_word(value, "delete"))
            return TRUE;
    }
    return FALSE;
}

/* ^([a-z][a-z_-]*\d*):\s*(.+?)\s*$ */
static gboolean parse_key(Parser *parser, const char *line, GError **error)
{
    gsize letters = strspn(line, G_CSET_a_2_z "_-");
    gsize len = letters + strspn(line + letters, G_CSET_DIGITS);
    g_autofree char *name = NULL;
    g_autofree char *value = NULL;

    if (!g_ascii_islower(*line) || line[len] != ':' || !line[len + 1])
        return bad_line(parser, error, "unable to parse this line, dropped", line);

    name = g_strndup(line, len);
    value = value_after(line, name);
    /* Of nothing but spaces, that pattern takes the last one as the value. */
    add_key(parser, name, value ? value : line + strlen(line) - 1);
    return TRUE;
}

static gboolean parse_line(Parser *parser, const char *line, GError **error)
{
    g_autofree char *name = section_name(line);
    g_autofree char *value = NULL;

    if (!*skip_spaces(line))
        return TRUE;
    if (name)
        return enter_section(parser, name, error);
    if (parser->section == SECTION_UNKNOWN)
        return TRUE;
    if (*line == '#') {
        add_description(parser, line + 1, "\n");
        return TRUE;
    }
    if ((value = value_after(line, "description"))) {
        add_description(parser, value, "");
        return TRUE;
    }
    if (is_snapstate(line)) {
        if (g_str_has_prefix(line, "snapstate:"))
            return TRUE;
        return bad_line(parser, error, "taken for a snapstate, as Proxmox does, and dropped", line);
    }
    if ((value = value_after(line, "delete"))) {
        if (parser->section == SECTION_PENDING)
            return TRUE;
        return bad_line(parser, error, "delete: is only allowed in [PENDING], dropped", value);
    }
    return parse_key(parser, line, error);
}

static Config *config_new(const char *file)
{
    Config *config = g_new0(Config, 1);

    config->file = g_strdup(file);
    config->keys = g_ptr_array_new_with_free_func(config_key_free);
    config->index = g_hash_table_new(g_str_hash, g_str_equal);
    config->warnings = g_ptr_array_new_with_free_func(g_free);
    return config;
}

static gboolean parse_lines(Parser *parser, const char *text, gsize len, GError **error)
{
    const char *end = text + len;

    while (text < end) {
        const char *newline = memchr(text, '\n', end - text);
        gsize length = (newline ? newline : end) - text;
        g_autofree char *line = g_strndup(text, length);

        parser->line++;
        if (strlen(line) != length) {
            g_set_error(error, CONFIG_ERROR, CONFIG_ERROR_SYNTAX,
                        "%s:%u: a NUL byte, which no config has", parser->config->file,
                        parser->line);
            return FALSE;
        }
        if (!parse_line(parser, line, error))
            return FALSE;
        text += length + 1;
    }
    finish_description(parser);
    return TRUE;
}

Config *config_parse(const char *file, const char *text, gsize len, gboolean strict, GError **error)
{
    g_autoptr(Config) config = config_new(file);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Parser parser = {.config = config, .strict = strict, .seen = seen};
    gboolean good = parse_lines(&parser, text, len, error);

    if (parser.description)
        g_string_free(parser.description, TRUE);
    return good ? g_steal_pointer(&config) : NULL;
}

/* Reads from @fd until its end, or one byte more than TEXT_MAX. */
static gboolean read_all(int fd, GString *text)
{
    char buffer[16384];
    ssize_t n;

    while (text->len <= TEXT_MAX) {
        n = read(fd, buffer, sizeof(buffer));
        if (n == 0)
            return TRUE;
        if (n > 0)
            g_string_append_len(text, buffer, n);
        else if (errno != EINTR)
            return FALSE;
    }
    return TRUE;
}

char *config_read_text(const char *file, gsize *len, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    gboolean good = fd >= 0 && read_all(fd, text);
    int saved = errno;

    if (fd >= 0)
        close(fd);
    if (!good) {
        g_set_error(error, CONFIG_ERROR, CONFIG_ERROR_READ, "%s: cannot be read: %s", file,
                    g_strerror(saved));
        return NULL;
    }
    if (text->len > TEXT_MAX) {
        g_set_error(error, CONFIG_ERROR, CONFIG_ERROR_READ,
                    "%s: larger than 1 MiB, the most that Proxmox stores in a config", file);
        return NULL;
    }
    *len = text->len;
    return g_string_free(g_steal_pointer(&text), FALSE);
}

Config *config_load(const char *file, gboolean strict, GError **error)
{
    gsize len;
    g_autofree char *text = config_read_text(file, &len, error);

    return text ? config_parse(file, text, len, strict, error) : NULL;
}

const ConfigKey *config_find(const Config *config, const char *key)
{
    return g_hash_table_lookup(config->index, key);
}

const char *config_get(const Config *config, const char *key)
{
    const ConfigKey *found = config_find(config, key);

    return found ? found->value : NULL;
}

/* Undoes the chain of @key's lines: returns the last good one alone, or NULL. */
static ConfigKey *last_good(ConfigKey *key, gboolean (*good)(ConfigKey *key, gpointer data),
                            gpointer data)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new();
    ConfigKey *best = NULL;

    for (ConfigKey *line = key; line; line = line->earlier)
        g_ptr_array_add(lines, line);
    for (guint i = lines->len; i-- > 0;) {
        ConfigKey *line = g_ptr_array_index(lines, i);

        line->earlier = NULL;
        if (good(line, data)) {
            config_key_free(best);
            best = line;
        } else {
            config_key_free(line);
        }
    }
    return best;
}

void config_filter(Config *config, gboolean (*good)(ConfigKey *key, gpointer data), gpointer data)
{
    GPtrArray *keys = g_ptr_array_new_with_free_func(config_key_free);

    g_hash_table_remove_all(config->index);
    for (guint i = 0; i < config->keys->len; i++) {
        ConfigKey *key = last_good(config->keys->pdata[i], good, data);

        if (!key)
            continue;
        g_ptr_array_add(keys, key);
        g_hash_table_insert(config->index, key->key, key);
    }
    g_ptr_array_set_free_func(config->keys, NULL);
    g_ptr_array_free(config->keys, TRUE);
    config->keys = keys;
}

void config_free(Config *config)
{
    if (!config)
        return;
    g_free(config->file);
    g_ptr_array_free(config->keys, TRUE);
    g_hash_table_destroy(config->index);
    g_free(config->description);
    g_ptr_array_free(config->warnings, TRUE);
    g_free(config);
}
