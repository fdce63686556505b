/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "template.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

#define VERSION 3
#define MANIFEST_MAX (1024 * 1024)
#define REMAKE "'microvm-ctl template make --replace' makes it anew"

static void file_free(TemplateFile *file)
{
    g_free(file->what);
    g_free(file->path);
    g_free(file->sha256);
    g_free(file);
}

Template *template_new(const char *name, const char *dir)
{
    Template *tmpl = g_new0(Template, 1);

    tmpl->name = g_strdup(name);
    tmpl->dir = g_strdup(dir);
    tmpl->files = g_ptr_array_new_with_free_func((GDestroyNotify)file_free);
    tmpl->disks = g_ptr_array_new_with_free_func(g_free);
    tmpl->nics = g_ptr_array_new_with_free_func(g_free);
    tmpl->ssh_keys = g_ptr_array_new_with_free_func(g_free);
    return tmpl;
}

void template_free(Template *tmpl)
{
    if (!tmpl) {
        return;
    }
    g_free(tmpl->name);
    g_free(tmpl->dir);
    g_free(tmpl->made);
    g_free(tmpl->made_in);
    g_free(tmpl->id);
    g_free(tmpl->config);
    g_free(tmpl->config_sha256);
    g_free(tmpl->machine);
    g_free(tmpl->cpu);
    g_free(tmpl->host_cpu);
    g_free(tmpl->qemu);
    g_free(tmpl->kernel);
    g_free(tmpl->initrd);
    g_free(tmpl->user);
    g_ptr_array_unref(tmpl->files);
    g_ptr_array_unref(tmpl->disks);
    g_ptr_array_unref(tmpl->nics);
    g_ptr_array_unref(tmpl->ssh_keys);
    g_free(tmpl);
}

char *template_path(const Template *tmpl, const char *file)
{
    return g_canonicalize_filename(file, tmpl->dir);
}

/* The strings of a manifest: those that may be missing are @optional. */
static const struct {
    const char *name;
    gsize at;
    gboolean optional;
} strings[] = {
    {"made", offsetof(Template, made), FALSE},
    {"id", offsetof(Template, id), FALSE},
    {"directory", offsetof(Template, made_in), FALSE},
    {"config", offsetof(Template, config), FALSE},
    {"config-sha256", offsetof(Template, config_sha256), FALSE},
    {"machine", offsetof(Template, machine), FALSE},
    {"cpu", offsetof(Template, cpu), FALSE},
    {"host-cpu", offsetof(Template, host_cpu), TRUE},
    {"qemu", offsetof(Template, qemu), FALSE},
    {"kernel", offsetof(Template, kernel), TRUE},
    {"initrd", offsetof(Template, initrd), TRUE},
    {"user", offsetof(Template, user), TRUE},
};

static const struct {
    const char *name;
    gsize at;
} flags[] = {
    {"user-net", offsetof(Template, user_net)},
    {"vsock", offsetof(Template, vsock)},
    {"vmgenid", offsetof(Template, vmgenid)},
    {"vmgenid-used", offsetof(Template, vmgenid_used)},
};

#define FIELD(type, tmpl, offset) ((type *)(void *)((char *)(tmpl) + (offset)))

static void add_files(JsonBuilder *builder, const Template *tmpl)
{
    json_builder_set_member_name(builder, "files");
    json_builder_begin_array(builder);
    for (guint i = 0; i < tmpl->files->len; i++) {
        const TemplateFile *file = tmpl->files->pdata[i];

        json_builder_begin_object(builder);
        output_string(builder, "what", file->what);
        output_string(builder, "path", file->path);
        if (file->sha256) {
            output_string(builder, "sha256", file->sha256);
        }
        output_int(builder, "size", file->size);
        output_int(builder, "mtime-ns", file->mtime_ns);
        output_int(builder, "ctime-ns", file->ctime_ns);
        output_int(builder, "inode", (gint64)file->inode);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

static void add_list(JsonBuilder *builder, const char *name, const GPtrArray *list)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_array(builder);
    for (guint i = 0; i < list->len; i++) {
        json_builder_add_string_value(builder, list->pdata[i]);
    }
    json_builder_end_array(builder);
}

static char *to_json(const Template *tmpl)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    output_int(builder, "version", VERSION);
    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++) {
        const char *value = *FIELD(char *, tmpl, strings[i].at);

        if (value) {
            output_string(builder, strings[i].name, value);
        }
    }
    for (gsize i = 0; i < G_N_ELEMENTS(flags); i++) {
        json_builder_set_member_name(builder, flags[i].name);
        json_builder_add_boolean_value(builder, *FIELD(gboolean, tmpl, flags[i].at));
    }
    output_int(builder, "memory-mib", (gint64)tmpl->memory_mib);
    add_list(builder, "disks", tmpl->disks);
    add_list(builder, "nics", tmpl->nics);
    add_list(builder, "ssh-keys", tmpl->ssh_keys);
    add_files(builder, tmpl);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, TRUE);
}

