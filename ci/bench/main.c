/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-bench: what a boot costs, counted. ci/boot-bench builds what it needs and runs it.
 */
#include <stdio.h>

#include "baseline.h"
#include "compare.h"
#include "count-run.h"
#include "report.h"

typedef struct {
    Parts parts;
    char *baselines, *accept, *json, *append;
    char **names; /* of setups */
    gboolean details, loud;
    int disks, runs;
    /* results */
    JsonObject *results;
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
        return baseline_accept(path, before, counts, inputs, bench->accept, error);
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
    json_object_set_object_member(bench->results, setup.name, counts_to_json(counts, inputs));
    fflush(stdout);
    return !setup.guarded || judge(bench, &setup, counts, inputs, error);
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

    fputs(head, stdout);
    for (char **name = bench->names; name && *name; name++) {
        const Setup *setup = setup_find(*name);

        if (!setup) {
            g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                        "there is no setup '%s'; --list tells those there are", *name);
            return FALSE;
        }
        if (!measure(bench, setup, error)) {
            return FALSE;
        }
    }
    for (const Setup *setup = setups; !bench->names && setup->name; setup++) {
        if (setup->guarded && !measure(bench, setup, error)) {
            return FALSE;
        }
    }
    return !bench->json || write_results(bench, error);
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
        {"debian", 0, 0, G_OPTION_ARG_FILENAME, &bench->parts.debian, "Debian's kernel", "DIR"},
        {"baselines", 0, 0, G_OPTION_ARG_FILENAME, &bench->baselines, "what was accepted", "DIR"},
        {"accept", 0, 0, G_OPTION_ARG_STRING, &bench->accept,
         "take what is counted now as right, and write down why", "WHY"},
        {"json", 0, 0, G_OPTION_ARG_FILENAME, &bench->json, "write all counts there", "FILE"},
        {"details", 0, 0, G_OPTION_ARG_NONE, &bench->details,
         "show initcalls, functions and devices", NULL},
        {"append", 0, 0, G_OPTION_ARG_STRING, &bench->append, "words for the kernel's command line",
         "WORDS"},
        {"disks", 0, 0, G_OPTION_ARG_INT, &bench->disks, "so many disks more", "N"},
        {"loud", 0, 0, G_OPTION_ARG_NONE, &bench->loud, "without the kernel's quiet", NULL},
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
    if (!bench->parts.out || !bench->parts.plugin || !bench->parts.init || !bench->baselines) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                    "--out, --plugin, --init and --baselines are wanted; ci/boot-bench gives them");
        return FALSE;
    }
    return TRUE;
}

int main(int argc, char **argv)
{
    Bench bench = {.results = json_object_new()};
    g_autoptr(GError) error = NULL;

    if (!parse(&bench, &argc, &argv, &error)) {
        g_printerr("boot-bench: %s\n", error->message);
        return 2;
    }
    if (!parts_prepare(&bench.parts, &error) || !measure_all(&bench, &error)) {
        g_printerr("boot-bench: %s\n", error->message);
    }
    parts_clear(&bench.parts);
    json_object_unref(bench.results);
    return error || bench.dearer ? 1 : 0;
}
