/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "launcher-paths.h"
#include "output.h"
#include "propstr.h"

/* Exit codes, as --help has them. */
enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NO_GUEST = 3,
    EXIT_TIMEOUT = 4,
};

#define MAX_SECONDS (7 * 24 * 3600)

/*
 * One row a verb; ->words is what follows the id, or the verb if it begins with a blank, ->seconds
 * what --timeout is without it.
 */
static const struct {
    const char *name, *words; /* NULL: without an id */
    guint min_words, max_words;
    double seconds;
    gboolean (*run)(Request *request, GError **error);
    const char *help;
} verbs[] = {
    {"list", NULL, 0, 0, 0, ctl_list, "the guests that run on this host"},
    {"status", "", 0, 0, 10, ctl_status, "a guest's state, CPUs, memory, disks and network"},
    {"console", "", 0, 0, 0, ctl_console,
     "what the guest has printed on its console since it started,\n"
     "then the console itself"},
    {"agent", "ping | exec PROGRAM [ARGUMENT]… | guest-COMMAND [JSON]", 1, G_MAXUINT, 30, ctl_agent,
     "the guest agent: does it answer; a program's output and\n"
     "status; any of its commands"},
    {"shutdown", "", 0, 0, 180, ctl_shutdown,
     "the agent is asked, then the power button pressed, and the\n"
     "end waited for"},
    {"stop", "", 0, 0, 10, ctl_stop, "ends QEMU, as if power failed"},
    {"reset", "", 0, 0, 10, ctl_reset, "as the reset button"},
    {"pause", "", 0, 0, 10, ctl_pause, "stops the guest's CPUs"},
    {"resume", "", 0, 0, 10, ctl_resume, "lets them go on"},
    {"balloon", "MIB", 1, 1, 30, ctl_balloon, "leaves the guest so much of its memory"},
    {"snapshot", "save NAME | restore NAME | delete NAME | list", 1, 2, 600, ctl_snapshot,
     "memory, devices and disks, kept in the guest's qcow2 disks"},
    {"migrate", "[-- LAUNCHER-WORD…]", 0, G_MAXUINT, 3600, ctl_migrate,
     "moves the guest to another host, or to a QEMU that waits\n"
     "for it; the words are for the launcher on the host of ssh:"},
    {"receive", "[-- LAUNCHER-WORD…]", 0, G_MAXUINT, 60, ctl_receive,
     "what migrate runs on that host"},
    {"share", "PATH | NAME --remove | --list", 0, 1, 10, ctl_share,
     "a directory of this host for a guest started with --shares;\n"
     "taking it away again; what is shared"},
    {"ssh-agent", "", 0, 0, 10, ctl_ssh_agent,
     "lets the guest use your ssh agent, by vsock, until ^C"},
    {"template", " make CONFIG [-- LAUNCHER-WORD…] | list | remove NAME", 1, G_MAXUINT, 600,
     ctl_template,
     "boots the guest of a config (a file, or the id of one in\n"
     "/etc/microvm) and saves it, for clones; what is saved"},
    {"clone", " TEMPLATE ID…", 2, G_MAXUINT, 60, ctl_clone,
     "wakes new guests from a template, each with an id of its own;\n"
     "their disks last as long as they run"},
};

typedef enum {
    TEXT,    /* ->at: where in Request its value goes */
    FLAG,    /* ->at: which gboolean there it sets */
    NUMBER,  /* ->at: which guint64, of at most ->max */
    SIZE,    /* ->at: which guint64 */
    SECONDS, /* Request.timeout */
    KEY,     /* Request.detach_key */
    HELP,
    VERSION,
} OptionKind;

#define AT(field) offsetof(Request, field)

