/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an idle guest takes: of its own 128 MiB (MemTotal less MemAvailable, and what the kernel
 * kept before it counted), and of the host's memory, as /proc/PID/smaps has it. Under TCG, whose
 * buffer of translated code no guest under KVM has: that is counted by itself.
 *
 * The environment names what is tested:
 *   MICROVM_QEMU        qemu-system-x86_64
 *   MICROVM_VMLINUX     the guest kernel
 *   MICROVM_INITRD      the initrd
 *   MICROVM_IDLE_INIT   the built idle-init.c
 *   MICROVM_MODULES     modules.img
 */
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"

#define BOOT_LIMIT 120 /* seconds, on a slow, busy host */
#define MEMORY_MIB 128
#define REPORTING \
    "page_reporting.page_reporting_order=5" /* as microvm-launch says to so small a guest */
#define GUEST_LIMIT_KIB (32 * 1024)         /* of the guest's memory, before and after it counts */
#define HOST_LIMIT_KIB (44 * 1024) /* of the host's; shared files and TCG's code do not count */
#define REPORT_LIMIT 60            /* seconds until the guest has given back what it does not use */

static const char *environment(const char *name)
{
    const char *value = g_getenv(name);

    if (!value) {
        g_printerr("test-idle: %s is not set\n", name);
        exit(2);
    }
    return value;
}

static void run(const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_strconcat(g_getenv("PATH"), ":/usr/sbin:/sbin", NULL);
    g_auto(GStrv) env = g_environ_setenv(g_get_environ(), "PATH", path, TRUE);
    int status;

    g_spawn_sync(NULL, (char **)argv, env,
                 G_SPAWN_SEARCH_PATH_FROM_ENVP | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, NULL,
                 &status, &error);
    g_assert_no_error(error);
    g_spawn_check_wait_status(status, &error);
    g_assert_no_error(error);
}

/* A root of 16 MiB in @dir, with idle-init as its init. Returns its path. */
static char *make_root(const char *dir)
{
    static const char *const names[] = {"dev", "proc", "run", "sys", "sbin"};
    g_autofree char *tree = g_build_filename(dir, "tree", NULL);
    g_autofree char *init = g_build_filename(tree, "sbin", "init", NULL);
    char *root = g_build_filename(dir, "root.img", NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(tree, names[i], NULL);

        g_assert_cmpint(g_mkdir_with_parents(path, 0755), ==, 0);
    }
    run((const char *const[]){"install", "-m", "755", environment("MICROVM_IDLE_INIT"), init,
                              NULL});
    run((const char *const[]){"mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, root, "16M", NULL});
    return root;
}

/* What the launcher gives a small guest. */
static Boot *start(const char *root)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) argv = boot_argv(environment("MICROVM_QEMU"));
    Boot *boot;

    boot_one_thread(argv);
    boot_add(argv, "-M", "microvm,acpi=on,rtc=on,pcie=off,memory-backend=ram");
    boot_add(argv, "-object", "memory-backend-ram,id=ram,size=%dM", MEMORY_MIB);
    boot_add(argv, "-m", "%d", MEMORY_MIB);
    boot_add(argv, "-bios", "qboot.rom");
    boot_add(argv, "-cpu", "max");
    boot_add(argv, "-kernel", "%s", environment("MICROVM_VMLINUX"));
    boot_add(argv, "-initrd", "%s", environment("MICROVM_INITRD"));
    boot_add(argv, "-append", "console=ttyS0 root=/dev/vda rw quiet " REPORTING);
    boot_add_disk(argv, 0, root, 23);
    boot_add(argv, "-netdev", "hubport,id=net0,hubid=0");
    boot_add(argv, "-device", "virtio-net-device,netdev=net0,bus=virtio-mmio-bus.13");
    boot_add(argv, "-device", "virtio-serial-device,max_ports=2,bus=virtio-mmio-bus.1");
    boot_add(argv, "-device", "virtio-balloon-device,free-page-reporting=on,bus=virtio-mmio-bus.2");
    boot_add(argv, "-device", "virtio-rng-device,bus=virtio-mmio-bus.3");
    boot_add(argv, "-drive", "if=none,id=modules,file=%s,format=raw,readonly=on",
             environment("MICROVM_MODULES"));
    boot_add(argv, "-device",
             "virtio-blk-device,drive=modules,bus=virtio-mmio-bus.0,num-queues=1,queue-size=16,"
             "serial=microvm-modules");
    boot = boot_start(argv, BOOT_LIMIT, &error);
    g_assert_no_error(error);
    return boot;
}

