/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests on real bridges, taps and VLANs, and one as Proxmox starts it, in namespaces of the test's
 * own: nothing of it is seen outside, and all processes end with the test.
 *
 *   test-net LAUNCHER INITRD MICROVM-CTL
 *
 * The environment names what is used: MICROVM_QEMU, MICROVM_VMLINUX. Must be run as root. With
 * MICROVM_IN_HOST=1 it is run by ci/in-host: guests have KVM and vhost-net, QEMU runs as the user
 * microvm, and bridges tell VLANs apart. Elsewhere guests run on TCG, and what needs such a host is
 * left to that.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "console.h"
#include "qmp.h"

#define LIMIT 300 /* seconds for a test, on a slow, busy host, unless MICROVM_LIMIT says more */
#define ENOUGH 3  /* frames that make sure */
#define NOT_POSSIBLE 77

static const char *launcher, *ctl, *initrd, *qemu, *vmlinux;
static gboolean in_host;

typedef struct {
    char *dir;
    char *run; /* in it, for the launcher to make */
    gint64 deadline;
} Fixture;

typedef struct {
    int id;
    Console *console;
    Qmp *qmp;
} Guest;

static gboolean run(const char *format, ...) G_GNUC_PRINTF(1, 2);

static gboolean run(const char *format, ...)
{
    g_autofree char *line = NULL;
    va_list args;
    int status;

    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    return g_spawn_command_line_sync(line, NULL, NULL, &status, NULL) && status == 0;
}

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->dir = g_dir_make_tmp("net-XXXXXX", NULL);
    g_assert_cmpint(g_chmod(f->dir, 0711), ==, 0);
    f->run = g_build_filename(f->dir, "run", NULL);
    f->deadline =
        channel_deadline(g_getenv("MICROVM_LIMIT") ? atoi(g_getenv("MICROVM_LIMIT")) : LIMIT);
}

static void remove_files(const char *path)
{
    g_autoptr(GDir) files = g_dir_open(path, 0, NULL);
    const char *name;

    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        g_unlink(file);
    }
    g_rmdir(path);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    remove_files(f->run);
    remove_files(f->dir);
    g_assert_false(g_file_test(f->dir, G_FILE_TEST_EXISTS));
    g_free(f->run);
    g_free(f->dir);
}

/*
 * A small guest whose address ends in @id; @lines are the rest of its config. What stands in them
 * before a '|' goes to its init instead: "vlan=10 |net0: …".
 */
static char *write_config(const char *dir, int id, const char *lines)
{
    const char *bar = strchr(lines, '|');
    int words = bar ? (int)(bar - lines) : 0;
    char *path = g_strdup_printf("%s/%d.conf", dir, id);
    g_autofree char *text =
        g_strdup_printf("machine: microvm\n%s\nmemory: 128\nballoon: 0\nserial0: socket\n"
                        "args: -append \"console=ttyS0 quiet panic=-1 %.*saddr=%d\"\n%s",
                        in_host ? "cpu: host" : "kvm: 0", words, lines, id, bar ? bar + 1 : lines);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return path;
}

/* Starts the guest, stopped; @more are options of the launcher. The error text, or NULL. */
static char *launch(const char *config, const char *const *more)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    g_auto(GStrv) argv = NULL;
    char *err = NULL;
    int status;

    g_strv_builder_add_many(words, launcher, "--qemu", qemu, "--kernel", vmlinux, "--initrd",
                            initrd, NULL);
    for (; more && *more; more++)
        g_strv_builder_add(words, *more);
    g_strv_builder_add_many(words, config, "-S", NULL);
    argv = g_strv_builder_end(words);
    g_assert_true(
        g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, &err, &status, NULL));
    if (status == 0)
        g_clear_pointer(&err, g_free);
    return err;
}

static void guest_monitor(Guest *guest, const char *run_dir, gint64 deadline)
{
    g_autofree char *monitor = g_strdup_printf("%s/%d.qmp", run_dir, guest->id);
    GError *error = NULL;

    guest->qmp = qmp_connect(monitor, deadline, &error);
    g_assert_no_error(error);
}

static void guest_connect(Guest *guest, const char *run_dir, gint64 deadline)
{
    g_autofree char *serial = g_strdup_printf("%s/%d.serial0", run_dir, guest->id);
    GError *error = NULL;

    guest->console = console_connect(serial, NULL, &error);
    g_assert_no_error(error);
    guest_monitor(guest, run_dir, deadline);
    json_node_unref(qmp_execute(guest->qmp, "cont", NULL, deadline, &error));
    g_assert_no_error(error);
}

