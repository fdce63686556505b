/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "profile.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "image.h"

/* Words are separated by blanks; ->program is what a tree has that fits the profile. */
static const struct {
    const char *name;
    guint bit, with;
    const char *packages, *units, *program, *help;
} profiles[] = {
    {"minimal", PROFILE_MINIMAL, 0,
     "systemd systemd-sysv udev dbus libpam-systemd kmod systemd-resolved libnss-resolve "
     "qemu-guest-agent login passwd iproute2 procps",
     "systemd-networkd.service systemd-resolved.service", NULL,
     "init, DHCP, the guest agent, a console"},
    {"standard", PROFILE_STANDARD, PROFILE_MINIMAL,
     "ca-certificates curl iputils-ping less locales nano netbase openssh-client "
     "systemd-timesyncd unattended-upgrades whiptail",
     NULL, NULL, "and what one wants to work on it; security updates by themselves"},
    {"docker", PROFILE_DOCKER, PROFILE_MINIMAL,
     "docker.io ?exact-name(docker-cli) ca-certificates iptables", "docker.service",
     "usr/bin/dockerd usr/sbin/dockerd", "minimal with Docker"},
    {"ssh", PROFILE_SSH, PROFILE_MINIMAL, "openssh-server", "ssh.service", "usr/sbin/sshd",
     "minimal with an ssh server; see --ssh-key"},
};

gboolean profile_parse(const char *text, guint *bits, GError **error)
{
    g_auto(GStrv) names = g_strsplit(text, ",", -1);

    *bits = 0;
    for (char **name = names; *name; name++) {
        gsize i = 0;

        while (i < G_N_ELEMENTS(profiles) && strcmp(profiles[i].name, *name) != 0)
            i++;
        if (i == G_N_ELEMENTS(profiles))
            return image_fail(
                error, IMAGE_ERROR_USAGE,
                "--profile: there is no '%s'; minimal, standard, docker and ssh are there", *name);
        *bits |= profiles[i].bit | profiles[i].with;
    }
    return *bits != 0 || image_fail(error, IMAGE_ERROR_USAGE, "--profile: a name is wanted");
}

static void add_once(GPtrArray *array, const char *word)
{
    if (!g_ptr_array_find_with_equal_func(array, word, g_str_equal, NULL))
        g_ptr_array_add(array, g_strdup(word));
}

static void add_words(GPtrArray *array, const char *words)
{
    g_auto(GStrv) split = g_strsplit(words ? words : "", " ", -1);

    for (char **word = split; *word; word++)
        add_once(array, *word);
}

GPtrArray *profile_packages(guint bits, const GPtrArray *more)
{
    GPtrArray *packages = g_ptr_array_new_with_free_func(g_free);

    for (gsize i = 0; i < G_N_ELEMENTS(profiles); i++) {
        if (bits & profiles[i].bit)
            add_words(packages, profiles[i].packages);
    }
    for (guint i = 0; more && i < more->len && more->pdata[i]; i++)
        add_once(packages, more->pdata[i]);
    g_ptr_array_add(packages, NULL);
    return packages;
}

GPtrArray *profile_units(guint bits)
{
    GPtrArray *units = g_ptr_array_new_with_free_func(g_free);

    for (gsize i = 0; i < G_N_ELEMENTS(profiles); i++) {
        if (bits & profiles[i].bit)
            add_words(units, profiles[i].units);
    }
    g_ptr_array_add(units, NULL);
    return units;
}

static gboolean any_exists(const char *paths)
{
    g_auto(GStrv) split = g_strsplit(paths, " ", -1);
    gboolean found = FALSE;

    for (char **path = split; *path; path++)
        found = found || access(*path, F_OK) == 0;
    return found;
}

gboolean profile_check(gpointer data, GError **error)
{
    const guint *bits = data;

    for (gsize i = 0; i < G_N_ELEMENTS(profiles); i++) {
        if ((*bits & profiles[i].bit) && profiles[i].program && !any_exists(profiles[i].program))
            return image_fail(
                error, IMAGE_ERROR_FAILED,
                "profile %s: the source has no %s; what is no suite is taken as it is",
                profiles[i].name, profiles[i].program);
    }
    return TRUE;
}

void profile_print(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(profiles); i++)
        printf("  %-22s%s\n", profiles[i].name, profiles[i].help);
}
