/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "startup.h"

#include <string.h>
#include <sys/resource.h>

#include "boot.h"

#define RUNS 10
#define LIMIT 300 /* seconds, under valgrind on a slow, busy host */

static gboolean count_libraries(const char *qemu, guint *libraries, GError **error)
{
    const char *argv[] = {"ldd", qemu, NULL};
    g_autofree char *out = NULL;
    int status;

    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL,
                      &status, error) ||
        !g_spawn_check_wait_status(status, error)) {
        return FALSE;
    }
    *libraries = 0;
    for (const char *at = out; (at = strstr(at, "=> /")); at++) {
        ++*libraries;
    }
    return TRUE;
}

/* Starts the machine without its guest, after the words of @prefix, and lets it end. */
static Boot *start_and_quit(const Setup *setup, const Parts *parts, const char *const *prefix,
                            GError **error)
{
    g_autoptr(GPtrArray) argv = setup_start_argv(setup, parts, error);
    g_autoptr(Boot) boot = NULL;
    Qmp *qmp;

    if (!argv) {
        return NULL;
    }
    for (int i = 0; prefix && prefix[i]; i++) {
        g_ptr_array_insert(argv, i, g_strdup(prefix[i]));
    }
    g_ptr_array_add(argv, g_strdup("-S"));
    boot = boot_start(argv, LIMIT, error);
    qmp = boot ? boot_qmp(boot, error) : NULL;
    return qmp && qmp_run(qmp, "quit", NULL, boot_deadline(boot), error) &&
                   boot_wait_end(boot, error)
               ? g_steal_pointer(&boot)
               : NULL;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / G_USEC_PER_SEC;
}

/* Runs it as a user does. Takes the least of page faults and CPU time, which others on it raise. */
static gboolean measure_plain(const Setup *setup, const Parts *parts, Startup *startup,
                              GError **error)
{
    for (int i = 0; i < RUNS; i++) {
        struct rusage before, after;
        g_autoptr(Boot) boot = NULL;
        guint64 faults;
        double cpu;

        getrusage(RUSAGE_CHILDREN, &before);
        boot = start_and_quit(setup, parts, NULL, error);
        if (!boot) {
            return FALSE;
        }
        getrusage(RUSAGE_CHILDREN, &after);
        faults = (guint64)(after.ru_minflt - before.ru_minflt);
        cpu = seconds(after.ru_utime) - seconds(before.ru_utime) + seconds(after.ru_stime) -
              seconds(before.ru_stime);
        startup->faults = i ? MIN(startup->faults, faults) : faults;
        startup->cpu = i ? MIN(startup->cpu, cpu) : cpu;
    }
    return TRUE;
}

gboolean startup_measure(const Setup *setup, const Parts *parts, Startup *startup, GError **error)
{
    g_autofree char *qemu = setup_qemu(setup, parts), *program = g_find_program_in_path("valgrind");
    const char *const valgrind[] = {program, "--tool=callgrind", "--callgrind-out-file=/dev/null",
                                    NULL};
    g_autoptr(Boot) counted = NULL;
    const char *at;

    if (!program) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    "there is no valgrind; ci/install test installs it");
        return FALSE;
    }
    counted = count_libraries(qemu, &startup->libraries, error)
                  ? start_and_quit(setup, parts, valgrind, error)
                  : NULL;
    if (!counted) {
        return FALSE;
    }
    at = strstr(boot_console(counted), "Collected : ");
    if (!at) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "callgrind told no sum: %s",
                    boot_console(counted));
        return FALSE;
    }
    startup->instructions = g_ascii_strtoull(at + strlen("Collected : "), NULL, 10);
    return measure_plain(setup, parts, startup, error);
}
