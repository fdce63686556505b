/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CONFINE_H
#define MICROVM_CONFINE_H

#include <glib.h>

/* The last steps before QEMU: what it inherits, and the exec itself. */

#define CONFINE_ERROR (confine_error_quark())
GQuark confine_error_quark(void);

typedef enum {
    CONFINE_ERROR_DESCRIPTORS,
    CONFINE_ERROR_AFFINITY,
    CONFINE_ERROR_USER,
    CONFINE_ERROR_EXEC,
} ConfineErrorCode;

/* Opens /dev/null on those of descriptors 0, 1, 2 that are closed, so that no file lands there. */
gboolean confine_standard_descriptors(GError **error);

/*
 * Moves @fds to descriptors 3, 4, … in their order, kept over exec; all others above 2 are closed
 * at exec. @fds must be an array of int.
 */
gboolean confine_descriptors(GArray *fds, GError **error);

/* Keeps this process, and QEMU after it, to the host CPUs of @list: "0,5,8-11". */
gboolean confine_affinity(const char *list, GError **error);

typedef struct {
    char *name;
    guint uid, gid;
    GArray *groups; /* of gid_t */
} ConfineUser;

/*
 * Looks up @name; only root may become another. A @local user has the groups of /etc/group, without
 * asking a directory service, which takes longer than all the rest. Free with confine_user_free().
 */
ConfineUser *confine_user_find(const char *name, gboolean local, GError **error);
void confine_user_free(ConfineUser *user);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ConfineUser, confine_user_free)

/* Acts as @user, until confine_user_back(), to see what that user may. */
gboolean confine_user_try(const ConfineUser *user, GError **error);
gboolean confine_user_back(GError **error);

/* Becomes @user, with that user's groups, and for good. */
gboolean confine_user_become(const ConfineUser *user, GError **error);

/* No program that is executed from here on gets more rights than this process has. */
gboolean confine_no_new_privileges(GError **error);

/*
 * Sets umask 077 and no core dumps, then executes @program with @argv. Returns only on failure,
 * with @error.
 */
void confine_exec(const char *program, char **argv, GError **error);

#endif
