/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "argv.h"

#include <string.h>

/* Hex digits of the digest that names a disk's inner block nodes, as Proxmox has it. */
#define NODE_DIGITS 30

static void add(GPtrArray *argv, const char *word)
{
    g_ptr_array_add(argv, g_strdup(word));
}

static void add_option(GPtrArray *argv, const char *option, char *value)
{
    add(argv, option);
    g_ptr_array_add(argv, value);
}

/* Appends ",key=value" to @opt, commas in the value doubled; no comma for the first. */
static void opt_add(GString *opt, const char *key, const char *value)
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

static void opt_add_number(GString *opt, const char *key, guint64 value)
{
    g_string_append_printf(opt, ",%s=%" G_GUINT64_FORMAT, key, value);
}

static void opt_add_onoff(GString *opt, const char *key, gboolean value)
{
    opt_add(opt, key, value ? "on" : "off");
}

static void opt_add_slot(GString *opt, int slot)
{
    g_string_append_printf(opt, ",bus=virtio-mmio-bus.%d", slot);
}

static void json_string(GString *json, const char *text)
{
    g_string_append_c(json, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            g_string_append_printf(json, "\\%c", *p);
        else if ((guchar)*p < 0x20 || *p == 0x7f)
            g_string_append_printf(json, "\\u%04x", (guchar)*p);
        else
            g_string_append_c(json, *p);
    }
    g_string_append_c(json, '"');
}

static void json_key(GString *json, const char *key)
{
    if (json->len && json->str[json->len - 1] != '{')
        g_string_append_c(json, ',');
    json_string(json, key);
    g_string_append_c(json, ':');
}

static void json_add(GString *json, const char *key, const char *value)
{
    json_key(json, key);
    json_string(json, value);
}

static void json_add_bool(GString *json, const char *key, gboolean value)
{
    json_key(json, key);
    g_string_append(json, value ? "true" : "false");
}

static void json_open(GString *json, const char *key)
{
    json_key(json, key);
    g_string_append_c(json, '{');
}

static void json_close(GString *json)
{
    g_string_append_c(json, '}');
}

/* "fDIGEST" or "eDIGEST": the names of the format and file nodes that Proxmox looks for. */
static char *inner_node(const PlanDisk *disk, char layer)
{
    g_autofree char *id = g_strdup_printf("drive=%s,volid=%s", disk->key, disk->volid);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, id, -1);

    return g_strdup_printf("%c%.*s", layer, NODE_DIGITS, sum);
}

/* The keys that come first, by the alphabet, in every node; @conf is Ceph's, or NULL. */
static void json_node_head(GString *json, const PlanDisk *disk, const char *conf)
{
    json_open(json, "cache");
    json_add_bool(json, "direct", disk->direct);
    json_add_bool(json, "no-flush", disk->no_flush);
    json_close(json);
    if (conf)
        json_add(json, "conf", conf);
    if (!disk->cdrom) {
        json_add(json, "detect-zeroes", disk->detect_zeroes);
        json_add(json, "discard", disk->discard);
    }
}

static void json_rbd(GString *json, const DiskSource *source)
{
    json_add(json, "driver", "rbd");
    json_add(json, "image", source->rbd_image);
    if (source->rbd_namespace)
        json_add(json, "namespace", source->rbd_namespace);
}

/* The node next to the data. */
static void json_file_node(GString *json, const PlanDisk *disk)
{
    const DiskSource *source = disk->source;
    g_autofree char *name = inner_node(disk, 'e');

    json_open(json, "file");
    if (source->kind != DISK_RBD)
        json_add(json, "aio", disk->aio);
    json_node_head(json, disk, source->rbd_conf);
    if (source->kind == DISK_RBD) {
        json_rbd(json, source);
    } else {
        json_add(json, "driver", source->kind == DISK_FILE ? "file" : "host_device");
        json_add(json, "filename", source->path);
    }
    json_add(json, "node-name", name);
    if (source->kind == DISK_RBD)
        json_add(json, "pool", source->rbd_pool);
    json_add_bool(json, "read-only", disk->readonly);
    if (source->kind == DISK_RBD && source->rbd_user)
        json_add(json, "user", source->rbd_user);
    json_close(json);
}

static char *blockdev(const PlanDisk *disk)
{
    GString *json = g_string_new("{");
    g_autofree char *format = inner_node(disk, 'f');
    g_autofree char *node = g_strconcat("drive-", disk->key, NULL);
    g_autofree char *group = g_strconcat("throttle-drive-", disk->key, NULL);

    json_add(json, "driver", "throttle");
    json_open(json, "file");
    json_node_head(json, disk, NULL);
    json_add(json, "driver", disk->source->format);
    json_file_node(json, disk);
    json_add(json, "node-name", format);
    json_add_bool(json, "read-only", disk->readonly);
    json_close(json);
    json_add(json, "node-name", node);
    json_add_bool(json, "read-only", disk->readonly);
    json_add(json, "throttle-group", group);
    json_close(json);
    return g_string_free(json, FALSE);
}

