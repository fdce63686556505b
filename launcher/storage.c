/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "section.h"

#define SPACES " \t\r\v\f"
#define CEPH_CONF "/etc/pve/ceph.conf"

struct Storages {
    GHashTable *by_id; /* of Section */
};

G_DEFINE_QUARK(storage - error - quark, storage_error)

static gboolean fail(GError **error, StorageErrorCode code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
static gboolean fail(GError **error, StorageErrorCode code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error)
        *error = g_error_new_valist(STORAGE_ERROR, code, format, args);
    va_end(args);
    return FALSE;
}

static gboolean is_storage_id(const char *id)
{
    g_autofree char *volume = g_strconcat(id, ":x", NULL);
    g_autoptr(VolumeId) parsed = volume_id_parse(volume, NULL);

    return parsed && parsed->storage && g_str_equal(parsed->storage, id);
}

/* What Proxmox has without being told. */
static void add_local(Storages *storages)
{
    Section *local = g_hash_table_lookup(storages->by_id, "local");

    if (!local)
        local = sections_add(storages->by_id, "local", "dir");
    if (g_str_equal(local->type, "dir") && !g_hash_table_contains(local->props, "path"))
        g_hash_table_insert(local->props, g_strdup("path"), g_strdup("/var/lib/vz"));
}

Storages *storage_parse(const char *file, const char *text, gsize len, GPtrArray *warnings,
                        GError **error)
{
    GHashTable *sections = sections_parse(file, text, len, is_storage_id, warnings, error);
    Storages *storages;

    if (!sections)
        return NULL;
    storages = g_new(Storages, 1);
    storages->by_id = sections;
    add_local(storages);
    return storages;
}

Storages *storage_load(const char *file, GPtrArray *warnings, GError **error)
{
    g_autofree char *text = NULL;
    gsize len;

    if (!file)
        return storage_parse("", "", 0, warnings, error);
    text = config_read_text(file, &len, error);
    return text ? storage_parse(file, text, len, warnings, error) : NULL;
}

void storage_free(Storages *storages)
{
    if (!storages)
        return;
    g_hash_table_destroy(storages->by_id);
    g_free(storages);
}

static const char *prop(const Section *storage, const char *name)
{
    return g_hash_table_lookup(storage->props, name);
}

/* A boolean property; without a value it is true. */
static gboolean prop_is_set(const Section *storage, const char *name)
{
    const char *value = prop(storage, name);
    gboolean on;

    if (!value)
        return FALSE;
    return !*value || !propstr_bool(value, &on, NULL) || on;
}

static const char *needed_prop(const Section *storage, const char *name, GError **error)
{
    const char *value = prop(storage, name);

    if (value && *value)
        return value;
    fail(error, STORAGE_ERROR_SYNTAX, "storage '%s' (%s) has no %s; add it to storage.cfg",
         storage->id, storage->type, name);
    return NULL;
}

/* A name that stays in its directory: one component, without spaces. */
static gboolean is_component(const char *name)
{
    return *name && !strpbrk(name, "/" SPACES "\n") && !g_str_equal(name, ".") &&
           !g_str_equal(name, "..") && propstr_printable(name, FALSE);
}

static gboolean is_number(const char *text)
{
    return *text && text[strspn(text, G_CSET_DIGITS)] == '\0';
}

static gboolean bad_volume(const Section *storage, const char *volume, const char *wanted,
                           GError **error)
{
    g_autofree char *quoted = propstr_quote(volume);

    return fail(error, STORAGE_ERROR_VOLUME,
                "%s is not a volume of storage '%s' (%s), which has %s", quoted, storage->id,
                storage->type, wanted);
}

/* The last of the one or two components of @volume ("base-100-disk-0/vm-114-disk-0"), or NULL. */
static const char *last_component(const char *volume)
{
    const char *slash = strchr(volume, '/');
    g_autofree char *first = slash ? g_strndup(volume, slash - volume) : g_strdup(volume);

    if (!is_component(first) || (slash && !is_component(slash + 1)))
        return NULL;
    return slash ? slash + 1 : volume;
}

