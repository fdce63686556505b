/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_WARM_H
#define MICROVM_WARM_H

#include "guests.h"
#include "options.h"

/* Starting guests ourselves, as the launcher would, and what saving and waking have in common. */

/*
 * The plan for the config @path, with @words of the launcher's command line (NULL-terminated, or
 * NULL) and what @options has already. Warnings are said. NULL with @error; free with plan_free().
 */
Plan *warm_plan(const char *path, char **words, Options *options, GError **error);

/* Begins to start @plan's QEMU in the background; the process to be waited for, or -1. */
int warm_start(const Plan *plan, GError **error);

/* Waits until the QEMU that @process has started takes commands. */
Guest *warm_started(const Plan *plan, int process, GError **error);

/* Ends QEMU at once, and waits for its end. */
void warm_end(const Guest *guest);

/* A guest that is ended when it goes out of scope, unless it was taken away before. */
typedef Guest DoomedGuest;
void doomed_guest_end(DoomedGuest *guest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DoomedGuest, doomed_guest_end)

/* Has the guest's memory, which is a file, left out of the stream that is to come or go. */
gboolean warm_set_capabilities(Qmp *qmp, gint64 deadline, GError **error);

/* Raises or cuts the link of all NICs but those that the config, or the plan, keeps down. */
gboolean warm_set_links(Qmp *qmp, const Plan *plan, gboolean up, gint64 deadline, GError **error);

/* A file for what QEMU is to write to or read from, by descriptor; -1 with @error. */
int warm_open(const char *path, int flags, GError **error);

/* For g_spawn_async() and its like: the program ends if we do. */
void warm_end_with_parent(gpointer data);

/* Runs a program of ours, its words on standard error; it ends if we do. */
gboolean warm_run(const char *const *argv, GError **error);

/* qemu-img beside @qemu, or as PATH has it; to be freed. */
char *warm_qemu_img(const char *qemu);

/* A directory inside of one of ours, which QEMU can read, whoever it is. */
gboolean warm_make_dir(const char *path, GError **error);

/* Gives @path to user @name (NULL: stays ours), with @mode. */
gboolean warm_give(const char *path, const char *name, guint mode, GError **error);

/* Lets user @name's group read @path, which stays root's (NULL: stays as it is). */
gboolean warm_share(const char *path, const char *name, gboolean directory, GError **error);

#endif
