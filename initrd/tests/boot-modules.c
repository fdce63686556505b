/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot-modules.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "image.h"
#include "lab.h"

static char *release_of(Boot *boot)
{
    g_auto(GStrv) release = facts(boot, "release");

    boot_assert(boot, g_strv_length(release) == 1);
    return g_strdup(release[0]);
}

/* Whether something of @type is mounted at @target, in which "%s" stands for the kernel's release.
 */
static gboolean is_mounted(Boot *boot, const char *type, const char *target)
{
    g_auto(GStrv) mounts = facts(boot, "mount");
    g_autofree char *release = release_of(boot);
    g_auto(GStrv) halves = g_strsplit(target, "%s", 2);
    g_autofree char *place = g_strjoinv(release, halves);
    g_autofree char *pattern = g_strdup_printf(" %s %s ro", place, type);
    gboolean found = FALSE;

    for (char **mount = mounts; *mount; mount++) {
        found = found || strstr(*mount, pattern);
    }
    return found;
}

/* A root with /lib, and /lib/modules/other in it if asked for, made by the command @pack. */
static const char *make_plain(const char *path, gboolean with_place, const char *pack, off_t size)
{
    g_autofree char *tree = g_strconcat(path, ".tree", NULL);
    g_autofree char *place =
        g_build_filename(tree, "lib", with_place ? "modules/other" : NULL, NULL);
    g_autofree char *command = g_strconcat(pack, " ", tree, " @", NULL);

    make_tree(tree, "/sbin/init");
    g_assert_cmpint(g_mkdir_with_parents(place, 0755), ==, 0);
    if (size) {
        resize(path, size);
    }
    g_free(image_run(command, path, NULL));
    return path;
}

#define PACK_EXT4 "mke2fs -q -F -t ext4 -d"
#define PACK_SQUASHFS "mksquashfs"
#define PACK_BTRFS "mkfs.btrfs -q --rootdir"

/* rw: made and mounted at its place; only the image's modules are taken, and no other's */
static void test_modules(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) boot = run(&(Spec){.append = "root=/dev/vda rw quiet microvm.marks",
                                       .disks = {make_disk("disk")},
                                       .modules = parts.modules});
    g_autofree char *release = release_of(boot);

    check_handover(boot, "/dev/vda", "ext4", "rw");
    boot_assert(boot, is_mounted(boot, "erofs", "/lib/modules/%s"));
    check_fact(boot, "modules-of", release);
    check_fact(boot, "module", "loaded");
    check_fact(boot, "copied-module", "Operation not permitted");
    check_fact(boot, "mark",
               "microvm: init start microvm: init found /dev/vda "
               "microvm: init mounted /dev/vda as ext4 microvm: init modules in place "
               "microvm: init exec /sbin/init");
    never_says(boot, "\nmicrovm:");
}

/* loadpin.enforce=0: any module may be loaded */
static void test_modules_any(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) boot = run(&(Spec){.append = "root=/dev/vda rw quiet loadpin.enforce=0",
                                       .disks = {make_disk("disk")},
                                       .modules = parts.modules});

    check_fact(boot, "copied-module", "loaded");
    check_fact(boot, "module", "File exists");
}

/* a read-only root with /lib/modules: seen in its place; nothing is written */
static void test_modules_ro(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *disk = make_plain("disk", TRUE, PACK_EXT4, DISK_SIZE);
    g_autofree char *before = digest(disk);
    g_autoptr(Boot) boot =
        run(&(Spec){.append = "root=/dev/vda quiet", .disks = {disk}, .modules = parts.modules});
    g_autofree char *release = release_of(boot);

    check_handover(boot, "/dev/vda", "ext4", "ro");
    boot_assert(boot, is_mounted(boot, "erofs", "/lib/modules"));
    check_fact(boot, "modules-of", release);
    check_fact(boot, "module", "loaded");
    check_unchanged(disk, before);
}

/* a read-only root without /lib/modules: done without where it may be written later, not else */
static void test_modules_no_place(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *disk = make_plain("disk", FALSE, PACK_EXT4, DISK_SIZE);
    const char *squash = make_plain("squash", FALSE, PACK_SQUASHFS, 0);
    g_autoptr(Boot) later =
        run(&(Spec){.append = "root=/dev/vda quiet", .disks = {disk}, .modules = parts.modules});
    g_autoptr(Boot) never =
        run(&(Spec){.append = "root=/dev/vda quiet", .disks = {squash}, .modules = parts.modules});

    check_handover(later, "/dev/vda", "ext4", "ro");
    says(later, "microvm: no modules: the root is read-only and has no directory /lib/modules");
    check_fact(later, "modules-of", "");
    check_handover(never, "/dev/vda", "squashfs", "ro");
    boot_assert(never, is_mounted(never, "overlay", "/lib"));
    boot_assert(never, is_mounted(never, "erofs", "/lib/modules"));
    check_fact(never, "module", "loaded");
}

