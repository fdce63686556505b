/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_KERNEL_H
#define MICROVM_KERNEL_H

#include <glib.h>

/*
 * What a kernel image is, told from its own bytes: the Linux boot protocol's header
 * (Documentation/arch/x86/boot.rst) and the PVH entry note of an ELF file (Xen's
 * docs/misc/pvh.pandoc, xen/include/public/elfnote.h).
 */

#define KERNEL_ERROR (kernel_error_quark())
GQuark kernel_error_quark(void);

typedef enum {
    KERNEL_ERROR_READ,   /* missing, unreadable, not a regular file */
    KERNEL_ERROR_FORMAT, /* readable, and nothing this board can boot */
} KernelErrorCode;

typedef enum {
    KERNEL_BZIMAGE,
    KERNEL_PVH, /* an ELF with a PVH entry: Linux's vmlinux, NetBSD, … */
} KernelKind;

typedef struct {
    KernelKind kind;
    char *os;      /* "Linux", or what the ELF notes name: "NetBSD", "FreeBSD", "OpenBSD" */
    char *release; /* bzImage: "6.12.107-microvm", as its header has it; otherwise NULL */
} KernelImage;

/*
 * Reads the headers of @path. Returns a KernelImage to free with kernel_image_free(), or NULL with
 * @error, which names the file and, where it is not a kernel, what it is.
 */
KernelImage *kernel_identify(const char *path, GError **error);

KernelImage *kernel_image_new(KernelKind kind, const char *os, const char *release);
void kernel_image_free(KernelImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KernelImage, kernel_image_free)

gboolean kernel_is_linux(const KernelImage *image);

/* Whether the image says of itself that it is the kernel this package builds. */
gboolean kernel_has_our_release(const KernelImage *image);

#endif
