/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "schema.h"

#define MACHINE "machine: microvm\n"

static Config *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    Config *config = config_parse("114.conf", text, strlen(text), FALSE, &error);

    g_assert_no_error(error);
    return config;
}

/* @line is good, and kept as @value; @value NULL: Proxmox drops it. */
static void assert_line(const char *line, const char *value)
{
    g_autofree char *text = g_strconcat(MACHINE, line, "\n", NULL);
    g_autofree char *key = g_strndup(line, strcspn(line, ":"));
    g_autoptr(Config) config = parse(text);
    g_autoptr(Config) again = parse(text);
    g_autoptr(GError) error = NULL;

    if (!schema_check(config, FALSE, &error))
        g_error("%s: %s", line, error->message);
    g_assert_cmpstr(config_get(config, key), ==, value);
    if (config->warnings->len != (value ? 0 : 1))
        g_error("%s: %u warnings", line, config->warnings->len);

    /* What is only warned about is what strict refuses. */
    g_assert_true(schema_check(again, TRUE, &error) == (value != NULL));
    if (!value) {
        g_assert_error(error, SCHEMA_ERROR, SCHEMA_ERROR_INVALID);
        g_assert_true(g_str_has_prefix(error->message, "114.conf:2: "));
    }
}

static void assert_same(const char *line)
{
    assert_line(line, strstr(line, ": ") + 2);
}

static void assert_dropped(const char *line)
{
    assert_line(line, NULL);
}

/* @line is refused, with @message in what is said. */
static void assert_error(const char *line, const char *message)
{
    g_autofree char *text = g_strconcat(MACHINE, line, "\n", NULL);
    g_autofree char *key = g_strndup(line, strcspn(line, ":"));
    g_autofree char *prefix = g_strdup_printf("114.conf:2: %s: ", key);
    g_autoptr(Config) config = parse(text);
    g_autoptr(GError) error = NULL;

    if (schema_check(config, FALSE, &error))
        g_error("%s: accepted, with %u warnings", line, config->warnings->len);
    g_assert_error(error, SCHEMA_ERROR, SCHEMA_ERROR_INVALID);
    if (!g_str_has_prefix(error->message, prefix) || !strstr(error->message, message))
        g_error("%s: '%s' is not '%s…%s'", line, error->message, prefix, message);
    g_assert_null(strchr(error->message, '\n'));
}

static void test_table(void)
{
    gsize n;
    const SchemaKey *table = schema_table(&n);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (gsize i = 0; i < n; i++) {
        const SchemaKey *row = &table[i];
        gboolean family = row->last >= 0;
        g_autofree char *key =
            family ? g_strdup_printf("%s%d", row->key, row->last) : g_strdup(row->key);
        g_autofree char *name = g_strdup_printf("%s%s", row->key, family ? "[n]" : "");
        int index;

        g_assert_true(g_hash_table_add(seen, g_steal_pointer(&name)));
        g_assert_true(schema_lookup(key, &index) == row);
        g_assert_cmpint(index, ==, row->last);
        g_assert_nonnull(row->why);
        g_assert_true((row->type == SCHEMA_PROPS) == (row->props != NULL));
        /* Rules of the board are only asked about keys that become part of the guest. */
        g_assert_true(row->fate == SCHEMA_USED || !row->check);
    }
}

