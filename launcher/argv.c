/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "argv-parts.h"

#include <string.h>

#include "live-share.h"

/* Bytes of a console's output that are kept; a power of two. A boot prints a tenth of it. */
#define RING_SIZE "256K"

void argv_add(GPtrArray *argv, const char *word)
{
    g_ptr_array_add(argv, g_strdup(word));
}

void argv_add_option(GPtrArray *argv, const char *option, char *value)
{
    argv_add(argv, option);
    g_ptr_array_add(argv, value);
}

void argv_opt(GString *opt, const char *key, const char *value)
{
    if (opt->len)
        g_string_append_c(opt, ',');
    g_string_append_printf(opt, "%s=", key);
    for (const char *p = value; *p; p++) {
        if (*p == ',')
            g_string_append_c(opt, ',');
        g_string_append_c(opt, *p);
    }
}

void argv_opt_number(GString *opt, const char *key, guint64 value)
{
    g_string_append_printf(opt, ",%s=%" G_GUINT64_FORMAT, key, value);
}

void argv_opt_onoff(GString *opt, const char *key, gboolean value)
{
    argv_opt(opt, key, value ? "on" : "off");
}

void argv_opt_slot(GString *opt, int slot)
{
    g_string_append_printf(opt, ",bus=virtio-mmio-bus.%d", slot);
}

/* ",fd=3" or ",fds=3:4:5". */
static void opt_add_fds(GString *opt, const char *one, const char *many, int first, guint count)
{
    g_string_append_printf(opt, ",%s=%d", count > 1 ? many : one, first);
    for (guint i = 1; i < count; i++)
        g_string_append_printf(opt, ":%d", first + (int)i);
}

/* @path, or the descriptor that it is open as. */
static void opt_add_file(GString *opt, const char *key, const PlanFile *file, const char *path)
{
    if (file)
        g_string_append_printf(opt, ",%s=" ARGV_FDSET "%d", key, file->fd);
    else
        argv_opt(opt, key, path);
}

/* A tap that Proxmox's scripts put under its bridge, and take away. */
static void opt_add_scripts(GString *opt, const Plan *plan, const PlanNic *nic)
{
    argv_opt(opt, "ifname", nic->ifname);
    g_string_append_printf(opt, ",script=%s/pve-bridge,downscript=%s/pve-bridgedown", plan->scripts,
                           plan->scripts);
    if (nic->vhost)
        argv_opt_onoff(opt, "vhost", TRUE);
    if (nic->queues > 1)
        argv_opt_number(opt, "queues", nic->queues);
}

static char *netdev(const Plan *plan, const PlanNic *nic)
{
    GString *opt = g_string_new(nic->bridge ? "tap" : "user");

    argv_opt(opt, "id", nic->key);
    if (nic->bridge && plan->proxmox) {
        opt_add_scripts(opt, plan, nic);
        return g_string_free(opt, FALSE);
    }
    if (nic->bridge) {
        opt_add_fds(opt, "fd", "fds", nic->first_fd, nic->queues);
        argv_opt_onoff(opt, "vhost", nic->vhost);
        if (nic->vhost)
            opt_add_fds(opt, "vhostfd", "vhostfds", nic->first_fd + (int)nic->queues, nic->queues);
        return g_string_free(opt, FALSE);
    }
    argv_opt(opt, "hostname", plan->name);
    if (nic->alone)
        argv_opt_onoff(opt, "restrict", TRUE);
    for (guint i = 0; i < nic->hostfwd->len; i++)
        argv_opt(opt, "hostfwd", nic->hostfwd->pdata[i]);
    return g_string_free(opt, FALSE);
}

static void add_nic(GPtrArray *argv, const Plan *plan, const PlanNic *nic)
{
    GString *opt = g_string_new("virtio-net-device");

    argv_opt(opt, "mac", nic->mac);
    argv_opt(opt, "netdev", nic->key);
    argv_opt(opt, "id", nic->key);
    argv_opt_slot(opt, nic->slot);
    if (nic->bridge && nic->queues > 1)
        g_string_append(opt, ",mq=on,packed=on");
    g_string_append(opt, ",rx_queue_size=1024,tx_queue_size=256");
    if (nic->mtu)
        argv_opt_number(opt, "host_mtu", nic->mtu);
    argv_add_option(argv, "-netdev", netdev(plan, nic));
    if (nic->was_user)
        argv_add_option(argv, "-netdev",
                        g_strdup_printf("user,id=%s-before,restrict=on", nic->key));
    argv_add_option(argv, "-device", g_string_free(opt, FALSE));
}

