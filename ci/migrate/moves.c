/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Round trips of a busy guest, by each kind of move and on each kind of board. */
#include <glib/gstdio.h>
#include <unistd.h>

#include "tests.h"
#include "trip.h"

#define ROUND_TRIPS_QUICK 1
#define ROUND_TRIPS_FULL 20

/* Proxmox sets xbzrle and auto-converge. */
static const Kind kinds[] = {
    {"unix", BY_UNIX, "return-path", NULL},
    {"tcp", BY_TCP, "return-path xbzrle auto-converge", NULL},
    {"multifd", BY_TCP, "return-path multifd", "\"multifd-channels\":2"},
    {"mapped-ram", BY_FILE, "mapped-ram", NULL},
    {"mapped-ram, multifd", BY_FILE, "mapped-ram multifd", "\"multifd-channels\":2"},
    {"file", BY_FILE, "", NULL},
};

typedef struct {
    double least, most, sum;
} Spread;

static void spread_add(Spread *spread, double value, guint count)
{
    spread->least = count ? MIN(spread->least, value) : value;
    spread->most = MAX(spread->most, value);
    spread->sum += value;
}

/* There and back @times, by @move; a line of the table, which calls that @name. */
static void round_trips(Trip *trip, const Board *board, const Kind *kind, const char *name,
                        void (*move)(Trip *, const Board *, const Kind *, Cost *), int times)
{
    Spread total = {0}, downtime = {0}, silence = {0};
    gint64 bytes = 0;
    guint moves = 0;

    for (; moves < 2 * (guint)times; moves++) {
        Cost cost = {0};

        move(trip, board, kind, &cost);
        spread_add(&total, cost.total_ms, moves);
        spread_add(&downtime, cost.downtime_ms, moves);
        spread_add(&silence, cost.silence_ms, moves);
        bytes += cost.bytes;
    }
    g_test_message("%-20s %5u %6.0f %6.0f %6.0f %7.0f %6.0f %8.0f %6.1f", name, moves,
                   downtime.least, downtime.sum / moves, downtime.most, total.sum / moves,
                   total.most, silence.most, (double)bytes / moves / (1024 * 1024));
}

static void test_moves(gconstpointer data)
{
    const Board *board = data;
    gsize count = trip_full || !board->acpi_off ? G_N_ELEMENTS(kinds) : 1;
    int times = trip_full ? ROUND_TRIPS_FULL : ROUND_TRIPS_QUICK;
    g_autoptr(Trip) trip = trip_new(board, "raw");
    PeersCount after;

    g_test_message("%-20s %5s %20s %14s %8s %6s", "kind", "moves", "downtime min/avg/max",
                   "total avg/max", "silence", "MiB");
    for (gsize i = 0; i < count; i++) {
        round_trips(trip, board, &kinds[i], kinds[i].name, trip_move, times);
    }
    round_trips(trip, board, &kinds[0], "unix, at rest", trip_move_at_rest, times);
    peers_count(trip->peers, &after);
    trip_end(trip);
    g_test_message("milliseconds; silence is the longest time without a record on the TCP "
                   "connection; %u segments sent again, %u pings asked again",
                   after.retransmits, after.asked_again);
}

/* Its memory is a file that both sides have: it does not go over the wire. */
static void test_ignore_shared(void)
{
    static const Kind shared[] = {{"x-ignore-shared", BY_UNIX, "return-path x-ignore-shared", NULL},
                                  {"the same by file", BY_FILE, "x-ignore-shared", NULL}};
    g_autofree char *memory = g_strdup_printf("%s/memory-%08x", g_get_tmp_dir(), g_random_int());
    Board board = {.memory_file = memory};
    g_autoptr(Trip) trip = trip_new(&board, "raw");

    for (gsize i = 0; i < G_N_ELEMENTS(shared); i++) {
        Cost cost;

        trip_move(trip, &board, &shared[i], &cost);
        g_test_message("%s: downtime %.0f ms, total %.0f ms, %" G_GINT64_FORMAT " bytes",
                       shared[i].name, cost.downtime_ms, cost.total_ms, cost.bytes);
        g_assert_cmpint(cost.bytes, <, 1024 * 1024);
    }
    trip_end(trip);
    g_unlink(memory);
}

/* The guest goes on at the other side before its memory is there. */
static void test_postcopy(void)
{
    static const Kind kind = {"postcopy", BY_UNIX, "return-path postcopy-ram",
                              "\"max-bandwidth\":8388608"};
    static const Board board;
    g_autoptr(Trip) trip = trip_new(&board, "raw");
    g_autofree char *uri = trip_uri(trip, &kind);
    g_autoptr(GError) error = NULL;
    Cost cost;
    Boot *target;

    if (!trip_has_postcopy(trip)) {
        g_test_skip("this host has no userfaultfd() that QEMU could use");
        return;
    }
    target = trip_target(trip, &board, &kind);
    trip_listen(target, uri);
    trip_send(trip, &kind, uri);
    trip_wait_status(trip->boot, "active");
    trip_tell(trip->boot, "migrate-start-postcopy", "{}");
    g_assert_true(trip_sent(trip, &cost, &error));
    trip_arrive(trip, target);
    trip_check(trip);
    trip_end(trip);
    g_test_message("downtime %.0f ms, total %.0f ms, %" G_GINT64_FORMAT
                   " pages asked for by the target",
                   cost.downtime_ms, cost.total_ms, cost.pages_asked);
}

/* Connections over vsock do not move, as upstream: the guest makes new ones. */
static void test_vsock(void)
{
    static const Board board = {.vsock = TRUE};
    g_autoptr(Trip) trip = NULL;

    if (g_access("/dev/vhost-vsock", R_OK | W_OK) < 0) {
        g_test_skip("this host has no /dev/vhost-vsock");
        return;
    }
    trip = trip_new(&board, "raw");
    trip_move(trip, &board, &kinds[0], NULL);
    trip_move(trip, &board, &kinds[0], NULL);
    trip_end(trip);
}

void add_moves(void)
{
    for (int i = 0; i < 8; i++) {
        Board *board = g_new0(Board, 1);
        g_autofree char *name = NULL;

        board->acpi_off = i & 1;
        board->legacy = i & 2;
        board->cpus = i & 4 ? 2 : 1;
        name = g_strdup_printf("/migrate/moves/%s/%s/%d-cpu", board->acpi_off ? "no-acpi" : "acpi",
                               board->legacy ? "legacy" : "modern", board->cpus);
        g_test_add_data_func_full(name, board, test_moves, g_free);
    }
    g_test_add_func("/migrate/moves/ignore-shared", test_ignore_shared);
    g_test_add_func("/migrate/moves/postcopy", test_postcopy);
    g_test_add_func("/migrate/moves/vsock", test_vsock);
}