static void test_lookup(void)
{
    int index;

    g_assert_cmpstr(schema_lookup("net3", &index)->key, ==, "net");
    g_assert_cmpint(index, ==, 3);
    g_assert_cmpstr(schema_lookup("scsi30", &index)->key, ==, "scsi");
    g_assert_cmpint(index, ==, 30);
    g_assert_cmpstr(schema_lookup("ide2", &index)->key, ==, "ide2");
    g_assert_cmpint(index, ==, -1);
    g_assert_cmpstr(schema_lookup("ide1", NULL)->key, ==, "ide");
    g_assert_cmpint(schema_lookup("numa", &index)->fate, ==, SCHEMA_USED);
    g_assert_cmpint(schema_lookup("numa7", &index)->fate, ==, SCHEMA_REFUSED);
    g_assert_cmpstr(schema_lookup("virtiofs0", NULL)->key, ==, "virtiofs");
    g_assert_null(schema_lookup("net", NULL));
    g_assert_null(schema_lookup("net32", NULL));
    g_assert_null(schema_lookup("net03", NULL));
    g_assert_null(schema_lookup("net00", NULL));
    g_assert_null(schema_lookup("net1x", NULL));
    g_assert_null(schema_lookup("net99999999999999999999", NULL));
    g_assert_null(schema_lookup("memory0", NULL));
    g_assert_null(schema_lookup("", NULL));
}

/* Each key of the contract, by what becomes of it. */
static void test_fates(void)
{
    static const char *const used =
        "sockets cores smp vcpus cpu affinity kvm memory balloon allow-ksm hugepages numa net0 "
        "net31 virtio0 virtio15 scsi0 scsi30 serial0 serial3 vga agent rng0 args acpi reboot "
        "freeze startdate localtime tdf machine arch name virtiofs0 virtiofs9 smbios1 vmgenid ide2 "
        "boot bootdisk vmstate cpulimit cpuunits";
    static const char *const proxmox =
        "onboot autostart startup lock hookscript protection tags meta template description "
        "shares keephugepages migrate_speed migrate_downtime vmstatestorage "
        "citype ciuser cipassword ciupgrade cicustom ipconfig0 ipconfig31 nameserver searchdomain "
        "sshkeys unused0 unused255 hotplug ostype scsihw parent snaptime runningmachine runningcpu";
    static const char *const refused =
        "ide0 ide1 ide3 sata0 sata5 efidisk0 tpmstate0 usb0 usb13 hostpci0 hostpci15 audio0 "
        "spice_enhancements keyboard parallel0 parallel2 watchdog ivshmem amd-sev intel-tdx numa0 "
        "numa7 viommu";
    static const char *const unknown = "virtio16 scsi31 serial4 virtiofs10 ipconfig32 unused256 "
                                       "ide4 sata6 usb14 hostpci16 parallel3 numa8 rng1 audio1";
    const struct {
        const char *keys;
        int fate;
    } lists[] = {
        {used, SCHEMA_USED}, {proxmox, SCHEMA_PROXMOX}, {refused, SCHEMA_REFUSED}, {unknown, -1}};

    for (gsize i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_auto(GStrv) keys = g_strsplit(lists[i].keys, " ", -1);

        for (char **key = keys; *key; key++) {
            const SchemaKey *row = schema_lookup(*key, NULL);

            if ((row ? (int)row->fate : -1) != lists[i].fate)
                g_error("%s: not the fate it should have", *key);
        }
    }
}

static void test_refused(void)
{
    assert_error("ide0: local:iso/x.iso,media=cdrom", "scsiN");
    assert_error("sata0: local:1/x.raw", "scsiN");
    assert_error("efidisk0: local:1/x.raw,size=4M", "UEFI");
    assert_error("tpmstate0: local:1/x.raw", "TPM");
    assert_error("usb0: host=1234:5678", "USB");
    assert_error("hostpci0: 01:00.0", "PCI");
    assert_error("audio0: device=intel-hda,driver=none", "sound");
    assert_error("spice_enhancements: foldersharing=1", "SPICE");
    assert_error("keyboard: de", "keyboard");
    assert_error("parallel0: /dev/parport0", "parallel");
    assert_error("watchdog: model=i6300esb,action=reset", "watchdog");
    assert_error("ivshmem: size=32", "virtiofsN");
    assert_error("amd-sev: std", "encrypted");
    assert_error("intel-tdx: tdx", "encrypted");
    assert_error("numa0: cpus=0-1,memory=1024", "nodes");
    assert_error("tablet: 1", "tablet: 0");
    assert_error("bios: ovmf", "UEFI");
    assert_error("arch: aarch64", "x86_64");
    assert_line("numa: off", "0");
    assert_same("tablet: 0");
    assert_same("bios: seabios");
    assert_same("arch: x86_64");
}