static char *socket_chardev(const char *id, const char *path)
{
    GString *opt = g_string_new("socket");

    argv_opt(opt, "id", id);
    argv_opt(opt, "path", path);
    g_string_append(opt, ",server=on,wait=off");
    return g_string_free(opt, FALSE);
}

/*
 * What a guest prints goes to whoever is at the socket, and into a ring that keeps it until
 * microvm-ctl comes: a log file would grow as the guest likes. Reading empties a ring, hence a
 * second one for what has been read.
 */
static void add_logged_socket(GPtrArray *argv, const char *id, const char *path)
{
    g_autofree char *socket = g_strconcat(id, "-socket", NULL);

    argv_add_option(argv, "-chardev", socket_chardev(socket, path));
    argv_add_option(argv, "-chardev", g_strdup_printf("ringbuf,id=%s-log,size=" RING_SIZE, id));
    argv_add_option(argv, "-chardev", g_strdup_printf("ringbuf,id=%s-past,size=" RING_SIZE, id));
    argv_add_option(
        argv, "-chardev",
        g_strdup_printf("hub,id=%s,chardevs.0=%s-log,chardevs.1=%s-socket", id, id, id));
}

/* Proxmox's side reads the guest's console, and expects a plain socket. */
static void add_serial_chardev(GPtrArray *argv, const Plan *plan, const PlanSerial *serial)
{
    g_autofree char *id = g_strdup_printf("serial%d", serial->index);
    GString *opt;

    if (serial->path && plan->proxmox) {
        argv_add_option(argv, "-chardev", socket_chardev(id, serial->path));
    } else if (serial->path) {
        add_logged_socket(argv, id, serial->path);
    } else {
        opt = g_string_new("serial");
        argv_opt(opt, "id", id);
        opt_add_file(opt, "path", serial->file, serial->device);
        argv_add_option(argv, "-chardev", g_string_free(opt, FALSE));
    }
}

static void add_port(GPtrArray *argv, const char *id, const char *path, int nr, const char *name)
{
    argv_add_option(argv, "-chardev", socket_chardev(id, path));
    argv_add_option(
        argv, "-device",
        g_strdup_printf("virtserialport,bus=qga0.0,nr=%d,chardev=%s,name=%s", nr, id, name));
}

/*
 * Port 0 may only be a console in QEMU, so the agent has 1, serial N has N + 1, and a clone's
 * identity the one behind them. A guest spends
 * memory on every port that could be, hence no more than needed.
 */
static void add_virtio_serial(GPtrArray *argv, const Plan *plan)
{
    int last = 1;

    for (guint i = 0; i < plan->serials->len; i++)
        last = MAX(last, ((PlanSerial *)plan->serials->pdata[i])->index + 1);
    last += plan->identity != NULL;
    argv_add_option(
        argv, "-device",
        g_strdup_printf("virtio-serial-device,id=qga0,bus=virtio-mmio-bus.%d,max_ports=%d",
                        plan->serial_slot, last + 1));
    if (plan->agent)
        add_port(argv, "qga0", plan->agent, 1, "org.qemu.guest_agent.0");
    if (plan->identity)
        add_port(argv, "identity", plan->identity, last, PLAN_IDENTITY_PORT);
}

static void add_serials(GPtrArray *argv, const Plan *plan)
{
    if (plan->virtio_serial)
        add_virtio_serial(argv, plan);
    for (guint i = 0; i < plan->serials->len; i++) {
        const PlanSerial *serial = plan->serials->pdata[i];
        int n = serial->index;

        add_serial_chardev(argv, plan, serial);
        if (n == 0)
            argv_add_option(argv, "-serial", g_strdup("chardev:serial0"));
        else
            argv_add_option(
                argv, "-device",
                g_strdup_printf("virtconsole,bus=qga0.0,nr=%d,chardev=serial%d,id=serial%d", n + 1,
                                n, n));
    }
}

static void add_rng(GPtrArray *argv, const Plan *plan)
{
    GString *object = g_string_new("rng-random"), *device;

    opt_add_file(object, "filename", plan->rng_file, plan->rng_source);
    argv_opt(object, "id", "rng0");
    argv_add_option(argv, "-object", g_string_free(object, FALSE));
    device = g_string_new("virtio-rng-device,rng=rng0");
    if (plan->rng_max_bytes)
        g_string_append_printf(device, ",max-bytes=%" G_GUINT64_FORMAT ",period=%" G_GUINT64_FORMAT,
                               plan->rng_max_bytes, plan->rng_period);
    argv_opt(device, "id", "rng0");
    argv_opt_slot(device, plan->rng_slot);
    argv_add_option(argv, "-device", g_string_free(device, FALSE));
}

