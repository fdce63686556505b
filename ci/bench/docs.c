/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "docs.h"

#include "model.h"

#define MIB (1024.0 * 1024.0)
#define TOP_INITCALLS 15
#define TOP_FUNCTIONS 15

static const char intro[] =
    "<!-- written by ci/boot-bench --docs docs; change ci/bench/docs.c instead -->\n"
    "# What a boot costs\n"
    "\n"
    "Counted, not timed, so that a busy machine makes no difference: QEMU's TCG with `-icount` "
    "runs\n"
    "one guest instruction after the other, and a plugin (`ci/plugin/`) counts instructions, "
    "ports,\n"
    "device registers and the instructions that leave a guest under KVM, by phase of the boot. A\n"
    "disk answers before the guest's next instruction, since how soon it does is chance. The same\n"
    "guest gives the same counts, all of them to the last function: `ci/bench/test-bench` boots "
    "it\n"
    "again beside four busy processes (ten times with `ci/test --full`) and compares.\n"
    "\n"
    "    ci/boot-bench                  the guarded set-ups, compared with ci/baselines\n"
    "    ci/boot-bench --details mmio   where its instructions went\n"
    "    ci/boot-bench --accept \"why\"   take what is counted now as right\n"
    "    ci/boot-bench --docs docs      all that is on this page, and its pictures\n"
    "    ci/boot-bench --time 30 mmio pcie    two set-ups in turn, by the clock\n"
    "\n"
    "The guest: 256 MiB, one CPU, a disk with ext4, network, console, balloon and entropy "
    "devices;\n"
    "its init mounts /run, brings the network card up, tells the console, and is ready.\n"
    "\n";

static const char notes[] =
    "`debian` is Debian 13's cloud kernel and the initrd that Debian's own scripts make for it, "
    "over\n"
    "virtio-mmio. `defconfig` is the same Linux as ours from x86_64_defconfig. `q35` is an "
    "ordinary\n"
    "machine of QEMU 10.0 as Debian 13 has it, built with that board for this: VGA, virtio over\n"
    "PCIe, and a disk with a partition table, GRUB, our bzImage and our initrd; GRUB does not "
    "wait.\n"
    "These three are not guarded: a udev and a boot loader that wait for a disk wobble.\n"
    "\n";

static const char timing[] =
    "## By the clock\n"
    "\n"
    "`ci/boot-bench --time N A B` boots two set-ups in turn, N times each: under KVM where a "
    "guest\n"
    "runs on it, else under TCG, and then times are told as ratios only. It tells least, median "
    "and\n"
    "99th percentile of the time from exec to the guest's first instruction, to the kernel, to "
    "the\n"
    "root's init and until that is ready, of QEMU's CPU time, RSS and PSS; and under KVM the exits "
    "as\n"
    "KVM counts them (QEMU's `query-stats`). A verdict needs 30 pairs, and Wilcoxon's signed-rank\n"
    "test of the logarithms of their ratios to say that chance made them with less than 1%.\n"
    "\n";

static const char guard[] =
    "## What is guarded\n"
    "\n"
    "Each guarded set-up has a file in `ci/baselines`: its counts, hashes of QEMU, kernel and "
    "initrd,\n"
    "and each time it was accepted, the reason. `ci/boot-bench` fails when a phase takes 0.05% of "
    "the\n"
    "boot's instructions more, or a device is accessed once more than accepted. Where the parts "
    "are\n"
    "other ones than then, accesses that follow from how long the boot takes may grow by 5%: how\n"
    "often the PIT is read until it has run for a while, the TSC by who waits, and how many timer\n"
    "interrupts there are (local APIC, TSC deadline, HLT). A few instructions more anywhere "
    "change\n"
    "those. It names the phase, the device, the initcalls and functions that grew, and the parts "
    "that\n"
    "are other ones. Another compiler makes another kernel: accept its counts first, then "
    "compare.\n"
    "\n"
    "`ci/bench/test-bench` shows that it does: it makes an initcall slower (32 huge pages), adds "
    "a\n"
    "disk, lets the kernel talk on its console, and expects each to be named.\n"
    "\n";

static void add_command(GString *text, const char *command)
{
    g_string_append_printf(text, "\n    %s\n\n", command);
}

/* It is there as SVG, and as PNG for those who cannot show that. */
static void add_picture(GString *text, const char *what, const char *name, const char *command)
{
    g_string_append_printf(text, "![%s](%s.svg)\n\n([PNG](%s.png))\n", what, name, name);
    add_command(text, command);
}

