/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What people run, in guests that microvm-launch starts from configs, with our kernel and its
 * modules, on TCG (kvm: 0): Docker and its list, Podman, containerd, nftables, iptables, WireGuard,
 * shares, free memory that goes back; and roots of other kinds. See docs/guests.md.
 *
 * The environment names what is used, see booted.h. Must be run as root: it makes a network
 * namespace of its own. With MICROVM_FULL=1 all is tried, else what fits into a minute or two.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "booted.h"
#include "checks.h"

#define PAGE "a page out of a container"
#define MIB (1024 * 1024)

/* The guest of the tests in containers/, which runs from the first of them to the last. */
static Booted *containers;

static void run_check(const char *name)
{
    if (!containers) {
        g_test_fail_printf("there is no guest to try it in");
        return;
    }
    g_free(booted_check(containers, name, NULL));
}

static void assert_seen(const char *what, char *seen, GError *error)
{
    if (no_error(error)) {
        g_test_message("%s: %s", what, seen);
    }
    g_free(seen);
}

static void start_containers(void)
{
    static const BootedSpec spec = {
        .id = "201", .profile = "containers", .memory = 1024, .shares = TRUE};

    containers = booted_start(&spec);
    if (containers && !booted_ready(containers)) {
        g_clear_pointer(&containers, booted_free);
    }
}

static void test_boot(void)
{
    GError *error = NULL;
    char *seen;

    start_containers();
    if (!containers) {
        return;
    }
    seen = check_devices(containers->guest, FALSE, NULL, &error);
    assert_seen("devices", seen, error);
    error = NULL;
    seen = agent_shell(containers->guest->agent,
                       "systemctl list-units --failed --no-legend; systemctl is-system-running",
                       channel_deadline(GUEST_LIMIT), &error);
    assert_seen("units", seen, error);
}

/* The port that a container publishes is reached from the host, too. */
static void test_docker(void)
{
    g_autofree char *url = NULL, *seen = NULL, *page = NULL;

    if (!containers) {
        run_check("docker");
        return;
    }
    seen = booted_check(containers, "docker", PAGE, NULL);
    if (!seen) {
        return;
    }
    url = g_strdup_printf("http://127.0.0.1:%d/", containers->guest->port);
    page = place_run((const char *[]){"busybox", "wget", "-qO-", url, NULL});
    g_assert_cmpstr(page, ==, PAGE "\n");
}

static void assert_shared(const char *kind)
{
    g_autofree char *name = g_strconcat(kind, "-share", NULL), *dir = NULL, *text = NULL;
    g_autofree char *file = NULL, *big = NULL, *sum_file = NULL, *sum = NULL, *wanted = NULL;
    g_autofree guint8 *bytes = NULL;
    gsize size = 0;

    dir = place_file(containers->place, name);
    file = g_build_filename(dir, "from-guest", NULL);
    big = g_build_filename(dir, "big", NULL);
    sum_file = g_build_filename(dir, "big.sum", NULL);
    wanted = g_strdup_printf("from the guest by %s\n", kind);
    g_file_get_contents(file, &text, NULL, NULL);
    g_assert_cmpstr(text, ==, wanted);
    g_assert_true(g_file_get_contents(sum_file, &sum, NULL, NULL));
    g_assert_true(g_file_get_contents(big, (char **)&bytes, &size, NULL));
    g_free(wanted);
    wanted = g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes, size);
    g_assert_cmpuint(size, ==, 4 * MIB);
    g_assert_true(g_str_has_prefix(sum, wanted));
}

static void test_shares(void)
{
    g_autofree char *seen = containers ? booted_check(containers, "shares", NULL) : NULL;

    if (seen) {
        assert_shared("virtiofs");
        assert_shared("9p");
    } else {
        g_test_fail();
    }
}

/* Memory of the host's that QEMU has, in MiB. */
static int resident(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", pid), *text = NULL;
    const char *line;
    int kib = 0;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    line = strstr(text, "\nRss:");
    g_assert_true(line && sscanf(line, "\nRss: %d kB", &kib) == 1);
    return kib / 1024;
}

/*
 * Waits until QEMU has no more than @limit MiB. The guest reports a sixteenth of what is free every
 * two seconds of its own, and nothing tells the host of it but the memory itself.
 */
static int wait_resident(pid_t pid, int limit)
{
    gint64 deadline = channel_deadline(GUEST_LIMIT);
    int mib;

    while ((mib = resident(pid)) > limit && g_get_monotonic_time() < deadline) {
        g_usleep(G_USEC_PER_SEC / 10);
    }
    return mib;
}

/* What the guest has freed goes back to the host by itself. */
static void test_reporting(void)
{
    enum { FILLED = 256 };
    GError *error = NULL;
    int before, during, after;
    pid_t pid;

    if (!containers) {
        run_check("reporting");
        return;
    }
    pid = containers->guest->pid;
    before = resident(pid);
    g_free(agent_shell(containers->guest->agent, "head -c 256M /dev/urandom >/dev/shm/filled",
                       channel_deadline(GUEST_LIMIT), &error));
    if (!no_error(error)) {
        return;
    }
    during = resident(pid);
    g_free(agent_shell(containers->guest->agent, "rm /dev/shm/filled",
                       channel_deadline(GUEST_LIMIT), &error));
    if (!no_error(error)) {
        return;
    }
    after = wait_resident(pid, during - FILLED / 2);
    g_test_message("QEMU has %d MiB, %d with a file of %d MiB in the guest's memory, %d after its "
                   "end",
                   before, during, FILLED, after);
    g_assert_cmpint(during, >, FILLED);
    g_assert_cmpint(after, <=, during - FILLED / 2);
}