static gboolean starts_with_any(const char *name, const char *const *prefixes)
{
    for (; *prefixes; prefixes++) {
        if (g_str_has_prefix(name, *prefixes))
            return TRUE;
    }
    return FALSE;
}

/* The image format that the extension of @name tells, or NULL. */
static const char *extension_format(const char *name)
{
    static const char *const formats[] = {"raw", "qcow2", "vmdk"};
    const char *dot = strrchr(name, '.');

    for (gsize i = 0; dot && dot != name && i < G_N_ELEMENTS(formats); i++) {
        if (g_str_equal(dot + 1, formats[i]))
            return formats[i];
    }
    return NULL;
}

static char *without_slashes_at_end(const char *path)
{
    char *copy = g_strdup(path);

    for (gsize len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
        copy[len - 1] = '\0';
    return copy;
}

/* Where files of @content ("images", "iso") are; content-dirs may say otherwise than @fallback. */
static char *content_dir(const Section *storage, const char *content, const char *fallback,
                         GError **error)
{
    const char *dirs = prop(storage, "content-dirs");
    g_auto(GStrv) parts = g_strsplit_set(dirs ? dirs : "", ",; \t", -1);
    g_autofree char *base = NULL;
    const char *path = prop(storage, "path");
    const char *subdir = fallback;

    if (path && *path)
        base = without_slashes_at_end(path);
    else if (g_str_equal(storage->type, "nfs") || g_str_equal(storage->type, "cifs"))
        base = g_build_filename("/mnt/pve", storage->id, NULL);
    else
        path = needed_prop(storage, "path", error);
    if (!base)
        return NULL;
    if (*base != '/') {
        fail(error, STORAGE_ERROR_SYNTAX, "storage '%s': its path is not absolute", storage->id);
        return NULL;
    }
    for (char **part = parts; *part; part++) {
        gsize len = strlen(content);

        if (strncmp(*part, content, len) == 0 && (*part)[len] == '=' && (*part)[len + 1])
            subdir = *part + len + 1;
    }
    return g_build_filename(base, subdir, NULL);
}

static gboolean resolve_iso(const Section *storage, const char *volume, DiskSource *source,
                            GError **error)
{
    const char *name = volume + strlen("iso/");
    g_autofree char *lower = g_ascii_strdown(name, -1);
    g_autofree char *dir = NULL;

    if (!is_component(name) ||
        !(g_str_has_suffix(lower, ".iso") || g_str_has_suffix(lower, ".img")))
        return bad_volume(storage, volume, "iso/NAME.iso and iso/NAME.img", error);
    dir = content_dir(storage, "iso", "template/iso", error);
    if (!dir)
        return FALSE;
    source->path = g_build_filename(dir, name, NULL);
    source->format = g_strdup("raw");
    return TRUE;
}

/*
 * The VMID in a name as block storages have them ("vm-114-disk-0"), or NULL. A config from a node
 * with LVM or ZFS then runs on a host that has but a directory, with its disk as VMID/NAME.raw;
 * Proxmox itself would refuse such a name on a directory.
 */
static char *vmid_in_name(const char *name)
{
    g_auto(GStrv) parts = g_strsplit(name, "-", 3);

    if (g_strv_length(parts) != 3 ||
        !(g_str_equal(parts[0], "vm") || g_str_equal(parts[0], "base")))
        return NULL;
    return is_number(parts[1]) && is_component(name) ? g_strdup(parts[1]) : NULL;
}

/* VMID/NAME.FORMAT, or BASEVMID/BASENAME/VMID/NAME.FORMAT for a linked clone. */
static gboolean resolve_dir(const Section *storage, const char *volume, DiskSource *source,
                            GError **error)
{
    g_auto(GStrv) parts = NULL;
    g_autofree char *dir = NULL, *in_name = vmid_in_name(volume), *spelled_out = NULL;
    const char *vmid, *name, *format;
    guint n;

    if (g_str_has_prefix(volume, "iso/"))
        return resolve_iso(storage, volume, source, error);
    if (in_name && !extension_format(volume)) {
        spelled_out = g_strdup_printf("%s/%s.raw", in_name, volume);
        volume = spelled_out;
    }

    parts = g_strsplit(volume, "/", 5);
    n = g_strv_length(parts);
    if ((n != 2 && n != 4) || (n == 4 && !(is_number(parts[0]) && is_component(parts[1]))))
        return bad_volume(storage, volume, "VMID/NAME.FORMAT and iso/NAME", error);
    vmid = parts[n - 2];
    name = parts[n - 1];
    format = extension_format(name);
    if (!is_number(vmid) || !is_component(name) || !format)
        return bad_volume(storage, volume, "VMID/NAME.FORMAT (raw, qcow2, vmdk) and iso/NAME",
                          error);
    dir = content_dir(storage, "images", "images", error);
    if (!dir)
        return FALSE;
    source->format = g_strdup(format);
    if (g_str_equal(storage->type, "btrfs") && g_str_equal(format, "raw")) {
        g_autofree char *stem = g_strndup(name, strlen(name) - strlen(".raw"));

        if (!is_component(stem))
            return bad_volume(storage, volume, "VMID/NAME.raw", error);
        source->path = g_build_filename(dir, vmid, stem, "disk.raw", NULL);
    } else {
        source->path = g_build_filename(dir, vmid, name, NULL);
    }
    return TRUE;
}

static gboolean resolve_lvm(const Section *storage, const char *volume, DiskSource *source,
                            GError **error)
{
    static const char *const prefixes[] = {"vm-", "base-", NULL};
    const char *vg = needed_prop(storage, "vgname", error);
    const char *format = extension_format(volume);
    gboolean thick = g_str_equal(storage->type, "lvm");

    if (!vg)
        return FALSE;
    if (!is_component(vg))
        return fail(error, STORAGE_ERROR_SYNTAX, "storage '%s': bad vgname", storage->id);
    if (!is_component(volume) || !starts_with_any(volume, prefixes))
        return bad_volume(storage, volume, "vm-VMID-NAME and base-VMID-NAME", error);
    source->kind = DISK_BLOCK_DEVICE;
    source->path = g_build_filename("/dev", vg, volume, NULL);
    /* Volumes of snapshot chains are qcow2 on a device, and named so; only thick LVM has them. */
    source->format = g_strdup(thick && g_strcmp0(format, "qcow2") == 0 ? format : "raw");
    return TRUE;
}

static gboolean resolve_zfspool(const Section *storage, const char *volume, DiskSource *source,
                                GError **error)
{
    static const char *const prefixes[] = {"vm-", "base-", NULL};
    const char *pool = needed_prop(storage, "pool", error);
    const char *name = last_component(volume);

    if (!pool)
        return FALSE;
    if (!name || !starts_with_any(name, prefixes))
        return bad_volume(storage, volume, "vm-VMID-NAME, base-VMID-NAME and BASE/vm-VMID-NAME",
                          error);
    source->kind = DISK_BLOCK_DEVICE;
    source->path = g_build_filename("/dev/zvol", pool, name, NULL);
    source->format = g_strdup("raw");
    return TRUE;
}

/* CHANNEL.TARGET.LUN.ID, of which the device's name is the last */
static gboolean resolve_iscsi(const Section *storage, const char *volume, DiskSource *source,
                              GError **error)
{
    const char *id = volume;

    for (int i = 0; id && i < 3; i++) {
        gsize len = strspn(id, G_CSET_DIGITS);

        id = len && id[len] == '.' ? id + len + 1 : NULL;
    }
    if (!id || !is_component(id))
        return bad_volume(storage, volume, "CHANNEL.TARGET.LUN.ID", error);
    source->kind = DISK_BLOCK_DEVICE;
    source->path = g_build_filename("/dev/disk/by-id", id, NULL);
    source->format = g_strdup("raw");
    return TRUE;
}

static gboolean is_fsid(const char *text)
{
    return strlen(text) == 36 && text[strspn(text, G_CSET_DIGITS "abcdefABCDEF-")] == '\0';
}

char *storage_ceph_fsid(const char *file, GError **error)
{
    g_autoptr(GError) cause = NULL;
    gsize len;
    g_autofree char *text = config_read_text(file, &len, &cause);
    g_auto(GStrv) lines = NULL;

    if (!text) {
        fail(error, STORAGE_ERROR_READ, "%s", cause->message);
        return NULL;
    }
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *equals = strchr(*line, '=');

        if (!equals)
            continue;
        *equals++ = '\0';
        if (g_str_equal(g_strstrip(*line), "fsid") && is_fsid(g_strstrip(equals)))
            return g_strdup(equals);
    }
    fail(error, STORAGE_ERROR_SYNTAX, "%s: has no line 'fsid = UUID'", file);
    return NULL;
}

