/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-bench: what a boot costs, counted. ci/boot-bench builds what it needs and runs it.
 */
#include <stdio.h>

#include "baseline.h"
#include "compare.h"
#include "count-run.h"
#include "docs.h"
#include "model.h"
#include "report.h"
#include "timing.h"

#define MIB (1024.0 * 1024.0)

typedef struct {
    Parts parts;
    char *baselines, *accept, *commit, *json, *append, *pictures, *docs, *accel;
    char **names; /* of setups */
    gboolean details, loud, all, growth, startup, memory, guests;
    int disks, pairs;
    /* results */
    JsonObject *results;
    Findings found;
    gboolean dearer;
} Bench;

static char *baseline_path(const Bench *bench, const Setup *setup)
{
    return g_strdup_printf("%s/%s.json", bench->baselines, setup->name);
}

/* Says how @counts compare with what was accepted, if anything was. */
static gboolean judge(Bench *bench, const Setup *setup, const Counts *counts, JsonObject *inputs,
                      GError **error)
{
    g_autofree char *path = baseline_path(bench, setup), *text = NULL;
    g_autoptr(GError) local = NULL;
    g_autoptr(Baseline) before = baseline_load(path, &local);
    gboolean dearer;

    if (!before && !g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if (bench->accept) {
        return baseline_accept(path, before, counts, inputs, bench->accept, bench->commit, error);
    }
    if (!before) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                    "%s is not there; --accept \"why\" writes it", path);
        return FALSE;
    }
    text = compare(before, counts, inputs, &dearer);
    fputs(text, stdout);
    if (dearer) {
        printf("    DEARER than accepted; if that is right: ci/boot-bench --accept \"why\" %s\n",
               setup->name);
        bench->dearer = TRUE;
    }
    return TRUE;
}

static void result_free(gpointer data)
{
    Result *result = data;

    counts_free(result->counts);
    baseline_free(result->baseline);
    g_free(result);
}

/* For the pictures. Takes @counts. */
static void keep(Bench *bench, const Setup *setup, Counts *counts)
{
    g_autofree char *path = baseline_path(bench, setup);
    Result *result = g_new0(Result, 1);

    result->name = setup->name;
    result->counts = counts;
    result->baseline = setup->guarded ? baseline_load(path, NULL) : NULL;
    g_ptr_array_add(bench->found.setups, result);
}

static gboolean measure(Bench *bench, const Setup *known, GError **error)
{
    Setup setup = *known;
    g_autoptr(Counts) counts = NULL;
    g_autoptr(JsonObject) inputs = NULL;
    g_autofree char *row = NULL;

    setup.append = bench->append;
    setup.loud = bench->loud;
    setup.more_disks = (guint)bench->disks;
    counts = count_boot(&setup, &bench->parts, error);
    inputs = counts ? inputs_of(&setup, &bench->parts, error) : NULL;
    if (!inputs) {
        return FALSE;
    }
    row = report_row(setup.name, counts);
    fputs(row, stdout);
    if (counts->unsettled) {
        printf("    a disk did not answer in time, %u times: these counts may differ from run to "
               "run\n",
               counts->unsettled);
    }
    if (bench->details) {
        g_autofree char *details = report_details(counts);

        fputs(details, stdout);
    }
    json_object_set_object_member(bench->results, setup.name, counts_to_json(counts, inputs, 0));
    fflush(stdout);
    if (setup.guarded && !judge(bench, &setup, counts, inputs, error)) {
        return FALSE;
    }
    keep(bench, known, g_steal_pointer(&counts));
    return TRUE;
}

/* Whether @setup is asked for: by name; else all, or those that are guarded. */
static gboolean is_wanted(const Bench *bench, const Setup *setup)
{
    if (bench->names) {
        return g_strv_contains((const char *const *)bench->names, setup->name);
    }
    return setup->guarded || bench->all;
}

static gboolean draw(const Bench *bench, const char *dir, GError **error)
{
    g_autofree char *phases = g_build_filename(dir, "boot-phases", NULL);
    g_autofree char *devices = g_build_filename(dir, "boot-devices", NULL);
    g_autofree char *history = g_build_filename(dir, "boot-history", NULL);
    GPtrArray *setups_found = bench->found.setups;
    const Result *first = setups_found->pdata[0];
    g_autofree char *name = g_strdup_printf("boot-flame-%s.svg", first->name);
    g_autofree char *flame = g_build_filename(dir, name, NULL);

    return picture_flame(flame, first->name, first->counts, error) &&
           picture_phases(phases, setups_found, error) &&
           picture_devices(devices, setups_found, error) &&
           picture_history(history, setups_found, error);
}

static gboolean measure_growth(Bench *bench, GError **error)
{
    bench->found.growth = growth_measure(setups, &bench->parts, error);
    return bench->found.growth != NULL;
}

