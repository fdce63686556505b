/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trip.h"

#include <glib/gstdio.h>
#include <string.h>

#include "migrate.h"
#include "record.h"

#define LIMIT 600 /* seconds for all that a QEMU does, on a slow, busy host */
#define TCP_MOVE_PORT 4444
#define MIB (1024 * 1024)
#define DISK_MIB (DISK_WORKERS * DISK_BLOCKS * DISK_BLOCK / MIB)

/* The downtime that the moves aim for, in milliseconds; no limit to the bandwidth that matters. */
#define COMMON_PARAMETERS "\"downtime-limit\":25,\"max-bandwidth\":1073741824"

const char *trip_stock_qemu, *trip_qemu_10_2, *trip_qemu_img;
gboolean trip_full;

static char *file_of(const Trip *trip, const char *name, int side)
{
    return g_strdup_printf("%s/%s%d", trip->files.dir, name, side);
}

static Boot *start(Trip *trip, GPtrArray *argv, int side)
{
    g_autofree char *ping = file_of(trip, "ping", side), *flow = file_of(trip, "flow", side);
    g_autoptr(GError) error = NULL;
    Boot *boot;

    g_unlink(ping);
    g_unlink(flow);
    boot = boot_start(argv, LIMIT, &error);
    g_assert_no_error(error);
    boot_qmp(boot, &error); /* it listens on all sockets before it answers */
    boot_assert_no_error(boot, error);
    peers_attach(trip->peers, side, ping, flow, &error);
    boot_assert_no_error(boot, error);
    return boot;
}

JsonNode *trip_qmp(Boot *boot, const char *command, const char *arguments)
{
    g_autoptr(GError) error = NULL;
    JsonNode *answer;

    answer = qmp_execute(boot_qmp(boot, NULL), command, arguments, boot_deadline(boot), &error);
    boot_assert_no_error(boot, error);
    return answer;
}

void trip_tell(Boot *boot, const char *command, const char *format, ...)
{
    g_autofree char *arguments = NULL;
    va_list args;

    va_start(args, format);
    arguments = g_strdup_vprintf(format, args);
    va_end(args);
    json_node_unref(trip_qmp(boot, command, arguments));
}

char *trip_hmp(Boot *boot, const char *line)
{
    g_autofree char *arguments = g_strdup_printf("{\"command-line\":\"%s\"}", line);
    g_autoptr(JsonNode) answer = trip_qmp(boot, "human-monitor-command", arguments);

    return json_node_dup_string(answer);
}

guint64 trip_port(Trip *trip, int side, const char *format, ...)
{
    g_autofree char *path = file_of(trip, "qtest", side), *command = NULL, *line = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocket) socket = NULL;
    g_autoptr(GIOStream) stream = NULL;
    g_autoptr(GDataInputStream) in = NULL;
    va_list args;

    va_start(args, format);
    command = g_strdup_vprintf(format, args);
    va_end(args);
    socket = g_socket_new_from_fd(unix_connect(path, &error), &error);
    g_assert_no_error(error);
    stream = G_IO_STREAM(g_socket_connection_factory_create_connection(socket));
    in = g_data_input_stream_new(g_io_stream_get_input_stream(stream));
    g_output_stream_printf(g_io_stream_get_output_stream(stream), NULL, NULL, &error, "%s\n",
                           command);
    g_assert_no_error(error);
    line = g_data_input_stream_read_line(in, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(line && g_str_has_prefix(line, "OK"));
    return g_ascii_strtoull(line + 2, NULL, 0);
}

/* Each time with another word, to know the answer from others. Returns that, to be freed. */
static char *command(Trip *trip, const char *what)
{
    g_autofree char *line = g_strdup_printf("%s %u", what, trip->words++);
    g_autofree char *sent = g_strconcat(line, "\n", NULL);
    g_autofree char *done = g_strdup_printf("migrate: done %s\n", line);
    g_autoptr(GError) error = NULL;

    boot_send(trip->boot, sent, &error);
    boot_assert_no_error(trip->boot, error);
    boot_wait_text(trip->boot, done, &error);
    boot_assert_no_error(trip->boot, error);
    return g_steal_pointer(&line);
}

