/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "setup.h"

#include <gio/gio.h>
#include <string.h>

#include "boot.h"
#include "image.h"

#define MEMORY_MIB 256
#define DISK_SLOT 23 /* where the launcher puts the first disk, and the other devices */
#define SILENT_NET                                                                 \
    "hubport,id=net0,hubid=0" /* whoever answered would do so at a time of its own \
                               */

const Setup setups[] = {
    {.name = "mmio", .what = "virtio-mmio, ACPI, qboot, vmlinux", .guarded = TRUE},
    {.name = "launcher", .what = "what microvm-launch starts", .guarded = TRUE, .launcher = TRUE},
    {.name = "no-acpi", .what = "ACPI off", .guarded = TRUE, .no_acpi = TRUE},
    {.name = "pcie", .what = "virtio over PCIe", .guarded = TRUE, .pcie = TRUE},
    {.name = "seabios", .what = "SeaBIOS for qboot", .guarded = TRUE, .seabios = TRUE},
    {.name = "bzimage", .what = "bzImage for vmlinux", .guarded = TRUE, .bzimage = TRUE},
    {.name = "stock", .what = "QEMU without the series", .stock = TRUE},
    {.name = "defconfig", .what = "x86_64_defconfig with virtio and containers", .defconfig = TRUE},
    {.name = "debian", .what = "Debian's cloud kernel and initrd", .debian = TRUE},
    {.name = "q35", .what = "an ordinary q35 machine, SeaBIOS, GRUB", .q35 = TRUE, .pcie = TRUE},
    {.name = NULL},
};

const Setup *setup_find(const char *name)
{
    for (const Setup *setup = setups; setup->name; setup++) {
        if (g_str_equal(setup->name, name)) {
            return setup;
        }
    }
    return NULL;
}

/* -- the parts of a guest */

gboolean parts_prepare(Parts *parts, GError **error)
{
    parts->dir = g_dir_make_tmp("boot-bench-XXXXXX", error);
    if (!parts->dir) {
        return FALSE;
    }
    parts->root = g_build_filename(parts->dir, "root.img", NULL);
    return image_root(parts->root, parts->init, error);
}

void parts_clear(Parts *parts)
{
    if (parts->dir) {
        image_run((const char *const[]){"rm", "-r", "--", parts->dir, NULL}, NULL);
    }
    g_free(parts->out);
    g_free(parts->plugin);
    g_free(parts->init);
    g_free(parts->debian);
    g_free(parts->defconfig);
    g_free(parts->q35);
    g_free(parts->dir);
    g_free(parts->root);
    memset(parts, 0, sizeof(*parts));
}

char *setup_qemu(const Setup *setup, const Parts *parts)
{
    if (setup->q35) {
        return g_strdup(parts->q35);
    }
    return g_build_filename(parts->out,
                            setup->stock ? "stock-qemu-system-x86_64" : "qemu-system-x86_64", NULL);
}

guint setup_memory_mib(const Setup *setup)
{
    return setup->memory_mib ? setup->memory_mib : MEMORY_MIB;
}

gboolean setup_unpacks(const Setup *setup)
{
    return setup->bzimage || setup->debian || setup->q35;
}

char *setup_kernel(const Setup *setup, const Parts *parts)
{
    if (setup->debian) {
        return g_build_filename(parts->debian, "vmlinuz", NULL);
    }
    return g_build_filename(setup->defconfig ? parts->defconfig : parts->out,
                            setup_unpacks(setup) ? "bzImage" : "vmlinux", NULL);
}

char *setup_initrd(const Setup *setup, const Parts *parts)
{
    return setup->debian ? g_build_filename(parts->debian, "initrd.img", NULL)
                         : g_build_filename(parts->out, "initrd", NULL);
}

/* -- the command line */

/* The transports that the usual devices leave. */
static const int free_slots[SETUP_MORE_DISKS] = {22, 21, 20, 19, 18, 17, 16, 15, 14, 12,
                                                 11, 10, 9,  8,  7,  6,  5,  4,  0};

