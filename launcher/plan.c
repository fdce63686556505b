/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan-parts.h"

#include <stdarg.h>
#include <string.h>
#include <sys/un.h>

#include "schema.h"

/* The first descriptor that is ours to hand to QEMU: behind stdin, stdout, stderr. */
#define FIRST_FD 3

/* Proxmox's; a tap's name must fit into 15 characters: "tap" 9 digits "i31". */
#define MAX_ID 999999999

G_DEFINE_QUARK(plan - error - quark, plan_error)

static char *locate(const PlanContext *ctx, const ConfigKey *key)
{
    if (!key)
        return g_strdup_printf("%s: ", ctx->config->file);
    return g_strdup_printf("%s:%u: %s: ", ctx->config->file, key->line, key->key);
}

gboolean plan_fail(const PlanContext *ctx, const ConfigKey *key, GError **error, const char *format,
                   ...)
{
    g_autofree char *where = locate(ctx, key), *text = NULL;
    va_list ap;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(error, PLAN_ERROR, PLAN_ERROR_CONFIG, "%s%s", where, text);
    return FALSE;
}

gboolean plan_fail_because(const PlanContext *ctx, const ConfigKey *key, GError **error,
                           GError *cause)
{
    plan_fail(ctx, key, error, "%s", cause->message);
    g_error_free(cause);
    return FALSE;
}

void plan_warn(const PlanContext *ctx, const ConfigKey *key, const char *format, ...)
{
    g_autofree char *where = locate(ctx, key), *text = NULL;
    va_list ap;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_ptr_array_add(ctx->plan->warnings, g_strconcat(where, text, NULL));
}

PropStr *plan_parse(const PlanContext *ctx, const ConfigKey *key, const PropSpec *specs,
                    GError **error)
{
    GError *cause = NULL;
    PropStr *props = propstr_parse(key->value, specs, &cause);

    if (!props)
        plan_fail_because(ctx, key, error, cause);
    return props;
}

gboolean plan_bool(const PlanContext *ctx, const char *key, gboolean fallback)
{
    const char *text = config_get(ctx->config, key);
    gboolean value;

    return text && propstr_bool(text, &value, NULL) ? value : fallback;
}

gboolean plan_number(const PlanContext *ctx, const char *key, guint64 min, guint64 max,
                     guint64 fallback, guint64 *value, GError **error)
{
    const ConfigKey *entry = config_find(ctx->config, key);
    GError *cause = NULL;

    *value = fallback;
    if (entry && !propstr_uint(entry->value, min, max, value, &cause))
        return plan_fail_because(ctx, entry, error, cause);
    return TRUE;
}

char *plan_guest_id(const Config *config, const PlanOptions *options, GError **error)
{
    const PlanContext ctx = {.config = config, .options = options};
    g_autofree char *base = g_path_get_basename(config->file);
    gboolean given = options->id != NULL;
    gboolean run = options->warm && options->warm->run;
    const char *text = given ? options->id : base;
    guint64 id;

    if (!given && g_str_has_suffix(base, ".conf"))
        base[strlen(base) - strlen(".conf")] = '\0';
    if (!propstr_uint(text, 1, run ? PLAN_RUN_ID_MAX : MAX_ID, &id, NULL)) {
        g_autofree char *quoted = propstr_quote(text);

        if (given)
            plan_fail(&ctx, NULL, error, "--id: %s is not a guest id, 1 to %d", quoted, MAX_ID);
        else
            plan_fail(&ctx, NULL, error, "%s is not a guest id, as in 114.conf; give --id", quoted);
        return NULL;
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT, id);
}

static gboolean plan_id(const PlanContext *ctx, GError **error)
{
    ctx->plan->id = plan_guest_id(ctx->config, ctx->options, error);
    return ctx->plan->id != NULL;
}

