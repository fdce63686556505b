/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profile.h"
#include "source.h"
#include "tool.h"

#define ARCHITECTURE "amd64"

typedef struct {
    const Request *request;
    const char *mirror, *components;
    char *keyring;                               /* an absolute path: apt takes no other */
    char *dir, *log, *sources, *conf, *archives; /* apt's own place in the cache, and files there */
    GPtrArray *packages;
    guint steps, of; /* of the installation */
} Suite;

static void suite_clear(Suite *suite)
{
    g_free(suite->keyring);
    g_free(suite->dir);
    g_free(suite->log);
    g_free(suite->sources);
    g_free(suite->conf);
    g_free(suite->archives);
    g_ptr_array_unref(suite->packages);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Suite, suite_clear)

static gboolean is_ubuntu(const Request *request)
{
    return request->kind == SOURCE_UBUNTU;
}

gboolean suite_find_mirror(Request *request, GError **error)
{
    const char *name = is_ubuntu(request) ? "Ubuntu" : "Debian";
    g_autofree char *origin = g_strconcat("Origin: ", name, NULL);
    g_autofree char *label = g_strconcat("Label: ", name, NULL);
    const char *argv[] = {
        "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages",
        origin,    label,          NULL};

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                 NULL, &request->host_mirror, NULL, NULL, NULL);
    if (!request->host_mirror || !*g_strstrip(request->host_mirror))
        return image_fail(error, IMAGE_ERROR_USAGE,
                          "apt on this host has no mirror of %s set up: --mirror URI names one",
                          name);
    *strchrnul(request->host_mirror, '\n') = '\0';
    request->mirror = request->host_mirror;
    return TRUE;
}

static char *keyring_of(const Request *request)
{
    if (request->keyring)
        return g_canonicalize_filename(request->keyring, NULL);
    return g_strdup(is_ubuntu(request) ? "/usr/share/keyrings/ubuntu-archive-keyring.gpg"
                                       : "/usr/share/keyrings/debian-archive-keyring.gpg");
}

/* The same suite with other packages or from elsewhere is another tarball. */
char *suite_tarball(const Request *request)
{
    g_autoptr(GPtrArray) packages = profile_packages(request->profiles, request->packages);
    g_autofree char *list = g_strjoinv(" ", (char **)packages->pdata);
    g_autofree char *all = g_strjoin("\n", request->mirror, list, NULL);
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, all, -1);
    g_autofree char *name = g_strdup_printf(
        "%s-%s-%.16s.tar", is_ubuntu(request) ? "ubuntu" : "debian", request->name, hash);

    return source_cache_path(request, name);
}

/* The host's proxy, as apt is told of it; to be freed, or NULL. */
static char *proxy(void)
{
    const char *argv[] = {"apt-config", "dump", "--format", "%v", "Acquire::http::Proxy", NULL};
    char *out = NULL;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, NULL,
                 NULL);
    if (out && *g_strstrip(out))
        return out;
    g_free(out);
    return NULL;
}

static gboolean check_word(const char *option, const char *word, GError **error)
{
    return !strpbrk(word, " \t\n\"'[];") ||
           image_fail(error, IMAGE_ERROR_USAGE, "%s: '%s' has a blank or a quote in it", option,
                      word);
}

