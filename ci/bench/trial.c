/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trial.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#define LIMIT 300 /* seconds, on a slow, busy host */

/* Without the series Linux may hang over its clocks: docs/bugs/tsc-calibration-tcg.md */
#define STOCK_LIMIT 60
#define STOCK_ATTEMPTS 5

/* QEMU's trace events, which it writes to stderr with the time of day: "PID@SECONDS:EVENT ...". */
#define EVENT_RUNS "vm_state_notify running 1"
#define EVENT_FIRMWARE "fw_cfg_select " /* qboot and SeaBIOS fetch the kernel that way */

void trial_clear(Trial *trial)
{
    g_clear_pointer(&trial->exits, g_hash_table_unref);
}

Boot *trial_start(const Setup *setup, const Parts *parts, const char *accel, GError **error)
{
    g_autoptr(GPtrArray) argv = setup_timed_argv(setup, parts, accel, error);

    if (!argv) {
        return NULL;
    }
    boot_add(argv, "-msg", "timestamp=on");
    boot_add(argv, "-trace", "enable=vm_state_notify");
    boot_add(argv, "-trace", "enable=fw_cfg_select");
    return boot_start(argv, setup->stock ? STOCK_LIMIT : LIMIT, error);
}

/* -- time */

/* The time of day at which @event was traced at @at in the console's @text; 0 if it says none. */
static double event_time(const char *text, const char *at)
{
    const char *line = at;

    while (line > text && line[-1] != '\n' && line[-1] != '@') {
        line--;
    }
    return line > text && line[-1] == '@' ? g_ascii_strtod(line, NULL) : 0;
}

static double first_event(const char *text, const char *event)
{
    const char *at = strstr(text, event);

    return at ? event_time(text, at) : 0;
}

static double last_event(const char *text, const char *event)
{
    const char *at = g_strrstr(text, event);

    return at ? event_time(text, at) : 0;
}

/* Seconds after exec, which was at @exec of the time of day; not a number for an unknown @event. */
static double since(double event, double exec)
{
    return event > 0 ? event - exec : NAN;
}

static gboolean take_times(const Setup *setup, Boot *boot, Trial *trial, GError **error)
{
    double exec = (double)g_get_real_time() / G_USEC_PER_SEC - boot_seconds(boot);

    if (!boot_wait_text(boot, "bench: init", error)) {
        return FALSE;
    }
    trial->values[TRIAL_INIT] = boot_seconds(boot);
    if (!boot_wait_text(boot, "bench: ready", error)) {
        return FALSE;
    }
    trial->values[TRIAL_READY] = boot_seconds(boot);
    trial->values[TRIAL_FIRST] = since(first_event(boot_console(boot), EVENT_RUNS), exec);
    trial->values[TRIAL_KERNEL] =
        setup->q35 ? NAN : since(last_event(boot_console(boot), EVENT_FIRMWARE), exec);
    return TRUE;
}

/* -- what QEMU has used of the host */

static char *read_proc(GPid pid, const char *name, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, name);
    char *text;

    return g_file_get_contents(path, &text, NULL, error) ? text : NULL;
}

/* User and system time, the twelfth and thirteenth number after the name in parentheses. */
static gboolean take_cpu(GPid pid, Trial *trial, GError **error)
{
    g_autofree char *stat = read_proc(pid, "stat", error);
    g_auto(GStrv) words = NULL;

    words = stat && strrchr(stat, ')') ? g_strsplit(strrchr(stat, ')'), " ", -1) : NULL;
    if (!words || g_strv_length(words) < 14) {
        if (stat) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "/proc/PID/stat: %s", stat);
        }
        return FALSE;
    }
    trial->values[TRIAL_CPU] = (g_ascii_strtod(words[12], NULL) + g_ascii_strtod(words[13], NULL)) /
                               (double)sysconf(_SC_CLK_TCK);
    return TRUE;
}

/* The kilobytes that @line tells for @name, "Rss:"; FALSE if it tells of something else. */
static gboolean kib_of(const char *line, const char *name, double *kib)
{
    if (!g_str_has_prefix(line, name)) {
        return FALSE;
    }
    *kib = g_ascii_strtod(line + strlen(name), NULL);
    return TRUE;
}