char *plan_runtime_path(const Plan *plan, const char *suffix)
{
    return g_strdup_printf("%s/%s.%s", plan->runtime_dir, plan->id, suffix);
}

static gboolean plan_paths(const PlanContext *ctx, GError **error)
{
    Plan *plan = ctx->plan;
    /* The longest name in it: "999999999.virtiofs0". */
    gsize longest = strlen(plan->id) + strlen("/.virtiofs0");

    plan->runtime_dir = host_runtime_dir(ctx->host, ctx->options->runtime_dir, plan->user);
    if (strlen(plan->runtime_dir) + longest >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return plan_fail(ctx, NULL, error,
                         "the run directory's name is too long for a socket (%s); choose another "
                         "by --runtime-dir",
                         plan->runtime_dir);
    plan->pidfile = plan_runtime_path(plan, "pid");
    plan->qmp = plan_runtime_path(plan, "qmp");
    plan->qemu = host_find(ctx->host, HOST_QEMU, ctx->options->qemu, error);
    if (!plan->qemu)
        return FALSE;
    plan->pve_qemu = plan->proxmox && host_is_pve_qemu(ctx->host, plan->qemu);
    if (plan->proxmox)
        plan->scripts = host_proxmox_scripts(ctx->host);
    return TRUE;
}

/* Without Proxmox's revision ("+pve0"), unless QEMU is Proxmox's, which alone knows of it. */
static void set_machine(Plan *plan, const char *type)
{
    const char *revision = strchr(type, '+');

    if (revision && !plan->pve_qemu)
        plan->machine = g_strndup(type, (gsize)(revision - type));
    else
        plan->machine = g_strdup(type);
}

static gboolean plan_machine(const PlanContext *ctx, GError **error)
{
    const ConfigKey *key = config_find(ctx->config, "machine");
    const char *forced = ctx->options->force_machine;
    g_autoptr(PropStr) props = NULL;

    if (forced && !schema_is_machine(forced)) {
        g_autofree char *quoted = propstr_quote(forced);

        g_set_error(error, PLAN_ERROR, PLAN_ERROR_OPTION,
                    "--force-machine: %s is not microvm or microvm-X.Y", quoted);
        return FALSE;
    }
    if (key && !(props = plan_parse(ctx, key, schema_machine, error)))
        return FALSE;
    set_machine(ctx->plan, forced ? forced : props ? propstr_get(props, "type") : "microvm");
    return TRUE;
}

/* The state of a guest that was suspended to disk; its volume is a device or a file. */
static gboolean plan_vmstate(const PlanContext *ctx, const ConfigKey *key, int index,
                             GError **error)
{
    GError *cause = NULL;
    g_autoptr(VolumeId) id = volume_id_parse(key->value, &cause);
    g_autoptr(DiskSource) source = NULL;

    (void)index;
    if (!ctx->plan->pve_qemu)
        return plan_fail(ctx, key, error,
                         "a suspended guest goes on in Proxmox's QEMU only, on its hosts; remove "
                         "the line to start the guest anew");
    if (id)
        source = storage_resolve(ctx->storages, id, NULL, &cause);
    if (!source)
        return plan_fail_because(ctx, key, error, cause);
    if (!source->path)
        return plan_fail(ctx, key, error, "the state cannot be read from Ceph without 'krbd 1'");
    ctx->plan->loadstate = g_strdup(source->path);
    return TRUE;
}

static void plan_rtc(const PlanContext *ctx)
{
    const char *start = config_get(ctx->config, "startdate");

    if (start && strcmp(start, "now") != 0)
        ctx->plan->rtc_base = g_strdup(start);
    else if (plan_bool(ctx, "localtime", FALSE))
        ctx->plan->rtc_base = g_strdup("localtime");
    ctx->plan->rtc_driftfix = plan_bool(ctx, "tdf", FALSE);
}

/*
 * Huge pages come from the kernel's pool by memfd, so that no hugetlbfs need be mounted. On
 * Proxmox's hosts its own side has allocated them, and mounted it.
 */
static gboolean plan_hugepages(const PlanContext *ctx, GError **error)
{
    const ConfigKey *key = config_find(ctx->config, "hugepages");
    Plan *plan = ctx->plan;
    gboolean any;

    if (!key)
        return TRUE;
    any = strcmp(key->value, "any") == 0;
    plan->hugepage_mib = strcmp(key->value, "1024") == 0 ? 1024 : 2;
    if (any && plan->proxmox && ctx->host->pages_1g && plan->memory_mib % 1024 == 0)
        plan->hugepage_mib = 1024;
    if (plan->memory_mib % plan->hugepage_mib)
        return plan_fail(ctx, key, error, "memory: %" G_GUINT64_FORMAT " is not a multiple of %u",
                         plan->memory_mib, plan->hugepage_mib);
    if (plan->proxmox)
        plan->hugepage_dir =
            g_strdup_printf(HOST_PROXMOX_HUGEPAGES "/%ukB", plan->hugepage_mib * 1024);
    return TRUE;
}

static gboolean plan_memory(const PlanContext *ctx, GError **error)
{
    const ConfigKey *key = config_find(ctx->config, "memory");
    g_autoptr(PropStr) props = NULL;

    if (key && !(props = plan_parse(ctx, key, schema_memory, error)))
        return FALSE;
    ctx->plan->memory_mib = PLAN_MEMORY_MIB;
    if (props)
        ctx->plan->memory_mib = (guint64)propstr_get_int(props, "current", PLAN_MEMORY_MIB);
    return plan_hugepages(ctx, error);
}

/* The board has no SMBIOS tables, and QEMU no -smbios with it; the UUID has an option of its own.
 */
static gboolean plan_smbios(const PlanContext *ctx, const ConfigKey *key, int index, GError **error)
{
    static const char *const names[] = {"family", "manufacturer", "product",
                                        "serial", "sku",          "version"};
    g_autoptr(PropStr) props = plan_parse(ctx, key, schema_smbios1, error);

    (void)index;
    if (!props)
        return FALSE;
    ctx->plan->uuid = g_strdup(propstr_get(props, "uuid"));
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        if (propstr_get(props, names[i]))
            plan_warn(ctx, key, "%s= has no effect, the board has no SMBIOS tables", names[i]);
    }
    return TRUE;
}

