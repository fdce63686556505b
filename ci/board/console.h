/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CONSOLE_H
#define MICROVM_CONSOLE_H

/* Opens the serial port, which takes commands as they come and does not show them. */
int console_open(void);

#endif
