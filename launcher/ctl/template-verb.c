/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "output.h"
#include "template.h"

#define CONFIG_DIR "/etc/microvm"

/* A file, or the id of a guest that is a service of this host. */
static char *config_path(const char *word)
{
    if (*word && strspn(word, G_CSET_DIGITS) == strlen(word)) {
        return g_strdup_printf(CONFIG_DIR "/%s.conf", word);
    }
    return g_strdup(word);
}

static gboolean make(Request *request, const char *store, GError **error)
{
    g_autofree char *config = config_path(request->words[1]);
    gboolean done = FALSE;

    if (request->name && !store_check_name(request->name, error)) {
        return FALSE;
    }
    if (!store_supervise(store, request, &done, error)) {
        return done;
    }
    request->words += 2; /* what is left is the launcher's */
    return template_make(request, store, config, request->name, error);
}

/* Bytes that its files take on the disk. */
static gint64 disk_usage(const Template *tmpl)
{
    gint64 sum = 0;

    for (guint i = 0; i < tmpl->files->len; i++) {
        const TemplateFile *file = tmpl->files->pdata[i];
        g_autofree char *path = template_path(tmpl, file->path);
        struct stat st;

        if (!g_path_is_absolute(file->path) && stat(path, &st) == 0) {
            sum += st.st_blocks * 512;
        }
    }
    return sum;
}

static void add_json(JsonBuilder *builder, const Template *tmpl, const char *reason)
{
    json_builder_begin_object(builder);
    output_string(builder, "name", tmpl->name);
    output_string(builder, "directory", tmpl->dir);
    if (tmpl->made) {
        output_string(builder, "made", tmpl->made);
        output_string(builder, "config", tmpl->config);
        output_string(builder, "machine", tmpl->machine);
        output_int(builder, "memory-bytes", (gint64)tmpl->memory_mib << 20);
        output_int(builder, "disk-bytes", disk_usage(tmpl));
        json_builder_set_member_name(builder, "vmgenid");
        json_builder_add_boolean_value(builder, tmpl->vmgenid && tmpl->vmgenid_used);
    }
    json_builder_set_member_name(builder, "usable");
    json_builder_add_boolean_value(builder, reason == NULL);
    if (reason) {
        output_string(builder, "reason", reason);
    }
    json_builder_end_object(builder);
}

static void print(const Template *tmpl, const char *reason)
{
    g_autofree char *memory = output_bytes((gint64)tmpl->memory_mib << 20);
    g_autofree char *disk = output_bytes(disk_usage(tmpl));

    printf("%-20s  %-20s  %8s  %8s  %s\n", tmpl->name, tmpl->made ? tmpl->made : "-", memory, disk,
           reason ? reason : "usable");
}

/* One that cannot be read is shown as well: it can be removed. */
static void show(const char *store, const char *name, JsonBuilder *builder)
{
    g_autoptr(GError) reason = NULL;
    g_autoptr(Template) tmpl = template_load(store, name, &reason);

    if (tmpl) {
        template_check(tmpl, &reason);
    } else {
        g_autofree char *dir = store_path(store, STORE_TEMPLATE, name);

        tmpl = template_new(name, dir);
    }
    if (builder) {
        add_json(builder, tmpl, reason ? reason->message : NULL);
    } else {
        print(tmpl, reason ? reason->message : NULL);
    }
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All but those that are being made. */
static GPtrArray *names(const char *store)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *path = store_path(store, STORE_TEMPLATE, ".");
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        if (*name != '.') {
            g_ptr_array_add(list, g_strdup(name));
        }
    }
    g_ptr_array_sort(list, by_name);
    return list;
}

static void list(const char *store, gboolean as_json)
{
    g_autoptr(GPtrArray) all = names(store);
    g_autoptr(JsonBuilder) builder = as_json ? json_builder_new() : NULL;

    if (as_json) {
        json_builder_begin_array(builder);
    } else {
        printf("%-20s  %-20s  %8s  %8s  %s\n", "NAME", "MADE", "MEMORY", "ON DISK", "STATE");
    }
    for (guint i = 0; i < all->len; i++) {
        show(store, all->pdata[i], builder);
    }
    if (as_json) {
        json_builder_end_array(builder);
        output_json(builder);
    }
}

gboolean ctl_template(Request *request, GError **error)
{
    g_autofree char *store = store_dir(request);
    const char *action = request->words[0];

    if (strcmp(action, "make") == 0 && request->n_words >= 2) {
        return make(request, store, error);
    }
    if (strcmp(action, "list") == 0 && request->n_words == 1) {
        list(store, request->json);
        return TRUE;
    }
    if (strcmp(action, "remove") == 0 && request->n_words == 2) {
        return store_check_name(request->words[1], error) &&
               store_remove(store, request->words[1], error);
    }
    return ctl_fail(error, CTL_ERROR_USAGE,
                    "template: make CONFIG [-- LAUNCHER-WORD…], list, or remove NAME");
}