/* Proxmox allocates huge pages only for guests that have it. */
static gboolean plan_numa(const PlanContext *ctx, const ConfigKey *key, int index, GError **error)
{
    (void)index;
    (void)error;
    if (plan_bool(ctx, "numa", FALSE))
        plan_warn(ctx, key,
                  "the board tells of no NUMA nodes (it has no SRAT); the guest sees one");
    return TRUE;
}

/* What Proxmox's own side would give the guest's cgroup. */
static void plan_limits(const PlanContext *ctx)
{
    const char *limit = config_get(ctx->config, "cpulimit");
    const char *units = config_get(ctx->config, "cpuunits");

    if (ctx->plan->proxmox || ctx->options->no_limits)
        return;
    if (limit)
        ctx->plan->cpu_max = (guint64)(MIN(g_ascii_strtod(limit, NULL), 10000) * 100000);
    if (units)
        ctx->plan->cpu_weight = MIN(g_ascii_strtoull(units, NULL, 10), 10000);
    ctx->plan->memory_max = (ctx->plan->memory_mib + PLAN_OVERHEAD_MIB) << 20;
}

static gboolean plan_basics(const PlanContext *ctx, GError **error)
{
    const char *name = config_get(ctx->config, "name");
    const ConfigKey *affinity = config_find(ctx->config, "affinity");
    Plan *plan = ctx->plan;

    plan->name = name ? g_strdup(name) : g_strdup_printf("vm%s", plan->id);
    plan_warm_name(ctx);
    plan->kvm = plan_bool(ctx, "kvm", TRUE);
    plan->ksm = plan_bool(ctx, "allow-ksm", TRUE);
    plan->no_reboot = !plan_bool(ctx, "reboot", TRUE);
    plan->frozen = plan_bool(ctx, "freeze", FALSE);
    if (affinity) {
        plan->affinity = g_strdup(affinity->value);
        plan->affinity_line = affinity->line;
    }
    plan_rtc(ctx);
    if (!plan_memory(ctx, error))
        return FALSE;
    plan_limits(ctx);
    return plan_machine(ctx, error) && plan_cpu(ctx, error);
}