static void add_shares(GPtrArray *argv, const Plan *plan)
{
    for (guint i = 0; i < plan->shares->len; i++) {
        const PlanShare *share = plan->shares->pdata[i];
        GString *chardev = g_string_new("socket"), *device;

        argv_opt(chardev, "id", share->key);
        if (share->directory)
            argv_opt_number(chardev, "fd", (guint64)share->fd);
        else
            argv_opt(chardev, "path", share->path);
        device = g_string_new("vhost-user-fs-device,queue-size=1024");
        argv_opt(device, "chardev", share->key);
        argv_opt(device, "tag", share->tag);
        argv_opt(device, "id", share->key);
        argv_opt_slot(device, share->slot);
        argv_add_option(argv, "-chardev", g_string_free(chardev, FALSE));
        argv_add_option(argv, "-device", g_string_free(device, FALSE));
    }
}

static void add_vsock(GPtrArray *argv, const Plan *plan)
{
    GString *device = g_string_new("vhost-vsock-device");

    argv_opt_number(device, "guest-cid", plan->cid);
    if (plan->vsock_fd >= 0)
        argv_opt_number(device, "vhostfd", (guint64)plan->vsock_fd);
    argv_opt(device, "id", "vsock0");
    argv_opt_slot(device, plan->vsock_slot);
    argv_add_option(argv, "-device", g_string_free(device, FALSE));
}

/*
 * Metadata goes into extended attributes, so that no file on the host is ever a device, a symlink
 * or set-user-ID by a guest's doing.
 */
static void add_live_shares(GPtrArray *argv, const Plan *plan)
{
    GString *device =
        g_string_new("virtio-9p-device,fsdev=shares,mount_tag=" LIVE_SHARE_TAG ",id=shares");

    argv_opt_slot(device, plan->live_share_slot);
    argv_add_option(argv, "-fsdev",
                    g_strdup("local,id=shares,path=" LIVE_SHARE_DIR "/" LIVE_SHARE_TREE
                             ",security_model=mapped-xattr,multidevs=remap"));
    argv_add_option(argv, "-device", g_string_free(device, FALSE));
}

/*
 * What the guest can write to has metadata in extended attributes, for the same reason. What it can
 * only read it sees as it is, symlinks too, which it follows by itself and so within the directory.
 */
static void add_mount(GPtrArray *argv, const Plan *plan)
{
    GString *fsdev = g_string_new("local,id=mount"), *device;

    argv_opt(fsdev, "path", plan->mount);
    g_string_append(fsdev, plan->mount_writable ? ",security_model=mapped-xattr"
                                                : ",security_model=none,readonly=on");
    g_string_append(fsdev, ",multidevs=remap");
    argv_add_option(argv, "-fsdev", g_string_free(fsdev, FALSE));
    device = g_string_new("virtio-9p-device,fsdev=mount,mount_tag=" PLAN_MOUNT_TAG ",id=mount");
    argv_opt_slot(device, plan->mount_slot);
    argv_add_option(argv, "-device", g_string_free(device, FALSE));
}

/*
 * Everything QEMU would decide by itself is said, so that the board is the same on every host and
 * version.
 * qboot loads kernels itself, so the option ROMs that do it for SeaBIOS are left out with it.
 */
static char *machine(const Plan *plan)
{
    GString *opt = g_string_new(plan->machine);

    argv_opt_onoff(opt, "acpi", plan->acpi);
    argv_opt_onoff(opt, "ioapic2", plan->acpi);
    argv_opt_onoff(opt, "pcie", FALSE);
    argv_opt_onoff(opt, "usb", FALSE);
    argv_opt_onoff(opt, "rtc", TRUE);
    argv_opt_onoff(opt, "pit", plan->legacy_timers);
    argv_opt_onoff(opt, "pic", plan->legacy_timers);
    argv_opt_onoff(opt, "isa-serial", plan->isa_serial);
    /* the transports; with ACPI, where "on" is refused, auto adds the TSC's frequency */
    if (!plan->acpi)
        argv_opt_onoff(opt, "auto-kernel-cmdline", TRUE);
    argv_opt_onoff(opt, "x-option-roms", !plan->own_firmware);
    argv_opt_onoff(opt, "graphics", FALSE);
    argv_opt_onoff(opt, "mem-merge", plan->ksm);
    argv_opt_onoff(opt, "dump-guest-core", FALSE);
    if (plan->hugepage_mib || plan->memory_file)
        argv_opt(opt, "memory-backend", "ram");
    else if (plan->shares->len)
        argv_opt(opt, "memory-backend", "virtiofs-mem");
    return g_string_free(opt, FALSE);
}

