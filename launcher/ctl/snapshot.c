/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots of memory, devices and disks, kept inside the guest's qcow2 disks. Every disk that the
 * guest can write to must be qcow2, or what is restored would not fit together.
 */
#include <stdio.h>
#include <string.h>

#include "guests.h"
#include "output.h"

#define JOB "microvm-ctl"

typedef struct {
    Qmp *qmp;
    gint64 deadline;
    JsonArray *nodes;   /* all block nodes, as QEMU has them */
    GPtrArray *devices; /* of char *: node names of the writable qcow2 images */
} Disks;

static void disks_clear(Disks *disks)
{
    g_clear_pointer(&disks->qmp, qmp_free);
    g_clear_pointer(&disks->nodes, json_array_unref);
    g_clear_pointer(&disks->devices, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Disks, disks_clear)

static const char *get_string(JsonObject *object, const char *member)
{
    return json_object_get_string_member_with_default(object, member, "");
}

static JsonObject *node_at(const Disks *disks, guint i)
{
    return json_array_get_object_element(disks->nodes, i);
}

static const char *image_name(JsonObject *node)
{
    return get_string(json_object_get_object_member(node, "image"), "filename");
}

/* Nodes that hold a disk's format; under them is one for the file, above it one that throttles. */
static gboolean find_devices(Disks *disks, GError **error)
{
    static const char *const not_formats[] = {"file", "host_device", "rbd", "throttle", NULL};

    for (guint i = 0; i < json_array_get_length(disks->nodes); i++) {
        JsonObject *node = node_at(disks, i);
        const char *driver = get_string(node, "drv");

        if (json_object_get_boolean_member_with_default(node, "ro", FALSE)) {
            continue;
        }
        if (strcmp(driver, "qcow2") == 0) {
            g_ptr_array_add(disks->devices, g_strdup(get_string(node, "node-name")));
        } else if (!g_strv_contains(not_formats, driver)) {
            return ctl_fail(error, CTL_ERROR_FAILED,
                            "%s is %s; for snapshots, every disk that the guest can write to must "
                            "be qcow2",
                            image_name(node), driver);
        }
    }
    if (disks->devices->len == 0) {
        return ctl_fail(error, CTL_ERROR_FAILED,
                        "the guest has no qcow2 disk to keep a snapshot in");
    }
    g_ptr_array_add(disks->devices, NULL);
    return TRUE;
}

static gboolean open_disks(Disks *disks, const Request *request, GError **error)
{
    g_autoptr(Guest) guest = guest_find(request, error);
    g_autoptr(JsonNode) answer = NULL;

    disks->deadline = channel_deadline(request->timeout);
    disks->qmp = guest ? guest_qmp(guest, disks->deadline, error) : NULL;
    if (!disks->qmp) {
        return FALSE;
    }
    answer = qmp_ask(disks->qmp, "query-named-block-nodes", "{\"flat\": true}", JSON_NODE_ARRAY,
                     disks->deadline, error);
    if (!answer) {
        return FALSE;
    }
    disks->nodes = json_array_ref(json_node_get_array(answer));
    disks->devices = g_ptr_array_new_with_free_func(g_free);
    return find_devices(disks, error);
}

/* The snapshots of the first image, which is where memory is kept. */
static JsonArray *snapshots(const Disks *disks)
{
    for (guint i = 0; i < json_array_get_length(disks->nodes); i++) {
        JsonObject *image = json_object_get_object_member(node_at(disks, i), "image");

        if (strcmp(get_string(node_at(disks, i), "node-name"), disks->devices->pdata[0]) == 0) {
            return json_object_has_member(image, "snapshots")
                       ? json_object_get_array_member(image, "snapshots")
                       : NULL;
        }
    }
    return NULL;
}

static gboolean has_snapshot(const Disks *disks, const char *tag)
{
    JsonArray *all = snapshots(disks);

    for (guint i = 0; all && i < json_array_get_length(all); i++) {
        if (strcmp(get_string(json_array_get_object_element(all, i), "name"), tag) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Job JOB, which is part of @jobs; or NULL. */
static JsonObject *find_job(JsonArray *jobs)
{
    for (guint i = 0; i < json_array_get_length(jobs); i++) {
        JsonObject *job = json_array_get_object_element(jobs, i);

        if (strcmp(get_string(job, "id"), JOB) == 0) {
            return job;
        }
    }
    return NULL;
}

static JsonArray *query_jobs(const Disks *disks, GError **error)
{
    g_autoptr(JsonNode) answer =
        qmp_ask(disks->qmp, "query-jobs", NULL, JSON_NODE_ARRAY, disks->deadline, error);

    return answer ? json_array_ref(json_node_get_array(answer)) : NULL;
}

static gboolean is_concluded(JsonObject *job)
{
    return strcmp(get_string(job, "status"), "concluded") == 0;
}

static gboolean dismiss(const Disks *disks, GError **error)
{
    return qmp_run(disks->qmp, "job-dismiss", channel_arguments("{'id': <%s>}", JOB),
                   disks->deadline, error);
}

/* One that nobody has waited for, since it took too long or microvm-ctl was interrupted. */
static gboolean clear_old_job(const Disks *disks, GError **error)
{
    g_autoptr(JsonArray) jobs = query_jobs(disks, error);
    JsonObject *job = jobs ? find_job(jobs) : NULL;

    if (job && !is_concluded(job)) {
        return ctl_fail(error, CTL_ERROR_FAILED, "an earlier snapshot command is still at work");
    }
    return jobs && (!job || dismiss(disks, error));
}

/* Until JOB is over, and then in @message what went wrong. */
static gboolean wait_job(const Disks *disks, char **message, GError **error)
{
    for (;;) {
        g_autoptr(JsonArray) jobs = query_jobs(disks, error);
        JsonObject *job = jobs ? find_job(jobs) : NULL;
        g_autoptr(JsonObject) event = NULL;

        if (!job) {
            return jobs && ctl_fail(error, CTL_ERROR_FAILED, "QEMU has lost the job");
        }
        if (is_concluded(job)) {
            *message = g_strdup(json_object_get_string_member_with_default(job, "error", NULL));
            return dismiss(disks, error);
        }
        event = qmp_wait_event(disks->qmp, "JOB_STATUS_CHANGE", disks->deadline, error);
        if (!event) {
            return FALSE;
        }
    }
}

/* QEMU does it as a job, whose failure the commands themselves do not tell. */
static gboolean run_job(const Disks *disks, const char *command, const char *tag,
                        gboolean with_memory, GError **error)
{
    const char *const *devices = (const char *const *)disks->devices->pdata;
    g_autofree char *message = NULL;
    char *arguments =
        with_memory
            ? channel_arguments("{'job-id': <%s>, 'tag': <%s>, 'vmstate': <%s>, 'devices': <%^as>}",
                                JOB, tag, devices[0], devices)
            : channel_arguments("{'job-id': <%s>, 'tag': <%s>, 'devices': <%^as>}", JOB, tag,
                                devices);

    if (!clear_old_job(disks, error)) {
        g_free(arguments);
        return FALSE;
    }
    if (!qmp_run(disks->qmp, command, arguments, disks->deadline, error) ||
        !wait_job(disks, &message, error)) {
        return FALSE;
    }
    return !message || ctl_fail(error, CTL_ERROR_FAILED, "%s '%s': %s", command, tag, message);
}

static gboolean save(const Disks *disks, const char *tag, GError **error)
{
    if (has_snapshot(disks, tag)) {
        return ctl_fail(error, CTL_ERROR_FAILED, "there is a snapshot '%s' already", tag);
    }
    return run_job(disks, "snapshot-save", tag, TRUE, error);
}

static gboolean check_there(const Disks *disks, const char *tag, GError **error)
{
    return has_snapshot(disks, tag) ||
           ctl_fail(error, CTL_ERROR_FAILED, "there is no snapshot '%s'", tag);
}

static void list(const Disks *disks, gboolean as_json)
{
    JsonArray *all = snapshots(disks);
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_array(builder);
    for (guint i = 0; all && i < json_array_get_length(all); i++) {
        JsonObject *one = json_array_get_object_element(all, i);
        gint64 date = json_object_get_int_member_with_default(one, "date-sec", 0);
        gint64 size = json_object_get_int_member_with_default(one, "vm-state-size", 0);
        g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(date);
        g_autofree char *when = g_date_time_format(utc, "%Y-%m-%dT%H:%M:%SZ");
        g_autofree char *memory = output_bytes(size);
        g_autofree char *name = output_clean(get_string(one, "name"));

        json_builder_begin_object(builder);
        output_string(builder, "name", get_string(one, "name"));
        output_string(builder, "time", when);
        output_int(builder, "memory-bytes", size);
        json_builder_end_object(builder);
        if (!as_json) {
            printf("%-20s  %s  %s of memory\n", name, when, memory);
        }
    }
    json_builder_end_array(builder);
    if (as_json) {
        output_json(builder);
    }
}

static gboolean check_words(const Request *request, GError **error)
{
    static const char *const with_tag[] = {"save", "restore", "delete", NULL};

    if ((request->n_words == 1 && strcmp(request->words[0], "list") == 0) ||
        (request->n_words == 2 && g_strv_contains(with_tag, request->words[0]) &&
         *request->words[1])) {
        return TRUE;
    }
    return ctl_fail(error, CTL_ERROR_USAGE, "snapshot: save, restore or delete NAME; or list");
}

gboolean ctl_snapshot(Request *request, GError **error)
{
    g_auto(Disks) disks = {0};
    const char *action = request->words[0], *tag = request->words[1];

    if (!check_words(request, error) || !open_disks(&disks, request, error)) {
        return FALSE;
    }
    if (strcmp(action, "list") == 0) {
        list(&disks, request->json);
        return TRUE;
    }
    if (strcmp(action, "save") == 0) {
        return save(&disks, tag, error);
    }
    if (!check_there(&disks, tag, error)) {
        return FALSE;
    }
    if (strcmp(action, "restore") == 0) {
        return run_job(&disks, "snapshot-load", tag, TRUE, error);
    }
    return run_job(&disks, "snapshot-delete", tag, FALSE, error);
}