static gboolean plan_serial(const PlanContext *ctx, const ConfigKey *key, int index, GError **error)
{
    PlanSerial *serial = g_new0(PlanSerial, 1);

    (void)error;
    g_ptr_array_add(ctx->plan->serials, serial);
    serial->index = index;
    if (strcmp(key->value, "socket") == 0)
        serial->path = plan_runtime_path(ctx->plan, key->key);
    else
        serial->device = g_strdup(key->value);
    return TRUE;
}

static gboolean plan_agent(const PlanContext *ctx, const ConfigKey *key, int index, GError **error)
{
    g_autoptr(PropStr) props = plan_parse(ctx, key, schema_agent, error);

    (void)index;
    if (!props)
        return FALSE;
    if (propstr_get_bool(props, "enabled", FALSE))
        ctx->plan->agent = plan_runtime_path(ctx->plan, "qga");
    return TRUE;
}

static gboolean plan_rng(const PlanContext *ctx, const ConfigKey *key, int index, GError **error)
{
    g_autoptr(PropStr) props = plan_parse(ctx, key, schema_rng, error);

    (void)index;
    if (!props)
        return FALSE;
    ctx->plan->rng_source = g_strdup(propstr_get(props, "source"));
    ctx->plan->rng_max_bytes = (guint64)propstr_get_int(props, "max_bytes", 1024);
    ctx->plan->rng_period = (guint64)propstr_get_int(props, "period", 1000);
    return TRUE;
}

static gboolean plan_vga(const PlanContext *ctx, const ConfigKey *key, int index, GError **error)
{
    g_autoptr(PropStr) props = plan_parse(ctx, key, schema_vga, error);
    const char *type = props ? propstr_get(props, "type") : NULL;

    (void)index;
    if (!props)
        return FALSE;
    if (!type || strcmp(type, "none") == 0)
        return TRUE;
    if (!config_find(ctx->config, type))
        return plan_fail(ctx, key, error, "there is no %s in this config", type);
    return TRUE;
}

typedef gboolean (*PlanKeyFunc)(const PlanContext *, const ConfigKey *, int, GError **);

/*
 * Keys that are looked at wherever they stand. Those without a function are read by name, or have
 * one value only that works here.
 */
static const struct {
    const char *key;
    PlanKeyFunc plan;
} used_keys[] = {
    {"acpi", NULL},           {"affinity", NULL},
    {"agent", plan_agent},    {"allow-ksm", NULL},
    {"arch", NULL},           {"args", NULL},
    {"balloon", NULL},        {"bios", NULL},
    {"boot", NULL},           {"bootdisk", NULL},
    {"cores", NULL},          {"cpu", NULL},
    {"freeze", NULL},         {"hugepages", NULL},
    {"ide", plan_disk},       {"kvm", NULL},
    {"localtime", NULL},      {"machine", NULL},
    {"memory", NULL},         {"name", NULL},
    {"net", plan_nic},        {"numa", plan_numa},
    {"reboot", NULL},         {"rng", plan_rng},
    {"scsi", plan_disk},      {"serial", plan_serial},
    {"smbios", plan_smbios},  {"smp", NULL},
    {"sockets", NULL},        {"startdate", NULL},
    {"tablet", NULL},         {"tdf", NULL},
    {"vcpus", NULL},          {"vga", plan_vga},
    {"virtio", plan_disk},    {"vmgenid", NULL},
    {"virtiofs", plan_share}, {"cpulimit", NULL},
    {"cpuunits", NULL},       {"vmstate", plan_vmstate},
};

