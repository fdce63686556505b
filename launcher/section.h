/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_SECTION_H
#define MICROVM_SECTION_H

#include <glib.h>

/*
 * Files of sections, as Proxmox's PVE::SectionConfig reads them (storage.cfg, cpu-models.conf):
 *
 *     TYPE: ID
 *         KEY VALUE
 *
 * A section ends at an empty line. What cannot be read is skipped with a warning.
 */

#define SECTION_ERROR (section_error_quark())
GQuark section_error_quark(void);

typedef enum {
    SECTION_ERROR_SYNTAX, /* a NUL byte */
} SectionErrorCode;

typedef struct {
    char *id;
    char *type;        /* in lower case */
    GHashTable *props; /* of char * by char *; the value of a key alone is "" */
} Section;

/*
 * Reads @len bytes at @text; @file is only named in messages. @good_id tells the names that a
 * section may have. Warnings of the form "FILE:LINE: text" are added to @warnings (of char *),
 * which may be NULL. Returns Section by id, to free with g_hash_table_unref(), or NULL with @error.
 */
GHashTable *sections_parse(const char *file, const char *text, gsize len,
                           gboolean (*good_id)(const char *id), GPtrArray *warnings,
                           GError **error);

/* Adds an empty section to @sections, which owns it, in place of one of that name. */
Section *sections_add(GHashTable *sections, const char *id, const char *type);

#endif
