/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "argv-parts.h"

#include <string.h>

/* Hex digits of the digest that names a disk's inner block nodes, as Proxmox has it. */
#define NODE_DIGITS 30

/* Of Ceph's monitors. */
#define CEPH_PORT "3300"

static void json_string(GString *json, const char *text)
{
    g_string_append_c(json, '"');
    while (*text) {
        const char *plain = text;

        while ((guchar)*text >= 0x20 && *text != '"' && *text != '\\' && *text != 0x7f)
            text++;
        g_string_append_len(json, plain, text - plain);
        if (*text == '"' || *text == '\\')
            g_string_append_printf(json, "\\%c", *text++);
        else if (*text)
            g_string_append_printf(json, "\\u%04x", (guchar)*text++);
    }
    g_string_append_c(json, '"');
}

/* @key is a plain word of ours, with nothing to quote in it. */
static void json_key(GString *json, const char *key)
{
    if (json->len && json->str[json->len - 1] != '{')
        g_string_append_c(json, ',');
    g_string_append_c(json, '"');
    g_string_append(json, key);
    g_string_append_c(json, '"');
    g_string_append_c(json, ':');
}

static void json_add(GString *json, const char *key, const char *value)
{
    json_key(json, key);
    json_string(json, value);
}

static void json_add_fd(GString *json, const char *key, int fd)
{
    json_key(json, key);
    g_string_append_printf(json, "\"" ARGV_FDSET "%d\"", fd);
}

static void json_add_bool(GString *json, const char *key, gboolean value)
{
    json_key(json, key);
    g_string_append(json, value ? "true" : "false");
}

static void json_open(GString *json, const char *key)
{
    json_key(json, key);
    g_string_append_c(json, '{');
}

static void json_close(GString *json)
{
    g_string_append_c(json, '}');
}

/* The names of the format and file nodes that Proxmox looks for: "fDIGEST" and "eDIGEST". */
typedef struct {
    char format[NODE_DIGITS + 2], file[NODE_DIGITS + 2];
} NodeNames;

static NodeNames node_names(const PlanDisk *disk)
{
    g_autofree char *id = g_strconcat("drive=", disk->key, ",volid=", disk->volid, NULL);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, id, -1);
    NodeNames names = {"f", "e"};

    g_strlcpy(names.format + 1, sum, NODE_DIGITS + 1);
    g_strlcpy(names.file + 1, sum, NODE_DIGITS + 1);
    return names;
}

/* The keys that come first, by the alphabet, in every node; @conf is Ceph's, or NULL. */
static void json_node_head(GString *json, const PlanDisk *disk, const char *conf)
{
    json_open(json, "cache");
    json_add_bool(json, "direct", disk->direct);
    json_add_bool(json, "no-flush", disk->no_flush);
    json_close(json);
    if (conf)
        json_add(json, "conf", conf);
    if (!disk->cdrom) {
        json_add(json, "detect-zeroes", disk->detect_zeroes);
        json_add(json, "discard", disk->discard);
    }
}

/* One monitor, "HOST", "HOST:PORT" or "[ADDRESS]:PORT". */
static void json_monitor(GString *json, const char *monitor)
{
    const char *end = *monitor == '[' ? strchr(monitor, ']') : NULL;
    const char *colon = strchr(end ? end : monitor, ':');
    gboolean address = !end && colon && strchr(colon + 1, ':');
    g_autofree char *host = NULL;

    if (end)
        host = g_strndup(monitor + 1, (gsize)(end - monitor - 1));
    else
        host = colon && !address ? g_strndup(monitor, (gsize)(colon - monitor)) : g_strdup(monitor);
    if (json->str[json->len - 1] == '}')
        g_string_append_c(json, ',');
    g_string_append_c(json, '{');
    json_add(json, "host", host);
    json_add(json, "port", colon && !address ? colon + 1 : CEPH_PORT);
    json_close(json);
}

static void json_monitors(GString *json, const char *list)
{
    g_auto(GStrv) monitors = g_strsplit_set(list, ",; \t", -1);

    json_key(json, "server");
    g_string_append_c(json, '[');
    for (char **monitor = monitors; *monitor; monitor++) {
        if (**monitor)
            json_monitor(json, *monitor);
    }
    g_string_append_c(json, ']');
}

static void json_rbd(GString *json, const DiskSource *source)
{
    json_add(json, "driver", "rbd");
    json_add(json, "image", source->rbd_image);
    if (source->rbd_namespace)
        json_add(json, "namespace", source->rbd_namespace);
}

