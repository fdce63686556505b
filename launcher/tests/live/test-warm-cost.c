/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What clones cost, in one run with guests that boot. With MICROVM_FULL beside an ordinary PC
 * (MICROVM_Q35, a QEMU that has that board, and MICROVM_BZIMAGE), with up to 50 clones at once, and
 * in counts: the host's instructions until a clone runs (valgrind), and the guest's until it is
 * ready (MICROVM_PLUGIN, of ci/plugin).
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-glib/json-glib.h>

#include "warm-common.h"

#define FIRST_ID 201
#define PC_ID "115"
#define REST_MS 40 /* of CPU time in a second */

/* What a guest has cost the host, by its process. */
typedef struct {
    double cpu_ms;      /* of all threads */
    gint64 private_kib; /* memory that is in no file, and so nobody else's */
    gint64 code_kib;    /* of that, the code that TCG makes: KVM has no such thing */
    gint64 rss_kib, pss_kib;
} Cost;

static double cpu_ms(const char *pid)
{
    g_autofree char *tasks = g_strdup_printf("/proc/%s/task", pid);
    g_autoptr(GDir) threads = g_dir_open(tasks, 0, NULL);
    const char *name;
    double sum = 0;

    while (threads && (name = g_dir_read_name(threads))) {
        g_autofree char *path = g_build_filename(tasks, name, "schedstat", NULL), *text = NULL;

        if (g_file_get_contents(path, &text, NULL, NULL))
            sum += (double)g_ascii_strtoull(text, NULL, 10) / 1e6;
    }
    return sum;
}

static gint64 number_behind(const char *text, const char *key)
{
    const char *line = strstr(text, key);

    g_assert_nonnull(line);
    return g_ascii_strtoll(line + strlen(key), NULL, 10);
}

/* What is anonymous in mappings that are written to and executed. */
static gint64 code_of(const char *pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/smaps", pid), *text = NULL;
    g_auto(GStrv) lines = NULL;
    gboolean in_code = FALSE;
    gint64 sum = 0;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (g_regex_match_simple("^[0-9a-f]+-[0-9a-f]+ ", *line, 0, 0))
            in_code = strstr(*line, " rwxp ") != NULL;
        else if (in_code && g_str_has_prefix(*line, "Anonymous:"))
            sum += g_ascii_strtoll(*line + strlen("Anonymous:"), NULL, 10);
    }
    return sum;
}

/* Its process, to be freed; NULL: there is none. */
static char *pid_of(int id)
{
    g_autofree char *file = g_strdup_printf("%s/%d.pid", run_dir, id);
    char *pid;

    return g_file_get_contents(file, &pid, NULL, NULL) ? g_strchomp(pid) : NULL;
}

static Cost cost_of(int id)
{
    g_autofree char *pid = pid_of(id), *rollup = NULL, *text = NULL;
    Cost cost;

    g_assert_nonnull(pid);
    cost.cpu_ms = cpu_ms(pid);
    rollup = g_strdup_printf("/proc/%s/smaps_rollup", pid);
    g_assert_true(g_file_get_contents(rollup, &text, NULL, NULL));
    cost.rss_kib = number_behind(text, "\nRss:");
    cost.pss_kib = number_behind(text, "\nPss:");
    cost.private_kib = number_behind(text, "\nAnonymous:");
    cost.code_kib = code_of(pid);
    return cost;
}

static void boot_cold(void)
{
    run((const char *const[]){launcher, "--runtime-dir", run_dir, "--user", "root", "--net", "user",
                              "--qemu", qemu, "--kernel", vmlinux, "--initrd", initrd,
                              "--daemonize", config, NULL});
    assert_done();
    g_free(in_guest(114, "systemctl is-system-running --wait || [ $? = 1 ]"));
}

static void tell(const char *what, Cost cost, Cost than)
{
    g_test_message("%-12s %.0f ms of CPU time, 1 to %.1f; %.1f MiB private, 1 to %.1f, of which "
                   "%.1f are TCG's code",
                   what, cost.cpu_ms, than.cpu_ms / cost.cpu_ms, (double)cost.private_kib / 1024,
                   (double)than.private_kib / (double)cost.private_kib,
                   (double)cost.code_kib / 1024);
}

/* The same guest on the board that Proxmox starts, by the path of SeaBIOS; its disk stays as it is.
 */
