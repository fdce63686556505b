/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory.cfg. */
#include <glib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "directory.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("directory.cfg", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd), *found = NULL;

    g_assert_true(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    found = directory_find(path, "srv", "node", NULL);
    if (found)
        g_assert_true(*found == '/');
    close(fd);
    return 0;
}
