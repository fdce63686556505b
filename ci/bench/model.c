/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

/* Weights are cycles, as their sources have them, of a clock that is assumed. */
#define GHZ 2.5
#define INSTRUCTION 1.0
#define PAGE_FAULT 1842.0

/* The cycles of one access; the first that fits counts. */
static const struct {
    const char *prefix;
    double cycles;
    const char *why;
} weights[] = {
    {"port pit", 0, "not asked under KVM: kvmclock tells the TSC's rate, and the board has no PIT"},
    {"port pic", 0, "the board has none under KVM"},
    {"port ", 4700,
     "an exit to QEMU and back: 3.14 times one that KVM handles, as `inl_from_qemu` 46,747 is to "
     "`cpuid` 14,886 (nested, P. Bonzini, kvm list, 2019). The ioctl alone took 2,528 to 2,576 "
     "on AMD (LKML, December 2020)"},
    {"mmio local apic", 1500, "the guest uses x2APIC under KVM: the same as `wrmsr`"},
    {"mmio ", 5700,
     "the same as a port, and KVM has to fetch and decode the instruction (M. S. Tsirkin in Linux' "
     "68c3b4d1676d); 1,000 for that are assumed. The I/O APICs too are QEMU's: the board's "
     "irqchip is split"},
    {"wrmsr tsc-deadline", 2600,
     "`tscdeadline_immed` 2,495 to 2,583, with the interrupt, Skylake (W. Li, kvm list, April "
     "2020)"},
    {"rdmsr ", 1500, "as `cpuid`; some registers need no exit"},
    {"wrmsr ", 1500, "as `cpuid`"},
    {"cpuid", 1500,
     "an exit that KVM handles: `vmcall` 1,529 to 1,559 on Skylake (W. Li, kvm list, March "
     "2020); `cpuid` 1,018 to 1,034 (S. Christopherson) and 1,087 to 1,110 (B. Kauer, both kvm "
     "list, December 2024). The dearest counts"},
    {"xsetbv", 1500, "as `cpuid`"},
    {"wbinvd", 1500, "as `cpuid`"},
    {"hlt", 3200,
     "as `self_ipi_sti_hlt` 31,876 is to `cpuid` 14,886 (nested, P. Bonzini, as above)"},
    {"", 0, "no exit with nested page tables"},
};

static double weight_of(const char *access)
{
    gsize i = 0;

    while (!g_str_has_prefix(access, weights[i].prefix)) {
        i++;
    }
    return weights[i].cycles;
}

static double to_ms(double cycles)
{
    return cycles / (GHZ * 1e6);
}

static double exit_cycles(const PhaseCounts *phase)
{
    GHashTableIter iter;
    gpointer key, value;
    double sum = 0;

    g_hash_table_iter_init(&iter, phase->accesses);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        sum += (double)*(guint64 *)value * weight_of(key);
    }
    return sum;
}

Prediction model_predict(const Counts *counts, const char *until, const Startup *startup)
{
    Prediction p = {.qemu = 0};

    for (guint i = 0; i < counts->phases->len; i++) {
        const PhaseCounts *phase = counts->phases->pdata[i];

        if (until && g_str_equal(phase->name, until)) {
            break;
        }
        p.instructions += to_ms((double)phase->instructions * INSTRUCTION);
        p.exits += to_ms(exit_cycles(phase));
    }
    p.qemu = startup ? model_startup(startup) : 0;
    return p;
}

double model_startup(const Startup *startup)
{
    return to_ms((double)startup->instructions * INSTRUCTION +
                 (double)startup->faults * PAGE_FAULT);
}

double model_sum(Prediction p)
{
    return p.qemu + p.instructions + p.exits;
}

char *model_weights(void)
{
    GString *text = g_string_new("| what | cycles | source |\n|---|---|---|\n");

    g_string_append_printf(
        text,
        "| an instruction, of the guest or QEMU | %.0f | assumed: code that runs "
        "once, from cold caches |\n"
        "| a page fault of QEMU's | %.0f | least of 100 on a Core i7 of the 11th "
        "generation, Linux 6.6 (ddumbying.vercel.app, \"Page fault latency "
        "measurement\"); the median there is 3,241 |\n",
        INSTRUCTION, PAGE_FAULT);
    for (gsize i = 0; i < G_N_ELEMENTS(weights); i++) {
        const char *prefix = weights[i].prefix;

        g_string_append_printf(text, "| `%s` | %.0f | %s |\n", *prefix ? prefix : "all else",
                               weights[i].cycles, weights[i].why);
    }
    g_string_append_printf(text, "\nA cycle is taken for %.1f ns (%.1f GHz).\n", 1 / GHZ, GHZ);
    return g_string_free(text, FALSE);
}
