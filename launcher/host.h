/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_HOST_H
#define MICROVM_HOST_H

#include "kernel.h"

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

typedef struct {
    gboolean assumed;    /* nothing was or will be looked at: --assume */
    gboolean io_uring;   /* the kernel lets this process use it */
    gboolean vhost_net;  /* /dev/vhost-net can be opened */
    char *exe_dir;       /* where the launcher itself lies; NULL when assumed */
    GHashTable *bridges; /* assumed: name → MTU as a pointer-sized integer */
    GHashTable *kernels; /* assumed: path → KernelImage */
} Host;

/* Looks at this machine. Never fails: what cannot be found out is not there. */
Host *host_probe(void);

/*
 * A machine as @list describes it, for output that does not depend on where it is made: items
 * "io_uring", "vhost-net", "bridge=NAME[:MTU]", "kernel=PATH:KIND" (bzimage, microvm, pvh, or an
 * operating system's name), separated by commas; "none" is no item. Every file is taken to exist,
 * a kernel without an item to be a PVH Linux kernel.
 */
Host *host_assume(const char *list, GError **error);

void host_free(Host *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Host, host_free)

/* The MTU of bridge @name, or 0 when there is none of that name. */
guint host_bridge_mtu(const Host *host, const char *name);

/* kernel_identify(), or what was assumed. */
KernelImage *host_kernel(const Host *host, const char *path, GError **error);

typedef enum {
    HOST_QEMU,
    HOST_KERNEL,
    HOST_INITRD,
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
 * @option, else $XDG_RUNTIME_DIR/microvm where that variable names a directory of this user's, else
 * /run/microvm; absolute. Free with g_free().
 */
char *host_runtime_dir(const Host *host, const char *option);

/* Opens /dev/kvm for a moment. FALSE with @error that says how to do without. */
gboolean host_check_kvm(GError **error);

/* Whether @path can be read; @what ("initrd") is for the message. */
gboolean host_check_file(const char *what, const char *path, GError **error);

/* Whether @path is a program that can be executed. */
gboolean host_check_program(const char *path, GError **error);

/*
 * Whether a disk can be opened: a regular file, or with @device a block device; for writing unless
 * @readonly.
 */
gboolean host_check_disk(const char *path, gboolean device, gboolean readonly, GError **error);

/*
 * Makes @dir (mode 0700) unless it is there, and checks that files can be made in it. @made tells
 * whether it was made.
 */
gboolean host_make_runtime_dir(const char *dir, gboolean *made, GError **error);

/*
 * HOST_ERROR_RUNNING when a QEMU holds the lock on @pidfile. QEMU keeps that lock for as long as it
 * lives, so that a file left by a crash does not count.
 */
gboolean host_check_not_running(const char *id, const char *pidfile, GError **error);

#endif
