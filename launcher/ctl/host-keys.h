/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_HOST_KEYS_H
#define MICROVM_HOST_KEYS_H

#include <glib.h>

/*
 * SSH host keys for a guest that wakes, made by this host's ssh-keygen while QEMU starts. In the
 * guest one takes more instructions than all else until it is ready.
 */
typedef struct HostKeys HostKeys;

/*
 * Begins to make one of each of @types (of char *) in @dir, which nobody else can read. Where there
 * is no ssh-keygen, the guest is left to make them.
 */
HostKeys *host_keys_begin(const char *dir, const GPtrArray *types, const char *comment);

/*
 * Waits for them, not beyond @deadline, and adds a line for each to @text, as microvm-identity
 * takes them: "key", type, the two files in hexadecimal digits. One that is not there is left out.
 */
void host_keys_add(HostKeys *keys, GString *text, gint64 deadline);

/* Ends what still runs, if it is ours. The files have gone, or go with the directory. */
void host_keys_free(HostKeys *keys);

#endif