static void test_types(void)
{
    assert_line("kvm: off", "0");
    assert_line("acpi: YES", "1");
    assert_dropped("kvm: 2");
    assert_dropped("kvm: maybe");
    assert_line("cores: 004", "4");
    assert_dropped("cores: 4.0");
    assert_dropped("cores: -1");
    assert_dropped("cores: four");
    assert_error("cores: 0", "from 1 to 288");
    assert_error("cores: 99999999999999999999999", "from 1 to 288");
    assert_same("vcpus: 0");
    assert_same("cpulimit: 1.5");
    assert_dropped("cpulimit: 1.");
    assert_dropped("cpulimit: .5");
    assert_line("ostype: \"l26\"", "l26");
    assert_line("ciuser: \"a\"b\"", "a\"b");
    assert_same("ciuser: \"");
    assert_dropped("name: \"a\"");
    assert_same("args: \"-S\"");
    assert_dropped("nosuchkey: 1");
    assert_dropped("net32: virtio");
    assert_dropped("ostype: a\rb");
}

static void test_memory(void)
{
    assert_same("memory: 2048");
    assert_line("memory: current=2048", "2048");
    assert_dropped("memory: 15");
    assert_same("memory: 16");
    assert_dropped("memory: 2G");
    assert_dropped("memory: 1024,max=2048");
    assert_error("memory: 4194305", "4194304");
    assert_error("memory: 99999999999999", "4194304");
    assert_same("balloon: 0");
    assert_same("hugepages: any");
    assert_same("hugepages: 1024");
    assert_error("hugepages: 4", "any, 2, 1024");
}

static void test_affinity(void)
{
    assert_same("affinity: 0,5,8-11");
    assert_line("affinity: 0, 5 , 8-11,", "0,5,8-11");
    assert_dropped("affinity: all");
    assert_dropped("affinity: 3-1");
    assert_dropped("affinity: 0,,1");
    assert_dropped("affinity: 1-");
    assert_dropped("affinity: -1");
    assert_dropped("affinity: 0 - 3");
    assert_dropped("affinity: ,");
    assert_dropped("affinity: 0-99999999999");
}

