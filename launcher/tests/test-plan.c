/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <string.h>

#include "plan.h"
#include "schema.h"
#include "slots.h"

/* The plan of a config with these lines, on a machine that has nothing to offer. */
static Plan *plan_text(const char *text, GError **error)
{
    g_autofree char *whole = g_strconcat("machine: microvm\n", text, NULL);
    g_autoptr(Config) config = config_parse("100.conf", whole, strlen(whole), TRUE, NULL);
    g_autoptr(Storages) storages = storage_load(NULL, NULL, NULL);
    g_autoptr(Host) host = host_assume("none", NULL);
    PlanOptions options = {0};
    GError *schema = NULL;

    g_assert_nonnull(config);
    schema_check(config, TRUE, &schema);
    g_assert_no_error(schema);
    return plan_new(config, storages, host, &options, error);
}

static const PlanDisk *disk_of(const Plan *plan, const char *key)
{
    for (guint i = 0; i < plan->disks->len; i++) {
        const PlanDisk *disk = plan->disks->pdata[i];

        if (strcmp(disk->key, key) == 0)
            return disk;
    }
    g_assert_not_reached();
}

/* And not one whose interrupt may be mixed up with another's while there are others. */
static void test_slots_are_distinct(void)
{
    const guint32 shared = 1 << 0 | 1 << 4 | 1 << 8 | 1 << 9;

    for (guint n = 0; n <= slots_available(BOARD_ACPI) + 1; n++) {
        g_autoptr(GArray) requests = g_array_new(FALSE, FALSE, sizeof(SlotRequest));
        int slots[32];
        guint32 seen = 0;

        for (guint i = 0; i < n; i++) {
            SlotRequest request = {i % 2 ? SLOT_NIC : SLOT_DISK, (int)(i * 7 % 31), &slots[i]};

            g_array_append_val(requests, request);
        }
        g_assert_true(slots_assign(requests, BOARD_ACPI) == (n <= slots_available(BOARD_ACPI)));
        for (guint i = 0; i < n && n <= slots_available(BOARD_ACPI); i++) {
            g_assert_true(n > slots_good(BOARD_ACPI) || !(1u << slots[i] & shared));
            g_assert_cmpint(slots[i], <, 24);
            g_assert_false(seen & 1u << slots[i]);
            seen |= 1u << slots[i];
        }
    }
}

static guint32 all_slots(SlotBoard board)
{
    g_autoptr(GArray) requests = g_array_new(FALSE, FALSE, sizeof(SlotRequest));
    int slots[10];
    guint32 seen = 0;

    for (int i = 0; i < (int)slots_available(board); i++) {
        SlotRequest request = {SLOT_DISK, i, &slots[i]};

        g_array_append_val(requests, request);
    }
    g_assert_true(slots_assign(requests, board));
    for (guint i = 0; i < requests->len; i++)
        seen |= 1u << slots[i];
    return seen;
}

/* In the old layout slot 3 would have the RTC's interrupt. */
static void test_slots_without_acpi(void)
{
    g_assert_cmphex(all_slots(BOARD_NO_ACPI), ==, 0x3ff);
    g_assert_cmphex(all_slots(BOARD_NO_ACPI_OLD), ==, 0xff & ~(1 << 3));
}

/* Whatever is added, the devices that were there stay where they were. */
static void test_slots_are_stable(void)
{
    static const char before[] = "scsi0: /srv/a.raw\nscsi2: /srv/c.raw\n"
                                 "net0: virtio\nagent: 1\n";
    static const char *const added[] = {"scsi1: /srv/b.raw\n", "virtio3: /srv/d.raw\n",
                                        "net1: virtio\n", "rng0: source=/dev/urandom\n",
                                        "scsi9: /srv/x.iso,media=cdrom\n"};
    g_autoptr(Plan) old = plan_text(before, NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(added); i++) {
        g_autofree char *text = g_strconcat(added[i], before, NULL);
        g_autoptr(Plan) plan = plan_text(text, NULL);

        g_assert_nonnull(plan);
        g_assert_cmpint(disk_of(plan, "scsi0")->slot, ==, disk_of(old, "scsi0")->slot);
        g_assert_cmpint(disk_of(plan, "scsi2")->slot, ==, disk_of(old, "scsi2")->slot);
        g_assert_cmpint(((PlanNic *)plan->nics->pdata[0])->slot, ==,
                        ((PlanNic *)old->nics->pdata[0])->slot);
        g_assert_cmpint(plan->serial_slot, ==, old->serial_slot);
        g_assert_cmpint(plan->balloon_slot, ==, old->balloon_slot);
    }
}