/* Adds up all mappings; the guest's memory is the one of its size. */
static gboolean take_memory(GPid pid, guint memory_mib, Trial *trial, GError **error)
{
    g_autofree char *smaps = read_proc(pid, "smaps", error);
    g_auto(GStrv) lines = smaps ? g_strsplit(smaps, "\n", -1) : NULL;
    double size = 0, kib;

    for (char **line = lines; line && *line; line++) {
        if (kib_of(*line, "Size:", &kib)) {
            size = kib;
        } else if (kib_of(*line, "Rss:", &kib)) {
            trial->values[TRIAL_RSS] += kib * 1024;
            if (size >= memory_mib * 1024.0) {
                trial->values[TRIAL_RAM] += kib * 1024;
            }
        } else if (kib_of(*line, "Pss:", &kib)) {
            trial->values[TRIAL_PSS] += kib * 1024;
        }
    }
    return lines != NULL;
}

/* -- KVM's own statistics */

static void take_stat(JsonArray *stats, guint i, GHashTable *exits)
{
    JsonObject *stat = json_array_get_object_element(stats, i);
    JsonNode *value = json_object_get_member(stat, "value");
    guint64 *count;

    if (value && JSON_NODE_HOLDS_VALUE(value) && json_node_get_int(value) > 0) {
        count = g_new(guint64, 1);
        *count = (guint64)json_node_get_int(value);
        g_hash_table_insert(exits, g_strdup(json_object_get_string_member(stat, "name")), count);
    }
}

/*
 * Takes what KVM counts of each CPU: all its exits, and some by their kind. QEMU asks KVM for it
 * (KVM_GET_STATS_FD, Linux 5.14); where KVM is not or does not tell there is nothing to take.
 */
static gboolean take_exits(Boot *boot, Trial *trial, GError **error)
{
    Qmp *qmp = boot_qmp(boot, error);
    g_autoptr(JsonNode) node = NULL;
    JsonArray *answer;

    trial->exits = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    node = qmp ? qmp_ask(qmp, "query-stats",
                         "{\"target\": \"vcpu\", \"providers\": [{\"provider\": \"kvm\"}]}",
                         JSON_NODE_ARRAY, boot_deadline(boot), error)
               : NULL;
    if (!node) {
        return FALSE;
    }
    answer = json_node_get_array(node);
    for (guint i = 0; i < MIN(json_array_get_length(answer), 1); i++) {
        JsonArray *stats =
            json_object_get_array_member(json_array_get_object_element(answer, i), "stats");

        for (guint k = 0; k < json_array_get_length(stats); k++) {
            take_stat(stats, k, trial->exits);
        }
    }
    return TRUE;
}

/* -- a boot */

/* Waits until QEMU holds the guest where it would have ended. */
static gboolean wait_stopped(Boot *boot, GError **error)
{
    Qmp *qmp = boot_qmp(boot, error);
    g_autoptr(JsonNode) node =
        qmp ? qmp_ask(qmp, "query-status", NULL, JSON_NODE_OBJECT, boot_deadline(boot), error)
            : NULL;
    JsonObject *event;

    if (!node) {
        return FALSE;
    }
    if (!json_object_get_boolean_member_with_default(json_node_get_object(node), "running", TRUE)) {
        return TRUE;
    }
    event = qmp_wait_event(qmp, "STOP", boot_deadline(boot), error);
    if (event) {
        json_object_unref(event);
    }
    return event != NULL;
}

gboolean trial_take(const Setup *setup, Boot *boot, Trial *trial, GError **error)
{
    *trial = (Trial){.exits = NULL};
    if (take_times(setup, boot, trial, error) && wait_stopped(boot, error) &&
        take_cpu(boot_pid(boot), trial, error) &&
        take_memory(boot_pid(boot), setup_memory_mib(setup), trial, error) &&
        take_exits(boot, trial, error)) {
        return TRUE;
    }
    g_prefix_error(error, "%s: ", setup->name);
    trial_clear(trial);
    return FALSE;
}

gboolean trial_end(Boot *boot, GError **error)
{
    return qmp_run(boot_qmp(boot, error), "quit", NULL, boot_deadline(boot), error) &&
           boot_wait_end(boot, error);
}

gboolean trial_run(const Setup *setup, const Parts *parts, const char *accel, Trial *trial,
                   GError **error)
{
    for (int left = setup->stock ? STOCK_ATTEMPTS : 1;; left--) {
        g_autoptr(Boot) boot = trial_start(setup, parts, accel, error);

        if (boot && trial_take(setup, boot, trial, error)) {
            return trial_end(boot, error);
        }
        if (!boot || left == 1) {
            return FALSE;
        }
        g_clear_error(error);
    }
}