/* /dev/rbd-pve/FSID/POOL[/NAMESPACE]/IMAGE, which the udev rule of Proxmox makes. */
static gboolean resolve_krbd(const Section *storage, DiskSource *source, GError **error)
{
    const char *own = prop(storage, "fsid");
    g_autofree char *fsid = NULL;

    if (own && !is_fsid(own))
        return fail(error, STORAGE_ERROR_SYNTAX, "storage '%s': its fsid is not a UUID",
                    storage->id);
    if (!own && prop(storage, "monhost"))
        return fail(error, STORAGE_ERROR_SYNTAX,
                    "storage '%s': add 'fsid UUID' of the cluster to storage.cfg, krbd needs it",
                    storage->id);
    fsid = own ? g_strdup(own) : storage_ceph_fsid(CEPH_CONF, error);
    if (!fsid)
        return FALSE;
    source->kind = DISK_BLOCK_DEVICE;
    source->path = g_build_filename("/dev/rbd-pve", fsid, source->rbd_pool,
                                    source->rbd_namespace ? source->rbd_namespace : "",
                                    source->rbd_image, NULL);
    return TRUE;
}

static char *proxmox_ceph_file(const Section *storage, const char *suffix)
{
    g_autofree char *path = g_strdup_printf("/etc/pve/priv/ceph/%s.%s", storage->id, suffix);

    return access(path, F_OK) == 0 ? g_steal_pointer(&path) : NULL;
}

