/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Boots the initrd under QEMU (TCG) with disks made here, once for each kind of root and each way
 * to fail, and checks what the guest and its console say. Needs mke2fs, sfdisk, cpio,
 * mksquashfs, mkfs.erofs, mkfs.btrfs, mkfs.xfs; no root.
 *
 * The environment names what is tested, "-p /boot/NAME" chooses a test:
 *   QEMU        qemu-system-x86_64, which finds its firmware by itself
 *   KERNEL      vmlinux or bzImage
 *   INITRD      the initrd
 *   MODULES     the kernel's modules.img
 *   GUEST_INIT  the built guest-init.c
 */
#include <stdlib.h>
#include <string.h>

#include "boot-modules.h"
#include "image.h"
#include "lab.h"

/* root=/dev/vda rw: written to, and found written by the next boot */
static void test_device(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    static const char *const written[] = {"no", "yes"};
    const char *disk = make_disk("disk");

    for (gsize i = 0; i < G_N_ELEMENTS(written); i++) {
        g_autoptr(Boot) boot = run(&(Spec){.append = "root=/dev/vda rw quiet", .disks = {disk}});

        check_handover(boot, "/dev/vda", "ext4", "rw");
        check_fact(boot, "was-written", written[i]);
        check_fact(boot, "writable", "yes");
        check_fact(boot, "argv", "/sbin/init");
        check_fact(boot, "mark", "");
        never_says(boot, "microvm:");
    }
}

/* root=LABEL= on the second disk, read-only as the kernel's default is */
static void test_label(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *other = make_root("other", &(Root){"ext4", "other", "random", "/sbin/init"});
    const char *disk = make_disk("disk");
    g_autofree char *before_other = digest(other), *before = digest(disk);
    g_autoptr(Boot) boot = run(&(Spec){.append = "root=LABEL=root-fs", .disks = {other, disk}});

    check_handover(boot, "/dev/vdb", "ext4", "ro");
    check_fact(boot, "writable", "no");
    check_unchanged(other, before_other);
    check_unchanged(disk, before);
}

/* root=UUID=, whatever the case, on an ext2 */
static void test_uuid(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *other = make_root("other", &(Root){"ext4", "root-fs", "random", "/sbin/init"});
    const char *disk = make_root("disk", &(Root){"ext2", "root-fs", UUID, "/sbin/init"});
    g_autofree char *upper = g_ascii_strup(UUID, -1);
    g_autofree char *append = g_strdup_printf("root=UUID=%s rw quiet", upper);
    g_autoptr(Boot) boot = run(&(Spec){.append = append, .disks = {other, disk}});

    check_handover(boot, "/dev/vdb", "ext4", "rw");
}

/* root=PARTUUID= */
static void test_partuuid(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) boot = run(
        &(Spec){.append = "root=PARTUUID=" PARTUUID " quiet", .disks = {make_partitioned("disk")}});

    check_handover(boot, "/dev/vda2", "ext4", "ro");
}

/* root=PARTLABEL= with a blank in it */
static void test_partlabel(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) boot = run(&(Spec){.append = "root=\"PARTLABEL=the root\" quiet",
                                       .disks = {make_partitioned("disk")}});

    check_handover(boot, "/dev/vda2", "ext4", "ro");
}

/* two disks of one label: the first is taken, and it is said */
static void test_twice(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *other = make_root("other", &(Root){"ext4", "root-fs", "random", "/sbin/init"});
    g_autoptr(Boot) boot =
        run(&(Spec){.append = "root=LABEL=root-fs quiet", .disks = {make_disk("disk"), other}});

    check_handover(boot, "/dev/vda", "ext4", "ro");
    says(boot, "microvm: 2 disks answer to the name given in root=; taking the first, /dev/vda");
}

/* root=/dev/sda where the disk is vda: taken, and said */
static void test_other_bus(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) boot =
        run(&(Spec){.append = "root=/dev/sda rw quiet rootwait=1", .disks = {make_disk("disk")}});

    check_handover(boot, "/dev/vda", "ext4", "rw");
    says(boot, "microvm: /dev/sda is not there: taking /dev/vda instead; root=/dev/vda saves");
}

/*
 * rootwait: a disk that gets its file system later is found by its event. It ends before the
 * superblock at first, so that only the new size, hence the event, shows it.
 */
