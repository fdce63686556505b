/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "baseline.h"

#include <gio/gio.h>
#include <string.h>

/* -- what is booted */

static gboolean add_hash(JsonObject *inputs, const char *name, char *path, GError **error)
{
    g_autofree char *owned = path, *data = NULL, *sum = NULL;
    gsize size;

    if (!g_file_get_contents(path, &data, &size, error)) {
        return FALSE;
    }
    sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *)data, size);
    sum[16] = '\0';
    json_object_set_string_member(inputs, name, sum);
    return TRUE;
}

/* The compiler that a vmlinux says it was built with, for those who wonder why it differs. */
static void add_compiler(JsonObject *inputs, char *path)
{
    g_autofree char *owned = path, *data = NULL, *text = NULL;
    gsize size;
    const char *at;

    if (!g_file_get_contents(path, &data, &size, NULL)) {
        return;
    }
    at = memmem(data, size, "Linux version ", strlen("Linux version "));
    if (at && (at = strstr(at, "gcc"))) {
        text = g_strndup(at, strcspn(at, ","));
        json_object_set_string_member(inputs, "compiler", text);
    }
}

JsonObject *inputs_of(const Setup *setup, const Parts *parts, GError **error)
{
    g_autoptr(JsonObject) inputs = json_object_new();
    g_autofree char *command_line = setup_command_line(setup);

    if (!add_hash(inputs, "qemu", setup_qemu(setup, parts), error) ||
        !add_hash(inputs, "kernel", setup_kernel(setup, parts), error) ||
        !add_hash(inputs, "initrd", setup_initrd(setup, parts), error) ||
        !add_hash(inputs, "init", g_strdup(parts->init), error)) {
        return NULL;
    }
    json_object_set_string_member(inputs, "command line", command_line);
    add_compiler(inputs, g_build_filename(parts->out, "vmlinux", NULL));
    return g_steal_pointer(&inputs);
}

/* -- to JSON */

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The counts of @table that reach @least, by name so that a change is easy to read. */
static JsonObject *table_to_json(GHashTable *table, guint64 least)
{
    g_autoptr(GPtrArray) keys = counts_order(table);
    JsonObject *object = json_object_new();

    g_ptr_array_sort(keys, by_name);
    for (guint i = 0; i < keys->len; i++) {
        guint64 n = counts_get(table, keys->pdata[i]);

        if (n >= least) {
            json_object_set_int_member(object, keys->pdata[i], (gint64)n);
        }
    }
    return object;
}

JsonObject *counts_to_json(const Counts *counts, JsonObject *inputs, guint64 least)
{
    JsonObject *root = json_object_new();
    JsonArray *phases = json_array_new();

    json_object_set_object_member(root, "inputs", json_object_ref(inputs));
    for (guint i = 0; i < counts->phases->len; i++) {
        const PhaseCounts *phase = counts->phases->pdata[i];
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "name", phase->name);
        json_object_set_int_member(object, "instructions", (gint64)phase->instructions);
        json_object_set_object_member(object, "accesses", table_to_json(phase->accesses, 0));
        json_array_add_object_element(phases, object);
    }
    json_object_set_array_member(root, "phases", phases);
    json_object_set_object_member(root, "initcalls", table_to_json(counts->initcalls, least));
    json_object_set_object_member(root, "functions", table_to_json(counts->functions, least));
    return root;
}

static gboolean write_json(JsonObject *object, const char *path, GError **error)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    g_autofree char *text = NULL, *with_end = NULL;

    json_node_set_object(node, object);
    text = json_to_string(node, TRUE);
    with_end = g_strconcat(text, "\n", NULL);
    return g_file_set_contents(path, with_end, -1, error);
}

static JsonObject *reason(const Counts *counts, const char *why, const char *commit)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *date = g_date_time_format(now, "%Y-%m-%d %H:%M");
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "date", date);
    if (commit) {
        json_object_set_string_member(object, "commit", commit);
    }
    json_object_set_string_member(object, "why", why);
    json_object_set_int_member(object, "instructions", (gint64)counts_instructions(counts));
    json_object_set_int_member(object, "port", (gint64)counts_accesses(counts, "port "));
    json_object_set_int_member(object, "mmio", (gint64)counts_accesses(counts, "mmio "));
    return object;
}

