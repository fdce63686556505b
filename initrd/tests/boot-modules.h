/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Adds the tests of the modules' image to those that g_test_run() runs. */
void add_modules_tests(void);