static Cost boot_pc(void)
{
    g_autofree char *path = g_strdup_printf("%s/" PC_ID, run_dir);
    g_autofree char *pid = g_strconcat(path, ".pid", NULL);
    g_autofree char *qmp = g_strdup_printf("unix:%s.qmp,server=on,wait=off", path);
    g_autofree char *agent = g_strdup_printf("socket,id=qga0,path=%s.qga,server=on,wait=off", path);
    g_autofree char *drive = g_strdup_printf("if=virtio,format=raw,snapshot=on,file=%s", disk);
    Cost cost;

    run((const char *const[]){g_getenv("MICROVM_Q35"),
                              "-name",
                              "guest=pc",
                              "-nodefaults",
                              "-display",
                              "none",
                              "-machine",
                              "q35",
                              "-accel",
                              "tcg",
                              "-cpu",
                              "max",
                              "-m",
                              "256",
                              "-device",
                              "VGA",
                              "-kernel",
                              g_getenv("MICROVM_BZIMAGE"),
                              "-initrd",
                              initrd,
                              "-append",
                              "root=/dev/vda rw quiet",
                              "-drive",
                              drive,
                              "-device",
                              "virtio-serial-pci",
                              "-chardev",
                              agent,
                              "-device",
                              "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0",
                              "-device",
                              "virtio-rng-pci",
                              "-netdev",
                              "hubport,id=net0,hubid=0",
                              "-device",
                              "virtio-net-pci,netdev=net0,romfile=",
                              "-qmp",
                              qmp,
                              "-pidfile",
                              pid,
                              "-daemonize",
                              NULL});
    g_assert_cmpint(code, ==, 0); /* it warns of a network that leads nowhere */
    g_free(in_guest(115, "systemctl is-system-running --wait || [ $? = 1 ]"));
    cost = cost_of(115);
    stop(115);
    return cost;
}

/* In the same run: CPU time, which a busy host changes little, until the guest is ready. */
static void test_cost(void)
{
    g_autofree char *first = NULL;
    Cost cold, warm;
    double command;

    need_template();
    boot_cold();
    cold = cost_of(114);
    stop(114);
    wake(FIRST_ID, 1);
    warm = cost_of(FIRST_ID);
    first = in_guest(FIRST_ID, "echo ready");
    stop(FIRST_ID);
    g_assert_cmpstr(first, ==, "ready");
    command = run_cpu_ms();
    if (g_getenv("MICROVM_Q35"))
        tell("a PC:", boot_pc(), cold);
    tell("cold boot:", cold, cold);
    tell("clone:", warm, cold);
    g_test_message("microvm-run -- true: %.0f ms of CPU time, 1 to %.1f", command,
                   cold.cpu_ms / command);
    g_assert_cmpfloat(warm.cpu_ms * 3, <, cold.cpu_ms);
    g_assert_cmpfloat(command * 10, <, cold.cpu_ms);
    g_assert_cmpint(warm.private_kib * 2, <, cold.private_kib);
}

/* What one of @n clones has cost, on average. */
static Cost cost_of_each(int n, const char *when)
{
    Cost sum = {0};

    for (int i = 0; i < n; i++) {
        Cost cost = cost_of(FIRST_ID + i);

        sum.cpu_ms += cost.cpu_ms / n;
        sum.private_kib += cost.private_kib / n;
        sum.code_kib += cost.code_kib / n;
        sum.rss_kib += cost.rss_kib / n;
        sum.pss_kib += cost.pss_kib / n;
    }
    g_test_message("%2d at once, %s: each %.0f ms of CPU time, %.1f MiB RSS, %.1f PSS, "
                   "%.1f private, of which %.1f are TCG's code",
                   n, when, sum.cpu_ms, (double)sum.rss_kib / 1024, (double)sum.pss_kib / 1024,
                   (double)sum.private_kib / 1024, (double)sum.code_kib / 1024);
    return sum;
}

/* Until the services have started: each then takes a 50th of a processor, for its timers. */
static void wait_for_rest(int n)
{
    gint64 deadline = g_get_monotonic_time() + LIMIT_SECONDS * G_USEC_PER_SEC;
    double before, now = 0;

    do {
        g_usleep(G_USEC_PER_SEC);
        before = now;
        now = 0;
        for (int i = 0; i < n; i++)
            now += cost_of(FIRST_ID + i).cpu_ms;
    } while (now - before > n * REST_MS && g_get_monotonic_time() < deadline);
    g_assert_cmpfloat(now - before, <=, n * REST_MS);
}

/* @n clones at once; what one of them has cost when they are at rest. */
static Cost wake_many(int n)
{
    gint64 begun = g_get_monotonic_time();
    Cost cost;

    wake(FIRST_ID, n);
    g_test_message("%2d at once: all ready after %.1f s", n,
                   (double)(g_get_monotonic_time() - begun) / 1e6);
    cost_of_each(n, "ready");
    wait_for_rest(n);
    cost = cost_of_each(n, "at rest");
    for (int i = 0; i < n; i++)
        stop(FIRST_ID + i);
    return cost;
}