static double phase_of(const Counts *counts, const char *name)
{
    for (guint i = 0; i < counts->phases->len; i++) {
        const PhaseCounts *phase = counts->phases->pdata[i];

        if (g_str_equal(phase->name, name)) {
            return (double)phase->instructions / 1e6;
        }
    }
    return 0;
}

/* @startup is NULL, or what the prediction begins with. */
static void add_row(GString *text, const char *name, const Counts *counts, const Startup *startup)
{
    g_string_append_printf(
        text,
        "| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | **%.2f** | %" G_GUINT64_FORMAT
        " | %" G_GUINT64_FORMAT " | %.1f |\n",
        name, phase_of(counts, "firmware"), phase_of(counts, "loader"),
        phase_of(counts, "decompression"), phase_of(counts, "kernel"), phase_of(counts, "initrd"),
        phase_of(counts, "init"), (double)counts_instructions(counts) / 1e6,
        counts_accesses(counts, "port "), counts_accesses(counts, "mmio "),
        model_sum(model_predict(counts, "init", startup)));
}

static void add_head(GString *text)
{
    g_string_append(text, "| | firmware | loader | unpack | kernel | initrd | init | all | port | "
                          "mmio | ms to init, predicted |\n"
                          "|---|---|---|---|---|---|---|---|---|---|---|\n");
}

static void add_setups(GString *text, GPtrArray *results)
{
    gboolean q35 = FALSE;

    g_string_append(text, "## Set-ups\n\nMillion guest instructions by phase; accesses to ports "
                          "and device registers; "
                          "and milliseconds from exec of QEMU to the root's init under KVM, "
                          "**predicted** from counts "
                          "with [these weights](#the-prediction-for-kvm), nowhere measured.\n\n");
    add_head(text);
    for (guint i = 0; i < results->len; i++) {
        const Result *result = results->pdata[i];
        g_autofree char *name =
            g_strdup_printf("`%s`: %s", result->name, setup_find(result->name)->what);

        add_row(text, name, result->counts, &result->startup);
        q35 |= setup_find(result->name)->q35;
    }
    add_command(text, "ci/boot-bench --all --startup");
    g_string_append(text, notes);
    if (!q35) {
        g_string_append(text, "`q35` is not in the table: it was left out when this page was "
                              "made.\n\n");
    }
    add_picture(text, "Instructions of a boot by phase, one bar a set-up", "boot-phases",
                "ci/boot-bench --all --pictures DIR");
    add_picture(text, "Accesses of a boot by device, one panel a set-up", "boot-devices",
                "ci/boot-bench --all --pictures DIR");
}

static void add_top(GString *text, const char *title, GHashTable *table, guint shown, guint64 all)
{
    g_autoptr(GPtrArray) keys = counts_order(table);

    g_string_append_printf(text, "| %s | million instructions | of the boot |\n|---|---|---|\n",
                           title);
    for (guint i = 0; i < MIN(keys->len, shown); i++) {
        guint64 n = counts_get(table, keys->pdata[i]);

        g_string_append_printf(text, "| `%s` | %.2f | %.1f%% |\n", (char *)keys->pdata[i],
                               (double)n / 1e6, 100.0 * (double)n / (double)all);
    }
    g_string_append(text, "\n");
}

static void add_where(GString *text, const Result *result)
{
    guint64 all = counts_instructions(result->counts);

    g_string_append_printf(text, "## Where the instructions of `%s` go\n\n", result->name);
    add_top(text, "initcall, with all that it calls", result->counts->initcalls, TOP_INITCALLS,
            all);
    add_top(text, "function by itself", result->counts->functions, TOP_FUNCTIONS, all);
    g_string_append_printf(text, "    ci/boot-bench --details %s\n\n", result->name);
    g_string_append_printf(text,
                           "[The flame graph](boot-flame-%s.svg) has every call path; open it in a "
                           "browser and point at a box.\n\n",
                           result->name);
}

/* What the prediction of the launcher's guest is made of. */
static void add_sum(GString *text, GPtrArray *results)
{
    for (guint i = 0; i < results->len; i++) {
        const Result *result = results->pdata[i];
        Prediction p = model_predict(result->counts, "init", &result->startup);

        if (g_str_equal(result->name, "launcher")) {
            g_string_append_printf(text,
                                   "Of the %.1f ms predicted for `launcher`, QEMU's own start is "
                                   "%.1f, the guest's instructions are %.1f, its exits %.1f.\n\n",
                                   model_sum(p), p.qemu, p.instructions, p.exits);
        }
    }
}