static void test_machine(void)
{
    static const char *const good[] = {
        "microvm",      "microvm-10.0",           "microvm-10.0+pve1",
        "type=microvm", "type=microvm-10.2+pve0", "microvm,enable-s3=0"};
    static const char *const unknown[] = {"q35",
                                          "pc",
                                          "pc-i440fx-10.0",
                                          "virt",
                                          "microvm-10",
                                          "microvm-10.0.1",
                                          "microvm-10.0+pve",
                                          "microvm-",
                                          "microvmx",
                                          "Microvm",
                                          "microvm,viommu=virtio",
                                          "microvm-10.0,aw-bits=39",
                                          "microvm,enable-s4=1",
                                          "enable-s3=0",
                                          "xen\x1b[0m"};

    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autofree char *text = g_strdup_printf("machine: %s\n", good[i]);
        g_autoptr(Config) config = parse(text);
        g_autoptr(GError) error = NULL;

        schema_check(config, TRUE, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(config_get(config, "machine"), ==, good[i]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(unknown); i++) {
        g_autofree char *text = g_strdup_printf("machine: %s\n", unknown[i]);
        g_autoptr(Config) config = parse(text);
        g_autoptr(GError) error = NULL;

        if (schema_check(config, FALSE, &error))
            g_error("%s accepted", unknown[i]);
        g_assert_true(g_str_has_prefix(error->message, "114.conf:1: machine: "));
        g_assert_null(strpbrk(error->message, "\n\x1b"));
        if (i < 10)
            g_assert_nonnull(strstr(error->message, "unknown machine"));
    }
}

static void test_machine_missing(void)
{
    g_autoptr(Config) none = parse("cores: 1\n");
    g_autoptr(Config) dropped = parse("cores: 1\nmachine: microvm,pcie=on\n");
    g_autoptr(Config) strict = parse("cores: 1\nmachine: microvm,pcie=on\n");
    g_autoptr(Config) earlier = parse("machine: microvm-10.0\nmachine: microvm,pcie=on\n");
    g_autoptr(Config) later = parse("machine: q35\nmachine: microvm\n");
    g_autoptr(GError) error = NULL;

    g_assert_false(schema_check(none, FALSE, &error));
    g_assert_cmpstr(error->message, ==,
                    "114.conf: machine: missing; add the line 'machine: microvm'");
    g_clear_error(&error);

    /* An unknown sub-key makes Proxmox drop the line, and take i440fx. */
    g_assert_false(schema_check(dropped, FALSE, &error));
    g_assert_true(g_str_has_prefix(error->message, "114.conf:2: machine: unknown sub-key 'pcie'"));
    g_assert_null(strchr(error->message, '\n'));
    g_clear_error(&error);

    g_assert_false(schema_check(strict, TRUE, &error));
    g_assert_cmpstr(error->message, ==, "114.conf:2: machine: unknown sub-key 'pcie'");
    g_clear_error(&error);

    g_assert_true(schema_check(earlier, FALSE, &error));
    g_assert_cmpstr(config_get(earlier, "machine"), ==, "microvm-10.0");
    g_assert_true(schema_check(later, FALSE, &error));
    g_assert_no_error(error);
}

static void test_net(void)
{
    assert_same("net0: virtio=BC:24:11:00:6E:01,bridge=vmbr0,firewall=1,tag=20,queues=4,mtu=1");
    assert_same("net31: virtio");
    assert_same("net1: model=virtio,macaddr=bc:24:11:00:6e:01,trunks=10;20-30,rate=1.5,mtu=9000");
    assert_dropped("net0: virtio=BD:24:11:00:6E:01");
    assert_dropped("net0: virtio, bridge=vmbr0");
    assert_dropped("net0: virtio,bridge=vmbr0,bridge=vmbr1");
    assert_dropped("net0: virtio,bridge=../../x");
    assert_dropped("net0: virtio,bridge=a b");
    assert_dropped("net0: virtio,trunks=10;x");
    assert_dropped("net0: virtio,queues=65");
    assert_dropped("net0: virtio,mtu=65521");
    assert_dropped("net0: virtio,tag=4095");
    assert_dropped("net0: bridge=vmbr0");
    assert_error("net0: e1000=BC:24:11:00:6E:01,bridge=vmbr0", "virtio=MAC");
    assert_error("net0: virtio,bridge=..", "interface's name");
    assert_error("net0: virtio,bridge=abcdefghijklmnop", "15 bytes");
    assert_error("net0: virtio,mtu=575", "576");
    assert_error("net0: virtio,mtu=2", "576");
    assert_same("net0: virtio,mtu=576");
}

static void test_drives(void)
{
    assert_same("scsi0: local-lvm:vm-114-disk-0,size=32G");
    assert_same("scsi30: /dev/sdb,cache=none,aio=native,discard=on,detect_zeroes=0,iothread=1,"
                "ssd=1,queues=4,ro=1,wwn=0x5000c500a0b1c2d3,product=A b,vendor=x");
    assert_same("virtio15: local:1/x.qcow2,format=qcow2,serial=a%2Cb,rerror=stop,werror=enospc,"
                "backup=0,replicate=0,shared=1,snapshot=1,iothread=1");
    assert_same("scsi1: volume=local:1/x.raw");
    assert_same("scsi1: none,media=cdrom");
    assert_same("scsi1: local:iso/x.iso,media=cdrom,size=600M");
    assert_dropped("scsi0: disk.raw");
    assert_dropped("scsi0: size=1G");
    assert_dropped("scsi0: local:1/x.raw,cache=fast");
    assert_dropped("scsi0: local:1/x.raw,format=img");
    assert_dropped("scsi0: local:1/x.raw,size=big");
    assert_dropped("scsi0: local:1/x.raw,nosuch=1");
    assert_dropped("scsi0: local:1/x.raw,serial=a,serial=b");
    assert_dropped("scsi0: local:1/x.raw,serial=%0A");
    assert_dropped("scsi0: local:1/x.raw,model=x");
    assert_dropped("scsi0: local:1/x.raw,wwn=5000");
    assert_dropped("scsi0: local:1/x.raw,queues=1");
    assert_dropped("virtio0: local:1/x.raw,ssd=1");
    assert_dropped("virtio0: local:1/x.raw,queues=2");
    assert_error("scsi0: none", "none,media=cdrom");
    assert_error("scsi0: cdrom,media=cdrom", "/dev/sr0");
    assert_error("virtio0: none,media=cdrom", "scsiN");
    assert_error("scsi0: local:iso/x.iso,media=cdrom,format=raw", "format=");
    assert_error("scsi0: local:1/x.raw,scsiblock=1", "scsiblock");
    assert_error("scsi0: /x,format=qed", "qemu-img");
    assert_error("scsi0: local:1/x.raw,cyls=1", "geometry");
    assert_error("scsi0: local:1/x.raw,trans=lba", "geometry");
}

static void test_throttling(void)
{
    assert_same("scsi0: local:1/x.raw,mbps=10,mbps_max=20.5,bps_max_length=2,iops_rd=100,"
                "iops_rd_max=200,iops_rd_max_length=3");
    assert_line("scsi0: local:1/x.raw,bps_rd=1572864,iops=5", "local:1/x.raw,mbps_rd=1.500,iops=5");
    assert_line("scsi0: bps=1048576,local:1/x.raw", "mbps=1.000,local:1/x.raw");
    assert_dropped("scsi0: local:1/x.raw,bps=1,mbps=1");
    assert_dropped("scsi0: local:1/x.raw,mbps=fast");
    assert_dropped("scsi0: local:1/x.raw,iops=1.5");
    assert_error("scsi0: local:1/x.raw,mbps_max=1", "mbps_max needs mbps");
    assert_error("scsi0: local:1/x.raw,iops_max_length=1", "needs iops_max");
    assert_error("scsi0: local:1/x.raw,mbps=1,mbps_rd=1", "together");
    assert_error("scsi0: local:1/x.raw,iops=1,iops_wr=1", "together");
    assert_same("scsi0: local:1/x.raw,mbps=0,mbps_rd=1");
}

static void test_ide2(void)
{
    assert_same("ide2: none,media=cdrom");
    assert_same("ide2: local-lvm:vm-114-cloudinit,media=cdrom");
    assert_same("ide2: local:114/vm-114-cloudinit.qcow2,media=cdrom,size=4M");
    assert_same("ide2: local:cloudinit,media=cdrom");
    assert_same("ide2: media=cdrom,file=local-lvm:vm-114-cloudinit");
    assert_error("ide2: local:iso/debian.iso,media=cdrom", "scsiN");
    assert_error("ide2: local-lvm:vm-114-cloudinit", "cloud-init");
    assert_error("ide2: local-lvm:vm-114-cloudinit2,media=cdrom", "cloud-init");
    assert_error("ide2: local-lvm:vm-114-disk-0", "cloud-init");
    assert_error("ide2: none", "cloud-init");
    assert_error("ide2: cdrom,media=cdrom", "cloud-init");
    assert_dropped("ide2: local-lvm:vm-114-cloudinit,media=cdrom,iothread=1");
}

static void test_cpu(void)
{
    assert_same("cpu: host");
    assert_same("cpu: x86-64-v2-AES,flags=+aes;-pcid,hidden=1");
    assert_same("cpu: cputype=EPYC-Milan,phys-bits=host,guest-phys-bits=40,hv-vendor-id=abc");
    assert_same("cpu: kvm64,phys-bits=36");
    assert_dropped("cpu: nosuch");
    assert_dropped("cpu: host,flags=aes");
    assert_dropped("cpu: host,flags=+a b");
    assert_dropped("cpu: flags=+aes");
    assert_dropped("cpu: host,phys-bits=65");
    assert_dropped("cpu: host,reported-model=kvm64");
    assert_dropped("cpu: host,hv-vendor-id=a-b");
}

static void test_devices(void)
{
    assert_same("serial0: socket");
    assert_same("serial3: /dev/ttyS0");
    assert_error("serial0: pty", "socket");
    assert_error("serial0: /dev/", "socket");
    assert_error("serial0: /dev/../etc/shadow", "leaves /dev");
    assert_error("serial0: /etc/shadow", "socket");
    assert_same("vga: serial0");
    assert_same("vga: none");
    assert_same("vga: type=serial3,memory=16");
    assert_error("vga: std", "no display");
    assert_error("vga: memory=32", "no display");
    assert_error("vga: virtio-gl", "no display");
    assert_dropped("vga: serial4");
    assert_same("agent: 1");
    assert_same("agent: enabled=yes,type=virtio,fstrim_cloned_disks=1,freeze-fs-on-backup=0");
    assert_same("agent: 0,type=isa");
    assert_error("agent: 1,type=isa", "type=virtio");
    assert_dropped("agent: type=virtio");
    assert_dropped("agent: 2");
    assert_same("rng0: source=/dev/urandom,max_bytes=1024,period=1000");
    assert_same("rng0: /dev/hwrng");
    assert_dropped("rng0: source=/etc/shadow");
    assert_dropped("rng0: max_bytes=1");
    assert_same("virtiofs0: share,cache=always,direct-io=1,expose-xattr=1,expose-acl=1");
    assert_dropped("virtiofs0: ../x");
    assert_dropped("virtiofs0: a");
    assert_error("virtiofs0: a23456789012345678901234567890123456x", "36");
}

static void test_boot(void)
{
    assert_same("boot: order=scsi0;net0;ide2");
    assert_same("boot: order=scsi0 virtio1");
    assert_same("boot: cdn");
    assert_dropped("boot: order=floppy");
    assert_dropped("boot: order=scsi31");
    assert_dropped("boot: order=serial0");
    assert_dropped("boot: xyz");
    assert_same("bootdisk: virtio0");
    assert_dropped("bootdisk: net0");
}

static void test_others(void)
{
    assert_same("name: git-ea.example.org");
    assert_dropped("name: -gitea");
    assert_dropped("name: git_ea");
    assert_dropped("name: a..b");
    assert_dropped("name: a,b");
    assert_dropped("name: é");
    assert_same("args: -kernel /x -append \"console=ttyS0 root=/dev/vda\"");
    assert_error("args: -append \"console", "closing");
    assert_error("args: -a 'b", "closing");
    assert_error("args: a\\", "backslash");
    assert_same("startdate: now");
    assert_same("startdate: 2026-01-01T00:00:00");
    assert_error("startdate: tomorrow", "2006-06-17");
    assert_error("startdate: 2026-01-01,clock=vm", "2006-06-17");
    assert_same("vmgenid: 6a3d1c5e-0b1f-4a55-9c1e-0123456789ab");
    assert_error("vmgenid: x", "UUID");
    assert_same("smbios1: uuid=6a3d1c5e-0b1f-4a55-9c1e-0123456789ab,manufacturer=QUJD,base64=1");
    assert_dropped("smbios1: uuid=x");
    assert_dropped("smbios1: product=a b");
    assert_error("smbios1: product=Cg==,base64=1", "control characters");
    assert_error("smbios1: product=/w==,base64=1", "control characters");
    assert_same("vmstate: local:114/vm-114-state-x.raw");
    assert_dropped("vmstate: /etc/shadow");
    assert_same("tags: a;b");
    assert_same("sshkeys: ssh-ed25519%20AAAA");
    assert_same("unused0: local:1/x.raw");
    assert_same("startup: order=1,up=30");
}

/* Control characters and broken UTF-8 never get as far as QEMU. */
static void test_hostile_values(void)
{
    assert_error("args: -name a\x1b[2J", "control characters");
    assert_error("args: -name a\rb", "control characters");
    assert_error("args: -name \xff", "control characters");
    assert_same("args: -name\ta");
    assert_same("args: -append \"é\"");
    assert_dropped("scsi0: local:1/\x01x.raw");
    assert_dropped("scsi0: /dev/\x7fsdb");
    assert_dropped("scsi0: /dev/\xc2\x9bx");
    assert_dropped("name: a\x01");
    assert_error("serial0: /dev/tty\x02", "control characters");
}

static void test_duplicates(void)
{
    g_autoptr(Config) config =
        parse(MACHINE "cores: 2\ncores: x\nmemory: 1024\nmemory: 2048\nkvm: maybe\nkvm: off\n");
    g_autoptr(GError) error = NULL;

    g_assert_true(schema_check(config, FALSE, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(config_get(config, "cores"), ==, "2");
    g_assert_cmpuint(config_find(config, "cores")->line, ==, 2);
    g_assert_cmpstr(config_get(config, "memory"), ==, "2048");
    g_assert_cmpstr(config_get(config, "kvm"), ==, "0");
    g_assert_cmpuint(config->warnings->len, ==, 2);
    g_assert_cmpstr(config->warnings->pdata[0], ==,
                    "114.conf:3: cores: 'x' is not an integer, dropped");
}

static void test_all_at_once(void)
{
    g_autoptr(Config) config = parse("usb0: x\ncores: 0\nscsi0: none\nnosuch: 1\ncores: 500\n");
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) lines = NULL;

    g_assert_false(schema_check(config, FALSE, &error));
    lines = g_strsplit(error->message, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 4);
    g_assert_true(g_str_has_prefix(lines[0], "114.conf: machine: missing"));
    g_assert_true(g_str_has_prefix(lines[1], "114.conf:1: usb0: "));
    g_assert_true(g_str_has_prefix(lines[2], "114.conf:3: scsi0: "));
    g_assert_true(g_str_has_prefix(lines[3], "114.conf:5: cores: '500' "));
    g_assert_cmpuint(config->warnings->len, ==, 1);
}

static void test_issue_config(void)
{
    g_autoptr(Config) config =
        parse("agent: 1\n"
              "args: -kernel /usr/share/pve-microvm/vmlinuz -append \"console=ttyS0 "
              "root=/dev/vda rw quiet\"\n"
              "boot: order=scsi0\ncores: 2\nmachine: microvm\nmemory: 2048\nname: gitea\n"
              "net0: virtio=BC:24:11:00:6E:01,bridge=vmbr0\nonboot: 1\n"
              "scsi0: local-lvm:vm-114-disk-0,size=32G\nserial0: socket\ntags: microvm\n"
              "vga: serial0\n");
    g_autoptr(GError) error = NULL;

    g_assert_true(schema_check(config, TRUE, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(config->warnings->len, ==, 0);
    g_assert_cmpuint(config->keys->len, ==, 13);
}

/* Any key with any value: what passes can be parsed again and holds no control characters. */
static void test_random(void)
{
    static const char *const values[] = {
        "1",      "0",      "on",    "microvm",   "virtio", "socket", "none",    "cdrom",
        "media=", "local:", "vm-1-", "cloudinit", ",",      "=",      "bridge=", "size=",
        "1G",     "\xff",   "\x01",  "\r",        "\"",     "'",      "\\",      "%0a",
        "..",     "/",      "/dev/", " ",         "\t",     "é",      ";",       "order=",
        "scsi0",  "+aes",   "host",  "serial="};
    gsize n;
    const SchemaKey *table = schema_table(&n);
    g_autoptr(GRand) rand = g_rand_new_with_seed(114);
    guint kept = 0;

    for (int round = 0; round < 40000; round++) {
        const SchemaKey *row = &table[g_rand_int_range(rand, 0, n)];
        g_autoptr(GString) text = g_string_new(MACHINE);
        g_autofree char *key =
            row->last < 0 ? g_strdup(row->key) : g_strdup_printf("%s%d", row->key, row->last);
        g_autoptr(Config) config = NULL;
        g_autoptr(GError) error = NULL;
        const char *value;

        g_string_append_printf(text, "%s: ", key);
        for (int i = g_rand_int_range(rand, 1, 6); i > 0; i--)
            g_string_append(text, values[g_rand_int_range(rand, 0, G_N_ELEMENTS(values))]);
        config = parse(text->str);
        if (!schema_check(config, FALSE, &error)) {
            g_assert_error(error, SCHEMA_ERROR, SCHEMA_ERROR_INVALID);
            g_assert_true(propstr_printable(error->message, FALSE));
            continue;
        }
        g_assert_no_error(error);
        value = config_get(config, key);
        if (!value || row->fate != SCHEMA_USED)
            continue;
        kept++;
        g_assert_true(propstr_printable(value, g_str_equal(key, "args")));
        if (row->props) {
            g_autoptr(PropStr) props = propstr_parse(value, row->props, &error);

            g_assert_no_error(error);
        }
    }
    g_assert_cmpuint(kept, >, 500);
}

/* Time grows with the number of keys: a third of a MiB of unknown, of bad and of repeated ones. */
static void test_hostile_sizes(void)
{
    for (int kind = 0; kind < 3; kind++) {
        g_autoptr(GString) text = g_string_new(MACHINE);
        g_autoptr(Config) config = NULL;
        g_autoptr(GError) error = NULL;
        gint64 start = g_get_monotonic_time();

        for (int i = 0; text->len < 350000; i++) {
            if (kind == 0)
                g_string_append_printf(text, "x%d: 1\n", i);
            else if (kind == 1)
                g_string_append(text, "cores: x\n");
            else
                g_string_append(text, i ? "," : "net0: ");
        }
        config = config_parse("x", text->str, text->len, FALSE, &error);
        g_assert_no_error(error);
        g_assert_true(schema_check(config, FALSE, &error));
        g_assert_cmpuint(config->keys->len, ==, 1);
        g_assert_cmpint(g_get_monotonic_time() - start, <, 30 * G_USEC_PER_SEC);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schema/table", test_table);
    g_test_add_func("/schema/lookup", test_lookup);
    g_test_add_func("/schema/fates", test_fates);
    g_test_add_func("/schema/refused", test_refused);
    g_test_add_func("/schema/types", test_types);
    g_test_add_func("/schema/memory", test_memory);
    g_test_add_func("/schema/affinity", test_affinity);
    g_test_add_func("/schema/machine", test_machine);
    g_test_add_func("/schema/machine-missing", test_machine_missing);
    g_test_add_func("/schema/net", test_net);
    g_test_add_func("/schema/drives", test_drives);
    g_test_add_func("/schema/throttling", test_throttling);
    g_test_add_func("/schema/ide2", test_ide2);
    g_test_add_func("/schema/cpu", test_cpu);
    g_test_add_func("/schema/devices", test_devices);
    g_test_add_func("/schema/boot", test_boot);
    g_test_add_func("/schema/others", test_others);
    g_test_add_func("/schema/hostile-values", test_hostile_values);
    g_test_add_func("/schema/duplicates", test_duplicates);
    g_test_add_func("/schema/all-at-once", test_all_at_once);
    g_test_add_func("/schema/issue-config", test_issue_config);
    g_test_add_func("/schema/random", test_random);
    g_test_add_func("/schema/hostile-sizes", test_hostile_sizes);
    return g_test_run();
}
