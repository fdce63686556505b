/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_DIRECTORY_H
#define MICROVM_DIRECTORY_H

#include <glib.h>

/*
 * Names of directories that guests may share, as Proxmox's mapping/directory.cfg has them: a line
 * with the name alone, and behind it indented lines, of which "map node=NODE,path=PATH" says where
 * it is on which node. A map without node= is good for every host.
 */

#define DIRECTORY_ERROR (directory_error_quark())
GQuark directory_error_quark(void);

typedef enum {
    DIRECTORY_ERROR_READ,
    DIRECTORY_ERROR_UNKNOWN, /* no such name, or not on @node */
    DIRECTORY_ERROR_SYNTAX,
} DirectoryErrorCode;

/* The path that @file gives for @name on @node. Free with g_free(). */
char *directory_find(const char *file, const char *name, const char *node, GError **error);

#endif