/*
 * A cluster that is not the node's own. Proxmox keeps its keyring, and a ceph.conf that names it,
 * under the storage's name; elsewhere Ceph's own places are searched, as for any of its clients.
 */
static void set_foreign_cluster(const Section *storage, const char *monhost, DiskSource *source)
{
    g_autofree char *keyring = proxmox_ceph_file(storage, "keyring");

    source->rbd_monhost = g_strdup(monhost);
    source->rbd_conf = proxmox_ceph_file(storage, "conf");
    if (keyring)
        source->rbd_auth = "cephx";
    else if (access("/etc/pve/priv", F_OK) == 0)
        source->rbd_auth = "none";
}

static gboolean resolve_rbd(const Section *storage, const char *volume, DiskSource *source,
                            GError **error)
{
    static const char *const prefixes[] = {"vm-", "base-", NULL};
    const char *name = last_component(volume);
    const char *pool = prop(storage, "pool");
    const char *namespace = prop(storage, "namespace");
    const char *user = prop(storage, "username");
    const char *monhost = prop(storage, "monhost");

    if (!name || !starts_with_any(name, prefixes))
        return bad_volume(storage, volume, "vm-VMID-NAME, base-VMID-NAME and BASE/vm-VMID-NAME",
                          error);
    if ((pool && !is_component(pool)) || (namespace && !is_component(namespace)))
        return fail(error, STORAGE_ERROR_SYNTAX, "storage '%s': bad pool or namespace",
                    storage->id);
    source->kind = DISK_RBD;
    source->format = g_strdup("raw");
    source->rbd_pool = g_strdup(pool ? pool : "rbd");
    source->rbd_namespace = g_strdup(namespace);
    source->rbd_image = g_strdup(name);
    source->rbd_user = g_strdup(user ? user : "admin");
    if (monhost && *monhost)
        set_foreign_cluster(storage, monhost, source);
    else
        source->rbd_conf = g_strdup(CEPH_CONF);
    return !prop_is_set(storage, "krbd") || resolve_krbd(storage, source, error);
}

typedef gboolean (*Resolver)(const Section *storage, const char *volume, DiskSource *source,
                             GError **error);