/* One row an option; ->verbs are those that have it, NULL: all. */
static const struct {
    const char *name, *value, *verbs;
    OptionKind kind;
    gsize at;
    guint64 max;
    const char *help;
} options[] = {
    {"runtime-dir", "DIR", NULL, TEXT, AT(runtime_dir), 0,
     "where the launcher was told to put sockets and pidfile"},
    {"user", "NAME", NULL, TEXT, AT(user), 0, "guests that the launcher started with --user NAME"},
    {"state-dir", "DIR", "template clone", TEXT, AT(state_dir), 0,
     "where templates are (default /var/lib/microvm)"},
    {"json", NULL, "list status snapshot share template clone", FLAG, AT(json), 0, "for programs"},
    {"timeout", "SECONDS",
     "status agent shutdown stop reset pause resume balloon snapshot migrate "
     "receive template clone",
     SECONDS, 0, 0, "how long it may take"},
    {"force", NULL, "shutdown share", FLAG, AT(force), 0,
     "shutdown: end QEMU when the time is over; share --remove: in\nspite of open files"},
    {"name", "NAME", "share template", TEXT, AT(name), 0,
     "share: what the guest sees it as (default: as on the host);\n"
     "template: what it is called (default: as its guest)"},
    {"read-only", NULL, "share", FLAG, AT(read_only), 0, "the guest cannot write there"},
    {"remove", NULL, "share", FLAG, AT(remove), 0, "take NAME away from the guest"},
    {"list", NULL, "share", FLAG, AT(list), 0, "show what is shared"},
    {"serial", "N", "console", NUMBER, AT(serial), 3, "serialN instead of serial0"},
    {"log", NULL, "console", FLAG, AT(log), 0, "show what was printed, and stop"},
    {"detach-key", "^KEY", "console", KEY, 0, 0, "leaves the console (default ^])"},
    {"to", "URI", "migrate", TEXT, AT(to), 0,
     "ssh:[USER@]HOST; or unix:/PATH or tcp:HOST:PORT, where QEMU\nwaits already"},
    {"ssh-config", "FILE", "migrate", TEXT, AT(ssh_config), 0, "for ssh, instead of ~/.ssh/config"},
    {"downtime", "MS", "migrate", NUMBER, AT(downtime_ms), 2000000,
     "the guest may stand still so long (default 200)"},
    {"bandwidth", "SIZE", "migrate", SIZE, AT(bandwidth), 0,
     "bytes a second at most, as 100M (default: no limit)"},
    {"cancel", NULL, "migrate", FLAG, AT(cancel), 0, "take a move back that nobody looks after"},
    {"replace", NULL, "template", FLAG, AT(replace), 0, "make it anew"},
    {"drop-caches", NULL, "template", FLAG, AT(drop_caches), 0,
     "without what the guest has read from its disks"},
    {"net", "user[,hostfwd=F]…", "clone", TEXT, AT(net), 0,
     "QEMU's user network with forwarded ports, as the launcher has\nit"},
    {"no-limits", NULL, "clone", FLAG, AT(no_limits), 0,
     "stay in this cgroup, as with the launcher"},
    {"foreground", NULL, "clone", FLAG, AT(foreground), 0,
     "stay until the one guest has ended; SIGTERM ends it"},
    {"help", NULL, NULL, HELP, 0, 0, "this text"},
    {"version", NULL, NULL, VERSION, 0, 0, "the version"},
};

static gboolean has_id(gsize verb)
{
    return verbs[verb].words && *verbs[verb].words != ' ';
}

static void print_row(char *left, const char *help)
{
    g_auto(GStrv) lines = g_strsplit(help, "\n", -1);

    printf("  %-22s%s\n", left, lines[0]);
    for (char **line = lines + 1; *line; line++) {
        printf("  %-22s%s\n", "", *line);
    }
    g_free(left);
}

