/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_STORAGE_H
#define MICROVM_STORAGE_H

#include <glib.h>

#include "propstr.h"

/*
 * storage.cfg (pve-storage's PVE/SectionConfig.pm syntax) and what a volume id of each storage type
 * means as a file, a block device or a network block driver.
 */

#define STORAGE_ERROR (storage_error_quark())
GQuark storage_error_quark(void);

typedef enum {
    STORAGE_ERROR_READ,
    STORAGE_ERROR_SYNTAX,
    STORAGE_ERROR_UNKNOWN,     /* no storage of that name, or it is disabled */
    STORAGE_ERROR_UNSUPPORTED, /* a storage type this launcher cannot open */
    STORAGE_ERROR_VOLUME,      /* the volume name does not fit the storage */
} StorageErrorCode;

typedef struct Storages Storages;

/*
 * Reads @file. NULL reads nothing: only the implicit "local" (dir, /var/lib/vz) is there. Warnings
 * of the form "FILE:LINE: text" are added to @warnings (of char *), which may be NULL.
 */
Storages *storage_load(const char *file, GPtrArray *warnings, GError **error);

/* The same on @len bytes at @text; @file is only named in messages. */
Storages *storage_parse(const char *file, const char *text, gsize len, GPtrArray *warnings,
                        GError **error);
void storage_free(Storages *storages);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Storages, storage_free)

typedef enum {
    DISK_FILE,         /* a regular file: blockdev driver "file" */
    DISK_BLOCK_DEVICE, /* blockdev driver "host_device" */
    DISK_RBD,          /* blockdev driver "rbd" */
} DiskKind;

/* Where a disk's bytes are. Strings are owned by the DiskSource. */
typedef struct {
    DiskKind kind;
    char *path;         /* DISK_FILE, DISK_BLOCK_DEVICE; absolute */
    char *format;       /* "raw", "qcow2", "vmdk": by the volume's extension, raw without one */
    char *storage_type; /* "dir", "lvmthin", …; NULL for an absolute path */
    /*
     * DISK_RBD. Of conf and monhost (a list by [,; ]) one is set, or both; namespace may be NULL.
     * auth is "cephx" or "none" where Proxmox's own files tell, or NULL.
     */
    char *rbd_pool, *rbd_namespace, *rbd_image, *rbd_conf, *rbd_user, *rbd_monhost;
    const char *rbd_auth;
} DiskSource;

/*
 * Resolves @volid ("local-lvm:vm-114-disk-0", "/dev/sdb"), which is neither "none" nor "cdrom". The
 * volume itself is not opened; a name that would lead out of its storage is refused. @format, from
 * the config's "format=", may be NULL: it must agree with the storage's own, as in Proxmox, and
 * says what an absolute path holds (raw without it). Free with disk_source_free().
 */
DiskSource *storage_resolve(const Storages *storages, const VolumeId *volid, const char *format,
                            GError **error);
void disk_source_free(DiskSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DiskSource, disk_source_free)

/* The fsid that @file, a ceph.conf, gives. Free with g_free(). */
char *storage_ceph_fsid(const char *file, GError **error);

#endif
