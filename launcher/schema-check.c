/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "schema-rules.h"

G_DEFINE_QUARK(schema - error - quark, schema_error)

typedef struct {
    Config *config;
    gboolean strict;
    GPtrArray *errors; /* of Message * */
    char *machine;     /* why the config's machine line was dropped, or NULL */
} Checker;

typedef struct {
    unsigned line;
    char *text;
} Message;

static void message_free(gpointer data)
{
    Message *message = data;

    g_free(message->text);
    g_free(message);
}

static gint message_compare(gconstpointer a, gconstpointer b)
{
    const Message *const *first = a;
    const Message *const *second = b;

    return ((*first)->line > (*second)->line) - ((*first)->line < (*second)->line);
}

static void add_error(Checker *checker, const ConfigKey *key, const char *text)
{
    Message *message = g_new0(Message, 1);

    message->line = key->line;
    message->text =
        g_strdup_printf("%s:%u: %s: %s", checker->config->file, key->line, key->key, text);
    g_ptr_array_add(checker->errors, message);
}

static void replace(char **value, char *with)
{
    g_free(*value);
    *value = with;
}

/* "text" without its quotes. */
static void unquote(char **value)
{
    gsize len = strlen(*value);

    if (len >= 2 && (*value)[0] == '"' && (*value)[len - 1] == '"')
        replace(value, g_strndup(*value + 1, len - 2));
}

static gboolean normal_boolean(char **value, GError **error)
{
    gboolean on;

    if (!propstr_bool(*value, &on, error))
        return FALSE;
    replace(value, g_strdup(on ? "1" : "0"));
    return TRUE;
}

static gboolean normal_template(char **value, GError **error)
{
    const char *name = *value;

    if (normal_boolean(value, NULL))
        return TRUE;
    if (rule_matches(name, "[A-Za-z0-9][A-Za-z0-9_.-]*"))
        return TRUE;
    return rule_fail_value(error, name, "is neither 0 or 1 nor a template's name");
}

static gboolean normal_integer(char **value, GError **error)
{
    const char *digits = *value;

    if (!rule_all_of(digits, G_CSET_DIGITS))
        return rule_fail_value(error, digits, "is not an integer");
    digits += strspn(digits, "0");
    replace(value, g_strdup(*digits ? digits : "0"));
    return TRUE;
}

static gboolean normal_cpuset(char **value, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(*value, ",", -1);
    guint count = g_strv_length(parts);

    while (count && !*parts[count - 1]) /* Perl's split drops empty parts at the end */
        g_clear_pointer(&parts[--count], g_free);
    for (guint i = 0; i < count; i++) {
        char *part = g_strstrip(parts[i]);
        char *dash = strchr(part, '-');
        g_autofree char *first = dash ? g_strndup(part, dash - part) : g_strdup(part);
        guint64 from, to;

        if (!propstr_uint(first, 0, 8191, &from, NULL) ||
            !propstr_uint(dash ? dash + 1 : first, from, 8191, &to, NULL))
            return rule_fail_value(error, *value, "is not a list of CPUs (0,5,8-11)");
    }
    if (!count)
        return rule_fail_value(error, *value, "is not a list of CPUs (0,5,8-11)");
    replace(value, g_strjoinv(",", parts));
    return TRUE;
}

/* bps=N, bps_rd=N and bps_wr=N of old configs become mbps…=N/2^20, as in Proxmox. */
static gboolean normal_bps(char **value, const PropStr *props, GError **error)
{
    static const char *const names[] = {"bps", "bps_rd", "bps_wr"};
    g_autoptr(GString) out = NULL;
    g_auto(GStrv) parts = NULL;

    if (!propstr_get(props, "bps") && !propstr_get(props, "bps_rd") &&
        !propstr_get(props, "bps_wr"))
        return TRUE;
    out = g_string_new(NULL);
    parts = g_strsplit(*value, ",", -1);
    for (char **part = parts; *part; part++) {
        const char *equals = strchr(*part, '=');
        gboolean renamed = FALSE;

        for (gsize i = 0; equals && i < G_N_ELEMENTS(names); i++) {
            g_autofree char *name = g_strndup(*part, equals - *part);
            g_autofree char *wanted = g_strconcat("m", names[i], NULL);

            if (!g_str_equal(name, names[i]))
                continue;
            if (propstr_get(props, wanted))
                return rule_fail(error, "both %s and %s are given", names[i], wanted);
            g_string_append_printf(out, ",%s=%.3f", wanted,
                                   (double)propstr_get_int(props, names[i], 0) / (1024 * 1024));
            renamed = TRUE;
        }
        if (!renamed)
            g_string_append_printf(out, ",%s", *part);
    }
    replace(value, g_strdup(out->str + 1));
    return TRUE;
}

