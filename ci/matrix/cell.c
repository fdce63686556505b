/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cell.h"

#include <glib/gstdio.h>
#include <unistd.h>

#include "boot.h"
#include "matrix.h"

#define PAGE 4096

/* Where the next device goes. */
typedef struct {
    Cell *cell;
    int places[AXES_PLACES], count;
    guint next;
} Plug;

gboolean cell_has_share(const int *values)
{
    return values[KERNEL] != KERNEL_DEBIAN;
}

/*
 * Adds a virtio device of the kind @kind, with @properties, which begin with a comma or are empty.
 * Over PCIe QEMU finds the place.
 */
static void plug(Plug *plug, const char *kind, const char *properties)
{
    if (plug->cell->values[PCIE] == PCIE_USED) {
        boot_add(plug->cell->argv, "-device", "virtio-%s-pci%s", kind, properties);
    } else {
        boot_add(plug->cell->argv, "-device", "virtio-%s-device,bus=virtio-mmio-bus.%d%s", kind,
                 plug->places[plug->next++ % (guint)plug->count], properties);
    }
}

static void add_chardev(Cell *cell, const char *id, const char *path)
{
    boot_add(cell->argv, "-chardev", "socket,id=%s,path=%s,server=on,wait=off", id, path);
}

static gboolean add_disk(Plug *to, GError **error)
{
    g_autofree guint32 *data = g_malloc0(2 * DISK_HALF);
    GPtrArray *disks = to->cell->disks;
    g_autofree char *properties = g_strdup_printf(",drive=d%u", disks->len);
    char *path = g_strdup_printf("%s/disk%u", to->cell->dir, disks->len);

    boot_add(to->cell->argv, "-drive", "if=none,id=d%u,file=%s,format=raw", disks->len, path);
    plug(to, "blk", properties);
    g_ptr_array_add(disks, path);
    for (gsize i = 0; i < DISK_HALF / sizeof(*data); i++) {
        data[i] = g_random_int();
    }
    return g_file_set_contents(path, (char *)data, 2 * DISK_HALF, error);
}

