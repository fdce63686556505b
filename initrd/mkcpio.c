/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes the initrd, a newc cpio archive, without root and byte for byte the same each time:
 *
 *     mkcpio OUTPUT INIT
 *
 * The archive holds the mount points, the console that the kernel opens before /init, and INIT.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
    const char *name;
    unsigned mode;
    unsigned major, minor; /* of a device node */
    const void *data;
    size_t len;
};

static size_t put_padding(FILE *f, size_t written, size_t unit)
{
    while (written % unit) {
        fputc(0, f);
        written++;
    }
    return written;
}

/* Appends one entry at offset AT, a multiple of four. Returns the offset after it, likewise. */
static size_t put_entry(FILE *f, size_t at, unsigned ino, const struct entry *e)
{
    size_t name_len = strlen(e->name) + 1;
    unsigned links = S_ISDIR(e->mode) ? 2 : 1;

    /* magic ino mode uid gid nlink mtime filesize dev(2) rdev(2) namesize check */
    at += (size_t)fprintf(f, "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", ino,
                          e->mode, 0, 0, links, 0, e->len, 0, 0, e->major, e->minor, name_len, 0);
    at += fwrite(e->name, 1, name_len, f);
    at = put_padding(f, at, 4);
    if (e->len) {
        at += fwrite(e->data, 1, e->len, f);
    }
    return put_padding(f, at, 4);
}

static void write_archive(FILE *f, const void *init, size_t init_len)
{
    const struct entry entries[] = {
        {.name = "dev", .mode = S_IFDIR | 0755},
        {.name = "dev/console", .mode = S_IFCHR | 0600, .major = 5, .minor = 1},
        {.name = "proc", .mode = S_IFDIR | 0555},
        {.name = "root", .mode = S_IFDIR | 0755},
        {.name = "sys", .mode = S_IFDIR | 0555},
        {.name = "init", .mode = S_IFREG | 0755, .data = init, .len = init_len},
    };
    const struct entry trailer = {.name = "TRAILER!!!"};
    unsigned ino = 1;
    size_t at = 0;

    for (; ino <= sizeof(entries) / sizeof(*entries); ino++) {
        at = put_entry(f, at, ino, &entries[ino - 1]);
    }
    at = put_entry(f, at, 0, &trailer);
    put_padding(f, at, 512);
}

/* The whole of PATH, in memory that the caller frees; NULL with errno. */
static void *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    void *data = NULL;

    if (!f) {
        return NULL;
    }
    if (!fstat(fileno(f), &st) && S_ISREG(st.st_mode) && st.st_size > 0) {
        *len = (size_t)st.st_size;
        data = malloc(*len);
        if (data && fread(data, 1, *len, f) != *len) {
            free(data);
            data = NULL;
        }
    } else {
        errno = EINVAL;
    }
    fclose(f);
    return data;
}

/* On failure says why, and leaves no half-written file behind. */
static bool write_file(const char *path, const void *init, size_t len)
{
    FILE *f = fopen(path, "wb");
    struct stat st = {0};

    if (!f) {
        fprintf(stderr, "mkcpio: cannot write %s: %s\n", path, strerror(errno));
        return false;
    }
    fstat(fileno(f), &st);
    write_archive(f, init, len);
    bool failed = fflush(f) || ferror(f);
    int err = errno;
    if (fclose(f) || failed) {
        fprintf(stderr, "mkcpio: cannot write %s: %s\n", path, strerror(failed ? err : errno));
        if (S_ISREG(st.st_mode)) {
            unlink(path);
        }
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    size_t len = 0;

    if (argc != 3) {
        fputs("usage: mkcpio OUTPUT INIT\n", stderr);
        return 2;
    }
    void *init = read_file(argv[2], &len);
    if (!init) {
        fprintf(stderr, "mkcpio: cannot read %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    bool written = write_file(argv[1], init, len);
    free(init);
    return written ? 0 : 1;
}