void trip_command(Trip *trip, const char *what)
{
    g_free(command(trip, what));
}

void trip_report(Trip *trip)
{
    g_autofree char *line = command(trip, "report");
    g_autofree char *start = g_strdup_printf("migrate: %s ", line);
    g_auto(GStrv) lines = boot_lines(trip->boot, start), words = NULL;

    words = g_strsplit(lines[0], " ", -1);
    g_hash_table_remove_all(trip->report);
    for (char **word = words; *word; word++) {
        char *value = strchr(*word, '=');

        boot_assert(trip->boot, value);
        *value = '\0';
        g_hash_table_insert(trip->report, g_strdup(*word), g_strdup(value + 1));
    }
}

gint64 trip_value(const Trip *trip, const char *name)
{
    const char *text = g_hash_table_lookup(trip->report, name);

    g_assert_nonnull(text);
    return g_ascii_strtoll(text, NULL, 10);
}

void trip_wait_value(Trip *trip, const char *name, gint64 value)
{
    do {
        trip_report(trip);
    } while (trip_value(trip, name) < value);
}

static void assert_no_faults(Trip *trip)
{
    g_autofree char *fault = peers_fault(trip->peers);

    if (fault) {
        boot_show(trip->boot);
        g_error("the host saw: %s", fault);
    }
    boot_assert(trip->boot, !strstr(boot_console(trip->boot), "migrate: error="));
    boot_assert(trip->boot, trip_value(trip, "errors") == 0);
    boot_assert(trip->boot, trip_value(trip, "reconnects") == trip->reconnects);
}

/* Whether each worker has done more than in @before; the clocks do not go back. */
static gboolean all_further(const Trip *trip, GHashTable *before)
{
    static const char *const steady[] = {"errors", "reconnects", "monotonic", "realtime"};
    GHashTableIter iter;
    gpointer name, value;

    g_hash_table_iter_init(&iter, before);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        gboolean is_steady = FALSE;

        for (gsize i = 0; i < G_N_ELEMENTS(steady); i++) {
            is_steady = is_steady || g_str_equal(name, steady[i]);
        }
        if (!is_steady && trip_value(trip, name) <= g_ascii_strtoll(value, NULL, 10)) {
            return FALSE;
        }
    }
    return TRUE;
}

void trip_check(Trip *trip)
{
    g_autoptr(GHashTable) before = NULL;

    trip_report(trip);
    before = g_steal_pointer(&trip->report);
    trip->report = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    do {
        trip_report(trip);
        assert_no_faults(trip);
    } while (!all_further(trip, before));
    boot_assert(trip->boot,
                trip_value(trip, "monotonic") >
                    g_ascii_strtoll(g_hash_table_lookup(before, "monotonic"), NULL, 10));
}

/* How often the guest's kernel has complained of something since this was asked last. */
static guint complaints(Trip *trip)
{
    g_auto(GStrv) before = boot_lines(trip->boot, "board: error="), after = NULL;

    trip_command(trip, "errors");
    after = boot_lines(trip->boot, "board: error=");
    return g_strv_length(after) - g_strv_length(before);
}

void trip_copy(const char *from, const char *to)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data = NULL;
    gsize size;

    g_file_get_contents(from, &data, &size, &error);
    g_assert_no_error(error);
    g_file_set_contents(to, data, (gssize)size, &error);
    g_assert_no_error(error);
}

static void make_disk(Trip *trip)
{
    g_autofree char *size = g_strdup_printf("%dM", DISK_MIB);
    const char *argv[] = {trip_qemu_img,           "create",         "-q", "-f",
                          trip->files.disk_format, trip->files.disk, size, NULL};
    g_autoptr(GError) error = NULL;
    int status;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                 &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
}

