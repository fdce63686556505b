/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "docs.h"

#include "model.h"

#define TOP_INITCALLS 15
#define TOP_FUNCTIONS 15

static const char intro[] =
    "<!-- written by ci/boot-bench --docs docs; change ci/bench/docs.c instead -->\n"
    "# What a boot costs\n"
    "\n"
    "Everything here is counted, not timed, so that a busy machine makes no difference: QEMU's TCG "
    "with\n"
    "`-icount` runs one guest instruction after the other, a plugin (`ci/plugin/`) counts "
    "instructions,\n"
    "ports, device registers and the instructions that leave a guest under KVM, by phase of the "
    "boot. A disk\n"
    "answers before the guest's next instruction, since how soon it does is chance. The same guest "
    "gives the\n"
    "same counts, all of them: ten runs beside four busy processes on two cores were equal to the "
    "last function.\n"
    "\n"
    "    ci/boot-bench                  the guarded set-ups, compared with ci/baselines\n"
    "    ci/boot-bench --details mmio   where its instructions went\n"
    "    ci/boot-bench --accept \"why\"   take what is counted now as right\n"
    "    ci/boot-bench --docs docs      all set-ups, growth, and this page with its pictures\n"
    "    ci/boot-bench --time 30 mmio pcie    two set-ups in turn by the clock: under KVM where it "
    "works, ratios elsewhere\n"
    "\n"
    "The guest: 256 MiB, one CPU, a disk with ext4, network, console, balloon and entropy devices; "
    "its init\n"
    "mounts /run, brings the network card up, tells the console, and is ready.\n"
    "\n";

static const char guard[] = "## What is guarded\n"
                            "\n"
                            "Each guarded set-up has a file in `ci/baselines`: its counts, hashes "
                            "of QEMU, kernel and initrd, and each\n"
                            "time it was accepted, the reason. `ci/boot-bench` fails when a phase "
                            "takes 0.05% of the boot's\n"
                            "instructions more, or a device is accessed once more than accepted; "
                            "accesses that follow from how\n"
                            "long the boot takes (PIT, timer interrupts) may grow by 5%. It names "
                            "the phase, the device, the initcalls and\n"
                            "functions that grew, and the parts that are other ones than then. "
                            "Another compiler makes another kernel:\n"
                            "accept its counts first, then compare.\n"
                            "\n"
                            "`ci/bench/test-bench` shows that it does: it makes an initcall slower "
                            "(32 loop devices), adds a disk, lets\n"
                            "the kernel talk on its console, and expects each to be named.\n"
                            "\n"
                            "![history](boot-history.svg)\n"
                            "\n"
                            "    ci/boot-bench --pictures DIR\n"
                            "\n";

static void add_command(GString *text, const char *command)
{
    g_string_append_printf(text, "\n    %s\n\n", command);
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

static void add_row(GString *text, const char *name, const Counts *counts)
{
    Prediction p = model_predict_all(counts);

    g_string_append_printf(text,
                           "| %s | %.2f | %.2f | %.2f | %.2f | %.2f | **%.2f** | %" G_GUINT64_FORMAT
                           " | %" G_GUINT64_FORMAT " | %.1f |\n",
                           name, phase_of(counts, "firmware"), phase_of(counts, "decompression"),
                           phase_of(counts, "kernel"), phase_of(counts, "initrd"),
                           phase_of(counts, "init"), (double)counts_instructions(counts) / 1e6,
                           counts_accesses(counts, "port "), counts_accesses(counts, "mmio "),
                           p.instructions + p.exits);
}

static void add_head(GString *text)
{
    g_string_append(
        text,
        "| | firmware | unpack | kernel | initrd | init | all | port | mmio | ms, predicted |\n"
        "|---|---|---|---|---|---|---|---|---|---|\n");
}

static void add_setups(GString *text, GPtrArray *results)
{
    g_string_append(
        text, "## Set-ups\n\nMillion guest instructions by phase, accesses to ports and device "
              "registers, and milliseconds under KVM, predicted with weights that were not "
              "verified.\n\n");
    add_head(text);
    for (guint i = 0; i < results->len; i++) {
        const Result *result = results->pdata[i];
        g_autofree char *name =
            g_strdup_printf("`%s`: %s", result->name, setup_find(result->name)->what);

        add_row(text, name, result->counts);
    }
    add_command(text, "ci/boot-bench --all");
    g_string_append(text, "![phases](boot-phases.svg)\n");
    add_command(text, "ci/boot-bench --all --pictures DIR");
    g_string_append(text, "![devices](boot-devices.svg)\n");
    add_command(text, "ci/boot-bench --all --pictures DIR");
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

static void add_model(GString *text)
{
    g_autofree char *weights = model_weights();

    g_string_append_printf(text,
                           "## The prediction for KVM\n\n"
                           "There is no KVM where these counts are made, so the milliseconds are a "
                           "**prediction**: each instruction "
                           "and each access has a weight.\n\n%s\n"
                           "The weights are round figures that are assumed: they were not checked "
                           "against kvm-unit-tests' `x86/vmexit` or any "
                           "KVM. Left out are QEMU's "
                           "own start, the first touch "
                           "of each page of guest memory, and waiting for the host's disk. Good "
                           "for comparing set-ups, "
                           "not for promises.\n\n",
                           weights);
}

static void add_startup(GString *text, const Startup *ours, const Startup *stock)
{
    g_string_append_printf(text,
                           "## QEMU's own start\n\n"
                           "Host instructions from exec until the guest is set up, and to the end "
                           "again (`-S`, then `quit`), "
                           "counted by callgrind.\n\n"
                           "| QEMU | million instructions | shared libraries |\n|---|---|---|\n"
                           "| with the series | %.1f | %u |\n| without | %.1f | %u |\n",
                           (double)ours->instructions / 1e6, ours->libraries,
                           (double)stock->instructions / 1e6, stock->libraries);
    add_command(text, "ci/boot-bench --startup");
}

gboolean docs_write(const char *path, GPtrArray *results, GPtrArray *growth, const Startup *ours,
                    const Startup *stock, GError **error)
{
    g_autoptr(GString) text = g_string_new(intro);

    add_setups(text, results);
    add_where(text, results->pdata[0]);
    g_string_append(text, "## Growth\n\nThe set-up `mmio` with more CPUs, memory or disks.\n\n");
    add_head(text);
    for (guint i = 0; i < growth->len; i++) {
        const Growth *row = growth->pdata[i];

        add_row(text, row->name, row->counts);
    }
    add_command(text, "ci/boot-bench --growth");
    add_startup(text, ours, stock);
    add_model(text);
    g_string_append(text, guard);
    return g_file_set_contents(path, text->str, -1, error);
}
