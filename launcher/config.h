/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CONFIG_H
#define MICROVM_CONFIG_H

#include <glib.h>

/*
 * A Proxmox guest config: lines of "key: value", read as qemu-server's parse_vm_config() reads them
 * (PVE/QemuServer.pm). Only the main section is kept; [PENDING], [special:*] and snapshot sections
 * are parsed, so that their bad lines are warned about, and dropped.
 */

#define CONFIG_ERROR (config_error_quark())
GQuark config_error_quark(void);

typedef enum {
    CONFIG_ERROR_READ,   /* the file cannot be read */
    CONFIG_ERROR_SYNTAX, /* strict mode: a line Proxmox would warn about and drop */
} ConfigErrorCode;

typedef struct ConfigKey ConfigKey;
struct ConfigKey {
    char *key;
    char *value;
    unsigned line;      /* 1-based, in Config.file */
    ConfigKey *earlier; /* the line that this one replaced, for config_filter() */
};

typedef struct {
    char *file;          /* as given, for messages */
    GPtrArray *keys;     /* of ConfigKey *, in the order of the file; each key once (last wins) */
    GHashTable *index;   /* the same by ->key; borrowed */
    char *description;   /* NULL when there is none; UTF-8, URL-decoded */
    GPtrArray *warnings; /* of char *, "FILE:LINE: text", in the order found */
} Config;

/*
 * Reads and parses @file. A line Proxmox would drop becomes an entry of ->warnings; with @strict
 * it is an error instead. Returns a Config to free with config_free(), or NULL with @error set.
 */
Config *config_load(const char *file, gboolean strict, GError **error);

/* The same on @len bytes at @text, which need not end in NUL; @file is only named in messages. */
Config *config_parse(const char *file, const char *text, gsize len, gboolean strict,
                     GError **error);

/* The entry for @key, or NULL. Owned by @config. */
const ConfigKey *config_find(const Config *config, const char *key);

/* The value of @key, or NULL. Owned by @config. */
const char *config_get(const Config *config, const char *key);

/*
 * Gives every line's value to @good, a key's lines from the first to the last, and keeps of each
 * key the last one for which @good returned TRUE; the others, and keys without a good line, go.
 * @good may replace ->value.
 */
void config_filter(Config *config, gboolean (*good)(ConfigKey *key, gpointer data), gpointer data);

/* Adds the warning "FILE:LINE: text" to @config. */
void config_warn(Config *config, unsigned line, const char *format, ...) G_GNUC_PRINTF(3, 4);

/*
 * Reads @file, text of at most 1 MiB (what Proxmox can store) without NUL bytes. Returns it with a
 * NUL behind, its length in @len, to free with g_free(); or NULL with @error, of CONFIG_ERROR.
 */
char *config_read_text(const char *file, gsize *len, GError **error);

void config_free(Config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)

#endif
