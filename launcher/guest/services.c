/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Services that have read an identity and keep it: DHCP clients, whose lease is bound to the
 * machine's id, and SSH servers. They are stopped before the guest is saved, and started in the
 * clone. Without systemd that is left to the hooks.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity.h"

#define KEYS "/etc/ssh/ssh_host_*_key"
#define KEY_PREFIX "/etc/ssh/ssh_host_"
#define KEY_SUFFIX "_key"
#define KEYS_MAX 8
#define KEY_SIZE 8192
#define TYPE_SIZE 32
#define KEYS_ALONE_MS 5000

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

/* "ed25519" of "/etc/ssh/ssh_host_ed25519_key" */
static void key_type(const char *path, char *type, size_t size)
{
    const char *from = path + strlen(KEY_PREFIX);

    snprintf(type, size, "%.*s", (int)(strlen(from) - strlen(KEY_SUFFIX)), from);
}

void services_key_types(char *list, size_t size)
{
    size_t used = 0;

    *list = '\0';
    for (size_t i = 0; i < n_keys; i++) {
        char type[TYPE_SIZE];

        key_type(keys[i], type, sizeof(type));
        if (used + strlen(type) + 2 < size) {
            used += sprintf(list + used, "%s%s", i > 0 ? "," : "", type);
        }
    }
}

static bool write_key(const char *path, const char *hex, int mode)
{
    static unsigned char bytes[KEY_SIZE];
    size_t n = from_hex(hex, bytes, sizeof(bytes));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool done = n > 0 && fd >= 0 && fchmod(fd, mode) == 0 && write(fd, bytes, n) == (ssize_t)n;

    if (fd >= 0) {
        close(fd);
    }
    explicit_bzero(bytes, sizeof(bytes));
    return done;
}

/* If it cannot be taken, it is one of those that are made. */
void services_put_key(char *line)
{
    char *type = strtok(line, " "), *private = strtok(NULL, " "), *public = strtok(NULL, " ");

    for (size_t i = 0; public && i < n_keys; i++) {
        char have[TYPE_SIZE], path[sizeof(keys[0]) + 4];

        key_type(keys[i], have, sizeof(have));
        snprintf(path, sizeof(path), "%s.pub", keys[i]);
        if (strcmp(have, type) != 0) {
            continue;
        }
        if (write_key(keys[i], private, 0600) && write_key(path, public, 0644)) {
            memmove(keys[i], keys[i + 1], (--n_keys - i) * sizeof(keys[0]));
        } else {
            unlink(keys[i]);
            unlink(path);
        }
        return;
    }
}

/*
 * All at once: a key takes a while. It should need nobody else, but a guest may have made it ask a
 * service who root is.
 */
void services_make_keys(void)
{
    int pids[KEYS_MAX];

    for (size_t i = 0; i < n_keys; i++) {
        char type[TYPE_SIZE];
        char *argv[] = {"ssh-keygen", "-q", "-t", type, "-N", "", "-f", keys[i], NULL};

        key_type(keys[i], type, sizeof(type));
        pids[i] = start(argv);
    }
    for (size_t i = 0; i < n_keys; i++) {
        if (!finish_soon(pids[i], KEYS_ALONE_MS)) {
            others_thaw();
        }
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
