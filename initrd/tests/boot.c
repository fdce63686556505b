/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Boots the initrd under QEMU (TCG) with disks made here, once for each kind of root and each way
 * to fail, and checks what the guest and its console say. Needs mke2fs, sfdisk, cpio; no root.
 *
 * The environment names what is tested, "-p /boot/NAME" chooses a test:
 *   QEMU        qemu-system-x86_64, which finds its firmware by itself
 *   KERNEL      vmlinux or bzImage
 *   INITRD      the initrd
 *   MODULES     the kernel's modules.img
 *   GUEST_INIT  the built guest-init.c
 */
#include "boot.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "image.h"

#define MIB (1024 * 1024)
#define DISK_SIZE (16 * MIB)
#define BOOT_LIMIT 120 /* seconds, on a slow, busy host */
#define UUID "11111111-2222-3333-4444-55555555abcd"
#define PARTUUID "aaaaaaaa-bbbb-cccc-dddd-eeeeffff0001"
#define PART_START 8192 /* sectors */
#define SECTOR 512

static char *qemu, *kernel, *initrd, *modules, *guest_init;

/* Each test works in a directory of its own, so that names of files need no directory. */
typedef struct {
    char *dir;
} Fixture;

static void set_up(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->dir = g_dir_make_tmp("initrd-boot-XXXXXX", &error);
    g_assert_no_error(error);
    g_assert_cmpint(g_chdir(fixture->dir), ==, 0);
}

static void tear_down(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_assert_cmpint(g_chdir("/"), ==, 0);
    g_free(image_run("rm -r @", fixture->dir, NULL));
    g_free(fixture->dir);
}

typedef struct {
    const char *append;
    const char *disks[4]; /* vda first */
    const char *initrd;   /* NULL: the one that is tested */
    const char *share;    /* a directory, under the tag "share" */
    const char *modules;  /* an image, attached as the launcher does it */
} Spec;

static void add_modules(GPtrArray *argv, const char *image)
{
    boot_add(argv, "-drive", "if=none,id=modules,file=%s,format=raw,readonly=on", image);
    boot_add(argv, "-device",
             "virtio-blk-device,drive=modules,bus=virtio-mmio-bus.0,num-queues=1,queue-size=16,"
             "serial=microvm-modules");
}

static Boot *start(const Spec *spec)
{
    g_autoptr(GPtrArray) argv = boot_argv(qemu);
    g_autoptr(GError) error = NULL;
    Boot *boot;

    boot_add(argv, "-M", "microvm,acpi=on,rtc=on,pcie=off");
    boot_add(argv, "-m", "256");
    boot_add(argv, "-bios", "qboot.rom");
    boot_add(argv, "-kernel", "%s", kernel);
    boot_add(argv, "-initrd", "%s", spec->initrd ? spec->initrd : initrd);
    boot_add(argv, "-append", "console=ttyS0 %s", spec->append);
    for (int i = 0; spec->disks[i]; i++) {
        boot_add_disk(argv, i, spec->disks[i], 23 - i);
    }
    if (spec->share) {
        boot_add(argv, "-fsdev", "local,id=f0,path=%s,security_model=none", spec->share);
        boot_add(argv, "-device", "virtio-9p-device,fsdev=f0,mount_tag=share");
    }
    if (spec->modules) {
        add_modules(argv, spec->modules);
    }
    boot = boot_start(argv, BOOT_LIMIT, &error);
    g_assert_no_error(error);
    boot_qmp(boot, &error); /* from the start, to miss no event */
    boot_assert_no_error(boot, error);
    return boot;
}

static void wait_text(Boot *boot, const char *text)
{
    g_autoptr(GError) error = NULL;

    boot_wait_text(boot, text, &error);
    boot_assert_no_error(boot, error);
}

static void wait_end(Boot *boot)
{
    g_autoptr(GError) error = NULL;

    boot_wait_end(boot, &error);
    boot_assert_no_error(boot, error);
}