/* What they have of the template is there once, and one more costs no more than the first. */
static void test_many(void)
{
    static const int counts[] = {5, 20, 50};
    Cost one, many;

    need_template();
    one = wake_many(1);
    for (gsize i = 0; i < G_N_ELEMENTS(counts); i++) {
        many = wake_many(counts[i]);
        g_assert_cmpint(many.private_kib, <, one.private_kib * 3 / 2);
        g_assert_cmpint(many.pss_kib, <, one.pss_kib);
    }
}

/* Bytes on the host's disk of the layers that QEMU has open, whose names are gone. */
static gint64 layers_of(int id)
{
    g_autofree char *pid = pid_of(id), *fds = g_strdup_printf("/proc/%s/fd", pid);
    g_autoptr(GDir) open_files = g_dir_open(fds, 0, NULL);
    const char *name;
    gint64 sum = 0;

    while (open_files && (name = g_dir_read_name(open_files))) {
        g_autofree char *link = g_build_filename(fds, name, NULL);
        g_autofree char *target = g_file_read_link(link, NULL);
        struct stat st;

        if (target && strstr(target, "/clones/") && g_str_has_suffix(target, ".qcow2 (deleted)") &&
            stat(link, &st) == 0)
            sum += (gint64)st.st_blocks * 512;
    }
    g_assert_cmpint(sum, >, 0);
    return sum;
}

/* KiB on the host's disk of what has a name in @path. */
static gint64 size_of_files(const char *path)
{
    const char *argv[] = {"du", "-sk", path, NULL};

    run(argv);
    g_assert_cmpint(code, ==, 0);
    return g_ascii_strtoll(out, NULL, 10);
}

/*
 * A guest that fills its disk, its memory, its console and a port that nobody listens at costs the
 * host its disk, its memory, and what QEMU needs for itself. Who writes to the latter two is still
 * at it in the end.
 */
static void test_hostile(void)
{
    const char *mib = g_getenv("MICROVM_FULL") ? "5000" : "200"; /* the disk has 4096 */
    g_autofree char *line = g_strdup_printf(
        "exec 2>/dev/null; stty -F /dev/ttyS0 raw; yes >/dev/ttyS0 & serial=$!; "
        "systemctl stop microvm-identity; grep -l org.microvm.identity.0 "
        "/sys/class/virtio-ports/*/name | { read name; name=${name%%/name}; "
        "exec yes >/dev/${name##*/}; } & port=$!; "
        "yes | dd iflag=fullblock of=/dev/shm/fill bs=1M count=1000; "
        /* whom the kernel ends when there is no more, and not the agent */
        "(echo 1000 >/proc/self/oom_score_adj; exec tail -c 1G /dev/zero >/dev/null); "
        "rm /dev/shm/fill; "
        "yes | dd iflag=fullblock of=/var/fill bs=1M count=%s; sync; "
        "for pid in $serial $port; do "
        "  grep '^Name:.yes$' /proc/$pid/status && grep '^State:.[^Z]' /proc/$pid/status; kill "
        "$pid; "
        "done | wc -l",
        mib);
    g_autofree char *said = NULL;
    gint64 layers, files, memory;
    struct stat st;
    Cost cost;

    need_template();
    wake(FIRST_ID, 1);
    said = in_guest(FIRST_ID, line);
    g_assert_cmpstr(said, ==, "4"); /* two lines of each */
    cost = cost_of(FIRST_ID);
    layers = layers_of(FIRST_ID);
    files = size_of_files(run_dir);
    stop(FIRST_ID);
    memory = cost.private_kib - cost.code_kib;
    g_test_message("%.1f MiB of memory, %.1f MiB of layers, %" G_GINT64_FORMAT " KiB of files",
                   (double)memory / 1024, (double)layers / (1 << 20), files);
    g_assert_no_errno(stat(disk, &st));
    g_assert_cmpint(layers, >, G_GINT64_CONSTANT(100) << 20);
    g_assert_cmpint(layers, <, st.st_size + (16 << 20));
    g_assert_cmpint(memory, >, 128 * 1024);
    g_assert_cmpint(memory, <, (256 + 128) * 1024);
    g_assert_cmpint(files, <, 1024);
}

/* A program that is beside QEMU is beside the wrapper, too. */
static void link_beside(const char *name)
{
    g_autofree char *from = g_path_get_dirname(qemu), *path = in_dir(name);
    g_autofree char *target = g_build_filename(from, name, NULL);

    g_assert_true(symlink(target, path) == 0 || errno == EEXIST);
}

/*
 * A program in QEMU's place for clones of "web", which runs it otherwise: @with is the shell's
 * command up to QEMU's words, and @and what follows these. Returns the manifest as it was, for
 * put_back().
 */