/*
 * With readonly=on QEMU has the file open for reading only. Without it, what the balloon takes from
 * a guest would be punched out of the file, although the guest's mapping of it is private.
 */
static char *file_memory(const Plan *plan)
{
    GString *opt = g_string_new("memory-backend-file,id=ram");

    g_string_append_printf(opt, ",size=%" G_GUINT64_FORMAT "M", plan->memory_mib);
    argv_opt(opt, "mem-path", plan->memory_file);
    g_string_append(opt, plan->memory_private ? ",share=off,readonly=on,rom=off" : ",share=on");
    return g_string_free(opt, FALSE);
}

static void add_memory(GPtrArray *argv, const Plan *plan)
{
    argv_add_option(argv, "-m", g_strdup_printf("%" G_GUINT64_FORMAT, plan->memory_mib));
    if (plan->memory_file)
        argv_add_option(argv, "-object", file_memory(plan));
    else if (plan->hugepage_dir)
        argv_add_option(argv, "-object",
                        g_strdup_printf("memory-backend-file,id=ram,size=%" G_GUINT64_FORMAT
                                        "M,mem-path=%s,share=on,prealloc=yes",
                                        plan->memory_mib, plan->hugepage_dir));
    else if (plan->hugepage_mib)
        argv_add_option(argv, "-object",
                        g_strdup_printf("memory-backend-memfd,id=ram,size=%" G_GUINT64_FORMAT
                                        "M,hugetlb=on,hugetlbsize=%uM,share=on,prealloc=on",
                                        plan->memory_mib, plan->hugepage_mib));
    else if (plan->shares->len)
        argv_add_option(
            argv, "-object",
            g_strdup_printf("memory-backend-memfd,id=virtiofs-mem,size=%" G_GUINT64_FORMAT
                            "M,share=on",
                            plan->memory_mib));
}

static void add_machine(GPtrArray *argv, const Plan *plan)
{
    gboolean threads = !plan->kvm && plan->vcpus > 1;

    if (plan->kvm_file)
        argv_add_option(argv, "-accel",
                        g_strdup_printf("kvm,device=" ARGV_FDSET "%d", plan->kvm_file->fd));
    else
        argv_add_option(argv, "-accel",
                        g_strdup(plan->kvm ? "kvm"
                                 : threads ? "tcg,thread=multi"
                                           : "tcg"));
    if (plan->own_firmware)
        argv_add_option(argv, "-bios", g_strdup("qboot.rom"));
    argv_add_option(argv, "-global", g_strdup("virtio-mmio.force-legacy=off"));
    argv_add_option(argv, "-cpu", g_strdup(plan->cpu));
    argv_add_option(argv, "-smp",
                    g_strdup_printf("%u,sockets=%u,cores=%u,maxcpus=%u", plan->vcpus, plan->sockets,
                                    plan->cores, plan->sockets * plan->cores));
    add_memory(argv, plan);
    if (plan->uuid)
        argv_add_option(argv, "-uuid", g_strdup(plan->uuid));
    if (plan->vmgenid)
        argv_add_option(argv, "-device", g_strconcat("vmgenid,guid=", plan->vmgenid, NULL));
}

/* qmeventd hears of the guest's end there, and ends QEMU, which by itself would stay. */
static void add_events(GPtrArray *argv)
{
    argv_add_option(
        argv, "-chardev",
        g_strdup("socket,id=qmp-event,path=" HOST_PROXMOX_EVENT_SOCKET ",reconnect-ms=5000"));
    argv_add_option(argv, "-mon", g_strdup("chardev=qmp-event,mode=control"));
    argv_add(argv, "-no-shutdown");
}

/* What no guest needs QEMU to do; going into the background takes a new process and its session. */
#define SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
#define SANDBOX_DAEMON "on,obsolete=deny,resourcecontrol=deny"