typedef struct {
    /*
     * Resident, in KiB: the guest's RAM, TCG's code, what else of QEMU is its own, and what is a
     * file's, the kernel's and the program's, in the host's memory once for all guests.
     */
    gint64 ram, code, own, files;
} Resident;

/* One mapping of smaps, known by its size and its rights. */
static void add_mapping(Resident *sum, const char *rights, gint64 size, gint64 resident,
                        gint64 anonymous)
{
    if (size == MEMORY_MIB * 1024) {
        sum->ram += resident;
    } else if (g_str_has_prefix(rights, "rwx")) {
        sum->code += resident;
    } else {
        sum->own += anonymous;
        sum->files += resident - anonymous;
    }
}

static gboolean value_of(const char *line, const char *key, gint64 *kib)
{
    if (!g_str_has_prefix(line, key)) {
        return FALSE;
    }
    *kib = g_ascii_strtoll(line + strlen(key), NULL, 10);
    return TRUE;
}

static Resident resident_of(Boot *boot)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps", (int)boot_pid(boot));
    g_autofree char *text = NULL, *rights = g_strdup("");
    g_auto(GStrv) lines = NULL;
    Resident sum = {0};
    gint64 size = 0, resident = 0, anonymous = 0;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        const char *blank = strchr(*line, ' ');
        const char *colon = strchr(*line, ':');

        if (value_of(*line, "Size:", &size) || value_of(*line, "Rss:", &resident)) {
            continue;
        } else if (value_of(*line, "Anonymous:", &anonymous)) {
            add_mapping(&sum, rights, size, resident, anonymous);
        } else if (blank && (!colon || colon > blank)) { /* "START-END rwxp OFFSET …" */
            g_free(rights);
            rights = g_strndup(blank + 1, 4);
        }
    }
    return sum;
}

/* The guest looks for what it can give back every two seconds of its own. */
static Resident resident_when_reported(Boot *boot)
{
    gint64 deadline = g_get_monotonic_time() + REPORT_LIMIT * G_USEC_PER_SEC;
    Resident resident = resident_of(boot);

    while (resident.ram + resident.own >= HOST_LIMIT_KIB && g_get_monotonic_time() < deadline) {
        g_usleep(G_USEC_PER_SEC / 10);
        resident = resident_of(boot);
    }
    return resident;
}

static gint64 number_after(Boot *boot, const char *key)
{
    const char *at = strstr(boot_console(boot), key);

    boot_assert(boot, at);
    return g_ascii_strtoll(at + strlen(key), NULL, 10);
}

static void test_idle(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("microvm-idle-XXXXXX", &error);
    g_autofree char *root = make_root(dir);
    gint64 kept, used, total;
    Resident resident;

    g_assert_no_error(error);
    {
        g_autoptr(Boot) boot = start(root);

        boot_wait_text(boot, " KiB", &error); /* the line's end */
        boot_assert_no_error(boot, error);
        total = number_after(boot, "idle: total=");
        used = total - number_after(boot, " available=");
        kept = MEMORY_MIB * 1024 - total;
        resident = resident_when_reported(boot);
        g_test_message(
            "of %d MiB the guest's kernel keeps %.1f MiB for itself before it counts, and "
            "%.1f MiB are in use (MemTotal - MemAvailable)",
            MEMORY_MIB, (double)kept / 1024, (double)used / 1024);
        g_test_message("resident on the host: %.1f MiB of the guest's RAM, %.1f MiB of QEMU's own, "
                       "%.1f MiB of files that all guests share, and %.1f MiB of code that TCG has "
                       "translated",
                       (double)resident.ram / 1024, (double)resident.own / 1024,
                       (double)resident.files / 1024, (double)resident.code / 1024);
        boot_assert(boot, used > 0 && kept > 0 && resident.ram > 0 && resident.own > 0);
        boot_assert(boot, kept + used < GUEST_LIMIT_KIB);
        boot_assert(boot, resident.ram + resident.own < HOST_LIMIT_KIB);
    }
    run((const char *const[]){"rm", "-r", "--", dir, NULL});
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/idle/128", test_idle);
    return g_test_run();
}
