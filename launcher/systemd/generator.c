/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * microvm-generator NORMAL-DIR EARLY-DIR LATE-DIR [CONFIG-DIR]
 *
 * Run by systemd before units are loaded (systemd.generator(7)). For each CONFIG-DIR/ID.conf it
 * writes a drop-in for microvm@ID.service: limits, and the order that startup asks for. Guests with
 * onboot: 1 are wanted by microvm.target. As in Proxmox, guests without an order come last, and the
 * next order waits for "up" seconds; ones of the same order start together. What is wrong with one
 * config is said, and keeps no other guest from starting.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "launcher-paths.h"
#include "plan.h"
#include "schema.h"
#include "wake.h"

#define CONFIG_DIR "/etc/microvm"
#define LAST G_MAXINT64  /* the order of guests without one */
#define DOWN_SECONDS 180 /* Proxmox's, as is the rest of what startup means */
#define STOP_SECONDS 60  /* for QEMU to end after that, before systemd kills it */
#define MAX_SECONDS 86400
#define CPU_WEIGHT_MAX 10000

typedef struct {
    gint64 id;
    gboolean onboot;
    gint64 order, up, down;
    double cpu_limit;   /* 0: none */
    guint64 cpu_weight; /* 0: none given */
    gint64 memory_mib;  /* 0: its template's, which is not looked at */
} Guest;

static const PropSpec startup[] = {
    {.name = "order",
     .type = PROP_INTEGER,
     .max = G_MAXINT32,
     .is_default = TRUE,
     .optional = TRUE},
    {.name = "up", .type = PROP_INTEGER, .max = MAX_SECONDS, .optional = TRUE},
    {.name = "down", .type = PROP_INTEGER, .max = MAX_SECONDS, .optional = TRUE},
    {.name = NULL},
};

static gboolean read_startup(Guest *guest, const Config *config, GError **error)
{
    const ConfigKey *key = config_find(config, "startup");
    g_autoptr(PropStr) props = NULL;

    guest->order = LAST;
    guest->down = DOWN_SECONDS;
    if (!key)
        return TRUE;
    props = propstr_parse(key->value, startup, error);
    if (!props) {
        g_prefix_error(error, "%s:%u: startup: ", config->file, key->line);
        return FALSE;
    }
    guest->order = propstr_get_int(props, "order", LAST);
    guest->up = propstr_get_int(props, "up", 0);
    guest->down = propstr_get_int(props, "down", DOWN_SECONDS);
    return TRUE;
}

static Guest *read_guest(const char *path, gint64 id, GError **error)
{
    g_autoptr(Config) config = config_load(path, FALSE, error);
    g_autoptr(PropStr) memory = NULL;
    g_autofree Guest *guest = g_new0(Guest, 1);
    const char *limit, *weight, *size;

    if (!config || !schema_check(config, FALSE, error) || !read_startup(guest, config, error))
        return NULL;
    limit = config_get(config, "cpulimit");
    weight = config_get(config, "cpuunits");
    size = config_get(config, "memory");
    guest->id = id;
    guest->onboot = g_strcmp0(config_get(config, "onboot"), "1") == 0 &&
                    g_strcmp0(config_get(config, "template"), "1") != 0;
    guest->cpu_limit = limit ? g_ascii_strtod(limit, NULL) : 0;
    guest->cpu_weight = weight ? MIN(g_ascii_strtoull(weight, NULL, 10), CPU_WEIGHT_MAX) : 0;
    if (size && !(memory = propstr_parse(size, schema_memory, error)))
        return NULL;
    if (!wake_template(config))
        guest->memory_mib =
            memory ? propstr_get_int(memory, "current", PLAN_MEMORY_MIB) : PLAN_MEMORY_MIB;
    return g_steal_pointer(&guest);
}

/* A guest whose config is not good is left out, as the launcher would refuse it. */
static GPtrArray *read_guests(const char *config_dir)
{
    GPtrArray *guests = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(config_dir, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(config_dir, name, NULL);
        gsize digits = strspn(name, G_CSET_DIGITS);
        g_autoptr(GError) error = NULL;
        Guest *guest;

        if (digits == 0 || digits > 9 || name[0] == '0' || strcmp(name + digits, ".conf") != 0)
            continue;
        guest = read_guest(path, g_ascii_strtoll(name, NULL, 10), &error);
        if (guest)
            g_ptr_array_add(guests, guest);
        else
            fprintf(stderr, "microvm-generator: %s\n", error->message);
    }
    return guests;
}

