/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_HW_H
#define MICROVM_HW_H

/* What the guest hears of devices that do nothing by themselves. */

/* Says to @fd how many interrupts the RTC has raised: "migrate: alarms=N". */
void hw_show_alarms(int fd);

/*
 * Says to @fd how often the kernel has made new random numbers because it runs as another guest
 * than before: "migrate: forks=N". -1 if it has no driver for vmgenid.
 */
void hw_show_forks(int fd);

/* Starts a process that says "migrate: power button" each time the power button is pressed. */
void hw_watch_button(int fd);

#endif
