/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "axes.h"

#include <stdlib.h>

/* Of each axis the first values, as many as "quick" says, are those of a quick run. */
static const struct {
    const char *name;
    int quick;
    const char *values[20];
} axes[AXES] = {
    [KERNEL] = {"kernel", 3, {"vmlinux", "bzimage", "debian"}},
    [FIRMWARE] = {"firmware", 2, {"qboot.rom", "bios-microvm.bin"}},
    [ACPI] = {"acpi", 2, {"on", "off"}},
    [PCIE] = {"pcie", 3, {"off", "idle", "used"}},
    [MEMORY] = {"memory", 6, {"128", "256", "2047", "2048", "2049", "4096"}},
    [DEVICES] = {"devices",
                 4,
                 {"6", "24", "10", "16", "7", "8", "9", "11", "12", "13", "14", "15", "17", "18",
                  "19", "20", "21", "22", "23"}},
    [TAIL] = {"tail",
              4,
              {"4090", "0", "2000", "3800", "1", "700", "1900", "3000", "3200", "3500", "3700",
               "4050", "4095"}},
    [SMP] = {"smp", 4, {"1", "2", "6,sockets=2,cores=3", "3,cores=3"}},
    [TRANSPORT] = {"transport", 2, {"modern", "legacy"}},
    [MACHINE] = {"machine", 2, {"microvm", "microvm-9.2"}},
};

static int fixed[AXES]; /* an index and one; 0 where all values are wanted */
static gboolean quick;

/* How the guest is put together; and what decides where the initrd and ACPI's tables lie. */
static const int build[] = {KERNEL, FIRMWARE, ACPI, PCIE, TRANSPORT, MACHINE, -1};
static const int placement[] = {KERNEL, FIRMWARE, MEMORY, TAIL, -1};
const int *const axes_crosses_quick[] = {build, NULL};
const int *const axes_crosses_full[] = {build, placement, NULL};

const char *axes_value(int axis, int index)
{
    return axes[axis].values[index];
}

int axes_number(int axis, int index)
{
    return (int)strtol(axes[axis].values[index], NULL, 10);
}

char *axes_name(const int *values)
{
    GString *name = g_string_new(NULL);

    for (int axis = 0; axis < AXES; axis++) {
        g_string_append_printf(name, "%s%s=%s", axis ? " " : "", axes[axis].name,
                               axes[axis].values[values[axis]]);
    }
    return g_string_free(name, FALSE);
}

void axes_set_quick(void)
{
    quick = TRUE;
}

static int count_values(int axis)
{
    int count = 0;

    while (axes[axis].values[count]) {
        count++;
    }
    return count;
}

gboolean axes_fix(const char *word)
{
    for (int axis = 0; axis < AXES; axis++) {
        for (int index = 0; index < count_values(axis); index++) {
            g_autofree char *known =
                g_strdup_printf("%s=%s", axes[axis].name, axes[axis].values[index]);

            if (g_str_equal(word, known)) {
                fixed[axis] = index + 1;
                return TRUE;
            }
        }
    }
    return FALSE;
}

/*
 * Without ACPI the transports have ISA lines: 5, 6, 7, 3, 9, 10, 11, 12, 14, 15, in this order; up
 * to 9.2 5 to 12, of which 8 is the clock's. SeaBIOS' MP table leaves out 5, 9, 10 and 11, a PC's
 * for PCI.
 */
int axes_places(const int *values, int places[AXES_PLACES])
{
    static const int lines[] = {5, 6, 7, 3, 9, 10, 11, 12, 14, 15};
    static const int lines_9_2[] = {5, 6, 7, 8, 9, 10, 11, 12};
    const int *line = values[MACHINE] == MACHINE_9_2 ? lines_9_2 : lines;
    int count = 0, all = values[MACHINE] == MACHINE_9_2 ? 8 : 10;

    if (values[ACPI] == ACPI_ON) {
        while (count < AXES_PLACES) {
            places[count] = count;
            count++;
        }
        return count;
    }
    for (int i = 0; i < all; i++) {
        gboolean pci = line[i] == 5 || (line[i] >= 9 && line[i] <= 11);

        if (line[i] != 8 && !(pci && values[FIRMWARE] == FIRMWARE_SEABIOS)) {
            places[count++] = i;
        }
    }
    return count;
}

static gboolean too_many(const int *values)
{
    int places[AXES_PLACES];

    return axes_number(DEVICES, values[DEVICES]) > axes_places(values, places);
}

static gboolean is_debian_without_acpi(const int *values)
{
    return values[KERNEL] == KERNEL_DEBIAN && values[ACPI] == ACPI_OFF;
}

static gboolean is_pcie_without_acpi(const int *values)
{
    return values[PCIE] != PCIE_OFF && values[ACPI] == ACPI_OFF;
}

static gboolean is_legacy_pcie(const int *values)
{
    return values[PCIE] == PCIE_USED && values[TRANSPORT] == TRANSPORT_LEGACY;
}

static gboolean is_smp_without_acpi(const int *values)
{
    return values[FIRMWARE] == FIRMWARE_SEABIOS && values[ACPI] == ACPI_OFF &&
           axes_number(SMP, values[SMP]) > 1;
}

/* What cannot work, and why. */
static const struct {
    gboolean (*applies)(const int *values);
    const char *reason;
} rules[] = {
    {is_debian_without_acpi,
     "Debian's kernel without ACPI: it takes no transports from its command "
     "line (VIRTIO_MMIO_CMDLINE_DEVICES) and reads no MP table (X86_MPPARSE)"},
    {is_pcie_without_acpi, "PCIe without ACPI: the board has no host bridge then"},
    {is_legacy_pcie, "a legacy device over PCIe: it has its registers in I/O ports, and this host "
                     "bridge has no window for any"},
    {is_smp_without_acpi,
     "SeaBIOS without ACPI, and several CPUs: its MP table has one of each socket"},
    {too_many,
     "more devices than transports with an interrupt that arrives: without ACPI ten, up to "
     "9.2 seven, and with SeaBIOS' MP table four less"},
};

int axes_refused(const int *values)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rules); i++) {
        if (rules[i].applies(values)) {
            return (int)i;
        }
    }
    return -1;
}

const char *axes_reason(int index)
{
    return index < (int)G_N_ELEMENTS(rules) ? rules[index].reason : NULL;
}

static gboolean is_wanted(const int *values)
{
    for (int axis = 0; axis < AXES; axis++) {
        if (fixed[axis] && values[axis] != fixed[axis] - 1) {
            return FALSE;
        }
    }
    return axes_refused(values) < 0;
}

const CoverSpace *axes_space(void)
{
    static int sizes[AXES];
    static const CoverSpace space = {AXES, sizes, is_wanted};

    for (int axis = 0; axis < AXES; axis++) {
        sizes[axis] = quick && !fixed[axis] ? axes[axis].quick : count_values(axis);
    }
    return &space;
}

const CoverSpace *axes_all(void)
{
    static int sizes[AXES];
    static const CoverSpace space = {AXES, sizes, NULL};

    for (int axis = 0; axis < AXES; axis++) {
        sizes[axis] = count_values(axis);
    }
    return &space;
}