static void test_late(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *ready = make_disk("ready");
    g_autofree char *arguments = g_strdup_printf("{\"device\": \"d0\", \"size\": %d}", DISK_SIZE);
    g_autoptr(JsonNode) answer = NULL;
    g_autofree char *content = NULL;
    g_autoptr(Boot) boot = NULL;

    resize("late", 1024);
    boot = start(&(Spec){.append = "root=LABEL=root-fs rw quiet rootwait", .disks = {"late"}});
    wait_text(boot, "root=LABEL=root-fs is not there yet: waiting, as rootwait asks");
    wait_text(boot, "/dev/vda, 1.0 KiB, no known file system");
    g_assert_true(g_file_get_contents(ready, &content, NULL, NULL));
    write_at("late", 0, content, DISK_SIZE);
    answer = monitor(boot, "block_resize", arguments);
    wait_end(boot);
    check_handover(boot, "/dev/vda", "ext4", "rw");
}

/* a root that never comes: what was looked for, what is there, power off */
static void test_absent(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) boot =
        run(&(Spec){.append = "root=LABEL=nowhere quiet rootwait=1",
                    .disks = {make_disk("disk"), make_partitioned("partitioned")}});

    check_shutdown(boot, "guest-shutdown");
    says(boot, "microvm: cannot find the root: root=LABEL=nowhere did not appear in 1 s");
    says(boot, "microvm: the disks found are:");
    says(boot, "microvm:   /dev/vda, 16.0 MiB, ext4 LABEL=\"root-fs\" UUID=\"" UUID "\"");
    says(boot, "microvm:   /dev/vdb, 24.0 MiB, no known file system");
    says(boot, "microvm:   /dev/vdb2, 16.0 MiB, ext4 LABEL=\"in-partition\" UUID=\"" UUID "\" "
               "PARTLABEL=\"the root\" PARTUUID=\"" PARTUUID "\"");
    says(boot, "microvm: powering off (panic=0 would stay here, panic=SECONDS reboot)");
    never_says(boot, "guest:");
    never_says(boot, "Kernel panic");
    g_assert_cmpfloat(boot_seconds(boot), >=, 1);
}

/* no disk at all */
static void test_no_disk(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) boot = run(&(Spec){.append = "root=/dev/vda quiet rootwait=0"});

    says(boot, "microvm: there is no disk at all; kernel ");
    says(boot, "found 0 virtio devices");
}

/* no root= and a root= of no known form */
static void test_no_root(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *disk = make_disk("disk");
    g_autoptr(Boot) none = run(&(Spec){.append = "quiet", .disks = {disk}});
    g_autoptr(Boot) unknown = run(&(Spec){.append = "root=vda quiet", .disks = {disk}});

    says(none, "there is no root= on the kernel's command line");
    says(unknown, "root=vda is not a root that this initrd knows");
    says(none, "known are /dev/NAME, LABEL=");
    says(unknown, "known are /dev/NAME, LABEL=");
    says(none, "/dev/vda, 16.0 MiB, ext4");
    says(unknown, "/dev/vda, 16.0 MiB, ext4");
}

/* panic=-1 reboots, panic=1 reboots after a second, panic=0 stays */
static void test_panic(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) at_once = run(&(Spec){.append = "root=/dev/vda quiet rootwait=0 panic=-1"});
    g_autoptr(Boot) later = run(&(Spec){.append = "root=/dev/vda quiet rootwait=0 panic=1"});
    g_autoptr(Boot) never = start(&(Spec){.append = "root=/dev/vda quiet rootwait=0 panic=0"});
    g_autoptr(JsonNode) status = NULL;

    check_shutdown(at_once, "guest-reset");
    check_shutdown(later, "guest-reset");
    wait_text(never, "microvm: staying here, as panic=0 asks\n");
    status = monitor(never, "query-status", NULL);
    g_assert_cmpstr(json_object_get_string_member(json_node_get_object(status), "status"), ==,
                    "running");
}

/* microvm.marks: the phases are in the kernel's log, in order */
static void test_marks(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) boot =
        run(&(Spec){.append = "root=/dev/vda quiet microvm.marks", .disks = {make_disk("disk")}});

    check_handover(boot, "/dev/vda", "ext4", "ro");
    check_fact(boot, "mark",
               "microvm: init start microvm: init found /dev/vda "
               "microvm: init mounted /dev/vda as ext4 microvm: init exec /sbin/init");
}

/* init=, and arguments after -- */
static void test_init(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *disk = make_root("disk", &(Root){"ext4", "root-fs", UUID, "/bin/other"});
    g_autoptr(Boot) boot = run(
        &(Spec){.append = "root=/dev/vda quiet init=/bin/other -- one root=x", .disks = {disk}});

    check_handover(boot, "/dev/vda", "ext4", "ro");
    check_fact(boot, "argv", "/bin/other one root=x");
}