static gboolean write_set_up(const Suite *suite, GError **error)
{
    g_autofree char *source = NULL, *conf = NULL, *via = proxy();
    g_autofree char *partial = g_build_filename(suite->archives, "partial", NULL);
    g_autofree char *lists = g_build_filename(suite->dir, "lists", "partial", NULL);
    g_autofree char *status = g_build_filename(suite->dir, "status", NULL);

    if (g_mkdir_with_parents(partial, 0755) < 0 || g_mkdir_with_parents(lists, 0755) < 0)
        return image_fail(error, IMAGE_ERROR_FAILED, "%s: %s", suite->dir, g_strerror(errno));
    source = g_strdup_printf("deb [arch=" ARCHITECTURE " signed-by=%s] %s %s %s\n", suite->keyring,
                             suite->mirror, suite->request->name, suite->components);
    conf = g_strdup_printf(
        "Dir \"%s\";\nDir::Etc::sourcelist \"%s\";\nDir::Etc::sourceparts \"/dev/null\";\n"
        "Dir::State \"%s\";\nDir::State::lists \"lists\";\n"
        "Dir::State::status \"%s\";\nDir::Cache \"%s\";\n"
        "APT::Architecture \"" ARCHITECTURE "\";\n"
        "APT::Architectures { \"" ARCHITECTURE "\"; };\n"
        "APT::Install-Recommends \"false\";\nAPT::Sandbox::User \"\";\n"
        "APT::Status-Fd \"1\";\nAcquire::Retries \"3\";\n%s%s%s",
        suite->dir, suite->sources, suite->dir, status, suite->dir,
        via ? "Acquire::http::Proxy \"" : "", via ? via : "", via ? "\";\n" : "");
    return g_file_set_contents(status, "", 0, error) &&
           g_file_set_contents(suite->sources, source, -1, error) &&
           g_file_set_contents(suite->conf, conf, -1, error);
}

/* apt goes on with a file that it had a part of, and has those that are there already. */
static gboolean fetch_packages(const Suite *suite, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    const char *update[] = {"apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any", NULL};
    const char *install[] = {"apt-get",
                             "install",
                             "-q",
                             "-y",
                             "--download-only",
                             "--",
                             "?essential",
                             "?priority(required)",
                             "apt"};
    gboolean good;

    for (gsize i = 0; i < G_N_ELEMENTS(install); i++)
        g_ptr_array_add(argv, (char *)install[i]);
    for (guint i = 0; i < suite->packages->len; i++)
        g_ptr_array_add(argv, suite->packages->pdata[i]);
    g_setenv("APT_CONFIG", suite->conf, TRUE);
    good = tool_run("fetching the package lists", update, suite->log, tool_progress_apt, NULL,
                    error) &&
           tool_run("fetching packages", (const char *const *)argv->pdata, suite->log,
                    tool_progress_apt, NULL, error);
    g_unsetenv("APT_CONFIG");
    return good;
}

static guint count_packages(const char *archives)
{
    g_autoptr(GDir) dir = g_dir_open(archives, 0, NULL);
    const char *name;
    guint n = 0;

    while (dir && (name = g_dir_read_name(dir)))
        n += g_str_has_suffix(name, ".deb");
    return n;
}

static int installed(const char *line, gpointer data)
{
    Suite *suite = data;

    if (line && (g_str_has_prefix(line, "Unpacking ") || g_str_has_prefix(line, "Setting up ")))
        suite->steps++;
    return suite->of ? (int)(100 * suite->steps / suite->of) : -1;
}