static Resolver resolver_of(const Section *storage, GError **error)
{
    static const struct {
        const char *type;
        Resolver resolve;
    } table[] = {
        {"dir", resolve_dir},         {"nfs", resolve_dir},     {"cifs", resolve_dir},
        {"btrfs", resolve_dir},       {"lvm", resolve_lvm},     {"lvmthin", resolve_lvm},
        {"zfspool", resolve_zfspool}, {"iscsi", resolve_iscsi}, {"rbd", resolve_rbd},
    };
    g_autofree char *quoted = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        if (g_str_equal(storage->type, table[i].type))
            return table[i].resolve;
    }
    quoted = propstr_quote(storage->type);
    fail(error, STORAGE_ERROR_UNSUPPORTED,
         "storage '%s' is of type %s, which cannot be opened from here; move the disk to one of "
         "dir, nfs, cifs, btrfs, lvm, lvmthin, zfspool, iscsi, rbd",
         storage->id, quoted);
    return NULL;
}

static gboolean resolve_path(const char *path, const char *format, DiskSource *source)
{
    struct stat st;

    if (stat(path, &st) == 0 ? S_ISBLK(st.st_mode) : g_str_has_prefix(path, "/dev/"))
        source->kind = DISK_BLOCK_DEVICE;
    source->path = g_strdup(path);
    source->format = g_strdup(format ? format : "raw");
    return TRUE;
}

static gboolean resolve_volume(const Storages *storages, const VolumeId *volid, const char *format,
                               DiskSource *source, GError **error)
{
    const Section *storage = g_hash_table_lookup(storages->by_id, volid->storage);
    Resolver resolve;

    if (!storage)
        return fail(error, STORAGE_ERROR_UNKNOWN,
                    "there is no storage '%s'; name it in storage.cfg", volid->storage);
    if (prop_is_set(storage, "disable"))
        return fail(error, STORAGE_ERROR_UNKNOWN,
                    "storage '%s' is disabled; remove 'disable' from storage.cfg", storage->id);
    resolve = resolver_of(storage, error);
    if (!resolve)
        return FALSE;
    source->storage_type = g_strdup(storage->type);
    if (!resolve(storage, volid->volume, source, error))
        return FALSE;
    if (format && !g_str_equal(format, source->format))
        return fail(error, STORAGE_ERROR_VOLUME,
                    "format=%s, but the volume's format is %s; remove format=", format,
                    source->format);
    return TRUE;
}

/* Whether all that reaches QEMU is text; volume names are, storage.cfg need not be. */
static gboolean is_printable(const DiskSource *source)
{
    const char *const texts[] = {source->path, source->rbd_pool, source->rbd_namespace,
                                 source->rbd_user, source->rbd_monhost};

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (texts[i] && !propstr_printable(texts[i], FALSE))
            return FALSE;
    }
    return TRUE;
}

DiskSource *storage_resolve(const Storages *storages, const VolumeId *volid, const char *format,
                            GError **error)
{
    g_autoptr(DiskSource) source = g_new0(DiskSource, 1);
    gboolean good;

    if (volid->storage) {
        good = resolve_volume(storages, volid, format, source, error);
    } else if (*volid->volume == '/') {
        good = resolve_path(volid->volume, format, source);
    } else {
        good = fail(error, STORAGE_ERROR_VOLUME, "'%s' is not a volume", volid->volume);
    }
    if (good && !is_printable(source))
        good = fail(error, STORAGE_ERROR_SYNTAX,
                    "storage '%s': storage.cfg holds control characters or is not UTF-8",
                    volid->storage ? volid->storage : "");
    return good ? g_steal_pointer(&source) : NULL;
}

void disk_source_free(DiskSource *source)
{
    if (!source)
        return;
    g_free(source->path);
    g_free(source->format);
    g_free(source->storage_type);
    g_free(source->rbd_pool);
    g_free(source->rbd_namespace);
    g_free(source->rbd_image);
    g_free(source->rbd_conf);
    g_free(source->rbd_user);
    g_free(source->rbd_monhost);
    g_free(source);
}
