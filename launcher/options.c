/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "options.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "launcher-paths.h"

typedef enum {
    TEXT, /* ->at: where in Options its value goes */
    FLAG, /* ->at: which gboolean there it sets */
    MODE, /* ->at: what Options.mode becomes */
    HELP,
    VERSION,
} OptionKind;

#define AT(field) offsetof(Options, field)

/* One row an option; ->value is the name of its value in --help, NULL when it takes none. */
static const struct {
    OptionKind kind;
    gsize at;
    const char *name, *value, *help;
} table[] = {
    {TEXT, AT(plan.id), "id", "ID", "the guest's id, when the file is not named ID.conf"},
    {TEXT, AT(storage_cfg), "storage-cfg", "FILE",
     "storages, in the syntax of Proxmox's storage.cfg"},
    {TEXT, AT(plan.net), "net", "user[,hostfwd=F]…",
     "QEMU's user network instead of bridges; F forwards a port to net0:\n"
     "tcp:[ADDRESS]:PORT-:PORT (or udp:), on 127.0.0.1 without ADDRESS"},
    {TEXT, AT(plan.directory_cfg), "directory-cfg", "FILE",
     "shared directories, in the syntax of Proxmox's mapping/directory.cfg"},
    {TEXT, AT(plan.cpu_models), "cpu-models", "FILE",
     "CPU models (custom-…), in the syntax of Proxmox's cpu-models.conf"},
    {FLAG, AT(plan.vsock), "vsock", NULL,
     "a vsock device; the guest's address is its id plus 1000"},
    {FLAG, AT(plan.shares), "shares", NULL,
     "a 9p device into which 'microvm-ctl share' puts directories while the\n"
     "guest runs; needs root"},
    {TEXT, AT(plan.user), "user", "NAME",
     "run QEMU as this user, once root's part is done (default for root:\n"
     "microvm, where there is such a user)"},
    {TEXT, AT(plan.runtime_dir), "runtime-dir", "DIR",
     "where sockets and pidfile go (default $XDG_RUNTIME_DIR/microvm,\n"
     "or /run/microvm; /run/microvm-NAME with --user)"},
    {TEXT, AT(state_dir), "state-dir", "DIR",
     "where microvm-ctl keeps the template that the config names\n"
     "(default /var/lib/microvm)"},
    {FLAG, AT(plan.daemonize), "daemonize", NULL, "return as soon as the guest runs"},
    {FLAG, AT(plan.no_limits), "no-limits", NULL,
     "stay in this cgroup; who starts the launcher sees to cpulimit and cpuunits"},
    {TEXT, AT(plan.qemu), "qemu", "FILE", "the QEMU to run"},
    {TEXT, AT(plan.kernel), "kernel", "FILE",
     "the kernel to boot, unless the config's args name one"},
    {TEXT, AT(plan.initrd), "initrd", "FILE", "the initrd to boot with"},
    {TEXT, AT(plan.virtiofsd), "virtiofsd", "FILE", "the virtiofsd to run for shared directories"},
    {TEXT, AT(host), "host", "KIND",
     "proxmox or plain; without it, Proxmox's for configs in /etc/pve"},
    {TEXT, AT(plan.force_machine), "force-machine", "TYPE", "this machine instead of the config's"},
    {TEXT, AT(plan.force_cpu), "force-cpu", "CPU",
     "this value of QEMU's -cpu instead of the config's"},
    {TEXT, AT(plan.nets_host_mtu), "nets-host-mtu", "LIST",
     "MTUs that guests are told, instead of the config's: net0=1500,net1=…"},
    {MODE, MODE_DUMP, "dump", NULL, "show the config's keys as they were read, and stop"},
    {MODE, MODE_CHECK, "check", NULL, "say all that is wrong with the config, and stop"},
    {MODE, MODE_PRINT, "print", NULL, "show QEMU's command line, quoted for a shell, and stop"},
    {MODE, MODE_PRINT0, "print0", NULL, "the same with a NUL behind each word, and stop"},
    {TEXT, AT(assume), "assume", "LIST",
     "with --print: do not look at this machine but take it to have LIST,\n"
     "of io_uring, vhost-net, pve-qemu, hugepages-1g, vmx, svm, root, account,\n"
     "modules, bridge=NAME[:MTU[:vlans]], kernel=PATH:KIND; or none"},
    {FLAG, AT(strict), "strict", NULL, "refuse lines that Proxmox warns about and drops"},
    {HELP, 0, "help", NULL, "this text"},
    {VERSION, 0, "version", NULL, "the version"},
};