/* "scsi" of "scsi12", with 12 in @index; -1 for a key without a number. */
static char *split_key(const char *key, int *index)
{
    gsize len = strcspn(key, G_CSET_DIGITS);

    *index = key[len] ? (int)g_ascii_strtoull(key + len, NULL, 10) : -1;
    return g_strndup(key, len);
}

static gboolean plan_key(const PlanContext *ctx, const ConfigKey *key, GError **error)
{
    const SchemaKey *row = schema_lookup(key->key, NULL);
    int index;
    g_autofree char *family = split_key(key->key, &index);

    for (gsize i = 0; i < G_N_ELEMENTS(used_keys); i++) {
        if (strcmp(family, used_keys[i].key) == 0)
            return !used_keys[i].plan || used_keys[i].plan(ctx, key, index, error);
    }
    g_assert(row && row->fate != SCHEMA_USED);
    return TRUE;
}

static int by_serial(gconstpointer a, gconstpointer b)
{
    return (*(PlanSerial *const *)a)->index - (*(PlanSerial *const *)b)->index;
}

/*
 * Proxmox's QEMU must run as root and start network scripts. Elsewhere whoever names a -sandbox
 * has the last word.
 */
static void plan_sandbox(const PlanContext *ctx)
{
    ctx->plan->sandbox = !ctx->plan->proxmox && !plan_has_option(ctx, "sandbox");
}

static gboolean plan_keys(const PlanContext *ctx, GError **error)
{
    Plan *plan = ctx->plan;
    for (guint i = 0; i < ctx->config->keys->len; i++) {
        if (!plan_key(ctx, ctx->config->keys->pdata[i], error))
            return FALSE;
    }
    g_ptr_array_sort(plan->serials, by_serial);
    for (guint i = 0; i < plan->serials->len; i++)
        plan->virtio_serial |= ((PlanSerial *)plan->serials->pdata[i])->index > 0;
    plan->virtio_serial |= plan->agent != NULL;
    plan->balloon = g_strcmp0(config_get(ctx->config, "balloon"), "0") != 0;
    plan_sandbox(ctx);
    if (!plan_warm(ctx, error) || !plan_net_finish(ctx, error))
        return FALSE;
    plan_share_finish(ctx);
    return TRUE;
}

/* The words of args, then those after "--". They are appended and nothing else. */
static gboolean plan_extra(const PlanContext *ctx, GError **error)
{
    const ConfigKey *args = config_find(ctx->config, "args");
    GStrvBuilder *words = g_strv_builder_new();
    GError *cause = NULL;
    g_auto(GStrv) own = args ? propstr_shellwords(args->value, &cause) : NULL;

    if (own)
        g_strv_builder_addv(words, (const char **)own);
    if (ctx->options->trailing)
        g_strv_builder_addv(words, (const char **)ctx->options->trailing);
    ctx->plan->extra = g_strv_builder_end(words);
    g_strv_builder_unref(words);
    return !cause || plan_fail_because(ctx, args, error, cause);
}

/* A template and a clone have another generation than the config's guest. */
static void plan_generation(const PlanContext *ctx)
{
    const ConfigKey *key = config_find(ctx->config, "vmgenid");
    const PlanWarm *warm = ctx->options->warm;
    const char *value = warm ? warm->vmgenid : key ? key->value : NULL;
    Plan *plan = ctx->plan;

    if (!value || strcmp(value, "0") == 0)
        return;
    if (plan->acpi && !g_str_has_prefix(plan->machine, "microvm-9."))
        plan->vmgenid = g_strdup(strcmp(value, "1") == 0 ? "auto" : value);
    else
        plan_warn(ctx, key, "%s has no place for it",
                  plan->acpi ? plan->machine : "a board without ACPI");
}

