/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots in a qcow2 disk, and a guest that comes back from a file. */
#include <gio/gio.h>
#include <string.h>
#include <time.h>

#include "cmos.h"
#include "tests.h"
#include "trip.h"

#define NAMES "\"tag\":\"one\",\"vmstate\":\"n0\",\"devices\":[\"n0\"]"

static const Kind to_file = {"file", BY_FILE, "", NULL};

/* What the guest had done at a moment when nothing was on its way. */
typedef struct {
    guint64 pong, flow;
    gint64 memory, monotonic;
} Mark;

static Mark mark(Trip *trip)
{
    trip_hold(trip);
    return (Mark){.pong = (guint64)trip_value(trip, "ping"),
                  .flow = (guint64)trip_value(trip, "flow"),
                  .memory = trip_value(trip, "memory"),
                  .monotonic = trip_value(trip, "monotonic")};
}

/* Runs snapshot-save or snapshot-load, which is a job. */
static void run_job(Boot *boot, const char *command, const char *names)
{
    g_autofree char *status = g_strdup("");
    g_autoptr(JsonNode) jobs = NULL;
    JsonObject *job;

    trip_tell(boot, command, "{\"job-id\":\"%s\",%s}", command, names);
    while (!g_str_equal(status, "concluded")) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonObject) event =
            qmp_wait_event(boot_qmp(boot, NULL), "JOB_STATUS_CHANGE", boot_deadline(boot), &error);

        boot_assert_no_error(boot, error);
        g_free(status);
        status = g_strdup(
            json_object_get_string_member(json_object_get_object_member(event, "data"), "status"));
    }
    jobs = trip_qmp(boot, "query-jobs", NULL);
    job = json_array_get_object_element(json_node_get_array(jobs), 0);
    g_assert_cmpstr(json_object_get_string_member_with_default(job, "error", NULL), ==, NULL);
    trip_tell(boot, "job-dismiss", "{\"id\":\"%s\"}", command);
}

/* For the test too it is @then again. The connections of the guest are over. */
static void go_back(Trip *trip, const Mark *then)
{
    peers_hang_up(trip->peers);
    peers_rewind(trip->peers, then->pong, then->flow);
}

/* The guest, at rest, is where it was @then. It goes on, with new connections. */
static void go_on_from(Trip *trip, const Mark *then)
{
    trip_report(trip);
    boot_assert(trip->boot, trip_value(trip, "memory") == then->memory);
    boot_assert(trip->boot, trip_value(trip, "monotonic") > then->monotonic);
    trip->reconnects = 1;
    trip_command(trip, "go");
    trip_wait_value(trip, "reconnects", trip->reconnects);
    trip_check(trip);
    cmos_check_time(trip, trip->side);
}

static void test_loadvm(gconstpointer data)
{
    const Board *board = data;
    g_autoptr(Trip) trip = trip_new(board, "qcow2");
    Mark then = mark(trip);

    run_job(trip->boot, "snapshot-save", NAMES);
    trip_go_on(trip);
    trip_hold(trip);
    go_back(trip, &then);
    run_job(trip->boot, "snapshot-load", NAMES);
    peers_ask(trip->peers, trip->side);
    go_on_from(trip, &then);
    trip_end(trip);
}

/* The same snapshot in a QEMU that is started with it. */
static void test_start_loadvm(gconstpointer data)
{
    const Board *board = data;
    Board loaded = *board;
    g_autoptr(Trip) trip = trip_new(board, "qcow2");
    Mark then = mark(trip);

    run_job(trip->boot, "snapshot-save", NAMES);
    loaded.more = (const char *const[]){"-loadvm", "one", NULL};
    go_back(trip, &then);
    trip_restart(trip, &loaded);
    peers_ask(trip->peers, trip->side);
    go_on_from(trip, &then);
    trip_end(trip);
}

/* From one file, twice: the guest comes back as it was then, clocks and all, with its disk. */
static void test_file(gconstpointer data)
{
    const Board *board = data;
    g_autoptr(Trip) trip = trip_new(board, "qcow2");
    g_autofree char *uri = trip_uri(trip, &to_file),
                    *copy = g_strconcat(trip->files.disk, ".then", NULL);
    Mark then = mark(trip);
    gint64 later = G_MAXINT64;

    trip_send(trip, &to_file, uri);
    g_assert_true(trip_sent(trip, NULL, NULL));
    trip_copy(trip->files.disk, copy);
    for (int i = 0; i < 2; i++) {
        Boot *target;

        if (i > 0) {
            trip_hold(trip);
            later = trip_value(trip, "monotonic");
            trip_stop(trip);
            trip_copy(copy, trip->files.disk);
        }
        target = trip_target(trip, board, &to_file);
        go_back(trip, &then);
        trip_listen(target, uri);
        trip_arrive(trip, target);
        trip_report(trip);
        boot_assert(trip->boot, trip_value(trip, "monotonic") < later);
        go_on_from(trip, &then);
    }
    trip_end(trip);
}

void add_snapshots(void)
{
    static const Board acpi = {.ports = TRUE};
    static const Board no_acpi = {.acpi_off = TRUE, .legacy = TRUE, .cpus = 2, .ports = TRUE};

    g_test_add_data_func("/migrate/snapshot/acpi", &acpi, test_loadvm);
    g_test_add_data_func("/migrate/snapshot/no-acpi", &no_acpi, test_loadvm);
    g_test_add_data_func("/migrate/snapshot/start", &acpi, test_start_loadvm);
    g_test_add_data_func("/migrate/snapshot/file", &acpi, test_file);
}
