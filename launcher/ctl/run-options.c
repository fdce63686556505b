/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run-options.h"

#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl.h"
#include "launcher-paths.h"
#include "store.h"

#define DEFAULT_IMAGE "default"
#define MAX_SECONDS (7 * 24 * 3600)
#define MAX_MEMORY_MIB (G_GUINT64_CONSTANT(16) << 20)

static gboolean set_image(RunOptions *options, const char *value, GError **error)
{
    options->image = value;
    return store_check_name(value, error);
}

/* "vmbr0" or "vmbr0,allow=…". */
static gboolean set_bridge(RunOptions *options, const char *value, GError **error)
{
    const char *comma = strchr(value, ',');
    g_autofree char *name = comma ? g_strndup(value, (gsize)(comma - value)) : g_strdup(value);

    if (!*name || strlen(name) >= IFNAMSIZ || strpbrk(name, "/ \t\n")) {
        return ctl_fail(error, CTL_ERROR_USAGE, "--net: '%s' is not the name of a bridge", name);
    }
    if (comma && !g_str_has_prefix(comma, ",allow=")) {
        return ctl_fail(error, CTL_ERROR_USAGE, "--net: behind 'bridge=%s' there can be ',allow='",
                        name);
    }
    options->bridge = g_steal_pointer(&name);
    options->allow = comma ? allow_parse(comma + strlen(",allow="), error) : NULL;
    return !comma || options->allow;
}

static gboolean set_net(RunOptions *options, const char *value, GError **error)
{
    g_clear_pointer(&options->bridge, g_free);
    g_clear_pointer(&options->allow, allow_free);
    options->user_net = strcmp(value, "user") == 0;
    if (g_str_has_prefix(value, "bridge=")) {
        return set_bridge(options, value + strlen("bridge="), error);
    }
    return options->user_net || strcmp(value, "none") == 0 ||
           ctl_fail(error, CTL_ERROR_USAGE, "--net: '%s' is not none, user or bridge=NAME", value);
}

/* "PATH", "PATH:ro" or "PATH:rw". */
static gboolean set_mount(RunOptions *options, const char *value, GError **error)
{
    gboolean readonly = g_str_has_suffix(value, ":ro");
    gboolean said = readonly || g_str_has_suffix(value, ":rw");
    g_autofree char *path = g_strndup(value, strlen(value) - (said ? strlen(":ro") : 0));
    struct stat st;

    free(options->mount);
    options->mount = realpath(path, NULL);
    options->mount_readonly = readonly;
    if (!options->mount || stat(options->mount, &st) < 0) {
        return ctl_fail(error, CTL_ERROR_USAGE, "--mount: %s: %s", path, g_strerror(errno));
    }
    return S_ISDIR(st.st_mode) ||
           ctl_fail(error, CTL_ERROR_USAGE, "--mount: %s is not a directory", path);
}

static gboolean set_memory(RunOptions *options, const char *value, GError **error)
{
    return g_ascii_string_to_unsigned(value, 10, 1, MAX_MEMORY_MIB, &options->memory_mib, NULL) ||
           ctl_fail(error, CTL_ERROR_USAGE, "--memory: '%s' is not a number of MiB", value);
}

static gboolean set_timeout(RunOptions *options, const char *value, GError **error)
{
    char *end;

    options->seconds = g_ascii_strtod(value, &end);
    return (g_ascii_isdigit(*value) && !*end && options->seconds > 0 &&
            options->seconds <= MAX_SECONDS) ||
           ctl_fail(error, CTL_ERROR_USAGE, "--timeout: '%s' is not a number of seconds, above 0",
                    value);
}

static gboolean set_state_dir(RunOptions *options, const char *value, GError **error)
{
    options->state_dir = value;
    return *value || ctl_fail(error, CTL_ERROR_USAGE, "--state-dir: no directory is named");
}

/* One row an option; ->set NULL: it is answered by itself. */
static const struct {
    const char *name, *value;
    gboolean (*set)(RunOptions *options, const char *value, GError **error);
    const char *help;
} table[] = {
    {"image", "TEMPLATE", set_image,
     "what 'microvm-ctl template make' has made (default: " DEFAULT_IMAGE ")"},
    {"net", "NETWORK", set_net,
     "none (the default); user: QEMU's user network, which the template has;\n"
     "bridge=NAME[,allow=WHAT[,WHAT]…]: a tap under a bridge, for root; WHAT\n"
     "is HOST:PORT or ADDRESS[/BITS][:PORT], and all that can be reached"},
    {"mount", "PATH[:ro]", set_mount,
     "a directory of this host's at /mnt of the guest, where the command\n"
     "begins; :ro: it cannot write there"},
    {"memory", "MIB", set_memory, "leaves the guest so much of the template's memory"},
    {"timeout", "SECONDS", set_timeout, "ends the guest, if the command has not ended by then"},
    {"state-dir", "DIR", set_state_dir, "where templates are (default /var/lib/microvm)"},
    {"help", NULL, NULL, "this text"},
    {"version", NULL, NULL, "the version"},
};

static void print_help(void)
{
    printf("Usage: microvm-run [OPTION]… [--] COMMAND [ARGUMENT]…\n"
           "Runs a command in a guest of its own, which wakes from a template and is gone with "
           "it.\n\n");
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_auto(GStrv) lines = g_strsplit(table[i].help, "\n", -1);
        g_autofree char *left =
            g_strdup_printf("--%s%s%s", table[i].name, table[i].value ? " " : "",
                            table[i].value ? table[i].value : "");

        for (char **line = lines; *line; line++) {
            printf("  %-20s  %s\n", line == lines ? left : "", *line);
        }
    }
    printf("\nExit status: that of the command, or\n"
           "  128+N  signal N has ended it\n"
           "  124    the time was over\n"
           "  125    microvm-run, QEMU or the guest has failed; one line on stderr says why\n"
           "  126    the command is there, and could not be started\n"
           "  127    there is no such command\n");
}

static RunOptionsResult parse_words(int argc, char **argv, RunOptions *options, GError **error)
{
    if (optind == argc || !*argv[optind]) {
        ctl_fail(error, CTL_ERROR_USAGE, "no command; see --help");
        return RUN_OPTIONS_BAD;
    }
    options->words = argv + optind;
    return RUN_OPTIONS_OK;
}

RunOptionsResult run_options_parse(int argc, char **argv, RunOptions *options, GError **error)
{
    struct option longs[G_N_ELEMENTS(table) + 1] = {0};
    int row, code;

    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        longs[i] = (struct option){table[i].name, table[i].value ? required_argument : no_argument,
                                   NULL, 0};
    }
    options->image = DEFAULT_IMAGE;
    optind = 0;
    while ((code = getopt_long(argc, argv, "+h", longs, &row)) != -1) {
        if (code == '?') {
            return RUN_OPTIONS_BAD;
        }
        if (code == 'h' || strcmp(table[row].name, "help") == 0) {
            print_help();
            return RUN_OPTIONS_DONE;
        }
        if (!table[row].set) {
            printf("microvm-run %s\n", PACKAGE_VERSION);
            return RUN_OPTIONS_DONE;
        }
        if (!table[row].set(options, optarg, error)) {
            return RUN_OPTIONS_BAD;
        }
    }
    return parse_words(argc, argv, options, error);
}

void run_options_clear(RunOptions *options)
{
    free(options->mount);
    options->mount = NULL;
    g_clear_pointer(&options->bridge, g_free);
    g_clear_pointer(&options->allow, allow_free);
}
