/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PERIOD 100000 /* µs, the kernel's own */

G_DEFINE_QUARK(cgroup - error - quark, cgroup_error)

static gboolean fail(GError **error, const char *path)
{
    g_set_error(error, CGROUP_ERROR, CGROUP_ERROR_DENIED, "%s: %s", path, g_strerror(errno));
    return FALSE;
}

/* A control file takes a value in one write; what it does not like, it refuses there. */
static gboolean write_control(const char *dir, const char *name, const char *value, GError **error)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    gssize len = (gssize)strlen(value), n = fd < 0 ? -1 : write(fd, value, (gsize)len);
    int saved = errno;

    if (fd >= 0)
        close(fd);
    errno = saved;
    return n == len || fail(error, path);
}

static gboolean make_dir(const char *dir, GError **error)
{
    return mkdir(dir, 0755) == 0 || errno == EEXIST || fail(error, dir);
}

/* rmdir() takes only groups without processes. */
static void remove_unused(const char *parent)
{
    g_autoptr(GDir) dir = g_dir_open(parent, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(parent, name, NULL);

        rmdir(path);
    }
}

static gboolean set_limits(const char *dir, const CgroupLimits *limits, GError **error)
{
    g_autofree char *max =
        limits->cpu_max ? g_strdup_printf("%" G_GUINT64_FORMAT " %d", limits->cpu_max, PERIOD)
                        : g_strdup_printf("max %d", PERIOD);
    g_autofree char *weight = g_strdup_printf(
        "%" G_GUINT64_FORMAT, limits->cpu_weight ? limits->cpu_weight : (guint64)100);
    g_autofree char *memory = limits->memory_max
                                  ? g_strdup_printf("%" G_GUINT64_FORMAT, limits->memory_max)
                                  : g_strdup("max");

    return write_control(dir, "cpu.max", max, error) &&
           write_control(dir, "cpu.weight", weight, error) &&
           write_control(dir, "memory.max", memory, error);
}

gboolean cgroup_enter(const char *root, const char *id, const CgroupLimits *limits, GError **error)
{
    g_autofree char *controllers = g_build_filename(root, "cgroup.controllers", NULL);
    g_autofree char *parent = g_build_filename(root, "microvm", NULL);
    g_autofree char *dir = g_build_filename(parent, id, NULL);

    if (access(controllers, F_OK) < 0) {
        g_set_error(error, CGROUP_ERROR, CGROUP_ERROR_NONE_HERE,
                    "%s is not a cgroup hierarchy of version 2", root);
        return FALSE;
    }
    if (!write_control(root, "cgroup.subtree_control", "+cpu +memory", error) ||
        !make_dir(parent, error))
        return FALSE;
    remove_unused(parent);
    return write_control(parent, "cgroup.subtree_control", "+cpu +memory", error) &&
           make_dir(dir, error) && set_limits(dir, limits, error) &&
           write_control(dir, "cgroup.procs", "0", error);
}
