/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_PLAN_PARTS_H
#define MICROVM_PLAN_PARTS_H

#include "plan.h"
#include "slots.h"

/* Shared by the plan's own files, plan.c and plan-*.c; nobody else's. */

typedef struct {
    const Config *config;
    const Storages *storages;
    const Host *host;
    const PlanOptions *options;
    Plan *plan;
} PlanContext;

/* Sets @error to "FILE:LINE: key: …"; returns FALSE. @key NULL: "FILE: …". */
gboolean plan_fail(const PlanContext *ctx, const ConfigKey *key, GError **error, const char *format,
                   ...) G_GNUC_PRINTF(4, 5);

/* Sets @error to "FILE:LINE: key: " and what @cause says, which is freed; returns FALSE. */
gboolean plan_fail_because(const PlanContext *ctx, const ConfigKey *key, GError **error,
                           GError *cause);

void plan_warn(const PlanContext *ctx, const ConfigKey *key, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* Parses @key's value by @specs. Errors as plan_fail(). */
PropStr *plan_parse(const PlanContext *ctx, const ConfigKey *key, const PropSpec *specs,
                    GError **error);

/* The boolean @key of the config, or @fallback when there is none. The schema has checked it. */
gboolean plan_bool(const PlanContext *ctx, const char *key, gboolean fallback);

/* The whole number @key of the config, between @min and @max, or @fallback. */
gboolean plan_number(const PlanContext *ctx, const char *key, guint64 min, guint64 max,
                     guint64 fallback, guint64 *value, GError **error);

/* A path in the run directory, by guest id and @suffix. */
char *plan_runtime_path(const Plan *plan, const char *suffix);

/* plan-cpu.c: model, flags, sockets, cores. Needs ->kvm. */
gboolean plan_cpu(const PlanContext *ctx, GError **error);

/* plan-disk.c: one drive key; an empty CD-ROM drive adds nothing. */
gboolean plan_disk(const PlanContext *ctx, const ConfigKey *key, int index, GError **error);

/*
 * Sorts the disks: the boot disk first (by "boot: order=", "bootdisk", or else the lowest scsi or
 * virtio disk), then scsi, virtio, CD-ROMs.
 */
gboolean plan_boot_order(const PlanContext *ctx, gboolean *has_boot_disk, GError **error);

void plan_disk_free(PlanDisk *disk);

/* plan-net.c: one net key. */
gboolean plan_nic(const PlanContext *ctx, const ConfigKey *key, int index, GError **error);

/* Checks --net, and sorts the NICs and gives them their descriptors. */
gboolean plan_net_finish(const PlanContext *ctx, GError **error);

void plan_nic_free(PlanNic *nic);

/* plan-share.c: one virtiofs key. */
gboolean plan_share(const PlanContext *ctx, const ConfigKey *key, int index, GError **error);

void plan_share_free(PlanShare *share);

/* Sorts the shares and gives them, and the vsock device if there is to be one, descriptors. */
void plan_share_finish(const PlanContext *ctx);

void plan_file_free(PlanFile *file);

/* plan-files.c: whom QEMU runs as; a wrong --user is an error. */
gboolean plan_user(const PlanContext *ctx, GError **error);

/* Has what that user may not open opened before; needs all devices, and ->kvm. */
void plan_files(const PlanContext *ctx);

/* plan-warm.c: what a template's guest has, or a clone's. Each does nothing without ->warm. */
void plan_warm_name(const PlanContext *ctx);

/* Gives @disk, whose ->source is not looked up, its image. FALSE: there is no ->warm. */
gboolean plan_warm_disk(const PlanContext *ctx, PlanDisk *disk);

/* The rest, once all keys are read; an error for what cannot be saved or copied. */
gboolean plan_warm(const PlanContext *ctx, GError **error);

/* plan-kernel.c: kernel, initrd, command line, and what args say of them. Needs disks, serials. */
gboolean plan_kernel(const PlanContext *ctx, gboolean has_boot_disk, GError **error);

/* Whether the words of args or of the command line have QEMU's option @name. */
gboolean plan_has_option(const PlanContext *ctx, const char *name);

#endif
