/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-mem on the microvm board, over PCIe: Linux plugs what is asked for, has it as memory, and
 * unplugs it again. Debian's cloud kernel, as ours has no driver for it. Under TCG.
 *
 * The environment names what is tested:
 *   MICROVM_QEMU           qemu-system-x86_64
 *   MICROVM_DEBIAN         a directory with Debian's kernel, of ci/debian-kernel
 *   MICROVM_MATRIX_INITRD  the archive built here (matrix-initrd)
 */
#include <glib/gstdio.h>
#include <stdlib.h>

#include "boot.h"

#define BOOT_LIMIT 240 /* seconds, on a slow, busy host */
#define BOOT_MIB 256
#define PLUG_MIB 256
#define PLUG_KB (PLUG_MIB * 1024)

static const char *environment(const char *name)
{
    const char *value = g_getenv(name);

    if (!value) {
        g_printerr("test-memory: %s is not set\n", name);
        exit(2);
    }
    return value;
}

/* The archive with the /init, and the one with the modules after it, in one file in @dir. */
static char *write_initrd(const char *dir, const char *modules, GError **error)
{
    g_autofree char *path = g_build_filename(dir, "initrd", NULL);
    g_autoptr(GString) both = g_string_new(NULL);
    const char *const parts[] = {environment("MICROVM_MATRIX_INITRD"), modules};

    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *data = NULL;
        gsize size;

        if (!g_file_get_contents(parts[i], &data, &size, error)) {
            return NULL;
        }
        g_string_append_len(both, data, (gssize)size);
    }
    return g_file_set_contents(path, both->str, (gssize)both->len, error) ? g_steal_pointer(&path)
                                                                          : NULL;
}

/* Asks the guest how much memory it has, in kB; @word makes the answer known from others. */
static gint64 guest_memory(Boot *boot, const char *word, GError **error)
{
    g_autofree char *command = g_strdup_printf("memory %s\n", word);
    g_autofree char *done = g_strdup_printf("board: done memory %s", word);
    g_autofree char *start = g_strdup_printf("board: memory %s=", word);
    g_auto(GStrv) lines = NULL;

    if (!boot_send(boot, command, error) || !boot_wait_text(boot, done, error)) {
        return -1;
    }
    lines = boot_lines(boot, start);
    return lines[0] ? g_ascii_strtoll(lines[0], NULL, 10) : -1;
}

/* Asks for @bytes, and waits until the guest has plugged or unplugged as much. */
static gboolean resize(Boot *boot, gint64 bytes, GError **error)
{
    g_autofree char *arguments =
        g_strdup_printf("{\"path\":\"vm0\",\"property\":\"requested-size\","
                        "\"value\":%" G_GINT64_FORMAT "}",
                        bytes);
    Qmp *qmp = boot_qmp(boot, error);
    JsonNode *answer =
        qmp ? qmp_execute(qmp, "qom-set", arguments, boot_deadline(boot), error) : NULL;
    gint64 size = -1;

    if (!answer) {
        return FALSE;
    }
    json_node_unref(answer);
    while (size != bytes) {
        g_autoptr(JsonObject) event =
            qmp_wait_event(qmp, "MEMORY_DEVICE_SIZE_CHANGE", boot_deadline(boot), error);

        if (!event) {
            return FALSE;
        }
        size = json_object_get_int_member(json_object_get_object_member(event, "data"), "size");
    }
    return TRUE;
}

static GPtrArray *command_line(const char *dir, GError **error)
{
    const char *debian = environment("MICROVM_DEBIAN");
    g_autofree char *modules = g_build_filename(debian, "modules.cpio", NULL);
    g_autofree char *vmlinuz = g_build_filename(debian, "vmlinuz", NULL);
    g_autofree char *initrd = write_initrd(dir, modules, error);
    GPtrArray *argv = boot_argv(environment("MICROVM_QEMU"));

    if (!initrd) {
        g_ptr_array_unref(argv);
        return NULL;
    }
    boot_add(argv, "-M", "microvm,pcie=on");
    boot_add(argv, "-bios", "qboot.rom");
    boot_add(argv, "-cpu", "max");
    boot_add(argv, "-m", "%dM,maxmem=2G", BOOT_MIB);
    boot_add(argv, "-object", "memory-backend-ram,id=m0,size=1G");
    boot_add(argv, "-device", "virtio-mem-pci,id=vm0,memdev=m0");
    boot_add(argv, "-kernel", "%s", vmlinuz);
    boot_add(argv, "-initrd", "%s", initrd);
    boot_add(argv, "-append", "console=ttyS0 panic=-1 memhp_default_state=online_movable");
    return argv;
}

static void test_plug(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("microvm-memory-XXXXXX", &error);
    g_autofree char *initrd = g_build_filename(dir, "initrd", NULL);
    g_autoptr(GPtrArray) argv = command_line(dir, &error);
    gint64 before, plugged, after;

    g_assert_no_error(error);
    {
        g_autoptr(Boot) boot = boot_start(argv, BOOT_LIMIT, &error);

        g_assert_no_error(error);
        boot_wait_text(boot, "board: ready", &error);
        boot_assert_no_error(boot, error);
        before = guest_memory(boot, "before", &error);
        boot_assert_no_error(boot, error);

        resize(boot, (gint64)PLUG_MIB << 20, &error);
        boot_assert_no_error(boot, error);
        plugged = guest_memory(boot, "plugged", &error);
        boot_assert_no_error(boot, error);

        resize(boot, 0, &error);
        boot_assert_no_error(boot, error);
        after = guest_memory(boot, "after", &error);
        boot_assert_no_error(boot, error);

        g_test_message("the guest has %" G_GINT64_FORMAT " kB, then %" G_GINT64_FORMAT
                       " kB, then %" G_GINT64_FORMAT " kB",
                       before, plugged, after);
        boot_assert(boot, before > 0 && plugged - before == PLUG_KB && after == before);
    }
    g_unlink(initrd);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memory/plug", test_plug);
    return g_test_run();
}
