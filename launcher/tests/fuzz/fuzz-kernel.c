/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bytes of a file that is named as kernel, or as QEMU. */
#include <glib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "elf-needs.h"
#include "fuzz.h"
#include "kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("kernel", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autoptr(KernelImage) image = NULL;

    g_assert_true(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    image = kernel_identify(path, NULL);
    if (image)
        g_assert_nonnull(image->os);
    elf_needs(path, "libproxmox_backup_qemu.so");
    close(fd);
    return 0;
}
