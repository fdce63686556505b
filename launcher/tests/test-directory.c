/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "directory.h"

static const char text[] = "# comment\n"
                           "srv\n"
                           "\tdescription map node=a,path=/wrong\n"
                           "\tmap node=b,path=/srv/b\n"
                           "    map path=/srv/a b,node=a  \r\n"
                           "\n"
                           "\tmap path=/srv/any\n"
                           "mapped\n"
                           "\tmap node=a\n"
                           "climbs\n"
                           "\tmap path=a/../b\n";

static char *find(const char *name, const char *node, GError **error)
{
    g_autofree char *path = NULL;
    char *found;
    int fd = g_file_open_tmp("directory-XXXXXX", &path, NULL);

    close(fd);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    found = directory_find(path, name, node, error);
    g_unlink(path);
    return found;
}

static void assert_found(const char *name, const char *node, const char *path)
{
    GError *error = NULL;
    g_autofree char *found = find(name, node, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(found, ==, path);
}

static void assert_none(const char *name, const char *node, const char *message)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(find(name, node, &error));
    g_assert_nonnull(error);
    if (!g_str_has_suffix(error->message, message))
        g_error("'%s' does not end in '%s'", error->message, message);
}

static void test_found(void)
{
    assert_found("srv", "a", "/srv/a b");
    assert_found("srv", "b", "/srv/b");
    assert_found("srv", "c", "/srv/any");
}

static void test_not_found(void)
{
    assert_none("none", "a", "of no directory 'none' on this host (a)");
    assert_none("map", "a", "of no directory 'map' on this host (a)");
    assert_none("mapped", "a", ":9: the sub-key 'path' is missing");
    assert_none("climbs", "a", ":11: 'a/../b' is not an absolute path");
    g_assert_null(directory_find("/nonexistent", "srv", "a", NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/directory/found", test_found);
    g_test_add_func("/directory/not-found", test_not_found);
    return g_test_run();
}
