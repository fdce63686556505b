/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib/gstdio.h>
#include <string.h>

#include "config.h"
#include "section.h"
#include "storage.h"

#define FSID "6a3d1c5e-0b1f-4a55-9c1e-0123456789ab"

static const char config[] = "# storages\n"
                             "dir: local\n"
                             "\tpath /srv/vz/\n"
                             "\tcontent images,iso\n"
                             "\n"
                             "dir: renamed\n"
                             "\tpath /srv/renamed\n"
                             "\tcontent-dirs images=vm/disks,iso=cds\n"
                             "\n"
                             "NFS: nas\n"
                             "\tserver 192.0.2.1\n"
                             "\texport /x\n"
                             "\n"
                             "cifs: share\n"
                             "\tpath /mnt/share\n"
                             "\n"
                             "btrfs: bt\n"
                             "\tpath /srv/bt\n"
                             "\n"
                             "lvm: thick\n"
                             "\tvgname vg0\n"
                             "\n"
                             "lvmthin: local-lvm\n"
                             "\tthinpool data\n"
                             "\tvgname pve\n"
                             "\n"
                             "zfspool: tank\n"
                             "\tpool rpool/data\n"
                             "\n"
                             "iscsi: san\n"
                             "\tportal 192.0.2.2\n"
                             "\n"
                             "rbd: ceph\n"
                             "\tnamespace ns1\n"
                             "\n"
                             "rbd: ext\n"
                             "\tpool disks\n"
                             "\tmonhost 192.0.2.3 192.0.2.4\n"
                             "\tusername guest\n"
                             "\n"
                             "rbd: kernel\n"
                             "\tkrbd\n"
                             "\tnamespace ns1\n"
                             "\tfsid " FSID "\n"
                             "\n"
                             "rbd: kernel-off\n"
                             "\tkrbd 0\n"
                             "\n"
                             "rbd: kernel-ext\n"
                             "\tkrbd 1\n"
                             "\tmonhost 192.0.2.3\n"
                             "\n"
                             "rbd: kernel-bad\n"
                             "\tkrbd 1\n"
                             "\tfsid ../../../etc\n"
                             "\n"
                             "zfs: over-iscsi\n"
                             "\n"
                             "esxi: vmware\n"
                             "\n"
                             "acme: third-party\n"
                             "\n"
                             "dir: off\n"
                             "\tpath /off\n"
                             "\tdisable\n"
                             "\n"
                             "dir: off1\n"
                             "\tpath /off\n"
                             "\tdisable 1\n"
                             "\n"
                             "dir: on\n"
                             "\tpath /on\n"
                             "\tdisable 0\n"
                             "\n"
                             "dir: nopath\n"
                             "\n"
                             "dir: relative\n"
                             "\tpath srv\n"
                             "\n"
                             "lvm: novg\n"
                             "\n"
                             "dir: control\n"
                             "\tpath /srv/\x01\n";

static Storages *load(const char *text, GPtrArray *warnings)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("test-storage-XXXXXX", &path, &error);
    Storages *storages;

    g_assert_no_error(error);
    g_assert_true(g_close(fd, NULL));
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    storages = storage_load(path, warnings, &error);
    g_assert_no_error(error);
    g_assert_cmpint(g_unlink(path), ==, 0);
    return storages;
}

static DiskSource *resolve(const Storages *storages, const char *text, const char *format,
                           GError **error)
{
    g_autoptr(VolumeId) id = volume_id_parse(text, NULL);

    g_assert_nonnull(id);
    return storage_resolve(storages, id, format, error);
}

static void assert_path(const Storages *storages, const char *text, DiskKind kind, const char *path,
                        const char *format, const char *type)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DiskSource) source = resolve(storages, text, NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpint(source->kind, ==, kind);
    g_assert_cmpstr(source->path, ==, path);
    g_assert_cmpstr(source->format, ==, format);
    g_assert_cmpstr(source->storage_type, ==, type);
}

static void assert_refused(const Storages *storages, const char *text, int code)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DiskSource) source = resolve(storages, text, NULL, &error);

    if (source)
        g_error("%s gave %s", text, source->path);
    g_assert_error(error, STORAGE_ERROR, code);
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    g_assert_null(strchr(error->message, '\n'));
}

