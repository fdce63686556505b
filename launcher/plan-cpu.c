/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan-parts.h"

#include <string.h>

#include "cpu-model.h"
#include "schema.h"

/* What the board can have (QEMU's hw/i386/microvm.c). */
#define MAX_CPUS 288

/*
 * Proxmox's own model names: the levels of the x86-64 psABI (and AES) on top of qemu64, which has
 * level 1.
 */
#define V2 "+popcnt;+pni;+sse4.1;+sse4.2;+ssse3"
#define V3 V2 ";+aes;+abm;+avx;+avx2;+bmi1;+bmi2;+f16c;+fma;+movbe;+xsave"
static const struct {
    const char *name, *flags;
} levels[] = {
    {"x86-64-v2", V2},
    {"x86-64-v2-AES", V2 ";+aes"},
    {"x86-64-v3", V3},
    {"x86-64-v4", V3 ";+avx512bw;+avx512cd;+avx512dq;+avx512f;+avx512vl"},
};

/* Adds "+a;-b" to @flags (name → whole flag); a later one replaces an earlier one. */
static void add_flags(GHashTable *flags, const char *list)
{
    g_auto(GStrv) words = g_strsplit(list, ";", -1);

    for (char **word = words; *word; word++) {
        if (**word)
            g_hash_table_replace(flags, g_strdup(*word + 1), g_strdup(*word));
    }
}

static const char *base_model(const char *model, const char **flags)
{
    *flags = "";
    for (gsize i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (strcmp(model, levels[i].name) == 0) {
            *flags = levels[i].flags;
            return "qemu64";
        }
    }
    return model;
}

/* What Proxmox itself adds to a model. */
static void add_proxmox_flags(GHashTable *flags, const char *model, gboolean kvm)
{
    if (strcmp(model, "kvm64") == 0)
        add_flags(flags, "+lahf_lm");
    if (strcmp(model, "kvm64") == 0 || strcmp(model, "kvm32") == 0)
        add_flags(flags, "+sep");
    if (g_str_has_prefix(model, "Opteron"))
        add_flags(flags, "-rdtscp");
    if (kvm)
        add_flags(flags, "+kvm_pv_eoi;+kvm_pv_unhalt");
}

/* And what nothing else may change. TCG lacks a feature of nearly every model it would enforce. */
static void add_forced_flags(GHashTable *flags, const char *model, gboolean kvm, gboolean hidden)
{
    const char *vendor = cpu_model_vendor(model);

    if (kvm && strcmp(model, "host") != 0)
        g_hash_table_replace(flags, g_strdup("enforce"), g_strdup("enforce"));
    if (hidden)
        g_hash_table_replace(flags, g_strdup("kvm"), g_strdup("kvm=off"));
    if (vendor)
        g_hash_table_replace(flags, g_strdup("vendor"), g_strconcat("vendor=", vendor, NULL));
}

/* nested-virt stands for what the host's CPU calls it. */
static void resolve_nested(const PlanContext *ctx, const ConfigKey *key, GHashTable *flags)
{
    const char *flag = g_hash_table_lookup(flags, "nested-virt");
    const char *name = flag ? host_nested_flag(ctx->host) : NULL;

    if (name)
        g_hash_table_replace(flags, g_strdup(name), g_strdup_printf("%c%s", *flag, name));
    else if (flag)
        plan_warn(ctx, key, "nested-virt has no effect, this host's CPU has neither vmx nor svm");
    g_hash_table_remove(flags, "nested-virt");
}

static char *join(const char *model, GHashTable *flags)
{
    GString *cpu = g_string_new(model);
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(flags), (GCompareFunc)strcmp);

    for (GList *name = names; name; name = name->next)
        g_string_append_printf(cpu, ",%s", (char *)g_hash_table_lookup(flags, name->data));
    return g_string_free(cpu, FALSE);
}

/* What the config says of its CPU, or else the model of cpu-models.conf that it names. */
typedef struct {
    const ConfigKey *key;
    PropStr *own, *custom; /* each may be NULL */
} CpuProps;

static const char *cpu_prop(const CpuProps *props, const char *name)
{
    const char *own = props->own ? propstr_get(props->own, name) : NULL;

    return own || !props->custom ? own : propstr_get(props->custom, name);
}

/* QEMU's name of the model that the guest is to see. */
static const char *reported_model(const PlanContext *ctx, const CpuProps *props)
{
    const char *model = props->own ? propstr_get(props->own, "cputype") : NULL;

    if (props->custom) {
        model = propstr_get(props->custom, "reported-model");
        if (!model)
            model = "kvm64";
    }
    /* Under TCG there is nothing to be compatible with, and "host" has no meaning. */
    if (!ctx->plan->kvm && (!model || strcmp(model, "host") == 0))
        return "max";
    /* No such CPU was ever made, and QEMU knows them no longer. */
    if (g_strcmp0(model, "Icelake-Client") == 0)
        return "Icelake-Server";
    if (g_strcmp0(model, "Icelake-Client-noTSX") == 0)
        return "Icelake-Server-noTSX";
    return model ? model : "kvm64";
}