/* Of all that were counted. */
static gboolean measure_startup(Bench *bench, GError **error)
{
    printf("%-10s %11s %9s %9s %9s %9s  of QEMU itself, until its guest is set up\n", "",
           "million ins", "faults", "libraries", "predicted", "CPU time");
    for (guint i = 0; i < bench->found.setups->len; i++) {
        Result *result = bench->found.setups->pdata[i];

        if (!startup_measure(setup_find(result->name), &bench->parts, &result->startup, error)) {
            return FALSE;
        }
        printf("%-10s %11.2f %9" G_GUINT64_FORMAT " %9u %6.1f ms %6.1f ms\n", result->name,
               (double)result->startup.instructions / 1e6, result->startup.faults,
               result->startup.libraries, model_startup(&result->startup),
               result->startup.cpu * 1e3);
        fflush(stdout);
    }
    return TRUE;
}

static const char *accel_of(const Bench *bench)
{
    return bench->accel ? bench->accel : "tcg";
}

static gboolean measure_memory(Bench *bench, GError **error)
{
    bench->found.memory = g_ptr_array_new_with_free_func(memory_row_free);
    printf("%-10s %8s %8s %8s  MiB, with accelerator %s\n", "", "RSS", "PSS", "guest's",
           accel_of(bench));
    for (const Setup *setup = setups; setup->name; setup++) {
        MemoryRow *row;

        if (setup->launcher || !is_wanted(bench, setup)) {
            continue;
        }
        row = memory_measure(setup, &bench->parts, accel_of(bench), error);
        if (!row) {
            return FALSE;
        }
        g_ptr_array_add(bench->found.memory, row);
        printf("%-10s %8.1f %8.1f %8.1f\n", row->name, row->rss / MIB, row->pss / MIB,
               row->ram / MIB);
        fflush(stdout);
    }
    return TRUE;
}

static gboolean measure_guests(Bench *bench, GError **error)
{
    GPtrArray *rows = memory_guests(setups, &bench->parts, accel_of(bench), error);

    bench->found.guests = rows;
    if (!rows) {
        return FALSE;
    }
    printf("%-10s %10s %10s %8s %8s  guests at once, MiB each\n", "guests", "ready", "each", "RSS",
           "PSS");
    for (guint i = 0; i < rows->len; i++) {
        const GuestsRow *row = rows->pdata[i];

        printf("%-10u %9.2fx %9.2fx %8.1f %8.1f\n", row->guests, row->ready,
               row->ready / row->guests, row->rss / MIB, row->pss / MIB);
    }
    return TRUE;
}

static gboolean write_results(const Bench *bench, GError **error)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    g_autofree char *text = NULL;

    json_node_set_object(node, bench->results);
    text = json_to_string(node, TRUE);
    return g_file_set_contents(bench->json, text, -1, error);
}

