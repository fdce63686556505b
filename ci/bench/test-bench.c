/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does boot-bench give the same counts each time, and does it name what makes a boot dearer? Each
 * test boots a guest that differs in one known thing. The arguments are boot-bench itself and the
 * options that ci/boot-bench gives it, --baselines aside.
 */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUICK_RUNS 2
#define FULL_RUNS 10
#define BURNERS 4 /* processes that keep the machine busy */

static char **bench; /* NULL-terminated */
static char *dir;

/* Runs boot-bench with the further words up to NULL. Returns what it says; *@status its exit code.
 */
static char *run(int *status, ...) G_GNUC_NULL_TERMINATED;
static char *run(int *status, ...)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GSubprocess) process = NULL;
    g_autoptr(GError) error = NULL;
    const char *word;
    char *out = NULL;
    va_list words;

    for (char **at = bench; *at; at++) {
        g_ptr_array_add(argv, *at);
    }
    g_ptr_array_add(argv, (char *)"--baselines");
    g_ptr_array_add(argv, dir);
    va_start(words, status);
    while ((word = va_arg(words, const char *))) {
        g_ptr_array_add(argv, (char *)word);
    }
    va_end(words);
    g_ptr_array_add(argv, NULL);
    process =
        g_subprocess_newv((const char *const *)argv->pdata,
                          G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE, &error);
    g_assert_no_error(error);
    g_subprocess_communicate_utf8(process, NULL, NULL, &out, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(g_subprocess_get_if_exited(process));
    *status = g_subprocess_get_exit_status(process);
    g_test_message("%s", out);
    return out;
}

static void expect(const char *said, const char *text)
{
    if (!strstr(said, text)) {
        g_error("'%s' is not in what boot-bench said:\n%s", text, said);
    }
}

/* A process that computes until the test ends. */
static pid_t burner(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (volatile unsigned i = 0;; i++) {
        }
    }
    g_assert_cmpint(pid, >, 0);
    return pid;
}

static void test_same(void)
{
    g_autofree char *json = g_build_filename(dir, "counts", NULL), *first = NULL;
    int runs = g_getenv("MICROVM_FULL") ? FULL_RUNS : QUICK_RUNS;
    pid_t burners[BURNERS] = {0};

    for (int i = 0; i < runs; i++) {
        g_autofree char *text = NULL, *said = NULL;
        int status;

        said = run(&status, "--json", json, "--accept", "first", "mmio", NULL);
        g_assert_cmpint(status, ==, 0);
        g_assert_true(g_file_get_contents(json, &text, NULL, NULL));
        if (!first) {
            first = g_steal_pointer(&text);
            for (int k = 0; k < BURNERS; k++) {
                burners[k] = burner();
            }
        } else {
            g_assert_cmpstr(text, ==, first); /* every count, of every function */
        }
    }
    for (int k = 0; k < BURNERS; k++) {
        kill(burners[k], SIGKILL);
        waitpid(burners[k], NULL, 0);
    }
    g_remove(json);
}

static void test_unchanged(void)
{
    int status;
    g_autofree char *said = run(&status, "mmio", NULL);

    g_assert_cmpint(status, ==, 0);
    g_assert_null(strstr(said, "was"));
}

/* Each huge page is set aside by the initcall, so it gets slower. */
static void test_slow_initcall(void)
{
    int status;
    g_autofree char *said = run(&status, "--append", "hugepages=32", "mmio", NULL);

    g_assert_cmpint(status, ==, 1);
    expect(said, "DEARER");
    expect(said, "phase kernel: instructions");
    expect(said, "initcall hugetlb_init: ");
}

static void test_more_devices(void)
{
    int status;
    g_autofree char *said = run(&status, "--disks", "1", "mmio", NULL);

    g_assert_cmpint(status, ==, 1);
    expect(said, "phase kernel: device mmio virtio-blk");
    expect(said, "initcall virtio_blk_init: ");
}

static void test_chatty_console(void)
{
    int status;
    g_autofree char *said = run(&status, "--loud", "mmio", NULL);

    g_assert_cmpint(status, ==, 1);
    expect(said, "phase kernel: device port serial");
    expect(said, "function serial8250_console_putchar: ");
}

/* Every time-stamp and size is there; seconds are not told of an emulator. */
static void test_time(void)
{
    int status;
    g_autofree char *said = run(&status, "--accel", "tcg", "--time", "1", "mmio", "pcie", NULL);
    static const char *const rows[] = {
        "mmio       to first instruction least",      "mmio       to kernel            least",
        "pcie       to root's init       least",      "pcie       to ready             least",
        "pcie       QEMU's CPU time      least",      "mmio       RSS                  least",
        "mmio       PSS                  least",      "mmio       RSS, guest's memory  least",
        "of mmio's median to ready: there is no KVM", "no verdict, 1 pairs are fewer than 30"};

    g_assert_cmpint(status, ==, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        expect(said, rows[i]);
    }
    g_assert_null(strstr(said, "nan"));
}

/* In a host whose KVM works: seconds are told, and KVM's own counts. */
static void test_kvm(void)
{
    int status;
    g_autofree char *said = run(&status, "--accel", "kvm", "--time", "1", "mmio", "no-acpi", NULL);

    g_assert_cmpint(status, ==, 0);
    expect(said, "mmio       to first instruction least");
    expect(said, "no-acpi    to ready             least");
    expect(said, "mmio       KVM's exits ");
    expect(said, "mmio       KVM's io_exits ");
    expect(said, "no-acpi    KVM's mmio_exits ");
    g_assert_null(strstr(said, "there is no KVM"));
}

/* That 24 guests at once all get ready. */
static void test_guests(void)
{
    int status;
    g_autofree char *said = run(&status, "--accel", "tcg", "--guests", NULL);

    g_assert_cmpint(status, ==, 0);
    expect(said, "\n24 ");
}

static void test_bad_baseline(void)
{
    g_autofree char *path = g_build_filename(dir, "mmio.json", NULL), *said = NULL;
    int status;

    g_assert_true(g_file_set_contents(path, "{\"phases\": 1}", -1, NULL));
    said = run(&status, "mmio", NULL);
    g_assert_cmpint(status, ==, 1);
    expect(said, "mmio.json: not a baseline");
}

int main(int argc, char **argv)
{
    g_autofree char *path = NULL;
    int rc;

    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, >, 1);
    bench = argv + 1;
    dir = g_dir_make_tmp("test-bench-XXXXXX", NULL);
    g_assert_nonnull(dir);
    if (g_getenv("MICROVM_IN_HOST")) {
        g_test_add_func("/bench/kvm", test_kvm);
        rc = g_test_run();
        g_rmdir(dir);
        g_free(dir);
        return rc;
    }
    /* in this order: the first one writes the baseline that the others are compared with */
    g_test_add_func("/bench/same", test_same);
    g_test_add_func("/bench/unchanged", test_unchanged);
    g_test_add_func("/bench/slow-initcall", test_slow_initcall);
    g_test_add_func("/bench/more-devices", test_more_devices);
    g_test_add_func("/bench/chatty-console", test_chatty_console);
    g_test_add_func("/bench/bad-baseline", test_bad_baseline);
    g_test_add_func("/bench/time", test_time);
    if (g_getenv("MICROVM_FULL")) {
        g_test_add_func("/bench/guests", test_guests);
    }
    rc = g_test_run();
    path = g_build_filename(dir, "mmio.json", NULL);
    g_remove(path);
    g_rmdir(dir);
    g_free(dir);
    return rc;
}
