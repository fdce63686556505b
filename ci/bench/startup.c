/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "startup.h"

#include <string.h>

#include "boot.h"

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

gboolean startup_measure(const Setup *setup, const Parts *parts, Startup *startup, GError **error)
{
    static const char *const valgrind[] = {"valgrind", "--tool=callgrind",
                                           "--callgrind-out-file=/dev/null"};
    g_autoptr(GPtrArray) argv = setup_argv(setup, parts, error);
    g_autofree char *qemu = setup_qemu(setup, parts), *program = g_find_program_in_path("valgrind");
    g_autoptr(Boot) boot = NULL;
    JsonNode *answer;
    const char *at;
    Qmp *qmp;

    if (!program) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    "there is no valgrind; ci/install test installs it");
        return FALSE;
    }
    if (!argv || !count_libraries(qemu, &startup->libraries, error)) {
        return FALSE;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(valgrind); i++) {
        g_ptr_array_insert(argv, (int)i, g_strdup(i ? valgrind[i] : program));
    }
    g_ptr_array_add(argv, g_strdup("-S"));
    boot = boot_start(argv, LIMIT, error);
    qmp = boot ? boot_qmp(boot, error) : NULL;
    answer = qmp ? qmp_execute(qmp, "quit", NULL, boot_deadline(boot), error) : NULL;
    if (!answer) {
        return FALSE;
    }
    json_node_unref(answer);
    if (!boot_wait_end(boot, error)) {
        return FALSE;
    }
    at = strstr(boot_console(boot), "Collected : ");
    if (!at) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "callgrind told no sum: %s",
                    boot_console(boot));
        return FALSE;
    }
    startup->instructions = g_ascii_strtoull(at + strlen("Collected : "), NULL, 10);
    return TRUE;
}
