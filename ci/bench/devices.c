/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices.h"

#include <string.h>

typedef struct {
    guint first, last;
    const char *name;
} Range;

static const char *in_ranges(const Range *ranges, gsize n, guint number)
{
    for (gsize i = 0; i < n; i++) {
        if (number >= ranges[i].first && number <= ranges[i].last) {
            return ranges[i].name;
        }
    }
    return "other";
}

const char *device_of_port(guint port)
{
    static const Range ranges[] = {
        {0x00, 0x0f, "dma"},      {0x20, 0x21, "pic"},        {0x40, 0x43, "pit"},
        {0x60, 0x60, "keyboard"}, {0x61, 0x61, "pit"},        {0x64, 0x64, "keyboard"},
        {0x70, 0x71, "rtc"},      {0x80, 0x80, "delay"},      {0x92, 0x92, "a20"},
        {0xa0, 0xa1, "pic"},      {0xb2, 0xb3, "smi"},        {0x170, 0x177, "ide"},
        {0x1f0, 0x1f7, "ide"},    {0x2e8, 0x2ef, "serial 4"}, {0x2f8, 0x2ff, "serial 2"},
        {0x3b0, 0x3df, "vga"},    {0x3e8, 0x3ef, "serial 3"}, {0x3f6, 0x3f6, "ide"},
        {0x3f8, 0x3ff, "serial"}, {0x402, 0x402, "debug"},    {0x510, 0x51b, "fw_cfg"},
        {0x600, 0x67f, "acpi"},   {0xcf8, 0xcff, "pci"},
    };

    return in_ranges(ranges, G_N_ELEMENTS(ranges), port);
}

const char *device_of_msr(guint msr)
{
    static const Range ranges[] = {{0x6e0, 0x6e0, "tsc-deadline"}, {0x800, 0x8ff, "x2apic"}};

    return in_ranges(ranges, G_N_ELEMENTS(ranges), msr);
}

/* The numbers of the virtio specification, section 5. */
static const char *virtio_name(guint id)
{
    static const char *const names[] = {
        [0] = "virtio empty slot", [1] = "virtio-net", [2] = "virtio-blk",
        [3] = "virtio-serial",     [4] = "virtio-rng", [5] = "virtio-balloon",
        [8] = "virtio-scsi",       [9] = "virtio-9p",  [16] = "virtio-gpu",
        [18] = "virtio-input",     [19] = "vsock",     [24] = "virtio-mem",
        [26] = "virtiofs",
    };

    return id < G_N_ELEMENTS(names) && names[id] ? names[id] : "virtio other";
}

const char *device_of_region(const char *region, guint virtio_id)
{
    static const struct {
        const char *region, *name;
    } names[] = {{"apic-msi", "local apic"},
                 {"ioapic", "io apic"},
                 {"pcie-mmcfg-mmio", "pci"},
                 {"pcie-mmcfg", "pci"},
                 {"msix-table", "msi-x"},
                 {"several", "msi-x"} /* its table and pending bits share a page */};
    const char *virtio = strstr(region, "-virtio-");

    if (g_str_equal(region, "virtio-mmio")) {
        return virtio_name(virtio_id);
    }
    if (g_str_has_prefix(region, "virtio-pci-") && virtio) {
        return g_intern_string(virtio + 1);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        if (g_str_equal(region, names[i].region)) {
            return names[i].name;
        }
    }
    return g_intern_string(region);
}