static void print_help(void)
{
    printf("Usage: microvm-ctl VERB [ID] [WORD]… [OPTION]…\n"
           "Looks after guests that microvm-launch has started.\n\n");
    for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++) {
        const char *words = verbs[i].words;

        if (words && *words) {
            printf("  %s%s%s\n", verbs[i].name, has_id(i) ? " ID " : "", words);
            print_row(g_strdup(""), verbs[i].help);
        } else {
            print_row(g_strconcat(verbs[i].name, has_id(i) ? " ID" : "", NULL), verbs[i].help);
        }
    }
    printf("\n");
    for (gsize i = 0; i < G_N_ELEMENTS(options); i++) {
        g_autofree char *help = options[i].verbs && !strchr(options[i].verbs, ' ')
                                    ? g_strconcat(options[i].verbs, ": ", options[i].help, NULL)
                                    : g_strdup(options[i].help);

        print_row(g_strconcat("--", options[i].name, options[i].value ? " " : "",
                              options[i].value ? options[i].value : "", NULL),
                  help);
    }
    printf("\nExit status:\n"
           "  0  done\n"
           "  1  QEMU, the guest or this host refused; one line on stderr says why\n"
           "  2  the command line is wrong\n"
           "  3  no such guest runs\n"
           "  4  the time is over\n"
           "agent exec: that of the program, or 125 if it was not run.\n");
}

static gboolean parse_seconds(const char *text, double *seconds)
{
    char *end;

    *seconds = g_ascii_strtod(text, &end);
    return g_ascii_isdigit(*text) && !*end && *seconds <= MAX_SECONDS;
}

/* "^]": the control character of that letter. */
static gboolean parse_key(const char *text, char *key)
{
    char letter = text[0] == '^' ? g_ascii_toupper(text[1]) : 0;

    *key = (char)(letter - '@');
    return letter > '@' && letter <= '_' && !text[2];
}

static gboolean apply(Request *request, gsize row, const char *value, GError **error)
{
    gpointer field = (char *)request + options[row].at;
    gboolean good = !options[row].value || *value;

    switch (options[row].kind) {
    case TEXT:
        *(const char **)field = value;
        break;
    case FLAG:
        *(gboolean *)field = TRUE;
        break;
    case NUMBER:
        good = g_ascii_string_to_unsigned(value, 10, 0, options[row].max, field, NULL);
        break;
    case SIZE:
        good = propstr_size(value, field, NULL);
        break;
    case SECONDS:
        good = parse_seconds(value, &request->timeout);
        break;
    case KEY:
        good = parse_key(value, &request->detach_key);
        break;
    default:
        break;
    }
    return good || ctl_fail(error, CTL_ERROR_USAGE, "--%s: '%s' is not good for %s",
                            options[row].name, value, options[row].value);
}

/* Whether the verb of row @verb has option @row. */
static gboolean has_option(gsize verb, gsize row)
{
    g_auto(GStrv) names = options[row].verbs ? g_strsplit(options[row].verbs, " ", -1) : NULL;

    return !names || g_strv_contains((const char *const *)names, verbs[verb].name);
}

/* Which options were given, each a bit. */
typedef guint32 Given;
G_STATIC_ASSERT(G_N_ELEMENTS(options) <= 8 * sizeof(Given));

/*
 * Words and options may be mixed, but what follows "agent ID exec" is the guest's. Words go to
 * @words. Returns FALSE with @error; *@help when that or the version was asked for.
 */
static gboolean read_words(int argc, char **argv, Request *request, GPtrArray *words, Given *given,
                           gboolean *help, GError **error)
{
    struct option longs[G_N_ELEMENTS(options) + 1] = {0};
    int row, code;

    for (gsize i = 0; i < G_N_ELEMENTS(options); i++) {
        longs[i] = (struct option){options[i].name,
                                   options[i].value ? required_argument : no_argument, NULL, 0};
    }
    for (;;) {
        gboolean program = words->len == 3 && strcmp(words->pdata[0], "agent") == 0 &&
                           strcmp(words->pdata[2], "exec") == 0;

        if (program || (code = getopt_long(argc, argv, "+h", longs, &row)) == -1) {
            gboolean rest = program || (optind > 1 && strcmp(argv[optind - 1], "--") == 0);

            if (program && optind < argc && strcmp(argv[optind], "--") == 0) {
                optind++;
            }
            do {
                if (optind == argc) {
                    return TRUE;
                }
                g_ptr_array_add(words, argv[optind++]);
            } while (rest);
            continue;
        }
        if (code == '?') {
            return ctl_fail(error, CTL_ERROR_EXIT, "said by getopt");
        }
        if (code == 'h' || options[row].kind == HELP) {
            print_help();
            return *help = TRUE;
        }
        if (options[row].kind == VERSION) {
            printf("microvm-ctl %s\n", PACKAGE_VERSION);
            return *help = TRUE;
        }
        *given |= 1U << row;
        if (!apply(request, (gsize)row, optarg, error)) {
            return FALSE;
        }
    }
}