static void add_device(GPtrArray *argv, const Setup *setup, const char *driver, int slot,
                       const char *options)
{
    if (setup->pcie) {
        boot_add(argv, "-device", "%s-pci%s", driver, options);
    } else {
        boot_add(argv, "-device", "%s-device,bus=virtio-mmio-bus.%d%s", driver,
                 /* without ACPI there are eight transports */
                 setup->no_acpi ? slot % 8 : slot, options);
    }
}

static void add_devices(GPtrArray *argv, const Setup *setup, const char *root)
{
    boot_add(argv, "-drive", "if=none,id=root,format=raw,snapshot=on,file=%s", root);
    add_device(argv, setup, "virtio-blk", DISK_SLOT, ",drive=root");
    for (guint i = 0; i < setup->more_disks; i++) {
        g_autofree char *drive = g_strdup_printf(",drive=more%u", i);

        boot_add(argv, "-blockdev", "driver=null-co,read-zeroes=on,size=1048576,node-name=more%u",
                 i);
        add_device(argv, setup, "virtio-blk", free_slots[i], drive);
    }
    boot_add(argv, "-netdev", SILENT_NET);
    add_device(argv, setup, "virtio-net", 13,
               setup->pcie ? ",netdev=net0,romfile=" : ",netdev=net0");
    add_device(argv, setup, "virtio-serial", 1, ",max_ports=2");
    boot_add(argv, "-chardev", "null,id=agent");
    boot_add(argv, "-device", "virtserialport,nr=1,chardev=agent,name=org.qemu.guest_agent.0");
    add_device(argv, setup, "virtio-balloon", 2, "");
    boot_add(argv, "-object", "rng-builtin,id=rng0");
    add_device(argv, setup, "virtio-rng", 3, ",rng=rng0");
}

/* What every boot has that is to give the same counts each time. */
static void add_steadiness(GPtrArray *argv, const Setup *setup)
{
    boot_add(argv, "-icount", "shift=4,sleep=off");
    boot_add(argv, "-seed", "1");
    boot_add(argv, "-rtc", "base=2026-01-01T00:00:00,clock=vm");
    /* a device's own thread would answer at a time of its own */
    boot_add(argv, "-global", "virtio-%s.ioeventfd=off", setup->pcie ? "pci" : "mmio");
}

char *setup_command_line(const Setup *setup)
{
    /* our kernel has no way to power a PC off: it halts, takes that for init's end, and panics */
    const char *own = setup->q35 ? "root=/dev/vda1 panic=-1" : "root=/dev/vda";

    return g_strdup_printf("console=ttyS0 %s rw %snokaslr%s%s", own, setup->loud ? "" : "quiet ",
                           setup->append ? " " : "", setup->append ? setup->append : "");
}

static void add_size(GPtrArray *argv, const Setup *setup)
{
    boot_add(argv, "-cpu", "max");
    boot_add(argv, "-smp", "%u", setup->cpus ? setup->cpus : 1);
    boot_add(argv, "-m", "%u", setup_memory_mib(setup));
}

/* @legacy: whether the machine has PIT and 8259, "on" or "off". */
static char *machine_words(const Setup *setup, const char *legacy)
{
    return g_strdup_printf("microvm,acpi=%s,pcie=%s,rtc=on,pit=%s,pic=%s",
                           setup->no_acpi ? "off" : "on", setup->pcie ? "on" : "off", legacy,
                           legacy);
}

static GPtrArray *microvm_argv(const Setup *setup, const Parts *parts, const char *append)
{
    g_autofree char *qemu = setup_qemu(setup, parts);
    g_autofree char *kernel = setup_kernel(setup, parts);
    g_autofree char *initrd = setup_initrd(setup, parts);
    g_autofree char *machine = machine_words(setup, "on");
    GPtrArray *argv = boot_argv(qemu);

    boot_add(argv, "-M", "%s", machine);
    boot_add(argv, "-bios", "%s", setup->seabios ? "bios-microvm.bin" : "qboot.rom");
    add_size(argv, setup);
    boot_add(argv, "-kernel", "%s", kernel);
    boot_add(argv, "-initrd", "%s", initrd);
    boot_add(argv, "-append", "%s", append);
    add_devices(argv, setup, parts->root);
    return argv;
}

