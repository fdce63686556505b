/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan-parts.h"

#include <string.h>

#include "schema.h"

/* virtio-blk's serial number field. */
#define SERIAL_MAX 20

/* QEMU's VIRTIO_QUEUE_MAX; guests take no more than they have CPUs. */
#define MAX_QUEUES 1024

void plan_disk_free(PlanDisk *disk)
{
    g_free(disk->key);
    g_free(disk->volid);
    g_clear_pointer(&disk->source, disk_source_free);
    g_free(disk->rerror);
    g_free(disk->werror);
    g_free(disk->serial);
    g_clear_pointer(&disk->limits, g_array_unref);
    g_free(disk);
}

/* Proxmox's cache modes. A CD-ROM and "write" modes go through the host's page cache. */
static void set_cache(PlanDisk *disk, const char *mode)
{
    gboolean sync = g_strcmp0(mode, "directsync") == 0;

    if (!mode || strcmp(mode, "none") == 0 || sync)
        disk->direct = !disk->cdrom || mode;
    disk->no_flush = g_strcmp0(mode, "unsafe") == 0;
    disk->write_through = sync || g_strcmp0(mode, "writethrough") == 0;
}

/*
 * Proxmox's defaults: io_uring, but on LVM and CIFS native where there is no page cache, else
 * threads. QEMU's native needs O_DIRECT.
 */
static gboolean set_aio(const PlanContext *ctx, const ConfigKey *key, PlanDisk *disk,
                        const char *asked, GError **error)
{
    const char *type = disk->source->storage_type;
    const char *blocking = disk->direct ? "native" : "threads";

    if (g_strcmp0(asked, "native") == 0 && !disk->direct)
        return plan_fail(ctx, key, error, "aio=native needs cache=none or cache=directsync");
    if (asked)
        disk->aio = g_intern_string(asked);
    else if (g_strcmp0(type, "lvm") == 0 || g_strcmp0(type, "cifs") == 0)
        disk->aio = blocking;
    else
        disk->aio = "io_uring";
    if (strcmp(disk->aio, "io_uring") == 0 && !ctx->host->io_uring) {
        if (asked)
            plan_warn(ctx, key, "this host's kernel refuses io_uring; using aio=threads");
        disk->aio = "threads";
    }
    return TRUE;
}

static void set_discard(PlanDisk *disk, const PropStr *props)
{
    gboolean unmap = g_strcmp0(propstr_get(props, "discard"), "on") == 0;

    disk->discard = unmap ? "unmap" : "ignore";
    if (disk->readonly || !propstr_get_bool(props, "detect_zeroes", TRUE))
        disk->detect_zeroes = "off";
    else
        disk->detect_zeroes = unmap ? "unmap" : "on";
}

static gboolean set_serial(const PlanContext *ctx, const ConfigKey *key, PlanDisk *disk,
                           const char *encoded, GError **error)
{
    if (!encoded)
        return TRUE;
    disk->serial = propstr_url_decode(encoded, error);
    if (disk->serial && strlen(disk->serial) > SERIAL_MAX)
        return plan_fail(ctx, key, error, "serial= has more than %d bytes", SERIAL_MAX);
    return TRUE;
}

/* Config names and QEMU's, in the order of the latter; Proxmox's megabytes are 2^20 bytes. */
static void set_limits(PlanDisk *disk, const PropStr *props)
{
    static const struct {
        const char *name, *limit;
        guint factor;
    } table[] = {
        {"bps_rd", "bps-read", 1},
        {"mbps_rd", "bps-read", 1048576},
        {"mbps_rd_max", "bps-read-max", 1048576},
        {"bps_rd_max_length", "bps-read-max-length", 1},
        {"bps", "bps-total", 1},
        {"mbps", "bps-total", 1048576},
        {"mbps_max", "bps-total-max", 1048576},
        {"bps_max_length", "bps-total-max-length", 1},
        {"bps_wr", "bps-write", 1},
        {"mbps_wr", "bps-write", 1048576},
        {"mbps_wr_max", "bps-write-max", 1048576},
        {"bps_wr_max_length", "bps-write-max-length", 1},
        {"iops_rd", "iops-read", 1},
        {"iops_rd_max", "iops-read-max", 1},
        {"iops_rd_max_length", "iops-read-max-length", 1},
        {"iops", "iops-total", 1},
        {"iops_max", "iops-total-max", 1},
        {"iops_max_length", "iops-total-max-length", 1},
        {"iops_wr", "iops-write", 1},
        {"iops_wr_max", "iops-write-max", 1},
        {"iops_wr_max_length", "iops-write-max-length", 1},
    };

    disk->limits = g_array_new(FALSE, FALSE, sizeof(PlanLimit));
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        PlanLimit limit = {.name = table[i].limit};
        gboolean twice = i > 0 && strcmp(table[i].limit, table[i - 1].limit) == 0 &&
                         propstr_get(props, table[i - 1].name);

        if (!propstr_get(props, table[i].name) || twice)
            continue;
        limit.value = (guint64)(propstr_get_number(props, table[i].name, 0) * table[i].factor);
        g_array_append_val(disk->limits, limit);
    }
}

