/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_TEMPLATE_H
#define MICROVM_TEMPLATE_H

#include "options.h"
#include "store.h"

/*
 * A template: a directory with the memory, the devices' state and the disks of a guest that has
 * booted, and manifest.json, which says what they belong to.
 */

#define TEMPLATE_MANIFEST "manifest.json"
#define TEMPLATE_CONFIG "guest.conf" /* the config as it was */
#define TEMPLATE_MEMORY "memory"
#define TEMPLATE_STATE "state"

/* A file that the template depends on. What stat() says tells that it is the same; or its hash. */
typedef struct {
    char *what;   /* "QEMU", "kernel" */
    char *path;   /* relative to the template for its own files */
    char *sha256; /* NULL: only stat() is compared */
    gint64 size, mtime_ns, ctime_ns;
    guint64 inode;
} TemplateFile;

typedef struct {
    char *name, *dir;
    char *made;    /* when, as ISO 8601 has it */
    char *made_in; /* the directory that it was made for */
    char *id;      /* the guest's */
    char *config;  /* where the config was */
    char *config_sha256;
    char *machine;                /* with its version, "microvm-10.0" */
    char *cpu;                    /* what QEMU was told */
    char *host_cpu;               /* what CPU the host has; NULL without KVM */
    char *qemu, *kernel, *initrd; /* paths; each but QEMU's may be NULL */
    char *user;                   /* whom QEMU ran as; NULL: whoever has made it */
    gboolean user_net, vsock;
    gboolean vmgenid;      /* it has the device */
    gboolean vmgenid_used; /* and the guest's kernel drives it */
    guint64 memory_mib;
    GPtrArray *files;    /* of TemplateFile * */
    GPtrArray *disks;    /* of char *: keys of the disks that the guest can write to */
    GPtrArray *nics;     /* of char *: "net0", its address, "net1", … */
    GPtrArray *ssh_keys; /* of char *: kinds of SSH host keys that the guest had, "ed25519" */
} Template;

/* An empty one. Free with template_free(). */
Template *template_new(const char *name, const char *dir);
void template_free(Template *tmpl);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Template, template_free)

/* Reads template @name of @store; NULL with @error when there is none, or it cannot be understood.
 */
Template *template_load(const char *store, const char *name, GError **error);

/* Writes the manifest, mode 0600. */
gboolean template_save(const Template *tmpl, GError **error);

/* Adds the file at @path as it is now; @hash: with its SHA-256. */
gboolean template_add_file(Template *tmpl, const char *what, const char *path, gboolean hash,
                           GError **error);

/* Whether clones can be made of it on this host, as it is now; FALSE with the reason. */
gboolean template_check(const Template *tmpl, GError **error);

/* A path of one of its files, to be freed. */
char *template_path(const Template *tmpl, const char *file);

/* The kinds of SSH host keys that sshd looks for by itself; @type may be what a guest has said. */
gboolean template_is_key_type(const char *type);

/* The empty layer over the disk @key, which clones copy; to be freed. */
char *template_layer(const Template *tmpl, const char *key);

/* The address that the guest's NIC @key has in the template; NULL: there was none. */
const char *template_mac(const Template *tmpl, const char *key);

/* The CPU of this host as far as a guest sees it, to be freed. */
char *template_host_cpu(void);

/* template-make.c: boots the guest of @config and saves it as template @name. */
gboolean template_make(Request *request, const char *store, const char *config, const char *name,
                       GError **error);

#endif
