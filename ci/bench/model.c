/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

/* Nanoseconds; the first that fits counts. */
static const struct {
    const char *prefix;
    double ns;
    const char *why;
} weights[] = {
    {"port pit", 0, "not asked under KVM: kvmclock tells the TSC's rate, and the board has no PIT"},
    {"port pic", 0, "the board has none under KVM"},
    {"port ", 3000, "an exit to QEMU and back"},
    {"mmio io apic", 1500, "emulated in KVM, which has to decode the instruction"},
    {"mmio local apic", 1000, "emulated in KVM; nothing with APICv"},
    {"mmio ", 3500, "an exit to QEMU, with the instruction decoded"},
    {"wrmsr tsc-deadline", 600, "KVM's fast path"},
    {"rdmsr ", 700, "an exit that KVM handles; some registers need none"},
    {"wrmsr ", 700, "the same"},
    {"cpuid", 700, "an exit that KVM handles"},
    {"xsetbv", 700, "the same"},
    {"wbinvd", 700, "the same"},
    {"hlt", 2000, "an exit that KVM handles, and a wake-up"},
    {"", 0, "no exit with nested page tables"},
};

#define INSTRUCTION_NS 0.4 /* one a cycle at 2.5 GHz: boot code runs once, from cold caches */

static double weight_of(const char *access)
{
    gsize i = 0;

    while (!g_str_has_prefix(access, weights[i].prefix)) {
        i++;
    }
    return weights[i].ns;
}

Prediction model_predict(const PhaseCounts *phase)
{
    Prediction p = {.instructions = (double)phase->instructions * INSTRUCTION_NS / 1e6};
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, phase->accesses);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        p.exits += (double)*(guint64 *)value * weight_of(key) / 1e6;
    }
    return p;
}

Prediction model_predict_all(const Counts *counts)
{
    Prediction sum = {0};

    for (guint i = 0; i < counts->phases->len; i++) {
        Prediction p = model_predict(counts->phases->pdata[i]);

        sum.instructions += p.instructions;
        sum.exits += p.exits;
    }
    return sum;
}

char *model_weights(void)
{
    GString *text = g_string_new("| what | ns | why |\n|---|---|---|\n");

    g_string_append_printf(text,
                           "| an instruction | %.1f | one a cycle at 2.5 GHz: a boot runs its code "
                           "once, from cold caches |\n",
                           INSTRUCTION_NS);
    for (gsize i = 0; i < G_N_ELEMENTS(weights); i++) {
        const char *prefix = weights[i].prefix;

        g_string_append_printf(text, "| `%s` | %.0f | %s |\n", *prefix ? prefix : "all else",
                               weights[i].ns, weights[i].why);
    }
    return g_string_free(text, FALSE);
}