static void request_slot(GArray *requests, SlotUse use, int index, int *slot)
{
    SlotRequest request = {.use = use, .index = index, .slot = slot};

    g_array_append_val(requests, request);
}

static SlotBoard board_of(const Plan *plan)
{
    if (plan->acpi)
        return BOARD_ACPI;
    return g_str_has_prefix(plan->machine, "microvm-9.") ? BOARD_NO_ACPI_OLD : BOARD_NO_ACPI;
}

/* The modules are a help, for which no device of the config is to give way. */
static void place_modules(const PlanContext *ctx, GArray *requests, SlotBoard board)
{
    Plan *plan = ctx->plan;

    if (!plan->modules)
        return;
    if (requests->len < slots_available(board)) {
        request_slot(requests, SLOT_MODULES, 0, &plan->modules_slot);
        return;
    }
    plan_warn(ctx, NULL, "no place on the board is left for the kernel's modules, %s",
              plan->modules);
    g_clear_pointer(&plan->modules, g_free);
}

static void warn_of_shared_interrupts(const PlanContext *ctx, const GArray *requests,
                                      SlotBoard board)
{
    guint devices = requests->len - (ctx->plan->modules != NULL);

    if (ctx->plan->kvm && devices > slots_good(board))
        plan_warn(ctx, NULL,
                  "%u virtio devices: under KVM, those beyond %u may lose interrupts to the "
                  "serial port, clock or power button",
                  devices, slots_good(board));
}

static gboolean plan_slots(const PlanContext *ctx, gboolean has_boot_disk, GError **error)
{
    Plan *plan = ctx->plan;
    SlotBoard board = board_of(plan);
    g_autoptr(GArray) requests = g_array_new(FALSE, FALSE, sizeof(SlotRequest));

    for (guint i = 0; i < plan->disks->len; i++) {
        PlanDisk *disk = plan->disks->pdata[i];

        if (i == 0 && has_boot_disk)
            request_slot(requests, SLOT_BOOT_DISK, 0, &disk->slot);
        else
            request_slot(requests, disk->cdrom ? SLOT_CDROM : SLOT_DISK,
                         disk->cdrom ? 0 : disk->index, &disk->slot);
    }
    for (guint i = 0; i < plan->nics->len; i++) {
        PlanNic *nic = plan->nics->pdata[i];

        request_slot(requests, SLOT_NIC, nic->index, &nic->slot);
    }
    if (plan->virtio_serial)
        request_slot(requests, SLOT_SERIAL, 0, &plan->serial_slot);
    if (plan->balloon)
        request_slot(requests, SLOT_BALLOON, 0, &plan->balloon_slot);
    if (plan->rng_source)
        request_slot(requests, SLOT_RNG, 0, &plan->rng_slot);
    for (guint i = 0; i < plan->shares->len; i++)
        request_slot(requests, SLOT_SHARE, 0, &((PlanShare *)plan->shares->pdata[i])->slot);
    if (plan->cid)
        request_slot(requests, SLOT_VSOCK, 0, &plan->vsock_slot);
    if (plan->live_shares)
        request_slot(requests, SLOT_SHARE, 0, &plan->live_share_slot);
    if (plan->mount)
        request_slot(requests, SLOT_SHARE, 0, &plan->mount_slot);
    place_modules(ctx, requests, board);
    if (slots_assign(requests, board)) {
        warn_of_shared_interrupts(ctx, requests, board);
        return TRUE;
    }
    return plan_fail(ctx, NULL, error,
                     "%u virtio devices, and the board has %u places for them%s; remove some, or "
                     "put them on PCIe, which takes 31 more: 'args: -machine pcie=on -device "
                     "virtio-…-pci,…'",
                     requests->len, slots_available(board), plan->acpi ? "" : " without ACPI");
}

