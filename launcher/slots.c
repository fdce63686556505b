/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "slots.h"

/* A run of homes, from ->first down; index N has the (N - base)th, around and around. */
typedef struct {
    int first, count, base;
} Homes;

typedef struct {
    int slots;
    guint32 unusable; /* bit N: slot N */
    guint32 last;     /* nobody's home, and taken when no other is left */
    Homes homes[SLOT_MODULES + 1];
} Layout;

/*
 * scsi0 or virtio0 is nearly always the boot disk, so data disks start at 1.
 *
 * Slot N has pin N of the second I/O APIC. KVM's split irqchip keeps one route a pin number for
 * both I/O APICs (ioapic_update_kvm_routes() in QEMU's hw/intc/ioapic.c), so a device on the pin of
 * the first one's serial port (4), clock (8) or power button (9) would share its route with that.
 * Slot 0 is deaf on a QEMU without our series, which takes its pin for the PIT's.
 */
static const Layout with_acpi = {
    .slots = 24,
    .last = 1 << 0 | 1 << 4 | 1 << 8 | 1 << 9,
    .homes =
        {
            [SLOT_BOOT_DISK] = {23, 1, 0},
            [SLOT_DISK] = {22, 8, 1},
            [SLOT_CDROM] = {14, 1, 0},
            [SLOT_NIC] = {13, 4, 0},
            [SLOT_SHARE] = {7, 1, 0},
            [SLOT_VSOCK] = {6, 1, 0},
            [SLOT_RNG] = {3, 1, 0},
            [SLOT_BALLOON] = {2, 1, 0},
            [SLOT_SERIAL] = {1, 1, 0},
            [SLOT_MODULES] = {0, 1, 0},
        },
};

/* The lines of the first I/O APIC that no other device of the board has. */
static const Layout without_acpi = {
    .slots = 10,
    .homes =
        {
            [SLOT_BOOT_DISK] = {9, 1, 0},
            [SLOT_DISK] = {8, 3, 1},
            [SLOT_CDROM] = {5, 1, 0},
            [SLOT_NIC] = {4, 2, 0},
            [SLOT_SHARE] = {2, 1, 0},
            [SLOT_VSOCK] = {2, 1, 0},
            [SLOT_RNG] = {2, 1, 0},
            [SLOT_BALLOON] = {1, 1, 0},
            [SLOT_SERIAL] = {0, 1, 0},
            [SLOT_MODULES] = {0, 1, 0},
        },
};

/* Slot N has IRQ 5 + N, and 8 is the RTC's. */
static const Layout old_without_acpi = {
    .slots = 8,
    .unusable = 1 << 3,
    .homes =
        {
            [SLOT_BOOT_DISK] = {7, 1, 0},
            [SLOT_DISK] = {6, 2, 1},
            [SLOT_CDROM] = {5, 1, 0},
            [SLOT_NIC] = {4, 1, 0},
            [SLOT_SHARE] = {2, 1, 0},
            [SLOT_VSOCK] = {2, 1, 0},
            [SLOT_RNG] = {2, 1, 0},
            [SLOT_BALLOON] = {1, 1, 0},
            [SLOT_SERIAL] = {0, 1, 0},
            [SLOT_MODULES] = {0, 1, 0},
        },
};

static const Layout *layout_for(SlotBoard board)
{
    static const Layout *const layouts[] = {
        [BOARD_ACPI] = &with_acpi,
        [BOARD_NO_ACPI] = &without_acpi,
        [BOARD_NO_ACPI_OLD] = &old_without_acpi,
    };

    return layouts[board];
}

guint slots_available(SlotBoard board)
{
    const Layout *layout = layout_for(board);

    return (guint)layout->slots - (guint)__builtin_popcount(layout->unusable);
}

static int home_of(const Layout *layout, const SlotRequest *request)
{
    const Homes *homes = &layout->homes[request->use];

    return homes->first - (request->index - homes->base + homes->count) % homes->count;
}

/* The nearest slot below @home that is not in @taken, or else above; -1 when all are. */
static int nearest_free(const Layout *layout, guint32 taken, int home)
{
    for (int i = home - 1; i >= 0; i--) {
        if (!(taken & 1u << i))
            return i;
    }
    for (int i = home + 1; i < layout->slots; i++) {
        if (!(taken & 1u << i))
            return i;
    }
    return -1;
}

static int next_free(const Layout *layout, guint32 taken, int home)
{
    int slot = nearest_free(layout, taken | layout->last, home);

    return slot >= 0 ? slot : nearest_free(layout, taken, home);
}

guint slots_good(SlotBoard board)
{
    return slots_available(board) - (guint)__builtin_popcount(layout_for(board)->last);
}

gboolean slots_assign(GArray *requests, SlotBoard board)
{
    const Layout *layout = layout_for(board);
    guint32 taken = layout->unusable;

    if (requests->len > slots_available(board))
        return FALSE;
    for (guint i = 0; i < requests->len; i++) {
        SlotRequest *request = &g_array_index(requests, SlotRequest, i);
        int home = home_of(layout, request);

        *request->slot = taken & 1u << home ? -1 : home;
        taken |= 1u << home;
    }
    for (guint i = 0; i < requests->len; i++) {
        SlotRequest *request = &g_array_index(requests, SlotRequest, i);

        if (*request->slot < 0) {
            *request->slot = next_free(layout, taken, home_of(layout, request));
            taken |= 1u << *request->slot;
        }
    }
    return TRUE;
}