static void print_help(void)
{
    printf("Usage: microvm-launch [OPTION]… CONFIG [-- QEMU-ARGUMENT…]\n"
           "Starts the guest of a Proxmox config (114.conf) on QEMU's microvm board.\n\n");
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        g_auto(GStrv) lines = g_strsplit(table[i].help, "\n", -1);
        g_autofree char *left =
            g_strdup_printf("--%s%s%s", table[i].name, table[i].value ? " " : "",
                            table[i].value ? table[i].value : "");

        if (strlen(left) > 20)
            printf("  %s\n  %-22s%s\n", left, "", lines[0]);
        else
            printf("  %-22s%s\n", left, lines[0]);
        for (char **line = lines + 1; *line; line++)
            printf("  %-22s%s\n", "", *line);
    }
    printf("\nQEMU, kernel and initrd are looked for beside the launcher (unless it is installed), "
           "then in\n"
           "%s and %s.\n\n"
           "Exit status: that of QEMU, which takes the launcher's place; before that\n"
           "  1  the config, or this machine, does not allow it (one line on stderr says why)\n"
           "  2  the command line is wrong\n"
           "  3  a guest of this id runs already\n",
           QEMU_PATH, DATA_DIR);
}

static void apply(Options *options, gsize row, const char *value)
{
    gpointer field = (char *)options + table[row].at;

    if (table[row].kind == TEXT)
        *(const char **)field = value;
    else if (table[row].kind == FLAG)
        *(gboolean *)field = TRUE;
    else
        options->mode = (Mode)table[row].at;
}

static OptionsResult bad(const char *what)
{
    fprintf(stderr, "microvm-launch: %s; see --help\n", what);
    return OPTIONS_BAD;
}

/* The words that remain: CONFIG at @from, and from @end on what goes to QEMU. */
static OptionsResult parse_words(int argc, char **argv, int from, int end, Options *options)
{
    gboolean separated = end < argc && strcmp(argv[end], "--") == 0;

    if (end == from)
        return bad("no config file given");
    if (end > from + 1)
        return bad("more than one config file given (arguments for QEMU go after '--')");
    options->config = argv[from];
    if (end < argc)
        options->plan.trailing = (const char *const *)argv + end + separated;
    if (options->host && strcmp(options->host, "proxmox") != 0 &&
        strcmp(options->host, "plain") != 0)
        return bad("--host is proxmox or plain");
    if (options->assume && options->mode != MODE_PRINT && options->mode != MODE_PRINT0)
        return bad("--assume goes with --print or --print0 only");
    return OPTIONS_OK;
}

/*
 * Where QEMU's arguments begin: at "--", or at the first word with a single dash, as qemu-server
 * appends them. getopt is not to see them, nor to drop the "--".
 */
static int find_separator(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        gboolean ours = argv[i][0] != '-' || argv[i][1] == '-' || strcmp(argv[i], "-h") == 0;

        if (strcmp(argv[i], "--") == 0 || (!ours && i > 1))
            return i;
    }
    return argc;
}

OptionsResult options_parse(int argc, char **argv, Options *options)
{
    struct option longs[G_N_ELEMENTS(table) + 1] = {0};
    int end = find_separator(argc, argv), row, code;

    memset(options, 0, sizeof(*options));
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++)
        longs[i] = (struct option){table[i].name, table[i].value ? required_argument : no_argument,
                                   NULL, 0};
    while ((code = getopt_long(end, argv, "h", longs, &row)) != -1) {
        if (code == 'h' || (code == 0 && table[row].kind == HELP)) {
            print_help();
            return OPTIONS_DONE;
        }
        if (code == '?')
            return OPTIONS_BAD;
        if (table[row].kind == VERSION) {
            printf("microvm-launch %s\n", PACKAGE_VERSION);
            return OPTIONS_DONE;
        }
        if (optarg && !*optarg)
            return bad("an option has an empty value");
        apply(options, (gsize)row, optarg);
    }
    return parse_words(argc, argv, optind, end, options);
}
