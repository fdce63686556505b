/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "boot.h"

/* What the tests of boot.c and boot-modules.c share: disks, boots of them, and what the guest says.
 */

#define MIB (1024 * 1024)
#define DISK_SIZE (16 * MIB)
#define UUID "11111111-2222-3333-4444-55555555abcd"
#define PARTUUID "aaaaaaaa-bbbb-cccc-dddd-eeeeffff0001"
#define SECTOR 512

/* The files under test, whose paths a change of directory does not harm. */
typedef struct {
    char *qemu, *kernel, *initrd, *modules, *guest_init;
} Parts;

extern Parts parts;

/* Each test works in a directory of its own, so that names of files need no directory. */
typedef struct {
    char *dir;
} Fixture;

void set_up(Fixture *fixture, gconstpointer data);
void tear_down(Fixture *fixture, gconstpointer data);

/* -- disks */

void copy_file(const char *from, const char *to, int mode);

/* Writes @size bytes to @path at @offset. */
void write_at(const char *path, off_t offset, const void *data, gsize size);
void write_noise(const char *path, off_t offset, gsize size);

/* Makes the file @path if need be, and cuts or lengthens it to @size bytes. */
void resize(const char *path, off_t size);

/* A root directory @tree with guest-init as @init; none if NULL. */
void make_tree(const char *tree, const char *init);

typedef struct {
    const char *kind, *label, *uuid, *init;
} Root;
/* A disk at @path that is such a root. Returns @path. */
const char *make_root(const char *path, const Root *root);

/* The root that most tests boot. */
const char *make_disk(const char *path);

/* A disk whose second partition is a root. */
const char *make_partitioned(const char *path);

/* What is in a file, in short; free with g_free(). */
char *digest(const char *path);
void check_unchanged(const char *path, const char *before);

/* -- boots */

typedef struct {
    const char *append;
    const char *disks[4]; /* vda first */
    const char *initrd;   /* NULL: the one that is tested */
    const char *share;    /* a directory, under the tag "share" */
    const char *modules;  /* an image, attached as the launcher does it */
} Spec;
/* Starts QEMU. Free with boot_free(). */
Boot *start(const Spec *spec);

/* Boots, and waits until the guest has ended QEMU by itself. */
Boot *run(const Spec *spec);
void wait_text(Boot *boot, const char *text);
void wait_end(Boot *boot);

/* The answer to a command of QEMU's monitor; free with json_node_unref(). */
JsonNode *monitor(Boot *boot, const char *command, const char *arguments);

/* The reason of QEMU's end, as its monitor tells it. */
void check_shutdown(Boot *boot, const char *reason);

/* -- what the guest says */

#define says(boot, text) boot_assert(boot, strstr(boot_console(boot), text))
#define never_says(boot, text) boot_assert(boot, !strstr(boot_console(boot), text))

/* The values of "guest: KEY=VALUE". */
GStrv facts(const Boot *boot, const char *key);

/* The guest says @key once for each blank-separated word of @values, in this order. */
void check_fact(Boot *boot, const char *key, const char *values);

/*
 * What every root's init may count on: /dev, /proc and /sys mounted once each, / of type @kind from
 * @root, mounted @mode; the console as its three files.
 */
void check_handover(Boot *boot, const char *root, const char *kind, const char *mode);
