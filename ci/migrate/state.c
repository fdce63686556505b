/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a move takes with it of the board's devices: after it, with the guest stopped on both sides,
 * both must be the same; and then they must do what they were told to before.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "cmos.h"
#include "tests.h"
#include "trip.h"

#define MIB (1024 * 1024)
#define MEMORY 128 /* MiB */

#define PIT_COUNTER(n) (0x40 + (n))
#define PIT_CONTROL 0x43
#define PIT_MODE2(n) ((n) << 6 | 0x34)     /* two bytes, mode 2 */
#define PIT_READ_BACK(n) (0xc0 | 2 << (n)) /* latches count and status */
#define PIT_COUNT 0x3039
#define PORT_B 0x61 /* the gate of counter 2 */
#define UART 0x3f8
#define UART_SCRATCH 7
#define FW_CFG_SELECT 0x510
#define FW_CFG_DATA 0x511
#define FW_CFG_SIGNATURE 0 /* "QEMU" */
#define CMOS_BYTES 128
#define CMOS_OWN 14 /* first of those that have no meaning to the RTC */
#define CMOS_FREE 0x60
#define TRANSPORTS 24
#define TRANSPORT(n) (0xfeb00000 + (n)*512)
#define ECAM_DEVICE(n) (0xe0000000 + ((guint64)(n) << 15))
#define ECAM_BYTES 256

static const Kind kind = {"unix", BY_UNIX, "return-path", NULL};

typedef struct {
    Trip *trip;
    Boot *boot;
    int side;
    GPtrArray *facts; /* "what: value" */
} Side;

