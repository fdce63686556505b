/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "image.h"
#include "tool.h"

#define TITLE "unpacking"
#define BLOCK_BYTES (1 << 20)

typedef struct archive Archive;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Archive, archive_free)

typedef struct {
    const Unpack *request;
    Archive *from, *to;
    guint64 entries, bytes;
    guint devices, attributes; /* left out; not restored */
} Work;

static gboolean fail(Archive *archive, const char *name, GError **error)
{
    const char *why = archive_error_string(archive);

    return image_fail(error, IMAGE_ERROR_FAILED, "tarball: %s%s%s", name ? name : "",
                      name ? ": " : "", why ? why : "cannot be read");
}

/* Only what libarchive does itself: for other filters it would run programs, of the new root. */
static Archive *open_tarball(int fd, GError **error)
{
    Archive *from = archive_read_new();

    archive_read_support_filter_gzip(from);
    archive_read_support_filter_bzip2(from);
    archive_read_support_filter_xz(from);
    archive_read_support_filter_lz4(from);
    archive_read_support_filter_zstd(from);
    archive_read_support_format_tar(from);
    archive_read_set_options(from, "hdrcharset=BINARY");
    if (archive_read_open_fd(from, fd, BLOCK_BYTES) == ARCHIVE_OK)
        return from;
    fail(from, NULL, error);
    archive_read_free(from);
    return NULL;
}

/* Attributes of a file system that the host does not have are no reason to stop. */
static gboolean finish(Work *work, const char *name, int rc, GError **error)
{
    const char *why = archive_error_string(work->to);

    if (rc == ARCHIVE_OK)
        return TRUE;
    if (rc == ARCHIVE_WARN && why && strstr(why, "extended attribute")) {
        work->attributes++;
        return TRUE;
    }
    return fail(work->to, name, error);
}

static gboolean too_much(const Work *work, GError **error)
{
    return image_fail(error, IMAGE_ERROR_FAILED,
                      "the tarball does not fit: more than %" G_GUINT64_FORMAT
                      " MiB or too many files; --size says how large the disk is",
                      work->request->limit >> 20);
}

static gboolean copy_data(Work *work, const char *name, GError **error)
{
    const void *block;
    la_int64_t offset;
    size_t size;
    int rc;

    while ((rc = archive_read_data_block(work->from, &block, &size, &offset)) == ARCHIVE_OK) {
        work->bytes += size;
        if (work->bytes > work->request->limit)
            return too_much(work, error);
        if (archive_write_data_block(work->to, block, size, offset) < ARCHIVE_WARN)
            return fail(work->to, name, error);
        if (work->request->total)
            tool_show(TITLE, (int)MIN(99, 100 * (guint64)archive_filter_bytes(work->from, -1) /
                                              work->request->total));
    }
    return rc == ARCHIVE_EOF || fail(work->from, name, error);
}

static gboolean is_device(struct archive_entry *entry)
{
    return archive_entry_filetype(entry) == AE_IFCHR || archive_entry_filetype(entry) == AE_IFBLK;
}

/* A name with a leading slash means the same as without. */
static const char *relative_name(struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);

    while (name && *name == '/')
        name++;
    return name && *name ? name : name ? "." : NULL;
}

static gboolean unpack_entry(Work *work, struct archive_entry *entry, GError **error)
{
    g_autofree char *name = g_strdup(relative_name(entry));
    int rc;

    if (!name)
        return image_fail(error, IMAGE_ERROR_FAILED, "tarball: a member without a name");
    if (++work->entries > work->request->limit / UNPACK_BYTES_PER_INODE)
        return too_much(work, error);
    if (is_device(entry) && !archive_entry_hardlink(entry)) {
        work->devices++;
        return TRUE;
    }
    if (work->request->nobody >= 0 && (archive_entry_uid(entry) == work->request->nobody ||
                                       archive_entry_gid(entry) == work->request->nobody))
        return image_fail(
            error, IMAGE_ERROR_FAILED,
            "%s belongs to a user or group that is not among your ids in /etc/subuid and "
            "/etc/subgid: run this as root, or give a tarball",
            name);
    archive_entry_copy_pathname(entry, name);
    rc = archive_write_header(work->to, entry);
    if (!finish(work, name, rc, error))
        return FALSE;
    if (archive_entry_size(entry) > 0 && !copy_data(work, name, error))
        return FALSE;
    return finish(work, name, archive_write_finish_entry(work->to), error);
}

static gboolean unpack_all(Work *work, GError **error)
{
    struct archive_entry *entry;
    int rc;

    while ((rc = archive_read_next_header(work->from, &entry)) == ARCHIVE_OK ||
           rc == ARCHIVE_WARN) {
        if (!unpack_entry(work, entry, error))
            return FALSE;
    }
    if (rc != ARCHIVE_EOF)
        return fail(work->from, NULL, error);
    if (work->entries == 0)
        return image_fail(error, IMAGE_ERROR_FAILED, "the tarball is empty");
    /* times and rights of directories are set here */
    return archive_write_close(work->to) == ARCHIVE_OK || fail(work->to, NULL, error);
}

gboolean unpack_tarball(gpointer data, GError **error)
{
    Work work = {.request = data};
    g_autoptr(Archive) from = open_tarball(work.request->fd, error);
    g_autoptr(Archive) to = archive_write_disk_new();

    if (!from)
        return FALSE;
    tool_show(TITLE, -1);
    work.from = from;
    work.to = to;
    archive_write_disk_set_options(to, ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM |
                                           ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_ACL |
                                           ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_SECURE_NODOTDOT);
    if (!unpack_all(&work, error))
        return FALSE;
    tool_show(TITLE, 100);
    if (work.devices)
        image_say("%u device nodes are left out: the guest's kernel makes its own in /dev",
                  work.devices);
    if (work.attributes)
        image_say("extended attributes of %u files could not be kept", work.attributes);
    return TRUE;
}
