/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Boots Linux on the microvm board, under TCG, for what qtest cannot show. Where a patch of ours
 * mends a fault, QEMU without the patches must still have it: else the test would prove nothing.
 *
 * The environment names what is tested:
 *   MICROVM_QEMU          qemu-system-x86_64
 *   MICROVM_STOCK_QEMU    the same without our patches
 *   MICROVM_VMLINUX       the guest kernel, as ELF with a PVH entry
 *   MICROVM_BZIMAGE       the same kernel, as bzImage
 *   MICROVM_BOARD_INITRD  the archive built here (board-initrd)
 *   MICROVM_FULL          1: more sizes of the initrd
 *   MICROVM_BOOTS         how often to boot with all cores busy; 5 if not set, 100 in full
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "boot.h"

#define DISK_BYTES (1024 * 1024) /* as many as board-init reads */
#define PAGE 4096
#define BOOT_LIMIT 120 /* seconds, on a slow, busy host */
#define HANG_FACTOR 5  /* what takes so many times as long as a good boot has hung */
#define QBOOT "qboot.rom"
#define SEABIOS "bios-microvm.bin"

/*
 * QEMU without our patches gets the frequency of the TSC from here, so that it fails by nothing but
 * the fault in question. Any will do: the guest's clock goes wrong, but it goes.
 */
#define TSC_GIVEN "tsc_early_khz=2000000 tsc=reliable"

static const char *qemu, *stock_qemu, *vmlinux, *bzimage, *board_initrd;
static gboolean full;
static int busy_boots;

typedef struct {
    const char *qemu, *machine, *firmware; /* firmware NULL: QEMU's choice */
    const char *kernel, *initrd, *append;
    int memory, cpus;
} Guest;

typedef struct {
    char *dir;
    GPtrArray *disks;  /* paths */
    GPtrArray *report; /* board-init's "bytes=... sum=..." of each */
} Fixture;

static GPtrArray *guest_argv(const Guest *guest)
{
    GPtrArray *argv = boot_argv(guest->qemu);

    boot_add(argv, "-M", "microvm,%s", guest->machine);
    boot_add(argv, "-m", "%d", guest->memory ? guest->memory : 256);
    boot_add(argv, "-smp", "%d", guest->cpus ? guest->cpus : 1);
    boot_add(argv, "-cpu", "max");
    if (guest->firmware) {
        boot_add(argv, "-bios", "%s", guest->firmware);
    }
    boot_add(argv, "-kernel", "%s", guest->kernel);
    boot_add(argv, "-initrd", "%s", guest->initrd ? guest->initrd : board_initrd);
    boot_add(argv, "-append", "console=ttyS0 panic=-1 %s", guest->append);
    return argv;
}

/* A disk of random bytes. */
static void add_disk(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autofree guint32 *data = g_malloc(DISK_BYTES);
    const guint8 *bytes = (guint8 *)data;
    char *path = g_strdup_printf("%s/disk%u", fixture->dir, fixture->disks->len);
    gulong sum = 0;

    for (gsize i = 0; i < DISK_BYTES / sizeof(*data); i++) {
        data[i] = g_random_int();
    }
    for (gsize i = 0; i < DISK_BYTES; i++) {
        sum += bytes[i];
    }
    g_file_set_contents(path, (char *)data, DISK_BYTES, &error);
    g_assert_no_error(error);
    g_ptr_array_add(fixture->disks, path);
    g_ptr_array_add(fixture->report, g_strdup_printf("bytes=%d sum=%lu", DISK_BYTES, sum));
}

