/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_BOOT_H
#define MICROVM_BOOT_H

#include "qmp.h"

/*
 * One boot of a guest under a QEMU that the test starts itself, without the launcher: QEMU is a
 * child that does not outlive the test, its console (and what it says on stderr) is kept, and all
 * waiting ends at one deadline.
 */

typedef struct Boot Boot;

/*
 * The start of a command line for boot_start(): TCG, no default devices, no display, the serial
 * port as console, modern virtio-mmio, and the end of QEMU when the guest resets. Free with
 * g_ptr_array_unref().
 */
GPtrArray *boot_argv(const char *qemu);

/*
 * Lets one thread run all of the guest's CPUs. With one each, TCG now and then runs an instruction
 * that another CPU has patched away, and Linux ends in "Oops: int3".
 */
void boot_one_thread(GPtrArray *argv);

/* Appends @option, then a value made from @format, to @argv. */
void boot_add(GPtrArray *argv, const char *option, const char *format, ...) G_GNUC_PRINTF(3, 4);

/*
 * Appends a read-write raw disk, the file @path, as block device "d@index" on the transport
 * virtio-mmio-bus.@slot.
 */
void boot_add_disk(GPtrArray *argv, int index, const char *path, int slot);

/*
 * Starts QEMU with @argv, which it completes. The boot may take @seconds. Returns a Boot to free
 * with boot_free(), or NULL with @error.
 */
Boot *boot_start(GPtrArray *argv, double seconds, GError **error);

/* Ends QEMU if it still runs, and frees. */
void boot_free(Boot *boot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Boot, boot_free)

/*
 * Waits until the console has shown @text. On FALSE, @error is G_IO_ERROR_TIMED_OUT at the
 * deadline, G_IO_ERROR_CLOSED when QEMU ended without.
 */
gboolean boot_wait_text(Boot *boot, const char *text, GError **error);

/* Sends @text, a line or so, to the guest's serial port. */
gboolean boot_send(Boot *boot, const char *text, GError **error);

/*
 * Waits until QEMU has ended by itself, with status 0. On FALSE, @error is G_IO_ERROR_TIMED_OUT at
 * the deadline, else of G_SPAWN_EXIT_ERROR or G_SPAWN_ERROR.
 */
gboolean boot_wait_end(Boot *boot, GError **error);

/*
 * Does to QEMU what a busy host does: @times it may run for @run_ms milliseconds and is then
 * stopped for @stopped_ms. Returns when that is over, or QEMU has ended.
 */
void boot_stutter(Boot *boot, int times, int run_ms, int stopped_ms);

/* QEMU's monitor, connected when first asked for; it is @boot's. NULL with @error. */
Qmp *boot_qmp(Boot *boot, GError **error);

/* QEMU's process, valid until it has ended. */
GPid boot_pid(const Boot *boot);

/* The deadline, in microseconds of g_get_monotonic_time(). */
gint64 boot_deadline(const Boot *boot);

/* Seconds since the start. */
double boot_seconds(const Boot *boot);

/* What the console has shown up to now, without CR and NUL bytes. Valid until the next call. */
const char *boot_console(const Boot *boot);

/*
 * The rest of each line of the console that begins with @start, in order, and NULL. Free with
 * g_strfreev().
 */
GStrv boot_lines(const Boot *boot, const char *start);

/* Takes what the console has shown by now. The deadline is over with it. */
void boot_drain(Boot *boot);

/* Adds the console to the test's log, for a test that fails: the deadline is over with it. */
void boot_show(Boot *boot);

/* As g_assert_true() and g_assert_no_error(), but a failure shows the console too. */
#define boot_assert(boot, expression)                                        \
    do {                                                                     \
        if (!(expression)) {                                                 \
            boot_show(boot);                                                 \
            g_assertion_message(G_LOG_DOMAIN, __FILE__, __LINE__, G_STRFUNC, \
                                "'" #expression "' should be TRUE");         \
        }                                                                    \
    } while (0)
#define boot_assert_no_error(boot, error) \
    do {                                  \
        if (error) {                      \
            boot_show(boot);              \
        }                                 \
        g_assert_no_error(error);         \
    } while (0)

#endif
