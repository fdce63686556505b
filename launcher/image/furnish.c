/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "furnish.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container-init.h"
#include "image.h"

/* Files of a fresh system. "@HOST@" is the host name. */
static const struct {
    const char *path, *text;
} files[] = {
    {"/etc/hostname", "@HOST@\n"},
    {"/etc/hosts",
     "127.0.0.1 localhost\n127.0.1.1 @HOST@\n::1 localhost ip6-localhost ip6-loopback\n"},
    {"/etc/fstab", "LABEL=" FURNISH_LABEL " / ext4 errors=remount-ro 0 1\n"},
    {"/etc/locale.conf", "LANG=C.UTF-8\n"},
    /* each guest makes its own at its first boot */
    {"/etc/machine-id", ""},
    /* every real Ethernet, whatever it is called; not the bridges and veths of containers */
    {"/etc/systemd/network/20-ethernet.network",
     "[Match]\nType=ether\nKind=!*\n\n[Network]\nDHCP=yes\n"},
};

/* Host keys are the guest's own, made at its first boot. */
#define SSH_DROP_IN                                                   \
    "[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\n" \
    "ExecStartPre=/usr/sbin/sshd -t\n"

static gboolean fail(const char *path, GError **error)
{
    return image_fail(error, IMAGE_ERROR_FAILED, "%s in the tree: %s", path, g_strerror(errno));
}

static gboolean write_all(int fd, const char *bytes, gsize n)
{
    while (n > 0) {
        ssize_t written = write(fd, bytes, n);

        if (written < 0 && errno != EINTR)
            return FALSE;
        if (written > 0) {
            bytes += written;
            n -= (gsize)written;
        }
    }
    return TRUE;
}

/*
 * Writes @path anew, also where a link was, with the directories above it. With O_APPEND or O_TRUNC
 * in @how the file that is there keeps its owner and mode.
 */
static gboolean put(const char *path, gconstpointer bytes, gsize n, int how, mode_t mode,
                    GError **error)
{
    g_autofree char *dir = g_path_get_dirname(path);
    int fd = -1;
    gboolean good;

    if (!how && unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
        return fail(path, error);
    good = g_mkdir_with_parents(dir, 0755) == 0 &&
           (fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | how,
                      mode)) >= 0 &&
           write_all(fd, bytes, n);
    if (!good)
        fail(path, error);
    if (fd >= 0)
        close(fd);
    return good;
}

static gboolean put_text(const char *path, const char *text, GError **error)
{
    return put(path, text, strlen(text), 0, 0644, error);
}

static gboolean lay_files(const char *hostname, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_auto(GStrv) parts = g_strsplit(files[i].text, "@HOST@", -1);
        g_autofree char *text = g_strjoinv(hostname, parts);

        if (!put_text(files[i].path, text, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean forget_host_keys(GError **error)
{
    g_autoptr(GDir) dir = g_dir_open("/etc/ssh", 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename("/etc/ssh", name, NULL);

        if (g_str_has_prefix(name, "ssh_host_") && unlink(path) < 0)
            return fail(path, error);
    }
    return put_text("/etc/systemd/system/ssh.service.d/host-keys.conf", SSH_DROP_IN, error);
}

/* "root:*:20000:0:…" → "root::20000:0:…" */
static gboolean open_root(GError **error)
{
    g_autofree char *text = NULL, *changed = NULL;
    const char *line, *field, *rest;

    if (!g_file_get_contents("/etc/shadow", &text, NULL, error))
        return FALSE;
    line = g_str_has_prefix(text, "root:") ? text : strstr(text, "\nroot:");
    field = line ? strchr(line, ':') + 1 : NULL;
    rest = field ? strchr(field, ':') : NULL;
    if (!rest)
        return image_fail(error, IMAGE_ERROR_FAILED,
                          "--no-password: the tree's /etc/shadow has no root");
    changed = g_strdup_printf("%.*s%s", (int)(field - text), text, rest);
    return put("/etc/shadow", changed, strlen(changed), O_TRUNC, 0640, error);
}

static gboolean add_keys(const char *keys, GError **error)
{
    if (mkdir("/root", 0700) < 0 && errno != EEXIST)
        return fail("/root", error);
    if (mkdir("/root/.ssh", 0700) < 0 && errno != EEXIST)
        return fail("/root/.ssh", error);
    return put("/root/.ssh/authorized_keys", keys, strlen(keys), O_APPEND, 0600, error);
}

static gboolean put_bytes(const char *path, GBytes *bytes, mode_t mode, GError **error)
{
    gsize n;
    gconstpointer data = g_bytes_get_data(bytes, &n);

    return put(path, data, n, 0, mode, error);
}

static gboolean furnish_container(const Furnish *furnish, GError **error)
{
    return put_bytes("/sbin/init", furnish->container_init, 0755, error) &&
           put_bytes(CONTAINER_INIT_FILE, furnish->run, 0600, error);
}

static gboolean has_init(void)
{
    struct stat st;

    /* what the initrd tries; a link may lead to what only the guest has */
    return lstat("/sbin/init", &st) == 0 || lstat("/etc/init", &st) == 0 ||
           lstat("/bin/init", &st) == 0;
}

static gboolean check_init(const Furnish *furnish, GError **error)
{
    if (has_init())
        return TRUE;
    if (furnish->run)
        return furnish_container(furnish, error);
    if (access("/bin/sh", F_OK) == 0) {
        image_say("there is no init in it: the guest will start /bin/sh");
        return TRUE;
    }
    return image_fail(error, IMAGE_ERROR_FAILED,
                      "nothing in it can be started: neither /sbin/init nor /bin/sh is there");
}

gboolean furnish_tree(gpointer data, GError **error)
{
    const Furnish *furnish = data;
    const char *name = furnish->hostname;

    if (furnish->suite && !lay_files(name ? name : "microvm", error))
        return FALSE;
    if (!furnish->suite && name) {
        g_autofree char *line = g_strconcat(name, "\n", NULL);

        if (!put_text("/etc/hostname", line, error))
            return FALSE;
    }
    return (!furnish->suite || !furnish->ssh || forget_host_keys(error)) &&
           (!furnish->keys || add_keys(furnish->keys, error)) &&
           (!furnish->no_password || open_root(error)) && check_init(furnish, error);
}
