/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known of a guest from QEMU and /proc, as JSON; and that JSON for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guests.h"
#include "output.h"

#define PERIPHERAL "/machine/peripheral"

static JsonObject *object_at(JsonArray *array, guint i)
{
    return json_array_get_object_element(array, i);
}

static gint64 get_int(JsonObject *object, const char *member)
{
    return json_object_get_int_member_with_default(object, member, 0);
}

static const char *get_string(JsonObject *object, const char *member)
{
    return json_object_get_string_member_with_default(object, member, "");
}

/* The answer to @command, which is an array. */
static JsonArray *ask_array(Qmp *qmp, const char *command, const char *arguments, gint64 deadline,
                            GError **error)
{
    g_autoptr(JsonNode) answer = qmp_ask(qmp, command, arguments, JSON_NODE_ARRAY, deadline, error);

    return answer ? json_array_ref(json_node_get_array(answer)) : NULL;
}

/* Milliseconds that thread @thread of process @pid has run (proc(5): fields 14 and 15 of stat). */
static gint64 thread_time(long pid, gint64 thread)
{
    g_autofree char *path =
        g_strdup_printf("/proc/%ld/task/%" G_GINT64_FORMAT "/stat", pid, thread);
    g_autofree char *text = NULL;
    g_auto(GStrv) fields = NULL;
    const char *rest;

    if (!g_file_get_contents(path, &text, NULL, NULL) || !(rest = strrchr(text, ')'))) {
        return 0;
    }
    fields = g_strsplit(rest, " ", 16); /* ")", then field 3 on */
    if (g_strv_length(fields) < 14) {
        return 0;
    }
    return (strtoll(fields[12], NULL, 10) + strtoll(fields[13], NULL, 10)) * 1000 /
           sysconf(_SC_CLK_TCK);
}

