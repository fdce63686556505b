/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <string.h>

#include "argv.h"
#include "plan.h"
#include "schema.h"
#include "slots.h"

/* The plan of a config with these lines, on a machine that has nothing to offer. */
static Plan *plan_with(const char *text, const PlanOptions *options, GError **error)
{
    g_autofree char *whole = g_strconcat("machine: microvm\n", text, NULL);
    g_autoptr(Config) config = config_parse("100.conf", whole, strlen(whole), TRUE, NULL);
    g_autoptr(Storages) storages = storage_load(NULL, NULL, NULL);
    g_autoptr(Host) host = host_assume("none", NULL);
    GError *schema = NULL;

    g_assert_nonnull(config);
    schema_check(config, TRUE, &schema);
    g_assert_no_error(schema);
    return plan_new(config, storages, host, options, error);
}

static Plan *plan_text(const char *text, GError **error)
{
    PlanOptions options = {0};

    return plan_with(text, &options, error);
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

static Plan *plan_warm_text(const char *text, const PlanWarm *warm, const char *id, GError **error)
{
    PlanOptions options = {.warm = warm, .id = id};

    return plan_with(text, &options, error);
}

#define WARM_CONFIG                                                               \
    "agent: 1\nname: web\nscsi0: /srv/a.raw,cache=none\nscsi1: /srv/b.raw,ro=1\n" \
    "net0: virtio=02:00:00:00:00:07\n"

static const PlanWarm warm_template = {.memory = "/t/memory", .disks = "/t", .bases = "/t"};
static const PlanWarm warm_clone = {.memory = "/c/memory",
                                    .clone = TRUE,
                                    .disks = "/c",
                                    .bases = "/t",
                                    .suffix = "-201",
                                    .vmgenid = "1b2c3d4e-0000-4000-8000-000000000201"};

static void assert_words(const Plan *plan, const char *option, const char *value)
{
    g_auto(GStrv) argv = argv_build(plan);

    for (char **word = argv; *word; word++) {
        if (strcmp(word[0], option) == 0 && strcmp(word[1], value) == 0)
            return;
    }
    g_error("no %s %s", option, value);
}

/* A clone has what its template had, but for what makes it another guest. */
static void test_warm(void)
{
    g_autoptr(Plan) saved = plan_warm_text(WARM_CONFIG, &warm_template, NULL, NULL);
    g_autoptr(Plan) clone = plan_warm_text(WARM_CONFIG, &warm_clone, "201", NULL);
    g_autoptr(Plan) other = plan_warm_text(WARM_CONFIG, &warm_clone, "202", NULL);
    const PlanNic *nic = clone->nics->pdata[0];

    g_assert_cmpstr(((PlanNic *)saved->nics->pdata[0])->mac, ==, "02:00:00:00:00:07");
    g_assert_cmpstr(nic->mac, !=, "02:00:00:00:00:07");
    g_assert_cmpstr(nic->mac, !=, ((PlanNic *)other->nics->pdata[0])->mac);
    g_assert_cmpstr(saved->name, ==, "web");
    g_assert_cmpstr(clone->name, ==, "web-201");
    g_assert_cmpstr(disk_of(saved, "scsi0")->source->path, ==, "/t/scsi0.qcow2");
    g_assert_cmpstr(disk_of(clone, "scsi0")->source->path, ==, "/c/scsi0.qcow2");
    g_assert_cmpstr(disk_of(clone, "scsi1")->source->path, ==, "/t/scsi1.qcow2");
    g_assert_false(disk_of(clone, "scsi0")->direct);
    g_assert_true(disk_of(clone, "scsi0")->no_flush);
    g_assert_false(disk_of(saved, "scsi0")->no_flush);
    g_assert_cmpint(disk_of(clone, "scsi0")->slot, ==, disk_of(saved, "scsi0")->slot);
    assert_words(saved, "-object",
                 "memory-backend-file,id=ram,size=512M,mem-path=/t/memory,share=on");
    assert_words(clone, "-object",
                 "memory-backend-file,id=ram,size=512M,mem-path=/c/memory,share=off,readonly=on,"
                 "rom=off");
    assert_words(clone, "-device",
                 "virtserialport,bus=qga0.0,nr=2,chardev=identity,name=org.microvm.identity.0");
    assert_words(clone, "-device", "vmgenid,guid=1b2c3d4e-0000-4000-8000-000000000201");
}

/* What a guest for one command has otherwise: neither network nor directory unless it is given one.
 */
static void test_warm_run(void)
{
    PlanWarm warm = warm_clone;
    PlanOptions options = {.warm = &warm, .id = "1000000000", .net = "user"};
    g_autoptr(Plan) alone = NULL, user = NULL, bridged = NULL, plain = NULL;
    GError *error = NULL;

    warm.run = TRUE;
    warm.mount = "/c/mount";
    alone = plan_warm_text("agent: 1\nnet0: virtio\nnet1: virtio,bridge=vmbr7\n", &warm,
                           "3999999999", &error);
    g_assert_no_error(error);
    assert_words(alone, "-netdev", "user,id=net0,hostname=vm3999999999-201,restrict=on");
    g_assert_true(((PlanNic *)alone->nics->pdata[0])->alone);
    g_assert_true(((PlanNic *)alone->nics->pdata[1])->alone);
    assert_words(alone, "-fsdev",
                 "local,id=mount,path=/c/mount,security_model=none,readonly=on,multidevs=remap");
    warm.user_net = TRUE;
    warm.mount = "/srv/a,b";
    warm.mount_writable = TRUE;
    user = plan_warm_text("agent: 1\nnet0: virtio\n", &warm, "1000000000", &error);
    g_assert_no_error(error);
    assert_words(user, "-netdev", "user,id=net0,hostname=vm1000000000-201");
    assert_words(user, "-fsdev",
                 "local,id=mount,path=/srv/a,,b,security_model=mapped-xattr,multidevs=remap");
    warm.user_net = FALSE;
    warm.bridge = "vmbr0";
    bridged = plan_with("agent: 1\nnet0: virtio\nnet1: virtio\n", &options, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(((PlanNic *)bridged->nics->pdata[0])->bridge, ==, "vmbr0");
    g_assert_cmpstr(((PlanNic *)bridged->nics->pdata[0])->ifname, ==, "tap1000000000i0");
    g_assert_false(((PlanNic *)bridged->nics->pdata[0])->alone);
    g_assert_true(((PlanNic *)bridged->nics->pdata[1])->alone);
    assert_words(bridged, "-netdev", "user,id=net0-before,restrict=on");
    plain = plan_warm_text("agent: 1\n", &warm_clone, "1000000000", &error);
    g_assert_null(plain);
    g_assert_error(error, PLAN_ERROR, PLAN_ERROR_CONFIG);
    g_error_free(error);
}

/* The suffix is part of a host's name, of at most 64 bytes. */
static void test_warm_name(void)
{
    static const struct {
        const char *name, *expected;
    } cases[] = {
        {"www.example.org", "www-201.example.org"},
        {"a23456789-123456789-123456789-123456789-123456789-123456789-123",
         "a23456789-123456789-123456789-123456789-123456789-123456789-201"},
        {"www.23456789-123456789-123456789-123456789-123456789-123456789.org", "www-201"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strconcat("agent: 1\nname: ", cases[i].name, "\n", NULL);
        g_autoptr(Plan) plan = plan_warm_text(text, &warm_clone, "201", NULL);

        g_assert_cmpstr(plan->name, ==, cases[i].expected);
    }
}

static void test_warm_refused(void)
{
    static const char *const cases[][2] = {
        {"scsi0: /a\n", "agent: 1"},
        {"agent: 0\n", "agent: 1"},
        {"agent: 1\nhugepages: 2\n", "huge pages"},
        {"agent: 1\nfreeze: 1\n", "when it has started"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        Plan *plan = plan_warm_text(cases[i][0], &warm_template, NULL, &error);

        g_assert_null(plan);
        g_assert_nonnull(strstr(error->message, cases[i][1]));
    }
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
    g_test_add_func("/plan/warm", test_warm);
    g_test_add_func("/plan/warm-run", test_warm_run);
    g_test_add_func("/plan/warm-name", test_warm_name);
    g_test_add_func("/plan/warm-refused", test_warm_refused);
    return g_test_run();
}
