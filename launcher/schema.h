/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_SCHEMA_H
#define MICROVM_SCHEMA_H

#include "config.h"
#include "propstr.h"

/*
 * What each config key means on the microvm board: one table, a row a key (or numbered family of
 * keys). The table is the source of docs/config.md.
 */

#define SCHEMA_ERROR (schema_error_quark())
GQuark schema_error_quark(void);

typedef enum {
    SCHEMA_ERROR_INVALID, /* the config has errors; the message holds one line for each */
} SchemaErrorCode;

typedef enum {
    SCHEMA_USED,    /* becomes part of the guest */
    SCHEMA_PROXMOX, /* Proxmox's own side acts on it; accepted, nothing emitted */
    SCHEMA_REFUSED, /* cannot work on this board: ->why says so and what to use instead */
} SchemaFate;

typedef enum {
    SCHEMA_STRING,
    SCHEMA_BOOLEAN,
    SCHEMA_INTEGER,
    SCHEMA_NUMBER,
    SCHEMA_PROPS,    /* a property string, by ->props; one that has a single sub-key is kept bare */
    SCHEMA_CPUSET,   /* "0,5,8-11"; kept without spaces */
    SCHEMA_TEMPLATE, /* a boolean; or the name of a template of microvm-ctl's, beyond Proxmox */
} SchemaType;

/* Whether @value is good; @props is the parsed value of a SCHEMA_PROPS key, else NULL. */
typedef gboolean (*SchemaRule)(const char *value, const PropStr *props, GError **error);

typedef struct {
    const char *key; /* "memory", or the family's name: "net" */
    int last;        /* a family net0..net31 has 31; a single key has -1 */
    SchemaType type;
    gint64 min, max; /* SCHEMA_INTEGER and SCHEMA_NUMBER; both 0: no limits */
    const PropSpec *props;
    SchemaFate fate;
    const char *why; /* SCHEMA_USED: what becomes of it; SCHEMA_REFUSED: the reason, the way out */
    SchemaRule format; /* Proxmox's own rule beyond ->type: a line that breaks it is dropped */
    SchemaRule check;  /* what the board asks beyond that: a value that breaks it is an error */
} SchemaKey;

/* The table, and its number of rows. */
const SchemaKey *schema_table(gsize *n);

/* The row for @key ("net3" finds "net"), or NULL. @index gets 3, or -1; may be NULL. */
const SchemaKey *schema_lookup(const char *key, int *index);

/*
 * Checks every key of @config against the table: unknown keys (a warning, as in Proxmox), types,
 * limits, sub-keys, refused keys. All that is wrong is said at once, one line each, as
 * "FILE:LINE: key: message". Values that Proxmox itself would warn about and drop are dropped from
 * @config with a warning in ->warnings, unless @strict; of a key that stands twice the last good
 * line stays. What stays is brought to one form, as Proxmox does: booleans are "1" or "0", integers
 * have no leading zeros, strings that have no format lose the quotes around them. Values of
 * SCHEMA_USED keys are UTF-8 without control characters (args: tabs). Returns FALSE with @error
 * set.
 */
gboolean schema_check(Config *config, gboolean strict, GError **error);

/* Whether @type is a name of this board: microvm, or microvm-X.Y with Proxmox's revision. */
gboolean schema_is_machine(const char *type);

/* Whether the values of a model in cpu-models.conf, by schema_cpu_model, are what Proxmox takes. */
gboolean schema_check_cpu_model(const PropStr *props, GError **error);

/* The PropSpec tables plan.c parses values with. */
extern const PropSpec schema_memory[];
extern const PropSpec schema_net[];
extern const PropSpec schema_drive[];
extern const PropSpec schema_machine[];
extern const PropSpec schema_cpu[];
extern const PropSpec schema_cpu_model[];
extern const PropSpec schema_agent[];
extern const PropSpec schema_vga[];
extern const PropSpec schema_rng[];
extern const PropSpec schema_boot[];
extern const PropSpec schema_smbios1[];
extern const PropSpec schema_virtiofs[];

#endif