static void test_files(void)
{
    g_autoptr(Storages) s = load(config, NULL);

    assert_path(s, "local:114/vm-114-disk-0.qcow2", DISK_FILE,
                "/srv/vz/images/114/vm-114-disk-0.qcow2", "qcow2", "dir");
    assert_path(s, "local:114/vm-114-disk-0.raw", DISK_FILE, "/srv/vz/images/114/vm-114-disk-0.raw",
                "raw", "dir");
    assert_path(s, "local:114/a.b.vmdk", DISK_FILE, "/srv/vz/images/114/a.b.vmdk", "vmdk", "dir");
    assert_path(s, "local:iso/debian-13.ISO", DISK_FILE, "/srv/vz/template/iso/debian-13.ISO",
                "raw", "dir");
    assert_path(s, "local:vm-114-disk-0", DISK_FILE, "/srv/vz/images/114/vm-114-disk-0.raw", "raw",
                "dir");
    assert_path(s, "local:iso/disk.img", DISK_FILE, "/srv/vz/template/iso/disk.img", "raw", "dir");
    assert_path(s, "local:100/base-100-disk-0.qcow2/114/vm-114-disk-0.qcow2", DISK_FILE,
                "/srv/vz/images/114/vm-114-disk-0.qcow2", "qcow2", "dir");
    assert_path(s, "local:114/vm-114-cloudinit.qcow2", DISK_FILE,
                "/srv/vz/images/114/vm-114-cloudinit.qcow2", "qcow2", "dir");
    assert_path(s, "renamed:114/x.raw", DISK_FILE, "/srv/renamed/vm/disks/114/x.raw", "raw", "dir");
    assert_path(s, "renamed:iso/x.iso", DISK_FILE, "/srv/renamed/cds/x.iso", "raw", "dir");
    assert_path(s, "nas:114/x.qcow2", DISK_FILE, "/mnt/pve/nas/images/114/x.qcow2", "qcow2", "nfs");
    assert_path(s, "share:114/x.raw", DISK_FILE, "/mnt/share/images/114/x.raw", "raw", "cifs");
    assert_path(s, "bt:114/vm-114-disk-0.raw", DISK_FILE,
                "/srv/bt/images/114/vm-114-disk-0/disk.raw", "raw", "btrfs");
    assert_path(s, "bt:114/vm-114-disk-0.qcow2", DISK_FILE,
                "/srv/bt/images/114/vm-114-disk-0.qcow2", "qcow2", "btrfs");
    assert_path(s, "on:1/x.raw", DISK_FILE, "/on/images/1/x.raw", "raw", "dir");
}

static void test_devices(void)
{
    g_autoptr(Storages) s = load(config, NULL);

    assert_path(s, "thick:vm-114-disk-0", DISK_BLOCK_DEVICE, "/dev/vg0/vm-114-disk-0", "raw",
                "lvm");
    assert_path(s, "thick:vm-114-disk-0.qcow2", DISK_BLOCK_DEVICE, "/dev/vg0/vm-114-disk-0.qcow2",
                "qcow2", "lvm");
    assert_path(s, "local-lvm:vm-114-disk-0", DISK_BLOCK_DEVICE, "/dev/pve/vm-114-disk-0", "raw",
                "lvmthin");
    assert_path(s, "local-lvm:base-100-disk-0", DISK_BLOCK_DEVICE, "/dev/pve/base-100-disk-0",
                "raw", "lvmthin");
    assert_path(s, "tank:vm-114-disk-0", DISK_BLOCK_DEVICE, "/dev/zvol/rpool/data/vm-114-disk-0",
                "raw", "zfspool");
    assert_path(s, "tank:base-100-disk-0/vm-114-disk-0", DISK_BLOCK_DEVICE,
                "/dev/zvol/rpool/data/vm-114-disk-0", "raw", "zfspool");
    assert_path(s, "san:0.0.1.scsi-3600a:b", DISK_BLOCK_DEVICE, "/dev/disk/by-id/scsi-3600a:b",
                "raw", "iscsi");
    assert_path(s, "kernel:vm-114-disk-0", DISK_BLOCK_DEVICE,
                "/dev/rbd-pve/" FSID "/rbd/ns1/vm-114-disk-0", "raw", "rbd");
}

