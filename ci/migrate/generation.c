/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that is saved, and started again as another: by the generation ID of vmgenid it knows,
 * and makes new random numbers.
 */
#include <glib/gstdio.h>
#include <stdlib.h>

#include "tests.h"
#include "trip.h"

/* What a guest leaves behind is its memory, as a file, and a small one for all else. */
static const Kind saved = {"saved", BY_FILE, "x-ignore-shared", NULL};

static int forks(Trip *trip)
{
    g_auto(GStrv) lines = NULL;

    trip_command(trip, "forks");
    lines = boot_lines(trip->boot, "migrate: forks=");
    return atoi(lines[g_strv_length(lines) - 1]);
}

/* The power button is told of by the same interrupt, after all that came before it. */
static void wait_for_button(Trip *trip)
{
    g_autoptr(GError) error = NULL;

    trip_tell(trip->boot, "system_powerdown", "{}");
    boot_wait_text(trip->boot, "migrate: power button\n", &error);
    boot_assert_no_error(trip->boot, error);
}

static void test_generation(void)
{
    static const char *const one[] = {"-device",
                                      "vmgenid,guid=324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87", NULL};
    static const char *const two[] = {"-device",
                                      "vmgenid,guid=ac18f7e7-0f66-4bd5-9c2a-6b3f3f6b1c52", NULL};
    g_autofree char *memory = g_strdup_printf("%s/memory-%08x", g_get_tmp_dir(), g_random_int());
    Board first = {.memory_file = memory, .more = one},
          second = {.memory_file = memory, .more = two};
    g_autoptr(Trip) trip = trip_new(&first, "raw");
    int before = forks(trip);

    if (before < 0) {
        g_test_skip("the guest kernel has no driver for vmgenid");
        g_unlink(memory);
        return;
    }
    g_assert_cmpint(before, ==, 0);
    trip_move(trip, &second, &saved, NULL);
    while (forks(trip) == 0) {
    }
    trip_move(trip, &second, &saved, NULL); /* the same guest as before */
    wait_for_button(trip);
    g_assert_cmpint(forks(trip), ==, 1);
    trip_end(trip);
    g_unlink(memory);
}

void add_generation(void)
{
    g_test_add_func("/migrate/generation", test_generation);
}