static gboolean set_source(const PlanContext *ctx, const ConfigKey *key, PlanDisk *disk,
                           const PropStr *props, GError **error)
{
    GError *cause = NULL;
    g_autoptr(VolumeId) id = volume_id_parse(disk->volid, &cause);

    if (!id)
        return plan_fail_because(ctx, key, error, cause);
    disk->source = storage_resolve(ctx->storages, id, propstr_get(props, "format"), &cause);
    if (!disk->source)
        return plan_fail_because(ctx, key, error, cause);
    /* QEMU's JSON takes nothing else. */
    if (disk->source->path && !g_utf8_validate(disk->source->path, -1, NULL))
        return plan_fail(ctx, key, error, "the path of this volume is not UTF-8");
    return TRUE;
}

static gboolean fill_disk(const PlanContext *ctx, const ConfigKey *key, PlanDisk *disk,
                          const PropStr *props, GError **error)
{
    /* A template's volumes are read-only on their storages, too; it is started for backups. */
    disk->readonly =
        disk->cdrom || propstr_get_bool(props, "ro", FALSE) || plan_bool(ctx, "template", FALSE);
    disk->iothread = propstr_get_bool(props, "iothread", FALSE);
    disk->queues = (guint)MIN(propstr_get_int(props, "queues", 0), MAX_QUEUES);
    disk->rerror = g_strdup(propstr_get(props, "rerror"));
    disk->werror = g_strdup(propstr_get(props, "werror"));
    set_cache(disk, propstr_get(props, "cache"));
    set_discard(disk, props);
    set_limits(disk, props);
    if (plan_warm_disk(ctx, disk))
        return set_serial(ctx, key, disk, propstr_get(props, "serial"), error);
    return set_source(ctx, key, disk, props, error) &&
           set_aio(ctx, key, disk, propstr_get(props, "aio"), error) &&
           set_serial(ctx, key, disk, propstr_get(props, "serial"), error);
}

gboolean plan_disk(const PlanContext *ctx, const ConfigKey *key, int index, GError **error)
{
    g_autoptr(PropStr) props = plan_parse(ctx, key, schema_drive, error);
    const char *file = props ? propstr_get(props, "file") : NULL;
    PlanDisk *disk;

    if (!props)
        return FALSE;
    if (g_strcmp0(file, "none") == 0)
        return TRUE;
    if (propstr_get_bool(props, "snapshot", FALSE))
        return plan_fail(ctx, key, error,
                         "snapshot=1 is not possible, as in Proxmox for machines since 10.0; "
                         "remove it, or name a copy of the image");
    disk = g_new0(PlanDisk, 1);
    g_ptr_array_add(ctx->plan->disks, disk);
    disk->key = g_strdup(key->key);
    disk->index = index;
    disk->line = key->line;
    disk->volid = g_strdup(file);
    disk->cdrom = g_strcmp0(propstr_get(props, "media"), "cdrom") == 0;
    return fill_disk(ctx, key, disk, props, error);
}

static PlanDisk *find_disk(const Plan *plan, const char *key)
{
    for (guint i = 0; i < plan->disks->len; i++) {
        PlanDisk *disk = plan->disks->pdata[i];

        if (strcmp(disk->key, key) == 0)
            return disk;
    }
    return NULL;
}

/* scsi before virtio before others; CD-ROMs behind all disks. */
static int rank_of(const PlanDisk *disk)
{
    int family = disk->key[0] == 's' ? 0 : disk->key[0] == 'v' ? 1 : 2;

    return disk->cdrom * 1000 + family * 100 + disk->index;
}

static int by_rank(gconstpointer a, gconstpointer b)
{
    return rank_of(*(PlanDisk *const *)a) - rank_of(*(PlanDisk *const *)b);
}

/*
 * The first disk of "order=scsi0;net0", or else the first CD-ROM. Passed over, as firmware would,
 * are names without a disk and ide2, which holds nothing but a cloud-init image.
 */
static PlanDisk *first_of_order(const Plan *plan, const char *order)
{
    g_auto(GStrv) names = g_strsplit_set(order, "; \t", -1);
    PlanDisk *cdrom = NULL;

    for (char **name = names; *name; name++) {
        PlanDisk *disk = strcmp(*name, "ide2") == 0 ? NULL : find_disk(plan, *name);

        if (disk && !disk->cdrom)
            return disk;
        if (!cdrom)
            cdrom = disk;
    }
    return cdrom;
}

gboolean plan_boot_order(const PlanContext *ctx, gboolean *has_boot_disk, GError **error)
{
    const ConfigKey *boot = config_find(ctx->config, "boot");
    const char *bootdisk = config_get(ctx->config, "bootdisk");
    GPtrArray *disks = ctx->plan->disks;
    PlanDisk *first = NULL;
    g_autoptr(PropStr) props = NULL;

    if (boot && !(props = plan_parse(ctx, boot, schema_boot, error)))
        return FALSE;
    g_ptr_array_sort(disks, by_rank);
    if (props && propstr_get(props, "order"))
        first = first_of_order(ctx->plan, propstr_get(props, "order"));
    if (!first && bootdisk)
        first = find_disk(ctx->plan, bootdisk);
    if (!first && disks->len > 0 && !((PlanDisk *)disks->pdata[0])->cdrom)
        first = disks->pdata[0];
    *has_boot_disk = first != NULL;
    for (guint i = 0; first && i < disks->len; i++) {
        if (disks->pdata[i] == first) {
            g_ptr_array_insert(disks, 0, g_ptr_array_steal_index(disks, i));
            break;
        }
    }
    return TRUE;
}