static void test_rbd(void)
{
    g_autoptr(Storages) s = load(config, NULL);
    g_autoptr(DiskSource) ceph = resolve(s, "ceph:base-100-disk-0/vm-114-disk-0", NULL, NULL);
    g_autoptr(DiskSource) ext = resolve(s, "ext:vm-114-disk-0", "raw", NULL);
    g_autoptr(DiskSource) off = resolve(s, "kernel-off:vm-114-disk-0", NULL, NULL);

    g_assert_cmpint(ceph->kind, ==, DISK_RBD);
    g_assert_null(ceph->path);
    g_assert_cmpstr(ceph->format, ==, "raw");
    g_assert_cmpstr(ceph->rbd_pool, ==, "rbd");
    g_assert_cmpstr(ceph->rbd_namespace, ==, "ns1");
    g_assert_cmpstr(ceph->rbd_image, ==, "vm-114-disk-0");
    g_assert_cmpstr(ceph->rbd_conf, ==, "/etc/pve/ceph.conf");
    g_assert_cmpstr(ceph->rbd_user, ==, "admin");
    g_assert_null(ceph->rbd_monhost);

    g_assert_cmpstr(ext->rbd_pool, ==, "disks");
    g_assert_null(ext->rbd_namespace);
    g_assert_cmpstr(ext->rbd_user, ==, "guest");
    g_assert_null(ext->rbd_conf);
    g_assert_cmpstr(ext->rbd_monhost, ==, "192.0.2.3 192.0.2.4");

    g_assert_cmpint(off->kind, ==, DISK_RBD);
}

static void test_absolute(void)
{
    g_autoptr(Storages) s = storage_load(NULL, NULL, NULL);
    g_autoptr(DiskSource) qcow2 = resolve(s, "/srv/nowhere/x.qcow2", "qcow2", NULL);
    g_autoptr(DiskSource) untold = resolve(s, "/srv/nowhere/x.qcow2", NULL, NULL);

    g_assert_cmpint(qcow2->kind, ==, DISK_FILE);
    g_assert_cmpstr(qcow2->path, ==, "/srv/nowhere/x.qcow2");
    g_assert_cmpstr(qcow2->format, ==, "qcow2");
    g_assert_null(qcow2->storage_type);
    /* Never guessed from the name, as in Proxmox: a guest could write itself a header. */
    g_assert_cmpstr(untold->format, ==, "raw");
    assert_path(s, "/dev/nothing-here", DISK_BLOCK_DEVICE, "/dev/nothing-here", "raw", NULL);
    assert_path(s, "/dev/null", DISK_FILE, "/dev/null", "raw", NULL);
    assert_refused(s, "none", STORAGE_ERROR_VOLUME);
    assert_refused(s, "cdrom", STORAGE_ERROR_VOLUME);
}

static void test_implicit_local(void)
{
    g_autoptr(Storages) none = storage_load(NULL, NULL, NULL);
    g_autoptr(Storages) empty = load("", NULL);
    g_autoptr(Storages) pathless = load("dir: local\n\tcontent images\n", NULL);

    assert_path(none, "local:1/x.raw", DISK_FILE, "/var/lib/vz/images/1/x.raw", "raw", "dir");
    assert_path(empty, "local:1/x.raw", DISK_FILE, "/var/lib/vz/images/1/x.raw", "raw", "dir");
    assert_path(pathless, "local:1/x.raw", DISK_FILE, "/var/lib/vz/images/1/x.raw", "raw", "dir");
    assert_refused(none, "other:1/x.raw", STORAGE_ERROR_UNKNOWN);
}

