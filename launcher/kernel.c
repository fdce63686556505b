/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* CONFIG_LOCALVERSION of the kernel built by this package. */
#define OUR_LOCALVERSION "-microvm"

/* Enough for any bzImage's setup code: at most 64 sectors and the boot sector. */
#define HEAD_SIZE (65 * 512)

#define SETUP_SECTS 0x1f1
#define SETUP_MAGIC 0x202
#define SETUP_VERSION 0x206
#define SETUP_RELEASE 0x20e

#define MAX_SEGMENTS 128
#define MAX_NOTES (256 * 1024)
#define NOTE_XEN_GUEST_OS 6
#define NOTE_XEN_PHYS32_ENTRY 18

G_DEFINE_QUARK(kernel - error - quark, kernel_error)

typedef struct {
    const guint8 *data;
    gsize len;
} Bytes;

KernelImage *kernel_image_new(KernelKind kind, const char *os, const char *release)
{
    KernelImage *image = g_new0(KernelImage, 1);

    image->kind = kind;
    image->os = g_strdup(os);
    image->release = g_strdup(release);
    return image;
}

void kernel_image_free(KernelImage *image)
{
    if (!image)
        return;
    g_free(image->os);
    g_free(image->release);
    g_free(image);
}

gboolean kernel_is_linux(const KernelImage *image)
{
    return strcmp(image->os, "Linux") == 0;
}

gboolean kernel_has_our_release(const KernelImage *image)
{
    return image->release && g_str_has_suffix(image->release, OUR_LOCALVERSION);
}

