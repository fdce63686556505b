/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "modules.h"
#include "disk.h"
#include "say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define NOTES_MAX 4096

/* Once the image has been looked for, its directory of this kernel's modules, or "". */
static char directory[MODULES_PATH];
static const char *release; /* the last component of it */

/* virtio-blk shows the number as the device tells it, without the end of line that others have. */
static bool is_ours(const char *serial)
{
    const size_t n = strlen(MODULES_SERIAL);

    return !strncmp(serial, MODULES_SERIAL, n) && (!serial[n] || !strcmp(serial + n, "\n"));
}

bool modules_disk(char *out, size_t size, const char *sysfs)
{
    char serial[64], read_only[8];
    struct dirent *entry;
    bool found = false;
    DIR *d = opendir(sysfs);

    while (d && !found && (entry = readdir(d))) {
        const char *name = entry->d_name;
        /* a serial number is asked of the device, so first what the kernel knows by itself */
        if (name[0] != '.' && attribute_read(dirfd(d), name, "ro", read_only, sizeof(read_only)) &&
            read_only[0] == '1' &&
            attribute_read(dirfd(d), name, "serial", serial, sizeof(serial)) && is_ours(serial)) {
            found = (size_t)snprintf(out, size, "%s", name) < size;
        }
    }
    if (d) {
        closedir(d);
    }
    return found;
}

/* Reads PATH whole, as a string that the caller frees; *LEN without the end. NULL with errno. */
static char *read_whole(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *text = NULL;

    if (fd < 0) {
        return NULL;
    }
    if (!fstat(fd, &st) && (text = malloc((size_t)st.st_size + 1))) {
        *len = read_at(fd, text, (size_t)st.st_size, 0);
        text[*len] = '\0';
        if (*len < (size_t)st.st_size) {
            free(text);
            text = NULL;
            errno = EIO;
        }
    }
    int err = errno;
    close(fd);
    errno = err;
    return text;
}

/* The notes of the kernel that runs and of the one the modules were built with are the same. */
static bool same_kernel(void)
{
    char path[sizeof(directory) + 16];
    uint8_t running[NOTES_MAX];
    size_t len = 0;
    int fd = open("/sys/kernel/notes", O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return true; /* a kernel without notes can only be told by its version */
    }
    size_t n = read_at(fd, running, sizeof(running), 0);
    close(fd);
    snprintf(path, sizeof(path), "%s/kernel.notes", directory);
    char *built = read_whole(path, &len);
    bool same = built && len == n && !memcmp(built, running, n);
    free(built);
    return same;
}

/* The release that the image has modules of, for a message. */
static void other_release(char *out, size_t size)
{
    DIR *d = opendir(MODULES_IMAGE "/lib/modules");
    struct dirent *entry;
    char name[256] = "no kernel";

    while (d && (entry = readdir(d))) {
        if (entry->d_name[0] != '.') {
            snprintf(name, sizeof(name), "%s", entry->d_name);
        }
    }
    if (d) {
        closedir(d);
    }
    say_clean(out, size, name);
}

static bool is_of_this_kernel(const char *disk)
{
    char other[80];

    if (access(directory, F_OK) && errno != ENOENT) {
        say("the modules on %s cannot be read: %s; going on without them", disk, strerror(errno));
        return false;
    }
    if (access(directory, F_OK)) {
        other_release(other, sizeof(other));
        say("the modules on %s are of %s, this is %s: going on without them", disk, other, release);
        return false;
    }
    if (!same_kernel()) {
        say("the modules on %s are of another build of %s: going on without them", disk, release);
        return false;
    }
    return true;
}

const char *modules_directory(void)
{
    static struct utsname kernel;
    char name[64], path[80];

    if (release) {
        return directory[0] ? directory : NULL;
    }
    uname(&kernel);
    release = kernel.release;
    if (!modules_disk(name, sizeof(name), "/sys/class/block")) {
        return NULL;
    }
    snprintf(path, sizeof(path), "/dev/%s", name);
    mkdir(MODULES_IMAGE, 0755);
    if (mount(path, MODULES_IMAGE, "erofs",
              MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_SILENT, NULL)) {
        say("cannot mount the modules on %s: %s; going on without them", path,
            errno == EINVAL ? "that is no erofs image" : strerror(errno));
        return NULL;
    }
    snprintf(directory, sizeof(directory), MODULES_IMAGE "/lib/modules/%s", release);
    if (!is_of_this_kernel(path)) {
        umount2(MODULES_IMAGE, MNT_DETACH);
        directory[0] = '\0';
    }
    return directory[0] ? directory : NULL;
}

/* -- loading */

/* The line of TEXT that begins with a path to NAME.ko and a colon, or NULL. */
static const char *line_of(const char *text, const char *name)
{
    size_t n = strlen(name);

    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n"), path = strcspn(line, ":\n");
        if (path < len && path > n + 3 && !strncmp(line + path - 3, ".ko", 3) &&
            !strncmp(line + path - 3 - n, name, n) && line[path - 4 - n] == '/') {
            return line;
        }
        line += len + (line[len] == '\n');
    }
    return NULL;
}

bool modules_order(char *out, size_t size, const char *text, const char *name)
{
    const char *line = line_of(text, name);
    size_t used = 0;

    if (!line) {
        return false;
    }
    /* "module: its needs": what stands last is needed by those before it */
    for (size_t end = strcspn(line, "\n"); end;) {
        size_t start = end;
        while (start && line[start - 1] != ' ') {
            start--;
        }
        size_t n = end - start - (line[end - 1] == ':');
        if (used + n + 2 > size) {
            return false;
        }
        if (n) {
            memcpy(out + used, line + start, n);
            out[used + n] = '\0';
            used += n + 1;
        }
        end = start ? start - 1 : 0;
    }
    out[used] = '\0';
    return used > 0;
}

static bool load_file(const char *file)
{
    char path[512];
    int fd = -1;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory, file) < sizeof(path)) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    bool ok = fd >= 0 && (!syscall(SYS_finit_module, fd, "", 0) || errno == EEXIST);
    if (!ok) {
        say("cannot load %s: %s", file, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

bool modules_load(const char *name)
{
    char path[sizeof(directory) + 16], order[4096];
    size_t len = 0;
    bool ok = true;

    if (!modules_directory()) {
        return false;
    }
    snprintf(path, sizeof(path), "%s/modules.dep", directory);
    char *text = read_whole(path, &len);
    if (!text) {
        say("cannot read modules.dep of the modules' image: %s", strerror(errno));
        return false;
    }
    bool known = modules_order(order, sizeof(order), text, name);
    free(text);
    for (const char *file = order; known && ok && *file; file += strlen(file) + 1) {
        ok = load_file(file);
    }
    if (known && ok) {
        mark("loaded %s", name);
    }
    return known && ok;
}
