/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_HOST_H
#define MICROVM_HOST_H

#include "kernel.h"
#include "net.h"

/*
 * The machine we run on: what it offers (before the plan is made), and whether the plan's files,
 * run directory and guest id can be had (after).
 */

#define HOST_ERROR (host_error_quark())
GQuark host_error_quark(void);

typedef enum {
    HOST_ERROR_MISSING, /* a file, device or directory is not there or cannot be used */
    HOST_ERROR_ASSUME,  /* --assume has an unknown or malformed item */
    HOST_ERROR_RUNNING, /* a guest of this id runs already */
} HostErrorCode;

/* Where Proxmox's own tools look for a guest's sockets and pidfile, in their spelling. */
#define HOST_PROXMOX_RUN "/var/run/qemu-server"
#define HOST_PROXMOX_EVENT_SOCKET "/var/run/qmeventd.sock"
#define HOST_PROXMOX_STORAGE_CFG "/etc/pve/storage.cfg"
#define HOST_PROXMOX_CPU_MODELS "/etc/pve/virtual-guest/cpu-models.conf"
#define HOST_PROXMOX_HUGEPAGES "/run/hugepages/kvm"

/* The user that root's guests run as, where there is one. */
#define HOST_ACCOUNT "microvm"

typedef struct {
    gboolean assumed;    /* nothing was or will be looked at: --assume */
    gboolean root;       /* we are root */
    gboolean account;    /* and there is a user HOST_ACCOUNT */
    gboolean modules;    /* assumed: the kernel's modules lie beside it */
    gboolean proxmox;    /* Proxmox's tools run the guest; the caller's to set */
    gboolean io_uring;   /* the kernel lets this process use it */
    gboolean vhost_net;  /* /dev/vhost-net can be opened */
    gboolean pages_1g;   /* the kernel has huge pages of 1 GiB */
    const char *nested;  /* assumed: "vmx" or "svm"; NULL: neither */
    gboolean pve_qemu;   /* assumed: QEMU is Proxmox's */
    char *exe_dir;       /* where the launcher itself lies; NULL when assumed */
    GHashTable *bridges; /* assumed: name → NetLink */
    GHashTable *kernels; /* assumed: path → KernelImage */
} Host;

/* Looks at this machine. Never fails: what cannot be found out is not there. */
Host *host_probe(void);

/* Whether @config is a guest's config of a Proxmox node that has qemu-server. */
gboolean host_is_proxmox(const char *config);

/* The directory of qemu-server's network scripts, pve-bridge and pve-bridgedown. */
const char *host_proxmox_scripts(const Host *host);

/* Whether @qemu is Proxmox's QEMU, which has options of its own. */
gboolean host_is_pve_qemu(const Host *host, const char *qemu);

/*
 * A machine as @list describes it, for output that does not depend on where it is made: items
 * "io_uring", "vhost-net", "pve-qemu", "hugepages-1g", "vmx", "svm", "root",
 * "account" (and root), "modules",
 * "bridge=NAME[:MTU[:vlans]]", "kernel=PATH:KIND" (bzimage, microvm, pvh, or an operating system's
 * name), separated by commas; "none" is no item. Every file is taken to exist, a kernel without an
 * item to be a PVH Linux kernel.
 */
Host *host_assume(const char *list, GError **error);

void host_free(Host *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Host, host_free)

/*
 * What bridge @name is; its MTU is 0 when there is none of that name. On Proxmox's hosts it may be
 * any interface: the network scripts know of more kinds.
 */
NetLink host_bridge(const Host *host, const char *name);

/* What the CPU calls its part in nested virtualisation, "vmx" or "svm"; NULL: it has none. */
const char *host_nested_flag(const Host *host);

/* kernel_identify(), or what was assumed. */
KernelImage *host_kernel(const Host *host, const char *path, GError **error);

typedef enum {
    HOST_QEMU,
    HOST_KERNEL,
    HOST_INITRD,
    HOST_VIRTIOFSD,
} HostFile;

/*
 * Where @file is: @option when given, else beside the launcher (unless that is installed), else
 * where it is installed.
 * Returns an absolute path to free with g_free(), or NULL with @error naming all places tried.
 */
char *host_find(const Host *host, HostFile file, const char *option, GError **error);

/* Whether @path is a kernel of this package: one that host_find() could return, or @image's word.
 */
gboolean host_kernel_is_ours(const Host *host, const char *path, const KernelImage *image);

/*
 * @option, else Proxmox's own on its hosts, else /run/microvm-USER with @user (/run/microvm for
 * HOST_ACCOUNT), else $XDG_RUNTIME_DIR/microvm where that variable names a directory of this
 * user's, else /run/microvm; absolute. Free with g_free().
 */
char *host_runtime_dir(const Host *host, const char *option, const char *user);

/* The image with the modules of the kernel @kernel, which lies beside it; NULL: there is none. */
char *host_modules(const Host *host, const char *kernel);

/* Whether an image of @format at @path is all in that file: no backing file, no data elsewhere. */
gboolean host_image_is_whole(const Host *host, const char *path, const char *format);

/*
 * Opens @path with @flags of open(), close-on-exec; it must not be a directory or pipe. Returns the
 * descriptor, or -1 with @error; @what ("disk") is for the message.
 */
int host_open(const char *what, const char *path, int flags, GError **error);

/* Opens /dev/kvm for a moment. FALSE with @error that says how to do without. */
gboolean host_check_kvm(GError **error);

/* Whether @path can be read; @what ("initrd") is for the message. */
gboolean host_check_file(const char *what, const char *path, GError **error);

/* Whether @path is a program that can be executed; @what ("QEMU") is for the message. */
gboolean host_check_program(const char *what, const char *path, GError **error);

gboolean host_check_directory(const char *path, GError **error);

/*
 * Whether a disk can be opened: a regular file, or with @device a block device; for writing unless
 * @readonly.
 */
gboolean host_check_disk(const char *path, gboolean device, gboolean readonly, GError **error);

/*
 * Makes @dir (mode 0700, belonging to user @uid) unless it is there, and checks that this user can
 * make files in it. @made tells whether it was made.
 */
gboolean host_make_runtime_dir(const char *dir, guint uid, gboolean *made, GError **error);

/*
 * Whether a QEMU holds the lock on @pidfile, and then its process id in @pid, and in @owner (or
 * NULL) whose file it is. QEMU keeps that lock for as long as it lives, so that a file left by a
 * crash does not count. FALSE with @error when the file is there and cannot be asked.
 */
gboolean host_pidfile_locked(const char *pidfile, long *pid, guint *owner, GError **error);

/* HOST_ERROR_RUNNING when a QEMU holds the lock on @pidfile. */
gboolean host_check_not_running(const char *id, const char *pidfile, GError **error);

#endif