/* Kernel, initrd and command line are on the disk. */
static GPtrArray *q35_argv(const Setup *setup, const Parts *parts, const char *append,
                           GError **error)
{
    g_autofree char *disk = g_build_filename(parts->dir, "q35.img", NULL);
    g_autofree char *kernel = setup_kernel(setup, parts);
    g_autofree char *initrd = setup_initrd(setup, parts);
    GPtrArray *argv;

    if (!image_grub(disk, parts->init, kernel, initrd, append, error)) {
        return NULL;
    }
    argv = boot_argv(parts->q35);
    boot_add(argv, "-M", "q35");
    add_size(argv, setup);
    boot_add(argv, "-device", "VGA");
    add_devices(argv, setup, disk);
    return argv;
}

static gboolean is_there(const Setup *setup, const Parts *parts, GError **error)
{
    if ((!setup->q35 || parts->q35) && (!setup->debian || parts->debian) &&
        (!setup->defconfig || parts->defconfig)) {
        return TRUE;
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                "%s: --%s is wanted; ci/boot-bench gives it", setup->name, setup->name);
    return FALSE;
}

static GPtrArray *own_argv(const Setup *setup, const Parts *parts, const char *append,
                           GError **error)
{
    if (!is_there(setup, parts, error)) {
        return NULL;
    }
    return setup->q35 ? q35_argv(setup, parts, append, error) : microvm_argv(setup, parts, append);
}

/* The value of @option in @argv, which has it. */
static char **value_of(GPtrArray *argv, const char *option)
{
    guint i = 0;

    while (!g_str_equal(argv->pdata[i], option)) {
        i++;
        g_assert(i + 1 < argv->len);
    }
    return (char **)&argv->pdata[i + 1];
}

/* Replaces the value of @option in @argv by @value, which it takes. */
static void replace(GPtrArray *argv, const char *option, char *value)
{
    char **at = value_of(argv, option);

    g_free(*at);
    *at = value;
}

static void remove_option(GPtrArray *argv, const char *option)
{
    guint at = (guint)(value_of(argv, option) - (char **)argv->pdata) - 1;

    g_ptr_array_remove_range(argv, at, 2);
}

/* What a counted boot adds to the launcher's command line for the kernel. */
static void extend_command_line(GPtrArray *argv, const Setup *setup)
{
    char **at = value_of(argv, "-append");
    g_autofree char *old = *at;
    g_auto(GStrv) around = g_strsplit(old, " quiet", 2);

    *at =
        g_strconcat(around[0], setup->loud ? "" : " quiet", around[1] ? around[1] : "", " nokaslr",
                    setup->append ? " " : "", setup->append ? setup->append : "", NULL);
}

/* What microvm-launch says of a config with disk, network card and agent; with the modules. */
static char *launcher_words(const Parts *parts, gsize *size, GError **error)
{
    g_autofree char *config = g_build_filename(parts->dir, "100.conf", NULL);
    g_autofree char *launcher = g_build_filename(parts->out, "microvm-launch", NULL);
    /* written to, so not the image that the others boot */
    g_autofree char *disk = g_build_filename(parts->dir, "launcher.img", NULL);
    g_autofree char *text =
        g_strdup_printf("machine: microvm\nkvm: 0\nmemory: %d\nagent: 1\nserial0: socket\n"
                        "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n"
                        "scsi0: %s,cache=unsafe\n",
                        MEMORY_MIB, disk);
    g_autofree char *qemu = g_build_filename(parts->out, "qemu-system-x86_64", NULL);
    g_autofree char *kernel = g_build_filename(parts->out, "vmlinux", NULL);
    g_autofree char *initrd = g_build_filename(parts->out, "initrd", NULL);
    const char *argv[] = {launcher,        "--print0", "--net",  "user", "--assume", "modules",
                          "--runtime-dir", parts->dir, "--qemu", qemu,   "--kernel", kernel,
                          "--initrd",      initrd,     config,   NULL};
    g_autoptr(GSubprocess) process = NULL;
    g_autoptr(GBytes) out = NULL;

    if (!image_run((const char *const[]){"cp", parts->root, disk, NULL}, error) ||
        !g_file_set_contents(config, text, -1, error)) {
        return NULL;
    }
    process = g_subprocess_newv(argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE, error);
    if (!process || !g_subprocess_communicate(process, NULL, NULL, &out, NULL, error) ||
        !g_spawn_check_wait_status(g_subprocess_get_status(process), error)) {
        return NULL;
    }
    return g_bytes_unref_to_data(g_steal_pointer(&out), size);
}

