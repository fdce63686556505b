/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf-needs.h"
#include "host.h"
#include "launcher-paths.h"

static void test_assume(void)
{
    static const char *const bad[] = {"",           "kvm",
                                      "io_uring,",  "bridge=",
                                      "bridge=a:x", "bridge=a:70000",
                                      "kernel=/x",  "kernel=:pvh",
                                      "kernel=/x:", "bridge=a:1500:vlan"};
    GError *error = NULL;
    g_autoptr(Host) host =
        host_assume("io_uring,bridge=vmbr0,bridge=b1:9000,kernel=/k:NetBSD", &error);
    g_autoptr(KernelImage) netbsd = NULL, other = NULL;

    g_assert_no_error(error);
    g_assert_true(host->io_uring);
    g_assert_false(host->vhost_net);
    g_assert_cmpuint(host_bridge(host, "vmbr0").mtu, ==, 1500);
    g_assert_cmpuint(host_bridge(host, "b1").mtu, ==, 9000);
    g_assert_cmpuint(host_bridge(host, "lo").mtu, ==, 0);
    netbsd = host_kernel(host, "/k", NULL);
    g_assert_cmpstr(netbsd->os, ==, "NetBSD");
    other = host_kernel(host, "/nonexistent", NULL);
    g_assert_true(kernel_is_linux(other));
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_null(host_assume(bad[i], &error));
        g_assert_error(error, HOST_ERROR, HOST_ERROR_ASSUME);
        g_clear_error(&error);
    }
}

/* This very program needs GLib, and no program of Proxmox's backup. */
static void test_pve_qemu(void)
{
    g_autoptr(Host) host = host_probe();

    g_assert_true(elf_needs("/proc/self/exe", "libglib-2.0.so"));
    g_assert_false(elf_needs("/proc/self/exe", "libglib-2.1.so"));
    g_assert_false(elf_needs("/proc/self/exe", "libproxmox_backup_qemu.so"));
    g_assert_false(elf_needs("/nonexistent", "lib"));
    g_assert_false(elf_needs("/proc/self/cmdline", "lib"));
    g_assert_false(elf_needs("/", "lib"));
    g_assert_false(host_is_pve_qemu(host, "/proc/self/exe"));
    g_assert_false(host_is_proxmox("/proc/self/exe"));
    g_assert_false(host_is_proxmox("/nonexistent"));
}

static void test_assume_proxmox(void)
{
    g_autoptr(Host) host = host_assume("pve-qemu,hugepages-1g,bridge=b:1400:vlans", NULL);
    g_autofree char *dir = NULL;

    g_assert_nonnull(host);
    g_assert_true(host_is_pve_qemu(host, "/nonexistent"));
    g_assert_true(host->pages_1g);
    g_assert_true(host_bridge(host, "b").vlans);
    host->proxmox = TRUE;
    dir = host_runtime_dir(host, NULL, NULL);
    g_assert_cmpstr(dir, ==, "/var/run/qemu-server");
}

static void test_runtime_dir(void)
{
    g_autoptr(Host) host = host_probe();
    g_autofree char *top = g_dir_make_tmp("host-XXXXXX", NULL);
    g_autofree char *own = g_build_filename(top, "microvm", NULL);
    g_autofree char *option = host_runtime_dir(host, "/a/../b", NULL), *xdg = NULL,
                    *relative = NULL, *none = NULL;

    g_assert_cmpstr(option, ==, "/b");
    g_setenv("XDG_RUNTIME_DIR", top, TRUE);
    xdg = host_runtime_dir(host, NULL, NULL);
    g_assert_cmpstr(xdg, ==, own);
    if (geteuid() == 0) {
        g_autofree char *others = NULL;

        g_assert_cmpint(chown(top, 65534, 65534), ==, 0);
        others = host_runtime_dir(host, NULL, NULL);
        g_assert_cmpstr(others, ==, "/run/microvm");
    }
    g_rmdir(top);
    g_setenv("XDG_RUNTIME_DIR", "relative", TRUE);
    relative = host_runtime_dir(host, NULL, NULL);
    g_assert_cmpstr(relative, ==, "/run/microvm");
    g_unsetenv("XDG_RUNTIME_DIR");
    none = host_runtime_dir(host, NULL, NULL);
    g_assert_cmpstr(none, ==, "/run/microvm");
}