gboolean baseline_accept(const char *path, const Baseline *before, const Counts *counts,
                         JsonObject *inputs, const char *why, const char *commit, GError **error)
{
    g_autoptr(JsonObject) root = counts_to_json(counts, inputs, BASELINE_LEAST);
    JsonArray *accepted = json_array_new();

    for (guint i = 0; before && i < json_array_get_length(before->accepted); i++) {
        json_array_add_object_element(
            accepted, json_object_ref(json_array_get_object_element(before->accepted, i)));
    }
    json_array_add_object_element(accepted, reason(counts, why, commit));
    json_object_set_array_member(root, "accepted", accepted);
    return write_json(root, path, error);
}

/* -- from JSON */

static void add_member(G_GNUC_UNUSED JsonObject *object, const char *name, JsonNode *node,
                       gpointer table)
{
    counts_add(table, name, (guint64)json_node_get_int(node));
}

/* The member @name of @object if it is of @type. */
static JsonNode *member(JsonObject *object, const char *name, JsonNodeType type)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && json_node_get_node_type(node) == type ? node : NULL;
}

static gboolean take_table(JsonObject *object, const char *name, GHashTable *table)
{
    JsonNode *node = member(object, name, JSON_NODE_OBJECT);

    if (node) {
        json_object_foreach_member(json_node_get_object(node), add_member, table);
    }
    return node != NULL;
}

static gboolean take_phase(Counts *counts, JsonNode *node)
{
    JsonObject *object;
    PhaseCounts *phase;

    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        return FALSE;
    }
    object = json_node_get_object(node);
    if (!member(object, "name", JSON_NODE_VALUE)) {
        return FALSE;
    }
    phase = counts_phase(counts, json_object_get_string_member(object, "name"));
    phase->instructions =
        (guint64)json_object_get_int_member_with_default(object, "instructions", 0);
    return take_table(object, "accesses", phase->accesses);
}

static gboolean take_root(Baseline *baseline, JsonObject *root)
{
    JsonNode *phases = member(root, "phases", JSON_NODE_ARRAY);
    JsonNode *inputs = member(root, "inputs", JSON_NODE_OBJECT);
    JsonNode *accepted = member(root, "accepted", JSON_NODE_ARRAY);

    if (!phases || !inputs || !accepted ||
        !take_table(root, "initcalls", baseline->counts->initcalls) ||
        !take_table(root, "functions", baseline->counts->functions)) {
        return FALSE;
    }
    for (guint i = 0; i < json_array_get_length(json_node_get_array(phases)); i++) {
        if (!take_phase(baseline->counts, json_array_get_element(json_node_get_array(phases), i))) {
            return FALSE;
        }
    }
    baseline->inputs = json_object_ref(json_node_get_object(inputs));
    baseline->accepted = json_array_ref(json_node_get_array(accepted));
    return TRUE;
}

Baseline *baseline_load(const char *path, GError **error)
{
    g_autoptr(Baseline) baseline = g_new0(Baseline, 1);
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autofree char *text = NULL;
    JsonNode *root;

    baseline->counts = counts_new();
    if (!g_file_get_contents(path, &text, NULL, error)) {
        return NULL;
    }
    if (!json_parser_load_from_data(parser, text, -1, error)) {
        g_prefix_error(error, "%s: ", path);
        return NULL;
    }
    root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root) ||
        !take_root(baseline, json_node_get_object(root))) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                    "%s: not a baseline; boot-bench --accept \"why\" writes a new one", path);
        return NULL;
    }
    return g_steal_pointer(&baseline);
}

void baseline_free(Baseline *baseline)
{
    if (baseline) {
        counts_free(baseline->counts);
        g_clear_pointer(&baseline->inputs, json_object_unref);
        g_clear_pointer(&baseline->accepted, json_array_unref);
        g_free(baseline);
    }
}