static void test_format(void)
{
    g_autoptr(Storages) s = load(config, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(DiskSource) same = resolve(s, "local:1/x.qcow2", "qcow2", &error);

    g_assert_no_error(error);
    g_assert_cmpstr(same->format, ==, "qcow2");
    g_assert_null(resolve(s, "local:1/x.qcow2", "raw", &error));
    g_assert_error(error, STORAGE_ERROR, STORAGE_ERROR_VOLUME);
}

static void test_refused(void)
{
    g_autoptr(Storages) s = load(config, NULL);

    assert_refused(s, "nosuch:vm-1-disk-0", STORAGE_ERROR_UNKNOWN);
    assert_refused(s, "off:1/x.raw", STORAGE_ERROR_UNKNOWN);
    assert_refused(s, "off1:1/x.raw", STORAGE_ERROR_UNKNOWN);
    assert_refused(s, "over-iscsi:vm-1-disk-0", STORAGE_ERROR_UNSUPPORTED);
    assert_refused(s, "vmware:x", STORAGE_ERROR_UNSUPPORTED);
    assert_refused(s, "third-party:x", STORAGE_ERROR_UNSUPPORTED);
    assert_refused(s, "nopath:1/x.raw", STORAGE_ERROR_SYNTAX);
    assert_refused(s, "relative:1/x.raw", STORAGE_ERROR_SYNTAX);
    assert_refused(s, "control:1/x.raw", STORAGE_ERROR_SYNTAX);
    assert_refused(s, "novg:vm-1-disk-0", STORAGE_ERROR_SYNTAX);
    assert_refused(s, "kernel-ext:vm-1-disk-0", STORAGE_ERROR_SYNTAX);
    assert_refused(s, "kernel-bad:vm-1-disk-0", STORAGE_ERROR_SYNTAX);
}

/* No volume name may lead out of its storage. */
static void test_escapes(void)
{
    static const char *const dirs[] = {
        "../etc/x.raw",     "114/../x.raw",
        "114/..",           "114/x.raw/..",
        "114/.raw",         "114/x",
        "114/x.qcow",       "114/x y.raw",
        "114//x.raw",       "/114/x.raw",
        "114/a/b.raw",      "vm/x.raw",
        "114/x.raw/114",    "1/b.raw/../x.raw",
        "../b.raw/1/x.raw", "1/../1/x.raw",
        "1/b.raw/1/..",     "1/b.raw/1/x.raw/y",
        "iso/../x.iso",     "iso/a/b.iso",
        "iso/..",           "iso/",
        "iso/x.txt",        "iso",
        "import/x.qcow2",   "vztmpl/x.tar.gz",
        "114/x.subvol",     "x.raw",
        "snippets/u.yaml",  "backup/x.vma",
        "-1/x.raw",         "114/",
    };
    static const char *const volumes[] = {"..",        ".",           "a/b",      "../x",
                                          "vm-1/../x", "vm-1-x/..",   "/dev/sda", "vm-1 x",
                                          "disk",      "vm-1/x/vm-2", "vm-1/",    "/vm-1"};
    static const char *const iscsi[] = {"0.0.1.",     "0.0.1...", "0.0.1.a/b", "0.0.x.y",
                                        "0.0.1.../x", "x",        "0..1.x",    "0.0.1"};
    g_autoptr(Storages) s = load(config, NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(dirs); i++) {
        g_autofree char *dir = g_strconcat("local:", dirs[i], NULL);
        g_autofree char *btrfs = g_strconcat("bt:", dirs[i], NULL);

        assert_refused(s, dir, STORAGE_ERROR_VOLUME);
        assert_refused(s, btrfs, STORAGE_ERROR_VOLUME);
    }
    assert_refused(s, "bt:114/...raw", STORAGE_ERROR_VOLUME);
    for (gsize i = 0; i < G_N_ELEMENTS(volumes); i++) {
        static const char *const storages[] = {"thick:", "local-lvm:", "tank:", "ceph:", "kernel:"};

        for (gsize j = 0; j < G_N_ELEMENTS(storages); j++) {
            g_autofree char *volume = g_strconcat(storages[j], volumes[i], NULL);

            assert_refused(s, volume, STORAGE_ERROR_VOLUME);
        }
    }
    for (gsize i = 0; i < G_N_ELEMENTS(iscsi); i++) {
        g_autofree char *volume = g_strconcat("san:", iscsi[i], NULL);

        assert_refused(s, volume, STORAGE_ERROR_VOLUME);
    }
}

static void test_random_names(void)
{
    static const char *const pieces[] = {"..",     ".",        "/",    "1",      "114",
                                         "vm-1-a", "base-1-b", ".raw", ".qcow2", "iso/",
                                         "x.iso",  " ",        "\\",   ",",      "%2e"};
    static const struct {
        const char *storage, *inside;
    } places[] = {{"local:", "/srv/vz/"},
                  {"bt:", "/srv/bt/"},
                  {"thick:", "/dev/vg0/"},
                  {"tank:", "/dev/zvol/rpool/data/"},
                  {"san:0.0.1.", "/dev/disk/by-id/"},
                  {"kernel:", "/dev/rbd-pve/" FSID "/rbd/ns1/"}};
    g_autoptr(Storages) s = load(config, NULL);
    g_autoptr(GRand) rand = g_rand_new_with_seed(114);
    int accepted = 0;

    for (int round = 0; round < 60000; round++) {
        gsize place = g_rand_int_range(rand, 0, G_N_ELEMENTS(places));
        g_autoptr(GString) text = g_string_new(places[place].storage);
        g_autoptr(VolumeId) id = NULL;
        g_autoptr(DiskSource) source = NULL;
        g_autofree char *canonical = NULL;

        for (int n = g_rand_int_range(rand, 1, 7); n > 0; n--)
            g_string_append(text, pieces[g_rand_int_range(rand, 0, G_N_ELEMENTS(pieces))]);
        id = volume_id_parse(text->str, NULL);
        source = id ? storage_resolve(s, id, NULL, NULL) : NULL;
        if (!source)
            continue;
        accepted++;
        canonical = g_canonicalize_filename(source->path, "/");
        g_assert_cmpstr(canonical, ==, source->path);
        if (!g_str_has_prefix(source->path, places[place].inside))
            g_error("%s gave %s", text->str, source->path);
    }
    g_assert_cmpint(accepted, >, 1000);
}

static void test_grammar(void)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(Storages) s = load("junk\n"
                                 "dir:one\n"
                                 "  # a comment does not end a section\n"
                                 "  path   /one  \n"
                                 "\tpath /two\n"
                                 "nonsense\n"
                                 "\n"
                                 "dir: 1bad\n"
                                 "\tpath /x\n"
                                 "\n"
                                 "\tpath /outside\n"
                                 "DIR: two\n"
                                 "\tpath /a b\n"
                                 "\n"
                                 "dir: two\n"
                                 "\tpath /later\n"
                                 "\n"
                                 "dir: a b\n",
                                 warnings);
    static const char *const texts[] = {
        ":1: not a section (TYPE: NAME), skipped: 'junk'",
        ":5: given twice, the first one holds: 'path'",
        ":6: not a property, skipped: 'nonsense'",
        ":8: not a section's name, skipped: '1bad'",
        ":11: not a section (TYPE: NAME), skipped: '\\x09path /outside'",
        ":15: section stands twice, the last one holds: 'two'",
        ":18: not a section (TYPE: NAME), skipped: 'dir: a b'"};

    for (gsize i = 0; i < G_N_ELEMENTS(texts) && i < warnings->len; i++) {
        if (!g_str_has_suffix(warnings->pdata[i], texts[i]))
            g_error("'%s' does not end in '%s'", (char *)warnings->pdata[i], texts[i]);
    }
    g_assert_cmpuint(warnings->len, ==, G_N_ELEMENTS(texts));
    assert_path(s, "one:1/x.raw", DISK_FILE, "/one/images/1/x.raw", "raw", "dir");
    assert_path(s, "two:1/x.raw", DISK_FILE, "/later/images/1/x.raw", "raw", "dir");
}

