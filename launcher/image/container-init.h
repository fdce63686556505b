/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_CONTAINER_INIT_H
#define MICROVM_CONTAINER_INIT_H

/*
 * What container-init is to run: records, each ended by a NUL byte, that begin with what they are:
 *
 *   arg=WORD    the program, found by PATH, and its arguments, in order
 *   env=NAME=VALUE
 *   cwd=DIRECTORY
 *   uid=NUMBER, gid=NUMBER, group=NUMBER    whom it runs as; supplementary groups
 */
#define CONTAINER_INIT_FILE "/etc/microvm-run"

#endif
