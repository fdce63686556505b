/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "count-run.h"

#include <glib/gstdio.h>

#include "boot.h"

#define BOOT_LIMIT 300 /* seconds, on a slow, busy host */

#define KERNEL "phase=kernel@ffffffff80000000-ffffffffffffffff,"
#define USER "phase=initrd@user,phase=init@mark1,phase=ready@mark2"

/*
 * Where each phase begins, in the plugin's words. A vmlinux is entered where it is loaded, at
 * 16 MiB; a bzImage at 1 MiB, or where GRUB loads it, and it ends in the kernel's own addresses.
 * GRUB begins where a PC loads a boot sector.
 */
static const char *phases(const Setup *setup)
{
    if (setup->q35) {
        return "phase=firmware,phase=loader@7c00-7e00,phase=decompression@1000000-1001000," KERNEL
            USER;
    }
    if (setup_unpacks(setup)) {
        return "phase=firmware,phase=decompression@100000-101000," KERNEL USER;
    }
    return "phase=firmware,phase=kernel@1000000-3000000," USER;
}

/* ",map=FILE" for a kernel of ours: System.map lies where it was built. */
static char *map_option(const Setup *setup, const Parts *parts)
{
    g_autofree char *kernel = setup_kernel(setup, parts);
    g_autofree char *target = g_file_read_link(kernel, NULL);
    g_autofree char *dir = g_path_get_dirname(target ? target : kernel);
    g_autofree char *map = g_build_filename(dir, "System.map", NULL);

    return g_file_test(map, G_FILE_TEST_EXISTS) ? g_strdup_printf(",map=%s,calls=on", map)
                                                : g_strdup("");
}

Counts *count_boot(const Setup *setup, const Parts *parts, GError **error)
{
    g_autoptr(GPtrArray) argv = setup_argv(setup, parts, error);
    g_autofree char *out = g_build_filename(parts->dir, "counts", NULL);
    g_autofree char *map = map_option(setup, parts);
    g_autoptr(Boot) boot = NULL;
    Counts *counts = NULL;

    if (!argv) {
        return NULL;
    }
    g_remove(out);
    boot_add(argv, "-plugin", "%s,out=%s%s,%s", parts->plugin, out, map, phases(setup));
    boot = boot_start(argv, BOOT_LIMIT, error);
    if (boot && boot_wait_end(boot, error)) {
        counts = counts_load(out, error);
    }
    if (!counts) {
        g_prefix_error(error, "%s: ", setup->name);
        if (boot) {
            g_printerr("%s\n", boot_console(boot));
        }
    }
    return counts;
}
