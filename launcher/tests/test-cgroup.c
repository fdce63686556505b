/* SPDX-License-Identifier: GPL-2.0-or-later */
/* On a directory that looks like a cgroup hierarchy; the kernel's own is not touched. */
#include <glib.h>
#include <glib/gstdio.h>

#include "cgroup.h"

typedef struct {
    char *root;
} Fixture;

static void write_empty(const char *root, const char *path)
{
    g_autofree char *full = g_build_filename(root, path, NULL);

    g_assert_true(g_file_set_contents(full, "", 0, NULL));
}

static void make_dir(const char *root, const char *path)
{
    g_autofree char *full = g_build_filename(root, path, NULL);

    g_assert_cmpint(g_mkdir_with_parents(full, 0755), ==, 0);
}

static void assert_holds(const char *root, const char *path, const char *text)
{
    g_autofree char *full = g_build_filename(root, path, NULL), *found = NULL;

    g_assert_true(g_file_get_contents(full, &found, NULL, NULL));
    g_assert_cmpstr(found, ==, text);
}

static const char *const files[] = {
    "cgroup.controllers",    "cgroup.subtree_control", "microvm/cgroup.subtree_control",
    "microvm/7/cpu.max",     "microvm/7/cpu.weight",   "microvm/7/memory.max",
    "microvm/7/cgroup.procs"};

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->root = g_dir_make_tmp("cgroup-XXXXXX", NULL);
    make_dir(f->root, "microvm/7");
    make_dir(f->root, "microvm/gone");
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++)
        write_empty(f->root, files[i]);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    static const char *const dirs[] = {"microvm/7", "microvm/gone", "microvm", ""};

    (void)data;
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(f->root, files[i], NULL);

        g_unlink(path);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(dirs); i++) {
        g_autofree char *path = g_build_filename(f->root, dirs[i], NULL);

        g_rmdir(path);
    }
    g_assert_false(g_file_test(f->root, G_FILE_TEST_EXISTS));
    g_free(f->root);
}

static void test_limits(Fixture *f, gconstpointer data)
{
    const CgroupLimits limits = {150000, 200, 1 << 30};
    g_autofree char *gone = g_build_filename(f->root, "microvm/gone", NULL);
    GError *error = NULL;

    (void)data;
    g_assert_true(cgroup_enter(f->root, "7", &limits, &error));
    g_assert_no_error(error);
    assert_holds(f->root, "cgroup.subtree_control", "+cpu +memory");
    assert_holds(f->root, "microvm/cgroup.subtree_control", "+cpu +memory");
    assert_holds(f->root, "microvm/7/cpu.max", "150000 100000");
    assert_holds(f->root, "microvm/7/cpu.weight", "200");
    assert_holds(f->root, "microvm/7/memory.max", "1073741824");
    assert_holds(f->root, "microvm/7/cgroup.procs", "0");
    g_assert_false(g_file_test(gone, G_FILE_TEST_EXISTS));
}

static void test_no_limits(Fixture *f, gconstpointer data)
{
    const CgroupLimits limits = {0, 0, 0};

    (void)data;
    g_assert_true(cgroup_enter(f->root, "7", &limits, NULL));
    assert_holds(f->root, "microvm/7/cpu.max", "max 100000");
    assert_holds(f->root, "microvm/7/cpu.weight", "100");
    assert_holds(f->root, "microvm/7/memory.max", "max");
}

static void test_refused(Fixture *f, gconstpointer data)
{
    const CgroupLimits limits = {0, 0, 0};
    g_autofree char *controllers = g_build_filename(f->root, "cgroup.controllers", NULL);
    GError *error = NULL;

    (void)data;
    /* The kernel makes these files; here nobody does. */
    g_assert_false(cgroup_enter(f->root, "8", &limits, &error));
    g_assert_error(error, CGROUP_ERROR, CGROUP_ERROR_DENIED);
    g_clear_error(&error);
    g_unlink(controllers);
    g_assert_false(cgroup_enter(f->root, "7", &limits, &error));
    g_assert_error(error, CGROUP_ERROR, CGROUP_ERROR_NONE_HERE);
    g_clear_error(&error);
    {
        g_autofree char *eight = g_build_filename(f->root, "microvm/8", NULL);

        g_assert_cmpint(g_rmdir(eight), ==, 0);
    }
}

#define ADD(name, func) g_test_add("/cgroup/" name, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("limits", test_limits);
    ADD("no-limits", test_no_limits);
    ADD("refused", test_refused);
    return g_test_run();
}
