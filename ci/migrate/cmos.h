/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CMOS_H
#define MICROVM_CMOS_H

#include "trip.h"

/* The RTC of a board with .ports, seen from outside. */

enum { CMOS_SECONDS_ALARM = 1, CMOS_MINUTES_ALARM = 3, CMOS_HOURS_ALARM = 5, CMOS_B = 11 };

guint8 cmos_read(Trip *trip, int side, int index);
void cmos_write(Trip *trip, int side, int index, guint8 value);

/* Checks that it has the host's time. */
void cmos_check_time(Trip *trip, int side);

/* Lets the alarm ring @seconds from now. */
void cmos_set_alarm(Trip *trip, int side, int seconds);

#endif
