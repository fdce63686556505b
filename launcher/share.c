/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET_FD 3 /* where virtiofsd finds its socket */

G_DEFINE_QUARK(share - error - quark, share_error)

static gboolean fail(GError **error, const char *what, int code)
{
    g_set_error(error, SHARE_ERROR, SHARE_ERROR_START, "%s: %s", what, g_strerror(code));
    return FALSE;
}

/*
 * A directory that nobody but us can get at. The run directory is not when it belongs to the user
 * that QEMU runs as: another guest, whose QEMU has been taken over, could be at work there.
 */
static char *private_dir(const char *path)
{
    g_autofree char *run_dir = g_path_get_dirname(path);
    g_autofree char *dir = g_build_filename(geteuid() == 0 ? "/run" : run_dir, ".fs-XXXXXX", NULL);

    return g_mkdtemp(dir) ? g_steal_pointer(&dir) : NULL;
}

/*
 * A socket that listens, and @client, connected to it: whoever connects first is whom virtiofsd
 * will serve. For that moment it has a name, in a directory of its own; an abstract name could be
 * connected to by any process, before us.
 */
static int listen_and_connect(const char *path, int *client)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), saved;
    g_autofree char *dir = private_dir(path);
    gboolean done;

    *client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir ? dir : "");
    done = dir && fd >= 0 && *client >= 0 &&
           bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 1) == 0 &&
           connect(*client, (struct sockaddr *)&address, sizeof(address)) == 0;
    saved = errno;
    if (dir) {
        unlink(address.sun_path);
        rmdir(dir);
    }
    errno = saved;
    if (done)
        return fd;
    if (fd >= 0)
        close(fd);
    if (*client >= 0)
        close(*client);
    errno = saved;
    return -1;
}

/* In the new process: nothing of ours but @fd. Says on @report why it could not start. */
static void become(char **argv, int fd, int report)
{
    int null = open("/dev/null", O_RDWR), code;

    for (int i = 0; i < SOCKET_FD; i++)
        dup2(null, i);
    /* Neither is to be in the other's way. */
    fd = fcntl(fd, F_DUPFD_CLOEXEC, SOCKET_FD + 2);
    report = fcntl(report, F_DUPFD_CLOEXEC, SOCKET_FD + 2);
    close_range(SOCKET_FD, ~0U, CLOSE_RANGE_CLOEXEC);
    if (fd >= 0 && report >= 0 && dup2(fd, SOCKET_FD) == SOCKET_FD)
        execv(argv[0], argv);
    code = errno;
    if (write(report, &code, sizeof(code)) < 0)
        _exit(126);
    _exit(127);
}

/* Two forks, so that nobody has to wait for it and no terminal is its own. */
static gboolean spawn(char **argv, int fd, GError **error)
{
    int report[2], code = 0;
    ssize_t n;
    pid_t child;

    if (pipe2(report, O_CLOEXEC) < 0)
        return fail(error, "a pipe", errno);
    child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0)
            become(argv, fd, report[1]);
        _exit(0);
    }
    close(report[1]);
    if (child < 0) {
        close(report[0]);
        return fail(error, "a new process", errno);
    }
    waitpid(child, NULL, 0);
    do {
        n = read(report[0], &code, sizeof(code));
    } while (n < 0 && errno == EINTR);
    close(report[0]);
    return n == 0 || fail(error, argv[0], code);
}

gboolean share_start(const GPtrArray *words, const char *path, int *fd, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autofree char *option = g_strdup_printf("--fd=%d", SOCKET_FD);
    int listener = listen_and_connect(path, fd);
    gboolean done;

    if (listener < 0)
        return fail(error, path, errno);
    for (guint i = 0; i < words->len; i++)
        g_ptr_array_add(argv, words->pdata[i]);
    g_ptr_array_add(argv, option);
    g_ptr_array_add(argv, NULL);
    done = spawn((char **)argv->pdata, listener, error);
    close(listener);
    if (!done)
        close(*fd);
    return done;
}

gboolean share_open_vsock(int *fd, GError **error)
{
    *fd = open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC);
    if (*fd >= 0)
        return TRUE;
    g_set_error(error, SHARE_ERROR, SHARE_ERROR_VSOCK,
                "--vsock: /dev/vhost-vsock: %s (is the kernel's module vhost_vsock there?)",
                g_strerror(errno));
    return FALSE;
}
