/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "settle.h"

#include <string.h>

#include <qemu-plugin.h>

/* Linux' page_offset_base, with page tables of four and of five levels */
#define DIRECT_MAP G_GUINT64_CONSTANT(0xffff888000000000)
#define DIRECT_MAP_5 G_GUINT64_CONSTANT(0xff11000000000000)
#define QUEUES 4
#define PATIENCE (2 * G_USEC_PER_SEC)
#define PAUSE 20 /* microseconds */

/* virtio_ids.h */
#define ID_NET 1
#define ID_BLOCK 2
#define ID_ENTROPY 4

/* The registers of virtio-mmio, virtio 1.x section 4.2.2. */
#define MMIO_SIZE 0x200
#define MMIO_DEVICE_ID 0x08
#define MMIO_QUEUE_SEL 0x30
#define MMIO_QUEUE_NOTIFY 0x50
#define MMIO_INTERRUPT_STATUS 0x60
#define MMIO_DRIVER_LOW 0x90
#define MMIO_DEVICE_LOW 0xa0

/* Those of the common configuration of virtio-pci, 4.1.4.3, and how QEMU lays out its BAR. */
#define PCI_SIZE 0x4000
#define PCI_QUEUE_SEL 0x16
#define PCI_DRIVER_LOW 0x28
#define PCI_DEVICE_LOW 0x30

typedef struct {
    guint64 driver, device; /* the guest-physical addresses of the available and the used ring */
} Queue;

typedef struct {
    guint id, selected;
    Queue queues[QUEUES];
} Device;

struct Settle {
    GHashTable *devices; /* base address -> Device */
    GByteArray *buffer;
    guint failures;
};

Settle *settle_new(void)
{
    Settle *settle = g_new0(Settle, 1);

    settle->devices = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    settle->buffer = g_byte_array_new();
    return settle;
}

static Device *device_at(Settle *settle, guint64 base)
{
    Device *device = g_hash_table_lookup(settle->devices, &base);

    if (!device) {
        device = g_new0(Device, 1);
        g_hash_table_insert(settle->devices, g_memdup2(&base, sizeof(base)), device);
    }
    return device;
}

/* The 16 bits at @vaddr; FALSE when nothing is mapped there. */
static gboolean read16(Settle *settle, guint64 vaddr, guint16 *value)
{
    if (!qemu_plugin_read_memory_vaddr(vaddr, settle->buffer, sizeof(*value))) {
        return FALSE;
    }
    memcpy(value, settle->buffer->data, sizeof(*value));
    return TRUE;
}

/* The same at the guest-physical @address; firmware runs without paging. */
static gboolean read16_phys(Settle *settle, guint64 address, guint16 *value)
{
    return read16(settle, DIRECT_MAP + address, value) ||
           read16(settle, DIRECT_MAP_5 + address, value) || read16(settle, address, value);
}

/* Whether the device has used all that the driver made available. The index follows 16 flag bits.
 */
static gboolean is_idle(Settle *settle, const Queue *queue)
{
    guint16 available, used;

    return read16_phys(settle, queue->driver + 2, &available) &&
           read16_phys(settle, queue->device + 2, &used) && available == used;
}

/*
 * Waits for the queue, then for the interrupt: reading the device register at @harmless takes
 * QEMU's lock, under which both are done.
 */
static void wait_for(Settle *settle, const Queue *queue, guint64 harmless)
{
    gint64 deadline = g_get_monotonic_time() + PATIENCE;
    guint16 value;

    while (!is_idle(settle, queue)) {
        if (g_get_monotonic_time() > deadline) {
            settle->failures++;
            return;
        }
        g_usleep(PAUSE);
    }
    read16(settle, harmless, &value);
}

/* Whether what is put into the queue is answered, and by another thread. A card's queues are pairs.
 */
static gboolean is_answered(const Device *device, guint64 queue)
{
    return device->id == ID_BLOCK || device->id == ID_ENTROPY ||
           (device->id == ID_NET && queue % 2 == 1);
}

static void notified(Settle *settle, Device *device, guint64 queue, guint64 harmless)
{
    if (queue < QUEUES && device->queues[queue].driver && is_answered(device, queue)) {
        wait_for(settle, &device->queues[queue], harmless);
    }
}

/* Takes half of an address. */
static void set_half(guint64 *address, gboolean high, guint64 value)
{
    guint shift = high ? 32 : 0;

    *address = (*address & ~(G_GUINT64_CONSTANT(0xffffffff) << shift)) | value << shift;
}

static void set_queue(Device *device, guint64 offset, guint64 driver_low, guint64 device_low,
                      guint64 value)
{
    Queue *queue = &device->queues[device->selected];

    if (device->selected >= QUEUES) {
        return;
    }
    if ((offset & ~G_GUINT64_CONSTANT(4)) == driver_low) {
        set_half(&queue->driver, offset & 4, value);
    } else if ((offset & ~G_GUINT64_CONSTANT(4)) == device_low) {
        set_half(&queue->device, offset & 4, value);
    }
}

static void mmio_access(Settle *settle, guint64 phys, guint64 vaddr, gboolean write, guint64 value)
{
    guint64 offset = phys % MMIO_SIZE;
    Device *device = device_at(settle, phys - offset);

    if (!write) {
        if (offset == MMIO_DEVICE_ID) {
            device->id = (guint)value;
        }
    } else if (offset == MMIO_QUEUE_SEL) {
        device->selected = (guint)value;
    } else if (offset == MMIO_QUEUE_NOTIFY) {
        notified(settle, device, value, vaddr - MMIO_QUEUE_NOTIFY + MMIO_INTERRUPT_STATUS);
    } else {
        set_queue(device, offset, MMIO_DRIVER_LOW, MMIO_DEVICE_LOW, value);
    }
}

static void pci_access(Settle *settle, const char *region, guint64 phys, guint64 vaddr,
                       guint64 value)
{
    Device *device = device_at(settle, phys & ~G_GUINT64_CONSTANT(PCI_SIZE - 1));
    guint64 offset = phys & 0xfff;

    if (g_str_has_suffix(region, "-virtio-blk")) {
        device->id = ID_BLOCK;
    } else if (g_str_has_suffix(region, "-virtio-rng")) {
        device->id = ID_ENTROPY;
    } else if (g_str_has_suffix(region, "-virtio-net")) {
        device->id = ID_NET;
    }
    if (g_str_has_prefix(region, "virtio-pci-notify")) {
        notified(settle, device, value, vaddr);
    } else if (g_str_has_prefix(region, "virtio-pci-common")) {
        if (offset == PCI_QUEUE_SEL) {
            device->selected = (guint)value;
        } else {
            set_queue(device, offset, PCI_DRIVER_LOW, PCI_DEVICE_LOW, value);
        }
    }
}

void settle_access(Settle *settle, const char *region, guint64 phys, guint64 vaddr, gboolean write,
                   guint64 value)
{
    if (g_str_equal(region, "virtio-mmio")) {
        mmio_access(settle, phys, vaddr, write, value);
    } else if (write && g_str_has_prefix(region, "virtio-pci-")) {
        pci_access(settle, region, phys, vaddr, value);
    }
}

guint settle_failures(const Settle *settle)
{
    return settle->failures;
}

guint settle_device_id(const Settle *settle, guint64 phys)
{
    const Device *device = g_hash_table_lookup(settle->devices, &phys);

    return device ? device->id : 0;
}