/* What mmdebstrap runs through a shell are these words, and the name of the cache, quoted. */
static gboolean install(Suite *suite, const char *tarball, GError **error)
{
    g_autofree char *quoted = g_shell_quote(suite->archives);
    g_autofree char *sync =
        g_strdup_printf("--setup-hook=sync-in %s /var/cache/apt/archives/", quoted);
    g_autofree char *keyring = g_strconcat("--keyring=", suite->keyring, NULL);
    g_autofree char *components = g_strconcat("--components=", suite->components, NULL);
    g_autofree char *via = proxy(), *proxy_option = NULL;
    g_autofree char *source =
        g_strdup_printf("deb [signed-by=%s] %s %s %s", suite->keyring, suite->mirror,
                        suite->request->name, suite->components);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GPtrArray) includes = g_ptr_array_new_with_free_func(g_free);
    const char *words[] = {"mmdebstrap",
                           "--verbose",
                           "--variant=minbase",
                           "--format=tar",
                           "--architectures=" ARCHITECTURE,
                           geteuid() ? "--mode=unshare" : "--mode=root",
                           "--skip=download/empty",
                           "--setup-hook=mkdir -p \"$1\"/var/cache/apt/archives/",
                           "--dpkgopt=path-exclude=/usr/share/man/*",
                           "--dpkgopt=path-exclude=/usr/share/locale/*",
                           "--dpkgopt=path-exclude=/usr/share/doc/*",
                           "--dpkgopt=path-include=/usr/share/doc/*/copyright"};

    for (gsize i = 0; i < G_N_ELEMENTS(words); i++)
        g_ptr_array_add(argv, (char *)words[i]);
    for (guint i = 0; i + 1 < suite->packages->len; i++)
        g_ptr_array_add(includes, g_strconcat("--include=", suite->packages->pdata[i], NULL));
    g_ptr_array_extend(argv, includes, NULL, NULL);
    if (via) {
        proxy_option = g_strdup_printf("--aptopt=Acquire::http::Proxy \"%s\"", via);
        g_ptr_array_add(argv, proxy_option);
    }
    g_ptr_array_add(argv, sync);
    g_ptr_array_add(argv, keyring);
    g_ptr_array_add(argv, (char *)suite->request->name);
    g_ptr_array_add(argv, (char *)tarball);
    g_ptr_array_add(argv, source);
    g_ptr_array_add(argv, NULL);
    /* each is unpacked, and set up */
    suite->of = 2 * count_packages(suite->archives);
    return tool_run("installing packages", (const char *const *)argv->pdata, suite->log, installed,
                    suite, error);
}

static gboolean check_inputs(const Suite *suite, GError **error)
{
    struct stat st;

    if (!check_word("--mirror", suite->mirror, error) ||
        !check_word("--keyring", suite->keyring, error))
        return FALSE;
    for (guint i = 0; i + 1 < suite->packages->len; i++) {
        const char *name = suite->packages->pdata[i];

        if (!check_word("--packages", name, error))
            return FALSE;
        if (*name == '-' || !*name)
            return image_fail(error, IMAGE_ERROR_USAGE, "--packages: '%s' is not a package", name);
    }
    if (stat(suite->keyring, &st) < 0)
        return image_fail(error, IMAGE_ERROR_FAILED,
                          "%s: %s; it is in the package %s, and --keyring names another file",
                          suite->keyring, g_strerror(errno),
                          is_ubuntu(suite->request) ? "ubuntu-keyring of Ubuntu"
                                                    : "debian-archive-keyring");
    return TRUE;
}

gboolean suite_fetch(const Request *request, GError **error)
{
    g_autofree char *tarball = suite_tarball(request), *fresh = g_strconcat(tarball, ".new", NULL);
    g_autofree char *name = g_strconcat("apt-", request->name, NULL);
    g_auto(Suite) suite = {.request = request,
                           .mirror = request->mirror,
                           .keyring = keyring_of(request),
                           .components = is_ubuntu(request) ? "main universe" : "main",
                           .packages = profile_packages(request->profiles, request->packages)};

    suite.dir = source_cache_path(request, name);
    suite.log = source_cache_path(request, "suite.log");
    suite.sources = g_build_filename(suite.dir, "sources.list", NULL);
    suite.conf = g_build_filename(suite.dir, "apt.conf", NULL);
    suite.archives = g_build_filename(suite.dir, "archives", NULL);
    if (!check_inputs(&suite, error))
        return FALSE;
    if (g_file_test(tarball, G_FILE_TEST_EXISTS)) {
        image_say("%s with these packages is in the cache: %s", request->source, tarball);
        return TRUE;
    }
    if (!write_set_up(&suite, error) || !fetch_packages(&suite, error) ||
        !install(&suite, fresh, error)) {
        unlink(fresh);
        return FALSE;
    }
    return rename(fresh, tarball) == 0 ||
           image_fail(error, IMAGE_ERROR_FAILED, "%s: %s", tarball, g_strerror(errno));
}
