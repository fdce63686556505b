/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "place.h"

char *place_run(const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    char *out = NULL;
    int status;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, &status,
                 &error);
    g_assert_no_error(error);
    if (!g_spawn_check_wait_status(status, &error)) {
        g_error("%s: %s", argv[0], error->message);
    }
    return out;
}

void place_write(const char *path, const char *text)
{
    g_autoptr(GError) error = NULL;

    g_file_set_contents(path, text, -1, &error);
    g_assert_no_error(error);
}

char *place_file(const Place *place, const char *name)
{
    return g_build_filename(place->dir, name, NULL);
}

Place *place_new(const char *id, const char *image)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *disks = NULL, *disk = NULL, *storage = NULL;
    Place *place = g_new0(Place, 1);

    place->dir = g_dir_make_tmp("microvm-guest-XXXXXX", &error);
    g_assert_no_error(error);
    disks = g_strdup_printf("%s/images/%s", place->dir, id);
    disk = g_strdup_printf("%s/vm-%s-disk-0.raw", disks, id);
    g_assert_cmpint(g_mkdir_with_parents(disks, 0700), ==, 0);
    g_free(
        place_run((const char *[]){"cp", "--sparse=always", "--reflink=auto", image, disk, NULL}));

    storage = g_strdup_printf("dir: local-lvm\n\tpath %s\n", place->dir);
    place->storage_cfg = place_file(place, "storage.cfg");
    place_write(place->storage_cfg, storage);
    place->config = g_strdup_printf("%s/%s.conf", place->dir, id);
    return place;
}

void place_free(Place *place)
{
    if (!place) {
        return;
    }
    g_free(place_run((const char *[]){"rm", "-r", place->dir, NULL}));
    g_free(place->dir);
    g_free(place->config);
    g_free(place->storage_cfg);
    g_free(place);
}
