/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "launcher-paths.h"

enum {
    OPT_HELP = 256,
    OPT_VERSION,
    OPT_DUMP,
    OPT_CHECK,
    OPT_PRINT,
    OPT_PRINT0,
    OPT_STRICT,
    OPT_ASSUME,
    OPT_ID,
    OPT_STORAGE_CFG,
    OPT_NET,
    OPT_RUNTIME_DIR,
    OPT_DAEMONIZE,
    OPT_QEMU,
    OPT_KERNEL,
    OPT_INITRD,
    OPT_HOST,
    OPT_FORCE_MACHINE,
    OPT_FORCE_CPU,
    OPT_NETS_HOST_MTU,
    OPT_DIRECTORY_CFG,
    OPT_VIRTIOFSD,
    OPT_USER,
    OPT_VSOCK,
};

/* One row an option; ->value is the name of its value in --help, NULL when it takes none. */
static const struct {
    int code;
    const char *name, *value, *help;
} table[] = {
    {OPT_ID, "id", "ID", "the guest's id, when the file is not named ID.conf"},
    {OPT_STORAGE_CFG, "storage-cfg", "FILE", "storages, in the syntax of Proxmox's storage.cfg"},
    {OPT_NET, "net", "user[,hostfwd=F]…",
     "QEMU's user network instead of bridges; F forwards a port to net0:\n"
     "tcp:[ADDRESS]:PORT-:PORT (or udp:), on 127.0.0.1 without ADDRESS"},
    {OPT_DIRECTORY_CFG, "directory-cfg", "FILE",
     "shared directories, in the syntax of Proxmox's mapping/directory.cfg"},
    {OPT_VSOCK, "vsock", NULL, "a vsock device; the guest's address is its id plus 1000"},
    {OPT_USER, "user", "NAME", "run QEMU as this user, once root's part is done"},
    {OPT_RUNTIME_DIR, "runtime-dir", "DIR",
     "where sockets and pidfile go (default $XDG_RUNTIME_DIR/microvm,\n"
     "or /run/microvm; /run/microvm-NAME with --user)"},
    {OPT_DAEMONIZE, "daemonize", NULL, "return as soon as the guest runs"},
    {OPT_QEMU, "qemu", "FILE", "the QEMU to run"},
    {OPT_KERNEL, "kernel", "FILE", "the kernel to boot, unless the config's args name one"},
    {OPT_INITRD, "initrd", "FILE", "the initrd to boot with"},
    {OPT_VIRTIOFSD, "virtiofsd", "FILE", "the virtiofsd to run for shared directories"},
    {OPT_HOST, "host", "KIND", "proxmox or plain; without it, Proxmox's for configs in /etc/pve"},
    {OPT_FORCE_MACHINE, "force-machine", "TYPE", "this machine instead of the config's"},
    {OPT_FORCE_CPU, "force-cpu", "CPU", "this value of QEMU's -cpu instead of the config's"},
    {OPT_NETS_HOST_MTU, "nets-host-mtu", "LIST",
     "MTUs that guests are told, instead of the config's: net0=1500,net1=…"},
    {OPT_DUMP, "dump", NULL, "show the config's keys as they were read, and stop"},
    {OPT_CHECK, "check", NULL, "say all that is wrong with the config, and stop"},
    {OPT_PRINT, "print", NULL, "show QEMU's command line, quoted for a shell, and stop"},
    {OPT_PRINT0, "print0", NULL, "the same with a NUL behind each word, and stop"},
    {OPT_ASSUME, "assume", "LIST",
     "with --print: do not look at this machine but take it to have LIST,\n"
     "of io_uring, vhost-net, pve-qemu, hugepages-1g, bridge=NAME[:MTU[:vlans]],\n"
     "kernel=PATH:KIND; or none"},
    {OPT_STRICT, "strict", NULL, "refuse lines that Proxmox warns about and drops"},
    {OPT_HELP, "help", NULL, "this text"},
    {OPT_VERSION, "version", NULL, "the version"},
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

static void apply(Options *options, int code, const char *value)
{
    switch (code) {
    case OPT_DUMP:
        options->mode = MODE_DUMP;
        break;
    case OPT_CHECK:
        options->mode = MODE_CHECK;
        break;
    case OPT_PRINT:
        options->mode = MODE_PRINT;
        break;
    case OPT_PRINT0:
        options->mode = MODE_PRINT0;
        break;
    case OPT_STRICT:
        options->strict = TRUE;
        break;
    case OPT_ASSUME:
        options->assume = value;
        break;
    case OPT_ID:
        options->plan.id = value;
        break;
    case OPT_STORAGE_CFG:
        options->storage_cfg = value;
        break;
    case OPT_NET:
        options->plan.net = value;
        break;
    case OPT_RUNTIME_DIR:
        options->plan.runtime_dir = value;
        break;
    case OPT_DAEMONIZE:
        options->plan.daemonize = TRUE;
        break;
    case OPT_QEMU:
        options->plan.qemu = value;
        break;
    case OPT_KERNEL:
        options->plan.kernel = value;
        break;
    case OPT_INITRD:
        options->plan.initrd = value;
        break;
    case OPT_HOST:
        options->host = value;
        break;
    case OPT_FORCE_MACHINE:
        options->plan.force_machine = value;
        break;
    case OPT_FORCE_CPU:
        options->plan.force_cpu = value;
        break;
    case OPT_DIRECTORY_CFG:
        options->plan.directory_cfg = value;
        break;
    case OPT_VIRTIOFSD:
        options->plan.virtiofsd = value;
        break;
    case OPT_USER:
        options->plan.user = value;
        break;
    case OPT_VSOCK:
        options->plan.vsock = TRUE;
        break;
    case OPT_NETS_HOST_MTU:
        options->plan.nets_host_mtu = value;
        break;
    }
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
    int end = find_separator(argc, argv), code;

    memset(options, 0, sizeof(*options));
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++)
        longs[i] = (struct option){table[i].name, table[i].value ? required_argument : no_argument,
                                   NULL, table[i].code};
    while ((code = getopt_long(end, argv, "h", longs, NULL)) != -1) {
        if (code == OPT_HELP || code == 'h') {
            print_help();
            return OPTIONS_DONE;
        }
        if (code == OPT_VERSION) {
            printf("microvm-launch %s\n", PACKAGE_VERSION);
            return OPTIONS_DONE;
        }
        if (code == '?')
            return OPTIONS_BAD;
        if (optarg && !*optarg)
            return bad("an option has an empty value");
        apply(options, code, optarg);
    }
    return parse_words(argc, argv, optind, end, options);
}
