/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmos.h"

#include <time.h>

#define INDEX_PORT 0x70
#define DATA_PORT 0x71
#define SECONDS 0
#define MINUTES 2
#define HOURS 4
#define DAY 7
#define MONTH 8
#define YEAR 9
#define ALARM_ENABLED 0x20
#define TOLERANCE 2 /* seconds: it has whole ones, and may be read between two */

guint8 cmos_read(Trip *trip, int side, int index)
{
    trip_port(trip, side, "outb 0x%x 0x%x", INDEX_PORT, index);
    return (guint8)trip_port(trip, side, "inb 0x%x", DATA_PORT);
}

void cmos_write(Trip *trip, int side, int index, guint8 value)
{
    trip_port(trip, side, "outb 0x%x 0x%x", INDEX_PORT, index);
    trip_port(trip, side, "outb 0x%x 0x%x", DATA_PORT, value);
}

/* Linux leaves the RTC as it is after reset: BCD, 24 hours. */
static int read_bcd(Trip *trip, int side, int index)
{
    guint8 value = cmos_read(trip, side, index);

    return (value >> 4) * 10 + (value & 15);
}

static void write_bcd(Trip *trip, int side, int index, int value)
{
    cmos_write(trip, side, index, (guint8)(value / 10 << 4 | value % 10));
}

static gint64 read_time(Trip *trip, int side)
{
    struct tm tm = {.tm_sec = read_bcd(trip, side, SECONDS),
                    .tm_min = read_bcd(trip, side, MINUTES),
                    .tm_hour = read_bcd(trip, side, HOURS),
                    .tm_mday = read_bcd(trip, side, DAY),
                    .tm_mon = read_bcd(trip, side, MONTH) - 1,
                    .tm_year = read_bcd(trip, side, YEAR) + 100};

    return timegm(&tm);
}

void cmos_check_time(Trip *trip, int side)
{
    gint64 before, now, after;

    do { /* a minute or more may have begun while it was read */
        before = time(NULL);
        now = read_time(trip, side);
        after = time(NULL);
    } while (after / 60 != (before - TOLERANCE) / 60);
    g_assert_cmpint(now, >=, before - TOLERANCE);
    g_assert_cmpint(now, <=, after + TOLERANCE);
}

void cmos_set_alarm(Trip *trip, int side, int seconds)
{
    time_t at = (time_t)read_time(trip, side) + seconds;
    struct tm tm;

    gmtime_r(&at, &tm);
    write_bcd(trip, side, CMOS_SECONDS_ALARM, tm.tm_sec);
    write_bcd(trip, side, CMOS_MINUTES_ALARM, tm.tm_min);
    write_bcd(trip, side, CMOS_HOURS_ALARM, tm.tm_hour);
    cmos_write(trip, side, CMOS_B, cmos_read(trip, side, CMOS_B) | ALARM_ENABLED);
}
