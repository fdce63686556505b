/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan-parts.h"

#include <string.h>

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

/* The flags Proxmox gives guests under KVM. */
static const char *kvm_flags(const char *model)
{
    if (strcmp(model, "kvm64") == 0)
        return "+kvm_pv_eoi;+kvm_pv_unhalt;+lahf_lm;+sep";
    if (strcmp(model, "kvm32") == 0)
        return "+kvm_pv_eoi;+kvm_pv_unhalt;+sep";
    return "+kvm_pv_eoi;+kvm_pv_unhalt";
}

static char *join(const char *model, GHashTable *flags)
{
    GString *cpu = g_string_new(model);
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(flags), (GCompareFunc)strcmp);

    for (GList *name = names; name; name = name->next)
        g_string_append_printf(cpu, ",%s", (char *)g_hash_table_lookup(flags, name->data));
    return g_string_free(cpu, FALSE);
}

/*
 * Under TCG there is nothing to be compatible with, so a guest gets all that TCG has ("max") unless
 * the config names a model; "host" has no meaning there. "enforce" would refuse nearly all models,
 * as TCG lacks a feature of each, and the kvm_ flags do not exist.
 */
static char *cpu_option(gboolean kvm, const char *model, const char *own_flags)
{
    g_autoptr(GHashTable) flags = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const char *level;

    if (!model || (!kvm && strcmp(model, "host") == 0))
        model = kvm ? "kvm64" : "max";
    model = base_model(model, &level);
    if (kvm)
        add_flags(flags, kvm_flags(model));
    add_flags(flags, level);
    if (own_flags)
        add_flags(flags, own_flags);
    if (kvm && strcmp(model, "host") != 0 && strcmp(model, "max") != 0)
        g_hash_table_replace(flags, g_strdup("enforce"), g_strdup("enforce"));
    return join(model, flags);
}

/*
 * Whether the guest will see KVM's clock: hidden=1 takes KVM's CPUID leaves away, and flags can
 * take the clock alone.
 */
static gboolean has_kvmclock(gboolean kvm, const PropStr *props)
{
    const char *list = props ? propstr_get(props, "flags") : NULL;
    g_auto(GStrv) flags = g_strsplit(list ? list : "", ";", -1);

    if (!kvm || (props && propstr_get_bool(props, "hidden", FALSE)))
        return FALSE;
    return !g_strv_contains((const char *const *)flags, "-kvmclock") &&
           !g_strv_contains((const char *const *)flags, "-kvm");
}

/* Sub-keys beyond model and flags, as properties of QEMU's CPU. */
static void plan_properties(Plan *plan, const PropStr *props)
{
    static const char *const numbers[] = {"guest-phys-bits", "level"};
    GString *cpu = g_string_new(plan->cpu);
    const char *bits = propstr_get(props, "phys-bits");

    if (propstr_get_bool(props, "hidden", FALSE))
        g_string_append(cpu, ",kvm=off");
    if (bits && strcmp(bits, "host") == 0)
        g_string_append(cpu, ",host-phys-bits=on");
    else if (bits)
        g_string_append_printf(cpu, ",phys-bits=%s", bits);
    for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (propstr_get(props, numbers[i]))
            g_string_append_printf(cpu, ",%s=%s", numbers[i], propstr_get(props, numbers[i]));
    }
    g_free(plan->cpu);
    plan->cpu = g_string_free(cpu, FALSE);
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
    g_autoptr(PropStr) props = NULL;

    if (key && !(props = plan_parse(ctx, key, schema_cpu, error)))
        return FALSE;
    ctx->plan->cpu = cpu_option(ctx->plan->kvm, props ? propstr_get(props, "cputype") : NULL,
                                props ? propstr_get(props, "flags") : NULL);
    ctx->plan->kvmclock = has_kvmclock(ctx->plan->kvm, props);
    if (props)
        plan_properties(ctx->plan, props);
    return force_cpu(ctx, error) && plan_count(ctx, error);
}