static gboolean measure_all(Bench *bench, GError **error)
{
    g_autofree char *head = report_head();

    for (char **name = bench->names; name && *name; name++) {
        if (!setup_find(*name)) {
            g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                        "there is no setup '%s'; --list tells those there are", *name);
            return FALSE;
        }
    }
    fputs(head, stdout);
    for (const Setup *setup = setups; setup->name; setup++) {
        if (is_wanted(bench, setup) && !measure(bench, setup, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean write_docs(Bench *bench, GError **error)
{
    g_autofree char *path = g_build_filename(bench->docs, "performance.md", NULL);

    return draw(bench, bench->docs, error) && docs_write(path, &bench->found, error);
}

/* The two setups that are named, in turn. */
static gboolean measure_time(Bench *bench, GError **error)
{
    const Setup *a, *b;

    if (!bench->names || g_strv_length(bench->names) != 2 || bench->pairs < 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--time wants how often, 30 or more, and two setups");
        return FALSE;
    }
    a = setup_find(bench->names[0]);
    b = setup_find(bench->names[1]);
    if (!a || !b) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "there is no setup '%s'; --list tells those there are",
                    bench->names[a ? 1 : 0]);
        return FALSE;
    }
    return timing_compare(a, b, &bench->parts, accel_of(bench), (guint)bench->pairs, error);
}

static gboolean work(Bench *bench, GError **error)
{
    gboolean only_other = !bench->json && !bench->pictures && !bench->docs && !bench->accept &&
                          (bench->growth || bench->memory || bench->guests) && !bench->startup;

    if (!parts_prepare(&bench->parts, error)) {
        return FALSE;
    }
    if (bench->pairs) {
        return measure_time(bench, error);
    }
    return (only_other || measure_all(bench, error)) &&
           (!bench->growth || measure_growth(bench, error)) &&
           (!bench->startup || measure_startup(bench, error)) &&
           (!bench->memory || measure_memory(bench, error)) &&
           (!bench->guests || measure_guests(bench, error)) &&
           (!bench->json || write_results(bench, error)) &&
           (!bench->pictures || draw(bench, bench->pictures, error)) &&
           (!bench->docs || write_docs(bench, error));
}

static void list_setups(void)
{
    for (const Setup *setup = setups; setup->name; setup++) {
        printf("%-10s %s%s\n", setup->name, setup->what, setup->guarded ? "; guarded" : "");
    }
}

static gboolean parse(Bench *bench, int *argc, char ***argv, GError **error)
{
    gboolean list = FALSE;
    const GOptionEntry options[] = {
        {"out", 0, 0, G_OPTION_ARG_FILENAME, &bench->parts.out, "where QEMU and kernel are", "DIR"},
        {"plugin", 0, 0, G_OPTION_ARG_FILENAME, &bench->parts.plugin, "the plugin", "FILE"},
        {"init", 0, 0, G_OPTION_ARG_FILENAME, &bench->parts.init, "the root's init", "FILE"},
        {"debian", 0, 0, G_OPTION_ARG_FILENAME, &bench->parts.debian,
         "Debian's vmlinuz and initrd.img", "DIR"},
        {"defconfig", 0, 0, G_OPTION_ARG_FILENAME, &bench->parts.defconfig,
         "the kernel of defconfig, virtio and containers", "DIR"},
        {"q35", 0, 0, G_OPTION_ARG_FILENAME, &bench->parts.q35, "a QEMU that has q35", "FILE"},
        {"baselines", 0, 0, G_OPTION_ARG_FILENAME, &bench->baselines, "what was accepted", "DIR"},
        {"accept", 0, 0, G_OPTION_ARG_STRING, &bench->accept,
         "take what is counted now as right, and write down why", "WHY"},
        {"commit", 0, 0, G_OPTION_ARG_STRING, &bench->commit, "on top of which that is", "HASH"},
        {"json", 0, 0, G_OPTION_ARG_FILENAME, &bench->json, "write all counts there", "FILE"},
        {"pictures", 0, 0, G_OPTION_ARG_FILENAME, &bench->pictures, "draw what was counted", "DIR"},
        {"all", 0, 0, G_OPTION_ARG_NONE, &bench->all, "the setups that have no baseline too", NULL},
        {"growth", 0, 0, G_OPTION_ARG_NONE, &bench->growth,
         "with more CPUs, memory and devices, up to what the board takes", NULL},
        {"startup", 0, 0, G_OPTION_ARG_NONE, &bench->startup, "count what QEMU itself takes, too",
         NULL},
        {"memory", 0, 0, G_OPTION_ARG_NONE, &bench->memory, "what memory each setup takes", NULL},
        {"guests", 0, 0, G_OPTION_ARG_NONE, &bench->guests, "1 to 24 guests at once", NULL},
        {"docs", 0, 0, G_OPTION_ARG_FILENAME, &bench->docs,
         "all of these, for performance.md and its pictures", "DIR"},
        {"details", 0, 0, G_OPTION_ARG_NONE, &bench->details,
         "show initcalls, functions and devices", NULL},
        {"append", 0, 0, G_OPTION_ARG_STRING, &bench->append, "words for the kernel's command line",
         "WORDS"},
        {"disks", 0, 0, G_OPTION_ARG_INT, &bench->disks, "so many disks more", "N"},
        {"loud", 0, 0, G_OPTION_ARG_NONE, &bench->loud, "without the kernel's quiet", NULL},
        {"time", 0, 0, G_OPTION_ARG_INT, &bench->pairs,
         "boot two setups in turn, N times each, and compare how long they take", "N"},
        {"accel", 0, 0, G_OPTION_ARG_STRING, &bench->accel,
         "kvm or tcg, for --time, --memory, --guests", "ACCEL"},
        {"list", 0, 0, G_OPTION_ARG_NONE, &list, "tell the setups, and stop", NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &bench->names, NULL, "SETUP"},
        {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new("- what a boot costs, counted");

    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, argc, argv, error)) {
        return FALSE;
    }
    if (list) {
        list_setups();
        exit(0);
    }
    if (bench->docs) {
        bench->all = bench->growth = bench->startup = bench->memory = bench->guests = TRUE;
    }
    if (!bench->parts.out || !bench->parts.plugin || !bench->parts.init || !bench->baselines) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                    "--out, --plugin, --init and --baselines are wanted; ci/boot-bench gives them");
        return FALSE;
    }
    if (bench->disks < 0 || bench->disks > SETUP_MORE_DISKS) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--disks: 0 to %d",
                    SETUP_MORE_DISKS);
        return FALSE;
    }
    if (bench->accept && (bench->append || bench->disks || bench->loud)) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--accept: not of a guest that --append, --disks or --loud have changed");
        return FALSE;
    }
    return TRUE;
}

int main(int argc, char **argv)
{
    Bench bench = {.results = json_object_new(),
                   .found.setups = g_ptr_array_new_with_free_func(result_free)};
    g_autoptr(GError) error = NULL;

    if (!parse(&bench, &argc, &argv, &error)) {
        g_printerr("boot-bench: %s\n", error->message);
        return 2;
    }
    if (!work(&bench, &error)) {
        g_printerr("boot-bench: %s\n", error->message);
    }
    parts_clear(&bench.parts);
    json_object_unref(bench.results);
    g_ptr_array_unref(bench.found.setups);
    g_clear_pointer(&bench.found.growth, g_ptr_array_unref);
    g_clear_pointer(&bench.found.memory, g_ptr_array_unref);
    g_clear_pointer(&bench.found.guests, g_ptr_array_unref);
    return error || bench.dearer ? 1 : 0;
}