static void set_up(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->dir = g_dir_make_tmp("board-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->disks = g_ptr_array_new_with_free_func(g_free);
    fixture->report = g_ptr_array_new_with_free_func(g_free);
}

static void tear_down(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *initrd = g_build_filename(fixture->dir, "initrd", NULL);

    g_unlink(initrd);
    for (guint i = 0; i < fixture->disks->len; i++) {
        g_unlink(fixture->disks->pdata[i]);
    }
    g_assert_cmpint(g_rmdir(fixture->dir), ==, 0);
    g_free(fixture->dir);
    g_ptr_array_unref(fixture->disks);
    g_ptr_array_unref(fixture->report);
}

/* Puts the fixture's disk number @index, made when first asked for, on @slot. */
static void plug_disk(Fixture *fixture, GPtrArray *argv, guint index, int slot)
{
    if (fixture->disks->len == index) {
        add_disk(fixture);
    }
    boot_add_disk(argv, (int)index, fixture->disks->pdata[index], slot);
}

static void plug(GPtrArray *argv, const char *device, int slot)
{
    boot_add(argv, "-device", "%s,bus=virtio-mmio-bus.%d", device, slot);
}

/* Two disks, an rng, a balloon and a console, on the last places, as QEMU gives them out. */
static void plug_five(Fixture *fixture, GPtrArray *argv)
{
    plug_disk(fixture, argv, 0, 23);
    plug_disk(fixture, argv, 1, 22);
    plug(argv, "virtio-rng-device", 21);
    plug(argv, "virtio-balloon-device", 20);
    plug(argv, "virtio-serial-device,max_ports=1", 19);
}

static Boot *start(GPtrArray *argv, double seconds)
{
    g_autoptr(GError) error = NULL;
    Boot *boot = boot_start(argv, seconds, &error);

    g_assert_no_error(error);
    return boot;
}

/* Starts @argv, takes it over, and waits until the guest is done. */
static Boot *run_to_end(GPtrArray *argv)
{
    g_autoptr(GPtrArray) owned = argv;
    g_autoptr(GError) error = NULL;
    Boot *boot = start(owned, BOOT_LIMIT);

    boot_wait_end(boot, &error);
    boot_assert_no_error(boot, error);
    boot_assert(boot, strstr(boot_console(boot), "\nboard: end\n"));
    return boot;
}

/* Each disk has been read, whatever the order of their names. */
static void assert_disks(const Fixture *fixture, Boot *boot)
{
    g_auto(GStrv) lines = boot_lines(boot, "board: disk=");

    boot_assert(boot, g_strv_length(lines) == fixture->disks->len);
    for (guint i = 0; i < fixture->report->len; i++) {
        guint found = 0;

        for (char **line = lines; *line; line++) {
            found += g_str_has_suffix(*line, fixture->report->pdata[i]);
        }
        boot_assert(boot, found == 1);
    }
}

/* @count devices are there, all modern, all bound, and the disks can be read. */
static void assert_all_work(const Fixture *fixture, Boot *boot, guint count)
{
    g_auto(GStrv) lines = boot_lines(boot, "board: device=");

    boot_assert(boot, g_strv_length(lines) == count);
    for (char **line = lines; *line; line++) {
        boot_assert(boot, !strstr(*line, " driver=none "));
        boot_assert(boot, strstr(*line, " modern=1 "));
    }
    assert_disks(fixture, boot);
}

/* The archive with zeroes after it, which the kernel skips, so that its size is @tail over a page.
 */
static char *padded_initrd(const Fixture *fixture, gsize tail)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data = NULL;
    char *path = g_build_filename(fixture->dir, "initrd", NULL);
    gsize size;

    g_file_get_contents(board_initrd, &data, &size, &error);
    g_assert_no_error(error);
    g_file_set_contents(path, data, (gssize)size, &error);
    g_assert_no_error(error);
    g_assert_cmpint(truncate(path, (off_t)((size / PAGE + 1) * PAGE + tail)), ==, 0);
    return path;
}

typedef struct {
    const char **kernel;
    int memory;
} InitrdCase;