Trip *trip_new(const Board *board, const char *disk_format)
{
    Trip *trip = g_new0(Trip, 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) argv = NULL;

    trip->report = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    trip->files.dir = g_dir_make_tmp("migrate-XXXXXX", &error);
    g_assert_no_error(error);
    trip->files.disk = g_build_filename(trip->files.dir, "disk", NULL);
    trip->files.disk_format = disk_format;
    make_disk(trip);
    trip->peers = peers_new(&error);
    g_assert_no_error(error);
    argv = board_argv(board, &trip->files, trip->side);
    trip->boot = start(trip, argv, trip->side);
    boot_wait_text(trip->boot, "migrate: ready", &error);
    boot_assert_no_error(trip->boot, error);
    peers_ask(trip->peers, trip->side);
    trip_check(trip);
    complaints(trip); /* those of the boot are not in question here */
    return trip;
}

void trip_stop(Trip *trip)
{
    g_autoptr(GError) error = NULL;

    trip_tell(trip->boot, "quit", "{}");
    boot_wait_end(trip->boot, &error);
    boot_assert_no_error(trip->boot, error);
    peers_detach(trip->peers, trip->side);
    g_clear_pointer(&trip->boot, boot_free);
}

void trip_restart(Trip *trip, const Board *board)
{
    g_autoptr(GPtrArray) argv = board_argv(board, &trip->files, trip->side);

    trip_stop(trip);
    trip->boot = start(trip, argv, trip->side);
}

static void remove_files(const char *dir)
{
    g_autoptr(GDir) files = g_dir_open(dir, 0, NULL);
    const char *name;

    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_unlink(path);
    }
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

void trip_free(Trip *trip)
{
    peers_free(trip->peers);
    boot_free(trip->boot);
    remove_files(trip->files.dir);
    g_hash_table_unref(trip->report);
    g_free(trip->files.dir);
    g_free(trip->files.disk);
    g_free(trip);
}

void trip_hold(Trip *trip)
{
    PeersCount count;

    trip_command(trip, "hold");
    trip_report(trip);
    boot_assert(trip->boot,
                peers_wait(trip->peers, (guint64)trip_value(trip, "ping"),
                           (guint64)trip_value(trip, "flow"), boot_deadline(trip->boot)));
    peers_count(trip->peers, &count);
    assert_no_faults(trip);
    boot_assert(trip->boot, (guint64)trip_value(trip, "ping") == count.pong);
    boot_assert(trip->boot, (guint64)trip_value(trip, "flow") == count.flow);
    boot_assert(trip->boot, trip->reconnects || (guint64)trip_value(trip, "tcp") == count.tcp);
}

void trip_go_on(Trip *trip)
{
    trip_command(trip, "go");
    trip_check(trip);
}

