/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lab.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "image.h"

#define BOOT_LIMIT 120  /* seconds, on a slow, busy host */
#define PART_START 8192 /* sectors */

Parts parts;

void set_up(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->dir = g_dir_make_tmp("initrd-boot-XXXXXX", &error);
    g_assert_no_error(error);
    g_assert_cmpint(g_chdir(fixture->dir), ==, 0);
}

void tear_down(Fixture *fixture, G_GNUC_UNUSED gconstpointer data)
{
    g_assert_cmpint(g_chdir("/"), ==, 0);
    g_free(image_run("rm -r @", fixture->dir, NULL));
    g_free(fixture->dir);
}

static void add_modules(GPtrArray *argv, const char *image)
{
    boot_add(argv, "-drive", "if=none,id=modules,file=%s,format=raw,readonly=on", image);
    boot_add(argv, "-device",
             "virtio-blk-device,drive=modules,bus=virtio-mmio-bus.0,num-queues=1,queue-size=16,"
             "serial=microvm-modules");
}

Boot *start(const Spec *spec)
{
    g_autoptr(GPtrArray) argv = boot_argv(parts.qemu);
    g_autoptr(GError) error = NULL;
    Boot *boot;

    boot_add(argv, "-M", "microvm,acpi=on,rtc=on,pcie=off");
    boot_add(argv, "-m", "256");
    boot_add(argv, "-bios", "qboot.rom");
    boot_add(argv, "-kernel", "%s", parts.kernel);
    boot_add(argv, "-initrd", "%s", spec->initrd ? spec->initrd : parts.initrd);
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

void wait_text(Boot *boot, const char *text)
{
    g_autoptr(GError) error = NULL;

    boot_wait_text(boot, text, &error);
    boot_assert_no_error(boot, error);
}

void wait_end(Boot *boot)
{
    g_autoptr(GError) error = NULL;

    boot_wait_end(boot, &error);
    boot_assert_no_error(boot, error);
}

/* Boots, and waits until the guest has ended QEMU by itself. */
Boot *run(const Spec *spec)
{
    Boot *boot = start(spec);

    wait_end(boot);
    return boot;
}

/* The values of "guest: KEY=VALUE". */
GStrv facts(const Boot *boot, const char *key)
{
    g_autofree char *prefix = g_strdup_printf("guest: %s=", key);

    return boot_lines(boot, prefix);
}

/* The guest says @key once for each blank-separated word of @values, in this order. */
void check_fact(Boot *boot, const char *key, const char *values)
{
    g_auto(GStrv) found = facts(boot, key);
    g_autofree char *joined = g_strjoinv(" ", found);

    boot_assert(boot, g_str_equal(joined, values));
}

/* The reason of QEMU's end, as its monitor tells it. */
void check_shutdown(Boot *boot, const char *reason)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) event =
        qmp_wait_event(boot_qmp(boot, NULL), "SHUTDOWN", boot_deadline(boot), &error);
    JsonObject *data;

    boot_assert_no_error(boot, error);
    data = json_object_get_object_member(event, "data");
    g_assert_cmpstr(json_object_get_string_member(data, "reason"), ==, reason);
}

JsonNode *monitor(Boot *boot, const char *command, const char *arguments)
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
void check_handover(Boot *boot, const char *root, const char *kind, const char *mode)
{
    check_fact(boot, "pid", "1");
    says(boot, "guest: done\n");
    check_mounts(boot, root, kind, mode);
    check_descriptors(boot);
    never_says(boot, "Kernel panic");
    never_says(boot, "BUG:");
    never_says(boot, "WARNING:");
}

void copy_file(const char *from, const char *to, int mode)
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
void write_at(const char *path, off_t offset, const void *data, gsize size)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pwrite(fd, data, size, offset), ==, size);
    close(fd);
}

void write_noise(const char *path, off_t offset, gsize size)
{
    g_autofree guint32 *noise = g_malloc(size);

    for (gsize i = 0; i < size / sizeof(*noise); i++) {
        noise[i] = g_random_int();
    }
    write_at(path, offset, noise, size);
}

void resize(const char *path, off_t size)
{
    write_at(path, 0, "", 0);
    g_assert_cmpint(truncate(path, size), ==, 0);
}

/* A root directory @tree with guest-init as @init; none if NULL. */
void make_tree(const char *tree, const char *init)
{
    static const char *const names[] = {"dev", "proc", "sys", "sbin", "bin"};

    g_assert_cmpint(g_mkdir(tree, 0755), ==, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(tree, names[i], NULL);

        g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
    }
    if (init) {
        g_autofree char *path = g_build_filename(tree, init, NULL);

        copy_file(parts.guest_init, path, 0755);
    }
}

/* A disk at @path that is such a root. Returns @path. */
const char *make_root(const char *path, const Root *root)
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
const char *make_disk(const char *path)
{
    return make_root(path, &(Root){"ext4", "root-fs", UUID, "/sbin/init"});
}

/* A disk whose second partition is a root. */
const char *make_partitioned(const char *path)
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

char *digest(const char *path)
{
    g_autofree char *data = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *)data, size);
}

void check_unchanged(const char *path, const char *before)
{
    g_autofree char *after = digest(path);

    g_assert_cmpstr(after, ==, before);
}