static void assert_first(const char *config, const char *key)
{
    GError *error = NULL;
    g_autoptr(Plan) plan = plan_text(config, &error);
    int highest = -1;

    g_assert_no_error(error);
    g_assert_cmpstr(((PlanDisk *)plan->disks->pdata[0])->key, ==, key);
    for (guint i = 0; i < plan->disks->len; i++)
        highest = MAX(highest, ((PlanDisk *)plan->disks->pdata[i])->slot);
    g_assert_cmpint(highest, ==, disk_of(plan, key)->slot);
}

static void test_boot_disk(void)
{
    assert_first("scsi1: /a\nscsi0: /b\nvirtio0: /c\n", "scsi0");
    assert_first("virtio0: /c\nscsi5: /a\n", "scsi5");
    assert_first("boot: order=virtio0\nscsi0: /b\nvirtio0: /c\n", "virtio0");
    assert_first("boot: order=net0;scsi3;virtio0\nscsi0: /b\nvirtio0: /c\n", "virtio0");
    assert_first("bootdisk: virtio0\nscsi0: /b\nvirtio0: /c\n", "virtio0");
    assert_first("boot: order=scsi1\nbootdisk: virtio0\nscsi1: /b\nvirtio0: /c\n", "scsi1");
    assert_first("scsi0: /x.iso,media=cdrom\nvirtio0: /c\n", "virtio0");
    /* a list may have spaces in it, a CD-ROM waits for a disk, a cloud-init image is no root */
    assert_first("boot: order=net0 scsi1\nscsi0: /b\nscsi1: /c\n", "scsi1");
    assert_first("boot: order=scsi2;scsi1\nscsi1: /b\nscsi2: /x.iso,media=cdrom\n", "scsi1");
    assert_first("boot: order=scsi2\nscsi1: /b\nscsi2: /x.iso,media=cdrom\n", "scsi2");
    assert_first("boot: order=ide2\nide2: local:100/vm-100-cloudinit.qcow2,media=cdrom\n"
                 "scsi0: /b\n",
                 "scsi0");
}

static void test_defaults(void)
{
    g_autoptr(Plan) plan = plan_text("", NULL);

    g_assert_cmpstr(plan->id, ==, "100");
    g_assert_cmpstr(plan->name, ==, "vm100");
    g_assert_cmpuint(plan->memory_mib, ==, 512);
    g_assert_cmpuint(plan->vcpus, ==, 1);
    g_assert_true(plan->kvm && plan->acpi && plan->balloon);
    g_assert_false(plan->legacy_timers);
    g_assert_null(plan->agent);
    g_assert_cmpstr(plan->append, ==, "quiet");
    g_assert_cmpuint(plan->disks->len + plan->nics->len, ==, 0);
}

static void test_mac_is_stable(void)
{
    g_autoptr(Plan) a = plan_text("net0: virtio\nnet1: virtio\n", NULL);
    g_autoptr(Plan) b = plan_text("name: x\nnet1: virtio\n", NULL);
    const char *mac = ((PlanNic *)a->nics->pdata[1])->mac;
    char parsed[18];

    g_assert_true(propstr_mac(mac, parsed, NULL));
    g_assert_cmpstr(mac, ==, ((PlanNic *)b->nics->pdata[0])->mac);
    g_assert_cmpstr(mac, !=, ((PlanNic *)a->nics->pdata[0])->mac);
}

/* Words of args end in ->extra; none of them changes what the launcher itself does. */
static void test_args_are_only_words(void)
{
    GError *error = NULL;
    g_autoptr(Plan) plan = plan_text("args: --daemonize -pidfile /etc/passwd --net user '$(id)'\n"
                                     "net0: virtio\n",
                                     &error);

    g_assert_no_error(error);
    g_assert_cmpuint(g_strv_length(plan->extra), ==, 6);
    g_assert_cmpstr(plan->extra[5], ==, "$(id)");
    g_assert_false(plan->daemonize);
    g_assert_cmpstr(plan->pidfile, ==, "/run/microvm/100.pid");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plan/slots-are-distinct", test_slots_are_distinct);
    g_test_add_func("/plan/slots-without-acpi", test_slots_without_acpi);
    g_test_add_func("/plan/slots-are-stable", test_slots_are_stable);
    g_test_add_func("/plan/boot-disk", test_boot_disk);
    g_test_add_func("/plan/defaults", test_defaults);
    g_test_add_func("/plan/mac-is-stable", test_mac_is_stable);
    g_test_add_func("/plan/args-are-only-words", test_args_are_only_words);
    return g_test_run();
}
