/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_ETHERNET_H
#define MICROVM_ETHERNET_H

/*
 * Gives the last network device of the /sys/class/net that has a device behind it the IPv4 address
 * ADDRESS, and brings it up. Returns its name, empty if there is none.
 */
const char *ethernet_up(const char *address);

#endif
