/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves between QEMUs: of two bases, and from one without our patches. */
#include <string.h>

#include "tests.h"
#include "trip.h"

static const Kind by_unix = {"unix", BY_UNIX, "return-path", NULL};
static const Kind mapped = {"mapped-ram", BY_FILE, "mapped-ram", NULL};

/* Of a guest with the machine type @board->machine: there, back, and there again. */
static void there_and_back(const Board *board, const char *from, const char *to)
{
    Board first = *board, second = *board;
    const Board *const way[] = {&second, &first, &second};
    g_autoptr(Trip) trip = NULL;

    first.qemu = from;
    second.qemu = to;
    trip = trip_new(&first, "raw");
    for (gsize i = 0; i < G_N_ELEMENTS(way); i++) {
        Cost cost;

        trip_move(trip, way[i], i == 2 ? &mapped : &by_unix, &cost);
        g_test_message("to %s by %s: downtime %.0f ms, total %.0f ms", way[i]->qemu,
                       i == 2 ? mapped.name : by_unix.name, cost.downtime_ms, cost.total_ms);
    }
    trip_end(trip);
}

static void test_from_10_0(gconstpointer data)
{
    there_and_back(data, board_qemu, trip_qemu_10_2);
}

static void test_from_10_2(gconstpointer data)
{
    there_and_back(data, trip_qemu_10_2, board_qemu);
}

/*
 * QEMU without our patches calls its only type "microvm", and puts that name into a stream.
 * microvm-9.2, which is that board, takes it.
 */
static void test_stock(gconstpointer data)
{
    const Board *board = data;
    Board stock = *board, ours = *board;
    g_autoptr(Trip) trip = NULL;
    Cost cost;

    stock.qemu = trip_stock_qemu;
    stock.machine = "microvm";
    ours.machine = "microvm-9.2";
    trip = trip_new(&stock, "raw");
    trip_move(trip, &ours, &by_unix, &cost);
    g_test_message("downtime %.0f ms, total %.0f ms", cost.downtime_ms, cost.total_ms);
    trip_end(trip);
}

/* A move that is refused with @why by the target; the guest goes on. */
static void assert_refused(Trip *trip, const Board *board, const char *why)
{
    g_autofree char *uri = trip_uri(trip, &by_unix);
    Boot *target = trip_target(trip, board, &by_unix);

    trip_listen(target, uri);
    trip_send(trip, &by_unix, uri);
    trip_target_failed(target);
    boot_assert(target, strstr(boot_console(target), why));
    boot_assert(trip->boot, !trip_sent(trip, NULL, NULL));
    trip_forget(trip, target);
    trip_check(trip);
}

/* The other types do not: they are other boards, with other interrupts. */
static void test_stock_to_newest(gconstpointer data)
{
    const Board *board = data;
    Board stock = *board, ours = *board;
    g_autoptr(Trip) trip = NULL;

    stock.qemu = trip_stock_qemu;
    stock.machine = "microvm";
    ours.machine = "microvm-10.0";
    trip = trip_new(&stock, "raw");
    assert_refused(trip, &ours, "Machine type received is 'microvm' and local is 'microvm-10.0'");
    trip_end(trip);
}

/* Not back: the stream says microvm-9.2, which is not what such a QEMU calls its type. */
static void test_not_to_stock(void)
{
    static const Board ours = {.machine = "microvm-9.2", .legacy = TRUE};
    const Board stock = {.qemu = trip_stock_qemu, .machine = "microvm", .legacy = TRUE};
    g_autoptr(Trip) trip = trip_new(&ours, "raw");

    assert_refused(trip, &stock, "Machine type received is 'microvm-9.2' and local is 'microvm'");
    trip_end(trip);
}

void add_versions(void)
{
    static const Board of_10_0 = {.machine = "microvm-10.0"};
    static const Board of_10_0_no_acpi = {.machine = "microvm-10.0", .acpi_off = TRUE, .cpus = 2};
    static const Board of_10_0_pcie = {.machine = "microvm-10.0", .pcie = TRUE};
    static const Board of_9_2 = {.machine = "microvm-9.2", .legacy = TRUE};
    static const Board stock = {.legacy = TRUE};
    static const Board stock_no_acpi = {.legacy = TRUE, .acpi_off = TRUE};

    g_test_add_data_func("/migrate/versions/stock/acpi", &stock, test_stock);
    g_test_add_data_func("/migrate/versions/stock/no-acpi", &stock_no_acpi, test_stock);
    g_test_add_data_func("/migrate/versions/stock-to-newest/acpi", &stock, test_stock_to_newest);
    g_test_add_data_func("/migrate/versions/stock-to-newest/no-acpi", &stock_no_acpi,
                         test_stock_to_newest);
    g_test_add_func("/migrate/versions/not-to-stock", test_not_to_stock);
    if (!trip_qemu_10_2) {
        return;
    }
    g_test_add_data_func("/migrate/versions/10.0-10.2-10.0/acpi", &of_10_0, test_from_10_0);
    g_test_add_data_func("/migrate/versions/10.0-10.2-10.0/no-acpi", &of_10_0_no_acpi,
                         test_from_10_0);
    g_test_add_data_func("/migrate/versions/10.0-10.2-10.0/pcie", &of_10_0_pcie, test_from_10_0);
    g_test_add_data_func("/migrate/versions/10.0-10.2-10.0/9.2", &of_9_2, test_from_10_0);
    g_test_add_data_func("/migrate/versions/10.2-10.0-10.2/acpi", &of_10_0, test_from_10_2);
    g_test_add_data_func("/migrate/versions/10.2-10.0-10.2/pcie", &of_10_0_pcie, test_from_10_2);
    g_test_add_data_func("/migrate/versions/10.2-10.0-10.2/9.2", &of_9_2, test_from_10_2);
}
