/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "argv.h"
#include "launch.h"
#include "load.h"
#include "wake.h"

/* Exit codes, as --help has them. */
enum {
    EXIT_REFUSED = 1,
    EXIT_USAGE = 2,
    EXIT_RUNNING = 3,
};

static void print_warnings(const GPtrArray *warnings)
{
    for (guint i = 0; i < warnings->len; i++)
        fprintf(stderr, "microvm-launch: warning: %s\n", (char *)warnings->pdata[i]);
}

/* A config can be wrong in several ways at once, a line each. */
static void print_error(const Options *options, const GError *error)
{
    const char *prefix = options->mode == MODE_CHECK ? "" : "microvm-launch: ";
    g_auto(GStrv) lines = g_strsplit(error->message, "\n", -1);

    for (char **line = lines; *line; line++)
        fprintf(stderr, "%s%s\n", prefix, *line);
}

static void dump(const Config *config)
{
    for (guint i = 0; i < config->keys->len; i++) {
        const ConfigKey *key = config->keys->pdata[i];

        printf("%s: %s\n", key->key, key->value);
    }
}

/* Words to run, with the plan for QEMU's; NULL when no more than the config was asked for. */
static gboolean load(const Options *options, Plan **plan, char ***argv, GPtrArray *warnings,
                     GError **error)
{
    g_autoptr(Config) config = load_config(options, warnings, error);

    if (!config)
        return FALSE;
    if (options->mode == MODE_DUMP)
        dump(config);
    if (options->mode == MODE_DUMP || options->mode == MODE_CHECK)
        return TRUE;
    if (wake_template(config) && load_on_proxmox(options)) {
        g_ptr_array_add(warnings,
                        g_strdup_printf("%s:%u: template: a name has no meaning on a Proxmox host, "
                                        "dropped",
                                        config->file, config_find(config, "template")->line));
    } else if (wake_template(config)) {
        *argv = wake_argv(config, options, error);
        return *argv != NULL;
    }
    *plan = load_plan(options, config, warnings, error);
    *argv = *plan ? argv_build(*plan) : NULL;
    return *plan != NULL;
}

/* The way of the main job. Returns only when it stops before QEMU. FALSE with @error. */
static gboolean run(const Options *options, GError **error)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(Plan) plan = NULL;
    g_auto(GStrv) argv = NULL;
    gboolean show = options->mode == MODE_PRINT || options->mode == MODE_PRINT0;
    gboolean good = load(options, &plan, &argv, warnings, error);

    print_warnings(warnings);
    if (!argv)
        return good;
    if (!show) {
        if (plan)
            launch(plan, argv, error);
        else
            wake(argv, error);
        return FALSE;
    }
    if (options->mode == MODE_PRINT)
        argv_print(stdout, argv);
    else
        argv_print0(stdout, argv);
    return TRUE;
}

int main(int argc, char **argv)
{
    Options options;
    GError *error = NULL;
    gboolean running;

    switch (options_parse(argc, argv, &options)) {
    case OPTIONS_DONE:
        return 0;
    case OPTIONS_BAD:
        return EXIT_USAGE;
    case OPTIONS_OK:
        break;
    }
    if (run(&options, &error)) {
        if (fflush(stdout) == 0 && !ferror(stdout))
            return 0;
        fprintf(stderr, "microvm-launch: standard output: %s\n", g_strerror(errno));
        return EXIT_REFUSED;
    }
    print_error(&options, error);
    running = g_error_matches(error, HOST_ERROR, HOST_ERROR_RUNNING);
    g_error_free(error);
    return running ? EXIT_RUNNING : EXIT_REFUSED;
}