/* One device of each kind, and disks up to the number that is wanted. */
static gboolean add_devices(Plug *to, GError **error)
{
    Cell *cell = to->cell;
    int disks = axes_number(DEVICES, cell->values[DEVICES]) - 4;

    add_chardev(cell, "net", cell->net);
    boot_add(cell->argv, "-netdev", "user,id=n0,restrict=on,guestfwd=tcp:%s:%d-chardev:net",
             ECHO_ADDRESS, ECHO_PORT);
    plug(to, "net", cell->values[PCIE] == PCIE_USED ? ",netdev=n0,romfile=" : ",netdev=n0");
    add_chardev(cell, "port", cell->port);
    plug(to, "serial", ",id=s0,max_ports=2");
    boot_add(cell->argv, "-device", "virtserialport,bus=s0.0,nr=1,chardev=port");
    plug(to, "balloon", "");
    plug(to, "rng", "");
    if (cell_has_share(cell->values)) {
        boot_add(cell->argv, "-fsdev", "local,id=f0,path=%s,security_model=none", cell->share);
        plug(to, "9p", ",fsdev=f0,mount_tag=" SHARE_TAG);
        disks--;
    }
    for (int i = 0; i < disks; i++) {
        if (!add_disk(to, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/*
 * Up to 9.2 there is an 8259 with ACPI too. SeaBIOS leaves it as it is after reset: nothing masked,
 * vectors from 0. Linux does not set it up then, and under TCG a tick of the PIT is taken for a
 * divide error.
 */
static const char *pic_of(const int *values)
{
    gboolean off = values[MACHINE] == MACHINE_9_2 && values[FIRMWARE] == FIRMWARE_SEABIOS &&
                   values[ACPI] == ACPI_ON;

    return off ? ",pic=off" : "";
}

/*
 * Up to 9.2 QEMU does not tell Linux the frequency of the TSC, and on a busy host it may not find
 * out. Any will do: the guest's clock goes wrong, but it goes.
 */
static const char *append_of(const int *values)
{
    if (values[ACPI] == ACPI_OFF) {
        return " reboot=t";
    }
    return values[MACHINE] == MACHINE_9_2 ? " tsc_early_khz=2000000 tsc=reliable" : "";
}

static void add_board(Cell *cell, const CellImages *images)
{
    const int *v = cell->values;

    boot_add(cell->argv, "-M", "%s,acpi=%s,pcie=%s%s", axes_value(MACHINE, v[MACHINE]),
             axes_value(ACPI, v[ACPI]), v[PCIE] == PCIE_OFF ? "off" : "on", pic_of(v));
    boot_add(cell->argv, "-cpu", "max");
    boot_add(cell->argv, "-m", "%s", axes_value(MEMORY, v[MEMORY]));
    boot_add(cell->argv, "-smp", "%s", axes_value(SMP, v[SMP]));
    boot_add(cell->argv, "-bios", "%s", axes_value(FIRMWARE, v[FIRMWARE]));
    boot_add(cell->argv, "-kernel", "%s", images->kernels[v[KERNEL]]);
    boot_add(cell->argv, "-initrd", "%s", cell->initrd);
    boot_add(cell->argv, "-append", "console=ttyS0 panic=-1%s", append_of(v));
    if (v[TRANSPORT] == TRANSPORT_LEGACY) {
        boot_add(cell->argv, "-global", "virtio-mmio.force-legacy=on");
    }
}

/* The archives one after the other, and zeroes, which the kernel skips, up to the size wanted. */
static gboolean write_initrd(const Cell *cell, const CellImages *images, GError **error)
{
    const char *files[] = {images->initrd, images->modules};
    int count = cell->values[KERNEL] == KERNEL_DEBIAN ? 2 : 1;
    g_autoptr(GString) archive = g_string_new(NULL);
    gsize size;

    for (int i = 0; i < count; i++) {
        g_autofree char *data = NULL;

        if (!g_file_get_contents(files[i], &data, &size, error)) {
            return FALSE;
        }
        g_string_append_len(archive, data, (gssize)size);
    }
    size = (archive->len / PAGE + 1) * PAGE + (gsize)axes_number(TAIL, cell->values[TAIL]);
    while (archive->len < size) {
        g_string_append_c(archive, '\0');
    }
    return g_file_set_contents(cell->initrd, archive->str, (gssize)size, error);
}

static gboolean write_share(const Cell *cell, GError **error)
{
    g_assert_cmpint(g_mkdir(cell->share, 0700), ==, 0);
    return g_file_set_contents(cell->file, cell->text, -1, error);
}

Cell *cell_new(const CellImages *images, const int *values, guint first, GError **error)
{
    g_autoptr(Cell) cell = g_new0(Cell, 1);
    Plug to = {.cell = cell, .next = first};

    cell->values = values;
    cell->name = axes_name(values);
    cell->argv = boot_argv(images->qemu);
    boot_one_thread(cell->argv);
    cell->disks = g_ptr_array_new_with_free_func(g_free);
    cell->dir = g_dir_make_tmp("matrix-XXXXXX", error);
    if (!cell->dir) {
        return NULL;
    }
    cell->initrd = g_build_filename(cell->dir, "initrd", NULL);
    cell->share = g_build_filename(cell->dir, "share", NULL);
    cell->file = g_build_filename(cell->share, SHARE_FILE, NULL);
    cell->net = g_build_filename(cell->dir, "net", NULL);
    cell->port = g_build_filename(cell->dir, "port", NULL);
    cell->text = g_strdup_printf("%08x%08x", g_random_int(), g_random_int());
    to.count = axes_places(values, to.places);
    add_board(cell, images);
    if (!add_devices(&to, error) || !write_initrd(cell, images, error) ||
        !write_share(cell, error)) {
        return NULL;
    }
    return g_steal_pointer(&cell);
}

static void remove_files(const Cell *cell)
{
    const char *paths[] = {cell->initrd, cell->net, cell->port, cell->file};

    for (guint i = 0; i < cell->disks->len; i++) {
        g_unlink(cell->disks->pdata[i]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_unlink(paths[i]);
    }
    g_rmdir(cell->share);
    g_rmdir(cell->dir);
}

void cell_free(Cell *cell)
{
    if (!cell) {
        return;
    }
    if (cell->dir) {
        remove_files(cell);
    }
    g_free(cell->name);
    g_free(cell->dir);
    g_free(cell->initrd);
    g_free(cell->share);
    g_free(cell->file);
    g_free(cell->net);
    g_free(cell->port);
    g_free(cell->text);
    g_ptr_array_unref(cell->disks);
    g_ptr_array_unref(cell->argv);
    g_free(cell);
}

gboolean cell_check_disks(const Cell *cell, GError **error)
{
    for (guint disk = 0; disk < cell->disks->len; disk++) {
        g_autofree char *data = NULL;
        gsize size, same = 0;

        if (!g_file_get_contents(cell->disks->pdata[disk], &data, &size, error)) {
            return FALSE;
        }
        while (size == 2 * DISK_HALF && same < DISK_HALF && data[same] == ~data[DISK_HALF + same]) {
            same++;
        }
        if (same < DISK_HALF) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s has not what the guest wrote",
                        (char *)cell->disks->pdata[disk]);
            return FALSE;
        }
    }
    return TRUE;
}