static char *wrap(const char *with, const char *and)
{
    g_autofree char *path = in_dir("qemu-wrapped"), *manifest = NULL, *text = NULL;
    g_autofree char *script =
        g_strdup_printf("#!/bin/bash\n"
                        "words=()\n"
                        "while [ $# -gt 0 ]; do\n"
                        "    if [ \"$1\" = -sandbox ]; then shift 2; continue; fi\n"
                        "    words+=(\"$1\")\n"
                        "    shift\n"
                        "done\n"
                        "exec %s \"${words[@]}\" %s\n",
                        with, and);
    g_autoptr(JsonNode) root = NULL;
    char *before;

    manifest = g_build_filename(store, "templates/web/manifest.json", NULL);
    g_assert_true(g_file_set_contents(path, script, -1, NULL));
    g_assert_no_errno(g_chmod(path, 0755));
    link_beside("qemu-img");
    g_assert_true(g_file_get_contents(manifest, &before, NULL, NULL));
    root = json_from_string(before, NULL);
    g_assert_nonnull(root);
    json_object_set_string_member(json_node_get_object(root), "qemu", path);
    text = json_to_string(root, TRUE);
    g_assert_true(
        g_file_set_contents_full(manifest, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
    return before;
}

static void put_back(char *before)
{
    g_autofree char *manifest = g_build_filename(store, "templates/web/manifest.json", NULL);

    g_assert_true(
        g_file_set_contents_full(manifest, before, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
    g_free(before);
}

/* The number behind @key in a file "@prefix…@suffix" of the tests' directory; 0: not yet. */
static gint64 number_in(const char *prefix, const char *suffix, const char *key)
{
    g_autoptr(GDir) files = g_dir_open(dir, 0, NULL);
    const char *name;
    gint64 number = 0;

    while (!number && (name = g_dir_read_name(files))) {
        g_autofree char *path = in_dir(name), *text = NULL;

        if (g_str_has_prefix(name, prefix) && g_str_has_suffix(name, suffix) &&
            g_file_get_contents(path, &text, NULL, NULL) && strstr(text, key))
            number = number_behind(text, key);
    }
    return number;
}

/* A guest whose process microvm-ctl does not take for a QEMU, and so has not ended. */
static void end_unknown(int id)
{
    g_autofree char *pid = pid_of(id);
    struct pollfd pfd = {.events = POLLIN};

    if (!pid)
        return;
    pfd.fd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
    if (pfd.fd < 0)
        return;
    kill(atoi(pid), SIGKILL);
    g_assert_cmpint(poll(&pfd, 1, LIMIT_SECONDS * 1000), ==, 1);
    close(pfd.fd);
}

/*
 * The host's instructions from QEMU's begin to "cont", where valgrind writes a file that ends with
 * .1. Then it is interrupted.
 */
static void test_start_counted(void)
{
    const char *words[] = {"clone", "web", "201", NULL};
    g_autofree char *callgrind = g_strdup_printf(
        "valgrind --tool=callgrind --dump-before=qmp_cont --callgrind-out-file=%s/start.%%p %s",
        dir, qemu);
    gint64 deadline = g_get_monotonic_time() + LIMIT_SECONDS * G_USEC_PER_SEC, number;
    char *before;
    int status;
    GPid pid;

    need_template();
    before = wrap(callgrind, "");
    pid = start_ctl(words);
    while (!(number = number_in("start.", ".1", "\nsummary:")) && g_get_monotonic_time() < deadline)
        g_usleep(G_USEC_PER_SEC / 10);
    kill(pid, SIGINT);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    end_unknown(FIRST_ID);
    put_back(before);
    g_assert_cmpint(number, >, 0);
    g_test_message("%.1f million instructions of QEMU's before a clone runs", (double)number / 1e6);
}

/* The guest's own, until its new identity has answered. */
static void test_guest_counted(void)
{
    g_autofree char *plugin =
        g_strdup_printf("-plugin %s,out=%s/guest.counts,phase=waking,phase=never@mark9",
                        g_getenv("MICROVM_PLUGIN"), dir);
    gint64 number;
    char *before;

    need_template();
    before = wrap(qemu, plugin);
    wake(FIRST_ID, 1);
    stop(FIRST_ID);
    put_back(before);
    number = number_in("guest.", "counts", "phase waking ");
    g_assert_cmpint(number, >, 0);
    g_test_message("%.1f million instructions of the guest's until it is ready",
                   (double)number / 1e6);
}

void add_cost_tests(void)
{
    g_test_add_func("/warm/cost", test_cost);
    g_test_add_func("/warm/hostile", test_hostile);
    if (!g_getenv("MICROVM_FULL"))
        return;
    g_test_add_func("/warm/many", test_many);
    g_test_add_func("/warm/start-counted", test_start_counted);
    g_test_add_func("/warm/guest-counted", test_guest_counted);
}
