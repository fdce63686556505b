/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_MATRIX_H
#define MICROVM_MATRIX_H

/* What test-matrix and matrix-init, the guest's side of it, agree on. */

#define DISK_HALF 65536 /* bytes; the test fills the first half, the guest the second */
#define ECHO_BYTES 4096
#define GUEST_ADDRESS "10.0.2.15"
#define ECHO_ADDRESS "10.0.2.100"
#define ECHO_PORT 7
#define SHARE_TAG "matrix"
#define SHARE_FILE "file"

#endif