/* A file from another system's editor, whose empty lines must still end sections. */
static void test_crlf(void)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(Storages) s =
        load("dir: one\r\n\tpath /one\r\n\r\ndir: two\r\n\tpath /two\r\n", warnings);

    g_assert_cmpuint(warnings->len, ==, 0);
    assert_path(s, "one:1/x.raw", DISK_FILE, "/one/images/1/x.raw", "raw", "dir");
    assert_path(s, "two:1/x.raw", DISK_FILE, "/two/images/1/x.raw", "raw", "dir");
}

static void test_load_errors(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;

    g_assert_null(storage_load("/nonexistent/storage.cfg", NULL, &error));
    g_assert_error(error, CONFIG_ERROR, CONFIG_ERROR_READ);
    g_clear_error(&error);

    g_assert_true(g_close(g_file_open_tmp("test-storage-XXXXXX", &path, NULL), NULL));
    g_assert_true(g_file_set_contents(path, "dir: a\0b\n", 9, NULL));
    g_assert_null(storage_load(path, NULL, &error));
    g_assert_error(error, SECTION_ERROR, SECTION_ERROR_SYNTAX);
    g_assert_cmpint(g_unlink(path), ==, 0);
}

static void test_ceph_fsid(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    g_autofree char *fsid = NULL;

    g_assert_true(g_close(g_file_open_tmp("test-storage-XXXXXX", &path, NULL), NULL));
    g_assert_true(
        g_file_set_contents(path, "[global]\n\tauth = cephx\n\t fsid = " FSID " \n", -1, NULL));
    fsid = storage_ceph_fsid(path, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(fsid, ==, FSID);
    g_assert_true(g_file_set_contents(path, "[global]\nfsid = ../../../../etc/passwd\n", -1, NULL));
    g_assert_null(storage_ceph_fsid(path, &error));
    g_assert_error(error, STORAGE_ERROR, STORAGE_ERROR_SYNTAX);
    g_assert_cmpint(g_unlink(path), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/storage/files", test_files);
    g_test_add_func("/storage/devices", test_devices);
    g_test_add_func("/storage/rbd", test_rbd);
    g_test_add_func("/storage/absolute", test_absolute);
    g_test_add_func("/storage/implicit-local", test_implicit_local);
    g_test_add_func("/storage/format", test_format);
    g_test_add_func("/storage/refused", test_refused);
    g_test_add_func("/storage/escapes", test_escapes);
    g_test_add_func("/storage/random-names", test_random_names);
    g_test_add_func("/storage/grammar", test_grammar);
    g_test_add_func("/storage/crlf", test_crlf);
    g_test_add_func("/storage/load-errors", test_load_errors);
    g_test_add_func("/storage/ceph-fsid", test_ceph_fsid);
    return g_test_run();
}
