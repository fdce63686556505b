/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory.cfg, and the same bytes as a cpu-models.conf. */
#include <glib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu-model.h"
#include "directory.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("directory.cfg", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd), *found = NULL;
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(PropStr) model = NULL;

    g_assert_true(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    found = directory_find(path, "srv", "node", NULL);
    if (found)
        g_assert_true(*found == '/');
    model = cpu_model_find(path, "web", warnings, NULL);
    if (model && propstr_get(model, "reported-model"))
        g_assert_true(cpu_model_is_known(propstr_get(model, "reported-model")));
    close(fd);
    return 0;
}