static void test_make_runtime_dir(void)
{
    g_autofree char *top = g_dir_make_tmp("host-XXXXXX", NULL);
    g_autofree char *dir = g_build_filename(top, "run", NULL);
    GError *error = NULL;
    gboolean made;
    struct stat st;

    g_assert_true(host_make_runtime_dir(dir, geteuid(), &made, NULL));
    g_assert_true(made);
    g_assert_cmpint(stat(dir, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0700);
    g_assert_true(host_make_runtime_dir(dir, geteuid(), &made, NULL));
    g_assert_false(made);
    g_chmod(dir, 0770);
    g_assert_false(host_make_runtime_dir(dir, geteuid(), &made, &error));
    g_assert_error(error, HOST_ERROR, HOST_ERROR_MISSING);
    g_clear_error(&error);
    g_rmdir(dir);
    g_rmdir(top);
}

/* What others own, root may not use: they could put something else there. */
static void test_foreign_runtime_dir(void)
{
    g_autofree char *top = g_dir_make_tmp("host-XXXXXX", NULL);
    g_autofree char *dir = g_build_filename(top, "run", NULL);
    g_autofree char *link = g_build_filename(top, "link", NULL);
    GError *error = NULL;
    gboolean made;

    if (geteuid() != 0) {
        g_test_skip("only root can make another user's directory");
        g_rmdir(top);
        return;
    }
    g_assert_true(host_make_runtime_dir(dir, geteuid(), &made, NULL));
    g_assert_cmpint(symlink(dir, link), ==, 0);
    g_assert_true(host_make_runtime_dir(link, geteuid(), &made, NULL));
    g_assert_cmpint(lchown(link, 65534, 65534), ==, 0);
    g_assert_false(host_make_runtime_dir(link, geteuid(), &made, &error));
    g_assert_nonnull(strstr(error->message, "a symbolic link of another user's"));
    g_clear_error(&error);
    g_assert_cmpint(chown(dir, 65534, 65534), ==, 0);
    g_assert_false(host_make_runtime_dir(dir, geteuid(), &made, &error));
    g_assert_nonnull(strstr(error->message, "belongs to another user"));
    g_clear_error(&error);
    g_unlink(link);
    g_rmdir(dir);
    g_rmdir(top);
}

/* An installed launcher has the distribution's QEMU beside it, which lacks our series. */
static void test_installed(void)
{
    g_autoptr(Host) host = host_probe();
    g_autoptr(GError) error = NULL;
    g_autofree char *found = NULL;

    g_free(host->exe_dir);
    host->exe_dir = g_strdup(BIN_DIR);
    found = host_find(host, HOST_QEMU, NULL, &error);
    if (found)
        g_assert_cmpstr(found, ==, QEMU_PATH);
    else
        g_assert_null(strstr(error->message, BIN_DIR "/qemu-system-x86_64"));
}

/* Our own kernel is told by its file, whatever the path, or by its release. */
static void test_our_kernel(void)
{
    g_autoptr(Host) host = host_probe();
    g_autofree char *dir = g_dir_make_tmp("host-XXXXXX", NULL);
    g_autofree char *ours = g_build_filename(dir, "vmlinux", NULL);
    g_autofree char *link = g_build_filename(dir, "other-name", NULL);
    g_autofree char *foreign = g_build_filename(dir, "foreign", NULL);
    g_autofree char *found = NULL;
    g_autoptr(KernelImage) plain = kernel_image_new(KERNEL_PVH, "Linux", NULL);
    g_autoptr(KernelImage) named = kernel_image_new(KERNEL_BZIMAGE, "Linux", "6.12.1-microvm");

    g_free(host->exe_dir);
    host->exe_dir = g_strdup(dir);
    g_assert_true(g_file_set_contents(ours, "k", 1, NULL));
    g_assert_true(g_file_set_contents(foreign, "k", 1, NULL));
    g_assert_cmpint(symlink("vmlinux", link), ==, 0);
    found = host_find(host, HOST_KERNEL, NULL, NULL);
    g_assert_cmpstr(found, ==, ours);
    g_assert_true(host_kernel_is_ours(host, link, plain));
    g_assert_false(host_kernel_is_ours(host, foreign, plain));
    g_assert_true(host_kernel_is_ours(host, foreign, named));
    g_unlink(link);
    g_unlink(foreign);
    g_unlink(ours);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/host/assume", test_assume);
    g_test_add_func("/host/pve-qemu", test_pve_qemu);
    g_test_add_func("/host/assume-proxmox", test_assume_proxmox);
    g_test_add_func("/host/runtime-dir", test_runtime_dir);
    g_test_add_func("/host/make-runtime-dir", test_make_runtime_dir);
    g_test_add_func("/host/foreign-runtime-dir", test_foreign_runtime_dir);
    g_test_add_func("/host/installed", test_installed);
    g_test_add_func("/host/our-kernel", test_our_kernel);
    return g_test_run();
}