/* @option is one more of the launcher, or NULL. */
static Guest *guest_start_with(Fixture *f, int id, const char *lines, const char *option)
{
    Guest *guest = g_new0(Guest, 1);
    g_autofree char *config = write_config(f->dir, id, lines);
    const char *more[] = {"--runtime-dir", f->run, "--daemonize", option, NULL};
    g_autofree char *err = launch(config, more);

    if (err)
        g_error("%s", err);
    guest->id = id;
    guest_connect(guest, f->run, f->deadline);
    return guest;
}

static Guest *guest_start(Fixture *f, int id, const char *lines)
{
    return guest_start_with(f, id, lines, NULL);
}

static void guest_end(Fixture *f, Guest *guest)
{
    GError *error = NULL;

    json_node_unref(qmp_execute(guest->qmp, "quit", NULL, f->deadline, &error));
    g_assert_no_error(error);
    g_assert_true(console_wait_closed(guest->console, f->deadline, NULL));
    console_free(guest->console);
    qmp_free(guest->qmp);
    g_free(guest);
}

static void guest_wait(Fixture *f, Guest *guest, const char *text)
{
    g_autoptr(GError) error = NULL;

    if (!console_wait(guest->console, text, f->deadline, NULL, &error)) {
        g_autofree char *shown = console_text(guest->console);

        g_error("guest %d does not say '%s' (%s): %s", guest->id, text, error->message, shown);
    }
}

/* A socket that sees all frames of interface @name. */
static int sniff(const char *name)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons(ETH_P_ALL),
                                  .sll_ifindex = (int)if_nametoindex(name)};

    g_assert_true(fd >= 0 && address.sll_ifindex &&
                  bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

/* The guest whose frame comes next on @fd, by the last byte of its address; -1 at the deadline. */
static int next_sender(int fd, gint64 deadline)
{
    guint8 frame[2048];
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    while (g_get_monotonic_time() < deadline) {
        int left = (int)((deadline - g_get_monotonic_time()) / 1000);

        if (poll(&pfd, 1, MAX(left, 0)) <= 0)
            break;
        if (recv(fd, frame, sizeof(frame), 0) >= ETH_HLEN && frame[6] == 0xbc && frame[7] == 0x24)
            return frame[11];
    }
    return -1;
}

static void wait_for_frames(int fd, int sender, int count, gint64 deadline)
{
    while (count > 0) {
        int from = next_sender(fd, deadline);

        g_assert_cmpint(from, !=, -1);
        count -= from == sender;
    }
}

/* The same, and none from @stranger among them. */
static void wait_without(int fd, int sender, int stranger, int count, gint64 deadline)
{
    while (count > 0) {
        int from = next_sender(fd, deadline);

        g_assert_cmpint(from, !=, -1);
        g_assert_cmpint(from, !=, stranger);
        count -= from == sender;
    }
}

static int link_fact(const char *name, unsigned long request)
{
    struct ifreq ifr = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    g_strlcpy(ifr.ifr_name, name, sizeof(ifr.ifr_name));
    g_assert_cmpint(ioctl(fd, request, &ifr), ==, 0);
    close(fd);
    return request == SIOCGIFMTU ? ifr.ifr_mtu : ifr.ifr_flags;
}

#define MAC(n) "virtio=BC:24:11:00:00:" n ",bridge="

/* Two guests hear each other, and a third, which is elsewhere, no one; each has its own net0. */
static void three_guests(Fixture *f, const char *first, const char *second, const char *third)
{
    Guest *a = guest_start(f, 201, first);
    Guest *b = guest_start(f, 202, second);
    Guest *c = guest_start(f, 203, third);
    int at_a = sniff("tap201i0"), at_c = sniff("tap203i0");
    g_autofree char *said = NULL;

    guest_wait(f, a, "net: heard 202");
    guest_wait(f, b, "net: heard 201");
    guest_wait(f, c, "net: up mtu=1500");
    /* What the third says is on its own tap, and has not come as far as the first one's. */
    wait_for_frames(at_c, 203, ENOUGH, f->deadline);
    wait_without(at_a, 202, 203, ENOUGH, f->deadline);
    said = console_text(c->console);
    g_assert_null(strstr(said, "heard"));
    close(at_a);
    close(at_c);
    guest_end(f, a);
    guest_end(f, b);
    guest_end(f, c);
    g_assert_cmpuint(if_nametoindex("tap201i0"), ==, 0);
}

static void test_bridges(Fixture *f, gconstpointer data)
{
    (void)data;
    three_guests(f, "net0: " MAC("C9") "vmbr0\n", "net0: " MAC("CA") "vmbr0\n",
                 "net0: " MAC("CB") "vmbr2\n");
}

static void test_vlans(Fixture *f, gconstpointer data)
{
    (void)data;
    three_guests(f, "net0: " MAC("C9") "vmbr0,tag=10\n", "net0: " MAC("CA") "vmbr0,tag=10\n",
                 "net0: " MAC("CB") "vmbr0,tag=20\n");
}

/* What one guest sends without a tag reaches another with it, where that may have the VLAN. */
static void test_trunks(Fixture *f, gconstpointer data)
{
    (void)data;
    three_guests(f, "net0: " MAC("C9") "vmbr0,tag=10\n",
                 "vlan=10 |net0: " MAC("CA") "vmbr0,trunks=10\n",
                 "vlan=10 |net0: " MAC("CB") "vmbr0,trunks=20-30\n");
}

/* Stands for an ssh agent: what comes goes back. */
static gpointer echo_agent(gpointer data)
{
    int listener = GPOINTER_TO_INT(data), fd;
    char buffer[64];
    ssize_t n;

    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        while ((n = read(fd, buffer, sizeof(buffer))) > 0 && write(fd, buffer, (gsize)n) == n) {
        }
        close(fd);
    }
    return NULL;
}

