/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_PROPSTR_H
#define MICROVM_PROPSTR_H

#include <glib.h>

/*
 * The small grammars inside config values: property strings ("virtio=BC:24:…,bridge=vmbr0"), sizes,
 * booleans, MAC addresses, volume ids and shell words. Rules are those of pve-common's
 * PVE/JSONSchema.pm and qemu-server; each function's errors are of PROPSTR_ERROR and say what was
 * found and what would be right, without file or line (the caller knows them).
 */

#define PROPSTR_ERROR (propstr_error_quark())
GQuark propstr_error_quark(void);

typedef enum {
    PROPSTR_ERROR_SYNTAX,
    PROPSTR_ERROR_VALUE,
} PropstrErrorCode;

typedef enum {
    PROP_STRING,     /* ->max, when set: the most bytes */
    PROP_BOOLEAN,    /* kept as "1" or "0" */
    PROP_INTEGER,    /* decimal digits only; ->min and ->max apply */
    PROP_NUMBER,     /* unsigned, "2", "0.5", "1e3"; ->min and ->max apply */
    PROP_SIZE,       /* disk size, "32G" */
    PROP_ENUM,       /* one of ->choices */
    PROP_MAC,        /* kept in upper case */
    PROP_URLENCODED, /* %xx escapes; decode with propstr_url_decode(), which then cannot fail */
} PropType;

/* One sub-key that a property string may have. A table of these ends with .name == NULL. */
typedef struct {
    const char *name;
    PropType type;
    gint64 min, max;            /* both 0: no limits */
    const char *const *choices; /* PROP_ENUM: NULL-terminated */
    gboolean is_default;        /* takes the one bare part ("local:x" of "local:x,size=1G") */
    gboolean optional;          /* FALSE: the string is in error without it */
    const char *alias;          /* "virtio=MAC" means model=virtio,macaddr=MAC: see .key_alias */
    const char *key_alias;      /* alias entries: the sub-key that records which alias was used */
} PropSpec;

typedef struct PropStr PropStr;

/*
 * Parses @text by @specs (which must outlive the result). Returns a PropStr to free with
 * propstr_free(), or NULL with @error.
 */
PropStr *propstr_parse(const char *text, const PropSpec *specs, GError **error);
void propstr_free(PropStr *props);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PropStr, propstr_free)

/* The value of @name, or NULL when it is not there. Owned by @props. */
const char *propstr_get(const PropStr *props, const char *name);

/* The same with a type: @fallback when it is not there. The parse has checked the type. */
gboolean propstr_get_bool(const PropStr *props, const char *name, gboolean fallback);
gint64 propstr_get_int(const PropStr *props, const char *name, gint64 fallback);
double propstr_get_number(const PropStr *props, const char *name, double fallback);

/* "1/on/yes/true" or "0/off/no/false", any case. */
gboolean propstr_bool(const char *text, gboolean *value, GError **error);

/* Decimal digits only, between @min and @max. */
gboolean propstr_uint(const char *text, guint64 min, guint64 max, guint64 *value, GError **error);

/* ^\d+(\.\d+)?([KMGT](iB)?)?$, powers of 1024, in bytes. */
gboolean propstr_size(const char *text, guint64 *bytes, GError **error);

/* A unicast MAC address in any case; @mac gets it in upper case, as Proxmox writes it. */
gboolean propstr_mac(const char *text, char mac[18], GError **error);

typedef struct {
    char *storage; /* NULL for an absolute path, "none" and "cdrom" */
    char *volume;  /* what follows the first colon; or the path; or "none", "cdrom" */
} VolumeId;

/* "STORAGE:VOLUME", an absolute path, "none" or "cdrom". Free with volume_id_free(). */
VolumeId *volume_id_parse(const char *text, GError **error);
void volume_id_free(VolumeId *id);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeId, volume_id_free)

/*
 * Splits @text into words as Perl's Text::ParseWords::shellwords() does: single quotes literal, a
 * backslash escapes inside double quotes and outside of quotes, nothing is expanded. An
 * unterminated quote is an error (Perl silently yields nothing). Returns a NULL-terminated vector
 * to free with g_strfreev().
 */
char **propstr_shellwords(const char *text, GError **error);

/*
 * Decodes %xx. An error for a bad escape, and for a result that is not UTF-8 or holds a control
 * character. Free with g_free().
 */
char *propstr_url_decode(const char *text, GError **error);

/* Whether @text is UTF-8 without control characters (C0, DEL, C1); @tab allows tabs. */
gboolean propstr_printable(const char *text, gboolean tab);

/*
 * @text in single quotes, fit for a message on a terminal: control characters and invalid UTF-8 as
 * \xNN, cut after 60 bytes. Free with g_free().
 */
char *propstr_quote(const char *text);

#endif
