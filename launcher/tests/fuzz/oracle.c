/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "oracle.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "argv.h"
#include "propstr.h"
#include "schema.h"

const char oracle_storage_cfg[] = "lvmthin: local-lvm\n\tvgname pve\n\tthinpool data\n\n"
                                  "dir: images\n\tpath /srv/images\n\n"
                                  "btrfs: fast\n\tpath /srv/fast\n\n"
                                  "zfspool: tank\n\tpool rpool/data\n\n"
                                  "iscsi: san\n\tportal 192.0.2.3\n\n"
                                  "rbd: ceph\n\tpool vms\n\tmonhost 192.0.2.4\n\n";

static const char *const flags[] = {
    "-no-user-config", "-nodefaults", "-daemonize", "-no-reboot", "-S", "-no-shutdown", NULL};

static const char *const with_text[] = {"-id",     "-display",   "-sandbox", "-mon",    "-pidfile",
                                        "-cpu",    "-accel",     "-bios",    "-global", "-smp",
                                        "-m",      "-uuid",      "-kernel",  "-initrd", "-append",
                                        "-serial", "-loadstate", NULL};

/* Options whose value is "TYPE,key=value,…" with the types (NULL: none) and keys that we write. */
static const struct {
    const char *option;
    const char *types, *keys;
} with_keys[] = {
    {"-name", NULL, "guest debug-threads"},
    {"-chardev", "socket serial ringbuf hub",
     "id path server wait reconnect-ms fd size chardevs.0 chardevs.1"},
    {"-add-fd", NULL, "fd set"},
    {"-rtc", NULL, "base driftfix"},
    {"-object", "rng-random iothread memory-backend-memfd memory-backend-file",
     "id filename size hugetlb hugetlbsize share prealloc mem-path"},
    {"-netdev", "tap user",
     "id fd fds vhost vhostfd vhostfds hostname hostfwd ifname script downscript queues"},
    {"-device",
     "virtio-blk-device virtio-net-device virtio-serial-device virtserialport virtconsole "
     "virtio-balloon-device virtio-rng-device vhost-user-fs-device vhost-vsock-device vmgenid",
     "drive id bus iothread num-queues rerror werror serial write-cache mac netdev mq packed "
     "rx_queue_size tx_queue_size host_mtu max_ports nr chardev name free-page-reporting "
     "deflate-on-oom rng max-bytes period queue-size tag guest-cid vhostfd guid"},
    {"-machine", "microvm*",
     "acpi ioapic2 pcie usb rtc pit pic isa-serial auto-kernel-cmdline x-option-roms graphics "
     "mem-merge dump-guest-core memory-backend"},
};

static const char json_keys[] =
    "id limits qom-type driver file cache direct no-flush detect-zeroes discard node-name "
    "read-only locking throttle-group aio filename conf image namespace pool user server host port "
    "auth-client-required bps-read bps-read-max bps-read-max-length bps-total bps-total-max "
    "bps-total-max-length bps-write bps-write-max bps-write-max-length iops-read iops-read-max "
    "iops-read-max-length iops-total iops-total-max iops-total-max-length iops-write "
    "iops-write-max iops-write-max-length";

static const char json_drivers[] = "throttle raw qcow2 vmdk file host_device rbd";

static gboolean is_word_of(const char *list, const char *word)
{
    g_auto(GStrv) words = g_strsplit(list, " ", -1);

    for (char **w = words; *w; w++) {
        gsize len = strlen(*w);

        if (strcmp(*w, word) == 0 ||
            (len && (*w)[len - 1] == '*' && strncmp(*w, word, len - 1) == 0))
            return TRUE;
    }
    return FALSE;
}

#define COMPLAIN(what, text)                                 \
    do {                                                     \
        g_autofree char *quoted = g_strescape((text), NULL); \
        g_error("%s: \"%s\"", (what), quoted);               \
    } while (0)

/* The parts of @value as QEMU's options are split: at single commas, "," doubled standing for one.
 */
static GPtrArray *split(const char *value)
{
    GPtrArray *parts = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) part = g_string_new(NULL);

    for (const char *p = value;; p++) {
        if (*p == ',' && p[1] == ',')
            p++;
        else if (!*p || *p == ',') {
            g_ptr_array_add(parts, g_strdup(part->str));
            g_string_truncate(part, 0);
            if (!*p)
                return parts;
            continue;
        }
        g_string_append_c(part, *p);
    }
}

static void check_keys(gsize row, const char *value)
{
    g_autoptr(GPtrArray) parts = split(value);

    for (guint i = 0; i < parts->len; i++) {
        char *part = parts->pdata[i], *equals = strchr(part, '=');

        if (i == 0 && with_keys[row].types) {
            if (!is_word_of(with_keys[row].types, part))
                COMPLAIN("a type that is not ours", value);
            continue;
        }
        if (equals)
            *equals = '\0';
        if (!equals || !is_word_of(with_keys[row].keys, part))
            COMPLAIN("a key that is not ours", value);
    }
}

static void check_node(JsonNode *node);