static void add_process(GPtrArray *argv, const Plan *plan)
{
    GString *name = g_string_new(NULL);

    if (plan->pve_qemu)
        argv_add_option(argv, "-id", g_strdup(plan->id));
    argv_opt(name, "guest", plan->name);
    g_string_append(name, ",debug-threads=on");
    argv_add_option(argv, "-name", g_string_free(name, FALSE));
    argv_add(argv, "-no-user-config");
    argv_add(argv, "-nodefaults");
    argv_add_option(argv, "-display", g_strdup("none"));
    if (plan->sandbox)
        argv_add_option(argv, "-sandbox", g_strdup(plan->daemonize ? SANDBOX_DAEMON : SANDBOX));
    argv_add_option(argv, "-chardev", socket_chardev("qmp", plan->qmp));
    argv_add_option(argv, "-mon", g_strdup("chardev=qmp,mode=control"));
    if (plan->proxmox)
        add_events(argv);
    argv_add_option(argv, "-pidfile", g_strdup(plan->pidfile));
    if (plan->daemonize)
        argv_add(argv, "-daemonize");
    if (plan->no_reboot)
        argv_add(argv, "-no-reboot");
    if (plan->frozen)
        argv_add(argv, "-S");
}

static void add_files(GPtrArray *argv, const Plan *plan)
{
    for (guint i = 0; i < plan->files->len; i++) {
        const PlanFile *file = plan->files->pdata[i];

        argv_add_option(argv, "-add-fd", g_strdup_printf("fd=%d,set=%d", file->fd, file->fd));
    }
}

static void add_rtc(GPtrArray *argv, const Plan *plan)
{
    GString *opt = g_string_new(NULL);

    if (plan->rtc_driftfix)
        argv_opt(opt, "driftfix", "slew");
    if (plan->rtc_base)
        argv_opt(opt, "base", plan->rtc_base);
    if (opt->len)
        argv_add_option(argv, "-rtc", g_strdup(opt->str));
    g_string_free(opt, TRUE);
}

static void add_kernel(GPtrArray *argv, const Plan *plan)
{
    if (plan->kernel)
        argv_add_option(argv, "-kernel", g_strdup(plan->kernel));
    if (plan->initrd)
        argv_add_option(argv, "-initrd", g_strdup(plan->initrd));
    if (plan->append)
        argv_add_option(argv, "-append", g_strdup(plan->append));
}

/* @qemu, or when its file is named otherwise, the name by which Proxmox knows a guest's process. */
static const char *process_name(const char *qemu)
{
    g_autofree char *base = g_path_get_basename(qemu);

    return g_str_has_prefix(base, "qemu-") ? qemu : "qemu-system-x86_64";
}

char **argv_build(const Plan *plan)
{
    GPtrArray *argv = g_ptr_array_new();

    argv_add(argv, process_name(plan->qemu));
    add_process(argv, plan);
    add_files(argv, plan);
    add_machine(argv, plan);
    add_rtc(argv, plan);
    add_kernel(argv, plan);
    for (guint i = 0; i < plan->disks->len; i++)
        argv_disk(argv, plan->disks->pdata[i]);
    if (plan->modules)
        argv_modules(argv, plan);
    for (guint i = 0; i < plan->nics->len; i++)
        add_nic(argv, plan, plan->nics->pdata[i]);
    add_serials(argv, plan);
    if (plan->balloon)
        argv_add_option(argv, "-device",
                        g_strdup_printf("virtio-balloon-device,id=balloon0,free-page-reporting=on,"
                                        "deflate-on-oom=on,bus=virtio-mmio-bus.%d",
                                        plan->balloon_slot));
    if (plan->rng_source)
        add_rng(argv, plan);
    add_shares(argv, plan);
    if (plan->cid)
        add_vsock(argv, plan);
    if (plan->live_shares)
        add_live_shares(argv, plan);
    if (plan->mount)
        add_mount(argv, plan);
    argv_add_option(argv, "-machine", machine(plan));
    if (plan->loadstate)
        argv_add_option(argv, "-loadstate", g_strdup(plan->loadstate));
    for (char **word = plan->extra; *word; word++)
        argv_add(argv, *word);
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_free(argv, FALSE);
}

static void print_word(FILE *out, const char *word)
{
    g_autofree char *quoted = NULL;
    static const char plain[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "%+,-./:=@_";

    if (*word && strspn(word, plain) == strlen(word)) {
        fputs(word, out);
        return;
    }
    quoted = g_shell_quote(word);
    fputs(quoted, out);
}

void argv_print(FILE *out, char *const *argv)
{
    print_word(out, argv[0]);
    for (char *const *word = argv + 1; *word; word++) {
        gboolean starts_line = **word == '-' || (word == argv + 1);

        fputs(starts_line ? " \\\n    " : " ", out);
        print_word(out, *word);
    }
    fputc('\n', out);
}

void argv_print0(FILE *out, char *const *argv)
{
    for (char *const *word = argv; *word; word++) {
        fputs(*word, out);
        fputc('\0', out);
    }
}