/* Boots, and waits until the guest has ended QEMU by itself. */
static Boot *run(const Spec *spec)
{
    Boot *boot = start(spec);

    wait_end(boot);
    return boot;
}

#define says(boot, text) boot_assert(boot, strstr(boot_console(boot), text))
#define never_says(boot, text) boot_assert(boot, !strstr(boot_console(boot), text))

/* The values of "guest: KEY=VALUE". */
static GStrv facts(const Boot *boot, const char *key)
{
    g_autofree char *prefix = g_strdup_printf("guest: %s=", key);

    return boot_lines(boot, prefix);
}

/* The guest says @key once for each blank-separated word of @values, in this order. */
static void check_fact(Boot *boot, const char *key, const char *values)
{
    g_auto(GStrv) found = facts(boot, key);
    g_autofree char *joined = g_strjoinv(" ", found);

    boot_assert(boot, g_str_equal(joined, values));
}

/* The reason of QEMU's end, as its monitor tells it. */
static void check_shutdown(Boot *boot, const char *reason)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) event =
        qmp_wait_event(boot_qmp(boot, NULL), "SHUTDOWN", boot_deadline(boot), &error);
    JsonObject *data;

    boot_assert_no_error(boot, error);
    data = json_object_get_object_member(event, "data");
    g_assert_cmpstr(json_object_get_string_member(data, "reason"), ==, reason);
}

static JsonNode *monitor(Boot *boot, const char *command, const char *arguments)
{
    g_autoptr(GError) error = NULL;
    JsonNode *answer =
        qmp_execute(boot_qmp(boot, NULL), command, arguments, boot_deadline(boot), &error);

    boot_assert_no_error(boot, error);
    return answer;
}

/* /dev, /proc and /sys are mounted once each, and / of type @kind is @root, mounted @mode. */
static void check_mounts(Boot *boot, const char *root, const char *kind, const char *mode)
{
    g_auto(GStrv) mounts = facts(boot, "mount");
    g_autoptr(GString) system = g_string_new(NULL);
    int roots = 0;

    for (char **mount = mounts; *mount; mount++) {
        g_auto(GStrv) words = g_strsplit(*mount, " ", -1); /* source target type options 0 0 */

        boot_assert(boot, g_strv_length(words) == 6);
        if (g_str_equal(words[1], "/dev") || g_str_equal(words[1], "/proc") ||
            g_str_equal(words[1], "/sys")) {
            g_string_append_printf(system, "%s %s,", words[1], words[2]);
        } else if (g_str_equal(words[1], "/") && g_str_equal(words[2], kind)) {
            g_auto(GStrv) options = g_strsplit(words[3], ",", -1);

            roots++;
            boot_assert(boot, g_str_equal(words[0], root));
            boot_assert(boot, g_str_equal(options[0], mode));
        }
    }
    boot_assert(boot, g_str_equal(system->str, "/dev devtmpfs,/proc proc,/sys sysfs,"));
    boot_assert(boot, roots == 1);
}

/* The three standard files are the console, and nothing else is open but guest-init's own (3). */
static void check_descriptors(Boot *boot)
{
    g_auto(GStrv) fds = facts(boot, "fd");
    guint seen = 0;

    for (char **fd = fds; *fd; fd++) {
        boot_assert(boot, **fd >= '0' && **fd <= '3' && g_str_equal(*fd + 1, " /dev/console"));
        seen |= 1u << (**fd - '0');
    }
    boot_assert(boot, (seen & 7) == 7);
}

/* What every root's init may count on. */
static void check_handover(Boot *boot, const char *root, const char *kind, const char *mode)
{
    check_fact(boot, "pid", "1");
    says(boot, "guest: done\n");
    check_mounts(boot, root, kind, mode);
    check_descriptors(boot);
    never_says(boot, "Kernel panic");
    never_says(boot, "BUG:");
    never_says(boot, "WARNING:");
}