static char *throttle_group(const PlanDisk *disk)
{
    GString *json = g_string_new("{");
    g_autofree char *group = g_strconcat("throttle-drive-", disk->key, NULL);

    json_add(json, "id", group);
    json_open(json, "limits");
    for (guint i = 0; i < disk->limits->len; i++) {
        const PlanLimit *limit = &g_array_index(disk->limits, PlanLimit, i);

        json_key(json, limit->name);
        g_string_append_printf(json, "%" G_GUINT64_FORMAT, limit->value);
    }
    json_close(json);
    json_add(json, "qom-type", "throttle-group");
    json_close(json);
    return g_string_free(json, FALSE);
}

static char *blk_device(const PlanDisk *disk)
{
    GString *opt = g_string_new("virtio-blk-device");

    g_string_append_printf(opt, ",drive=drive-%s,id=%s", disk->key, disk->key);
    opt_add_slot(opt, disk->slot);
    if (disk->iothread)
        g_string_append_printf(opt, ",iothread=iothread-%s", disk->key);
    if (disk->queues)
        opt_add_number(opt, "num-queues", disk->queues);
    if (disk->rerror)
        opt_add(opt, "rerror", disk->rerror);
    if (disk->werror)
        opt_add(opt, "werror", disk->werror);
    if (disk->serial)
        opt_add(opt, "serial", disk->serial);
    if (disk->write_through)
        opt_add(opt, "write-cache", "off");
    return g_string_free(opt, FALSE);
}

static void add_disk(GPtrArray *argv, const PlanDisk *disk)
{
    if (disk->iothread)
        add_option(argv, "-object", g_strdup_printf("iothread,id=iothread-%s", disk->key));
    add_option(argv, "-object", throttle_group(disk));
    add_option(argv, "-blockdev", blockdev(disk));
    add_option(argv, "-device", blk_device(disk));
}

/* ",fd=3" or ",fds=3:4:5". */
static void opt_add_fds(GString *opt, const char *one, const char *many, int first, guint count)
{
    g_string_append_printf(opt, ",%s=%d", count > 1 ? many : one, first);
    for (guint i = 1; i < count; i++)
        g_string_append_printf(opt, ":%d", first + (int)i);
}

/* A tap that Proxmox's scripts put under its bridge, and take away. */
static void opt_add_scripts(GString *opt, const Plan *plan, const PlanNic *nic)
{
    opt_add(opt, "ifname", nic->ifname);
    g_string_append_printf(opt, ",script=%s/pve-bridge,downscript=%s/pve-bridgedown", plan->scripts,
                           plan->scripts);
    if (nic->vhost)
        opt_add_onoff(opt, "vhost", TRUE);
    if (nic->queues > 1)
        opt_add_number(opt, "queues", nic->queues);
}

static char *netdev(const Plan *plan, const PlanNic *nic)
{
    GString *opt = g_string_new(nic->bridge ? "tap" : "user");

    opt_add(opt, "id", nic->key);
    if (nic->bridge && plan->proxmox) {
        opt_add_scripts(opt, plan, nic);
        return g_string_free(opt, FALSE);
    }
    if (nic->bridge) {
        opt_add_fds(opt, "fd", "fds", nic->first_fd, nic->queues);
        opt_add_onoff(opt, "vhost", nic->vhost);
        if (nic->vhost)
            opt_add_fds(opt, "vhostfd", "vhostfds", nic->first_fd + (int)nic->queues, nic->queues);
        return g_string_free(opt, FALSE);
    }
    opt_add(opt, "hostname", plan->name);
    for (guint i = 0; i < nic->hostfwd->len; i++)
        opt_add(opt, "hostfwd", nic->hostfwd->pdata[i]);
    return g_string_free(opt, FALSE);
}

static void add_nic(GPtrArray *argv, const Plan *plan, const PlanNic *nic)
{
    GString *opt = g_string_new("virtio-net-device");

    opt_add(opt, "mac", nic->mac);
    opt_add(opt, "netdev", nic->key);
    opt_add(opt, "id", nic->key);
    opt_add_slot(opt, nic->slot);
    if (nic->bridge && nic->queues > 1)
        g_string_append(opt, ",mq=on,packed=on");
    g_string_append(opt, ",rx_queue_size=1024,tx_queue_size=256");
    if (nic->mtu)
        opt_add_number(opt, "host_mtu", nic->mtu);
    add_option(argv, "-netdev", netdev(plan, nic));
    add_option(argv, "-device", g_string_free(opt, FALSE));
}

