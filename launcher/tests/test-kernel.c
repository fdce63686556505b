/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <elf.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "kernel.h"

#define NOTE_PHYS32_ENTRY 18
#define NOTE_GUEST_OS 6

static char *write_file(const void *data, gsize len)
{
    char *path = NULL;
    int fd = g_file_open_tmp("kernel-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, data, (gssize)len, NULL));
    return path;
}

/* What kernel_identify() says of a file with these bytes: the image, or NULL and the message. */
static KernelImage *identify(const void *data, gsize len, char **message)
{
    g_autofree char *path = write_file(data, len);
    GError *error = NULL;
    KernelImage *image = kernel_identify(path, &error);

    g_assert_true((image != NULL) == (error == NULL));
    if (error) {
        g_assert_true(g_str_has_prefix(error->message, path));
        g_assert_true(error->domain == KERNEL_ERROR);
        *message = g_strdup(error->message + strlen(path));
        g_error_free(error);
    }
    g_unlink(path);
    return image;
}

static void assert_refused(const void *data, gsize len, const char *word)
{
    g_autofree char *message = NULL;

    g_assert_null(identify(data, len, &message));
    if (!strstr(message, word))
        g_error("'%s' does not mention '%s'", message, word);
}

static void make_bzimage(guint8 *image, gsize len, const char *release)
{
    memset(image, 0, len);
    memcpy(image, "MZ", 2);
    image[0x1f1] = 4;
    memcpy(image + 0x202, "HdrS", 4);
    image[0x206] = 15;
    image[0x207] = 2;
    image[0x20f] = 2; /* at 0x200 + 0x200 */
    g_strlcpy((char *)image + 0x400, release, len - 0x400);
}

static void test_bzimage(void)
{
    guint8 image[4096];
    g_autofree char *message = NULL;
    g_autoptr(KernelImage) ours = NULL, other = NULL, bare = NULL;

    make_bzimage(image, sizeof(image), "6.12.107-microvm (a@b) #1 SMP");
    ours = identify(image, sizeof(image), &message);
    g_assert_cmpint(ours->kind, ==, KERNEL_BZIMAGE);
    g_assert_cmpstr(ours->release, ==, "6.12.107-microvm");
    g_assert_true(kernel_is_linux(ours) && kernel_has_our_release(ours));

    make_bzimage(image, sizeof(image), "6.1.0-microvm-amd64 (a@b)");
    other = identify(image, sizeof(image), &message);
    g_assert_false(kernel_has_our_release(other));

    image[0x20f] = 0;
    bare = identify(image, sizeof(image), &message);
    g_assert_null(bare->release);

    image[0x207] = 1;
    assert_refused(image, sizeof(image), "boot protocol 1.15");
}

/* A release string that runs into the end of the setup code, or of the file, is not one. */
static void test_bzimage_release_bounds(void)
{
    guint8 image[4096];
    g_autofree char *message = NULL;
    g_autoptr(KernelImage) far = NULL, cut = NULL;

    make_bzimage(image, sizeof(image), "");
    memset(image + 0x400, 'x', sizeof(image) - 0x400);
    far = identify(image, sizeof(image), &message);
    g_assert_null(far->release);
    image[0x20e] = image[0x20f] = 0xff;
    cut = identify(image, 0x300, &message);
    g_assert_null(cut->release);
}

typedef struct {
    Elf64_Ehdr header;
    Elf64_Phdr segments[2];
    guint8 notes[64];
} Elf;

static gsize put_note(guint8 *at, const char *name, guint32 type, const void *desc, guint32 len)
{
    Elf64_Nhdr note = {(guint32)strlen(name) + 1, len, type};
    gsize padded = (note.n_namesz + 3u) & ~3u;

    memcpy(at, &note, sizeof(note));
    memcpy(at + sizeof(note), name, note.n_namesz);
    memcpy(at + sizeof(note) + padded, desc, len);
    return sizeof(note) + padded + ((len + 3u) & ~3u);
}

static void make_elf(Elf *elf)
{
    memset(elf, 0, sizeof(*elf));
    memcpy(elf->header.e_ident, ELFMAG, SELFMAG);
    elf->header.e_ident[EI_CLASS] = ELFCLASS64;
    elf->header.e_machine = EM_X86_64;
    elf->header.e_phoff = offsetof(Elf, segments);
    elf->header.e_phnum = 2;
    elf->segments[0].p_type = PT_LOAD;
    elf->segments[1] = (Elf64_Phdr){.p_type = PT_NOTE,
                                    .p_offset = offsetof(Elf, notes),
                                    .p_filesz = sizeof(elf->notes),
                                    .p_align = 4};
}

static void test_pvh(void)
{
    guint32 entry = 0x1000000;
    g_autofree char *message = NULL;
    g_autoptr(KernelImage) linux_image = NULL, netbsd = NULL, guest_os = NULL;
    Elf elf;
    gsize used;

    make_elf(&elf);
    assert_refused(&elf, sizeof(elf), "without a PVH entry");

    used = put_note(elf.notes, "Xen", NOTE_PHYS32_ENTRY, &entry, sizeof(entry));
    linux_image = identify(&elf, sizeof(elf), &message);
    g_assert_cmpint(linux_image->kind, ==, KERNEL_PVH);
    g_assert_true(kernel_is_linux(linux_image));

    put_note(elf.notes + used, "NetBSD", 1, &entry, sizeof(entry));
    netbsd = identify(&elf, sizeof(elf), &message);
    g_assert_cmpstr(netbsd->os, ==, "NetBSD");
    g_assert_false(kernel_is_linux(netbsd));

    memset(elf.notes + used, 0, sizeof(elf.notes) - used);
    put_note(elf.notes + used, "Xen", NOTE_GUEST_OS, "FreeBSD", 8);
    guest_os = identify(&elf, sizeof(elf), &message);
    g_assert_cmpstr(guest_os->os, ==, "FreeBSD");
}

static void test_damaged_elf(void)
{
    guint32 huge = 0xfffffff0;
    Elf elf;

    make_elf(&elf);
    assert_refused(&elf, offsetof(Elf, notes) + 8, "truncated");
    elf.header.e_phnum = 0xffff;
    assert_refused(&elf, sizeof(elf), "truncated");
    make_elf(&elf);
    elf.segments[1].p_filesz = G_MAXUINT64;
    assert_refused(&elf, sizeof(elf), "truncated");
    make_elf(&elf);
    elf.header.e_phoff = G_MAXUINT64 - 8;
    assert_refused(&elf, sizeof(elf), "truncated");

    /* Sizes inside notes that point anywhere must only end the walk. */
    make_elf(&elf);
    memcpy(elf.notes, &huge, sizeof(huge));
    memcpy(elf.notes + 4, &huge, sizeof(huge));
    assert_refused(&elf, sizeof(elf), "without a PVH entry");

    make_elf(&elf);
    elf.header.e_machine = EM_AARCH64;
    assert_refused(&elf, sizeof(elf), "another kind of processor");
}

static void test_other_files(void)
{
    guint8 buf[2048] = {0};
    GError *error = NULL;

    assert_refused("", 0, "an empty file");
    assert_refused("\x1f\x8b\x08\x00", 4, "gzip");
    assert_refused("#!/bin/sh\n", 10, "a script");
    assert_refused("070701000", 9, "cpio");
    assert_refused("hello", 5, "no known kind");
    memcpy(buf + 0x438, "\x53\xef", 2);
    assert_refused(buf, sizeof(buf), "ext2/3/4");
    memset(buf, 0, sizeof(buf));
    memcpy(buf + 56, "ARM\x64", 4);
    assert_refused(buf, sizeof(buf), "arm64");

    g_assert_null(kernel_identify("/nonexistent/vmlinux", &error));
    g_assert_cmpstr(error->message, ==, "/nonexistent/vmlinux: No such file or directory");
    g_clear_error(&error);
    g_assert_null(kernel_identify("/", &error));
    g_assert_nonnull(strstr(error->message, "a directory"));
    g_clear_error(&error);
    g_assert_null(kernel_identify("/dev/null", &error));
    g_assert_nonnull(strstr(error->message, "a device"));
    g_clear_error(&error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kernel/bzimage", test_bzimage);
    g_test_add_func("/kernel/bzimage-release-bounds", test_bzimage_release_bounds);
    g_test_add_func("/kernel/pvh", test_pvh);
    g_test_add_func("/kernel/damaged-elf", test_damaged_elf);
    g_test_add_func("/kernel/other-files", test_other_files);
    return g_test_run();
}
