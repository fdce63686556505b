/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_IDENTITY_H
#define MICROVM_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The guest's side of a warm start: static, on nothing but the C library. What main() hears on its
 * port is told at the top of identity.c.
 */

/* The first thing that went wrong; what comes after it is done all the same. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* That, or NULL; and begins anew. */
const char *failed(void);
void forgive(void);

/* Runs @argv, found by PATH, with its output thrown away. Returns its exit status, or 255. */
int run(char *const *argv);

/* The same without waiting; returns the process, or -1. */
int start(char *const *argv);

/* Whether it is known that process @pid has ended within @ms milliseconds; for finish(). */
bool finish_soon(int pid, int ms);

/* Waits for @pid; its exit status, or 255. */
int finish(int pid);

/* At most @size bytes from hexadecimal digits, up to what are none. Returns how many. */
size_t from_hex(const char *hex, unsigned char *bytes, size_t size);

/* Puts @text into @path, which must be there and stays the same file. */
void overwrite(const char *path, const char *text, size_t size);

/*
 * freeze.c: all that the guest has on disks is written, and stays as it is until the thaw, and so
 * do its processes.
 */
void freeze_all(void);
void thaw_all(void);

/* others.c: all other processes stand still, from the saving on until a clone is awake. */
void others_freeze(void);
void others_thaw(void);

/* The same in a process of its own that has its turn when nobody else wants the processor. */
void others_thaw_when_idle(void);

/* services.c: what holds on to an identity is stopped, its keys are removed; and started anew. */
void services_stop(void);
void services_make_keys(void);

/* The kinds of the removed keys, "ed25519,rsa"; and one of them, "TYPE HEX HEX", from elsewhere. */
void services_key_types(char *list, size_t size);
void services_put_key(char *line);

void services_start(void);

/* At most @seconds, a number. Without a service that could tell it is not waited for. */
void services_wait_online(char *seconds);

/*
 * command.c: runs the command that is asked for on @port, of which @size bytes at @rest have been
 * read already, and returns when the host has gone. What has failed before is the command's fault.
 */
void command_serve(int port, const void *rest, size_t size);

/* self.c: each sets one part of the guest's identity. */
void set_random(const unsigned char *bytes, size_t size);
void set_time(long long ns);
void set_hostname(const char *name);
void set_machine_id(const char *id);
void set_mac(const char *from, const char *to);
void add_host(const char *line); /* to /etc/hosts */

/* Whether the kernel has found a VM generation counter, by which it hears of being copied. */
bool has_vmgenid(void);

#endif