static void copy_file(const char *from, const char *to, int mode)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data = NULL;
    gsize size;

    g_file_get_contents(from, &data, &size, &error);
    g_assert_no_error(error);
    g_file_set_contents_full(to, data, (gssize)size, G_FILE_SET_CONTENTS_NONE, mode, &error);
    g_assert_no_error(error);
}

/* Writes @size bytes to @path at @offset. */
static void write_at(const char *path, off_t offset, const void *data, gsize size)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pwrite(fd, data, size, offset), ==, size);
    close(fd);
}

static void write_noise(const char *path, off_t offset, gsize size)
{
    g_autofree guint32 *noise = g_malloc(size);

    for (gsize i = 0; i < size / sizeof(*noise); i++) {
        noise[i] = g_random_int();
    }
    write_at(path, offset, noise, size);
}

static void resize(const char *path, off_t size)
{
    write_at(path, 0, "", 0);
    g_assert_cmpint(truncate(path, size), ==, 0);
}

/* A root directory @tree with guest-init as @init; none if NULL. */
static void make_tree(const char *tree, const char *init)
{
    static const char *const names[] = {"dev", "proc", "sys", "sbin", "bin"};

    g_assert_cmpint(g_mkdir(tree, 0755), ==, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(tree, names[i], NULL);

        g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
    }
    if (init) {
        g_autofree char *path = g_build_filename(tree, init, NULL);

        copy_file(guest_init, path, 0755);
    }
}

typedef struct {
    const char *kind, *label, *uuid, *init;
} Root;

/* A disk at @path that is such a root. Returns @path. */
static const char *make_root(const char *path, const Root *root)
{
    g_autofree char *tree = g_strconcat(path, ".tree", NULL);
    g_autofree char *command = g_strdup_printf("mke2fs -q -F -t %s -L %s -U %s -d %s @", root->kind,
                                               root->label, root->uuid, tree);

    make_tree(tree, root->init);
    resize(path, DISK_SIZE);
    g_free(image_run(command, path, NULL));
    return path;
}

/* The root that most tests boot. */
static const char *make_disk(const char *path)
{
    return make_root(path, &(Root){"ext4", "root-fs", UUID, "/sbin/init"});
}

/* A disk whose second partition is a root. */
static const char *make_partitioned(const char *path)
{
    g_autofree char *plain = g_strconcat(path, ".plain", NULL);
    g_autofree char *table = g_strdup_printf("label: gpt\nstart=2048, size=2048, name=\"first\"\n"
                                             "start=%d, size=%d, uuid=%s, name=\"the root\"\n",
                                             PART_START, DISK_SIZE / SECTOR, PARTUUID);
    g_autofree char *data = NULL;

    make_root(plain, &(Root){"ext4", "in-partition", UUID, "/sbin/init"});
    resize(path, 24 * MIB);
    g_free(image_run("sfdisk -q @", path, table));
    g_assert_true(g_file_get_contents(plain, &data, NULL, NULL));
    write_at(path, (off_t)PART_START * SECTOR, data, DISK_SIZE);
    return path;
}

static char *digest(const char *path)
{
    g_autofree char *data = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *)data, size);
}

static void check_unchanged(const char *path, const char *before)
{
    g_autofree char *after = digest(path);

    g_assert_cmpstr(after, ==, before);
}

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
    g_assert_true(g_file_get_contents(initrd, &own, &own_size, NULL));
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
    light = free_kib(disk, initrd);
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

/* -- the modules' image */

static int by_text(const char **a, const char **b)
{
    return strcmp(*a, *b);
}

/* The values of "guest: KEY=VALUE", sorted and joined by blanks. */
static char *sorted_facts(const Boot *boot, const char *key)
{
    g_auto(GStrv) found = facts(boot, key);

    qsort(found, g_strv_length(found), sizeof(*found),
          (int (*)(const void *, const void *))by_text);
    return g_strjoinv(" ", found);
}

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
    g_auto(GStrv) parts = g_strsplit(target, "%s", 2);
    g_autofree char *place = g_strjoinv(release, parts);
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
                                       .modules = modules});
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
    never_says(boot, "microvm:");
}