/* With its 8259, QEMU without our patches would fail for the reason that test_seabios() has. */
static GPtrArray *initrd_argv(Fixture *fixture, const InitrdCase *c, const char *which, gsize tail)
{
    g_autofree char *initrd = padded_initrd(fixture, tail);
    Guest guest = {.qemu = which,
                   .machine = which == stock_qemu ? "acpi=on,pic=off" : "acpi=on",
                   .kernel = *c->kernel,
                   .initrd = initrd,
                   .memory = c->memory,
                   .append = TSC_GIVEN};
    GPtrArray *argv = guest_argv(&guest);

    plug_five(fixture, argv);
    return argv;
}

/* The tables are as good as gone where the last of them, the XSDT, is overwritten. */
static void test_initrd(Fixture *fixture, gconstpointer data)
{
    static const gsize tails[] = {4090, 0,    2000, 3800, 1,    700, 1900,
                                  3000, 3200, 3500, 3700, 4050, 4095};
    gsize count = full ? G_N_ELEMENTS(tails) : 4;
    g_autoptr(Boot) stock = run_to_end(initrd_argv(fixture, data, stock_qemu, 4090));
    g_auto(GStrv) devices = boot_lines(stock, "board: device=");

    boot_assert(stock, g_strv_length(devices) == 0);
    for (gsize i = 0; i < count; i++) {
        g_autoptr(Boot) boot = run_to_end(initrd_argv(fixture, data, qemu, tails[i]));

        assert_all_work(fixture, boot, 5);
        g_test_message("initrd of %zu bytes over a page: %.1f s", tails[i], boot_seconds(boot));
    }
}

/* Under icount the guest's time is that of its instructions: one boot is as good as any other. */
static GPtrArray *seabios_argv(Fixture *fixture, const char *which, const char *machine)
{
    Guest guest = {.qemu = which,
                   .machine = machine,
                   .firmware = SEABIOS,
                   .kernel = vmlinux,
                   .append = "nokaslr " TSC_GIVEN};
    GPtrArray *argv = guest_argv(&guest);

    boot_add(argv, "-icount", "shift=1,sleep=off");
    plug_disk(fixture, argv, 0, 23);
    return argv;
}

/*
 * SeaBIOS, which QEMU takes with ACPI, leaves an 8259 as it is after reset: nothing masked, vectors
 * from 0. A tick of the PIT that comes between Linux's first sti and its set-up of the local APIC
 * is then taken for a divide error, and the guest resets before it has a console.
 */
static void test_seabios(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) boot = run_to_end(seabios_argv(fixture, qemu, "acpi=on"));
    g_autoptr(Boot) without = run_to_end(seabios_argv(fixture, stock_qemu, "acpi=on,pic=off"));
    g_autoptr(GPtrArray) argv = seabios_argv(fixture, stock_qemu, "acpi=on");
    g_autoptr(Boot) stock = NULL;
    g_autoptr(GError) error = NULL;

    assert_all_work(fixture, boot, 1);
    assert_all_work(fixture, without, 1);
    stock = start(argv, BOOT_LIMIT);
    boot_wait_end(stock, &error);
    boot_assert_no_error(stock, error);
    boot_assert(stock, !strstr(boot_console(stock), "board: end"));
}

static GPtrArray *slot0_argv(Fixture *fixture, const char *which)
{
    Guest guest = {.qemu = which,
                   .machine = "acpi=on",
                   .firmware = QBOOT,
                   .kernel = vmlinux,
                   .append = TSC_GIVEN};
    GPtrArray *argv = guest_argv(&guest);

    plug_disk(fixture, argv, 0, 0);
    return argv;
}

/* The interrupt of the first transport arrives. */
static void test_slot0(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) boot = run_to_end(slot0_argv(fixture, qemu));
    g_autoptr(GPtrArray) argv = slot0_argv(fixture, stock_qemu);
    g_autoptr(Boot) stock = NULL;
    g_autoptr(GError) error = NULL;

    assert_all_work(fixture, boot, 1);

    stock = start(argv, HANG_FACTOR * boot_seconds(boot));
    boot_wait_text(stock, "[vda]", &error);
    boot_assert_no_error(stock, error);
    boot_wait_end(stock, &error);
    boot_assert(stock, g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT));
    boot_assert(stock, !strstr(boot_console(stock), "board: disk="));
}

