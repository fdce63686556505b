/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * No value, however hostile, becomes a second option or another file: each is put in every place of
 * a config, and oracle.c reads the command line back.
 */
#include <glib.h>
#include <string.h>

#include "oracle.h"
#include "schema.h"

/* "\x01" and the like are bytes; G is a run of 4096 letters. */
static const char *const hostile[] = {
    "a,b",
    "a,,b",
    "a,file.filename=/etc/shadow",
    ",id=evil,driver=evil",
    "x,bus=pcie.0",
    "x -device evil",
    "-device",
    "--",
    "\"",
    "'",
    "\\",
    "\\\"",
    "\"},{\"driver\":\"file\",\"filename\":\"/etc/shadow",
    "\",\"x\":\"",
    "%00",
    "%2c%2C",
    "%22%7d",
    "%s%n%d",
    "$(id)`id`${HOME}",
    "../../../etc/shadow",
    "..",
    "/..",
    "100/../../etc/shadow.raw",
    "a/../b",
    "\x01",
    "\x1b[31m",
    "\x7f",
    "\xc2\x85",
    "\xff\xfe",
    "\xc3",
    "\xf0\x9f\x92\xa3",
    "é",
    "\t",
    "a\tb",
    "a b",
    "=",
    "a=b",
    "==",
    "0",
    "-1",
    "18446744073709551616",
    "1e400",
    "nan",
    "G",
    "[x]",
    "#",
    "json:{\"driver\":\"file\"}",
    "rbd:x:conf=/etc/shadow",
    "nbd:unix:/x:exportname=y",
    "fat:rw:/etc",
};

/* Where a value may stand: "@" is it. What is a line of its own is one key of the config. */
static const char *const places[] = {
    "scsi0: @",
    "scsi0: images:@",
    "scsi0: images:100/@",
    "scsi0: images:100/@.raw",
    "scsi0: images:100/@.qcow2",
    "scsi0: images:@/vm-100-disk-0.raw",
    "scsi0: images:iso/@,media=cdrom",
    "scsi0: fast:100/@.raw",
    "scsi0: local-lvm:vm-@",
    "scsi0: local-lvm:@",
    "scsi0: tank:vm-@",
    "scsi0: tank:base-1/vm-@",
    "scsi0: san:0.0.1.@",
    "scsi0: ceph:vm-@",
    "scsi0: /@",
    "scsi0: /srv/@",
    "scsi0: /srv/a.raw,serial=@",
    "scsi0: /srv/a.raw,format=@",
    "scsi0: /srv/a.raw,cache=@",
    "scsi0: /srv/a.raw,rerror=@",
    "scsi0: /srv/a.raw,mbps=@",
    "scsi0: /srv/a.raw,size=@",
    "scsi0: /srv/a.raw,@",
    "scsi0: /srv/a.raw,@=1",
    "net0: virtio,bridge=vmbr0\nname: @",
    "net0: @",
    "net0: virtio,bridge=@",
    "net0: virtio=@",
    "net0: virtio,macaddr=@,bridge=vmbr0",
    "net0: virtio,bridge=vmbr0,trunks=@",
    "net0: virtio,bridge=vmbr0,mtu=@",
    "serial0: @",
    "serial0: /dev/@",
    "rng0: source=@",
    "rng0: source=/dev/urandom,max_bytes=@",
    "cpu: @",
    "cpu: host,flags=@",
    "cpu: host,flags=+@",
    "cpu: kvm64,phys-bits=@",
    "cpu: kvm64,level=@",
    "memory: @",
    "name: @",
    "smbios1: uuid=@",
    "smbios1: serial=@",
    "smbios1: base64=1,serial=@",
    "args: @",
    "args: -append @",
    "args: -append '@'",
    "args: -append \"@\"",
    "args: -kernel @",
    "startdate: @",
    "hugepages: @",
    "boot: order=@",
    "boot: @",
    "bootdisk: @",
    "vga: @",
    "agent: @",
    "affinity: @",
    "machine: @",
    "machine: microvm,@",
    "machine: microvm-@",
    "vmstate: local-lvm:@",
    "vmstate: images:100/@",
    "virtiofs0: @",
    "ide2: local-lvm:vm-100-cloudinit@,media=cdrom",
    "ide2: images:100/@cloudinit,media=cdrom",
    "@: 1",
    "@",
    "#@",
    "description: @",
    "[@]",
};

/* @place with @value in it. */
static char *fill(const char *place, const char *value)
{
    g_autofree char *letters = g_strnfill(4096, 'G');
    g_auto(GStrv) parts = g_strsplit(place, "@", -1);
    g_autofree char *line = g_strjoinv(strcmp(value, "G") == 0 ? letters : value, parts);

    return g_strconcat("machine: microvm\n", line, "\n", NULL);
}

static void run(const char *text, guint *accepted)
{
    for (OracleHost kind = 0; kind < ORACLE_HOSTS; kind++) {
        g_auto(GStrv) argv = oracle_run(text, strlen(text), kind);

        *accepted += argv != NULL;
    }
}

static void test_places(void)
{
    guint accepted = 0, runs = 0;

    for (gsize p = 0; p < G_N_ELEMENTS(places); p++) {
        for (gsize v = 0; v < G_N_ELEMENTS(hostile); v++, runs += ORACLE_HOSTS) {
            g_autofree char *text = fill(places[p], hostile[v]);

            run(text, &accepted);
        }
    }
    g_test_message("%u of %u configs made a command line", accepted, runs);
    /* A test that sees nothing but refusals sees nothing. */
    g_assert_cmpuint(accepted, >, runs / 8);
}

/* Several at a time, by chance, over every key there is. */
static void test_mixed(void)
{
    gsize n;
    const SchemaKey *table = schema_table(&n);
    guint accepted = 0;

    for (int round = 0; round < 3000; round++) {
        g_autoptr(GString) text = g_string_new("machine: microvm\n");

        for (int line = 0; line < 4; line++) {
            const SchemaKey *row = &table[g_test_rand_int_range(0, (gint32)n)];
            g_autofree char *key =
                row->last < 0 ? g_strdup(row->key) : g_strdup_printf("%s%d", row->key, line);
            gint32 v = g_test_rand_int_range(0, G_N_ELEMENTS(hostile));
            gint32 p = g_test_rand_int_range(0, G_N_ELEMENTS(places));
            g_autofree char *filled = fill(places[p], hostile[v]);

            if (row->fate != SCHEMA_REFUSED)
                g_string_append_printf(text, "%s: %s\n", key, hostile[v]);
            g_string_append(text, strchr(filled, '\n') + 1);
        }
        run(text->str, &accepted);
    }
    g_test_message("%u of 6000 configs made a command line", accepted);
    g_assert_cmpuint(accepted, >, 100);
}

/* What args say comes last, as it is said, and is not read for options of ours. */
static void test_args_are_last(void)
{
    static const char text[] = "machine: microvm\nargs: -append a,b -device evil --\n";
    g_auto(GStrv) argv = oracle_run(text, sizeof(text) - 1, ORACLE_PLAIN);
    guint n;

    g_assert_nonnull(argv);
    n = g_strv_length(argv);
    g_assert_cmpstr(argv[n - 1], ==, "--");
    g_assert_cmpstr(argv[n - 2], ==, "evil");
    g_assert_cmpstr(argv[n - 4], ==, "a,b");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/property/places", test_places);
    g_test_add_func("/property/mixed", test_mixed);
    g_test_add_func("/property/args-are-last", test_args_are_last);
    return g_test_run();
}