static void start_agent(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_no_errno(bind(fd, (struct sockaddr *)&address, sizeof(address)));
    g_assert_no_errno(listen(fd, 8));
    g_thread_unref(g_thread_new("agent", echo_agent, GINT_TO_POINTER(fd)));
}

/* In a child: /proc as it is for this namespace of processes. */
static void see_processes(gpointer data)
{
    (void)data;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
        mount("proc", "/proc", "proc", 0, NULL) < 0)
        _exit(1);
}

/* Two guests ask at the port that is the first one's; it alone gets an answer, as long as it may.
 */
static void test_ssh_agent(Fixture *f, gconstpointer data)
{
    g_autofree char *socket = g_build_filename(f->dir, "agent", NULL);
    const char *argv[] = {ctl, "--runtime-dir", f->run, "ssh-agent", "201", NULL};
    g_auto(GStrv) envp = NULL;
    Guest *guests[2];
    g_autofree char *said = NULL;
    GError *error = NULL;
    int status, pid;

    (void)data;
    for (int i = 0; i < 2; i++) {
        guests[i] = guest_start_with(f, 201 + i, "vsock=1201 |", "--vsock");
        g_clear_pointer(&guests[i]->qmp, qmp_free); /* it is microvm-ctl's turn */
    }
    start_agent(socket);
    envp = g_environ_setenv(g_get_environ(), "SSH_AUTH_SOCK", socket, TRUE);
    g_spawn_async(NULL, (char **)argv, envp, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL,
                  see_processes, NULL, &pid, &error);
    g_assert_no_error(error);
    guest_wait(f, guests[0], "vsock: answered hello");
    guest_wait(f, guests[1], "vsock: turned away");
    said = console_text(guests[1]->console);
    g_assert_null(strstr(said, "answered"));
    for (int i = 0; i < 2; i++) {
        guest_monitor(guests[i], f->run, f->deadline);
        guest_end(f, guests[i]);
    }
    /* with its guest it ends */
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    g_assert_no_errno(g_unlink(socket));
}