static gboolean find_verb(const char *name, gsize *verb, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++) {
        if (strcmp(name, verbs[i].name) == 0) {
            *verb = i;
            return TRUE;
        }
    }
    return ctl_fail(error, CTL_ERROR_USAGE, "there is no verb '%s'; see --help", name);
}

/* The verb, the id and the number of words fit together, and the options to the verb. */
static gboolean check(Request *request, GPtrArray *words, Given given, gsize *verb, GError **error)
{
    guint first = 1, n;

    if (words->len == 0) {
        return ctl_fail(error, CTL_ERROR_USAGE, "no verb; see --help");
    }
    if (!find_verb(words->pdata[0], verb, error)) {
        return FALSE;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(options); i++) {
        if ((given & (1U << i)) && !has_option(*verb, i)) {
            return ctl_fail(error, CTL_ERROR_USAGE, "%s has no --%s", verbs[*verb].name,
                            options[i].name);
        }
    }
    if (has_id(*verb)) {
        request->id = words->len > 1 ? words->pdata[first++] : "";
        if (!*request->id || strspn(request->id, G_CSET_DIGITS) != strlen(request->id)) {
            return ctl_fail(error, CTL_ERROR_USAGE, "%s: '%s' is not a guest's id, as 114",
                            verbs[*verb].name, request->id);
        }
    }
    n = words->len - first;
    if (n < verbs[*verb].min_words || n > verbs[*verb].max_words) {
        return ctl_fail(error, CTL_ERROR_USAGE, "usage: microvm-ctl %s%s%s", verbs[*verb].name,
                        has_id(*verb) ? " ID " : "", verbs[*verb].words ? verbs[*verb].words : "");
    }
    request->n_words = n;
    g_ptr_array_add(words, NULL);
    request->words = (char **)words->pdata + first;
    if (request->timeout < 0) {
        request->timeout = verbs[*verb].seconds;
    }
    return TRUE;
}

static int exit_status(const Request *request, const GError *error)
{
    if (g_error_matches(error, CTL_ERROR, CTL_ERROR_EXIT)) {
        return request->status;
    }
    g_return_val_if_fail(error, EXIT_FAILED);
    output_say("%s", error->message);
    if (g_error_matches(error, CTL_ERROR, CTL_ERROR_USAGE)) {
        return EXIT_USAGE;
    }
    if (g_error_matches(error, CTL_ERROR, CTL_ERROR_GUEST)) {
        return EXIT_NO_GUEST;
    }
    return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ? EXIT_TIMEOUT : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    Request request = {
        .timeout = -1, .detach_key = ']' - '@', .downtime_ms = 200, .status = EXIT_USAGE};
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    gboolean help = FALSE, good;
    Given given = 0;
    gsize verb = 0;

    signal(SIGPIPE, SIG_IGN); /* a reader that has gone is not to end a move half-way */
    good = read_words(argc, argv, &request, words, &given, &help, &error) &&
           (help ||
            (check(&request, words, given, &verb, &error) && verbs[verb].run(&request, &error)));
    if (fflush(stdout) != 0 || ferror(stdout)) {
        output_say("standard output: %s", g_strerror(errno));
        return EXIT_FAILED;
    }
    return good ? 0 : exit_status(&request, error);
}
