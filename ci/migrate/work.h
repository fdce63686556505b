/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_WORK_H
#define MICROVM_WORK_H

#include <stdint.h>

/*
 * What keeps the guest busy while it moves: workers, each a process. They say what is wrong on the
 * console, as "migrate: error=WORKER: TEXT".
 */

/* What a worker has done, for all processes to see. */
typedef struct {
    volatile uint64_t done;       /* records written or exchanged, and checked */
    volatile uint64_t reconnects; /* of its connection */
    volatile uint64_t errors;
    volatile int at_rest;
} Tally;

typedef struct {
    const char *name;
    const Tally *tally;
} Worker;

/*
 * Starts them all, that for vsock only if @vsock. @fd is the console. Returns the workers, whose
 * number is in @count, or NULL if there is no memory.
 */
const Worker *work_start(int fd, int vsock, int *count);

/* Lets each worker finish the record it is at, and waits until all have; or lets them go on. */
void work_hold(void);
void work_go_on(void);

#endif