/* What the command says is as the pattern has it. */
static void assert_says(const char *pattern, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void assert_says(const char *pattern, const char *format, ...)
{
    g_autofree char *line = NULL, *out = NULL;
    va_list args;

    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    g_assert_true(g_spawn_command_line_sync(line, &out, NULL, NULL, NULL));
    if (!g_regex_match_simple(pattern, out, G_REGEX_DOTALL, 0))
        g_error("'%s' does not say '%s' but: %s", line, pattern, out);
}

static void assert_vlans(const char *tap, const char *pattern)
{
    assert_says(pattern, "bridge -compressvlans vlan show dev %s", tap);
}

/* The ports of a bridge get the VLANs that Proxmox would give them. */
static void test_ports(Fixture *f, gconstpointer data)
{
    Guest *guest = guest_start(f, 204,
                               "net0: " MAC("CC") "vmbr0,trunks=10;20-30\n"
                                                  "net1: " MAC("CD") "vmbr0,tag=7,trunks=9\n"
                                                                     "net2: " MAC("CE") "vmbr0\n");

    (void)data;
    assert_vlans("tap204i0", "^.*\\s1 PVID Egress Untagged\\s+10\\s+20-30\\s*$");
    assert_vlans("tap204i1", "^.*\\s7 PVID Egress Untagged\\s+9\\s*$");
    assert_vlans("tap204i2", "^.*\\s1 PVID Egress Untagged\\s+2-4094\\s*$");
    guest_end(f, guest);
}

/* The guest is told its own MTU; the tap has the bridge's, which stays what it was. */
static void test_taps(Fixture *f, gconstpointer data)
{
    Guest *guest =
        guest_start(f, 208,
                    "net0: " MAC("D4") "vmbr1,mtu=1400\n"
                                       "net1: " MAC("D5") "vmbr1,link_down=1,queues=2\n");

    (void)data;
    g_assert_true(link_fact("tap208i0", SIOCGIFFLAGS) & IFF_UP);
    g_assert_false(link_fact("tap208i1", SIOCGIFFLAGS) & IFF_UP);
    g_assert_cmpint(link_fact("tap208i0", SIOCGIFMTU), ==, 9000);
    g_assert_cmpint(link_fact("vmbr1", SIOCGIFMTU), ==, 9000);
    guest_end(f, guest);
}

/* The guest's kernel takes what it is told: the bridge's MTU, or that of the config. */
static void test_mtu(Fixture *f, gconstpointer data)
{
    Guest *bridge = guest_start(f, 205, "net0: " MAC("D0") "vmbr1\n");
    Guest *own = guest_start(f, 206, "net0: " MAC("D1") "vmbr1,mtu=1400\n");

    (void)data;
    guest_wait(f, bridge, "net: up mtu=9000");
    guest_wait(f, own, "net: up mtu=1400");
    guest_wait(f, own, "net: heard 205");
    guest_end(f, bridge);
    guest_end(f, own);
}

static void test_refused(Fixture *f, gconstpointer data)
{
    g_autofree char *config = write_config(f->dir, 207, "net0: " MAC("D2") "vmbr1,tag=10\n");
    const char *more[] = {"--runtime-dir", f->run, "--daemonize", NULL};
    g_autofree char *err = launch(config, more);

    (void)data;
    g_assert_nonnull(err);
    g_assert_nonnull(strstr(err, "net0: bridge vmbr1 does not tell VLANs apart"));
    g_assert_cmpuint(if_nametoindex("tap207i0"), ==, 0);
}

/* tc, which is not ours, sees both limits, and that what the guest says has met one. */
static void test_rate(Fixture *f, gconstpointer data)
{
    Guest *a = guest_start(f, 209, "net0: " MAC("D6") "vmbr1,rate=10\n");
    Guest *b = guest_start(f, 210, "net0: " MAC("D7") "vmbr1\n");

    (void)data;
    guest_wait(f, a, "net: heard 210");
    guest_wait(f, b, "net: heard 209");
    assert_says("qdisc tbf 1: root .*rate 83886Kbit burst 1Mb ", "tc qdisc show dev tap209i0");
    assert_says("police .*rate 83886Kbit burst 1Mb .*action drop .*Sent [1-9]",
                "tc -s filter show dev tap209i0 ingress");
    guest_end(f, a);
    guest_end(f, b);
}

/* Root's disk and /dev/kvm in the hands of a QEMU that is not root, as what it has made shows. */
static void test_user(Fixture *f, gconstpointer data)
{
    g_autofree char *disk = g_build_filename(f->dir, "disk.raw", NULL);
    g_autofree char *pidfile = g_build_filename(f->run, "211.pid", NULL);
    g_autofree char *zeros = g_malloc0(1 << 20);
    struct stat st;
    g_autofree char *lines =
        g_strdup_printf("scsi0: %s\nrng0: source=/dev/urandom\nnet0: " MAC("D8") "vmbr1\n", disk);
    Guest *guest;

    (void)data;
    g_assert_true(g_file_set_contents(disk, zeros, 1 << 20, NULL));
    g_assert_cmpint(g_chmod(disk, 0600), ==, 0);
    guest = guest_start(f, 211, lines);
    g_assert_cmpint(stat(pidfile, &st), ==, 0);
    g_assert_cmpint(st.st_uid, ==, 900);
    guest_wait(f, guest, "net: up mtu=9000");
    guest_end(f, guest);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                  listen(fd, 1) == 0);
    return fd;
}

