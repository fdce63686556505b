/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a fuzz target on the files of a directory, for builds without libFuzzer.
 *
 *   replay-TARGET CORPUS-DIR
 */
#include <glib.h>
#include <stdio.h>

#include "fuzz.h"

int main(int argc, char **argv)
{
    g_autoptr(GDir) dir = argc == 2 ? g_dir_open(argv[1], 0, NULL) : NULL;
    const char *name;
    guint n = 0;

    if (!dir) {
        fprintf(stderr, "usage: %s CORPUS-DIR\n", argv[0]);
        return 2;
    }
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(argv[1], name, NULL), *data = NULL;
        gsize len;

        if (!g_file_get_contents(path, &data, &len, NULL))
            return 1;
        LLVMFuzzerTestOneInput((const uint8_t *)data, len);
        n++;
    }
    printf("%u inputs\n", n);
    return n > 0 ? 0 : 1;
}
