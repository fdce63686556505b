/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "booted.h"

#include <string.h>

#include "login.h"

const char *launcher, *images, *in_guest, *virtiofsd;

/* A second disk is an archive as it is. */
#define TAKE_CHECKS                                                                           \
    "mkdir -p /run/checks; for d in /sys/block/vd*; do if [ \"$(cat $d/serial)\" = checks ];" \
    " then tar -xf /dev/${d##*/} -C /run/checks; fi; done; test -e /run/checks/lib"

gboolean no_error(GError *error)
{
    if (!error) {
        return TRUE;
    }
    g_test_fail_printf("%s", error->message);
    show_lines("error", error->message);
    g_error_free(error);
    return FALSE;
}

void show_lines(const char *what, const char *text)
{
    g_auto(GStrv) lines = g_strsplit_set(text, "\r\n", -1);

    for (char **line = lines; *line; line++) {
        if (**line) {
            g_test_message("%s: %s", what, *line);
        }
    }
}

static void show_console(const Booted *booted)
{
    g_autofree char *text = console_text(booted->guest->console);

    show_lines("console", text);
}

static char *shared_dir(const Place *place, const char *kind)
{
    g_autofree char *name = g_strconcat(kind, "-share", NULL);
    g_autofree char *dir = place_file(place, name), *file = NULL, *text = NULL;

    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    file = g_build_filename(dir, "from-host", NULL);
    text = g_strdup_printf("from the host by %s\n", kind);
    place_write(file, text);
    return g_steal_pointer(&dir);
}

/* directory.cfg, and the config's lines that share two directories; more words for args. */
static void add_shares(const Place *place, GString *config, GString *args)
{
    g_autofree char *by_virtiofs = shared_dir(place, "virtiofs"), *by_9p = shared_dir(place, "9p");
    g_autofree char *directory_cfg = place_file(place, "directory.cfg"), *text = NULL;

    text = g_strdup_printf("virtiofs-share\n\tmap path=%s\n", by_virtiofs);
    place_write(directory_cfg, text);
    g_string_append(config, "virtiofs0: virtiofs-share\n");
    g_string_append_printf(args,
                           " -fsdev local,id=shared,path=%s,security_model=passthrough"
                           " -device virtio-9p-device,fsdev=shared,mount_tag=9p-share",
                           by_9p);
}

static void write_config(const Place *place, const BootedSpec *spec, const char *checks)
{
    g_autoptr(GString) config = g_string_new(NULL), args = g_string_new(NULL);

    g_string_printf(config,
                    "agent: 1\nboot: order=scsi0\ncores: 1\nkvm: 0\nmachine: microvm\n"
                    "memory: %d\nname: %s\nnet0: virtio=BC:24:11:00:00:%02X%s\n"
                    "scsi0: local-lvm:vm-%s-disk-0\nscsi1: %s,serial=checks,ro=1\n"
                    "serial0: socket\nvga: serial0\n",
                    spec->memory, spec->profile, atoi(spec->id) % 256, spec->net0 ? spec->net0 : "",
                    spec->id, checks);
    if (spec->append) {
        g_string_append_printf(args, " -append \"console=ttyS0 root=/dev/vda rw quiet %s\"",
                               spec->append);
    }
    if (spec->shares) {
        add_shares(place, config, args);
    }
    if (args->len) {
        g_string_append_printf(config, "args:%s\n", args->str);
    }
    place_write(place->config, config->str);
}

Booted *booted_start(const BootedSpec *spec)
{
    g_autofree char *name = g_strdup_printf("guest-%s.img", spec->profile);
    g_autofree char *image = g_build_filename(images, name, NULL), *checks = NULL, *dirs = NULL;
    g_autoptr(Booted) booted = g_new0(Booted, 1);
    const char *options[] = {"--user", "root", NULL, NULL, NULL, NULL, NULL};
    GuestSpec guest = {.launcher = launcher, .options = options, .own_nets = spec->own_nets};
    GError *error = NULL;

    booted->place = place_new(spec->id, image);
    checks = place_file(booted->place, "checks.tar");
    g_free(place_run((const char *[]){"tar", "-C", in_guest, "-cf", checks, ".", NULL}));
    write_config(booted->place, spec, checks);
    if (spec->shares) {
        dirs = place_file(booted->place, "directory.cfg");
        options[2] = "--directory-cfg";
        options[3] = dirs;
        options[4] = "--virtiofsd";
        options[5] = virtiofsd;
    }
    guest.config = booted->place->config;
    guest.storage_cfg = booted->place->storage_cfg;
    guest.runtime_dir = booted->place->dir;
    booted->guest = guest_start(&guest, &error);
    return no_error(error) ? g_steal_pointer(&booted) : NULL;
}