/* What a Proxmox node has, as far as the launcher looks; the host's own is out of sight. */
static gboolean make_proxmox_node(void)
{
    static const char bridge[] = "#!/bin/sh\n"
                                 "echo \"${0##*/} $1\" >>/run/scripts\n"
                                 "ip link set \"$1\" up master vmbr1\n";

    if (mount("tmpfs", "/etc", "tmpfs", 0, NULL) < 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0 ||
        mount("tmpfs", "/usr/libexec", "tmpfs", 0, NULL) < 0 ||
        mount("proc", "/proc", "proc", 0, NULL) < 0)
        return FALSE;
    g_assert_cmpint(g_mkdir_with_parents("/etc/pve/qemu-server", 0755), ==, 0);
    g_assert_cmpint(g_mkdir_with_parents("/usr/libexec/qemu-server", 0755), ==, 0);
    g_assert_cmpint(g_mkdir_with_parents("/var/run/qemu-server", 0755), ==, 0);
    g_assert_true(g_file_set_contents("/etc/pve/storage.cfg", "", 0, NULL));
    g_assert_true(g_file_set_contents("/usr/libexec/qemu-server/pve-bridge", bridge, -1, NULL));
    g_assert_true(g_file_set_contents("/usr/libexec/qemu-server/pve-bridgedown",
                                      "#!/bin/sh\necho \"${0##*/} $1\" >>/run/scripts\n", -1,
                                      NULL));
    return chmod("/usr/libexec/qemu-server/pve-bridge", 0755) == 0 &&
           chmod("/usr/libexec/qemu-server/pve-bridgedown", 0755) == 0;
}

/* As qemu-server knows a guest's process: argv[0], and the pidfile as two words. */
static void check_identity(int id)
{
    g_autofree char *pidfile = g_strdup_printf("/var/run/qemu-server/%d.pid", id), *pid = NULL;
    g_autofree char *file = NULL, *words = NULL;
    gsize size;
    const char *at;
    gboolean found = FALSE;

    g_assert_true(g_file_get_contents(pidfile, &pid, NULL, NULL));
    file = g_strdup_printf("/proc/%s/cmdline", g_strchomp(pid));
    g_assert_true(g_file_get_contents(file, &words, &size, NULL));
    g_assert_true(g_regex_match_simple("kvm$|(^|/)qemu-[^/]+$", words, 0, 0));
    for (at = words; at < words + size; at += strlen(at) + 1) {
        if (strcmp(at, "-pidfile") == 0)
            found = strcmp(at + strlen(at) + 1, pidfile) == 0;
    }
    g_assert_true(found);
}

typedef struct {
    struct pollfd pfd; /* QEMU's connection */
    GString *text;     /* all that it has said */
} Events;

/* Reads until QEMU has said @text. FALSE: it closed the connection first, or the deadline came. */
static gboolean events_wait(Events *events, const char *text, gint64 deadline)
{
    char buffer[4096];

    while (!text || !strstr(events->text->str, text)) {
        gint64 left = (deadline - g_get_monotonic_time()) / 1000;
        ssize_t n = left > 0 && poll(&events->pfd, 1, (int)left) > 0
                        ? read(events->pfd.fd, buffer, sizeof(buffer))
                        : -1;

        if (n <= 0)
            return FALSE;
        g_string_append_len(events->text, buffer, n);
    }
    return TRUE;
}

static void events_say(Events *events, const char *text)
{
    g_assert_cmpint(write(events->pfd.fd, text, strlen(text)), ==, (gssize)strlen(text));
}

/* What qmeventd does at first: QEMU connects to it, and is told that events are wanted. */
static void events_accept(Events *events, int listener, gint64 deadline)
{
    struct pollfd pfd = {.fd = listener, .events = POLLIN};

    g_assert_cmpint(poll(&pfd, 1, LIMIT * 1000), ==, 1);
    events->pfd =
        (struct pollfd){.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), .events = POLLIN};
    events->text = g_string_new(NULL);
    events_say(events, "{\"execute\":\"qmp_capabilities\"}\n");
    g_assert_true(events_wait(events, "\"return\"", deadline));
}

