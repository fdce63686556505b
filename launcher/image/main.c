/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * microvm-image: root disks for guests, from a directory, a tarball, a suite or a container image.
 *
 * What root has to own is owned by root: run by another user, the program fetches what there is to
 * fetch, and then runs itself again in a user namespace, as unshare(1) makes it with the ids that
 * /etc/subuid gives that user.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <pwd.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"
#include "image.h"
#include "launcher-paths.h"
#include "profile.h"
#include "propstr.h"
#include "source.h"
#include "tool.h"
#include "work.h"

#define DEFAULT_SIZE (4ULL << 30)
#define MIN_SIZE (16ULL << 20)
#define MAX_SIZE (16ULL << 40)

G_DEFINE_QUARK(image - error, image_error)

gboolean image_fail(GError **error, ImageErrorCode code, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error_literal(error, IMAGE_ERROR, code, text);
    return FALSE;
}

void image_say(const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    fprintf(stderr, "%smicrovm-image: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", text);
}

typedef enum { TEXT, FLAG, SIZE, FORMAT, PROFILE, PACKAGES, HELP, VERSION } OptionKind;

#define AT(field) offsetof(Request, field)

/* One row an option; ->at is where in Request its value goes. */
static const struct {
    const char *name, *value;
    OptionKind kind;
    gsize at;
    const char *help;
} options[] = {
    {"size", "SIZE", SIZE, 0, "of the disk, as 8G (default 4G); empty space takes none"},
    {"format", "FORMAT", FORMAT, 0, "raw (default) or qcow2"},
    {"profile", "NAME[,NAME]", PROFILE, 0, "what it is for (default minimal); see below"},
    {"packages", "NAME[,NAME]", PACKAGES, 0, "more packages for a suite"},
    {"hostname", "NAME", TEXT, AT(hostname), "the guest's (suites: microvm)"},
    {"ssh-key", "FILE", TEXT, AT(ssh_key), "whoever has one of these keys may be root"},
    {"no-password", NULL, FLAG, AT(no_password), "whoever reaches the console may be root"},
    {"mirror", "URI", TEXT, AT(mirror), "where a suite is fetched from"},
    {"keyring", "FILE", TEXT, AT(keyring), "whose signatures a suite may have"},
    {"cache", "DIR", TEXT, AT(cache), "downloads, logs, work (default ~/.cache/microvm-image)"},
    {"force", NULL, FLAG, AT(force), "replace OUTPUT, if no guest uses it"},
    {"help", NULL, HELP, 0, "this text"},
    {"version", NULL, VERSION, 0, "the version"},
    {"fetched", NULL, FLAG, AT(fetched), NULL},
};

static void print_help(void)
{
    printf("Usage: microvm-image [OPTION]… SOURCE OUTPUT\n"
           "Makes a root disk for a guest: ext4, labelled microvm-root, without partition table "
           "and kernel.\n\n"
           "SOURCE:\n"
           "  DIRECTORY, TARBALL    a root file system; taken as it is\n"
           "  debian:SUITE          a fresh Debian, as debian:trixie\n"
           "  ubuntu:SUITE          a fresh Ubuntu, as ubuntu:noble\n"
           "  docker://IMAGE        a container image of a registry, as docker://debian:13\n"
           "  oci:DIR:TAG, oci-archive:FILE, docker-archive:FILE\n"
           "                        one on this host\n\n");
    for (gsize i = 0; i < G_N_ELEMENTS(options); i++) {
        g_autofree char *left = g_strconcat("--", options[i].name, options[i].value ? " " : "",
                                            options[i].value ? options[i].value : "", NULL);

        if (options[i].help)
            printf("  %-22s%s\n", left, options[i].help);
    }
    printf("\nProfiles:\n");
    profile_print();
    printf("\nExit status: 0 done; 1 refused or failed, one line on stderr says why; 2 the command "
           "line is wrong.\n");
}

static gboolean read_format(const char *value, gboolean *qcow2, GError **error)
{
    *qcow2 = strcmp(value, "qcow2") == 0;
    return *qcow2 || strcmp(value, "raw") == 0 ||
           image_fail(error, IMAGE_ERROR_USAGE, "--format: '%s' is neither raw nor qcow2", value);
}