/* loadpin.enforce=0: any module may be loaded */
static void test_modules_any(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) boot = run(&(Spec){.append = "root=/dev/vda rw quiet loadpin.enforce=0",
                                       .disks = {make_disk("disk")},
                                       .modules = modules});

    check_fact(boot, "copied-module", "loaded");
    check_fact(boot, "module", "File exists");
}

/* a read-only root with /lib/modules: seen beside what is there; nothing is written */
static void test_modules_ro(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *disk = make_plain("disk", TRUE, PACK_EXT4, DISK_SIZE);
    g_autofree char *before = digest(disk);
    g_autoptr(Boot) boot =
        run(&(Spec){.append = "root=/dev/vda quiet", .disks = {disk}, .modules = modules});
    g_autofree char *release = release_of(boot), *of = sorted_facts(boot, "modules-of");
    g_autofree char *both = g_strdup_printf("%s other", release);

    check_handover(boot, "/dev/vda", "ext4", "ro");
    boot_assert(boot, is_mounted(boot, "overlay", "/lib/modules"));
    boot_assert(boot, g_str_equal(of, both));
    check_fact(boot, "module", "loaded");
    check_unchanged(disk, before);
}

/* a read-only root without /lib/modules: done without where it may be written later, not else */
static void test_modules_no_place(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    const char *disk = make_plain("disk", FALSE, PACK_EXT4, DISK_SIZE);
    const char *squash = make_plain("squash", FALSE, PACK_SQUASHFS, 0);
    g_autoptr(Boot) later =
        run(&(Spec){.append = "root=/dev/vda quiet", .disks = {disk}, .modules = modules});
    g_autoptr(Boot) never =
        run(&(Spec){.append = "root=/dev/vda quiet", .disks = {squash}, .modules = modules});

    check_handover(later, "/dev/vda", "ext4", "ro");
    says(later, "microvm: no modules: the root is read-only and has no directory /lib/modules");
    check_fact(later, "modules-of", "");
    check_handover(never, "/dev/vda", "squashfs", "ro");
    boot_assert(never, is_mounted(never, "overlay", "/lib"));
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
        boot =
            run(&(Spec){.append = "root=/dev/vda rw quiet", .disks = {name}, .modules = modules});
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

    copy_file(modules, "start", 0600);
    write_noise("start", 1024, 512);
    check_goes_without(disk, "start", "that is no erofs image; going on without them");
    copy_file(modules, "cut", 0600);
    g_assert_cmpint(truncate("cut", 8192), ==, 0);
    check_goes_without(disk, "cut", "going on without them");
    copy_file(modules, "noise", 0600);
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
        run(&(Spec){.append = "root=/dev/vda rw quiet", .disks = {disk}, .modules = modules});
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
                                             guest_init);
    g_autoptr(Boot) boot = NULL;

    g_assert_true(g_file_set_contents("proto", proto, -1, NULL));
    resize("disk", 320 * MIB);
    g_free(image_run("mkfs.xfs -q -p proto @", "disk", NULL));
    boot = run(&(Spec){
        .append = "root=/dev/vda rw quiet init=/init", .disks = {"disk"}, .modules = modules});
    check_handover(boot, "/dev/vda", "xfs", "rw");
    check_fact(boot, "module", "loaded");
}

/* rdinit= with a program that a second archive brings: the kernel runs that instead */
static void test_rdinit(G_GNUC_UNUSED Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(Boot) boot = NULL;

    copy_file(guest_init, "shell", 0755);
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

    g_test_init(&argc, &argv, NULL);
    qemu = file_from("QEMU");
    kernel = file_from("KERNEL");
    initrd = file_from("INITRD");
    modules = file_from("MODULES");
    guest_init = file_from("GUEST_INIT");
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].test, tear_down);
    }
    int rc = g_test_run();
    g_free(qemu);
    g_free(kernel);
    g_free(initrd);
    g_free(modules);
    g_free(guest_init);
    return rc;
}