/* The disk as raw bytes, to be freed. */
static char *read_disk(const Trip *trip)
{
    g_autofree char *raw = g_build_filename(trip->files.dir, "raw", NULL);
    const char *argv[] = {trip_qemu_img, "convert", "-O", "raw", trip->files.disk, raw, NULL};
    g_autoptr(GError) error = NULL;
    char *data;
    gsize size;
    int status;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                 &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
    g_file_get_contents(raw, &data, &size, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(size, ==, (gsize)DISK_MIB * MIB);
    return data;
}

/* The record that must be in block @index when @done were written; RECORD_NONE before the first. */
static guint64 newest(guint64 done, guint64 index)
{
    return done <= index ? RECORD_NONE : index + (done - 1 - index) / DISK_BLOCKS * DISK_BLOCKS;
}

static guint64 number_of(const char *disk, int worker, guint64 index)
{
    const char *block = disk + ((guint64)worker * DISK_BLOCKS + index) * DISK_BLOCK;

    return record_number(block, DISK_BLOCK, STREAM_DISK + (guint64)worker);
}

void trip_end(Trip *trip)
{
    g_autofree char *disk = NULL;
    g_autoptr(GError) error = NULL;

    trip_hold(trip);
    boot_assert(trip->boot, complaints(trip) == 0);
    boot_send(trip->boot, "end\n", &error);
    boot_assert_no_error(trip->boot, error);
    boot_wait_end(trip->boot, &error);
    boot_assert_no_error(trip->boot, error);
    disk = read_disk(trip);
    for (int worker = 0; worker < DISK_WORKERS; worker++) {
        g_autofree char *name = g_strdup_printf("disk%d", worker);
        guint64 done = (guint64)trip_value(trip, name);

        for (guint64 index = 0; index < DISK_BLOCKS; index++) {
            g_assert_cmpuint(number_of(disk, worker, index), ==, newest(done, index));
        }
    }
}

void trip_check_disk_sound(const Trip *trip)
{
    g_autofree char *disk = read_disk(trip);

    for (int worker = 0; worker < DISK_WORKERS; worker++) {
        g_autofree char *name = g_strdup_printf("disk%d", worker);
        guint64 done = (guint64)trip_value(trip, name), last = done;

        for (guint64 index = 0; index < DISK_BLOCKS; index++) {
            guint64 number = number_of(disk, worker, index);

            last = number == RECORD_NONE ? last : MAX(last, number + 1);
        }
        /* the one that the guest was at may have been written, and its report not */
        for (guint64 index = 0; index < DISK_BLOCKS; index++) {
            g_assert_cmpuint(number_of(disk, worker, index), ==, newest(last, index));
        }
    }
}

char *trip_uri(const Trip *trip, const Kind *kind)
{
    int to = !trip->side;

    switch (kind->by) {
    case BY_UNIX:
        return g_strdup_printf("unix:%s/move%d", trip->files.dir, to);
    case BY_TCP:
        return g_strdup_printf("tcp:127.0.0.1:%d", TCP_MOVE_PORT + to);
    default:
        return g_strdup_printf("file:%s/state", trip->files.dir);
    }
}

/* Sets each capability that any kind has, since those of the move before may be set. */
static void set_up_kind(Boot *boot, const Kind *kind)
{
    static const char *const all[] = {
        "return-path", "xbzrle",          "auto-converge", "multifd",
        "mapped-ram",  "x-ignore-shared", "postcopy-ram",  "pause-before-switchover"};
    g_auto(GStrv) wanted = g_strsplit(kind->capabilities, " ", -1);
    g_autoptr(GString) list = g_string_new("{\"capability\":\"events\",\"state\":true}");

    for (gsize i = 0; i < G_N_ELEMENTS(all); i++) {
        g_string_append_printf(list, ",{\"capability\":\"%s\",\"state\":%s}", all[i],
                               g_strv_contains((const char *const *)wanted, all[i]) ? "true"
                                                                                    : "false");
    }
    trip_tell(boot, "migrate-set-capabilities", "{\"capabilities\":[%s]}", list->str);
    trip_tell(boot, "migrate-set-parameters", "{%s}", COMMON_PARAMETERS);
    trip_tell(boot, "migrate-set-parameters", "{%s}", kind->parameters ? kind->parameters : "");
}

Boot *trip_target(Trip *trip, const Board *board, const Kind *kind)
{
    g_autoptr(GPtrArray) argv = board_argv(board, &trip->files, !trip->side);
    Boot *target;

    boot_add(argv, "-incoming", "defer");
    if (board->stopped) {
        g_ptr_array_add(argv, g_strdup("-S"));
    }
    target = start(trip, argv, !trip->side);
    set_up_kind(target, kind);
    return target;
}

gboolean trip_has_postcopy(Trip *trip)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) answer = NULL;
    const char *arguments = "{\"capabilities\":[{\"capability\":\"postcopy-ram\",\"state\":true}]}";

    answer = qmp_execute(boot_qmp(trip->boot, NULL), "migrate-set-capabilities", arguments,
                         boot_deadline(trip->boot), &error);
    if (error) {
        g_test_message("%s", error->message);
    }
    return answer != NULL;
}

void trip_listen(Boot *target, const char *uri)
{
    trip_tell(target, "migrate-incoming", "{\"uri\":\"%s\"}", uri);
}

/* The status of the next event. */
static char *next_status(Boot *boot)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) event =
        qmp_wait_event(boot_qmp(boot, NULL), "MIGRATION", boot_deadline(boot), &error);

    boot_assert_no_error(boot, error);
    return g_strdup(
        json_object_get_string_member(json_object_get_object_member(event, "data"), "status"));
}

