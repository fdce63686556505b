/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "node.h"

#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "migrate.h"

#define BRIDGE "mvbr"

const char *node_tap(int side)
{
    static const char *const names[] = {"mvtap0", "mvtap1"};

    return names[side];
}

static void ip(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void ip(const char *format, ...)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *arguments = NULL, *line = NULL, *err = NULL;
    va_list args;
    int status;

    va_start(args, format);
    arguments = g_strdup_vprintf(format, args);
    va_end(args);
    line = g_strconcat("ip ", arguments, NULL);
    if (!g_spawn_command_line_sync(line, NULL, &err, &status, &error) || status != 0) {
        g_error("%s: %s", line, error ? error->message : err);
    }
}

static void make_network(void)
{
    ip("link set lo up");
    ip("link add %s type bridge", BRIDGE);
    ip("addr add %s/24 dev %s", HOST_ADDRESS, BRIDGE);
    ip("link set %s up", BRIDGE);
    for (int side = 0; side < 2; side++) {
        ip("tuntap add %s mode tap", node_tap(side));
        ip("link set %s up master %s", node_tap(side), BRIDGE);
    }
}

static int remove_one(const char *path, G_GNUC_UNUSED const struct stat *info,
                      G_GNUC_UNUSED int flag, G_GNUC_UNUSED struct FTW *at)
{
    return remove(path);
}

int node_run(int (*main)(void))
{
    const char *tmp = g_getenv("TMPDIR"); /* g_get_tmp_dir() would remember it */
    g_autofree char *dir = g_build_filename(tmp ? tmp : "/tmp", "test-migrate-XXXXXX", NULL);
    int status;
    pid_t child;

    if (!g_mkdtemp(dir)) {
        g_error("%s: %s", dir, g_strerror(errno));
    }
    g_setenv("TMPDIR", dir, TRUE);
    if (unshare(CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS) < 0) {
        g_error("no namespaces: %s (root is needed)", g_strerror(errno));
    }
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* not in a chroot whose root is no mount point: what is mounted is unmounted anyway */
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
            g_debug("/: %s", g_strerror(errno));
        }
        make_network();
        _exit(main());
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

gboolean node_mount_small(const char *path, int kib)
{
    g_autofree char *options = g_strdup_printf("size=%dk", kib);

    return mount("tmpfs", path, "tmpfs", 0, options) == 0;
}

void node_unmount(const char *path)
{
    g_assert_cmpint(umount(path), ==, 0);
}
