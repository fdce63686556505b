/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

#define SPACES " \t\r\v\f"
#define CEPH_CONF "/etc/pve/ceph.conf"

typedef struct {
    char *id;
    char *type;
    GHashTable *props; /* of char * by char * */
} Storage;

struct Storages {
    GHashTable *by_id; /* of Storage */
};

typedef struct {
    const char *file;
    GPtrArray *warnings; /* may be NULL */
    unsigned line;
} Reader;

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

static void storage_entry_free(gpointer data)
{
    Storage *storage = data;

    g_free(storage->id);
    g_free(storage->type);
    g_hash_table_destroy(storage->props);
    g_free(storage);
}

static Storage *storage_entry_new(const char *id, const char *type)
{
    Storage *storage = g_new0(Storage, 1);

    storage->id = g_strdup(id);
    storage->type = g_ascii_strdown(type, -1);
    storage->props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return storage;
}

static void warn(const Reader *reader, const char *what, const char *text)
{
    g_autofree char *quoted = propstr_quote(text);

    if (reader->warnings) {
        g_ptr_array_add(reader->warnings,
                        g_strdup_printf("%s:%u: %s: %s", reader->file, reader->line, what, quoted));
    }
}

static gboolean is_storage_id(const char *id)
{
    g_autofree char *volume = g_strconcat(id, ":x", NULL);
    g_autoptr(VolumeId) parsed = volume_id_parse(volume, NULL);

    return parsed && parsed->storage && g_str_equal(parsed->storage, id);
}

/* ^(\S+):\s*(\S+)\s*$; FALSE when @line is not that. @storage is NULL when the id is bad. */
static gboolean parse_header(const Reader *reader, const char *line, Storage **storage)
{
    gsize len = strcspn(line, SPACES);
    const char *colon = memrchr(line, ':', len);
    gsize type_len = colon ? colon - line : 0;
    g_autofree char *type = g_strndup(line, type_len);
    g_autofree char *id = NULL;

    *storage = NULL;
    if (type_len)
        id = g_strstrip(g_strdup(colon + 1));
    if (!id || !*id || strpbrk(id, SPACES)) {
        warn(reader, "not a storage (TYPE: ID), skipped", line);
        return FALSE;
    }
    if (is_storage_id(id))
        *storage = storage_entry_new(id, type);
    else
        warn(reader, "not a storage's name, skipped", id);
    return TRUE;
}

/* ^\s+(\S+)(\s+(.*\S))?\s*$ */
static void parse_property(const Reader *reader, Storage *storage, const char *line)
{
    const char *key = line + strspn(line, SPACES);
    gsize len = strcspn(key, SPACES);
    g_autofree char *name = g_strndup(key, len);
    char *value = g_strstrip(g_strdup(key + len));

    if (key == line || !len) {
        warn(reader, "not a property, skipped", line);
        g_free(value);
    } else if (g_hash_table_contains(storage->props, name)) {
        warn(reader, "given twice, the first one holds", name);
        g_free(value);
    } else {
        g_hash_table_insert(storage->props, g_steal_pointer(&name), value);
    }
}

static void parse_text(Reader *reader, Storages *storages, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    Storage *storage = NULL;
    gboolean inside = FALSE;

    for (char **line = lines; *line; line++) {
        reader->line++;
        if (g_str_has_suffix(*line, "\r"))
            (*line)[strlen(*line) - 1] = '\0';
        if ((*line)[strspn(*line, SPACES)] == '#')
            continue;
        if (!**line) {
            inside = FALSE;
        } else if (inside) {
            if (storage)
                parse_property(reader, storage, *line);
        } else {
            inside = parse_header(reader, *line, &storage);
            if (!storage)
                continue;
            if (g_hash_table_contains(storages->by_id, storage->id))
                warn(reader, "storage stands twice, the last one holds", storage->id);
            g_hash_table_replace(storages->by_id, storage->id, storage);
        }
    }
}

static Storages *storages_new(void)
{
    Storages *storages = g_new0(Storages, 1);

    storages->by_id = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, storage_entry_free);
    return storages;
}