static char *socket_chardev(const char *id, const char *path)
{
    GString *opt = g_string_new("socket");

    opt_add(opt, "id", id);
    opt_add(opt, "path", path);
    g_string_append(opt, ",server=on,wait=off");
    return g_string_free(opt, FALSE);
}

static char *serial_chardev(const PlanSerial *serial)
{
    g_autofree char *id = g_strdup_printf("serial%d", serial->index);
    GString *opt;

    if (serial->path)
        return socket_chardev(id, serial->path);
    opt = g_string_new("serial");
    opt_add(opt, "id", id);
    opt_add(opt, "path", serial->device);
    return g_string_free(opt, FALSE);
}

/*
 * Port 0 may only be a console in QEMU, so the agent has 1 and serial N has N + 1. A guest spends
 * memory on every port that could be, hence no more than needed.
 */
static void add_virtio_serial(GPtrArray *argv, const Plan *plan)
{
    int last = 1;

    for (guint i = 0; i < plan->serials->len; i++)
        last = MAX(last, ((PlanSerial *)plan->serials->pdata[i])->index + 1);
    add_option(argv, "-device",
               g_strdup_printf("virtio-serial-device,id=qga0,bus=virtio-mmio-bus.%d,max_ports=%d",
                               plan->serial_slot, last + 1));
    if (!plan->agent)
        return;
    add_option(argv, "-chardev", socket_chardev("qga0", plan->agent));
    add_option(argv, "-device",
               g_strdup("virtserialport,bus=qga0.0,nr=1,chardev=qga0,name=org.qemu.guest_agent.0"));
}

static void add_serials(GPtrArray *argv, const Plan *plan)
{
    if (plan->virtio_serial)
        add_virtio_serial(argv, plan);
    for (guint i = 0; i < plan->serials->len; i++) {
        const PlanSerial *serial = plan->serials->pdata[i];
        int n = serial->index;

        add_option(argv, "-chardev", serial_chardev(serial));
        if (n == 0)
            add_option(argv, "-serial", g_strdup("chardev:serial0"));
        else
            add_option(argv, "-device",
                       g_strdup_printf("virtconsole,bus=qga0.0,nr=%d,chardev=serial%d,id=serial%d",
                                       n + 1, n, n));
    }
}

static void add_rng(GPtrArray *argv, const Plan *plan)
{
    GString *object = g_string_new("rng-random"), *device;

    opt_add(object, "filename", plan->rng_source);
    opt_add(object, "id", "rng0");
    add_option(argv, "-object", g_string_free(object, FALSE));
    device = g_string_new("virtio-rng-device,rng=rng0");
    if (plan->rng_max_bytes)
        g_string_append_printf(device, ",max-bytes=%" G_GUINT64_FORMAT ",period=%" G_GUINT64_FORMAT,
                               plan->rng_max_bytes, plan->rng_period);
    opt_add(device, "id", "rng0");
    opt_add_slot(device, plan->rng_slot);
    add_option(argv, "-device", g_string_free(device, FALSE));
}

/*
 * Everything QEMU would decide by itself is said, so that the board is the same on every host and
 * version.
 * qboot loads kernels itself, so the option ROMs that do it for SeaBIOS are left out with it.
 */
static char *machine(const Plan *plan)
{
    GString *opt = g_string_new(plan->machine);

    opt_add_onoff(opt, "acpi", plan->acpi);
    opt_add_onoff(opt, "ioapic2", plan->acpi);
    opt_add_onoff(opt, "pcie", FALSE);
    opt_add_onoff(opt, "usb", FALSE);
    opt_add_onoff(opt, "rtc", TRUE);
    opt_add_onoff(opt, "pit", plan->legacy_timers);
    opt_add_onoff(opt, "pic", plan->legacy_timers);
    opt_add_onoff(opt, "isa-serial", plan->isa_serial);
    /* the transports without ACPI; with it, and without kvmclock, the TSC's frequency */
    opt_add_onoff(opt, "auto-kernel-cmdline", TRUE);
    opt_add_onoff(opt, "x-option-roms", !plan->own_firmware);
    opt_add_onoff(opt, "graphics", FALSE);
    opt_add_onoff(opt, "mem-merge", plan->ksm);
    opt_add_onoff(opt, "dump-guest-core", FALSE);
    if (plan->hugepage_mib)
        opt_add(opt, "memory-backend", "ram");
    return g_string_free(opt, FALSE);
}

