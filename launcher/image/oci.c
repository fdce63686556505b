/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <unistd.h>

#include <json-glib/json-glib.h>

#include "source.h"
#include "tool.h"

/* skopeo's "oci:DIRECTORY:TAG", to be freed; @tag alone too where @prefix is "". */
static char *layout(const Request *request, const char *prefix)
{
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, request->name, -1);
    g_autofree char *name = g_strdup_printf("oci-%.16s", hash);
    g_autofree char *dir = source_cache_path(request, name);

    return g_strconcat(prefix, dir, ":image", NULL);
}

/*
 * skopeo does not start without a policy on signatures, and Debian's own accepts any image. Where
 * the administrator has one, it holds.
 */
static gboolean has_policy(void)
{
    g_autofree char *own =
        g_build_filename(g_get_user_config_dir(), "containers", "policy.json", NULL);

    return access("/etc/containers/policy.json", F_OK) == 0 || access(own, F_OK) == 0;
}

gboolean oci_fetch(const Request *request, GError **error)
{
    g_autofree char *to = layout(request, "oci:"), *log = source_cache_path(request, "oci.log");
    const char *argv[] = {"skopeo",
                          "--override-os",
                          "linux",
                          "--override-arch",
                          "amd64",
                          has_policy() ? "copy" : "--insecure-policy",
                          has_policy() ? request->name : "copy",
                          has_policy() ? to : request->name,
                          has_policy() ? NULL : to,
                          NULL};

    if (strchr(request->cache, ':'))
        return image_fail(error, IMAGE_ERROR_USAGE, "--cache %s: a directory without ':' is wanted",
                          request->cache);
    return tool_run("fetching the image", argv, log, NULL, NULL, error);
}

gboolean oci_unpack(const Request *request, const char *bundle, GError **error)
{
    g_autofree char *from = layout(request, ""), *log = source_cache_path(request, "oci.log");
    const char *argv[] = {"umoci", "unpack", "--image", from, bundle, NULL};

    return tool_run("unpacking the layers", argv, log, NULL, NULL, error);
}

static JsonObject *member_object(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static void add_record(GByteArray *bytes, const char *name, const char *value)
{
    g_byte_array_append(bytes, (const guint8 *)name, (guint)strlen(name));
    g_byte_array_append(bytes, (const guint8 *)"=", 1);
    g_byte_array_append(bytes, (const guint8 *)value, (guint)strlen(value) + 1);
}

static void add_strings(GByteArray *bytes, const char *name, JsonObject *from, const char *member)
{
    JsonNode *node = json_object_get_member(from, member);
    JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *element = json_array_get_element(array, i);

        if (JSON_NODE_HOLDS_VALUE(element) && json_node_get_value_type(element) == G_TYPE_STRING)
            add_record(bytes, name, json_node_get_string(element));
    }
}

static void add_numbers(GByteArray *bytes, JsonObject *user)
{
    JsonNode *node = json_object_get_member(user, "additionalGids");
    JsonArray *more = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    static const char *const ids[] = {"uid", "gid"};
    char text[32];

    for (gsize i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_snprintf(text, sizeof(text), "%" G_GINT64_FORMAT,
                   json_object_get_int_member_with_default(user, ids[i], 0));
        add_record(bytes, ids[i], text);
    }
    for (guint i = 0; more && i < json_array_get_length(more); i++) {
        g_snprintf(text, sizeof(text), "%" G_GINT64_FORMAT, json_array_get_int_element(more, i));
        add_record(bytes, "group", text);
    }
}

GBytes *oci_run(const char *bundle, GError **error)
{
    g_autofree char *path = g_build_filename(bundle, "config.json", NULL);
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    JsonObject *process, *user;
    JsonNode *root;
    const char *cwd;

    if (!json_parser_load_from_file(parser, path, error))
        return NULL;
    root = json_parser_get_root(parser);
    process = member_object(
        root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL, "process");
    if (!process) {
        image_fail(error, IMAGE_ERROR_FAILED, "%s: no process", path);
        return NULL;
    }
    add_strings(bytes, "arg", process, "args");
    add_strings(bytes, "env", process, "env");
    cwd = json_object_get_string_member_with_default(process, "cwd", "/");
    add_record(bytes, "cwd", cwd);
    user = member_object(process, "user");
    if (user)
        add_numbers(bytes, user);
    return g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
}
