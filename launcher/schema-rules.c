/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schema-rules.h"

#include <stdio.h>
#include <string.h>

#include "cpu-model.h"

gboolean rule_fail(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error)
        *error = g_error_new_valist(SCHEMA_ERROR, SCHEMA_ERROR_INVALID, format, args);
    va_end(args);
    return FALSE;
}

gboolean rule_fail_value(GError **error, const char *value, const char *text)
{
    g_autofree char *quoted = propstr_quote(value);

    return rule_fail(error, "%s %s", quoted, text);
}

gboolean rule_all_of(const char *text, const char *set)
{
    return *text && text[strspn(text, set)] == '\0';
}

gboolean rule_matches(const char *text, const char *pattern)
{
    g_autofree char *anchored = g_strconcat("\\A(?:", pattern, ")\\z", NULL);

    return g_regex_match_simple(anchored, text, G_REGEX_RAW, 0);
}

/* A value that has a format in Proxmox, which nothing here depends on: kept as it is. */
gboolean rule_format_any(const char *value, const PropStr *props, GError **error)
{
    (void)value;
    (void)props;
    (void)error;
    return TRUE;
}

gboolean rule_format_name(const char *value, const PropStr *props, GError **error)
{
    g_auto(GStrv) labels = g_strsplit(value, ".", -1);

    (void)props;
    for (char **label = labels; *label; label++) {
        gsize len = strlen(*label);

        if (!rule_all_of(*label, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-") || **label == '-' ||
            (*label)[len - 1] == '-')
            return rule_fail_value(error, value,
                                   "is not a DNS name (letters, digits, '-' and '.')");
    }
    return TRUE;
}

gboolean rule_format_volume(const char *value, const PropStr *props, GError **error)
{
    g_autoptr(VolumeId) id = volume_id_parse(value, error);

    (void)props;
    if (id && !id->storage)
        return rule_fail_value(error, value, "is not a volume (STORAGE:VOLUME)");
    return id != NULL;
}

gboolean rule_format_net(const char *value, const PropStr *props, GError **error)
{
    const char *bridge = propstr_get(props, "bridge");
    const char *trunks = propstr_get(props, "trunks");

    (void)value;
    if (bridge && !rule_all_of(bridge, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_."))
        return rule_fail_value(error, bridge, "is not a bridge's name");
    if (trunks && !rule_matches(trunks, "[0-9]+(-[0-9]+)?(;[0-9]+(-[0-9]+)?)*"))
        return rule_fail_value(error, trunks, "is not a list of VLANs (10;20-30)");
    return TRUE;
}

gboolean rule_check_net(const char *value, const PropStr *props, GError **error)
{
    const char *bridge = propstr_get(props, "bridge");
    gint64 mtu = propstr_get_int(props, "mtu", 1);

    (void)value;
    if (!g_str_equal(propstr_get(props, "model"), "virtio"))
        return rule_fail_value(error, propstr_get(props, "model"),
                               "cannot be plugged into this board; write virtio=MAC");
    if (bridge && (strlen(bridge) > 15 || g_str_equal(bridge, ".") || g_str_equal(bridge, "..")))
        return rule_fail_value(error, bridge, "cannot be an interface's name (at most 15 bytes)");
    if (mtu > 1 && mtu < 576)
        return rule_fail(
            error, "mtu=%d is below 576; write 576 to 65520, or 1 for the bridge's own", (int)mtu);
    return TRUE;
}

static gboolean no_sub_keys(const PropStr *props, const char *const *names, GError **error)
{
    for (; *names; names++) {
        if (propstr_get(props, *names))
            return rule_fail(error, "unknown sub-key '%s'", *names);
    }
    return TRUE;
}

static gboolean format_drive(const PropStr *props, const char *const *unknown, GError **error)
{
    g_autoptr(VolumeId) id = NULL;
    const char *text;

    if (!no_sub_keys(props, unknown, error))
        return FALSE;
    id = volume_id_parse(propstr_get(props, "file"), error);
    if (!id) {
        g_prefix_error(error, "file: ");
        return FALSE;
    }
    if ((text = propstr_get(props, "wwn")) && !rule_matches(text, "0x[0-9a-fA-F]{16}.*"))
        return rule_fail_value(error, text, "is not a world wide name (0x and 16 digits)");
    if (((text = propstr_get(props, "product")) || (text = propstr_get(props, "vendor"))) &&
        !rule_matches(text, "[A-Za-z0-9_\\s-]*"))
        return rule_fail_value(error, text, "has other than letters, digits, '-', '_' and spaces");
    return TRUE;
}

gboolean rule_format_scsi(const char *value, const PropStr *props, GError **error)
{
    static const char *const unknown[] = {"model", NULL};

    (void)value;
    return format_drive(props, unknown, error);
}

gboolean rule_format_virtio(const char *value, const PropStr *props, GError **error)
{
    static const char *const unknown[] = {"model",     "product", "vendor", "queues",
                                          "scsiblock", "ssd",     "wwn",    NULL};

    (void)value;
    return format_drive(props, unknown, error);
}

gboolean rule_format_ide(const char *value, const PropStr *props, GError **error)
{
    static const char *const unknown[] = {"iothread",  "product", "vendor", "queues",
                                          "scsiblock", "ro",      NULL};

    (void)value;
    return format_drive(props, unknown, error);
}

/* QEMU's THROTTLE_VALUE_MAX (include/qemu/throttle.h), for bytes or operations in a second. */
#define THROTTLE_MAX 1e15

/* One limit, its burst and the burst's seconds; Proxmox's megabytes are 2^20 bytes. */
static gboolean check_limit(const PropStr *props, const char *name, const char *max,
                            const char *length, double factor, GError **error)
{
    double value = propstr_get_number(props, name, 0) * factor;
    double burst = propstr_get_number(props, max, 0) * factor;
    double seconds = propstr_get_number(props, length, 1);

    if (value > THROTTLE_MAX || burst > THROTTLE_MAX)
        return rule_fail(error, "%s is above the most that QEMU can count, 10^15 in a second",
                         value > THROTTLE_MAX ? name : max);
    if (burst != 0 && burst < value)
        return rule_fail(error, "%s is below %s", max, name);
    if (burst * seconds > THROTTLE_MAX || seconds > G_MAXUINT32)
        return rule_fail(error, "%s is too long for that %s", length, max);
    return TRUE;
}

static gboolean check_limits(const PropStr *props, GError **error)
{
    static const struct {
        const char *name, *max, *length;
        double factor;
    } table[] = {
        {"mbps", "mbps_max", "bps_max_length", 1048576},
        {"mbps_rd", "mbps_rd_max", "bps_rd_max_length", 1048576},
        {"mbps_wr", "mbps_wr_max", "bps_wr_max_length", 1048576},
        {"iops", "iops_max", "iops_max_length", 1},
        {"iops_rd", "iops_rd_max", "iops_rd_max_length", 1},
        {"iops_wr", "iops_wr_max", "iops_wr_max_length", 1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        if (!check_limit(props, table[i].name, table[i].max, table[i].length, table[i].factor,
                         error))
            return FALSE;
    }
    return TRUE;
}

static gboolean is_set(const PropStr *props, const char *name)
{
    return propstr_get_number(props, name, 0) != 0;
}

/*
 * What qemu-server's parse_drive() asks, and skips the disk otherwise, often without a word; and
 * what QEMU asks.
 */
static gboolean check_throttling(const PropStr *props, GError **error)
{
    static const char *const needs[][2] = {
        {"mbps_max", "mbps"},
        {"mbps_rd_max", "mbps_rd"},
        {"mbps_wr_max", "mbps_wr"},
        {"iops_max", "iops"},
        {"iops_rd_max", "iops_rd"},
        {"iops_wr_max", "iops_wr"},
        {"bps_max_length", "mbps_max"},
        {"bps_rd_max_length", "mbps_rd_max"},
        {"bps_wr_max_length", "mbps_wr_max"},
        {"iops_max_length", "iops_max"},
        {"iops_rd_max_length", "iops_rd_max"},
        {"iops_wr_max_length", "iops_wr_max"},
    };
    static const char *const excludes[][2] = {
        {"mbps_rd", "mbps"}, {"mbps_wr", "mbps"}, {"iops_rd", "iops"}, {"iops_wr", "iops"}};

    for (gsize i = 0; i < G_N_ELEMENTS(needs); i++) {
        if (is_set(props, needs[i][0]) && !is_set(props, needs[i][1]))
            return rule_fail(error, "%s needs %s", needs[i][0], needs[i][1]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(excludes); i++) {
        if (is_set(props, excludes[i][0]) && is_set(props, excludes[i][1]))
            return rule_fail(error, "%s and %s cannot be had together", excludes[i][0],
                             excludes[i][1]);
    }
    return check_limits(props, error);
}

static gboolean check_geometry(const PropStr *props, GError **error)
{
    static const char *const names[] = {"cyls", "heads", "secs", "trans"};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        if (propstr_get(props, names[i]))
            return rule_fail(
                error, "%s: there is no BIOS that looks at a disk's geometry; remove it", names[i]);
    }
    return TRUE;
}

gboolean rule_check_drive(const char *value, const PropStr *props, GError **error)
{
    const char *file = propstr_get(props, "file");
    const char *format = propstr_get(props, "format");
    gboolean cdrom = g_strcmp0(propstr_get(props, "media"), "cdrom") == 0;

    (void)value;
    if (g_str_equal(file, "none") && !cdrom)
        return rule_fail(error,
                         "a disk needs a volume; only an empty CD-ROM drive is none,media=cdrom");
    if (g_str_equal(file, "cdrom"))
        return rule_fail(error, "write the path of the host's CD-ROM drive (/dev/sr0,media=cdrom)");
    if (cdrom && (format || propstr_get_bool(props, "snapshot", FALSE)))
        return rule_fail(error, "a CD-ROM has no format= or snapshot=; remove them");
    if (format && !g_str_equal(format, "raw") && !g_str_equal(format, "qcow2") &&
        !g_str_equal(format, "vmdk"))
        return rule_fail(
            error, "format=%s is not built in; convert the image with qemu-img to qcow2", format);
    if (propstr_get_bool(props, "scsiblock", FALSE))
        return rule_fail(error, "scsiblock: every disk is virtio-blk here, which passes no SCSI "
                                "commands through; remove it");
    return check_geometry(props, error) && check_throttling(props, error);
}

gboolean rule_check_virtio(const char *value, const PropStr *props, GError **error)
{
    if (g_strcmp0(propstr_get(props, "media"), "cdrom") == 0)
        return rule_fail(error, "virtio disks cannot be CD-ROMs in Proxmox; write scsiN");
    return rule_check_drive(value, props, error);
}

/* [:/](vm-\d+-)?cloudinit(\.FORMAT)?$, which is how Proxmox knows its image. */
static gboolean is_cloudinit(const char *file)
{
    return rule_matches(file, ".*[:/](vm-[0-9]+-)?cloudinit(\\.(raw|qcow|qcow2|qed|vmdk|cloop))?");
}

gboolean rule_check_ide2(const char *value, const PropStr *props, GError **error)
{
    const char *file = propstr_get(props, "file");

    if (g_strcmp0(propstr_get(props, "media"), "cdrom") != 0 ||
        !(g_str_equal(file, "none") || is_cloudinit(file)))
        return rule_fail(error,
                         "the board has no IDE; only a cloud-init image or none,media=cdrom may "
                         "stay here; write scsiN for other images");
    return rule_check_drive(value, props, error);
}

gboolean schema_is_machine(const char *type)
{
    return rule_matches(type, "microvm(-[0-9]{1,4}\\.[0-9]{1,4}(\\+pve[0-9]{1,4})?)?");
}

gboolean rule_check_machine(const char *value, const PropStr *props, GError **error)
{
    const char *type = propstr_get(props, "type");

    (void)value;
    if (!type)
        return rule_fail(error, "the type is missing; write machine: microvm");
    if (!schema_is_machine(type)) {
        g_autofree char *quoted = propstr_quote(type);

        return rule_fail(error, "unknown machine %s; write machine: microvm", quoted);
    }
    if (propstr_get(props, "viommu") || propstr_get(props, "aw-bits"))
        return rule_fail(error, "the board has no IOMMU; remove viommu and aw-bits");
    if (propstr_get_bool(props, "enable-s3", FALSE) || propstr_get_bool(props, "enable-s4", FALSE))
        return rule_fail(error, "the board cannot sleep; remove enable-s3 and enable-s4");
    return TRUE;
}

/* The levels of the x86-64 psABI, which are Proxmox's own names. */
static gboolean is_level(const char *type)
{
    return rule_matches(type, "x86-64-v(2|2-AES|3|4)");
}

static gboolean check_cpu_props(const PropStr *props, GError **error)
{
    const char *flags = propstr_get(props, "flags");
    const char *vendor = propstr_get(props, "hv-vendor-id");
    const char *bits = propstr_get(props, "phys-bits");
    guint64 n;

    if (flags && !rule_matches(flags, "[+-][A-Za-z0-9._-]+(;[+-][A-Za-z0-9._-]+)*"))
        return rule_fail_value(error, flags, "is not a list of flags (+aes;-pcid)");
    if (vendor && !rule_all_of(vendor, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS))
        return rule_fail_value(error, vendor, "is not a vendor (letters and digits)");
    if (bits && !g_str_equal(bits, "host") && !propstr_uint(bits, 8, 64, &n, error)) {
        g_prefix_error(error, "phys-bits: ");
        return FALSE;
    }
    return TRUE;
}

gboolean schema_check_cpu_model(const PropStr *props, GError **error)
{
    const char *reported = propstr_get(props, "reported-model");

    if (reported && !cpu_model_is_known(reported))
        return rule_fail_value(error, reported, "is no CPU model that Proxmox knows");
    return check_cpu_props(props, error);
}

gboolean rule_format_cpu(const char *value, const PropStr *props, GError **error)
{
    const char *type = propstr_get(props, "cputype");

    (void)value;
    if (!cpu_model_is_known(type) && !is_level(type) &&
        !rule_matches(type, CPU_MODEL_CUSTOM "[A-Za-z0-9_-]+"))
        return rule_fail_value(error, type, "is no CPU type that Proxmox knows");
    return check_cpu_props(props, error);
}

gboolean rule_check_agent(const char *value, const PropStr *props, GError **error)
{
    (void)value;
    if (propstr_get_bool(props, "enabled", FALSE) &&
        g_strcmp0(propstr_get(props, "type"), "isa") == 0)
        return rule_fail(error,
                         "type=isa takes the console's place on this board; write type=virtio");
    return TRUE;
}

gboolean rule_check_vga(const char *value, const PropStr *props, GError **error)
{
    const char *type = propstr_get(props, "type");

    (void)value;
    if (!g_str_equal(type ? type : "std", "none") && !g_str_has_prefix(type ? type : "", "serial"))
        return rule_fail_value(error, type ? type : "std",
                               "cannot work, the board has no display; write vga: serial0 and "
                               "serial0: socket, or vga: none");
    return TRUE;
}

gboolean rule_check_rng(const char *value, const PropStr *props, GError **error)
{
    guint64 period;

    (void)value;
    if (!propstr_uint(propstr_get(props, "period") ? propstr_get(props, "period") : "1", 1,
                      G_MAXUINT32, &period, error)) {
        g_prefix_error(error, "period: ");
        return FALSE;
    }
    return TRUE;
}

/* Whether @device is a key that may stand in "boot: order=". */
static gboolean is_boot_device(const char *device)
{
    static const char *const families[] = {"ide", "ide2", "sata",    "scsi", "virtio",
                                           "net", "usb",  "hostpci", NULL};
    const SchemaKey *row = schema_lookup(device, NULL);

    return row && g_strv_contains(families, row->key);
}

gboolean rule_format_boot(const char *value, const PropStr *props, GError **error)
{
    const char *legacy = propstr_get(props, "legacy");
    const char *order = propstr_get(props, "order");
    g_auto(GStrv) devices = g_strsplit_set(order ? order : "", "; \t", -1);

    (void)value;
    if (legacy && (!rule_all_of(legacy, "acdn") || strlen(legacy) > 4))
        return rule_fail_value(error, legacy, "is not a boot order (order=scsi0;net0)");
    for (char **device = devices; *device; device++) {
        if (**device && !is_boot_device(*device))
            return rule_fail_value(error, *device,
                                   "is not a device to boot from (scsi0, virtio0, …)");
    }
    return TRUE;
}

gboolean rule_format_bootdisk(const char *value, const PropStr *props, GError **error)
{
    const SchemaKey *row = schema_lookup(value, NULL);
    static const char *const families[] = {"ide", "ide2", "sata", "scsi", "virtio", NULL};

    (void)props;
    if (!row || !g_strv_contains(families, row->key))
        return rule_fail_value(error, value, "is not a disk (scsi0, virtio0, …)");
    return TRUE;
}

#define UUID "[a-fA-F0-9]{8}(-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}"

static const char *const smbios_strings[] = {"version", "serial", "manufacturer",
                                             "product", "sku",    "family"};

gboolean rule_format_smbios1(const char *value, const PropStr *props, GError **error)
{
    const char *uuid = propstr_get(props, "uuid");

    (void)value;
    if (uuid && !rule_matches(uuid, UUID))
        return rule_fail_value(error, uuid, "is not a UUID");
    for (gsize i = 0; i < G_N_ELEMENTS(smbios_strings); i++) {
        const char *text = propstr_get(props, smbios_strings[i]);

        if (text && !rule_matches(text, "[A-Za-z0-9+/]+={0,2}"))
            return rule_fail(error, "%s: write it in base64, and base64=1", smbios_strings[i]);
    }
    return TRUE;
}

gboolean rule_check_smbios1(const char *value, const PropStr *props, GError **error)
{
    (void)value;
    if (!propstr_get_bool(props, "base64", FALSE))
        return TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(smbios_strings); i++) {
        const char *text = propstr_get(props, smbios_strings[i]);
        g_autofree guchar *bytes = NULL;
        g_autofree char *decoded = NULL;
        gsize len;

        if (!text)
            continue;
        bytes = g_base64_decode(text, &len);
        decoded = g_strndup((const char *)bytes, len);
        if (strlen(decoded) != len || !propstr_printable(decoded, FALSE))
            return rule_fail(error, "%s: decodes to control characters or to other than UTF-8",
                             smbios_strings[i]);
    }
    return TRUE;
}

gboolean rule_format_virtiofs(const char *value, const PropStr *props, GError **error)
{
    const char *dirid = propstr_get(props, "dirid");

    (void)value;
    if (!rule_matches(dirid, "[A-Za-z][A-Za-z0-9_-]+"))
        return rule_fail_value(error, dirid, "is not the name of a directory mapping");
    return TRUE;
}

/* The size of the tag in virtio-fs' config space. */
#define FS_TAG_MAX 36

gboolean rule_check_virtiofs(const char *value, const PropStr *props, GError **error)
{
    (void)value;
    if (strlen(propstr_get(props, "dirid")) > FS_TAG_MAX)
        return rule_fail(error, "dirid is also the tag that the guest mounts, at most %d bytes",
                         FS_TAG_MAX);
    return TRUE;
}

gboolean rule_check_memory(const char *value, const PropStr *props, GError **error)
{
    (void)value;
    if (propstr_get_int(props, "current", 0) > 4194304)
        return rule_fail(error, "at most 4194304 MiB (4 TiB) can be had");
    return TRUE;
}

gboolean rule_check_hugepages(const char *value, const PropStr *props, GError **error)
{
    (void)props;
    if (!g_str_equal(value, "any") && !g_str_equal(value, "2") && !g_str_equal(value, "1024"))
        return rule_fail_value(error, value, "is not one of any, 2, 1024 (MiB)");
    return TRUE;
}

gboolean rule_check_serial(const char *value, const PropStr *props, GError **error)
{
    (void)props;
    if (!g_str_equal(value, "socket") && !(g_str_has_prefix(value, "/dev/") && value[5]))
        return rule_fail_value(error, value, "is not 'socket' or a device (/dev/ttyS0)");
    if (strstr(value, "/../") || g_str_has_suffix(value, "/.."))
        return rule_fail_value(error, value, "leaves /dev; write the device's own path");
    return TRUE;
}

gboolean rule_check_arch(const char *value, const PropStr *props, GError **error)
{
    (void)props;
    if (!g_str_equal(value, "x86_64"))
        return rule_fail_value(error, value, "is not x86_64, the board's only architecture");
    return TRUE;
}

gboolean rule_check_bios(const char *value, const PropStr *props, GError **error)
{
    (void)props;
    if (!g_str_equal(value, "seabios"))
        return rule_fail_value(error, value,
                               "cannot work, the kernel is loaded directly and there is "
                               "no UEFI; remove the line");
    return TRUE;
}

/* Whether the calendar and the clock have what is written like a date; "now" is fine. */
static gboolean is_moment(const char *value)
{
    int year, month, day, hour = 0, minute = 0, second = 0;
    g_autoptr(GDateTime) moment = NULL;

    if (g_str_equal(value, "now"))
        return TRUE;
    if (sscanf(value, "%d-%d-%dT%d:%d:%d", &year, &month, &day, &hour, &minute, &second) < 3)
        return FALSE;
    moment = g_date_time_new_utc(year, month, day, hour, minute, second);
    return moment != NULL;
}

gboolean rule_check_startdate(const char *value, const PropStr *props, GError **error)
{
    (void)props;
    if (!rule_matches(value, "now|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
                             "(T[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2})?") ||
        !is_moment(value))
        return rule_fail_value(error, value, "is not now, 2006-06-17 or 2006-06-17T16:01:21");
    return TRUE;
}

gboolean rule_check_vmgenid(const char *value, const PropStr *props, GError **error)
{
    (void)props;
    if (!rule_matches(value, UUID "|[01]"))
        return rule_fail_value(error, value, "is not a UUID, 1 or 0");
    return TRUE;
}

gboolean rule_check_args(const char *value, const PropStr *props, GError **error)
{
    g_auto(GStrv) words = propstr_shellwords(value, error);

    (void)props;
    return words != NULL;
}

gboolean rule_check_tablet(const char *value, const PropStr *props, GError **error)
{
    (void)props;
    if (!g_str_equal(value, "0"))
        return rule_fail(error,
                         "the board has no USB for a tablet, and no display; write tablet: 0 or "
                         "remove the line");
    return TRUE;
}