static void add_model(GString *text, GPtrArray *results)
{
    g_autofree char *weights = model_weights();

    g_string_append_printf(
        text,
        "## The prediction for KVM\n\n"
        "There is no KVM where these counts are made, so the milliseconds are a **prediction**: "
        "each "
        "instruction, each access and each of QEMU's page faults has a weight. The time runs from "
        "exec of QEMU to the root's init.\n\n%s\n",
        weights);
    add_sum(text, results);
    g_string_append(text, "Left out are the guest's first touch of each page of its memory (how "
                          "much it touches is told "
                          "under [memory](#memory)), waiting for the host's disk, the launcher, "
                          "system calls, and what "
                          "KVM does to set up a guest; counted though no KVM does it is what QEMU "
                          "does for TCG. Which "
                          "mitigations the kernel patches in depends on the CPU; TCG's `max` gets "
                          "those of an AMD. Good "
                          "for comparing set-ups, not for promises.\n\n");
}

static void add_startup(GString *text, GPtrArray *results)
{
    g_string_append(text, "## QEMU's own start\n\n"
                          "Host instructions from exec until the guest is set up, and to the end "
                          "again (`-S`, then `quit`), counted by callgrind; page faults in runs "
                          "without it. What the weights below make of these is told beside the CPU "
                          "time, user's and system's, the least of ten runs on the machine that "
                          "this page was written on (an AMD EPYC's virtual machine): here the "
                          "weights can be checked.\n\n"
                          "| set-up | million instructions | page faults | shared libraries | "
                          "predicted, ms | CPU time, ms |\n"
                          "|---|---|---|---|---|---|\n");
    for (guint i = 0; i < results->len; i++) {
        const Result *result = results->pdata[i];

        g_string_append_printf(text, "| `%s` | %.2f | %" G_GUINT64_FORMAT " | %u | %.1f | %.1f |\n",
                               result->name, (double)result->startup.instructions / 1e6,
                               result->startup.faults, result->startup.libraries,
                               model_startup(&result->startup), result->startup.cpu * 1e3);
    }
    add_command(text, "ci/boot-bench --all --startup");
}

static void add_memory(GString *text, GPtrArray *rows)
{
    g_string_append(
        text, "## Memory\n\n"
              "MiB of one QEMU when its guest has come to its end, and how much of that is the "
              "guest's memory. On TCG, which keeps the code that it makes of the guest's: KVM "
              "has no such thing, and takes less.\n\n"
              "| set-up | RSS | PSS | guest's memory |\n|---|---|---|---|\n");
    for (guint i = 0; i < rows->len; i++) {
        const MemoryRow *row = rows->pdata[i];

        g_string_append_printf(text, "| `%s` | %.1f | %.1f | %.1f |\n", row->name, row->rss / MIB,
                               row->pss / MIB, row->ram / MIB);
    }
    add_command(text, "ci/boot-bench --all --memory");
}

static void add_guests(GString *text, GPtrArray *rows)
{
    g_string_append(text,
                    "Guests of `mmio` that are started together, on TCG on two cores: the time "
                    "until all are ready, in units of the time that one alone takes.\n\n"
                    "| guests | until all are ready | the same by guest | RSS of each, MiB | "
                    "PSS of each, MiB |\n|---|---|---|---|---|\n");
    for (guint i = 0; i < rows->len; i++) {
        const GuestsRow *row = rows->pdata[i];

        g_string_append_printf(text, "| %u | %.2f | %.2f | %.1f | %.1f |\n", row->guests,
                               row->ready, row->ready / row->guests, row->rss / MIB,
                               row->pss / MIB);
    }
    add_command(text, "ci/boot-bench --guests");
}

gboolean docs_write(const char *path, const Findings *found, GError **error)
{
    g_autoptr(GString) text = g_string_new(intro);

    add_setups(text, found->setups);
    add_where(text, found->setups->pdata[0]);
    g_string_append(text, "## Growth\n\nThe set-up `mmio` with more CPUs, memory or disks; the "
                          "prediction is without QEMU's own start.\n\n");
    add_head(text);
    for (guint i = 0; i < found->growth->len; i++) {
        const Growth *row = found->growth->pdata[i];

        add_row(text, row->name, row->counts, NULL);
    }
    add_command(text, "ci/boot-bench --growth");
    add_guests(text, found->guests);
    add_memory(text, found->memory);
    add_startup(text, found->setups);
    add_model(text, found->setups);
    g_string_append(text, timing);
    g_string_append(text, guard);
    add_picture(text, "Accepted changes of the counts, one line a set-up", "boot-history",
                "ci/boot-bench --pictures DIR");
    return g_file_set_contents(path, text->str, -1, error);
}
