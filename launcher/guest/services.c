/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Services that have read an identity and keep it: DHCP clients, whose lease is bound to the
 * machine's id, and SSH servers. They are stopped before the guest is saved, and started in the
 * clone. Without systemd that is left to the hooks.
 */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "identity.h"

#define KEYS "/etc/ssh/ssh_host_*_key"
#define KEY_PREFIX "/etc/ssh/ssh_host_"
#define KEY_SUFFIX "_key"
#define KEYS_MAX 8

/*
 * A unit; the socket that would start it again, or NULL; the program that waits until it has set
 * up a network, and a further word for it, or NULL.
 */
static const struct {
    char *unit, *socket, *wait, *word;
} known[] = {
    {"systemd-networkd.service", "systemd-networkd.socket",
     "/usr/lib/systemd/systemd-networkd-wait-online", "--any"},
    {"NetworkManager.service", NULL, "nm-online", "--quiet"},
    {"dhcpcd.service", NULL, NULL, NULL},
    {"ssh.service", "ssh.socket", NULL, NULL},
    {"sshd.service", "sshd.socket", NULL, NULL},
};
#define KNOWN (sizeof(known) / sizeof(*known))

/* systemctl's words: a verb, units and sockets, NULL. */
#define WORDS_MAX (2 * KNOWN + 5)

static char *to_start[2 * KNOWN];
static size_t n_to_start;

static char keys[KEYS_MAX][256]; /* files of which new ones are to be made */
static size_t n_keys;

static bool has_systemd(void)
{
    return access("/run/systemd/system", F_OK) == 0;
}

static bool is_active(char *unit)
{
    char *argv[] = {"systemctl", "is-active", "--quiet", unit, NULL};

    return run(argv) == 0;
}

static void note_active(char *unit)
{
    if (unit && is_active(unit)) {
        to_start[n_to_start++] = unit;
    }
}

/* Their sockets first, or what still comes would start them. */
static void stop_units(void)
{
    char *argv[WORDS_MAX] = {"systemctl", "stop"};
    size_t n = 2;

    n_to_start = 0;
    for (size_t i = 0; i < KNOWN; i++) {
        note_active(known[i].socket);
        note_active(known[i].unit);
    }
    for (size_t i = 0; i < n_to_start; i++) {
        argv[n++] = to_start[i];
    }
    if (n_to_start > 0 && run(argv) != 0) {
        fail("systemctl stop: some service did not end");
    }
}

/* A key that a clone could have been seen with is on no disk that clones share. */
static void remove_keys(void)
{
    glob_t found;

    n_keys = 0;
    if (glob(KEYS, 0, NULL, &found) != 0) {
        return;
    }
    for (size_t i = 0; i < found.gl_pathc && n_keys < KEYS_MAX; i++) {
        char public[sizeof(keys[0]) + 4];
        char *path = keys[n_keys];

        snprintf(path, sizeof(keys[0]), "%s", found.gl_pathv[i]);
        snprintf(public, sizeof(public), "%s.pub", path);
        if (unlink(path) < 0) {
            fail("%s: %s", path, strerror(errno));
        }
        unlink(public);
        n_keys++;
    }
    globfree(&found);
}

void services_stop(void)
{
    if (has_systemd()) {
        stop_units();
    }
    remove_keys();
}

/* All at once: a key takes a while. */
void services_make_keys(void)
{
    int pids[KEYS_MAX];

    for (size_t i = 0; i < n_keys; i++) {
        char type[32];
        char *argv[] = {"ssh-keygen", "-q", "-t", type, "-N", "", "-f", keys[i], NULL};
        const char *from = keys[i] + strlen(KEY_PREFIX);

        snprintf(type, sizeof(type), "%.*s", (int)(strlen(from) - strlen(KEY_SUFFIX)), from);
        pids[i] = start(argv);
    }
    for (size_t i = 0; i < n_keys; i++) {
        if (finish(pids[i]) != 0) {
            fail("ssh-keygen: no new %s", keys[i]);
        }
    }
    n_keys = 0;
}

/* Nobody waits for it. The journal moves to the directory of the new machine id. */
void services_start(void)
{
    char *argv[WORDS_MAX] = {"systemctl", "--no-block", "restart", "systemd-journald.service"};
    size_t n = 4;

    if (!has_systemd()) {
        return;
    }
    for (size_t i = 0; i < n_to_start; i++) {
        argv[n++] = to_start[i];
    }
    if (run(argv) != 0) {
        fail("systemctl restart: some service did not start");
    }
}

static bool was_active(const char *unit)
{
    for (size_t i = 0; i < n_to_start; i++) {
        if (strcmp(to_start[i], unit) == 0) {
            return true;
        }
    }
    return false;
}

void services_wait_online(char *seconds)
{
    for (size_t i = 0; i < KNOWN; i++) {
        char option[64];
        char *argv[] = {known[i].wait, known[i].word, option, NULL};

        snprintf(option, sizeof(option), "--timeout=%s", seconds);
        if (known[i].wait && was_active(known[i].unit) && run(argv) != 0) {
            fail("there is no network after %s seconds (%s)", seconds, known[i].wait);
        }
    }
}
