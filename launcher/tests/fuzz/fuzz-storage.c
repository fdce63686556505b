/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A storage.cfg, and on the first line of the input a volume to look for in it. */
#include <string.h>

#include "fuzz.h"
#include "storage.h"

static void resolve(const Storages *storages, const char *volume, const char *format)
{
    g_autoptr(VolumeId) id = volume_id_parse(volume, NULL);
    g_autoptr(DiskSource) source = NULL;

    if (!id || (!id->storage && *id->volume != '/'))
        return;
    source = storage_resolve(storages, id, format, NULL);
    if (!source)
        return;
    g_assert_true(source->kind == DISK_RBD ? source->rbd_image != NULL : *source->path == '/');
    g_assert_nonnull(source->format);
    if (source->path)
        g_assert_true(propstr_printable(source->path, FALSE));
    /* A volume's name does not climb; a storage's own path may. */
    if (source->path && id->storage && strstr(volume, ".."))
        g_assert_false(g_str_has_suffix(source->path, "/.."));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *end = memchr(text, '\n', size);
    gsize len = end ? (gsize)(end - text) : size;
    g_autofree char *volume = g_strndup(text, len);
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(Storages) storages =
        storage_parse("storage.cfg", end ? end + 1 : "", end ? size - len - 1 : 0, warnings, NULL);

    if (!storages)
        return 0;
    resolve(storages, volume, NULL);
    resolve(storages, volume, "qcow2");
    return 0;
}