/* without /sbin/init, the kernel's next choices */
static void test_fallback_init(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *disk = make_root("disk", &(Root){"ext4", "root-fs", UUID, "/bin/sh"});
    g_autoptr(Boot) boot = run(&(Spec){.append = "root=/dev/vda quiet", .disks = {disk}});

    check_handover(boot, "/dev/vda", "ext4", "ro");
    check_fact(boot, "argv", "/bin/sh");
}

/* a root without an init, and an init= that is not there */
static void test_no_init(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    static const char *const cases[][2] = {
        {"root=/dev/vda quiet", "microvm: the root has no init: tried /sbin/init, /etc/init"},
        {"root=/dev/vda quiet init=/x", "microvm: cannot execute /x: No such file or directory"}};
    const char *disk = make_root("disk", &(Root){"ext4", "root-fs", UUID, NULL});

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Boot) boot = run(&(Spec){.append = cases[i][0], .disks = {disk}});

        says(boot, cases[i][1]);
        says(boot, "microvm: powering off");
        never_says(boot, "Kernel panic");
    }
}

/* microvm.overlay=tmpfs: the guest writes, the disk stays as it is */
static void test_overlay(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *disk = make_disk("disk");
    g_autofree char *before = digest(disk);
    g_autoptr(Boot) boot =
        run(&(Spec){.append = "root=/dev/vda rw quiet microvm.overlay=tmpfs", .disks = {disk}});

    check_handover(boot, "overlay", "overlay", "rw");
    check_fact(boot, "writable", "yes");
    check_unchanged(disk, before);
}

/* rootflags= for the file system and for all; one that is unknown is told */
static void test_flags(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *disk = make_disk("disk");
    g_autoptr(Boot) known = run(&(Spec){
        .append = "root=/dev/vda rw quiet rootflags=noatime,data=journal", .disks = {disk}});
    g_autoptr(Boot) unknown =
        run(&(Spec){.append = "root=/dev/vda quiet rootflags=nonsense", .disks = {disk}});
    g_auto(GStrv) top = boot_lines(known, "guest: mount=/dev/vda / ");

    check_handover(known, "/dev/vda", "ext4", "rw");
    boot_assert(known, g_strv_length(top) == 1);
    boot_assert(known, strstr(top[0], "noatime"));
    boot_assert(known, strstr(top[0], "data=journal"));
    says(unknown, "microvm: cannot mount /dev/vda as ext4: Invalid argument");
}

/* rootfstype= that is not the disk's, then one that is */
static void test_wrong_type(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *disk = make_disk("disk");
    g_autoptr(Boot) wrong =
        run(&(Spec){.append = "root=/dev/vda quiet rootfstype=nonsense", .disks = {disk}});
    g_autoptr(Boot) second =
        run(&(Spec){.append = "root=/dev/vda quiet rootfstype=nonsense,ext4", .disks = {disk}});

    says(wrong, "cannot mount /dev/vda as nonsense: this kernel does not have that file");
    says(wrong, "/dev/vda, 16.0 MiB, ext4");
    check_handover(second, "/dev/vda", "ext4", "ro");
}

/* damaged, cut and foreign disks: a message and the end, no panic, no escape sequence */
static void test_hostile(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    static const char *const cases[][2] = {
        {"root=/dev/vda rw quiet", "microvm: cannot mount /dev/vda as ext4: "},
        {"root=/dev/vdb rw quiet", "microvm: cannot mount /dev/vdb as ext4: "},
        {"root=/dev/vdc rw quiet", "microvm: cannot mount the root: /dev/vdc holds LVM2 member"}};
    static const char lvm[] = "LABELONE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0LVM2 001";

    make_root("cut", &(Root){"ext4", "cut", UUID, "/sbin/init"});
    resize("cut", 1 * MIB);
    make_root("noise", &(Root){"ext4", "x\033[2Jy", UUID, "/sbin/init"});
    write_noise("noise", 4096, 8 * MIB);
    resize("lvm", 4 * MIB);
    write_at("lvm", SECTOR, lvm, sizeof(lvm) - 1);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Boot) boot =
            run(&(Spec){.append = cases[i][0], .disks = {"cut", "noise", "lvm"}});

        says(boot, cases[i][1]);
        says(boot, "LABEL=\"x?[2Jy\"");
        says(boot, "microvm: powering off");
        never_says(boot, "\033[2J");
        never_says(boot, "Kernel panic");
    }
}