static gboolean plan_live_shares(const PlanContext *ctx, GError **error)
{
    ctx->plan->live_shares = ctx->options->shares;
    return !ctx->options->shares || !ctx->plan->proxmox ||
           plan_fail(ctx, NULL, error,
                     "--shares: not on a Proxmox host, whose own tools start QEMU; use virtiofsN");
}

static gboolean plan_all(const PlanContext *ctx, GError **error)
{
    gboolean has_boot_disk;

    ctx->plan->proxmox = ctx->host->proxmox;
    ctx->plan->daemonize = ctx->options->daemonize || ctx->plan->proxmox;
    if (!plan_id(ctx, error) || !plan_user(ctx, error) || !plan_paths(ctx, error) ||
        !plan_basics(ctx, error) || !plan_extra(ctx, error) || !plan_keys(ctx, error) ||
        !plan_boot_order(ctx, &has_boot_disk, error) || !plan_kernel(ctx, has_boot_disk, error) ||
        !plan_live_shares(ctx, error) || !plan_slots(ctx, has_boot_disk, error))
        return FALSE;
    plan_generation(ctx);
    plan_files(ctx);
    return TRUE;
}

Plan *plan_new(const Config *config, const Storages *storages, const Host *host,
               const PlanOptions *options, GError **error)
{
    g_autoptr(Plan) plan = g_new0(Plan, 1);
    PlanContext ctx = {config, storages, host, options, plan};

    plan->config_file = g_strdup(config->file);
    plan->disks = g_ptr_array_new_with_free_func((GDestroyNotify)plan_disk_free);
    plan->nics = g_ptr_array_new_with_free_func((GDestroyNotify)plan_nic_free);
    plan->serials = g_ptr_array_new();
    plan->shares = g_ptr_array_new_with_free_func((GDestroyNotify)plan_share_free);
    plan->files = g_ptr_array_new_with_free_func((GDestroyNotify)plan_file_free);
    plan->next_fd = FIRST_FD;
    plan->check_files = g_ptr_array_new_with_free_func(g_free);
    plan->warnings = g_ptr_array_new_with_free_func(g_free);
    return plan_all(&ctx, error) ? g_steal_pointer(&plan) : NULL;
}

static void plan_serial_free(gpointer data, gpointer unused)
{
    PlanSerial *serial = data;

    (void)unused;
    g_free(serial->device);
    g_free(serial->path);
    g_free(serial);
}

void plan_free(Plan *plan)
{
    if (!plan)
        return;
    g_ptr_array_foreach(plan->serials, plan_serial_free, NULL);
    g_ptr_array_unref(plan->serials);
    g_ptr_array_unref(plan->shares);
    g_ptr_array_unref(plan->disks);
    g_ptr_array_unref(plan->nics);
    g_ptr_array_unref(plan->files);
    g_ptr_array_unref(plan->check_files);
    g_ptr_array_unref(plan->warnings);
    g_strfreev(plan->extra);
    g_free(plan->id);
    g_free(plan->name);
    g_free(plan->config_file);
    g_free(plan->qemu);
    g_free(plan->runtime_dir);
    g_free(plan->pidfile);
    g_free(plan->qmp);
    g_free(plan->loadstate);
    g_free(plan->user);
    g_free(plan->machine);
    g_free(plan->cpu);
    g_free(plan->uuid);
    g_free(plan->affinity);
    g_free(plan->hugepage_dir);
    g_free(plan->memory_file);
    g_free(plan->vmgenid);
    g_free(plan->identity);
    g_free(plan->mount);
    g_free(plan->mount_source);
    g_free(plan->rtc_base);
    g_free(plan->agent);
    g_free(plan->rng_source);
    g_free(plan->modules);
    g_free(plan->kernel);
    g_free(plan->initrd);
    g_free(plan->append);
    g_free(plan);
}
