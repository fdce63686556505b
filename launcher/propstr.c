/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "propstr.h"

#include <math.h>
#include <string.h>

#define QUOTE_MAX 60

struct PropStr {
    const PropSpec *specs;
    char **values; /* one for each of ->specs, NULL where it was not given */
    gsize n;
    gsize *given; /* indexes of those that were: few, of many that could be */
    gsize n_given;
};

G_DEFINE_QUARK(propstr - error - quark, propstr_error)

/* Sets @error to "@found: @wanted", with @text quoted; returns FALSE. */
static gboolean bad_value(GError **error, const char *text, const char *wanted)
{
    g_autofree char *quoted = propstr_quote(text);

    g_set_error(error, PROPSTR_ERROR, PROPSTR_ERROR_VALUE, "%s is not %s", quoted, wanted);
    return FALSE;
}

static gboolean is_control(gunichar c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

/* As nearly every text is, and soon told. */
static gboolean is_plain_ascii(const char *text)
{
    while (*text >= ' ' && *text < 0x7f)
        text++;
    return !*text;
}

gboolean propstr_printable(const char *text, gboolean tab)
{
    if (is_plain_ascii(text))
        return TRUE;
    if (!g_utf8_validate(text, -1, NULL))
        return FALSE;
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        if (is_control(c) && !(tab && c == '\t'))
            return FALSE;
    }
    return TRUE;
}

char *propstr_quote(const char *text)
{
    GString *out = g_string_new("'");
    const char *p = text;

    while (*p && p - text < QUOTE_MAX) {
        gunichar c = g_utf8_get_char_validated(p, -1);

        if (c >= (gunichar)-2 || is_control(c)) {
            g_string_append_printf(out, "\\x%02x", (guchar)*p++);
        } else {
            const char *next = g_utf8_next_char(p);

            g_string_append_len(out, p, next - p);
            p = next;
        }
    }
    g_string_append(out, *p ? "…'" : "'");
    return g_string_free(out, FALSE);
}

gboolean propstr_bool(const char *text, gboolean *value, GError **error)
{
    static const char *const words[2][4] = {{"0", "off", "no", "false"},
                                            {"1", "on", "yes", "true"}};

    for (int i = 0; i < 2; i++) {
        for (gsize j = 0; j < G_N_ELEMENTS(words[i]); j++) {
            if (g_ascii_strcasecmp(text, words[i][j]) == 0) {
                *value = i;
                return TRUE;
            }
        }
    }
    return bad_value(error, text, "a boolean (1, on, yes, true, or 0, off, no, false)");
}