void trip_wait_status(Boot *boot, const char *status)
{
    g_autofree char *now = next_status(boot);

    while (!g_str_equal(now, status)) {
        boot_assert(boot, !g_str_equal(now, "failed"));
        g_free(now);
        now = next_status(boot);
    }
}

void trip_send(Trip *trip, const Kind *kind, const char *uri)
{
    PeersCount count;

    set_up_kind(trip->boot, kind);
    peers_count(trip->peers, &count); /* from here on the silence counts */
    trip_tell(trip->boot, "migrate", "{\"uri\":\"%s\"}", uri);
    trip_wait_status(trip->boot, "setup"); /* what was kept of the move to here is over with it */
}

gboolean trip_sent(Trip *trip, Cost *cost, GError **error)
{
    g_autofree char *status = next_status(trip->boot);
    g_autoptr(JsonNode) answer = NULL;
    JsonObject *told, *ram;

    while (!g_str_equal(status, "completed") && !g_str_equal(status, "failed")) {
        g_free(status);
        status = next_status(trip->boot);
    }
    answer = trip_qmp(trip->boot, "query-migrate", NULL);
    told = json_node_get_object(answer);
    if (g_str_equal(status, "failed")) {
        g_set_error_literal(
            error, G_IO_ERROR, G_IO_ERROR_FAILED,
            json_object_get_string_member_with_default(told, "error-desc", "no reason given"));
        return FALSE;
    }
    if (cost) {
        ram = json_object_get_object_member(told, "ram");
        *cost = (Cost){
            .total_ms = (double)json_object_get_int_member(told, "total-time"),
            .downtime_ms = (double)json_object_get_int_member(told, "downtime"),
            .bytes = json_object_get_int_member(ram, "transferred"),
            .pages_asked = json_object_get_int_member(ram, "postcopy-requests"),
        };
    }
    return TRUE;
}

static void wait_resumed(Boot *target)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) event =
        qmp_wait_event(boot_qmp(target, NULL), "RESUME", boot_deadline(target), &error);

    boot_assert_no_error(target, error);
}

void trip_arrive(Trip *trip, Boot *target)
{
    wait_resumed(target);
    boot_free(trip->boot);
    trip->boot = target;
    trip->side = !trip->side;
    peers_ask(trip->peers, trip->side);
    peers_detach(trip->peers, !trip->side);
}

void trip_forget(Trip *trip, Boot *target)
{
    boot_free(target);
    peers_detach(trip->peers, !trip->side);
}

void trip_target_failed(Boot *target)
{
    g_autoptr(GError) error = NULL;

    boot_wait_end(target, &error);
    boot_assert(target, g_error_matches(error, G_SPAWN_EXIT_ERROR, 1));
}

/* Moves the guest, and waits until it runs there. */
static void carry(Trip *trip, const Board *board, const Kind *kind, Cost *cost)
{
    g_autofree char *uri = trip_uri(trip, kind);
    g_autoptr(GError) error = NULL;
    Boot *target;

    if (kind->by == BY_FILE) {
        trip_send(trip, kind, uri);
        trip_sent(trip, cost, &error);
        boot_assert_no_error(trip->boot, error);
        target = trip_target(trip, board, kind);
        trip_listen(target, uri);
    } else {
        target = trip_target(trip, board, kind);
        trip_listen(target, uri);
        trip_send(trip, kind, uri);
        trip_sent(trip, cost, &error);
        boot_assert_no_error(trip->boot, error);
    }
    trip_arrive(trip, target);
}

void trip_move(Trip *trip, const Board *board, const Kind *kind, Cost *cost)
{
    PeersCount count;

    carry(trip, board, kind, cost);
    trip_check(trip);
    peers_count(trip->peers, &count);
    if (cost) {
        cost->silence_ms = count.longest_gap * 1000;
    }
}

void trip_move_at_rest(Trip *trip, const Board *board, const Kind *kind, Cost *cost)
{
    trip_hold(trip);
    carry(trip, board, kind, cost);
    trip_go_on(trip);
}