static gboolean read_size(const char *value, guint64 *size, GError **error)
{
    if (!propstr_size(value, size, NULL))
        return image_fail(error, IMAGE_ERROR_USAGE, "--size: '%s' is not a size, as 8G", value);
    return (*size >= MIN_SIZE && *size <= MAX_SIZE) ||
           image_fail(error, IMAGE_ERROR_USAGE, "--size: %s is not from 16M to 16T", value);
}

static void read_packages(const char *value, GPtrArray *packages)
{
    g_auto(GStrv) names = g_strsplit(value, ",", -1);

    for (char **name = names; *name; name++)
        g_ptr_array_add(packages, g_strdup(*name));
}

static gboolean apply(Request *request, gsize row, const char *value, GError **error)
{
    gpointer field = (char *)request + options[row].at;

    if (value && !*value)
        return image_fail(error, IMAGE_ERROR_USAGE, "--%s: %s is wanted", options[row].name,
                          options[row].value);
    switch (options[row].kind) {
    case TEXT:
        *(const char **)field = value;
        return TRUE;
    case FLAG:
        *(gboolean *)field = TRUE;
        return TRUE;
    case SIZE:
        return read_size(value, &request->size, error);
    case FORMAT:
        return read_format(value, &request->qcow2, error);
    case PROFILE:
        return profile_parse(value, &request->profiles, error);
    case PACKAGES:
        read_packages(value, request->packages);
        return TRUE;
    default:
        return TRUE;
    }
}

/* *@done: help or the version was asked for. */
static gboolean read_options(int argc, char **argv, Request *request, gboolean *done,
                             GError **error)
{
    struct option longs[G_N_ELEMENTS(options) + 1] = {0};
    int row = 0, code;

    for (gsize i = 0; i < G_N_ELEMENTS(options); i++)
        longs[i] = (struct option){options[i].name,
                                   options[i].value ? required_argument : no_argument, NULL, 0};
    while ((code = getopt_long(argc, argv, "h", longs, &row)) != -1) {
        if (code == '?')
            return image_fail(error, IMAGE_ERROR_USAGE, "see --help");
        if (code == 'h' || options[row].kind == HELP) {
            print_help();
            return *done = TRUE;
        }
        if (options[row].kind == VERSION) {
            printf("microvm-image %s\n", PACKAGE_VERSION);
            return *done = TRUE;
        }
        if (!apply(request, (gsize)row, optarg, error))
            return FALSE;
    }
    if (argc - optind != 2)
        return image_fail(error, IMAGE_ERROR_USAGE,
                          "a SOURCE and an OUTPUT are wanted; see --help");
    request->source = argv[optind];
    request->output = argv[optind + 1];
    return TRUE;
}

static gboolean check_hostname(const char *name, GError **error)
{
    return !name ||
           (strlen(name) <= 63 && *name != '-' &&
            strspn(name, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-.") == strlen(name)) ||
           image_fail(error, IMAGE_ERROR_USAGE, "--hostname: '%s' is not a host name", name);
}

static gboolean check(Request *request, GError **error)
{
    gboolean suite;

    if (!check_hostname(request->hostname, error) || !source_recognise(request, error))
        return FALSE;
    suite = request->kind == SOURCE_DEBIAN || request->kind == SOURCE_UBUNTU;
    if (!suite && (request->packages->len || request->mirror || request->keyring))
        return image_fail(
            error, IMAGE_ERROR_USAGE,
            "--packages, --mirror and --keyring are for debian:SUITE and ubuntu:SUITE");
    g_ptr_array_add(request->packages, NULL);
    if (!request->profiles && !profile_parse("minimal", &request->profiles, error))
        return FALSE;
    return disk_check_output(request, error) && source_check_tools(request, error) &&
           (!suite || request->mirror || suite_find_mirror(request, error));
}

static gboolean make_cache(Request *request, GError **error)
{
    request->cache_dir = request->cache
                             ? g_canonicalize_filename(request->cache, NULL)
                             : g_build_filename(g_get_user_cache_dir(), "microvm-image", NULL);
    request->cache = request->cache_dir;
    return g_mkdir_with_parents(request->cache, 0755) == 0 ||
           image_fail(error, IMAGE_ERROR_FAILED, "%s: %s", request->cache, g_strerror(errno));
}

static gboolean fetch(const Request *request, GError **error)
{
    switch (request->kind) {
    case SOURCE_DEBIAN:
    case SOURCE_UBUNTU:
        return suite_fetch(request, error);
    case SOURCE_OCI:
        return oci_fetch(request, error);
    default:
        return TRUE;
    }
}

static const char *const enter[] = {"unshare", "--user", "--map-root-user", "--map-auto"};

/* Whether this user has ids for a namespace; unshare knows best. */
static gboolean check_namespace(GError **error)
{
    g_autofree char *why = NULL;
    const char *argv[G_N_ELEMENTS(enter) + 2] = {0};
    const struct passwd *user = getpwuid(getuid());
    int status;

    memcpy(argv, enter, sizeof(enter));
    argv[G_N_ELEMENTS(enter)] = "true";
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &why,
                      &status, error))
        return FALSE;
    return status == 0 ||
           image_fail(
               error, IMAGE_ERROR_FAILED,
               "files of root and others are made in a user namespace, for which the package "
               "uidmap "
               "is needed, and a line for %s in each of /etc/subuid and /etc/subgid; root needs "
               "none of it (%s)",
               user ? user->pw_name : "this user", g_strstrip(why));
}