gboolean propstr_uint(const char *text, guint64 min, guint64 max, guint64 *value, GError **error)
{
    g_autofree char *range = NULL;
    guint64 n = 0;
    gboolean good = *text != '\0';

    for (const char *p = text; good && *p; p++) {
        good = g_ascii_isdigit(*p) && g_uint64_checked_mul(&n, n, 10) &&
               g_uint64_checked_add(&n, n, *p - '0');
    }
    if (good && n >= min && n <= max) {
        *value = n;
        return TRUE;
    }
    range = max >= G_MAXINT64
                ? g_strdup_printf("an integer of at least %" G_GUINT64_FORMAT, min)
                : g_strdup_printf("an integer from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                                  min, max);
    return bad_value(error, text, range);
}

/* Skips decimal digits; returns how many there were. */
static gsize skip_digits(const char **p)
{
    const char *start = *p;

    while (g_ascii_isdigit(**p))
        (*p)++;
    return *p - start;
}

/* (\d+\.\d+|\d+\.|\.\d+|\d+)([eE][+-]?\d+)?, as JSONSchema's is_number() without the sign. */
static gboolean parse_number(const char *text, double *value)
{
    const char *p = text;
    gsize digits = skip_digits(&p);

    if (*p == '.') {
        p++;
        digits += skip_digits(&p);
    }
    if (!digits)
        return FALSE;
    if (*p == 'e' || *p == 'E') {
        p++;
        if (*p == '+' || *p == '-')
            p++;
        if (!skip_digits(&p))
            return FALSE;
    }
    if (*p)
        return FALSE;
    *value = g_ascii_strtod(text, NULL);
    return isfinite(*value);
}

static gboolean check_number(const char *text, gint64 min, gint64 max, GError **error)
{
    g_autofree char *range = NULL;
    gboolean limited = min || max;
    double value;

    if (parse_number(text, &value) && (!limited || (value >= min && value <= max)))
        return TRUE;
    if (limited && max < G_MAXINT64) {
        range =
            g_strdup_printf("a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, min, max);
    }
    return bad_value(error, text, range ? range : "a number");
}

gboolean propstr_size(const char *text, guint64 *bytes, GError **error)
{
    static const char wanted[] = "a size (a number and K, M, G or T, as in 32G)";
    static const char units[] = "KMGT";
    const char *p = text;
    const char *unit;
    gboolean fraction = FALSE;
    guint64 factor = 1;

    if (!skip_digits(&p))
        return bad_value(error, text, wanted);
    if (*p == '.') {
        p++;
        fraction = TRUE;
        if (!skip_digits(&p))
            return bad_value(error, text, wanted);
    }
    if (*p && (unit = strchr(units, *p))) {
        factor = (guint64)1 << (10 * (unit - units + 1));
        p++;
        if (strcmp(p, "iB") == 0)
            p += 2;
    }
    if (*p)
        return bad_value(error, text, wanted);

    if (fraction) {
        double value = g_ascii_strtod(text, NULL) * (double)factor;

        if (!(value < (double)G_MAXINT64))
            return bad_value(error, text, "a size below 8 EiB");
        *bytes = (guint64)value;
    } else {
        guint64 whole = g_ascii_strtoull(text, NULL, 10);

        if (whole > G_MAXINT64 / factor)
            return bad_value(error, text, "a size below 8 EiB");
        *bytes = whole * factor;
    }
    return TRUE;
}

gboolean propstr_mac(const char *text, char mac[18], GError **error)
{
    static const char wanted[] = "a unicast MAC address (as BC:24:11:00:6E:01)";

    if (strlen(text) != 17)
        return bad_value(error, text, wanted);
    for (int i = 0; i < 17; i++) {
        if (i % 3 == 2 ? text[i] != ':' : !g_ascii_isxdigit(text[i]))
            return bad_value(error, text, wanted);
        mac[i] = g_ascii_toupper(text[i]);
    }
    mac[17] = '\0';
    if (g_ascii_xdigit_value(text[1]) % 2)
        return bad_value(error, text, wanted);
    return TRUE;
}

char *propstr_url_decode(const char *text, GError **error)
{
    g_autoptr(GString) out = NULL;

    if (!strchr(text, '%') && propstr_printable(text, FALSE))
        return g_strdup(text);
    out = g_string_new(NULL);
    for (const char *p = text; *p; p++) {
        if (*p != '%') {
            g_string_append_c(out, *p);
            continue;
        }
        if (!g_ascii_isxdigit(p[1]) || !g_ascii_isxdigit(p[2])) {
            bad_value(error, text, "percent-encoded (%xx, two hexadecimal digits)");
            return NULL;
        }
        g_string_append_c(out, g_ascii_xdigit_value(p[1]) << 4 | g_ascii_xdigit_value(p[2]));
        p += 2;
    }
    if (strlen(out->str) != out->len || !propstr_printable(out->str, FALSE)) {
        bad_value(error, text, "UTF-8 without control characters once decoded");
        return NULL;
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static gboolean is_storage_id(const char *text, gsize len)
{
    if (len < 2 || !g_ascii_isalpha(text[0]) || !g_ascii_isalnum(text[len - 1]))
        return FALSE;
    for (gsize i = 1; i < len; i++) {
        if (!g_ascii_isalnum(text[i]) && !strchr("-_.", text[i]))
            return FALSE;
    }
    return TRUE;
}

VolumeId *volume_id_parse(const char *text, GError **error)
{
    const char *colon = strchr(text, ':');
    gboolean plain = *text == '/' || g_str_equal(text, "none") || g_str_equal(text, "cdrom");
    VolumeId *id;

    if (!plain && (!colon || !colon[1] || !is_storage_id(text, colon - text))) {
        bad_value(error, text, "a volume (STORAGE:VOLUME, an absolute path, none or cdrom)");
        return NULL;
    }
    if (!propstr_printable(text, FALSE)) {
        bad_value(error, text, "a volume: it must be UTF-8 without control characters");
        return NULL;
    }
    id = g_new0(VolumeId, 1);
    id->storage = plain ? NULL : g_strndup(text, colon - text);
    id->volume = g_strdup(plain ? text : colon + 1);
    return id;
}

void volume_id_free(VolumeId *id)
{
    if (!id)
        return;
    g_free(id->storage);
    g_free(id->volume);
    g_free(id);
}

/*
 * Appends the quoted text at *@p (just after @quote) to @word and leaves *@p after the closing
 * quote. As in Perl, a backslash inside single quotes stays, yet keeps the character after it from
 * closing them.
 */
static gboolean read_quoted(const char **p, char quote, GString *word)
{
    for (; **p && **p != quote; (*p)++) {
        if (**p == '\\') {
            if (quote == '\'')
                g_string_append_c(word, '\\');
            if (!*++*p)
                return FALSE;
        }
        g_string_append_c(word, **p);
    }
    if (!**p)
        return FALSE;
    (*p)++;
    return TRUE;
}

/* Reads one word at *@p, which is not a space. Returns NULL when it does not end properly. */
static char *read_word(const char **p, GError **error)
{
    g_autoptr(GString) word = g_string_new(NULL);

    while (**p && !g_ascii_isspace(**p)) {
        char c = *(*p)++;

        if (c == '"' || c == '\'') {
            if (!read_quoted(p, c, word)) {
                g_set_error(error, PROPSTR_ERROR, PROPSTR_ERROR_SYNTAX, "a %c has no closing %c", c,
                            c);
                return NULL;
            }
            continue;
        }
        if (c == '\\' && !(c = *(*p)++)) {
            g_set_error(error, PROPSTR_ERROR, PROPSTR_ERROR_SYNTAX,
                        "a backslash stands at the end with nothing to escape");
            return NULL;
        }
        g_string_append_c(word, c);
    }
    return g_string_free(g_steal_pointer(&word), FALSE);
}

char **propstr_shellwords(const char *text, GError **error)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    const char *p = text;

    for (;;) {
        char *word;

        while (g_ascii_isspace(*p))
            p++;
        if (!*p)
            break;
        word = read_word(&p, error);
        if (!word)
            return NULL;
        g_ptr_array_add(words, word);
    }
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&words), FALSE);
}

static gssize find_spec(const PropSpec *specs, const char *name)
{
    for (gssize i = 0; specs[i].name; i++) {
        if (*specs[i].name == *name && strcmp(specs[i].name, name) == 0)
            return i;
    }
    return -1;
}

static gboolean duplicate_key(GError **error, const char *name)
{
    g_set_error(error, PROPSTR_ERROR, PROPSTR_ERROR_SYNTAX, "'%s' is given twice", name);
    return FALSE;
}

/* A part without "=": the value of the default key. */
static gboolean take_bare(PropStr *props, const char *value, GError **error)
{
    g_autofree char *quoted = NULL;

    for (gsize i = 0; i < props->n; i++) {
        if (!props->specs[i].is_default)
            continue;
        if (props->values[i])
            return duplicate_key(error, props->specs[i].name);
        props->values[i] = g_strdup(value);
        return TRUE;
    }
    quoted = propstr_quote(value);
    g_set_error(error, PROPSTR_ERROR, PROPSTR_ERROR_SYNTAX, "%s should be KEY=VALUE", quoted);
    return FALSE;
}

/* "@name=@value". An alias overwrites what its key had before, as in Proxmox. */
static gboolean take_pair(PropStr *props, const char *name, const char *value, GError **error)
{
    gssize i = find_spec(props->specs, name);

    if (i < 0) {
        g_autofree char *quoted = propstr_quote(name);

        g_set_error(error, PROPSTR_ERROR, PROPSTR_ERROR_SYNTAX, "unknown sub-key %s", quoted);
        return FALSE;
    }
    if (props->values[i])
        return duplicate_key(error, name);
    if (props->specs[i].alias) {
        const PropSpec *spec = &props->specs[i];

        if (spec->key_alias) {
            gssize k = find_spec(props->specs, spec->key_alias);

            g_assert(k >= 0);
            if (props->values[k])
                return duplicate_key(error, spec->key_alias);
            props->values[k] = g_strdup(name);
        }
        i = find_spec(props->specs, spec->alias);
        g_assert(i >= 0);
    }
    g_free(props->values[i]);
    props->values[i] = g_strdup(value);
    return TRUE;
}

static gboolean take_part(PropStr *props, char *part, GError **error)
{
    char *equals = strchr(part, '=');

    if (part[strspn(part, " \t\n\v\f\r")] == '\0')
        return TRUE;
    if (!equals)
        return take_bare(props, part, error);
    if (equals == part || !equals[1]) {
        g_autofree char *quoted = propstr_quote(part);

        g_set_error(error, PROPSTR_ERROR, PROPSTR_ERROR_SYNTAX, "%s lacks a %s around the '='",
                    quoted, equals == part ? "key" : "value");
        return FALSE;
    }
    *equals = '\0';
    return take_pair(props, part, equals + 1, error);
}

static gboolean check_enum(const char *value, const char *const *choices, GError **error)
{
    g_autofree char *list = NULL;
    g_autofree char *wanted = NULL;

    if (g_strv_contains(choices, value))
        return TRUE;
    list = g_strjoinv(", ", (char **)choices);
    wanted = g_strdup_printf("one of %s", list);
    return bad_value(error, value, wanted);
}

static gboolean check_length(const char *value, gint64 max, GError **error)
{
    g_autofree char *wanted = NULL;

    if (!max || strlen(value) <= (gsize)max)
        return TRUE;
    wanted = g_strdup_printf("at most %" G_GINT64_FORMAT " bytes long", max);
    return bad_value(error, value, wanted);
}

static gboolean check_urlencoded(const char *value, gint64 max, GError **error)
{
    g_autofree char *decoded = NULL;

    for (const char *p = value; *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr("-%_.!~*'()", *p))
            return bad_value(error, value, "percent-encoded (write other characters as %xx)");
    }
    decoded = propstr_url_decode(value, error);
    return decoded && check_length(value, max, error);
}

