/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wake.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "launcher-paths.h"
#include "schema.h"

#define PROGRAM "microvm-ctl"

const char *wake_template(const Config *config)
{
    const char *name = config_get(config, "template");

    return !name || g_str_equal(name, "0") || g_str_equal(name, "1") ? NULL : name;
}

static gboolean fail(GError **error, const Config *config, const ConfigKey *key, const char *text)
{
    g_set_error(error, PLAN_ERROR, PLAN_ERROR_CONFIG, "%s:%u: %s: %s", config->file, key->line,
                key->key, text);
    return FALSE;
}

/* What Proxmox's side acts on changes nothing here, so it may stand there. */
static gboolean check_keys(const Config *config, GError **error)
{
    for (guint i = 0; i < config->keys->len; i++) {
        const ConfigKey *key = config->keys->pdata[i];
        const SchemaKey *row = schema_lookup(key->key, NULL);

        if (row->fate != SCHEMA_PROXMOX && !g_str_equal(key->key, "machine"))
            return fail(
                error, config, key,
                "a guest that wakes from a template has the template's; take the line away");
    }
    return TRUE;
}

static gboolean check_options(const Config *config, const Options *options, GError **error)
{
    const PlanOptions *plan = &options->plan;
    const struct {
        const char *name;
        gboolean given;
    } strange[] = {
        {"--qemu", plan->qemu != NULL},
        {"--kernel", plan->kernel != NULL},
        {"--initrd", plan->initrd != NULL},
        {"--virtiofsd", plan->virtiofsd != NULL},
        {"--force-machine", plan->force_machine != NULL},
        {"--force-cpu", plan->force_cpu != NULL},
        {"--nets-host-mtu", plan->nets_host_mtu != NULL},
        {"--vsock", plan->vsock},
        {"--shares", plan->shares},
        {"arguments for QEMU", plan->trailing != NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(strange); i++) {
        g_autofree char *text = NULL;

        if (!strange[i].given)
            continue;
        text = g_strdup_printf("%s: a guest that wakes from a template has the template's",
                               strange[i].name);
        return fail(error, config, config_find(config, "template"), text);
    }
    return TRUE;
}

/* Beside the launcher, or in PATH. */
static char *find_program(const Options *options, GError **error)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = self ? g_path_get_dirname(self) : g_strdup(BIN_DIR);
    g_autofree char *beside = g_build_filename(options->assume ? BIN_DIR : dir, PROGRAM, NULL);
    char *path;

    if (options->assume || g_file_test(beside, G_FILE_TEST_IS_EXECUTABLE))
        return g_steal_pointer(&beside);
    path = g_find_program_in_path(PROGRAM);
    if (!path)
        g_set_error(error, PLAN_ERROR, PLAN_ERROR_CONFIG,
                    PROGRAM ", which wakes guests from templates, is neither in %s nor in PATH",
                    dir);
    return path;
}

static void add_option(GStrvBuilder *builder, const char *name, const char *value)
{
    if (value)
        g_strv_builder_add_many(builder, name, value, NULL);
}

char **wake_argv(const Config *config, const Options *options, GError **error)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_autofree char *program = NULL, *id = NULL;

    if (!check_keys(config, error) || !check_options(config, options, error))
        return NULL;
    id = plan_guest_id(config, &options->plan, error);
    program = id ? find_program(options, error) : NULL;
    if (!program)
        return NULL;
    g_strv_builder_add_many(builder, program, "clone", wake_template(config), id, NULL);
    add_option(builder, "--runtime-dir", options->plan.runtime_dir);
    add_option(builder, "--user", options->plan.user);
    add_option(builder, "--net", options->plan.net);
    add_option(builder, "--state-dir", options->state_dir);
    if (options->plan.no_limits)
        g_strv_builder_add(builder, "--no-limits");
    if (!options->plan.daemonize)
        g_strv_builder_add(builder, "--foreground");
    return g_strv_builder_end(builder);
}

void wake(char **argv, GError **error)
{
    execv(argv[0], argv);
    g_set_error(error, PLAN_ERROR, PLAN_ERROR_CONFIG, "%s: %s", argv[0], g_strerror(errno));
}
