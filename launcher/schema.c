/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "schema.h"

#include <string.h>

#include "schema-rules.h"

#define KEY(k, t, f, w, ...)                                                        \
    {                                                                               \
        .key = (k), .last = -1, .type = (t), .fate = (f), .why = (w), ##__VA_ARGS__ \
    }
#define FAMILY(k, n, t, f, w, ...)                                                   \
    {                                                                                \
        .key = (k), .last = (n), .type = (t), .fate = (f), .why = (w), ##__VA_ARGS__ \
    }
#define USED(k, t, w, ...) KEY(k, t, SCHEMA_USED, w, ##__VA_ARGS__)
#define PROXMOX(k, t, w, ...) KEY(k, t, SCHEMA_PROXMOX, w, ##__VA_ARGS__)
#define REFUSED(k, w) KEY(k, SCHEMA_STRING, SCHEMA_REFUSED, w, .format = rule_format_any)
#define REFUSED_FAMILY(k, n, w) \
    FAMILY(k, n, SCHEMA_STRING, SCHEMA_REFUSED, w, .format = rule_format_any)
#define PROPS(p) .props = (p)
#define LIMITS(lo, hi) .min = (lo), .max = (hi)

#define MAX_CPUS 288 /* the board's mc->max_cpus */

static const SchemaKey table[] = {
    /* The board, CPUs, memory */
    USED("machine", SCHEMA_PROPS,
         "the board: microvm, or microvm-X.Y where QEMU has that version of it",
         PROPS(schema_machine), .check = rule_check_machine),
    USED("arch", SCHEMA_STRING, "only x86_64, the default", .check = rule_check_arch),
    USED("bios", SCHEMA_STRING, "only seabios, the default; the board boots without it",
         .check = rule_check_bios),
    USED("name", SCHEMA_STRING, "the guest's name; vmID without it", .format = rule_format_name),
    USED("kvm", SCHEMA_BOOLEAN, "0: TCG instead of KVM, which is otherwise required"),
    USED("acpi", SCHEMA_BOOLEAN, "0: a board without ACPI: 10 devices, no power button"),
    USED("cpu", SCHEMA_PROPS, "CPU model and flags; kvm64 without it", PROPS(schema_cpu),
         .format = rule_format_cpu),
    USED("sockets", SCHEMA_INTEGER, "CPU sockets", LIMITS(1, MAX_CPUS)),
    USED("cores", SCHEMA_INTEGER, "cores in a socket", LIMITS(1, MAX_CPUS)),
    USED("smp", SCHEMA_INTEGER, "older name of sockets", LIMITS(1, MAX_CPUS)),
    USED("vcpus", SCHEMA_INTEGER, "CPUs present at the start", LIMITS(0, MAX_CPUS)),
    USED("affinity", SCHEMA_CPUSET, "the host's CPUs that the guest runs on"),
    USED("cpulimit", SCHEMA_NUMBER, "at most the time of so many of the host's CPUs; 0: no limit"),
    USED("cpuunits", SCHEMA_INTEGER, "share of CPU time when there is not enough (100)",
         LIMITS(0, 262144)),
    USED("memory", SCHEMA_PROPS, "MiB of memory; 512 without it", PROPS(schema_memory),
         .check = rule_check_memory),
    USED("balloon", SCHEMA_INTEGER, "0: no balloon device; other values are for Proxmox's side",
         LIMITS(0, 4194304)),
    USED("allow-ksm", SCHEMA_BOOLEAN, "0: memory is not merged with that of other guests"),
    USED("hugepages", SCHEMA_STRING, "memory in huge pages of 2 or 1024 MiB; any means 2",
         .check = rule_check_hugepages),
    USED("numa", SCHEMA_BOOLEAN,
         "1 is accepted, as Proxmox wants it with hugepages; the guest sees one node"),

    /* Devices */
    FAMILY("net", 31, SCHEMA_PROPS, SCHEMA_USED, "a virtio-net device", PROPS(schema_net),
           .format = rule_format_net, .check = rule_check_net),
    FAMILY("scsi", 30, SCHEMA_PROPS, SCHEMA_USED, "a virtio-blk device", PROPS(schema_drive),
           .format = rule_format_scsi, .check = rule_check_drive),
    FAMILY("virtio", 15, SCHEMA_PROPS, SCHEMA_USED, "a virtio-blk device", PROPS(schema_drive),
           .format = rule_format_virtio, .check = rule_check_virtio),
    USED("ide2", SCHEMA_PROPS, "a cloud-init image becomes a read-only virtio-blk device",
         PROPS(schema_drive), .format = rule_format_ide, .check = rule_check_ide2),
    FAMILY("serial", 3, SCHEMA_STRING, SCHEMA_USED,
           "a console: socket, or a device of the host's (/dev/ttyS0)", .check = rule_check_serial),
    USED("vga", SCHEMA_PROPS, "serialN: the console is there; none", PROPS(schema_vga),
         .check = rule_check_vga),
    USED("agent", SCHEMA_PROPS, "the guest agent's port", PROPS(schema_agent),
         .check = rule_check_agent),
    USED("rng0", SCHEMA_PROPS, "a virtio-rng device", PROPS(schema_rng), .check = rule_check_rng),
    FAMILY("virtiofs", 9, SCHEMA_PROPS, SCHEMA_USED, "a directory of the host's",
           PROPS(schema_virtiofs), .format = rule_format_virtiofs, .check = rule_check_virtiofs),
    USED("boot", SCHEMA_PROPS, "the first disk of order= becomes /dev/vda", PROPS(schema_boot),
         .format = rule_format_boot),
    USED("bootdisk", SCHEMA_STRING, "older form of boot", .format = rule_format_bootdisk),

    /* What the guest is told, and how it starts */
    USED("args", SCHEMA_STRING, "further arguments to QEMU, split as a shell would",
         .format = rule_format_any, .check = rule_check_args),
    USED("smbios1", SCHEMA_PROPS, "the guest's UUID; the board has no SMBIOS tables for the rest",
         PROPS(schema_smbios1), .format = rule_format_smbios1, .check = rule_check_smbios1),
    USED("vmgenid", SCHEMA_STRING, "the guest's generation; with ACPI, and not on microvm-9.2",
         .check = rule_check_vmgenid),
    USED("reboot", SCHEMA_BOOLEAN, "0: a reboot ends the guest"),
    USED("freeze", SCHEMA_BOOLEAN, "1: CPUs wait for the monitor's cont"),
    USED("startdate", SCHEMA_STRING, "the clock's first date", .check = rule_check_startdate),
    USED("localtime", SCHEMA_BOOLEAN, "1: the clock is in local time"),
    USED("tdf", SCHEMA_BOOLEAN, "1: lost clock ticks are made up for"),
    USED("vmstate", SCHEMA_STRING, "the state that a suspended guest goes on from (Proxmox's QEMU)",
         .format = rule_format_volume),

    /* Proxmox's side */
    PROXMOX("onboot", SCHEMA_BOOLEAN, "started with the host"),
    PROXMOX("autostart", SCHEMA_BOOLEAN, "without effect"),
    PROXMOX("startup", SCHEMA_STRING, "order of starting", .format = rule_format_any),
    PROXMOX("lock", SCHEMA_STRING, "an operation is going on"),
    PROXMOX("hookscript", SCHEMA_STRING, "run around start and stop", .format = rule_format_volume),
    PROXMOX("protection", SCHEMA_BOOLEAN, "against removal"),
    PROXMOX("tags", SCHEMA_STRING, "labels", .format = rule_format_any),
    PROXMOX("meta", SCHEMA_STRING, "where the guest was made", .format = rule_format_any),
    PROXMOX("template", SCHEMA_TEMPLATE,
            "1: not to be started; a name: wakes from that template of microvm-ctl's"),
    PROXMOX("description", SCHEMA_STRING, "notes"),
    PROXMOX("shares", SCHEMA_INTEGER, "automatic ballooning"),
    PROXMOX("keephugepages", SCHEMA_BOOLEAN, "huge pages stay after the guest"),
    PROXMOX("migrate_speed", SCHEMA_INTEGER, "migration"),
    PROXMOX("migrate_downtime", SCHEMA_NUMBER, "migration"),
    PROXMOX("vmstatestorage", SCHEMA_STRING, "where saved states go", .format = rule_format_any),
    PROXMOX("citype", SCHEMA_STRING, "cloud-init"),
    PROXMOX("ciuser", SCHEMA_STRING, "cloud-init"),
    PROXMOX("cipassword", SCHEMA_STRING, "cloud-init"),
    PROXMOX("ciupgrade", SCHEMA_BOOLEAN, "cloud-init"),
    PROXMOX("cicustom", SCHEMA_STRING, "cloud-init", .format = rule_format_any),
    FAMILY("ipconfig", 31, SCHEMA_STRING, SCHEMA_PROXMOX, "cloud-init", .format = rule_format_any),
    PROXMOX("nameserver", SCHEMA_STRING, "cloud-init", .format = rule_format_any),
    PROXMOX("searchdomain", SCHEMA_STRING, "cloud-init"),
    PROXMOX("sshkeys", SCHEMA_STRING, "cloud-init", .format = rule_format_any),
    FAMILY("unused", 255, SCHEMA_STRING, SCHEMA_PROXMOX, "a volume that no device has",
           .format = rule_format_any),
    PROXMOX("hotplug", SCHEMA_STRING, "what may be changed in a running guest",
            .format = rule_format_any),
    PROXMOX("ostype", SCHEMA_STRING, "defaults of its own"),
    PROXMOX("scsihw", SCHEMA_STRING, "disks are virtio-blk here"),
    PROXMOX("parent", SCHEMA_STRING, "snapshots", .format = rule_format_any),
    PROXMOX("snaptime", SCHEMA_INTEGER, "snapshots"),
    PROXMOX("runningmachine", SCHEMA_STRING, "given as --force-machine", .format = rule_format_any),
    PROXMOX("runningcpu", SCHEMA_STRING, "given as --force-cpu"),
    PROXMOX("running-nets-host-mtu", SCHEMA_STRING, "given as --nets-host-mtu"),

    /* Refused */
    REFUSED_FAMILY("ide", 3,
                   "the board has no IDE; write scsiN or virtioN (ide2 alone may hold a "
                   "cloud-init image or none,media=cdrom)"),
    REFUSED_FAMILY("sata", 5, "the board has no SATA; write scsiN or virtioN"),
    REFUSED("efidisk0", "the kernel is loaded directly and there is no UEFI; remove the line"),
    REFUSED("tpmstate0", "the board has no TPM; remove the line, or take machine q35"),
    REFUSED_FAMILY("usb", 13, "the board has no USB; remove the line, or take machine q35"),
    REFUSED_FAMILY("hostpci", 15,
                   "the board has no PCI by default and passes no devices through; "
                   "remove the line, or take machine q35"),
    REFUSED("audio0", "the board has no sound device; remove the line"),
    REFUSED("spice_enhancements", "the board has no display for SPICE; remove the line"),
    USED("tablet", SCHEMA_BOOLEAN, "only 0: the board has no USB for one",
         .check = rule_check_tablet),
    REFUSED("keyboard", "the board has no display and no keyboard; remove the line"),
    REFUSED_FAMILY("parallel", 2, "the board has no parallel port; remove the line"),
    REFUSED("watchdog", "the board has no watchdog; remove the line"),
    REFUSED("ivshmem", "ivshmem is a PCI device; write virtiofsN to share files"),
    REFUSED("amd-sev", "the board cannot run encrypted guests; take machine q35"),
    REFUSED("intel-tdx", "the board cannot run encrypted guests; take machine q35"),
    REFUSED_FAMILY("numa", 7,
                   "the board tells its guest of no NUMA nodes (it has no SRAT); remove the line, "
                   "or take machine q35"),
    REFUSED("viommu", "the board has no IOMMU; remove the line"),
};

const SchemaKey *schema_table(gsize *n)
{
    *n = G_N_ELEMENTS(table);
    return table;
}

/* The number behind @name in @key, canonical and at most @last; -1 when that is not what it is. */
static int family_index(const char *key, const char *name, int last)
{
    gsize len = strlen(name);
    const char *digits = key + len;
    guint64 n;

    if (last < 0 || strncmp(key, name, len) != 0 || (digits[0] == '0' && digits[1]) ||
        !propstr_uint(digits, 0, last, &n, NULL))
        return -1;
    return (int)n;
}

const SchemaKey *schema_lookup(const char *key, int *index)
{
    const SchemaKey *family = NULL;

    if (index)
        *index = -1;
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        int n;

        if (*table[i].key != *key)
            continue;
        if (table[i].last < 0 && g_str_equal(table[i].key, key))
            return &table[i];
        if (!family && (n = family_index(key, table[i].key, table[i].last)) >= 0) {
            family = &table[i];
            if (index)
                *index = n;
        }
    }
    return family;
}