/* A disk in each of the first @places, but an rng in those of @without, which ends with -1. */
static void plug_all(Fixture *fixture, GPtrArray *argv, int places, const int *without)
{
    for (int slot = 0, index = 0; slot < places; slot++) {
        if (slot == *without) {
            plug(argv, "virtio-rng-device", slot);
            without++;
        } else {
            plug_disk(fixture, argv, index++, slot);
        }
    }
}

/* With ACPI the transports have an I/O APIC of their own: each line of it is heard. */
static void test_acpi(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    Guest guest = {
        .qemu = qemu, .machine = "acpi=on", .firmware = QBOOT, .kernel = vmlinux, .append = ""};
    GPtrArray *argv = guest_argv(&guest);
    g_autoptr(Boot) boot = NULL;

    plug_all(fixture, argv, 24, (const int[]){-1});
    boot = run_to_end(argv);
    assert_all_work(fixture, boot, 24);
}

typedef struct {
    const char *firmware;
    int deaf[5]; /* places whose interrupt the firmware's MP table leaves out; ends with -1 */
} NoAcpiCase;

/* Without ACPI they are named on the kernel's command line, and have ISA interrupts. */
static void test_no_acpi(Fixture *fixture, gconstpointer data)
{
    const NoAcpiCase *c = data;
    Guest guest = {.qemu = qemu,
                   .machine = "acpi=off",
                   .firmware = c->firmware,
                   .kernel = bzimage,
                   .append = "reboot=t"};
    GPtrArray *argv = guest_argv(&guest);
    g_autoptr(Boot) boot = NULL;

    plug_all(fixture, argv, 10, c->deaf);
    boot = run_to_end(argv);
    assert_all_work(fixture, boot, 10);
    boot_assert(boot, strstr(boot_console(boot), "/virtio-mmio."));
}

/* Children that keep every core busy, twice over. */
static GArray *busy_start(void)
{
    GArray *pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
    pid_t parent = getpid();

    for (guint i = 0; i < 2 * g_get_num_processors(); i++) {
        pid_t pid = fork();

        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            while (getppid() == parent) {
            }
            _exit(0);
        }
        g_array_append_val(pids, pid);
    }
    return pids;
}

static void busy_end(GArray *pids)
{
    for (guint i = 0; i < pids->len; i++) {
        pid_t pid = g_array_index(pids, pid_t, i);

        kill(pid, SIGKILL);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    }
    g_array_unref(pids);
}

/* Boots once. Returns the seconds it took; 0 if the guest hung or went by another clock. */
static double busy_boot(void)
{
    Guest guest = {.qemu = qemu,
                   .machine = "acpi=on",
                   .firmware = QBOOT,
                   .kernel = vmlinux,
                   .cpus = 2,
                   .append = "quiet -- settle"};
    g_autoptr(GPtrArray) argv = guest_argv(&guest);
    g_autoptr(Boot) boot = start(argv, BOOT_LIMIT);
    g_autoptr(GError) error = NULL;
    double seconds;

    if (boot_wait_end(boot, &error) &&
        strstr(boot_console(boot), "\nboard: clocksource=tsc\nboard: end\n")) {
        seconds = boot_seconds(boot);
        g_test_message("%.1f s", seconds);
        return seconds;
    }
    g_test_message("failed: %s", error ? error->message : "not as it should be");
    boot_show(boot);
    return 0;
}

/* Whatever the load, Linux knows its clock and has its ticks. */
static void test_busy(void)
{
    GArray *busy = busy_start();
    double least = BOOT_LIMIT, most = 0, sum = 0;
    int good = 0;

    for (int i = 0; i < busy_boots; i++) {
        double seconds = busy_boot();

        if (seconds > 0) {
            good++;
            sum += seconds;
            least = MIN(least, seconds);
            most = MAX(most, seconds);
        }
    }
    busy_end(busy);
    g_test_message("%d of %d boots good, in %.1f to %.1f s, %.1f s on average", good, busy_boots,
                   least, most, good ? sum / good : 0);
    g_assert_cmpint(good, ==, busy_boots);
}