/* And then: it hears of the guest's end, and ends QEMU, which would stay otherwise. */
static void events_end(Events *events, gint64 deadline)
{
    g_assert_true(events_wait(events, "\"SHUTDOWN\"", deadline));
    events_say(events, "{\"execute\":\"quit\"}\n");
    g_assert_false(events_wait(events, NULL, deadline));
    g_assert_cmpint(g_get_monotonic_time(), <, deadline);
    close(events->pfd.fd);
    g_string_free(events->text, TRUE);
}

/* In a process of its own, in the mount namespace that it makes. */
static int proxmox_guest(Fixture *f)
{
    Guest guest = {.id = 230};
    Events events;
    g_autofree char *config = NULL, *err = NULL, *scripts = NULL;
    int listener;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        !make_proxmox_node())
        return NOT_POSSIBLE;
    listener = listen_at("/var/run/qmeventd.sock");
    config = write_config("/etc/pve/qemu-server", guest.id,
                          "agent: 1\nnet0: " MAC("E6") "vmbr1,tag=10,firewall=1\n");
    {
        g_autofree char *text = NULL, *ending = NULL;
        g_auto(GStrv) parts = NULL;

        g_assert_true(g_file_get_contents(config, &text, NULL, NULL));
        parts = g_strsplit(text, " addr=", 2);
        ending = g_strjoinv(" end=1 addr=", parts);
        g_assert_true(g_file_set_contents(config, ending, -1, NULL));
    }
    err = launch(config, NULL);
    if (err)
        g_error("%s", err);
    check_identity(guest.id);
    events_accept(&events, listener, f->deadline);
    guest_connect(&guest, "/var/run/qemu-server", f->deadline);
    guest_wait(f, &guest, "net: up mtu=9000");
    events_end(&events, f->deadline);
    g_assert_true(console_wait_closed(guest.console, f->deadline, NULL));
    g_assert_true(g_file_get_contents("/run/scripts", &scripts, NULL, NULL));
    g_assert_cmpstr(scripts, ==, "pve-bridge tap230i0\npve-bridgedown tap230i0\n");
    return 0;
}

static void test_proxmox(Fixture *f, gconstpointer data)
{
    int status;
    pid_t child = fork();

    (void)data;
    if (child == 0)
        _exit(proxmox_guest(f));
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_POSSIBLE)
        g_test_skip("no mount namespace of its own can be had here");
    else
        g_assert_cmpint(status, ==, 0);
}

#define ADD(name, func) g_test_add("/net/" name, Fixture, NULL, set_up, func, tear_down)

static int run_tests(void)
{
    if (!run("ip link add vmbr0 type bridge%s", in_host ? " vlan_filtering 1" : "") ||
        !run("ip link add vmbr1 type bridge") || !run("ip link set vmbr1 mtu 9000") ||
        !run("ip link add vmbr2 type bridge") || !run("ip link set vmbr0 up") ||
        !run("ip link set vmbr1 up") || !run("ip link set vmbr2 up"))
        g_error("bridges cannot be made");
    ADD("bridges", test_bridges);
    ADD("taps", test_taps);
    ADD("mtu", test_mtu);
    ADD("refused", test_refused);
    ADD("proxmox", test_proxmox);
    if (in_host) {
        ADD("vlans", test_vlans);
        ADD("trunks", test_trunks);
        ADD("ports", test_ports);
        ADD("rate", test_rate);
        ADD("user", test_user);
        ADD("ssh-agent", test_ssh_agent);
    }
    return g_test_run();
}

/* The first process of a new PID namespace: with it, all that it started ends. */
static int in_namespaces(void)
{
    int status;
    pid_t child;

    if (unshare(CLONE_NEWNET | CLONE_NEWPID) < 0)
        g_error("no namespaces: %s (root is needed)", g_strerror(errno));
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        return run_tests();
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu = g_getenv("MICROVM_QEMU");
    vmlinux = g_getenv("MICROVM_VMLINUX");
    in_host = g_getenv("MICROVM_IN_HOST") != NULL;
    g_assert_true(argc == 4 && qemu && vmlinux);
    launcher = g_canonicalize_filename(argv[1], NULL);
    initrd = g_canonicalize_filename(argv[2], NULL);
    ctl = g_canonicalize_filename(argv[3], NULL);
    return in_namespaces();
}