static gboolean add_cpus(JsonBuilder *builder, const Guest *guest, Qmp *qmp, gint64 deadline,
                         GError **error)
{
    g_autoptr(JsonArray) cpus = ask_array(qmp, "query-cpus-fast", NULL, deadline, error);

    if (!cpus) {
        return FALSE;
    }
    json_builder_set_member_name(builder, "cpus");
    json_builder_begin_array(builder);
    for (guint i = 0; i < json_array_get_length(cpus); i++) {
        gint64 thread = get_int(object_at(cpus, i), "thread-id");

        json_builder_begin_object(builder);
        output_int(builder, "thread", thread);
        output_int(builder, "used-ms", thread_time(guest->pid, thread));
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    return TRUE;
}

/* "balloon" is what the guest may use now; it is left out when there is no balloon. */
static gboolean add_memory(JsonBuilder *builder, Qmp *qmp, gint64 deadline, GError **error)
{
    g_autoptr(JsonNode) memory =
        qmp_execute(qmp, "query-memory-size-summary", NULL, deadline, error);
    g_autoptr(JsonNode) balloon = NULL;

    if (!memory) {
        return FALSE;
    }
    balloon = qmp_execute(qmp, "query-balloon", NULL, deadline, NULL);
    json_builder_set_member_name(builder, "memory");
    json_builder_begin_object(builder);
    output_int(builder, "size", get_int(json_node_get_object(memory), "base-memory"));
    if (balloon) {
        output_int(builder, "balloon", get_int(json_node_get_object(balloon), "actual"));
    }
    json_builder_end_object(builder);
    return TRUE;
}

/* "scsi0" of "/machine/peripheral/scsi0/virtio-backend"; NULL for what has no id of ours. */
static char *device_id(const char *qdev)
{
    const char *id = qdev;

    if (g_str_has_prefix(qdev, PERIPHERAL "/")) {
        id += strlen(PERIPHERAL "/");
    }
    return *id && *id != '/' ? g_strndup(id, strcspn(id, "/")) : NULL;
}

static JsonObject *find_stats(JsonArray *stats, const char *qdev)
{
    for (guint i = 0; i < json_array_get_length(stats); i++) {
        if (strcmp(get_string(object_at(stats, i), "qdev"), qdev) == 0) {
            return json_object_get_object_member(object_at(stats, i), "stats");
        }
    }
    return NULL;
}

static void add_disk(JsonBuilder *builder, const char *key, JsonObject *block, JsonObject *stats)
{
    static const char *const counters[][2] = {{"read-bytes", "rd_bytes"},
                                              {"written-bytes", "wr_bytes"},
                                              {"reads", "rd_operations"},
                                              {"writes", "wr_operations"},
                                              {"flushes", "flush_operations"}};
    JsonObject *image =
        json_object_get_object_member(json_object_get_object_member(block, "inserted"), "image");

    json_builder_begin_object(builder);
    output_string(builder, "key", key);
    output_int(builder, "size", get_int(image, "virtual-size"));
    for (gsize i = 0; i < G_N_ELEMENTS(counters); i++) {
        output_int(builder, counters[i][0], stats ? get_int(stats, counters[i][1]) : 0);
    }
    json_builder_end_object(builder);
}

static gboolean add_disks(JsonBuilder *builder, Qmp *qmp, gint64 deadline, GError **error)
{
    g_autoptr(JsonArray) blocks = ask_array(qmp, "query-block", NULL, deadline, error);
    g_autoptr(JsonArray) stats =
        blocks ? ask_array(qmp, "query-blockstats", NULL, deadline, error) : NULL;

    if (!stats) {
        return FALSE;
    }
    json_builder_set_member_name(builder, "disks");
    json_builder_begin_array(builder);
    for (guint i = 0; i < json_array_get_length(blocks); i++) {
        JsonObject *block = object_at(blocks, i);
        const char *qdev = get_string(block, "qdev");
        g_autofree char *key = device_id(qdev);

        if (key && json_object_has_member(block, "inserted")) {
            add_disk(builder, key, block, find_stats(stats, qdev));
        }
    }
    json_builder_end_array(builder);
    return TRUE;
}

static gint64 tap_counter(const char *tap, const char *name)
{
    g_autofree char *path = g_strdup_printf("/sys/class/net/%s/statistics/%s", tap, name);
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? strtoll(text, NULL, 10) : 0;
}

/* The host's counters are the tap's: what it has received, the guest has sent. */
static void add_nic(JsonBuilder *builder, const Guest *guest, const char *key)
{
    g_autofree char *tap = g_strdup_printf("tap%si%s", guest->id, key + strlen("net"));
    g_autofree char *path = g_strconcat("/sys/class/net/", tap, NULL);

    json_builder_begin_object(builder);
    output_string(builder, "key", key);
    if (g_file_test(path, G_FILE_TEST_EXISTS)) {
        output_string(builder, "tap", tap);
        output_int(builder, "received-bytes", tap_counter(tap, "tx_bytes"));
        output_int(builder, "sent-bytes", tap_counter(tap, "rx_bytes"));
        output_int(builder, "received-packets", tap_counter(tap, "tx_packets"));
        output_int(builder, "sent-packets", tap_counter(tap, "rx_packets"));
    }
    json_builder_end_object(builder);
}

static gboolean add_nics(JsonBuilder *builder, const Guest *guest, Qmp *qmp, gint64 deadline,
                         GError **error)
{
    g_autoptr(JsonArray) devices =
        ask_array(qmp, "qom-list", "{\"path\": \"" PERIPHERAL "\"}", deadline, error);

    if (!devices) {
        return FALSE;
    }
    json_builder_set_member_name(builder, "nics");
    json_builder_begin_array(builder);
    for (guint i = 0; i < json_array_get_length(devices); i++) {
        const char *key = get_string(object_at(devices, i), "name");

        if (g_str_has_prefix(get_string(object_at(devices, i), "type"), "child<virtio-net-") &&
            g_str_has_prefix(key, "net")) {
            add_nic(builder, guest, key);
        }
    }
    json_builder_end_array(builder);
    return TRUE;
}

static JsonNode *collect(const Guest *guest, gint64 deadline, GError **error)
{
    g_autoptr(Qmp) qmp = guest_qmp(guest, deadline, error);
    g_autofree char *state = qmp ? guest_state(qmp, deadline, error) : NULL;
    g_autoptr(JsonBuilder) builder = json_builder_new();

    if (!state) {
        return NULL;
    }
    json_builder_begin_object(builder);
    output_int(builder, "id", g_ascii_strtoll(guest->id, NULL, 10));
    output_string(builder, "name", guest->name);
    output_string(builder, "state", state);
    output_int(builder, "pid", guest->pid);
    output_string(builder, "directory", guest->dir);
    if (!add_cpus(builder, guest, qmp, deadline, error) ||
        !add_memory(builder, qmp, deadline, error) || !add_disks(builder, qmp, deadline, error) ||
        !add_nics(builder, guest, qmp, deadline, error)) {
        return NULL;
    }
    json_builder_end_object(builder);
    return json_builder_get_root(builder);
}

static void print_cpus(JsonArray *cpus)
{
    for (guint i = 0; i < json_array_get_length(cpus); i++) {
        g_autofree char *name = g_strdup_printf("cpu%u", i);

        printf("%-10s %.1f s used\n", name, (double)get_int(object_at(cpus, i), "used-ms") / 1000);
    }
}

static void print_memory(JsonObject *memory)
{
    g_autofree char *size = output_bytes(get_int(memory, "size"));
    g_autofree char *balloon = output_bytes(get_int(memory, "balloon"));

    if (json_object_has_member(memory, "balloon")) {
        printf("%-10s %s, of which the balloon leaves %s\n", "memory", size, balloon);
    } else {
        printf("%-10s %s\n", "memory", size);
    }
}

static void print_disks(JsonArray *disks)
{
    for (guint i = 0; i < json_array_get_length(disks); i++) {
        JsonObject *disk = object_at(disks, i);
        g_autofree char *size = output_bytes(get_int(disk, "size"));
        g_autofree char *got = output_bytes(get_int(disk, "read-bytes"));
        g_autofree char *put = output_bytes(get_int(disk, "written-bytes"));

        printf("%-10s %s; %s read, %s written\n", get_string(disk, "key"), size, got, put);
    }
}

static void print_nics(JsonArray *nics)
{
    for (guint i = 0; i < json_array_get_length(nics); i++) {
        JsonObject *nic = object_at(nics, i);
        g_autofree char *got = output_bytes(get_int(nic, "received-bytes"));
        g_autofree char *put = output_bytes(get_int(nic, "sent-bytes"));

        if (json_object_has_member(nic, "tap")) {
            printf("%-10s %s; %s received, %s sent\n", get_string(nic, "key"),
                   get_string(nic, "tap"), got, put);
        } else {
            printf("%-10s QEMU's user network, which has no counters\n", get_string(nic, "key"));
        }
    }
}

static void print_status(JsonObject *status)
{
    g_autofree char *name = output_clean(get_string(status, "name"));

    printf("%-10s %s, process %" G_GINT64_FORMAT "\n", name, get_string(status, "state"),
           get_int(status, "pid"));
    print_cpus(json_object_get_array_member(status, "cpus"));
    print_memory(json_object_get_object_member(status, "memory"));
    print_disks(json_object_get_array_member(status, "disks"));
    print_nics(json_object_get_array_member(status, "nics"));
}

gboolean ctl_status(Request *request, GError **error)
{
    g_autoptr(Guest) guest = guest_find(request, error);
    g_autoptr(JsonNode) status =
        guest ? collect(guest, channel_deadline(request->timeout), error) : NULL;

    if (!status) {
        return FALSE;
    }
    if (request->json) {
        output_node(status);
    } else {
        print_status(json_node_get_object(status));
    }
    return TRUE;
}