gboolean booted_ready(Booted *booted)
{
    gint64 deadline = channel_deadline(GUEST_LIMIT);
    GError *error = NULL;

    if (guest_wait_ready(booted->guest, deadline, &error)) {
        g_free(agent_shell(booted->guest->agent, TAKE_CHECKS, deadline, &error));
    }
    if (error) {
        show_console(booted);
    }
    return no_error(error);
}

/* At the console; NULL, and the test has failed, if @command does not exit with 0. */
static char *typed(Booted *booted, const char *command)
{
    GError *error = NULL;
    int status = -1;
    g_autofree char *text = login_shell(booted->guest->console, command, &status,
                                        channel_deadline(GUEST_LIMIT), &error);

    if (!no_error(error)) {
        return NULL;
    }
    if (status != 0) {
        g_test_fail_printf("%s: exit status %d", command, status);
        show_lines("console", text);
        return NULL;
    }
    return g_steal_pointer(&text);
}

gboolean booted_login(Booted *booted, gboolean agent)
{
    g_autofree char *text = NULL;
    GError *error = NULL;

    if (!login_as_root(booted->guest->console, channel_deadline(GUEST_LIMIT), &error)) {
        show_console(booted);
        return no_error(error);
    }
    text = typed(booted, agent ? "id -u | grep -x 0" : TAKE_CHECKS);
    return text != NULL;
}

/* What a check writes to its log is had while it still runs. */
static char *by_agent(Booted *booted, GStrv words)
{
    g_auto(GStrv) argv = NULL;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(AgentResult) result = {0};
    g_autofree char *log = NULL, *show = g_strconcat("cat /run/checks/", words[0], ".log", NULL);
    GError *error = NULL, *unread = NULL;
    gboolean done;

    g_strv_builder_add_many(builder, "sh", "-c",
                            "sh \"/run/checks/$0\" \"$@\" >\"/run/checks/$0.log\" 2>&1", NULL);
    g_strv_builder_addv(builder, (const char **)words);
    argv = g_strv_builder_end(builder);
    done = agent_run(booted->guest->agent, (const char *const *)argv, &result,
                     channel_deadline(GUEST_LIMIT), &error);
    log = agent_shell(booted->guest->agent, show, channel_deadline(60), &unread);
    if (!done || result.code != 0) {
        g_test_fail_printf("%s: %s %d", words[0], done ? "exit status" : error->message,
                           result.code);
        show_lines(words[0], log ? log : unread->message);
        g_clear_error(&error);
        g_clear_error(&unread);
        return NULL;
    }
    return no_error(unread) ? g_steal_pointer(&log) : NULL;
}

char *booted_check(Booted *booted, const char *name, ...)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) words = NULL;
    g_autofree char *text = NULL;
    char *seen;
    va_list args;

    va_start(args, name);
    for (const char *word = name; word; word = va_arg(args, const char *)) {
        g_strv_builder_add(builder, word);
    }
    va_end(args);
    words = g_strv_builder_end(builder);
    if (booted->guest->agent) {
        text = by_agent(booted, words);
    } else {
        g_autofree char *line = g_strjoinv(" ", words);
        g_autofree char *command = g_strconcat("sh /run/checks/", line, NULL);

        text = typed(booted, command);
    }
    if (!text) {
        return NULL;
    }
    g_strchomp(text);
    seen = strrchr(text, '\n');
    seen = g_strdup(seen ? seen + 1 : text);
    g_test_message("%s: %s", name, seen);
    return seen;
}

void booted_power_down(Booted *booted)
{
    gint64 deadline = channel_deadline(GUEST_LIMIT);
    GError *error = NULL;

    if (!guest_power_down(booted->guest, deadline, &error)) {
        show_console(booted);
    } else {
        guest_left_nothing(booted->guest, &error);
    }
    no_error(error);
}

void booted_free(Booted *booted)
{
    if (!booted) {
        return;
    }
    guest_free(booted->guest);
    place_free(booted->place);
    g_free(booted);
}
