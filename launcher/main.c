/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "argv.h"
#include "config.h"
#include "launch.h"
#include "options.h"
#include "plan.h"
#include "schema.h"
#include "storage.h"

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

/* Config and schema. Warnings are said even when there is an error to follow. */
static Config *read_config(const Options *options, GError **error)
{
    g_autoptr(Config) config = config_load(options->config, options->strict, error);
    gboolean good;

    if (!config)
        return NULL;
    good = options->mode == MODE_DUMP || schema_check(config, options->strict, error);
    print_warnings(config->warnings);
    return good ? g_steal_pointer(&config) : NULL;
}

/* The machine we run on, or the one assumed. */
static Host *find_host(const Options *options, GError **error)
{
    Host *host = options->assume ? host_assume(options->assume, error) : host_probe();

    if (host)
        host->proxmox = options->host ? strcmp(options->host, "proxmox") == 0
                                      : !host->assumed && host_is_proxmox(options->config);
    return host;
}

static Plan *make_plan(const Options *options, const Config *config, GError **error)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(Host) host = find_host(options, error);
    g_autoptr(Storages) storages = NULL;
    const char *storage_cfg = options->storage_cfg;
    Plan *plan;

    if (!host)
        return NULL;
    if (host->proxmox && !storage_cfg)
        storage_cfg = HOST_PROXMOX_STORAGE_CFG;
    storages = storage_load(storage_cfg, warnings, error);
    print_warnings(warnings);
    if (!storages)
        return NULL;
    plan = plan_new(config, storages, host, &options->plan, error);
    if (plan)
        print_warnings(plan->warnings);
    return plan;
}

/* The way of the main job. Returns only when it stops before QEMU. FALSE with @error. */
static gboolean run(const Options *options, GError **error)
{
    g_autoptr(Config) config = read_config(options, error);
    g_autoptr(Plan) plan = NULL;
    g_auto(GStrv) argv = NULL;
    gboolean show = options->mode == MODE_PRINT || options->mode == MODE_PRINT0;

    if (!config)
        return FALSE;
    if (options->mode == MODE_DUMP)
        dump(config);
    if (options->mode == MODE_DUMP || options->mode == MODE_CHECK)
        return TRUE;
    plan = make_plan(options, config, error);
    if (!plan)
        return FALSE;
    argv = argv_build(plan);
    if (!show) {
        launch(plan, argv, error);
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
