/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "elf-needs.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_SEGMENTS 64
#define MAX_ENTRIES 4096 /* of the dynamic section */
#define NAME_SIZE 64

typedef struct {
    int fd;
    guint n;
    Elf64_Phdr segments[MAX_SEGMENTS];
} Program;

static gboolean read_at(int fd, guint64 offset, void *buf, gsize size)
{
    return offset <= G_MAXINT64 && pread(fd, buf, size, (off_t)offset) == (gssize)size;
}

static gboolean read_program(Program *program)
{
    Elf64_Ehdr header;

    if (!read_at(program->fd, 0, &header, sizeof(header)) ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_phnum > MAX_SEGMENTS ||
        header.e_phentsize != sizeof(Elf64_Phdr))
        return FALSE;
    program->n = header.e_phnum;
    return read_at(program->fd, header.e_phoff, program->segments, program->n * sizeof(Elf64_Phdr));
}

/* Where in the file the address @address is loaded from, or G_MAXUINT64. */
static guint64 file_offset(const Program *program, guint64 address)
{
    for (guint i = 0; i < program->n; i++) {
        const Elf64_Phdr *segment = &program->segments[i];

        if (segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
            address - segment->p_vaddr < segment->p_filesz)
            return segment->p_offset + (address - segment->p_vaddr);
    }
    return G_MAXUINT64;
}

static gboolean has_name(const Program *program, guint64 offset, const char *library)
{
    char name[NAME_SIZE] = "";
    gsize len = strlen(library);

    g_assert(len <= sizeof(name));
    return read_at(program->fd, offset, name, len) && memcmp(name, library, len) == 0;
}

static gboolean search(const Program *program, const Elf64_Phdr *dynamic, const char *library)
{
    gsize n = MIN(dynamic->p_filesz / sizeof(Elf64_Dyn), MAX_ENTRIES);
    g_autofree Elf64_Dyn *entries = g_new0(Elf64_Dyn, n + 1);
    guint64 strings = G_MAXUINT64;

    if (!read_at(program->fd, dynamic->p_offset, entries, n * sizeof(Elf64_Dyn)))
        return FALSE;
    for (gsize i = 0; i < n; i++) {
        if (entries[i].d_tag == DT_STRTAB)
            strings = file_offset(program, entries[i].d_un.d_ptr);
    }
    for (gsize i = 0; i < n && entries[i].d_tag != DT_NULL; i++) {
        guint64 offset;

        if (entries[i].d_tag == DT_NEEDED &&
            g_uint64_checked_add(&offset, strings, entries[i].d_un.d_val) &&
            has_name(program, offset, library))
            return TRUE;
    }
    return FALSE;
}

gboolean elf_needs(const char *path, const char *library)
{
    Program program = {.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    gboolean found = FALSE;

    if (program.fd < 0)
        return FALSE;
    if (read_program(&program)) {
        for (guint i = 0; i < program.n && !found; i++) {
            if (program.segments[i].p_type == PT_DYNAMIC)
                found = search(&program, &program.segments[i], library);
        }
    }
    close(program.fd);
    return found;
}
