/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "furnish.h"
#include "tool.h"

#define BLOCK 4096
#define INODE 256
/* What ext4 takes for itself: the journal, and a part of the whole, counted generously. */
#define OVERHEAD(size) (MIN((size) / 16, 128ULL << 20) + (size) / 32)

static gboolean in_use(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    gboolean used = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;

    if (fd >= 0)
        close(fd);
    return used;
}

gboolean disk_check_output(const Request *request, GError **error)
{
    const char *output = request->output;
    g_autofree char *dir = g_path_get_dirname(output);
    struct stat st;

    if (lstat(output, &st) == 0) {
        if (!S_ISREG(st.st_mode))
            return image_fail(error, IMAGE_ERROR_FAILED,
                              "%s is there and no file; only a file is ever made", output);
        if (!request->force)
            return image_fail(error, IMAGE_ERROR_FAILED, "%s is there; --force would replace it",
                              output);
        if (in_use(output))
            return image_fail(error, IMAGE_ERROR_FAILED, "%s is in use, by a guest perhaps",
                              output);
    }
    if (access(dir, W_OK) < 0)
        return image_fail(error, IMAGE_ERROR_FAILED, "%s: %s", dir, g_strerror(errno));
    return TRUE;
}

static guint64 needed;

/* The size of what nftw() walks over; a file with several names is counted for each. */
static int add_size(G_GNUC_UNUSED const char *path, const struct stat *st, G_GNUC_UNUSED int type,
                    G_GNUC_UNUSED struct FTW *ftw)
{
    guint64 bytes = MIN((guint64)st->st_size, (guint64)st->st_blocks * 512);

    needed += INODE + (bytes + BLOCK - 1) / BLOCK * BLOCK;
    return 0;
}

/* mke2fs would tell as well, after minutes, and without the number. */
static gboolean check_size(const Request *request, const char *tree, GError **error)
{
    needed = 0;
    if (nftw(tree, add_size, 64, FTW_PHYS) < 0)
        return image_fail(error, IMAGE_ERROR_FAILED, "%s: %s", tree, g_strerror(errno));
    return needed + OVERHEAD(request->size) <= request->size ||
           image_fail(error, IMAGE_ERROR_FAILED,
                      "a disk of %" G_GUINT64_FORMAT " MiB is too small for %" G_GUINT64_FORMAT
                      " MiB of files; see --size",
                      request->size >> 20, (needed >> 20) + 1);
}

static int written(const char *line, gpointer data)
{
    const char *path = data;
    struct stat st;

    if (line || stat(path, &st) < 0)
        return -1;
    return (int)MIN(99, 100 * (guint64)st.st_blocks * 512 / MAX(needed, 1));
}

/* A file beside the output, to be freed. */
static char *make_beside(const char *output, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(output), *base = g_path_get_basename(output);
    g_autofree char *name = g_strdup_printf(".%s.XXXXXX", base);
    char *path = g_build_filename(dir, name, NULL);
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0644);

    if (fd >= 0) {
        close(fd);
        return path;
    }
    image_fail(error, IMAGE_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
    g_free(path);
    return NULL;
}

static gboolean write_raw(const Request *request, const char *tree, const char *path,
                          const char *log, GError **error)
{
    const char *argv[] = {"mke2fs",
                          "-q",
                          "-F",
                          "-t",
                          "ext4",
                          "-L",
                          FURNISH_LABEL,
                          "-d",
                          tree,
                          "-E",
                          "lazy_itable_init=0,lazy_journal_init=0",
                          path,
                          NULL};

    if (truncate(path, (off_t)request->size) < 0)
        return image_fail(error, IMAGE_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
    return tool_run("writing the file system", argv, log, written, (gpointer)path, error);
}

static gboolean convert(const char *raw, const char *path, const char *log, GError **error)
{
    g_autofree char *qemu_img = tool_find("qemu-img", "qemu-utils", error);
    const char *argv[] = {qemu_img, "convert", "-p", "-f", "raw", "-O", "qcow2", raw, path, NULL};

    return qemu_img &&
           tool_run("converting to qcow2", argv, log, tool_progress_percent, NULL, error);
}

/* A file that came there in the meantime is not replaced. */
static gboolean give_name(const Request *request, const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    if (request->force ? rename(path, request->output) == 0
                       : link(path, request->output) == 0 && unlink(path) == 0)
        return TRUE;
    if (!request->force && (errno == EPERM || errno == EOPNOTSUPP) &&
        renameat2(AT_FDCWD, path, AT_FDCWD, request->output, RENAME_NOREPLACE) == 0)
        return TRUE;
    return image_fail(error, IMAGE_ERROR_FAILED, "%s: %s", request->output, g_strerror(errno));
}

gboolean disk_write(const Request *request, const char *tree, const char *log, GError **error)
{
    g_autofree char *raw = NULL, *qcow2 = NULL;
    gboolean good;

    if (!check_size(request, tree, error) || !(raw = make_beside(request->output, error)))
        return FALSE;
    good = write_raw(request, tree, raw, log, error);
    if (good && request->qcow2) {
        qcow2 = make_beside(request->output, error);
        good = qcow2 && convert(raw, qcow2, log, error);
    }
    good =
        good && disk_check_output(request, error) && give_name(request, qcow2 ? qcow2 : raw, error);
    if (qcow2 || !good)
        unlink(raw);
    if (qcow2 && !good)
        unlink(qcow2);
    return good;
}
