/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CTL_H
#define MICROVM_CTL_H

#include <gio/gio.h>

/* What microvm-ctl's verbs share: the request as read from the command line, and the verbs. */

#define CTL_ERROR (ctl_error_quark())
GQuark ctl_error_quark(void);

typedef enum {
    CTL_ERROR_FAILED, /* exit status 1 */
    CTL_ERROR_USAGE,  /* 2 */
    CTL_ERROR_GUEST,  /* 3: no such guest runs */
    CTL_ERROR_EXIT,   /* the status is in Request.status; nothing is said */
} CtlErrorCode;

typedef struct {
    const char *runtime_dir; /* NULL: all places where guests of this host may be */
    const char *user;        /* whose guests, with the launcher's --user; or NULL */
    const char *id;          /* NULL for verbs without */
    char **words;            /* what follows the id */
    guint n_words;
    double timeout; /* seconds: --timeout, or the verb's own */
    gboolean json, force, log, cancel, list, remove, read_only;
    gboolean replace, drop_caches;
    const char *state_dir;          /* where templates are; NULL: store_dir() */
    const char *net;                /* of a clone; NULL: as its template's */
    gboolean no_limits, foreground; /* of a clone */
    const char *name; /* of a share, or template; NULL: as its directory, or guest, has it */
    guint64 serial;
    char detach_key;
    const char *to, *ssh_config;
    guint64 downtime_ms;
    guint64 bandwidth; /* bytes a second; 0: no limit */
    int status;        /* with CTL_ERROR_EXIT */
} Request;

/* Each does what its name says; FALSE with @error, of CTL_ERROR, QMP_ERROR, G_IO_ERROR or others.
 */
gboolean ctl_list(Request *request, GError **error);
gboolean ctl_status(Request *request, GError **error);
gboolean ctl_console(Request *request, GError **error);
gboolean ctl_agent(Request *request, GError **error);
gboolean ctl_shutdown(Request *request, GError **error);
gboolean ctl_stop(Request *request, GError **error);
gboolean ctl_reset(Request *request, GError **error);
gboolean ctl_pause(Request *request, GError **error);
gboolean ctl_resume(Request *request, GError **error);
gboolean ctl_balloon(Request *request, GError **error);
gboolean ctl_snapshot(Request *request, GError **error);
gboolean ctl_share(Request *request, GError **error);
gboolean ctl_ssh_agent(Request *request, GError **error);
gboolean ctl_migrate(Request *request, GError **error);
gboolean ctl_receive(Request *request, GError **error);
gboolean ctl_template(Request *request, GError **error);
gboolean ctl_clone(Request *request, GError **error);

/* Sets @error of CTL_ERROR; always FALSE. */
gboolean ctl_fail(GError **error, CtlErrorCode code, const char *format, ...) G_GNUC_PRINTF(3, 4);

#endif
