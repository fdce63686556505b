/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_IMAGE_H
#define MICROVM_IMAGE_H

#include <glib.h>

/* What the parts of microvm-image share: the request as read from the command line, and errors. */

#define IMAGE_ERROR (image_error_quark())
GQuark image_error_quark(void);

typedef enum {
    IMAGE_ERROR_FAILED, /* exit status 1 */
    IMAGE_ERROR_USAGE,  /* 2 */
} ImageErrorCode;

typedef enum {
    SOURCE_DIRECTORY,
    SOURCE_TARBALL,
    SOURCE_DEBIAN, /* ->name is the suite */
    SOURCE_UBUNTU,
    SOURCE_OCI, /* ->name is what skopeo calls it, as "docker://debian:13" */
} SourceKind;

typedef struct {
    const char *source, *output;
    SourceKind kind;
    const char *name; /* of the source, without "debian:" and the like */
    guint64 size;     /* of the disk, in bytes */
    gboolean qcow2;
    gboolean force;       /* replace the output */
    guint profiles;       /* PROFILE_… */
    GPtrArray *packages;  /* beside those of the profiles; NULL-terminated */
    const char *hostname; /* NULL: the source's own, or "microvm" for a suite */
    const char *ssh_key;  /* a file whose lines go into root's authorized_keys; or NULL */
    gboolean no_password; /* root has none */
    const char *mirror;   /* of a suite */
    char *host_mirror;    /* the same, owned, if it is what the host's apt has */
    const char *keyring;  /* of a suite; NULL: the usual one */
    const char *cache;    /* directory for downloads, logs and work */
    char *cache_dir;      /* the same, owned */
    gboolean fetched;     /* this is the second process, in a user namespace; see main.c */
} Request;

/* Sets @error of IMAGE_ERROR; always FALSE. */
gboolean image_fail(GError **error, ImageErrorCode code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* Prints "microvm-image: …" on stderr, for what does not end the work. */
void image_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

#endif
