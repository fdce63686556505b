/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Boots Linux on the microvm board in many combinations of what a user can choose (axes.c), under
 * TCG, and checks of each device which driver has it, on which bus, and that it moves data. Writes
 * TAP, a line a combination. Arguments like "kernel=debian" restrict the combinations to such; all
 * the words of a combination's name together run it alone.
 *
 * The environment names what is tested:
 *   MICROVM_QEMU           qemu-system-x86_64
 *   MICROVM_VMLINUX        our guest kernel, as ELF with a PVH entry
 *   MICROVM_BZIMAGE        the same kernel, as bzImage
 *   MICROVM_DEBIAN         a directory with Debian's kernel, as ci/debian-kernel makes it
 *   MICROVM_MATRIX_INITRD  the archive built here (matrix-initrd)
 *   MICROVM_FULL           1: all values of the axes, and more of their full crosses
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "cell.h"
#include "echo.h"
#include "matrix.h"

#define BOOT_LIMIT 120 /* seconds, on a slow, busy host */
#define GUESTS 2       /* at once, where there are as many cores */
#define MIB (1024L * 1024)
#define REASONS 16
#define SPARE_KB 65536 /* of the memory, and a sixteenth of it, a kernel may keep for itself */

enum { NET, PORT, CHANNELS };

static gboolean fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static gboolean fail(GError **error, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED, text);
    return FALSE;
}

/* Lets the guest carry out @command, and waits until it has. */
static gboolean tell(Boot *boot, const char *command, GError **error)
{
    g_autofree char *line = g_strdup_printf("%s\n", command);
    g_autofree char *done = g_strdup_printf("\nboard: done %s\n", command);

    return boot_send(boot, line, error) && boot_wait_text(boot, done, error);
}

/* The one line that begins with "board: @key=" goes on with @value. */
static gboolean says(const Boot *boot, const char *key, const char *value, GError **error)
{
    g_autofree char *start = g_strdup_printf("board: %s=", key);
    g_auto(GStrv) lines = boot_lines(boot, start);

    if (g_strv_length(lines) != 1 || !g_str_equal(lines[0], value)) {
        return fail(error, "%s is '%s', not '%s'", key, lines[0] ? lines[0] : "missing", value);
    }
    return TRUE;
}

static gboolean check_device(const Cell *cell, const char *line, GError **error)
{
    const int *v = cell->values;
    const char *modern = v[TRANSPORT] == TRANSPORT_MODERN ? " modern=1 " : " modern=0 ";
    const char *bus = v[PCIE] == PCIE_USED ? "/pci0000:00/"
                      : v[ACPI] == ACPI_ON ? "/LNRO0005:"
                                           : "/virtio-mmio.";

    if (!strstr(line, modern) || !strstr(line, bus)) {
        return fail(error, "not '%s' on '%s': %s", modern, bus, line);
    }
    return TRUE;
}

/* All CPUs are up; they are numbered from 0. */
static gboolean check_cpus(const Cell *cell, const Boot *boot, GError **error)
{
    int cpus = axes_number(SMP, cell->values[SMP]);
    g_autofree char *online = cpus > 1 ? g_strdup_printf("0-%d", cpus - 1) : g_strdup("0");

    return says(boot, "cpus", online, error);
}

