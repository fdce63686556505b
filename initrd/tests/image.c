/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <unistd.h>

char *image_run(const char *command, const char *path, const char *input)
{
    g_auto(GStrv) argv = g_strsplit(command, " ", -1);
    g_autoptr(GSubprocessLauncher) launcher = NULL;
    g_autoptr(GSubprocess) process = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *tools = g_strconcat(g_getenv("PATH"), ":/usr/sbin:/sbin", NULL);
    g_autofree char *err = NULL;
    char *out = NULL;

    for (int i = 0; argv[i]; i++) {
        if (g_str_equal(argv[i], "@")) {
            g_free(argv[i]);
            argv[i] = g_strdup(path);
        }
    }
    launcher = g_subprocess_launcher_new(
        (input ? G_SUBPROCESS_FLAGS_STDIN_PIPE : G_SUBPROCESS_FLAGS_NONE) |
        G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE |
        G_SUBPROCESS_FLAGS_SEARCH_PATH_FROM_ENVP);
    g_subprocess_launcher_setenv(launcher, "PATH", tools, TRUE);
    process = g_subprocess_launcher_spawnv(launcher, (const char *const *)argv, &error);
    g_assert_no_error(error);
    g_subprocess_communicate_utf8(process, input, NULL, &out, &err, &error);
    g_assert_no_error(error);
    if (!g_subprocess_get_successful(process)) {
        g_error("%s failed: %s", command, err);
    }
    return out;
}

char *image_make(guint64 size, const char *command, const char *input)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("initrd-test-XXXXXX", &error);

    g_assert_no_error(error);
    char *path = g_build_filename(dir, "image", NULL);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    close(fd);
    if (command) {
        g_free(image_run(command, path, input));
    }
    return path;
}

void image_free(char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);

    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
    g_free(path);
}