/* Goes on in a user namespace; returns only if it cannot. */
static gboolean go_on_as_root(int argc, char **argv, GError **error)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", error);
    g_autoptr(GPtrArray) words = g_ptr_array_new();

    if (!self)
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(enter); i++)
        g_ptr_array_add(words, (char *)enter[i]);
    g_ptr_array_add(words, self);
    g_ptr_array_add(words, (char *)"--fetched");
    for (int i = 1; i < argc; i++)
        g_ptr_array_add(words, argv[i]);
    g_ptr_array_add(words, NULL);
    execvp(enter[0], (char **)words->pdata);
    return image_fail(error, IMAGE_ERROR_FAILED, "unshare: %s", g_strerror(errno));
}

static void report(const Request *request)
{
    struct stat st;

    if (stat(request->output, &st) == 0)
        printf("%s: %" G_GUINT64_FORMAT " MiB, takes %" G_GUINT64_FORMAT " MiB\n", request->output,
               request->size >> 20, ((guint64)st.st_blocks * 512 + (1 << 20) - 1) >> 20);
}

static gboolean run(int argc, char **argv, Request *request, GError **error)
{
    gboolean done = FALSE;

    if (!read_options(argc, argv, request, &done, error))
        return FALSE;
    if (done)
        return TRUE;
    if (!check(request, error) || !make_cache(request, error))
        return FALSE;
    if (!request->fetched) {
        if ((geteuid() != 0 && !check_namespace(error)) || !fetch(request, error))
            return FALSE;
        if (geteuid() != 0)
            return go_on_as_root(argc, argv, error);
    }
    if (!work_run(request, error))
        return FALSE;
    report(request);
    return TRUE;
}

int main(int argc, char **argv)
{
    Request request = {.size = DEFAULT_SIZE, .packages = g_ptr_array_new_with_free_func(g_free)};
    g_autofree char *path = g_strconcat(g_getenv("PATH") ? g_getenv("PATH") : "/usr/bin:/bin",
                                        ":/usr/sbin:/sbin", NULL);
    g_autoptr(GError) error = NULL;
    /* names in tarballs are UTF-8, whatever the user's language */
    gboolean good = setlocale(LC_ALL, "C.UTF-8") != NULL;

    g_setenv("LC_ALL", "C.UTF-8", TRUE);
    g_setenv("PATH", path, TRUE);
    tool_catch_signals();
    good = good && run(argc, argv, &request, &error);
    g_ptr_array_unref(request.packages);
    g_free(request.cache_dir);
    g_free(request.host_mirror);
    if (good && (fflush(stdout) != 0 || ferror(stdout)))
        good = image_fail(&error, IMAGE_ERROR_FAILED, "standard output: %s", g_strerror(errno));
    if (good)
        return 0;
    image_say("%s", error ? error->message : "libc has no locale C.UTF-8");
    return g_error_matches(error, IMAGE_ERROR, IMAGE_ERROR_USAGE) ? 2 : 1;
}
