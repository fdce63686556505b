/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_PLACE_H
#define MICROVM_PLACE_H

#include <glib.h>

/* Where a test's guest has its files. Whatever fails here aborts the test. */

typedef struct {
    char *dir;         /* a temporary one; for sockets, too */
    char *config;      /* ID.conf in it, for place_write() */
    char *storage_cfg; /* a storage "local-lvm" that has the volume vm-ID-disk-0 */
} Place;

/* The volume is a copy of @image. Free with place_free(). */
Place *place_new(const char *id, const char *image);

/* Removes the directory with all that is in it. */
void place_free(Place *place);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Place, place_free)

/* The path of @name in the directory; to be freed. */
char *place_file(const Place *place, const char *name);

/* Writes a file there or elsewhere. */
void place_write(const char *path, const char *text);

/* Runs a program of this machine, which must exit with 0. Returns its output, to be freed. */
char *place_run(const char *const *argv);

#endif