/* An initrd at @path that is the tested one and a second archive with the file @more_name. */
static void make_longer_initrd(const char *path, const char *more_name)
{
    g_autofree char *own = NULL, *more = NULL, *names = g_strconcat(more_name, "\n", NULL);
    gsize own_size, more_size;

    g_free(image_run("cpio --quiet -o -H newc -O @", "packed", names));
    g_assert_true(g_file_get_contents(parts.initrd, &own, &own_size, NULL));
    g_assert_true(g_file_get_contents("packed", &more, &more_size, NULL));
    write_at(path, 0, own, own_size);
    write_at(path, (off_t)own_size, more, more_size);
}

static gint64 free_kib(const char *disk, const char *with_initrd)
{
    g_autoptr(Boot) boot =
        run(&(Spec){.append = "root=/dev/vda quiet", .disks = {disk}, .initrd = with_initrd});
    g_auto(GStrv) free = facts(boot, "free");

    check_handover(boot, "/dev/vda", "ext4", "ro");
    boot_assert(boot, g_strv_length(free) == 1);
    return g_ascii_strtoll(free[0], NULL, 10);
}

/* the initrd's files no longer take memory */
static void test_freed(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *disk = make_disk("disk");
    gint64 light, heavy;

    write_noise("ballast", 0, 48 * MIB);
    make_longer_initrd("heavy", "ballast");
    light = free_kib(disk, parts.initrd);
    heavy = free_kib(disk, "heavy");
    g_test_message("%" G_GINT64_FORMAT " KiB free, %" G_GINT64_FORMAT " with 48 MiB more packed",
                   light, heavy);
    g_assert_cmpint(ABS(light - heavy), <, 4096);
}

/* root=9p:TAG: a directory of the host */
static void test_9p(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) boot = NULL, gone = NULL;

    make_tree("tree", "/sbin/init");
    boot = run(&(Spec){.append = "root=9p:share rw quiet", .share = "tree"});
    check_handover(boot, "share", "9p", "rw");
    g_assert_true(g_file_test("tree/written", G_FILE_TEST_EXISTS));

    gone = run(&(Spec){.append = "root=9p:gone quiet rootwait=1", .share = "tree"});
    says(gone, "microvm: cannot mount gone as 9p: ");
    says(gone, "under the tag gone");
}

/* rdinit= with a program that a second archive brings: the kernel runs that instead */
static void test_rdinit(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) boot = NULL;

    copy_file(parts.guest_init, "shell", 0755);
    make_longer_initrd("both", "shell");
    boot = run(&(Spec){.append = "quiet rdinit=/shell", .initrd = "both"});
    check_fact(boot, "argv", "/shell");
    check_fact(boot, "pid", "1");
    says(boot, "guest: done\n");
}

/* The file that the variable @name names, in a form that a change of directory does not harm. */
static char *file_from(const char *name)
{
    const char *value = g_getenv(name);

    if (!value || !g_file_test(value, G_FILE_TEST_IS_REGULAR)) {
        g_printerr("boot: %s is %s; it should name a file\n", name, value ? value : "not set");
        exit(2);
    }
    return g_canonicalize_filename(value, NULL);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(Fixture *, gconstpointer);
    } tests[] = {
        {"/boot/device", test_device},
        {"/boot/label", test_label},
        {"/boot/uuid", test_uuid},
        {"/boot/partuuid", test_partuuid},
        {"/boot/partlabel", test_partlabel},
        {"/boot/twice", test_twice},
        {"/boot/other-bus", test_other_bus},
        {"/boot/late", test_late},
        {"/boot/absent", test_absent},
        {"/boot/no-disk", test_no_disk},
        {"/boot/no-root", test_no_root},
        {"/boot/panic", test_panic},
        {"/boot/marks", test_marks},
        {"/boot/init", test_init},
        {"/boot/fallback-init", test_fallback_init},
        {"/boot/no-init", test_no_init},
        {"/boot/overlay", test_overlay},
        {"/boot/flags", test_flags},
        {"/boot/wrong-type", test_wrong_type},
        {"/boot/hostile", test_hostile},
        {"/boot/freed", test_freed},
        {"/boot/9p", test_9p},
        {"/boot/rdinit", test_rdinit},
    };

    g_test_init(&argc, &argv, NULL);
    parts.qemu = file_from("QEMU");
    parts.kernel = file_from("KERNEL");
    parts.initrd = file_from("INITRD");
    parts.modules = file_from("MODULES");
    parts.guest_init = file_from("GUEST_INIT");
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].test, tear_down);
    }
    add_modules_tests();
    int rc = g_test_run();
    g_free(parts.qemu);
    g_free(parts.kernel);
    g_free(parts.initrd);
    g_free(parts.modules);
    g_free(parts.guest_init);
    return rc;
}
