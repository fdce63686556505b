/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_SCHEMA_RULES_H
#define MICROVM_SCHEMA_RULES_H

#include "schema.h"

/* Shared by the schema's own files, schema.c and schema-*.c; nobody else's. */

/* Sets @error to the message; returns FALSE. */
gboolean rule_fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Sets @error to "'@value' @text"; returns FALSE. */
gboolean rule_fail_value(GError **error, const char *value, const char *text);

/* Whether @text is one or more of the bytes in @set. */
gboolean rule_all_of(const char *text, const char *set);

/* Whether the whole of @text is what the (ASCII) regular expression @pattern says. */
gboolean rule_matches(const char *text, const char *pattern);

/*
 * SchemaRules. Those named format are Proxmox's own, for SchemaKey.format; those named check are
 * the board's, for SchemaKey.check.
 */
gboolean rule_format_any(const char *value, const PropStr *props, GError **error);
gboolean rule_format_name(const char *value, const PropStr *props, GError **error);
gboolean rule_format_volume(const char *value, const PropStr *props, GError **error);
gboolean rule_format_net(const char *value, const PropStr *props, GError **error);
gboolean rule_check_net(const char *value, const PropStr *props, GError **error);
gboolean rule_format_scsi(const char *value, const PropStr *props, GError **error);
gboolean rule_format_virtio(const char *value, const PropStr *props, GError **error);
gboolean rule_format_ide(const char *value, const PropStr *props, GError **error);
gboolean rule_check_drive(const char *value, const PropStr *props, GError **error);
gboolean rule_check_virtio(const char *value, const PropStr *props, GError **error);
gboolean rule_check_ide2(const char *value, const PropStr *props, GError **error);
gboolean rule_check_machine(const char *value, const PropStr *props, GError **error);
gboolean rule_format_cpu(const char *value, const PropStr *props, GError **error);
gboolean rule_check_agent(const char *value, const PropStr *props, GError **error);
gboolean rule_check_vga(const char *value, const PropStr *props, GError **error);
gboolean rule_check_rng(const char *value, const PropStr *props, GError **error);
gboolean rule_format_boot(const char *value, const PropStr *props, GError **error);
gboolean rule_format_bootdisk(const char *value, const PropStr *props, GError **error);
gboolean rule_format_smbios1(const char *value, const PropStr *props, GError **error);
gboolean rule_check_smbios1(const char *value, const PropStr *props, GError **error);
gboolean rule_format_virtiofs(const char *value, const PropStr *props, GError **error);
gboolean rule_check_virtiofs(const char *value, const PropStr *props, GError **error);
gboolean rule_check_memory(const char *value, const PropStr *props, GError **error);
gboolean rule_check_hugepages(const char *value, const PropStr *props, GError **error);
gboolean rule_check_serial(const char *value, const PropStr *props, GError **error);
gboolean rule_check_arch(const char *value, const PropStr *props, GError **error);
gboolean rule_check_bios(const char *value, const PropStr *props, GError **error);
gboolean rule_check_startdate(const char *value, const PropStr *props, GError **error);
gboolean rule_check_vmgenid(const char *value, const PropStr *props, GError **error);
gboolean rule_check_args(const char *value, const PropStr *props, GError **error);
gboolean rule_check_tablet(const char *value, const PropStr *props, GError **error);

#endif
