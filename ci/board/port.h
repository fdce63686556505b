/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_PORT_H
#define MICROVM_PORT_H

/*
 * Opens the virtio-serial port NUMBER (0: the last there is). Waits for it, as the driver makes it
 * some time after the device is bound.
 */
int port_open(int number);

#endif