static void check_member(JsonObject *object, const char *name, JsonNode *node, gpointer data)
{
    (void)object;
    (void)data;
    if (!is_word_of(json_keys, name))
        COMPLAIN("a JSON key that is not ours", name);
    if (strcmp(name, "driver") == 0 && !is_word_of(json_drivers, json_node_get_string(node)))
        COMPLAIN("a block driver that is not ours", json_node_get_string(node));
    check_node(node);
}

static void check_element(JsonArray *array, guint index, JsonNode *node, gpointer data)
{
    (void)array;
    (void)index;
    (void)data;
    check_node(node);
}

static void check_node(JsonNode *node)
{
    if (JSON_NODE_HOLDS_OBJECT(node))
        json_object_foreach_member(json_node_get_object(node), check_member, NULL);
    else if (JSON_NODE_HOLDS_ARRAY(node))
        json_array_foreach_element(json_node_get_array(node), check_element, NULL);
}

static void check_json(const char *value)
{
    g_autoptr(JsonNode) node = json_from_string(value, NULL);

    if (!node || !JSON_NODE_HOLDS_OBJECT(node))
        COMPLAIN("not a JSON object", value);
    check_node(node);
}

static void check_value(const char *option, const char *value)
{
    if (strcmp(option, "-blockdev") == 0 || (strcmp(option, "-object") == 0 && *value == '{')) {
        check_json(value);
        return;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(with_keys); i++) {
        if (strcmp(option, with_keys[i].option) == 0) {
            check_keys(i, value);
            return;
        }
    }
    if (!g_strv_contains(with_text, option))
        COMPLAIN("an option that is not ours", option);
    /* RAM snapshots read it back from the command line by this pattern. */
    if (strcmp(option, "-cpu") == 0 &&
        value[strspn(value, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "+-_.=,")])
        COMPLAIN("not a CPU", value);
}

static void check_words(char *const *argv, const Plan *plan)
{
    guint extra = g_strv_length(plan->extra), n = g_strv_length((char **)argv) - extra;

    for (guint i = 1; i < n; i++) {
        if (!propstr_printable(argv[i], TRUE))
            COMPLAIN("control characters", argv[i]);
        if (g_strv_contains(flags, argv[i]))
            continue;
        if (i + 1 == n)
            COMPLAIN("an option without value", argv[i]);
        check_value(argv[i], argv[i + 1]);
        i++;
    }
    for (guint i = 0; i < extra; i++)
        g_assert_cmpstr(argv[n + i], ==, plan->extra[i]);
}

static gboolean climbs(const char *path)
{
    return strstr(path, "/../") || g_str_has_suffix(path, "/..");
}

/* A path that the config itself names is opened as it is; all others are where storages are. */
static void check_disk(const PlanDisk *disk)
{
    static const char *const roots[] = {"/dev/pve/",        "/srv/images/",
                                        "/srv/fast/",       "/dev/zvol/rpool/data/",
                                        "/dev/disk/by-id/", "/var/lib/vz/"};
    const char *path = disk->source->path;

    if (!path) {
        g_assert_true(disk->source->rbd_image && !strchr(disk->source->rbd_image, '/'));
        return;
    }
    if (*disk->volid == '/') {
        g_assert_cmpstr(path, ==, disk->volid);
        return;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(roots); i++) {
        if (g_str_has_prefix(path, roots[i]) && !climbs(path))
            return;
    }
    COMPLAIN("a path outside of the storages", path);
}

static Plan *make_plan(const char *text, gsize len, OracleHost kind)
{
    static const char *const hosts[] = {
        [ORACLE_PLAIN] = "io_uring,vhost-net,bridge=vmbr0:1500:vlans",
        [ORACLE_ROOT] = "vhost-net,bridge=vmbr0:1500:vlans,account,modules",
        [ORACLE_PROXMOX] = "io_uring,vhost-net,pve-qemu,bridge=vmbr0,root,modules"};
    g_autoptr(Config) config = config_parse("100.conf", text, len, FALSE, NULL);
    g_autoptr(Storages) storages = storage_parse("storage.cfg", oracle_storage_cfg,
                                                 sizeof(oracle_storage_cfg) - 1, NULL, NULL);
    g_autoptr(Host) host = host_assume(hosts[kind], NULL);
    PlanOptions options = {0};
    g_autoptr(GError) error = NULL;
    Plan *plan;

    if (!config || !schema_check(config, FALSE, &error))
        return NULL;
    host->proxmox = kind == ORACLE_PROXMOX;
    plan = plan_new(config, storages, host, &options, &error);
    /* Refused means that it is said why, in text that a terminal can bear. */
    if (!plan)
        g_assert_true(error && propstr_printable(error->message, TRUE));
    return plan;
}

char **oracle_run(const char *text, gsize len, OracleHost kind)
{
    g_autoptr(Plan) plan = make_plan(text, len, kind), again = make_plan(text, len, kind);
    g_auto(GStrv) second = again ? argv_build(again) : NULL;
    char **argv = plan ? argv_build(plan) : NULL;

    g_assert_true(!argv == !second);
    if (!argv)
        return NULL;
    g_assert_true(g_strv_equal((const char *const *)argv, (const char *const *)second));
    check_words(argv, plan);
    for (guint i = 0; i < plan->disks->len; i++)
        check_disk(plan->disks->pdata[i]);
    return argv;
}
