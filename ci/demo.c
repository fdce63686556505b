/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the quickstart shows: a guest started by microvm-launch, its console until it is ready, a
 * line for each thing checked, and where the time went.
 *
 *   demo LAUNCHER CONFIG STORAGE_CFG RUNTIME_DIR [--keep]
 *
 * With --keep the guest goes on running, and the power button is not pressed. Exit status 0 when
 * every check passed.
 */
#include <string.h>
#include <unistd.h>

#include "checks.h"

#define READY_LIMIT 300 /* seconds */
#define BAR_WIDTH 40

static gboolean colour;

static const char *paint(const char *code)
{
    return colour ? code : "";
}

static void title(const char *text)
{
    printf("\n%s%s%s\n", paint("\033[1m"), text, paint("\033[0m"));
}

static gboolean report(const char *name, char *seen, GError *error)
{
    if (seen) {
        printf("  %sok%s      %-13s %s\n", paint("\033[32m"), paint("\033[0m"), name, seen);
    } else {
        printf("  %sFAILED%s  %-13s %s\n", paint("\033[31m"), paint("\033[0m"), name,
               error->message);
    }
    fflush(stdout);
    g_clear_error(&error);
    if (!seen) {
        return FALSE;
    }
    g_free(seen);
    return TRUE;
}

static gboolean run_checks(Guest *guest)
{
    static const struct {
        const char *name;
        char *(*check)(Guest *guest, GError **error);
    } checks[] = {
        {"guest agent", check_agent},
        {"network", check_network},
        {"disk", check_disk},
        {"balloon", check_balloon},
    };
    GError *error = NULL;
    char *seen = check_devices(guest, FALSE, NULL, &error);
    gboolean good = report("devices", seen, error);

    for (gsize i = 0; i < G_N_ELEMENTS(checks); i++) {
        error = NULL;
        seen = checks[i].check(guest, &error);
        good = report(checks[i].name, seen, error) && good;
    }
    return good;
}

/* Moments of a boot, in microseconds on the host's clock. */
typedef struct {
    gint64 launched, set_up, kernel, initrd, init, ready;
} Boot;

/* A number that @shell_command prints in the guest, in units of @scale microseconds. */
static gboolean ask_time(Guest *guest, const char *shell_command, double scale, gint64 *us,
                         GError **error)
{
    g_autofree char *text = agent_shell(guest->agent, shell_command, channel_deadline(60), error);

    if (!text) {
        return FALSE;
    }
    if (!*g_strchomp(text)) {
        g_set_error(error, GUEST_ERROR, GUEST_ERROR_CHECK, "the guest does not know: %s",
                    shell_command);
        return FALSE;
    }
    *us = (gint64)(g_ascii_strtod(text, NULL) * scale);
    return TRUE;
}

/*
 * The guest's own clock starts with its kernel. What it says is moved to the host's clock by asking
 * it for the time now.
 */
static gboolean find_moments(Guest *guest, gint64 ready, Boot *boot, GError **error)
{
    gint64 uptime, initrd, init, asked;

    asked = g_get_monotonic_time();
    if (!ask_time(guest, "cut -d' ' -f1 /proc/uptime", 1e6, &uptime, error) ||
        !ask_time(guest,
                  "dmesg | sed -n 's/^\\[ *\\([0-9.]*\\)\\] Run \\/init as init process.*/\\1/p'",
                  1e6, &initrd, error) ||
        !ask_time(guest, "systemctl show -P UserspaceTimestampMonotonic", 1, &init, error)) {
        return FALSE;
    }
    boot->launched = guest->launched;
    boot->set_up = guest->set_up;
    boot->kernel = MAX(asked - uptime, guest->set_up);
    boot->initrd = boot->kernel + initrd;
    boot->init = boot->kernel + init;
    boot->ready = ready;
    return TRUE;
}

static void bar(const char *name, gint64 from, gint64 to, const Boot *boot)
{
    gint64 all = boot->ready - boot->launched;
    int start = (from - boot->launched) * BAR_WIDTH / all;
    int end = (to - boot->launched) * BAR_WIDTH / all;

    printf("  %-22s %6.2f s  %*s%s", name, (to - from) / 1e6, start, "", paint("\033[36m"));
    for (int i = start; i < MAX(end, start + 1); i++) {
        fputs("▇", stdout);
    }
    printf("%s\n", paint("\033[0m"));
}

static void show_timeline(const Boot *boot)
{
    title("Where the time went");
    bar("launcher and QEMU", boot->launched, boot->set_up, boot);
    bar("firmware, loading", boot->set_up, boot->kernel, boot);
    bar("kernel", boot->kernel, boot->initrd, boot);
    bar("initrd", boot->initrd, boot->init, boot);
    bar("systemd, until ready", boot->init, boot->ready, boot);
    printf("  %-22s %6.2f s\n", "in all", (boot->ready - boot->launched) / 1e6);
}

static gboolean press_power_button(Guest *guest)
{
    gint64 pressed = g_get_monotonic_time();
    GError *error = NULL;
    char *seen = NULL;

    if (guest_power_down(guest, channel_deadline(READY_LIMIT), &error) &&
        guest_left_nothing(guest, &error)) {
        seen = g_strdup_printf("the guest shut itself down in %.1f s; nothing is left behind",
                               (g_get_monotonic_time() - pressed) / 1e6);
    }
    return report("power button", seen, error);
}

static gboolean show(const GuestSpec *spec, gboolean keep, GError **error)
{
    g_autoptr(Guest) guest = NULL;
    gint64 deadline = channel_deadline(READY_LIMIT), ready;
    Boot boot;
    gboolean good;

    title("The guest's console");
    guest = guest_start(spec, error);
    if (!guest || !guest_wait_ready(guest, deadline, error)) {
        return FALSE;
    }
    ready = g_get_monotonic_time();
    if (!console_wait(guest->console, "login:", deadline, NULL, error)) {
        return FALSE;
    }
    console_mute(guest->console);
    if (!find_moments(guest, ready, &boot, error)) {
        return FALSE;
    }
    printf("\n");
    title("Checks");
    good = run_checks(guest);
    if (keep) {
        guest_let_go(guest);
    } else {
        good = press_power_button(guest) && good;
    }
    show_timeline(&boot);
    return good;
}

int main(int argc, char **argv)
{
    gboolean keep = argc == 6 && strcmp(argv[5], "--keep") == 0;
    g_autoptr(GError) error = NULL;
    GuestSpec spec = {.echo = stdout};
    gboolean good;

    if (argc != 5 && !keep) {
        fprintf(stderr, "usage: demo LAUNCHER CONFIG STORAGE_CFG RUNTIME_DIR [--keep]\n");
        return 2;
    }
    colour = isatty(STDOUT_FILENO);
    spec.launcher = argv[1];
    spec.config = argv[2];
    spec.storage_cfg = argv[3];
    spec.runtime_dir = argv[4];
    good = show(&spec, keep, &error);
    if (error) {
        fprintf(stderr, "demo: %s\n", error->message);
    }
    return good ? 0 : 1;
}