/* What Proxmox has without being told. */
static void add_local(Storages *storages)
{
    Storage *local = g_hash_table_lookup(storages->by_id, "local");

    if (!local) {
        local = storage_entry_new("local", "dir");
        g_hash_table_insert(storages->by_id, local->id, local);
    }
    if (g_str_equal(local->type, "dir") && !g_hash_table_contains(local->props, "path"))
        g_hash_table_insert(local->props, g_strdup("path"), g_strdup("/var/lib/vz"));
}

Storages *storage_parse(const char *file, const char *text, gsize len, GPtrArray *warnings,
                        GError **error)
{
    Reader reader = {.file = file, .warnings = warnings};
    g_autofree char *copy = g_strndup(text, len);
    Storages *storages;

    if (strlen(copy) != len) {
        fail(error, STORAGE_ERROR_SYNTAX, "%s: holds a NUL byte; it must be text", file);
        return NULL;
    }
    storages = storages_new();
    parse_text(&reader, storages, copy);
    add_local(storages);
    return storages;
}

Storages *storage_load(const char *file, GPtrArray *warnings, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *text = NULL;
    gsize len;

    if (!file)
        return storage_parse("", "", 0, warnings, error);
    text = config_read_text(file, &len, &cause);
    if (text)
        return storage_parse(file, text, len, warnings, error);
    fail(error, STORAGE_ERROR_READ, "%s", cause->message);
    return NULL;
}

void storage_free(Storages *storages)
{
    if (!storages)
        return;
    g_hash_table_destroy(storages->by_id);
    g_free(storages);
}

static const char *prop(const Storage *storage, const char *name)
{
    return g_hash_table_lookup(storage->props, name);
}

/* A boolean property; without a value it is true. */
static gboolean prop_is_set(const Storage *storage, const char *name)
{
    const char *value = prop(storage, name);
    gboolean on;

    if (!value)
        return FALSE;
    return !*value || !propstr_bool(value, &on, NULL) || on;
}

static const char *needed_prop(const Storage *storage, const char *name, GError **error)
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

static gboolean bad_volume(const Storage *storage, const char *volume, const char *wanted,
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
static char *content_dir(const Storage *storage, const char *content, const char *fallback,
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

static gboolean resolve_iso(const Storage *storage, const char *volume, DiskSource *source,
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
static gboolean resolve_dir(const Storage *storage, const char *volume, DiskSource *source,
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

static gboolean resolve_lvm(const Storage *storage, const char *volume, DiskSource *source,
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

static gboolean resolve_zfspool(const Storage *storage, const char *volume, DiskSource *source,
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
static gboolean resolve_iscsi(const Storage *storage, const char *volume, DiskSource *source,
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
static gboolean resolve_krbd(const Storage *storage, DiskSource *source, GError **error)
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

static char *proxmox_ceph_file(const Storage *storage, const char *suffix)
{
    g_autofree char *path = g_strdup_printf("/etc/pve/priv/ceph/%s.%s", storage->id, suffix);

    return access(path, F_OK) == 0 ? g_steal_pointer(&path) : NULL;
}

/*
 * A cluster that is not the node's own. Proxmox keeps its keyring, and a ceph.conf that names it,
 * under the storage's name; elsewhere Ceph's own places are searched, as for any of its clients.
 */
static void set_foreign_cluster(const Storage *storage, const char *monhost, DiskSource *source)
{
    g_autofree char *keyring = proxmox_ceph_file(storage, "keyring");

    source->rbd_monhost = g_strdup(monhost);
    source->rbd_conf = proxmox_ceph_file(storage, "conf");
    if (keyring)
        source->rbd_auth = "cephx";
    else if (access("/etc/pve/priv", F_OK) == 0)
        source->rbd_auth = "none";
}

static gboolean resolve_rbd(const Storage *storage, const char *volume, DiskSource *source,
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

typedef gboolean (*Resolver)(const Storage *storage, const char *volume, DiskSource *source,
                             GError **error);

static Resolver resolver_of(const Storage *storage, GError **error)
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
    const Storage *storage = g_hash_table_lookup(storages->by_id, volid->storage);
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