static void add_memory(GPtrArray *argv, const Plan *plan)
{
    add_option(argv, "-m", g_strdup_printf("%" G_GUINT64_FORMAT, plan->memory_mib));
    if (plan->hugepage_dir)
        add_option(argv, "-object",
                   g_strdup_printf("memory-backend-file,id=ram,size=%" G_GUINT64_FORMAT
                                   "M,mem-path=%s,share=on,prealloc=yes",
                                   plan->memory_mib, plan->hugepage_dir));
    else if (plan->hugepage_mib)
        add_option(argv, "-object",
                   g_strdup_printf("memory-backend-memfd,id=ram,size=%" G_GUINT64_FORMAT
                                   "M,hugetlb=on,hugetlbsize=%uM,share=on,prealloc=on",
                                   plan->memory_mib, plan->hugepage_mib));
}

static void add_machine(GPtrArray *argv, const Plan *plan)
{
    gboolean threads = !plan->kvm && plan->vcpus > 1;

    add_option(argv, "-accel", g_strdup(plan->kvm ? "kvm" : threads ? "tcg,thread=multi" : "tcg"));
    if (plan->own_firmware)
        add_option(argv, "-bios", g_strdup("qboot.rom"));
    add_option(argv, "-global", g_strdup("virtio-mmio.force-legacy=off"));
    add_option(argv, "-cpu", g_strdup(plan->cpu));
    add_option(argv, "-smp",
               g_strdup_printf("%u,sockets=%u,cores=%u,maxcpus=%u", plan->vcpus, plan->sockets,
                               plan->cores, plan->sockets * plan->cores));
    add_memory(argv, plan);
    if (plan->uuid)
        add_option(argv, "-uuid", g_strdup(plan->uuid));
}

/* qmeventd hears of the guest's end there, and ends QEMU, which by itself would stay. */
static void add_events(GPtrArray *argv)
{
    add_option(
        argv, "-chardev",
        g_strdup("socket,id=qmp-event,path=" HOST_PROXMOX_EVENT_SOCKET ",reconnect-ms=5000"));
    add_option(argv, "-mon", g_strdup("chardev=qmp-event,mode=control"));
    add(argv, "-no-shutdown");
}

static void add_process(GPtrArray *argv, const Plan *plan)
{
    GString *name = g_string_new(NULL);

    if (plan->pve_qemu)
        add_option(argv, "-id", g_strdup(plan->id));
    opt_add(name, "guest", plan->name);
    g_string_append(name, ",debug-threads=on");
    add_option(argv, "-name", g_string_free(name, FALSE));
    add(argv, "-no-user-config");
    add(argv, "-nodefaults");
    add_option(argv, "-display", g_strdup("none"));
    add_option(argv, "-chardev", socket_chardev("qmp", plan->qmp));
    add_option(argv, "-mon", g_strdup("chardev=qmp,mode=control"));
    if (plan->proxmox)
        add_events(argv);
    add_option(argv, "-pidfile", g_strdup(plan->pidfile));
    if (plan->daemonize)
        add(argv, "-daemonize");
    if (plan->no_reboot)
        add(argv, "-no-reboot");
    if (plan->frozen)
        add(argv, "-S");
}

static void add_rtc(GPtrArray *argv, const Plan *plan)
{
    GString *opt = g_string_new(NULL);

    if (plan->rtc_driftfix)
        opt_add(opt, "driftfix", "slew");
    if (plan->rtc_base)
        opt_add(opt, "base", plan->rtc_base);
    if (opt->len)
        add_option(argv, "-rtc", g_strdup(opt->str));
    g_string_free(opt, TRUE);
}

static void add_kernel(GPtrArray *argv, const Plan *plan)
{
    if (plan->kernel)
        add_option(argv, "-kernel", g_strdup(plan->kernel));
    if (plan->initrd)
        add_option(argv, "-initrd", g_strdup(plan->initrd));
    if (plan->append)
        add_option(argv, "-append", g_strdup(plan->append));
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

    add(argv, process_name(plan->qemu));
    add_process(argv, plan);
    add_machine(argv, plan);
    add_rtc(argv, plan);
    add_kernel(argv, plan);
    for (guint i = 0; i < plan->disks->len; i++)
        add_disk(argv, plan->disks->pdata[i]);
    for (guint i = 0; i < plan->nics->len; i++)
        add_nic(argv, plan, plan->nics->pdata[i]);
    add_serials(argv, plan);
    if (plan->balloon)
        add_option(argv, "-device",
                   g_strdup_printf("virtio-balloon-device,id=balloon0,free-page-reporting=on,"
                                   "deflate-on-oom=on,bus=virtio-mmio-bus.%d",
                                   plan->balloon_slot));
    if (plan->rng_source)
        add_rng(argv, plan);
    add_option(argv, "-machine", machine(plan));
    if (plan->loadstate)
        add_option(argv, "-loadstate", g_strdup(plan->loadstate));
    for (char **word = plan->extra; *word; word++)
        add(argv, *word);
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