/* /lib as merged roots have it, and even as a link from the top */
static void test_modules_link(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    static const char *const links[] = {"usr/lib", "/usr/lib"};

    for (gsize i = 0; i < G_N_ELEMENTS(links); i++) {
        g_autofree char *name = g_strdup_printf("disk%" G_GSIZE_FORMAT, i);
        g_autofree char *tree = g_strconcat(name, ".tree", NULL);
        g_autofree char *lib = g_build_filename(tree, "lib", NULL);
        g_autofree char *usr = g_build_filename(tree, "usr", "lib", NULL);
        g_autofree char *command = g_strconcat(PACK_EXT4, " ", tree, " @", NULL);
        g_autoptr(Boot) boot = NULL;

        make_tree(tree, "/sbin/init");
        g_assert_cmpint(g_mkdir_with_parents(usr, 0755), ==, 0);
        g_assert_cmpint(symlink(links[i], lib), ==, 0);
        resize(name, DISK_SIZE);
        g_free(image_run(command, name, NULL));
        boot = run(
            &(Spec){.append = "root=/dev/vda rw quiet", .disks = {name}, .modules = parts.modules});
        boot_assert(boot, is_mounted(boot, "erofs", "/usr/lib/modules/%s"));
        check_fact(boot, "module", "loaded");
    }
}

/* An erofs image at @path with modules of @release, whose kernel has @notes. */
static void make_modules(const char *path, const char *release, const char *notes)
{
    g_autofree char *tree = g_strconcat(path, ".tree", NULL);
    g_autofree char *dir = g_build_filename(tree, "lib", "modules", release, NULL);
    g_autofree char *file = g_build_filename(dir, "kernel.notes", NULL);
    g_autofree char *command = g_strdup_printf("mkfs.erofs --quiet @ %s", tree);

    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    g_assert_true(g_file_set_contents(file, notes, -1, NULL));
    g_free(image_run(command, path, NULL));
}

/* The guest boots without modules, and the console says @why. */
static void check_goes_without(const char *disk, const char *image, const char *why)
{
    g_autoptr(Boot) boot =
        run(&(Spec){.append = "root=/dev/vda quiet", .disks = {disk}, .modules = image});

    check_handover(boot, "/dev/vda", "ext4", "ro");
    check_fact(boot, "module", "");
    says(boot, why);
}

/* of another kernel, or of another build of the same version */
static void test_modules_other(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *disk = make_disk("disk");
    g_autoptr(Boot) boot = run(&(Spec){.append = "root=/dev/vda quiet", .disks = {disk}});
    g_autofree char *release = release_of(boot);
    g_autofree char *why = g_strdup_printf(" are of another build of %s: going on", release);

    check_fact(boot, "modules-of", "");
    make_modules("other", "1.2.3-\033[2Jx", "notes");
    make_modules("build", release, "notes");
    check_goes_without(disk, "other", " are of 1.2.3-?[2Jx, this is ");
    check_goes_without(disk, "build", why);
}

/* damaged at its start, cut, and with noise in its middle */
static void test_modules_damaged(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *disk = make_disk("disk");
    g_autoptr(Boot) noisy = NULL;

    copy_file(parts.modules, "start", 0600);
    write_noise("start", 1024, 512);
    check_goes_without(disk, "start", "that is no erofs image; going on without them");
    copy_file(parts.modules, "cut", 0600);
    g_assert_cmpint(truncate("cut", 2048), ==, 0);
    check_goes_without(disk, "cut", "going on without them");
    copy_file(parts.modules, "noise", 0600);
    write_noise("noise", 65536, 2 * MIB);
    noisy = run(&(Spec){.append = "root=/dev/vda rw quiet", .disks = {disk}, .modules = "noise"});
    says(noisy, "guest: done\n");
    never_says(noisy, "Kernel panic");
    never_says(noisy, "BUG:");
}

/* btrfs, which the kernel has as a module: from the image, or a clear end without it */
static void test_modules_root(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *disk = make_plain("disk", FALSE, PACK_BTRFS, 128 * MIB);
    g_autoptr(Boot) with =
        run(&(Spec){.append = "root=/dev/vda rw quiet", .disks = {disk}, .modules = parts.modules});
    g_autoptr(Boot) without = run(&(Spec){.append = "root=/dev/vda rw quiet", .disks = {disk}});

    check_handover(with, "/dev/vda", "btrfs", "rw");
    check_fact(with, "module", "loaded");
    says(without, "microvm: cannot mount /dev/vda as btrfs: this kernel does not have that file");
    says(without, "microvm: powering off");
}

/* XFS needs a protofile to be made with files in it. */
static void test_modules_xfs(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *proto = g_strdup_printf("/\n0 0\nd--755 0 0\ndev d--755 0 0\n$\n"
                                             "proc d--755 0 0\n$\nsys d--755 0 0\n$\n"
                                             "init ---755 0 0 %s\n$\n",
                                             parts.guest_init);
    g_autoptr(Boot) boot = NULL;

    g_assert_true(g_file_set_contents("proto", proto, -1, NULL));
    resize("disk", 320 * MIB);
    g_free(image_run("mkfs.xfs -q -p proto @", "disk", NULL));
    boot = run(&(Spec){.append = "root=/dev/vda rw quiet init=/init",
                       .disks = {"disk"},
                       .modules = parts.modules});
    check_handover(boot, "/dev/vda", "xfs", "rw");
    check_fact(boot, "module", "loaded");
}

void add_modules_tests(void)
{
    static const struct {
        const char *name;
        void (*test)(Fixture *, gconstpointer);
    } tests[] = {
        {"/boot/modules/rw", test_modules},
        {"/boot/modules/any", test_modules_any},
        {"/boot/modules/ro", test_modules_ro},
        {"/boot/modules/no-place", test_modules_no_place},
        {"/boot/modules/link", test_modules_link},
        {"/boot/modules/other", test_modules_other},
        {"/boot/modules/damaged", test_modules_damaged},
        {"/boot/modules/btrfs", test_modules_root},
        {"/boot/modules/xfs", test_modules_xfs},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].test, tear_down);
    }
}