/*
 * A guest under TCG has a TSC deadline timer, and so no other to calibrate. A vCPU that
 * does not run for 130 ms, longer than the calibration took, does it no harm.
 */
static void test_deadline(void)
{
    for (int patched = 1; patched >= 0; patched--) {
        Guest guest = {.qemu = patched ? qemu : stock_qemu,
                       .machine = "acpi=on",
                       .firmware = QBOOT,
                       .kernel = vmlinux,
                       .append = patched ? "quiet" : "quiet " TSC_GIVEN};
        g_autoptr(GPtrArray) argv = guest_argv(&guest);
        g_autoptr(Boot) boot = start(argv, BOOT_LIMIT);
        g_autoptr(GError) error = NULL;
        gboolean deadline;

        if (patched) {
            boot_stutter(boot, 100, 4, 130);
        }
        boot_wait_end(boot, &error);
        boot_assert_no_error(boot, error);
        deadline = strstr(boot_console(boot), "board: clockevent=lapic-deadline\n") != NULL;
        boot_assert(boot, deadline == patched);
    }
}

static const char *environment(const char *name)
{
    const char *value = g_getenv(name);

    if (!value) {
        g_printerr("test-board: %s is not set\n", name);
        exit(2);
    }
    return value;
}

static int boots_from_environment(void)
{
    const char *text = g_getenv("MICROVM_BOOTS");
    g_autoptr(GError) error = NULL;
    guint64 boots = full ? 100 : 5;

    if (text && *text && !g_ascii_string_to_unsigned(text, 10, 1, 100000, &boots, &error)) {
        g_printerr("test-board: MICROVM_BOOTS: %s\n", error->message);
        exit(2);
    }
    return (int)boots;
}

int main(int argc, char **argv)
{
    static const InitrdCase pvh = {&vmlinux, 256}, bz = {&bzimage, 2048};
    static const NoAcpiCase with_qboot = {QBOOT, {-1}};
    /* of 5, 6, 7, 3, 9, 10, 11, 12, 14, 15 SeaBIOS leaves out 5, 9, 10 and 11, a PC's for PCI */
    static const NoAcpiCase with_seabios = {SEABIOS, {0, 4, 5, 6, -1}};

    g_test_init(&argc, &argv, NULL);
    qemu = environment("MICROVM_QEMU");
    stock_qemu = environment("MICROVM_STOCK_QEMU");
    vmlinux = environment("MICROVM_VMLINUX");
    bzimage = environment("MICROVM_BZIMAGE");
    board_initrd = environment("MICROVM_BOARD_INITRD");
    full = g_strcmp0(g_getenv("MICROVM_FULL"), "1") == 0;
    busy_boots = boots_from_environment();

    g_test_add("/board/initrd/pvh", Fixture, &pvh, set_up, test_initrd, tear_down);
    g_test_add("/board/initrd/bzimage", Fixture, &bz, set_up, test_initrd, tear_down);
    g_test_add("/board/seabios", Fixture, NULL, set_up, test_seabios, tear_down);
    g_test_add("/board/slot0", Fixture, NULL, set_up, test_slot0, tear_down);
    g_test_add("/board/acpi", Fixture, NULL, set_up, test_acpi, tear_down);
    g_test_add("/board/no-acpi/qboot", Fixture, &with_qboot, set_up, test_no_acpi, tear_down);
    g_test_add("/board/no-acpi/seabios", Fixture, &with_seabios, set_up, test_no_acpi, tear_down);
    g_test_add_func("/board/deadline", test_deadline);
    g_test_add_func("/board/busy", test_busy);
    return g_test_run();
}