static int by_order(gconstpointer a, gconstpointer b)
{
    const Guest *x = *(Guest *const *)a, *y = *(Guest *const *)b;

    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Those that start with the host, and of an order before @guest's: systemd waits for all of them.
 */
static void add_after(GString *text, const GPtrArray *guests, const Guest *guest)
{
    for (guint i = 0; guest->onboot && i < guests->len; i++) {
        const Guest *other = guests->pdata[i];

        if (other->onboot && other->order < guest->order)
            g_string_append_printf(text, "After=microvm@%" G_GINT64_FORMAT ".service\n", other->id);
    }
}

static char *drop_in(const GPtrArray *guests, const Guest *guest)
{
    GString *text = g_string_new("# made by microvm-generator\n[Unit]\n");

    add_after(text, guests, guest);
    g_string_append_printf(text, "\n[Service]\nEnvironment=DOWN=%" G_GINT64_FORMAT "\n",
                           guest->down);
    g_string_append_printf(text, "TimeoutStopSec=%" G_GINT64_FORMAT "\n",
                           guest->down + STOP_SECONDS);
    if (guest->up)
        g_string_append_printf(text, "ExecStartPost=/bin/sleep %" G_GINT64_FORMAT "\n", guest->up);
    if (guest->up)
        g_string_append_printf(text, "TimeoutStartSec=%" G_GINT64_FORMAT "\n",
                               guest->up + STOP_SECONDS);
    if (guest->cpu_limit > 0)
        g_string_append_printf(text, "CPUQuota=%.0f%%\n", MAX(guest->cpu_limit * 100, 1));
    if (guest->cpu_weight)
        g_string_append_printf(text, "CPUWeight=%" G_GUINT64_FORMAT "\n", guest->cpu_weight);
    if (guest->memory_mib)
        g_string_append_printf(text, "MemoryMax=%" G_GINT64_FORMAT "M\n",
                               guest->memory_mib + PLAN_OVERHEAD_MIB);
    return g_string_free(text, FALSE);
}

static gboolean fail(const char *path)
{
    fprintf(stderr, "microvm-generator: %s: %s\n", path, g_strerror(errno));
    return FALSE;
}

static gboolean write_drop_in(const char *out, const GPtrArray *guests, const Guest *guest)
{
    g_autofree char *dir =
        g_strdup_printf("%s/microvm@%" G_GINT64_FORMAT ".service.d", out, guest->id);
    g_autofree char *path = g_build_filename(dir, "50-config.conf", NULL);
    g_autofree char *text = drop_in(guests, guest);
    g_autoptr(GError) error = NULL;

    if (g_mkdir_with_parents(dir, 0755) < 0)
        return fail(dir);
    if (g_file_set_contents(path, text, -1, &error))
        return TRUE;
    fprintf(stderr, "microvm-generator: %s\n", error->message);
    return FALSE;
}

static gboolean want(const char *out, const Guest *guest)
{
    g_autofree char *dir = g_build_filename(out, "microvm.target.wants", NULL);
    g_autofree char *link =
        g_strdup_printf("%s/microvm@%" G_GINT64_FORMAT ".service", dir, guest->id);

    if (g_mkdir_with_parents(dir, 0755) < 0)
        return fail(dir);
    return symlink(UNIT_DIR "/microvm@.service", link) == 0 || fail(link);
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) guests = NULL;
    gboolean good = TRUE;

    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: microvm-generator NORMAL-DIR EARLY-DIR LATE-DIR [CONFIG-DIR]\n");
        return 2;
    }
    guests = read_guests(argc == 5 ? argv[4] : CONFIG_DIR);
    g_ptr_array_sort(guests, by_order);
    for (guint i = 0; i < guests->len; i++) {
        const Guest *guest = guests->pdata[i];

        good = write_drop_in(argv[1], guests, guest) && good;
        good = (!guest->onboot || want(argv[1], guest)) && good;
    }
    return good ? 0 : 1;
}