/* Reads up to @size bytes at @offset; fewer at the end of the file. FALSE with errno set. */
static gboolean read_at(int fd, guint64 offset, guint8 *buf, gsize size, gsize *got)
{
    *got = 0;
    while (*got < size) {
        ssize_t n = pread(fd, buf + *got, size - *got, (off_t)(offset + *got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FALSE;
        if (n == 0)
            break;
        *got += (gsize)n;
    }
    return TRUE;
}

static gboolean starts_with(Bytes head, gsize offset, const char *magic, gsize len)
{
    return head.len >= offset + len && memcmp(head.data + offset, magic, len) == 0;
}

static const char *name_of_bytes(Bytes head)
{
    static const struct {
        gsize offset, len;
        const char *magic, *name;
    } known[] = {
        {0, 2, "\x1f\x8b", "gzip data"},
        {0, 6,
         "\xfd"
         "7zXZ",
         "xz data"},
        {0, 4, "\x28\xb5\x2f\xfd", "zstd data"},
        {0, 6, "070701", "a cpio archive (an initrd?)"},
        {0, 6, "070702", "a cpio archive (an initrd?)"},
        {0, 4, "QFI\xfb", "a qcow2 disk image"},
        {0x438, 2, "\x53\xef", "an ext2/3/4 file system"},
        {0, 4, "XFSB", "an XFS file system"},
        {56, 4, "ARM\x64", "a Linux kernel for arm64"},
        {0, 2, "#!", "a script"},
        {0, 2, "MZ", "a PE/EFI program without a Linux boot header"},
        {0, 4, ELFMAG, "an ELF file"},
        {510, 2, "\x55\xaa", "a boot sector or disk image"},
    };

    if (head.len == 0)
        return "an empty file";
    for (gsize i = 0; i < G_N_ELEMENTS(known); i++) {
        if (starts_with(head, known[i].offset, known[i].magic, known[i].len))
            return known[i].name;
    }
    return "no known kind of file";
}

static guint16 le16(Bytes head, gsize offset)
{
    return (guint16)(head.data[offset] | head.data[offset + 1] << 8);
}

/* The first word of the version string that the setup header points to, or NULL. */
static char *bzimage_release(Bytes head)
{
    gsize sectors = head.data[SETUP_SECTS] ? head.data[SETUP_SECTS] : 4;
    gsize start = 0x200u + le16(head, SETUP_RELEASE), end = MIN(head.len, (sectors + 1) * 512);
    gsize i = start;

    if (start == 0x200)
        return NULL;
    while (i < end && g_ascii_isgraph((char)head.data[i]))
        i++;
    return i > start && i < end ? g_strndup((const char *)head.data + start, i - start) : NULL;
}

static KernelImage *identify_bzimage(const char *path, Bytes head, GError **error)
{
    g_autofree char *release = NULL;

    if (le16(head, SETUP_VERSION) < 0x0200) {
        g_set_error(error, KERNEL_ERROR, KERNEL_ERROR_FORMAT,
                    "%s: a Linux kernel with boot protocol %u.%02u, which is too old", path,
                    head.data[SETUP_VERSION + 1], head.data[SETUP_VERSION]);
        return NULL;
    }
    release = bzimage_release(head);
    return kernel_image_new(KERNEL_BZIMAGE, "Linux", release);
}

typedef struct {
    gboolean pvh;
    const char *os; /* NULL: none named */
} Notes;

static void note_found(Notes *notes, const char *name, gsize namesz, guint32 type, Bytes desc)
{
    static const char *const systems[] = {"NetBSD", "FreeBSD", "OpenBSD"};
    gboolean xen = namesz == 4 && memcmp(name, "Xen", 4) == 0;

    if (xen && type == NOTE_XEN_PHYS32_ENTRY)
        notes->pvh = TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(systems); i++) {
        gsize len = strlen(systems[i]);
        gboolean own = namesz == len + 1 && memcmp(name, systems[i], len + 1) == 0;
        gboolean guest = xen && type == NOTE_XEN_GUEST_OS && desc.len >= len &&
                         memcmp(desc.data, systems[i], len) == 0;

        if (own || guest)
            notes->os = systems[i];
    }
}

static void read_notes(Notes *notes, Bytes segment, guint64 align)
{
    gsize at = 0;

    align = align == 8 ? 8 : 4;
    while (segment.len - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr header;
        guint64 name, desc, next;

        memcpy(&header, segment.data + at, sizeof(header));
        name = at + sizeof(header);
        desc = name + (((guint64)header.n_namesz + align - 1) & ~(align - 1));
        next = desc + (((guint64)header.n_descsz + align - 1) & ~(align - 1));
        if (desc + header.n_descsz > segment.len)
            return;
        note_found(notes, (const char *)segment.data + name, header.n_namesz, header.n_type,
                   (Bytes){segment.data + desc, header.n_descsz});
        if (next >= segment.len)
            return;
        at = next;
    }
}

/* Copies the program header at @p of class @class into @out. */
static void read_segment(const guint8 *p, int class, Elf64_Phdr *out)
{
    Elf32_Phdr small;

    if (class == ELFCLASS64) {
        memcpy(out, p, sizeof(*out));
        return;
    }
    memcpy(&small, p, sizeof(small));
    *out = (Elf64_Phdr){.p_type = small.p_type,
                        .p_offset = small.p_offset,
                        .p_filesz = small.p_filesz,
                        .p_align = small.p_align};
}

/* Walks all note segments of an ELF file whose head is valid. FALSE: it is cut off or damaged. */
static gboolean elf_notes(int fd, Bytes head, Notes *notes)
{
    int class = head.data[EI_CLASS];
    gsize size = class == ELFCLASS64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    guint64 offset;
    guint n;
    gsize got;
    g_autofree guint8 *table = NULL;

    if (class == ELFCLASS64) {
        Elf64_Ehdr header;

        memcpy(&header, head.data, sizeof(header));
        offset = header.e_phoff;
        n = header.e_phnum;
    } else {
        Elf32_Ehdr header;

        memcpy(&header, head.data, sizeof(header));
        offset = header.e_phoff;
        n = header.e_phnum;
    }
    if (n > MAX_SEGMENTS || offset > G_MAXINT32)
        return FALSE;
    table = g_malloc0(n * size + 1);
    if (!read_at(fd, offset, table, n * size, &got) || got < n * size)
        return FALSE;
    for (guint i = 0; i < n; i++) {
        Elf64_Phdr segment;
        g_autofree guint8 *data = NULL;

        read_segment(table + i * size, class, &segment);
        if (segment.p_type != PT_NOTE)
            continue;
        if (segment.p_filesz > MAX_NOTES || segment.p_offset > G_MAXINT64 - MAX_NOTES)
            return FALSE;
        data = g_malloc0(segment.p_filesz + 1);
        if (!read_at(fd, segment.p_offset, data, segment.p_filesz, &got) || got < segment.p_filesz)
            return FALSE;
        read_notes(notes, (Bytes){data, got}, segment.p_align);
    }
    return TRUE;
}

static KernelImage *identify_elf(const char *path, int fd, Bytes head, GError **error)
{
    Notes notes = {0};
    guint16 machine = le16(head, offsetof(Elf64_Ehdr, e_machine));

    if (machine != EM_X86_64 && machine != EM_386) {
        g_set_error(error, KERNEL_ERROR, KERNEL_ERROR_FORMAT,
                    "%s: an ELF file for another kind of processor (machine %u), not x86", path,
                    machine);
        return NULL;
    }
    if (!elf_notes(fd, head, &notes)) {
        g_set_error(error, KERNEL_ERROR, KERNEL_ERROR_FORMAT, "%s: a truncated or damaged ELF file",
                    path);
        return NULL;
    }
    if (!notes.pvh) {
        g_set_error(error, KERNEL_ERROR, KERNEL_ERROR_FORMAT,
                    "%s: an ELF file%s%s without a PVH entry, which this board cannot boot "
                    "(Linux needs CONFIG_PVH)",
                    path, notes.os ? " of " : "", notes.os ? notes.os : "");
        return NULL;
    }
    return kernel_image_new(KERNEL_PVH, notes.os ? notes.os : "Linux", NULL);
}

/* Opens @path, which must be a regular file. Returns a descriptor, or -1 with @error. */
static int open_regular(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        g_set_error(error, KERNEL_ERROR, KERNEL_ERROR_READ, "%s: %s", path, g_strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        g_set_error(error, KERNEL_ERROR, KERNEL_ERROR_READ, "%s: %s, not a kernel image", path,
                    S_ISDIR(st.st_mode) ? "a directory" : "a device, socket or pipe");
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static gboolean is_x86_elf_head(Bytes head)
{
    if (!starts_with(head, 0, ELFMAG, SELFMAG) || head.len < sizeof(Elf64_Ehdr))
        return FALSE;
    return head.data[EI_CLASS] == ELFCLASS64 || head.data[EI_CLASS] == ELFCLASS32;
}

static KernelImage *identify(const char *path, int fd, GError **error)
{
    g_autofree guint8 *buf = g_malloc0(HEAD_SIZE);
    Bytes head = {.data = buf};

    if (!read_at(fd, 0, buf, HEAD_SIZE, &head.len)) {
        g_set_error(error, KERNEL_ERROR, KERNEL_ERROR_READ, "%s: %s", path, g_strerror(errno));
        return NULL;
    }
    if (head.len > SETUP_RELEASE + 2 && starts_with(head, SETUP_MAGIC, "HdrS", 4))
        return identify_bzimage(path, head, error);
    if (is_x86_elf_head(head))
        return identify_elf(path, fd, head, error);
    g_set_error(error, KERNEL_ERROR, KERNEL_ERROR_FORMAT,
                "%s: %s, not a kernel (a bzImage, or an ELF file with a PVH entry)", path,
                name_of_bytes(head));
    return NULL;
}

KernelImage *kernel_identify(const char *path, GError **error)
{
    int fd = open_regular(path, error);
    KernelImage *image;

    if (fd < 0)
        return NULL;
    image = identify(path, fd, error);
    close(fd);
    return image;
}