gboolean template_save(const Template *tmpl, GError **error)
{
    g_autofree char *path = template_path(tmpl, TEMPLATE_MANIFEST), *text = to_json(tmpl);

    return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
}

static const char *get_string(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node)
                                                                   : NULL;
}

static gint64 get_int(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && json_node_get_value_type(node) == G_TYPE_INT64 ? json_node_get_int(node) : -1;
}

static JsonArray *get_array(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

static gboolean read_list(JsonObject *root, const char *name, GPtrArray *list)
{
    JsonArray *array = get_array(root, name);

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);

        if (json_node_get_value_type(node) != G_TYPE_STRING) {
            return FALSE;
        }
        g_ptr_array_add(list, json_node_dup_string(node));
    }
    return array != NULL;
}

static gboolean read_file(JsonObject *object, Template *tmpl)
{
    const char *what = get_string(object, "what"), *path = get_string(object, "path");
    TemplateFile *file;

    if (!what || !path) {
        return FALSE;
    }
    file = g_new0(TemplateFile, 1);
    g_ptr_array_add(tmpl->files, file);
    file->what = g_strdup(what);
    file->path = g_strdup(path);
    file->sha256 = g_strdup(get_string(object, "sha256"));
    file->size = get_int(object, "size");
    file->mtime_ns = get_int(object, "mtime-ns");
    file->ctime_ns = get_int(object, "ctime-ns");
    file->inode = (guint64)get_int(object, "inode");
    return TRUE;
}

static gboolean read_files(JsonObject *root, Template *tmpl)
{
    JsonArray *array = get_array(root, "files");

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);

        if (!JSON_NODE_HOLDS_OBJECT(node) || !read_file(json_node_get_object(node), tmpl)) {
            return FALSE;
        }
    }
    return array != NULL;
}

gboolean template_is_key_type(const char *type)
{
    return strcmp(type, "rsa") == 0 || strcmp(type, "ecdsa") == 0 || strcmp(type, "ed25519") == 0;
}

static gboolean are_types(const GPtrArray *types)
{
    for (guint i = 0; i < types->len; i++) {
        if (!template_is_key_type(types->pdata[i])) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean from_json(JsonObject *root, Template *tmpl)
{
    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++) {
        const char *value = get_string(root, strings[i].name);

        if (!value && !strings[i].optional) {
            return FALSE;
        }
        *FIELD(char *, tmpl, strings[i].at) = g_strdup(value);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(flags); i++) {
        *FIELD(gboolean, tmpl, flags[i].at) =
            json_object_get_boolean_member_with_default(root, flags[i].name, FALSE);
    }
    tmpl->memory_mib = (guint64)get_int(root, "memory-mib");
    return read_list(root, "disks", tmpl->disks) && read_list(root, "nics", tmpl->nics) &&
           tmpl->nics->len % 2 == 0 && read_list(root, "ssh-keys", tmpl->ssh_keys) &&
           are_types(tmpl->ssh_keys) && read_files(root, tmpl);
}

Template *template_load(const char *store, const char *name, GError **error)
{
    g_autofree char *dir = store_path(store, STORE_TEMPLATE, name);
    g_autoptr(Template) tmpl = template_new(name, dir);
    g_autofree char *path = template_path(tmpl, TEMPLATE_MANIFEST), *text = NULL;
    g_autoptr(JsonNode) root = NULL;
    struct stat st;

    if (stat(path, &st) < 0 && errno == ENOENT) {
        ctl_fail(error, CTL_ERROR_FAILED, "there is no template '%s' (%s)", name, dir);
        return NULL;
    }
    if (!g_file_get_contents(path, &text, NULL, error)) {
        return NULL;
    }
    root = strlen(text) < MANIFEST_MAX ? json_from_string(text, NULL) : NULL;
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        ctl_fail(error, CTL_ERROR_FAILED, "template '%s': %s is no JSON object; " REMAKE, name,
                 path);
        return NULL;
    }
    if (get_int(json_node_get_object(root), "version") != VERSION) {
        ctl_fail(error, CTL_ERROR_FAILED,
                 "template '%s' was made by another version of microvm-ctl; " REMAKE, name);
        return NULL;
    }
    if (!from_json(json_node_get_object(root), tmpl)) {
        ctl_fail(error, CTL_ERROR_FAILED, "template '%s': %s is not whole; " REMAKE, name, path);
        return NULL;
    }
    return g_steal_pointer(&tmpl);
}

static char *hash_file(const char *path, GError **error)
{
    g_autoptr(GMappedFile) file = g_mapped_file_new(path, FALSE, error);

    return file ? g_compute_checksum_for_data(G_CHECKSUM_SHA256,
                                              (const guchar *)g_mapped_file_get_contents(file),
                                              g_mapped_file_get_length(file))
                : NULL;
}