static GPtrArray *launcher_argv(const Setup *setup, const Parts *parts, GError **error)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *words = NULL;
    gsize size;

    words = launcher_words(parts, &size, error);
    if (!words) {
        g_ptr_array_unref(argv);
        return NULL;
    }
    for (const char *at = words; at < words + size; at += strlen(at) + 1) {
        g_ptr_array_add(argv, g_strdup(at));
    }
    replace(argv, "-accel", g_strdup("tcg,thread=single"));
    replace(argv, "-netdev", g_strdup(SILENT_NET));
    extend_command_line(argv, setup);
    g_ptr_array_add(argv, g_strdup("-no-reboot"));
    return argv;
}

GPtrArray *setup_argv(const Setup *setup, const Parts *parts, GError **error)
{
    g_autofree char *append = setup_command_line(setup);
    GPtrArray *argv = setup->launcher ? launcher_argv(setup, parts, error)
                                      : own_argv(setup, parts, append, error);

    if (argv) {
        if (!setup->launcher) {
            boot_one_thread(argv);
        }
        add_steadiness(argv, setup);
    }
    return argv;
}

GPtrArray *setup_start_argv(const Setup *setup, const Parts *parts, GError **error)
{
    g_autofree char *append = setup_command_line(setup);
    GPtrArray *argv = setup->launcher ? launcher_argv(setup, parts, error)
                                      : own_argv(setup, parts, append, error);

    if (argv && setup->launcher) {
        remove_option(argv,
                      "-sandbox"); /* valgrind knows no seccomp(), so QEMU has no such option */
    }
    for (guint i = 0; argv && i < argv->len; i++) {
        char **word = (char **)&argv->pdata[i];

        if (strstr(*word, ",snapshot=on")) {
            g_autofree char *old = *word;
            g_auto(GStrv) parts_of = g_strsplit(old, ",snapshot=on", 2);

            *word = g_strjoinv("", parts_of);
        }
    }
    return argv;
}

/*
 * What the launcher says to a QEMU on KVM: with ACPI the guest gets on without PIT and 8259, as it
 * has kvmclock. A PC has its timers all the same.
 */
static void use_kvm(GPtrArray *argv, const Setup *setup)
{
    const char *legacy = setup->no_acpi ? "on" : "off";

    replace(argv, "-accel", g_strdup("kvm"));
    replace(argv, "-cpu", g_strdup("host"));
    if (!setup->q35) {
        replace(argv, "-M", machine_words(setup, legacy));
    }
}

GPtrArray *setup_timed_argv(const Setup *setup, const Parts *parts, const char *accel,
                            GError **error)
{
    g_autofree char *usual = setup_command_line(setup);
    g_autofree char *append = g_strconcat(usual, " " SETUP_TIMED_WORD, NULL);
    GPtrArray *argv;

    if (setup->launcher) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    "%s: its console cannot be heard, so it cannot be timed", setup->name);
        return NULL;
    }
    argv = own_argv(setup, parts, append, error);
    if (!argv) {
        return NULL;
    }
    if (g_str_equal(accel, "kvm")) {
        use_kvm(argv, setup);
    } else {
        replace(argv, "-accel", g_strdup(accel));
    }
    boot_add(argv, "-action", "reboot=shutdown,shutdown=pause");
    return argv;
}
