/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

/* How a source that is no path begins; what follows is its name, but for skopeo, which wants all.
 */
static const struct {
    const char *prefix;
    SourceKind kind;
    gboolean whole;
} prefixes[] = {
    {"debian:", SOURCE_DEBIAN, FALSE},     {"ubuntu:", SOURCE_UBUNTU, FALSE},
    {"docker://", SOURCE_OCI, TRUE},       {"oci:", SOURCE_OCI, TRUE},
    {"docker-archive:", SOURCE_OCI, TRUE}, {"oci-archive:", SOURCE_OCI, TRUE},
};

static gboolean check_suite(const char *name, GError **error)
{
    return (*name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name)) ||
           image_fail(error, IMAGE_ERROR_USAGE,
                      "'%s' is not a suite, as debian:trixie or ubuntu:noble", name);
}

gboolean source_recognise(Request *request, GError **error)
{
    const char *source = request->source;
    struct stat st;

    for (gsize i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        if (!g_str_has_prefix(source, prefixes[i].prefix))
            continue;
        request->kind = prefixes[i].kind;
        request->name = source + (prefixes[i].whole ? 0 : strlen(prefixes[i].prefix));
        return request->kind == SOURCE_OCI || check_suite(request->name, error);
    }
    request->name = source;
    if (stat(source, &st) < 0)
        return image_fail(error, IMAGE_ERROR_FAILED,
                          "%s: %s; a directory, a tarball, debian:SUITE, ubuntu:SUITE, "
                          "docker://IMAGE, oci:DIR:TAG or docker-archive:FILE is wanted",
                          source, g_strerror(errno));
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return image_fail(error, IMAGE_ERROR_FAILED, "%s is neither a directory nor a file",
                          source);
    request->kind = S_ISDIR(st.st_mode) ? SOURCE_DIRECTORY : SOURCE_TARBALL;
    return TRUE;
}

static gboolean have(const char *tool, const char *package, GError **error)
{
    g_autofree char *path = tool_find(tool, package, error);

    return path != NULL;
}

gboolean source_check_tools(const Request *request, GError **error)
{
    static const struct {
        SourceKind kind;
        const char *tool, *package;
    } tools[] = {
        {SOURCE_DIRECTORY, "tar", "tar"},        {SOURCE_DEBIAN, "mmdebstrap", "mmdebstrap"},
        {SOURCE_DEBIAN, "systemctl", "systemd"}, {SOURCE_UBUNTU, "mmdebstrap", "mmdebstrap"},
        {SOURCE_UBUNTU, "systemctl", "systemd"}, {SOURCE_OCI, "skopeo", "skopeo"},
        {SOURCE_OCI, "umoci", "umoci"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(tools); i++) {
        if (tools[i].kind == request->kind && !have(tools[i].tool, tools[i].package, error))
            return FALSE;
    }
    return have("mke2fs", "e2fsprogs", error) &&
           (!request->qcow2 || have("qemu-img", "qemu-utils", error));
}

char *source_cache_path(const Request *request, const char *name)
{
    return g_build_filename(request->cache, name, NULL);
}
