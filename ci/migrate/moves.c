/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Round trips of a busy guest, by each kind of move and on each kind of board. */
#include <glib/gstdio.h>

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

/* There and back @times; a line of the table. */
static void round_trips(Trip *trip, const Board *board, const Kind *kind, int times)
{
    Spread total = {0}, downtime = {0}, silence = {0};
    gint64 bytes = 0;
    guint moves = 0;

    for (; moves < 2 * (guint)times; moves++) {
        Cost cost;

        trip_move(trip, board, kind, &cost);
        spread_add(&total, cost.total_ms, moves);
        spread_add(&downtime, cost.downtime_ms, moves);
        spread_add(&silence, cost.silence_ms, moves);
        bytes += cost.bytes;
    }
    g_test_message("%-20s %5u %6.0f %6.0f %6.0f %7.0f %6.0f %8.0f %6.1f", kind->name, moves,
                   downtime.least, downtime.sum / moves, downtime.most, total.sum / moves,
                   total.most, silence.most, (double)bytes / moves / (1024 * 1024));
}

static void test_moves(gconstpointer data)
{
    const Board *board = data;
    gsize count = trip_full || !board->acpi_off ? G_N_ELEMENTS(kinds) : 1;
    g_autoptr(Trip) trip = trip_new(board, "raw");
    PeersCount after;

    g_test_message("%-20s %5s %20s %14s %8s %6s", "kind", "moves", "downtime min/avg/max",
                   "total avg/max", "silence", "MiB");
    for (gsize i = 0; i < count; i++) {
        round_trips(trip, board, &kinds[i], trip_full ? ROUND_TRIPS_FULL : ROUND_TRIPS_QUICK);
    }
    peers_count(trip->peers, &after);
    trip_end(trip);
    g_test_message("milliseconds; silence is the longest time without a record on the TCP "
                   "connection; %u segments sent again, %u pings asked again",
                   after.retransmits, after.asked_again);
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
}