/* Sub-keys beyond model and flags, as properties of QEMU's CPU. */
static char *with_properties(char *cpu, const CpuProps *props)
{
    const char *guest_bits = cpu_prop(props, "guest-phys-bits");
    const char *bits = cpu_prop(props, "phys-bits");
    const char *level = cpu_prop(props, "level");
    GString *text = g_string_new(cpu);

    g_free(cpu);
    if (guest_bits)
        g_string_append_printf(text, ",guest-phys-bits=%s", guest_bits);
    if (bits && strcmp(bits, "host") == 0)
        g_string_append(text, ",host-phys-bits=true");
    else if (bits)
        g_string_append_printf(text, ",phys-bits=%s", bits);
    if (level)
        g_string_append_printf(text, ",level=%s", level);
    return g_string_free(text, FALSE);
}

/* Whether the guest will see KVM's clock: it goes with all of KVM's CPUID leaves, or alone. */
static gboolean has_kvmclock(const PlanContext *ctx, GHashTable *flags)
{
    const char *all = g_hash_table_lookup(flags, "kvm");
    const char *clock = g_hash_table_lookup(flags, "kvmclock");

    return ctx->plan->kvm && (!all || *all == '+') && (!clock || *clock == '+');
}

static void set_cpu(const PlanContext *ctx, const CpuProps *props)
{
    g_autoptr(GHashTable) flags = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const char *level, *model = base_model(reported_model(ctx, props), &level);
    gboolean kvm = ctx->plan->kvm;

    add_proxmox_flags(flags, model, kvm);
    add_flags(flags, level);
    if (props->custom && propstr_get(props->custom, "flags"))
        add_flags(flags, propstr_get(props->custom, "flags"));
    if (props->own && propstr_get(props->own, "flags"))
        add_flags(flags, propstr_get(props->own, "flags"));
    resolve_nested(ctx, props->key, flags);
    add_forced_flags(flags, model, kvm, g_strcmp0(cpu_prop(props, "hidden"), "1") == 0);
    ctx->plan->kvmclock = has_kvmclock(ctx, flags);
    ctx->plan->cpu = with_properties(join(model, flags), props);
}

/* The model "custom-NAME" of cpu-models.conf. */
static PropStr *custom_model(const PlanContext *ctx, const ConfigKey *key, const char *type,
                             GError **error)
{
    const char *file = ctx->options->cpu_models;
    const char *name = type + strlen(CPU_MODEL_CUSTOM);
    GError *cause = NULL;
    PropStr *model;

    if (!file && ctx->plan->proxmox)
        file = HOST_PROXMOX_CPU_MODELS;
    if (!file) {
        plan_fail(ctx, key, error, "give --cpu-models, which says what '%s' is", name);
        return NULL;
    }
    model = cpu_model_find(file, name, ctx->plan->warnings, &cause);
    if (!model)
        plan_fail_because(ctx, key, error, cause);
    return model;
}

static gboolean plan_count(const PlanContext *ctx, GError **error)
{
    guint64 sockets, cores, vcpus, smp;

    if (!plan_number(ctx, "smp", 1, MAX_CPUS, 1, &smp, error) ||
        !plan_number(ctx, "sockets", 1, MAX_CPUS, smp, &sockets, error) ||
        !plan_number(ctx, "cores", 1, MAX_CPUS, 1, &cores, error))
        return FALSE;
    if (sockets * cores > MAX_CPUS)
        return plan_fail(ctx, config_find(ctx->config, "cores"), error,
                         "%" G_GUINT64_FORMAT " CPUs (sockets times cores); this board has at most "
                         "%d",
                         sockets * cores, MAX_CPUS);
    if (!plan_number(ctx, "vcpus", 0, sockets * cores, 0, &vcpus, error))
        return FALSE;
    ctx->plan->sockets = (guint)sockets;
    ctx->plan->cores = (guint)cores;
    ctx->plan->vcpus = (guint)(vcpus ? vcpus : sockets * cores);
    return TRUE;
}

/* A guest that goes on from a saved state has the CPU that it had then, as its -cpu was. */
static gboolean force_cpu(const PlanContext *ctx, GError **error)
{
    const char *cpu = ctx->options->force_cpu;

    if (!cpu)
        return TRUE;
    if (!*cpu || cpu[strspn(cpu, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "+-_.=,")]) {
        g_autofree char *quoted = propstr_quote(cpu);

        g_set_error(error, PLAN_ERROR, PLAN_ERROR_OPTION,
                    "--force-cpu: %s is not a value of QEMU's -cpu (MODEL,+flag,-flag,key=value)",
                    quoted);
        return FALSE;
    }
    g_free(ctx->plan->cpu);
    ctx->plan->cpu = g_strdup(cpu);
    return TRUE;
}

gboolean plan_cpu(const PlanContext *ctx, GError **error)
{
    const ConfigKey *key = config_find(ctx->config, "cpu");
    g_autoptr(PropStr) own = NULL, custom = NULL;
    CpuProps props;
    const char *type;

    if (key && !(own = plan_parse(ctx, key, schema_cpu, error)))
        return FALSE;
    type = own ? propstr_get(own, "cputype") : "";
    if (g_str_has_prefix(type, CPU_MODEL_CUSTOM) && !(custom = custom_model(ctx, key, type, error)))
        return FALSE;
    props = (CpuProps){key, own, custom};
    set_cpu(ctx, &props);
    return force_cpu(ctx, error) && plan_count(ctx, error);
}