static void stamp(TemplateFile *file, const struct stat *st)
{
    file->size = st->st_size;
    file->mtime_ns = st->st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + st->st_mtim.tv_nsec;
    file->ctime_ns = st->st_ctim.tv_sec * G_GINT64_CONSTANT(1000000000) + st->st_ctim.tv_nsec;
    file->inode = st->st_ino;
}

gboolean template_add_file(Template *tmpl, const char *what, const char *path, gboolean hash,
                           GError **error)
{
    g_autofree char *full = template_path(tmpl, path);
    TemplateFile *file = g_new0(TemplateFile, 1);
    struct stat st;

    g_ptr_array_add(tmpl->files, file);
    file->what = g_strdup(what);
    file->path = g_strdup(path);
    if (stat(full, &st) < 0) {
        return ctl_fail(error, CTL_ERROR_FAILED, "%s %s: %s", what, full, g_strerror(errno));
    }
    stamp(file, &st);
    return !hash || (file->sha256 = hash_file(full, error)) != NULL;
}

static gboolean same_stamp(const TemplateFile *a, const TemplateFile *b)
{
    return a->size == b->size && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns &&
           a->inode == b->inode;
}

static gboolean check_file(const Template *tmpl, const TemplateFile *file, GError **error)
{
    g_autofree char *path = template_path(tmpl, file->path), *sum = NULL;
    TemplateFile now = {0};
    struct stat st;

    if (stat(path, &st) < 0) {
        return ctl_fail(error, CTL_ERROR_FAILED, "template '%s': its %s, %s: %s; " REMAKE,
                        tmpl->name, file->what, path, g_strerror(errno));
    }
    stamp(&now, &st);
    if (same_stamp(&now, file)) {
        return TRUE;
    }
    if (file->sha256 && now.size == file->size) {
        sum = hash_file(path, error);
        if (!sum) {
            return FALSE;
        }
    }
    if (sum && strcmp(sum, file->sha256) == 0) {
        return TRUE;
    }
    return ctl_fail(error, CTL_ERROR_FAILED,
                    "template '%s': its %s, %s, has changed since it was made; " REMAKE, tmpl->name,
                    file->what, path);
}

/* The copy in the template is what clones have; but who changes the config wants them to have that.
 */
static gboolean check_config(const Template *tmpl, GError **error)
{
    g_autofree char *sum = hash_file(tmpl->config, NULL);

    if (!sum || strcmp(sum, tmpl->config_sha256) == 0) {
        return TRUE;
    }
    return ctl_fail(error, CTL_ERROR_FAILED,
                    "template '%s': %s has changed since it was made; " REMAKE, tmpl->name,
                    tmpl->config);
}

static gboolean check_cpu(const Template *tmpl, GError **error)
{
    g_autofree char *cpu = tmpl->host_cpu ? template_host_cpu() : NULL;

    if (!cpu || strcmp(cpu, tmpl->host_cpu) == 0) {
        return TRUE;
    }
    return ctl_fail(error, CTL_ERROR_FAILED,
                    "template '%s' was made on another CPU (%s; here is %s); " REMAKE, tmpl->name,
                    tmpl->host_cpu, cpu);
}

gboolean template_check(const Template *tmpl, GError **error)
{
    if (strcmp(tmpl->made_in, tmpl->dir) != 0) {
        return ctl_fail(
            error, CTL_ERROR_FAILED,
            "template '%s' was made in %s, where its layers look for their disks; " REMAKE,
            tmpl->name, tmpl->made_in);
    }
    for (guint i = 0; i < tmpl->files->len; i++) {
        if (!check_file(tmpl, tmpl->files->pdata[i], error)) {
            return FALSE;
        }
    }
    return check_config(tmpl, error) && check_cpu(tmpl, error);
}

char *template_layer(const Template *tmpl, const char *key)
{
    g_autofree char *name = g_strconcat(key, ".layer", NULL);

    return template_path(tmpl, name);
}

const char *template_mac(const Template *tmpl, const char *key)
{
    for (guint i = 0; i + 1 < tmpl->nics->len; i += 2) {
        if (strcmp(tmpl->nics->pdata[i], key) == 0) {
            return tmpl->nics->pdata[i + 1];
        }
    }
    return NULL;
}

/* The value of line @name of @cpuinfo's first CPU; "" when it has none. */
static char *cpu_line(const char *cpuinfo, const char *name)
{
    g_autofree char *start = g_strdup_printf("\n%s\t", name);
    const char *line = strstr(cpuinfo, start), *colon = line ? strchr(line, ':') : NULL;

    return colon ? g_strchug(g_strndup(colon + 1, strcspn(colon + 1, "\n"))) : g_strdup("");
}

/* A model's name says too little: microcode and boot options take features away. */
char *template_host_cpu(void)
{
    g_autofree char *text = NULL, *model = NULL, *features = NULL, *sum = NULL;

    if (!g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL)) {
        return g_strdup("unknown");
    }
    model = cpu_line(text, "model name");
    features = cpu_line(text, "flags\t");
    sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, features, -1);
    return g_strdup_printf("%s, features %.8s", model, sum);
}
