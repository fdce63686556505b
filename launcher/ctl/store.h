/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_STORE_H
#define MICROVM_STORE_H

#include "ctl.h"

/*
 * Where templates are kept, and the work on them:
 *
 *     STATE/templates/NAME/       a template
 *     STATE/templates/.NAME/      one that is being made
 *     STATE/clones/ID/            the disks of a clone that is waking
 *     STATE/lock                  held while one of the latter two is made or cleared away
 *
 * Who works in such a directory holds a lock on it, which ends with the process, however that ends.
 * What is there without a lock was left by one that was killed, and the next one clears it away.
 */

typedef enum {
    STORE_TEMPLATE,
    STORE_CLONE,
} StoreKind;

/* @request->state_dir, or else /var/lib/microvm for root, and $XDG_STATE_HOME/microvm. */
char *store_dir(const Request *request);

/* STATE/templates/NAME or STATE/clones/ID; to be freed. */
char *store_path(const char *store, StoreKind kind, const char *name);

/* Whether @name can be that of a template: letters, digits and -_. inside, at most 32. */
gboolean store_check_name(const char *name, GError **error);

/* A directory that is worked in. */
typedef struct {
    char *path;
    int fd; /* holds the lock */
} Work;

/*
 * Makes STATE/templates/.NAME or STATE/clones/ID, mode 0700. NULL with @error when somebody else
 * works there. Free with work_free(), which leaves it, or work_remove(), which takes it away.
 */
Work *work_new(const char *store, StoreKind kind, const char *name, GError **error);
void work_free(Work *work);
void work_remove(Work *work);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Work, work_remove)

/*
 * A file in a clone's directory that says that there may be an nftables table of family bridge for
 * it, named by the clone's id, which is to go when QEMU has ended.
 */
#define STORE_RULES "rules"
#define STORE_TABLE "microvm-run-"

/* Ends QEMU, qemu-img and ssh-keygen that work in @dir, where nobody looks after them. */
void store_end_processes(const char *dir);

/* Clears away what was left by processes that were killed, with the QEMUs that they had started. */
void store_sweep(const char *store);

/*
 * Makes @work the template @name, and takes away the one that was there if @replace. It is there
 * whole, or not at all. FALSE with @error; @work is then still there.
 */
gboolean store_publish(const char *store, Work *work, const char *name, gboolean replace,
                       GError **error);

/* Takes template @name away. Clones that run keep what they have open. */
gboolean store_remove(const char *store, const char *name, GError **error);

/* Removes @path with all that is in it; symbolic links are not followed. */
gboolean store_remove_tree(const char *path, GError **error);

/*
 * Does the rest of a verb in a child, whose status becomes the verb's; a signal that ends us ends
 * the child as well, and what it has left is cleared away. Returns TRUE in the child alone. In the
 * parent FALSE with CTL_ERROR_EXIT, or with *@done TRUE and no error when it went well.
 */
gboolean store_supervise(const char *store, Request *request, gboolean *done, GError **error);

#endif