/* The node next to the data. */
static void json_file_node(GString *json, const PlanDisk *disk, const char *name)
{
    const DiskSource *source = disk->source;

    json_open(json, "file");
    if (source->kind != DISK_RBD)
        json_add(json, "aio", disk->aio);
    if (source->rbd_auth) {
        json_key(json, "auth-client-required");
        g_string_append_printf(json, "[\"%s\"]", source->rbd_auth);
    }
    json_node_head(json, disk, source->rbd_conf);
    if (source->kind == DISK_RBD) {
        json_rbd(json, source);
    } else {
        json_add(json, "driver", source->kind == DISK_FILE ? "file" : "host_device");
        if (disk->file)
            json_add_fd(json, "filename", disk->file->fd);
        else
            json_add(json, "filename", source->path);
    }
    json_add(json, "node-name", name);
    if (source->kind == DISK_RBD)
        json_add(json, "pool", source->rbd_pool);
    json_add_bool(json, "read-only", disk->readonly);
    if (source->rbd_monhost)
        json_monitors(json, source->rbd_monhost);
    if (source->kind == DISK_RBD && source->rbd_user)
        json_add(json, "user", source->rbd_user);
    json_close(json);
}

static char *blockdev(const PlanDisk *disk)
{
    GString *json = g_string_new("{");
    NodeNames names = node_names(disk);
    g_autofree char *node = g_strconcat("drive-", disk->key, NULL);
    g_autofree char *group = g_strconcat("throttle-drive-", disk->key, NULL);

    json_add(json, "driver", "throttle");
    json_open(json, "file");
    json_node_head(json, disk, NULL);
    json_add(json, "driver", disk->source->format);
    json_file_node(json, disk, names.file);
    json_add(json, "node-name", names.format);
    json_add_bool(json, "read-only", disk->readonly);
    json_close(json);
    json_add(json, "node-name", node);
    json_add_bool(json, "read-only", disk->readonly);
    json_add(json, "throttle-group", group);
    json_close(json);
    return g_string_free(json, FALSE);
}

static char *throttle_group(const PlanDisk *disk)
{
    GString *json = g_string_new("{");
    g_autofree char *group = g_strconcat("throttle-drive-", disk->key, NULL);

    json_add(json, "id", group);
    json_open(json, "limits");
    for (guint i = 0; i < disk->limits->len; i++) {
        const PlanLimit *limit = &g_array_index(disk->limits, PlanLimit, i);

        json_key(json, limit->name);
        g_string_append_printf(json, "%" G_GUINT64_FORMAT, limit->value);
    }
    json_close(json);
    json_add(json, "qom-type", "throttle-group");
    json_close(json);
    return g_string_free(json, FALSE);
}

static char *blk_device(const PlanDisk *disk)
{
    GString *opt = g_string_new("virtio-blk-device");

    g_string_append_printf(opt, ",drive=drive-%s,id=%s", disk->key, disk->key);
    argv_opt_slot(opt, disk->slot);
    if (disk->iothread)
        g_string_append_printf(opt, ",iothread=iothread-%s", disk->key);
    if (disk->queues)
        argv_opt_number(opt, "num-queues", disk->queues);
    if (disk->rerror)
        argv_opt(opt, "rerror", disk->rerror);
    if (disk->werror)
        argv_opt(opt, "werror", disk->werror);
    if (disk->serial)
        argv_opt(opt, "serial", disk->serial);
    if (disk->write_through)
        argv_opt(opt, "write-cache", "off");
    return g_string_free(opt, FALSE);
}

void argv_disk(GPtrArray *argv, const PlanDisk *disk)
{
    if (disk->iothread)
        argv_add_option(argv, "-object", g_strdup_printf("iothread,id=iothread-%s", disk->key));
    argv_add_option(argv, "-object", throttle_group(disk));
    argv_add_option(argv, "-blockdev", blockdev(disk));
    argv_add_option(argv, "-device", blk_device(disk));
}

/* The initrd knows it by its serial number; all guests of the host share the one file. */
void argv_modules(GPtrArray *argv, const Plan *plan)
{
    GString *json = g_string_new("{"), *device = g_string_new("virtio-blk-device");

    json_add(json, "driver", "raw");
    json_open(json, "file");
    json_add(json, "driver", "file");
    json_add(json, "filename", plan->modules);
    json_add(json, "locking", "off");
    json_add_bool(json, "read-only", TRUE);
    json_close(json);
    json_add(json, "node-name", "modules");
    json_add_bool(json, "read-only", TRUE);
    json_close(json);
    argv_add_option(argv, "-blockdev", g_string_free(json, FALSE));
    g_string_append(device, ",drive=modules,id=modules");
    argv_opt_slot(device, plan->modules_slot);
    g_string_append(device, ",num-queues=1,queue-size=16,serial=microvm-modules");
    argv_add_option(argv, "-device", g_string_free(device, FALSE));
}
