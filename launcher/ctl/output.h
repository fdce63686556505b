/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_OUTPUT_H
#define MICROVM_OUTPUT_H

#include <json-glib/json-glib.h>

/* Numbers for people, and JSON for programs. */

void output_string(JsonBuilder *builder, const char *name, const char *value);
void output_int(JsonBuilder *builder, const char *name, gint64 value);

/* Prints what @builder has made. */
void output_json(JsonBuilder *builder);
void output_node(JsonNode *node);

/* "512 MiB", "1.5 GiB"; to be freed. */
char *output_bytes(gint64 bytes);

/* Adds @size bytes in hexadecimal digits. */
void output_hex(GString *text, const void *data, gsize size);

/* What output_say() begins with instead of "microvm-ctl"; it must outlive it. */
void output_program(const char *name);

/* "microvm-ctl: …" on standard error, one line whatever a guest's agent has put into it. */
void output_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* @text, which may come from a guest, without what a terminal would act upon; to be freed. */
char *output_clean(const char *text);

#endif
