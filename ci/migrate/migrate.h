/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_MIGRATE_H
#define MICROVM_MIGRATE_H

/* What the tests here and migrate-init, the guest's side of them, agree on. */

#define HOST_ADDRESS "10.77.0.1"
#define GUEST_ADDRESS "10.77.0.2"
#define TCP_PORT 7
#define VSOCK_PORT 77007

#define MESSAGE_BYTES 64 /* a record on a socket or a port */
#define TCP_BATCH 8      /* records that are on their way at a time */

#define DISK_WORKERS 3
#define DISK_BLOCK 4096
#define DISK_BLOCKS 512 /* of each worker; the next one's follow */

/* Ports of the virtio console. */
#define PING_PORT 1
#define FLOW_PORT 2

enum {
    STREAM_TCP_OUT = 1, /* from the guest */
    STREAM_TCP_IN,
    STREAM_VSOCK_OUT,
    STREAM_VSOCK_IN,
    STREAM_PING, /* from the test, by the port of that name */
    STREAM_PONG,
    STREAM_FLOW, /* from the guest */
    STREAM_MEMORY,
    STREAM_DISK, /* and one more for each further worker */
};

#endif