/* Every device is bound, each by its driver, and on the bus where it was plugged. */
static gboolean check_devices(const Cell *cell, const Boot *boot, GError **error)
{
    const struct {
        const char *driver;
        guint wanted;
    } drivers[] = {{"virtio_blk", cell->disks->len},
                   {"virtio_net", 1},
                   {"virtio_console", 1},
                   {"virtio_balloon", 1},
                   {"virtio_rng", 1},
                   {"9pnet_virtio", cell_has_share(cell->values)},
                   {"none", 0}};
    g_auto(GStrv) lines = boot_lines(boot, "board: device=");

    for (gsize i = 0; i < G_N_ELEMENTS(drivers); i++) {
        g_autofree char *word = g_strdup_printf(" driver=%s ", drivers[i].driver);
        guint found = 0;

        for (char **line = lines; *line; line++) {
            found += strstr(*line, word) != NULL;
        }
        if (found != drivers[i].wanted) {
            return fail(error, "%u devices are bound by %s, not %u", found, drivers[i].driver,
                        drivers[i].wanted);
        }
    }
    for (char **line = lines; *line; line++) {
        if (!check_device(cell, *line, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean check_data(const Cell *cell, const Boot *boot, GError **error)
{
    g_auto(GStrv) disks = boot_lines(boot, "board: disk=");

    for (char **line = disks; *line; line++) {
        if (!g_str_has_suffix(*line, " written=1")) {
            return fail(error, "the disk %s", *line);
        }
    }
    if (g_strv_length(disks) != cell->disks->len) {
        return fail(error, "%u disks, not %u", g_strv_length(disks), cell->disks->len);
    }
    return says(boot, "port", "1", error) && says(boot, "net", "1", error) &&
           says(boot, "rng", "virtio_rng.0 bytes=64", error) &&
           (!cell_has_share(cell->values) || says(boot, "share", cell->text, error));
}

/* Asks the guest to make do with @bytes. */
static gboolean set_balloon(Boot *boot, long bytes, GError **error)
{
    g_autofree char *arguments = g_strdup_printf("{\"value\": %ld}", bytes);
    Qmp *qmp = boot_qmp(boot, error);
    JsonNode *answer;

    answer = qmp ? qmp_execute(qmp, "balloon", arguments, boot_deadline(boot), error) : NULL;
    if (answer) {
        json_node_unref(answer);
    }
    return answer != NULL;
}

/* Waits until it does. QEMU sends such events at most once a second. */
static gboolean wait_balloon(Boot *boot, long bytes, GError **error)
{
    long actual = -1;

    while (actual != bytes) {
        g_autoptr(JsonObject) event =
            qmp_wait_event(boot_qmp(boot, NULL), "BALLOON_CHANGE", boot_deadline(boot), error);

        if (!event) {
            g_prefix_error(error, "balloon at %ld: ", actual);
            return FALSE;
        }
        actual = json_object_get_int_member(json_object_get_object_member(event, "data"), "actual");
    }
    return TRUE;
}

/* The guest's memory in kB as it sees it; 0 with @error. @when tells one time from another. */
static long memory(Boot *boot, const char *when, GError **error)
{
    g_autofree char *command = g_strdup_printf("memory %s", when);
    g_autofree char *start = g_strdup_printf("board: memory %s=", when);
    g_auto(GStrv) lines = NULL;

    if (!tell(boot, command, error)) {
        return 0;
    }
    lines = boot_lines(boot, start);
    if (!lines[0]) {
        fail(error, "the guest did not say its memory");
    }
    return lines[0] ? strtol(lines[0], NULL, 10) : 0;
}

/* The balloon is blown up by a MiB, let down again meanwhile; the data of all others is moved. */
static gboolean use_devices(const Cell *cell, Boot *boot, GError **error)
{
    long bytes = axes_number(MEMORY, cell->values[MEMORY]) * MIB;
    long before, smaller, after;

    before = memory(boot, "before", error);
    if (before && before < bytes / 1024 - bytes / 1024 / 16 - SPARE_KB) {
        return fail(error, "the guest has only %ld kB", before);
    }
    if (!before || !set_balloon(boot, bytes - MIB, error) ||
        !wait_balloon(boot, bytes - MIB, error)) {
        return FALSE;
    }
    smaller = memory(boot, "smaller", error);
    if (!smaller || !set_balloon(boot, bytes, error) || !tell(boot, "data", error) ||
        !check_data(cell, boot, error) || !wait_balloon(boot, bytes, error)) {
        return FALSE;
    }
    after = memory(boot, "after", error);
    if (after && (before - smaller != 1024 || after != before)) {
        fail(error, "the guest had %ld kB, %ld with 1024 less, then %ld", before, smaller, after);
    }
    return after && before - smaller == 1024 && after == before;
}

/*
 * The kernel has complained of nothing, but that this is no PC, and that the PIT's first ticks were
 * late, as they are on a busy host.
 */
static gboolean check_errors(const Boot *boot, GError **error)
{
    static const char *const usual[] = {"PCI: Fatal: No config space access function found",
                                        "ACPI BIOS Error (bug): A valid RSDP was not found",
                                        "..MP-BIOS bug: 8254 timer not connected to IO-APIC"};
    g_auto(GStrv) lines = boot_lines(boot, "board: error=");

    for (char **line = lines; *line; line++) {
        gboolean known = FALSE;

        for (gsize i = 0; i < G_N_ELEMENTS(usual); i++) {
            known = known || g_str_has_prefix(*line, usual[i]);
        }
        if (!known) {
            return fail(error, "the kernel says: %s", *line);
        }
    }
    return TRUE;
}

static gboolean run_guest(const Cell *cell, Boot *boot, GError **error)
{
    return boot_wait_text(boot, "\nboard: ready\n", error) && check_cpus(cell, boot, error) &&
           check_devices(cell, boot, error) && use_devices(cell, boot, error) &&
           tell(boot, "errors", error) && check_errors(boot, error) &&
           boot_send(boot, "end\n", error) && boot_wait_end(boot, error) &&
           cell_check_disks(cell, error);
}

/* Frees @boot, whose end is that of the channels, and checks what has come through them. */
static gboolean end_channels(Echo *echo, Boot *boot, GError **error)
{
    gsize bytes[CHANNELS];

    boot_free(boot);
    echo_end(echo, bytes);
    if (bytes[NET] != ECHO_BYTES || bytes[PORT] != ECHO_BYTES) {
        return fail(error, "%zu bytes came by network, %zu by the port", bytes[NET], bytes[PORT]);
    }
    return TRUE;
}

/* One combination: what is to be done, and what has come out. */
typedef struct {
    const int *values;
    guint number;
    gboolean passed;
    double seconds;
    GString *notes; /* why it has failed */
} Job;

/* @text as comments of TAP. */
static void add_notes(Job *job, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        g_string_append_printf(job->notes, "# %s\n", *line);
    }
}

/* What was run, and how it has failed. */
static void explain(Job *job, const Cell *cell, Boot *boot, const GError *error)
{
    add_notes(job, error->message);
    g_string_append_c(job->notes, '#');
    for (guint i = 0; cell && i < cell->argv->len && cell->argv->pdata[i]; i++) {
        g_autofree char *quoted = g_shell_quote(cell->argv->pdata[i]);

        g_string_append_printf(job->notes, " %s",
                               strchr(quoted, ' ') ? quoted : (char *)cell->argv->pdata[i]);
    }
    g_string_append_c(job->notes, '\n');
    if (boot) {
        boot_drain(boot);
        add_notes(job, boot_console(boot));
    }
}

static const CellImages *images;

static void run_job(gpointer data, gpointer results)
{
    Job *job = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(Cell) cell = cell_new(images, job->values, job->number, &error);
    const char *const paths[] = {[NET] = cell ? cell->net : NULL, cell ? cell->port : NULL, NULL};
    Boot *boot = cell ? boot_start(cell->argv, BOOT_LIMIT, &error) : NULL;
    /* QEMU has its sockets once it has a monitor */
    Echo *echo = boot && boot_qmp(boot, &error) ? echo_start(paths, &error) : NULL;

    job->passed = echo && run_guest(cell, boot, &error);
    job->seconds = boot ? boot_seconds(boot) : 0;
    if (!job->passed) {
        explain(job, cell, boot, error);
    }
    if (!echo) {
        boot_free(boot);
    } else if (!end_channels(echo, boot, job->passed ? &error : NULL) && job->passed) {
        job->passed = FALSE;
        explain(job, cell, NULL, error);
    }
    g_async_queue_push(results, job);
}

/* Boots the combinations in @set, and prints what comes of each as it comes. Returns how many
 * failed. */
static guint run_set(const GPtrArray *set)
{
    g_autofree Job *jobs = g_new0(Job, set->len);
    g_autoptr(GAsyncQueue) results = g_async_queue_new();
    int guests = (int)MIN(GUESTS, g_get_num_processors());
    GThreadPool *pool = g_thread_pool_new(run_job, results, guests, TRUE, NULL);
    guint failed = 0;

    for (guint i = 0; i < set->len; i++) {
        jobs[i] = (Job){.values = set->pdata[i], .number = i, .notes = g_string_new(NULL)};
        g_thread_pool_push(pool, &jobs[i], NULL);
    }
    for (guint i = 1; i <= set->len; i++) {
        Job *job = g_async_queue_pop(results);
        g_autofree char *name = axes_name(job->values);

        printf("%sok %u - %s\n# %.1f s\n%s", job->passed ? "" : "not ", i, name, job->seconds,
               job->notes->str);
        fflush(stdout);
        failed += !job->passed;
        g_string_free(job->notes, TRUE);
    }
    g_thread_pool_free(pool, FALSE, TRUE);
    return failed;
}

typedef struct {
    gsize valid, refused[REASONS];
} Counts;

static void count(const int *values, gpointer data)
{
    Counts *counts = data;
    int reason = axes_refused(values);

    if (reason < 0) {
        counts->valid++;
    } else {
        counts->refused[reason]++;
    }
}

/* How many combinations there are, and what cannot be. */
static gsize count_all(void)
{
    Counts counts = {0};
    const char *reason;

    cover_for_each(axes_all(), count, &counts);
    for (int i = 0; (reason = axes_reason(i)); i++) {
        g_assert(i < REASONS);
        printf("# %zu left out: %s\n", counts.refused[i], reason);
    }
    return counts.valid;
}

static const char *environment(const char *name)
{
    const char *value = g_getenv(name);

    if (!value) {
        g_printerr("test-matrix: %s is not set\n", name);
        exit(2);
    }
    return value;
}

static void read_arguments(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!g_str_equal(argv[i], "--tap") && !axes_fix(argv[i])) {
            g_printerr("test-matrix: %s is no axis and its value\n", argv[i]);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    const char *debian = environment("MICROVM_DEBIAN");
    g_autofree char *vmlinuz = g_build_filename(debian, "vmlinuz", NULL);
    g_autofree char *modules = g_build_filename(debian, "modules.cpio", NULL);
    const CellImages given = {
        .qemu = environment("MICROVM_QEMU"),
        .kernels = {[KERNEL_VMLINUX] = environment("MICROVM_VMLINUX"),
                    [KERNEL_BZIMAGE] = environment("MICROVM_BZIMAGE"),
                    [KERNEL_DEBIAN] = vmlinuz},
        .initrd = environment("MICROVM_MATRIX_INITRD"),
        .modules = modules,
    };
    gboolean full = g_strcmp0(g_getenv("MICROVM_FULL"), "1") == 0;
    g_autoptr(GPtrArray) set = NULL;
    gsize valid = count_all();
    guint failed;

    images = &given;
    read_arguments(argc, argv);
    if (!full) {
        axes_set_quick();
    }
    set = cover_make(axes_space(), 2, full ? axes_crosses_full : axes_crosses_quick);
    printf("1..%u\n", set->len);
    failed = run_set(set);
    printf("# %u of %zu combinations that can be were booted, %u failed\n", set->len, valid,
           failed);
    return failed || !set->len;
}