/* Checks *@value by @spec and brings it to the one form that it is kept in. */
static gboolean check_value(const PropSpec *spec, char **value, GError **error)
{
    gboolean limited = spec->min || spec->max;
    gboolean on;
    guint64 n;
    char mac[18];

    switch (spec->type) {
    case PROP_STRING:
        return check_length(*value, spec->max, error);
    case PROP_BOOLEAN:
        if (!propstr_bool(*value, &on, error))
            return FALSE;
        g_free(*value);
        *value = g_strdup(on ? "1" : "0");
        return TRUE;
    case PROP_INTEGER:
        return propstr_uint(*value, limited ? spec->min : 0, limited ? spec->max : G_MAXINT64, &n,
                            error);
    case PROP_NUMBER:
        return check_number(*value, spec->min, spec->max, error);
    case PROP_SIZE:
        return propstr_size(*value, &n, error);
    case PROP_ENUM:
        return check_enum(*value, spec->choices, error);
    case PROP_MAC:
        if (!propstr_mac(*value, mac, error))
            return FALSE;
        g_free(*value);
        *value = g_strdup(mac);
        return TRUE;
    case PROP_URLENCODED:
        return check_urlencoded(*value, spec->max, error);
    }
    g_assert_not_reached();
}

static gboolean check_values(PropStr *props, GError **error)
{
    for (gsize i = 0; i < props->n; i++) {
        const PropSpec *spec = &props->specs[i];

        if (!props->values[i]) {
            if (spec->optional || spec->alias)
                continue;
            g_set_error(error, PROPSTR_ERROR, PROPSTR_ERROR_VALUE, "the sub-key '%s' is missing",
                        spec->name);
            return FALSE;
        }
        props->given[props->n_given++] = i;
        if (!check_value(spec, &props->values[i], error)) {
            g_prefix_error(error, "%s: ", spec->name);
            return FALSE;
        }
    }
    return TRUE;
}

