/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image.h"
#include "tool.h"

/* libc reads its list of converters, and modules, from the root that it finds at the first use. */
static void load_converters(void)
{
    iconv_t converter = iconv_open("UTF-8", "UTF-8");

    if (converter != (iconv_t)-1)
        iconv_close(converter);
}

static gboolean enter(const char *root, GError **error)
{
    load_converters();
    return (chdir(root) == 0 && chroot(".") == 0) ||
           image_fail(error, IMAGE_ERROR_FAILED, "chroot to %s: %s", root, g_strerror(errno));
}

/* The text of the error goes through the pipe @fd. */
static void G_GNUC_NORETURN be_child(const char *root, JailWork work, gpointer data, int fd)
{
    g_autoptr(GError) error = NULL;
    gboolean good;

    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    umask(022);
    good = enter(root, &error) && work(data, &error);
    if (!good)
        dprintf(fd, "%s", error->message);
    _exit(good ? 0 : 1);
}

static char *read_all(int fd)
{
    GString *text = g_string_new(NULL);
    char bytes[1024];
    ssize_t n;

    while ((n = read(fd, bytes, sizeof(bytes))) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0)
            g_string_append_len(text, bytes, n);
    }
    return g_string_free(text, FALSE);
}

gboolean jail_run(const char *root, JailWork work, gpointer data, GError **error)
{
    g_autofree char *words = NULL;
    int fds[2], status;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0)
        return image_fail(error, IMAGE_ERROR_FAILED, "fork: %s", g_strerror(errno));
    if (pid == 0) {
        close(fds[0]);
        be_child(root, work, data, fds[1]);
    }
    close(fds[1]);
    words = read_all(fds[0]);
    close(fds[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (tool_interrupted(error))
        return FALSE;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    return image_fail(error, IMAGE_ERROR_FAILED, "%s",
                      *words ? words : "the process that works on the tree has died");
}
