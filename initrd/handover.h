/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Makes ROOT_DIR the root, with /dev, /proc and /sys moved into it, frees what the initrd took and
 * executes the root's init: INIT when not NULL, else the kernel's list. It gets ARGV's arguments
 * from 1 on. Returns only on failure, after having said what was tried.
 */
void handover(const char *init, char **argv);