PropStr *propstr_parse(const char *text, const PropSpec *specs, GError **error)
{
    g_autoptr(PropStr) props = g_new0(PropStr, 1);
    g_autofree char *copy = g_strdup(text);
    char *next = copy;

    props->specs = specs;
    while (specs[props->n].name)
        props->n++;
    props->values = g_new0(char *, props->n);
    props->given = g_new(gsize, props->n);

    while (next) {
        char *part = next;

        next = strchr(part, ',');
        if (next)
            *next++ = '\0';
        if (!take_part(props, part, error))
            return NULL;
    }
    if (!check_values(props, error))
        return NULL;
    return g_steal_pointer(&props);
}

void propstr_free(PropStr *props)
{
    if (!props)
        return;
    for (gsize i = 0; i < props->n; i++)
        g_free(props->values[i]);
    g_free(props->values);
    g_free(props->given);
    g_free(props);
}

const char *propstr_get(const PropStr *props, const char *name)
{
    for (gsize i = 0; i < props->n_given; i++) {
        const char *given = props->specs[props->given[i]].name;

        if (*given == *name && strcmp(given, name) == 0)
            return props->values[props->given[i]];
    }
    return NULL;
}

gboolean propstr_get_bool(const PropStr *props, const char *name, gboolean fallback)
{
    const char *value = propstr_get(props, name);

    return value ? g_str_equal(value, "1") : fallback;
}

gint64 propstr_get_int(const PropStr *props, const char *name, gint64 fallback)
{
    const char *value = propstr_get(props, name);

    return value ? g_ascii_strtoll(value, NULL, 10) : fallback;
}

double propstr_get_number(const PropStr *props, const char *name, double fallback)
{
    const char *value = propstr_get(props, name);

    return value ? g_ascii_strtod(value, NULL) : fallback;
}
