/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_ORACLE_H
#define MICROVM_ORACLE_H

#include "plan.h"

/*
 * What no config may do to QEMU's command line, however hostile its values. The command line is
 * read back as QEMU reads it: an option of ours, its value taken apart at single commas or as
 * JSON. An option, key or block driver that the launcher does not write of itself has come out of a
 * value, and so has a path that is not where the storages are.
 */

/* The storages that oracle_run() knows, as the text of a storage.cfg. */
extern const char oracle_storage_cfg[];

typedef enum {
    ORACLE_PLAIN,
    ORACLE_ROOT, /* plain, and QEMU runs as another user */
    ORACLE_PROXMOX,
    ORACLE_HOSTS,
} OracleHost;

/*
 * Reads @len bytes at @text as a config and makes a command line of it for a host of that kind,
 * twice. Aborts when it is not the same, or is as said above. Returns it, or NULL when
 * the config was refused; free with g_strfreev().
 */
char **oracle_run(const char *text, gsize len, OracleHost kind);

#endif
