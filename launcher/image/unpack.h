/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_IMAGE_UNPACK_H
#define MICROVM_IMAGE_UNPACK_H

#include <glib.h>

typedef struct {
    int fd;        /* the tarball: plain, or compressed by gzip, bzip2, xz, lz4 or zstd */
    guint64 total; /* its length in bytes; 0: not known */
    guint64 limit; /* bytes that its files may have together */
    gint64 nobody; /* the owner that stands for those that a user namespace lacks; -1: none does */
} Unpack;

/*
 * Unpacks a tarball that nobody vouches for into the root directory: a JailWork, with an Unpack.
 * Owners are taken by number. Names with ".." are refused; device nodes are left out, since the
 * guest's kernel makes its own.
 */
gboolean unpack_tarball(gpointer data, GError **error);

/* One file in so many bytes, as mke2fs makes inodes. */
#define UNPACK_BYTES_PER_INODE 16384

#endif