static gboolean normal_props(const SchemaKey *row, char **value, GError **error)
{
    g_autoptr(PropStr) props = propstr_parse(*value, row->props, error);

    if (!props || (row->format && !row->format(*value, props, error)))
        return FALSE;
    if (!row->props[1].name)
        replace(value, g_strdup(propstr_get(props, row->props[0].name)));
    if (row->props == schema_drive)
        return normal_bps(value, props, error);
    return TRUE;
}

/* Brings @value to the form that it is kept in; FALSE for one that Proxmox drops. */
static gboolean normalise(const SchemaKey *row, char **value, GError **error)
{
    if (strchr(*value, '\r') && !g_str_equal(row->key, "args"))
        return rule_fail_value(error, *value, "has a carriage return in it");

    switch (row->type) {
    case SCHEMA_BOOLEAN:
        return normal_boolean(value, error);
    case SCHEMA_TEMPLATE:
        return normal_template(value, error);
    case SCHEMA_INTEGER:
        return normal_integer(value, error);
    case SCHEMA_NUMBER:
        if (!rule_matches(*value, "[0-9]+(\\.[0-9]+)?"))
            return rule_fail_value(error, *value, "is not a number");
        return TRUE;
    case SCHEMA_STRING:
        if (row->format)
            return row->format(*value, NULL, error);
        unquote(value);
        return TRUE;
    case SCHEMA_PROPS:
        return normal_props(row, value, error);
    case SCHEMA_CPUSET:
        return normal_cpuset(value, error);
    }
    g_assert_not_reached();
}

/* Whether Proxmox keeps the line @key; says why not. */
static gboolean keep_line(ConfigKey *key, gpointer data)
{
    Checker *checker = data;
    const SchemaKey *row = schema_lookup(key->key, NULL);
    g_autoptr(GError) cause = NULL;
    const char *text;

    if (row && normalise(row, &key->value, &cause))
        return TRUE;
    text = row ? cause->message : "no such key";
    if (g_str_equal(key->key, "machine"))
        replace(&checker->machine,
                g_strdup_printf("%s:%u: machine: %s", checker->config->file, key->line, text));
    if (checker->strict)
        add_error(checker, key, text);
    else
        config_warn(checker->config, key->line, "%s: %s, dropped", key->key, text);
    return FALSE;
}

static gboolean check_limits(const SchemaKey *row, const char *value, GError **error)
{
    guint64 n;

    if (row->type != SCHEMA_INTEGER || row->fate != SCHEMA_USED)
        return TRUE;
    return propstr_uint(value, row->min, row->max, &n, error);
}

static gboolean check_row(const SchemaKey *row, const char *value, GError **error)
{
    g_autoptr(PropStr) props = NULL;

    if (row->fate == SCHEMA_REFUSED)
        return rule_fail(error, "%s", row->why);
    if (row->fate == SCHEMA_USED && !propstr_printable(value, g_str_equal(row->key, "args")))
        return rule_fail_value(error, value, "holds control characters or is not UTF-8");
    if (!check_limits(row, value, error))
        return FALSE;
    if (!row->check)
        return TRUE;
    if (row->type == SCHEMA_PROPS && !(props = propstr_parse(value, row->props, error)))
        return FALSE;
    return row->check(value, props, error);
}

/* The one key that there is no default for: in Proxmox that would be another board. */
static void check_has_machine(Checker *checker)
{
    Message *message;

    if (config_find(checker->config, "machine") || (checker->strict && checker->machine))
        return;
    message = g_new0(Message, 1);
    if (checker->machine) {
        message->text = g_strdup_printf("%s, so that none is left; write 'machine: microvm' and "
                                        "what else -machine should get into args",
                                        checker->machine);
    } else {
        message->text = g_strdup_printf("%s: machine: missing; add the line 'machine: microvm'",
                                        checker->config->file);
    }
    g_ptr_array_add(checker->errors, message);
}

static gboolean report(GPtrArray *errors, GError **error)
{
    g_autoptr(GString) all = g_string_new(NULL);

    if (!errors->len)
        return TRUE;
    g_ptr_array_sort(errors, message_compare);
    for (guint i = 0; i < errors->len; i++) {
        const Message *message = errors->pdata[i];

        g_string_append_printf(all, "%s%s", i ? "\n" : "", message->text);
    }
    g_set_error_literal(error, SCHEMA_ERROR, SCHEMA_ERROR_INVALID, all->str);
    return FALSE;
}

gboolean schema_check(Config *config, gboolean strict, GError **error)
{
    g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(message_free);
    Checker checker = {.config = config, .strict = strict, .errors = errors};

    config_filter(config, keep_line, &checker);
    for (guint i = 0; i < config->keys->len; i++) {
        const ConfigKey *key = config->keys->pdata[i];
        g_autoptr(GError) cause = NULL;

        if (!check_row(schema_lookup(key->key, NULL), key->value, &cause))
            add_error(&checker, key, cause->message);
    }
    check_has_machine(&checker);
    g_free(checker.machine);
    return report(errors, error);
}
