/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "propstr.h"

#define FIRST_FD 3
#define MAX_HOST_CPUS 8192

G_DEFINE_QUARK(confine - error - quark, confine_error)

static gboolean fail(GError **error, ConfineErrorCode code, const char *what)
{
    g_set_error(error, CONFINE_ERROR, code, "%s: %s", what, g_strerror(errno));
    return FALSE;
}

gboolean confine_standard_descriptors(GError **error)
{
    for (int fd = 0; fd < FIRST_FD; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        /* The lowest free number is the one that open() takes. */
        if (open("/dev/null", O_RDWR) != fd)
            return fail(error, CONFINE_ERROR_DESCRIPTORS, "/dev/null");
    }
    return TRUE;
}

/* For kernels before 5.11, which lack CLOSE_RANGE_CLOEXEC. */
static gboolean close_on_exec_by_proc(void)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;

    if (!dir)
        return FALSE;
    while ((entry = readdir(dir))) {
        int fd = atoi(entry->d_name);

        if (fd >= FIRST_FD)
            fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    closedir(dir);
    return TRUE;
}

gboolean confine_descriptors(GArray *fds, GError **error)
{
    if (close_range(FIRST_FD, ~0U, CLOSE_RANGE_CLOEXEC) < 0 && !close_on_exec_by_proc())
        return fail(error, CONFINE_ERROR_DESCRIPTORS, "cannot close inherited descriptors");
    /* First out of the way of each other's places, then into them. */
    for (guint i = 0; i < fds->len; i++) {
        int *fd = &g_array_index(fds, int, i);
        int high = fcntl(*fd, F_DUPFD_CLOEXEC, FIRST_FD + (int)fds->len);

        if (high < 0)
            return fail(error, CONFINE_ERROR_DESCRIPTORS, "cannot move a descriptor");
        close(*fd);
        *fd = high;
    }
    for (guint i = 0; i < fds->len; i++) {
        int *fd = &g_array_index(fds, int, i);

        if (dup2(*fd, FIRST_FD + (int)i) < 0)
            return fail(error, CONFINE_ERROR_DESCRIPTORS, "cannot place a descriptor");
        close(*fd);
        *fd = FIRST_FD + (int)i;
    }
    return TRUE;
}

gboolean confine_affinity(const char *list, GError **error)
{
    g_auto(GStrv) ranges = g_strsplit(list, ",", -1);
    cpu_set_t *set = CPU_ALLOC(MAX_HOST_CPUS);
    gsize size = CPU_ALLOC_SIZE(MAX_HOST_CPUS);
    g_autofree char *what = g_strdup_printf("cannot run on CPUs %s of this host", list);
    gboolean done;

    g_assert(set);
    CPU_ZERO_S(size, set);
    for (char **range = ranges; *range; range++) {
        const char *dash = strchr(*range, '-');
        guint64 first = g_ascii_strtoull(*range, NULL, 10);
        guint64 last = dash ? g_ascii_strtoull(dash + 1, NULL, 10) : first;

        for (guint64 cpu = first; cpu <= last && cpu < MAX_HOST_CPUS; cpu++)
            CPU_SET_S(cpu, size, set);
    }
    done = sched_setaffinity(0, size, set) == 0 || fail(error, CONFINE_ERROR_AFFINITY, what);
    CPU_FREE(set);
    return done;
}

static gboolean fail_user(GError **error, const char *what)
{
    return fail(error, CONFINE_ERROR_USER, what);
}

static GArray *local_groups(const char *name, gid_t gid)
{
    GArray *groups = g_array_new(FALSE, FALSE, sizeof(gid_t));
    FILE *file = fopen("/etc/group", "re");
    const struct group *entry;

    g_array_append_val(groups, gid);
    while (file && (entry = fgetgrent(file))) {
        if (g_strv_contains((const char *const *)entry->gr_mem, name))
            g_array_append_val(groups, entry->gr_gid);
    }
    if (file)
        fclose(file);
    return groups;
}

static GArray *all_groups(const char *name, gid_t gid)
{
    GArray *groups = g_array_new(FALSE, FALSE, sizeof(gid_t));
    int n = 0;

    getgrouplist(name, gid, NULL, &n);
    do {
        g_array_set_size(groups, (guint)n);
    } while (getgrouplist(name, gid, (gid_t *)groups->data, &n) < 0);
    g_array_set_size(groups, (guint)n);
    return groups;
}

ConfineUser *confine_user_find(const char *name, gboolean local, GError **error)
{
    const struct passwd *entry;
    ConfineUser *user;

    errno = 0;
    entry = getpwnam(name);
    if (!entry || geteuid() != 0) {
        g_autofree char *quoted = propstr_quote(name);

        g_set_error(error, CONFINE_ERROR, CONFINE_ERROR_USER, "--user %s: %s", quoted,
                    entry   ? "only root can run QEMU as another user"
                    : errno ? g_strerror(errno)
                            : "there is no such user");
        return NULL;
    }
    user = g_new(ConfineUser, 1);
    *user = (ConfineUser){g_strdup(entry->pw_name), entry->pw_uid, entry->pw_gid, NULL};
    user->groups = local ? local_groups(name, user->gid) : all_groups(name, user->gid);
    return user;
}

void confine_user_free(ConfineUser *user)
{
    if (!user)
        return;
    g_free(user->name);
    g_array_unref(user->groups);
    g_free(user);
}

static gboolean set_groups(const ConfineUser *user)
{
    return setgroups(user->groups->len, (const gid_t *)user->groups->data) == 0;
}

gboolean confine_user_try(const ConfineUser *user, GError **error)
{
    return (set_groups(user) && setegid(user->gid) == 0 && seteuid(user->uid) == 0) ||
           fail_user(error, "cannot act as another user");
}

gboolean confine_user_back(GError **error)
{
    return (seteuid(0) == 0 && setegid(0) == 0 && setgroups(0, NULL) == 0) ||
           fail_user(error, "cannot act as root again");
}

gboolean confine_user_become(const ConfineUser *user, GError **error)
{
    if (!set_groups(user) || setresgid(user->gid, user->gid, user->gid) < 0 ||
        setresuid(user->uid, user->uid, user->uid) < 0)
        return fail_user(error, "cannot become another user");
    if (user->uid != 0 && (setuid(0) == 0 || seteuid(0) == 0)) {
        errno = EPERM;
        return fail_user(error, "could become root again");
    }
    return TRUE;
}

gboolean confine_no_new_privileges(GError **error)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ||
           fail_user(error, "cannot renounce privileges");
}

void confine_exec(const char *program, char **argv, GError **error)
{
    struct rlimit none = {0, 0};

    umask(077);
    if (setrlimit(RLIMIT_CORE, &none) < 0) {
        fail(error, CONFINE_ERROR_EXEC, "cannot forbid core dumps");
        return;
    }
    execv(program, argv);
    fail(error, CONFINE_ERROR_EXEC, program);
}
