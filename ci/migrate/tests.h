/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_TESTS_H
#define MICROVM_TESTS_H

/* What each file adds to test-migrate. */
void add_moves(void);
void add_snapshots(void);
void add_state(void);
void add_generation(void);
void add_faults(void);
void add_versions(void);

#endif