static void say(Side *of, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void say(Side *of, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(of->facts, g_strdup_vprintf(format, args));
    va_end(args);
}

static void say_json(Side *of, const char *command, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void say_json(Side *of, const char *command, const char *format, ...)
{
    /* of the guest's indices, and of the last interrupt: the target begins without */
    static const char *const caches[] = {"signalled-used", "signalled-used-valid",
                                         "shadow-avail-idx"};
    g_autofree char *arguments = NULL, *text = NULL;
    g_autoptr(JsonNode) answer = NULL;
    va_list args;

    va_start(args, format);
    arguments = g_strdup_vprintf(format, args);
    va_end(args);
    answer = trip_qmp(of->boot, command, arguments);
    for (gsize i = 0; i < G_N_ELEMENTS(caches); i++) {
        json_object_remove_member(json_node_get_object(answer), caches[i]);
    }
    text = json_to_string(answer, FALSE);
    say(of, "%s %s: %s", command, arguments, text);
}

static void say_virtio(Side *of)
{
    g_autoptr(JsonNode) answer = trip_qmp(of->boot, "x-query-virtio", NULL);
    JsonArray *devices = json_node_get_array(answer);

    g_assert_cmpuint(json_array_get_length(devices), >=, 4);
    for (guint i = 0; i < json_array_get_length(devices); i++) {
        JsonObject *device = json_array_get_object_element(devices, i);
        const char *path = json_object_get_string_member(device, "path");
        g_autofree char *arguments = g_strdup_printf("{\"path\":\"%s\"}", path);
        g_autoptr(JsonNode) status = trip_qmp(of->boot, "x-query-virtio-status", arguments);
        gint64 queues = json_object_get_int_member(json_node_get_object(status), "num-vqs");

        say_json(of, "x-query-virtio-status", "%s", arguments);
        for (gint64 queue = 0; queue < queues; queue++) {
            say_json(of, "x-query-virtio-queue-status",
                     "{\"path\":\"%s\",\"queue\":%" G_GINT64_FORMAT "}", path, queue);
        }
    }
}

static void say_monitor(Side *of)
{
    static const char *const lines[] = {"info pic", "info registers -a", "info pci"};

    for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *text = trip_hmp(of->boot, lines[i]);

        say(of, "%s: %s", lines[i], text);
    }
}

static guint64 in(Side *of, int port)
{
    return trip_port(of->trip, of->side, "inb 0x%x", port);
}

static void out(Side *of, int port, int value)
{
    trip_port(of->trip, of->side, "outb 0x%x 0x%x", port, value);
}

static void say_ports(Side *of)
{
    static const int uart[] = {1, 3, 4, UART_SCRATCH};
    char letters[4] = "";

    for (int n = 0; n < 3; n++) {
        guint64 status, count;

        out(of, PIT_CONTROL, PIT_READ_BACK(n));
        status = in(of, PIT_COUNTER(n));
        count = in(of, PIT_COUNTER(n));
        count |= in(of, PIT_COUNTER(n)) << 8;
        say(of, "PIT counter %d: status %02x, count %04x", n, (int)status, (int)count);
    }
    say(of, "port B: %x", (int)in(of, PORT_B) & 3);
    for (gsize i = 0; i < G_N_ELEMENTS(uart); i++) {
        say(of, "UART register %d: %02x", uart[i], (int)in(of, UART + uart[i]));
    }
    for (int i = 0; i < 3; i++) {
        letters[i] = (char)in(of, FW_CFG_DATA);
    }
    say(of, "fw_cfg: %s", letters);
}

static void say_cmos(Side *of)
{
    static const int own[] = {CMOS_SECONDS_ALARM, CMOS_MINUTES_ALARM, CMOS_HOURS_ALARM, CMOS_B};

    for (gsize i = 0; i < G_N_ELEMENTS(own); i++) {
        say(of, "RTC register %d: %02x", own[i], cmos_read(of->trip, of->side, own[i]));
    }
    for (int i = CMOS_OWN; i < CMOS_BYTES; i++) {
        say(of, "CMOS byte %d: %02x", i, cmos_read(of->trip, of->side, i));
    }
    cmos_check_time(of->trip, of->side);
}

/* What can be read of the transports, of what has been selected; and of PCIe functions. */
static void say_registers(Side *of, const Board *board)
{
    static const int registers[] = {0x000, 0x004, 0x008, 0x00c, 0x010, 0x034,
                                    0x040, 0x044, 0x060, 0x070, 0x0fc};

    for (int n = 0; n < TRANSPORTS; n++) {
        for (gsize i = 0; i < G_N_ELEMENTS(registers); i++) {
            say(of, "transport %d register 0x%03x: %08x", n, registers[i],
                (guint32)trip_port(of->trip, of->side, "readl 0x%x", TRANSPORT(n) + registers[i]));
        }
    }
    for (int n = 0; board->pcie && n < 32; n++) {
        for (int i = 0; i < ECAM_BYTES; i += 4) {
            say(of, "PCIe device %d at 0x%x: %08x", n, i,
                (guint32)trip_port(of->trip, of->side, "readl 0x%" G_GINT64_MODIFIER "x",
                                   ECAM_DEVICE(n) + (guint64)i));
        }
    }
}

static char *read_memory(Side *of)
{
    g_autofree char *path = g_strdup_printf("%s/memory%d", of->trip->files.dir, of->side);
    g_autoptr(GError) error = NULL;
    char *data;
    gsize size;

    trip_tell(of->boot, "pmemsave", "{\"val\":0,\"size\":%d,\"filename\":\"%s\"}", MEMORY * MIB,
              path);
    g_file_get_contents(path, &data, &size, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(size, ==, (gsize)MEMORY * MIB);
    g_unlink(path);
    return data;
}

static void assert_same_memory(Side *source, Side *target)
{
    g_autofree char *sent = read_memory(source), *got = read_memory(target);

    for (gsize page = 0; page < (gsize)MEMORY * MIB; page += 4096) {
        if (memcmp(sent + page, got + page, 4096)) {
            g_error("the page at 0x%zx is another on the target", page);
        }
    }
}

/* A state that reset would not give them. */
static void set_by_hand(Side *of)
{
    static const char secret[] = "microvm";

    out(of, PORT_B, 1);
    out(of, PIT_CONTROL, PIT_MODE2(2));
    out(of, PIT_COUNTER(2), PIT_COUNT & 0xff);
    out(of, PIT_COUNTER(2), PIT_COUNT >> 8);
    out(of, UART + UART_SCRATCH, 0xa5);
    trip_port(of->trip, of->side, "outw 0x%x 0x%x", FW_CFG_SELECT, FW_CFG_SIGNATURE);
    g_assert_cmpint((int)in(of, FW_CFG_DATA), ==, 'Q');
    for (gsize i = 0; i < sizeof(secret); i++) {
        cmos_write(of->trip, of->side, CMOS_FREE + (int)i, (guint8)secret[i]);
    }
}

static Side side_new(Trip *trip, Boot *boot, int side)
{
    return (Side){trip, boot, side, g_ptr_array_new_with_free_func(g_free)};
}

static void collect(Side *of, const Board *board)
{
    say_virtio(of);
    say_monitor(of);
    say_ports(of);
    say_cmos(of);
    say_registers(of, board);
}

/* Moves the guest, and leaves it stopped on both sides. */
static Boot *move_stopped(Trip *trip, const Board *board)
{
    g_autofree char *uri = trip_uri(trip, &kind);
    g_autoptr(GError) error = NULL;
    Boot *target = trip_target(trip, board, &kind);

    trip_listen(target, uri);
    trip_send(trip, &kind, uri);
    trip_sent(trip, NULL, &error);
    boot_assert_no_error(trip->boot, error);
    trip_wait_status(target, "completed");
    return target;
}

static void test_same(gconstpointer data)
{
    const Board *board = data;
    Board stopped = *board;
    g_autoptr(Trip) trip = trip_new(board, "raw");
    Side source = side_new(trip, trip->boot, trip->side), target;

    stopped.stopped = TRUE;
    set_by_hand(&source);
    target = side_new(trip, move_stopped(trip, &stopped), !trip->side);
    assert_same_memory(&source, &target);
    collect(&source, board);
    collect(&target, board);
    g_assert_cmpuint(source.facts->len, ==, target.facts->len);
    for (guint i = 0; i < source.facts->len; i++) {
        g_assert_cmpstr(source.facts->pdata[i], ==, target.facts->pdata[i]);
    }
    g_test_message("%u facts and %d MiB are the same", source.facts->len, MEMORY);
    g_ptr_array_unref(source.facts);
    g_ptr_array_unref(target.facts);
    trip_tell(target.boot, "cont", "{}");
    trip_arrive(trip, target.boot);
    trip_check(trip);
    trip_end(trip);
}

static int alarms(Trip *trip)
{
    g_auto(GStrv) lines = NULL;

    trip_command(trip, "alarms");
    lines = boot_lines(trip->boot, "migrate: alarms=");
    return atoi(lines[g_strv_length(lines) - 1]);
}

/* The alarm that was set before the move rings after it, once; whatever the time it takes. */
static void test_alarm(gconstpointer data)
{
    const Board *board = data;
    g_autoptr(Trip) trip = trip_new(board, "raw");
    int before = alarms(trip);
    Boot *target;

    trip_tell(trip->boot, "stop", "{}");
    cmos_set_alarm(trip, trip->side, 2);
    target = move_stopped(trip, board);
    trip_tell(target, "cont", "{}");
    trip_arrive(trip, target);
    while (alarms(trip) == before) {
    }
    trip_check(trip);
    g_assert_cmpint(alarms(trip), ==, before + 1);
    trip_end(trip);
}

static void press_button(Boot *boot)
{
    trip_tell(boot, "system_powerdown", "{}");
}

static guint times_pressed(Trip *trip)
{
    g_auto(GStrv) lines = boot_lines(trip->boot, "migrate: power button");

    return g_strv_length(lines);
}

/* The power button works after a move; and what was pressed before it is not lost. */
static void test_button(void)
{
    static const Board board;
    g_autoptr(Trip) trip = trip_new(&board, "raw");
    g_autoptr(GError) error = NULL;
    Boot *target;

    trip_tell(trip->boot, "stop", "{}");
    press_button(trip->boot);
    target = move_stopped(trip, &board);
    trip_tell(target, "cont", "{}");
    trip_arrive(trip, target);
    boot_wait_text(trip->boot, "migrate: power button\n", &error);
    boot_assert_no_error(trip->boot, error);
    press_button(trip->boot);
    while (times_pressed(trip) < 2) {
        trip_check(trip);
    }
    trip_end(trip);
    g_assert_cmpuint(times_pressed(trip), ==, 2);
}

void add_state(void)
{
    static const Board acpi = {.cpus = 2, .memory = MEMORY, .ports = TRUE};
    static const Board legacy = {.legacy = TRUE, .memory = MEMORY, .ports = TRUE};
    static const Board no_acpi = {.acpi_off = TRUE, .memory = MEMORY, .ports = TRUE};
    static const Board pcie = {.pcie = TRUE, .memory = MEMORY, .ports = TRUE};

    g_test_add_data_func("/migrate/state/same/acpi", &acpi, test_same);
    g_test_add_data_func("/migrate/state/same/legacy", &legacy, test_same);
    g_test_add_data_func("/migrate/state/same/no-acpi", &no_acpi, test_same);
    g_test_add_data_func("/migrate/state/same/pcie", &pcie, test_same);
    g_test_add_data_func("/migrate/state/alarm/acpi", &acpi, test_alarm);
    g_test_add_data_func("/migrate/state/alarm/no-acpi", &no_acpi, test_alarm);
    g_test_add_func("/migrate/state/button", test_button);
}