static void test_power_down(void)
{
    if (!containers) {
        run_check("power-down");
        return;
    }
    booted_power_down(containers);
    g_clear_pointer(&containers, booted_free);
}

/* A root without systemd and without agent: all is done at its console. */
static void test_small(gconstpointer data)
{
    const char *profile = data;
    BootedSpec spec = {.id = "202", .profile = profile, .memory = 128};
    g_autoptr(Booted) booted = booted_start(&spec);
    GError *error = NULL;
    char *seen;

    if (!booted || !booted_login(booted, FALSE)) {
        return;
    }
    g_free(
        booted_check(booted, "small", strcmp(profile, "musl") == 0 ? "ld-musl" : "static", NULL));
    seen = check_echo(booted->guest, &error);
    assert_seen("network", seen, error);
    booted_power_down(booted);
}

/* Debian as it is: one logs in at the console, the agent answers, networkd has an address. */
static void test_debian(gconstpointer data)
{
    const char *profile = data;
    BootedSpec spec = {.id = "203", .profile = profile, .memory = 512};
    g_autoptr(Booted) booted = booted_start(&spec);
    GError *error = NULL;
    char *seen;

    if (!booted || !booted_ready(booted) || !booted_login(booted, TRUE)) {
        return;
    }
    g_free(booted_check(booted, "debian", strcmp(profile, "debian12") == 0 ? "bookworm" : "trixie",
                        NULL));
    seen = check_network(booted->guest, &error);
    assert_seen("network", seen, error);
    booted_power_down(booted);
}

static Booted *start_peer(const char *id)
{
    BootedSpec spec = {.id = id,
                       .profile = "containers",
                       .memory = 512,
                       .net0 = ",bridge=vmbr0",
                       .append = "systemd.mask=docker.service systemd.mask=containerd.service "
                                 "systemd.mask=systemd-networkd-wait-online.service",
                       .own_nets = TRUE};

    return booted_start(&spec);
}

/* A tunnel between two guests on a bridge, and 4 MiB through it and back from each. */
static void test_tunnel(void)
{
    static const char *const numbers[] = {"1", "2"};
    g_autoptr(Booted) first = start_peer("204"), second = start_peer("205");
    g_autofree char *first_key = NULL, *second_key = NULL;
    Booted *const both[] = {first, second};

    if (!first || !second || !booted_ready(first) || !booted_ready(second)) {
        return;
    }
    first_key = booted_check(first, "tunnel", "key", NULL);
    second_key = booted_check(second, "tunnel", "key", NULL);
    if (!first_key || !second_key) {
        return;
    }
    g_free(booted_check(first, "tunnel", "up", "1", "2", second_key, NULL));
    g_free(booted_check(second, "tunnel", "up", "2", "1", first_key, NULL));
    for (int i = 0; i < 2; i++) {
        g_free(booted_check(both[i], "tunnel", "send", numbers[1 - i], NULL));
    }
    for (int i = 0; i < 2; i++) {
        g_free(booted_check(both[i], "tunnel", "seen", NULL));
        booted_power_down(both[i]);
    }
}

/* Bridges and taps of these tests are seen nowhere else. */
static void enter_own_network(void)
{
    g_assert_cmpint(unshare(CLONE_NEWNET), ==, 0);
    g_free(place_run((const char *[]){"ip", "link", "set", "lo", "up", NULL}));
    g_free(place_run((const char *[]){"ip", "link", "add", "vmbr0", "type", "bridge", NULL}));
    g_free(place_run((const char *[]){"ip", "link", "set", "vmbr0", "up", NULL}));
}

static void add_check(const char *name)
{
    g_autofree char *path = g_strconcat("/guests/containers/", name, NULL);

    g_test_add_data_func(path, name, (GTestDataFunc)run_check);
}

static void add_full(void)
{
    add_check("containerd");
    add_check("podman");
}

static void add_roots(void)
{
    g_test_add_data_func("/guests/musl", "musl", test_small);
    g_test_add_data_func("/guests/debian12", "debian12", test_debian);
    g_test_add_data_func("/guests/debian13", "debian13", test_debian);
    g_test_add_func("/guests/tunnel", test_tunnel);
}

static const char *environment(const char *name)
{
    const char *value = g_getenv(name);

    if (!value) {
        g_printerr("test-guests: %s is not set\n", name);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    gboolean full = g_getenv("MICROVM_FULL") != NULL;
    int status;

    g_test_init(&argc, &argv, NULL);
    launcher = environment("MICROVM_LAUNCH");
    images = environment("MICROVM_IMAGES");
    in_guest = environment("MICROVM_CHECKS");
    virtiofsd = environment("MICROVM_VIRTIOFSD");
    g_test_set_nonfatal_assertions();
    enter_own_network();

    g_test_add_func("/guests/containers/boot", test_boot);
    add_check("docker-config");
    g_test_add_func("/guests/containers/docker", test_docker);
    add_check("nftables");
    add_check("iptables");
    add_check("wireguard");
    add_check("modules");
    g_test_add_func("/guests/containers/shares", test_shares);
    if (full) {
        add_full();
    }
    g_test_add_func("/guests/containers/reporting", test_reporting);
    g_test_add_func("/guests/containers/power-down", test_power_down);
    g_test_add_data_func("/guests/busybox", "busybox", test_small);
    if (full) {
        add_roots();
    }
    status = g_test_run();
    booted_free(containers);
    return status;
}
