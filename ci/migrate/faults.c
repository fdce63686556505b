/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Moves that cannot succeed. Whoever is at fault says so, and the guest goes on where it was, with
 * nothing lost: it can still be moved, and all that it wrote is on its disk.
 */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"
#include "node.h"
#include "relay.h"
#include "tests.h"
#include "trip.h"

#define HALF_WAY (8 * 1024 * 1024) /* bytes; the guest has about 25 MiB that are not 0 */
#define SMALL_KIB 4096

static const Board plain;
static const Kind by_unix = {"unix", BY_UNIX, "return-path", NULL};

/* The move has failed for a reason that contains @why; NULL: chance decides between several. */
static void assert_failed(Trip *trip, const char *why)
{
    g_autoptr(GError) error = NULL;

    boot_assert(trip->boot, !trip_sent(trip, NULL, &error));
    g_test_message("the source says: %s", error->message);
    boot_assert(trip->boot, !why || strstr(error->message, why));
}

/* The target has ended, and has said @why. */
static void assert_target_failed(Boot *target, const char *why)
{
    g_auto(GStrv) lines = NULL;

    trip_target_failed(target);
    lines = boot_lines(target, "qemu-system-x86_64: ");
    for (char **line = lines; *line; line++) {
        g_test_message("the target says: %s", *line);
    }
    boot_assert(target, strstr(boot_console(target), why));
}

/* The guest is where it was; and a move to @board that nothing disturbs succeeds. */
static void assert_unharmed_on(Trip *trip, const Board *board)
{
    trip_check(trip);
    trip_move(trip, board, &by_unix, NULL);
    trip_end(trip);
}

static void assert_unharmed(Trip *trip)
{
    assert_unharmed_on(trip, &plain);
}

/* Begins a move of @trip that holds still half-way. */
static Relay *begin(Trip *trip, Boot **target)
{
    g_autofree char *to = g_strdup_printf("%s/to", trip->files.dir);
    g_autofree char *from = g_strdup_printf("%s/from", trip->files.dir);
    g_autofree char *to_uri = g_strdup_printf("unix:%s", to);
    g_autofree char *from_uri = g_strdup_printf("unix:%s", from);
    g_autoptr(GError) error = NULL;
    Relay *relay;

    *target = trip_target(trip, &plain, &by_unix);
    trip_listen(*target, to_uri);
    relay = relay_new(from, to, HALF_WAY, FALSE, &error);
    g_assert_no_error(error);
    trip_send(trip, &by_unix, from_uri);
    boot_assert(trip->boot, relay_wait(relay, boot_deadline(trip->boot)));
    trip_check(trip); /* while it lasts, the guest goes on */
    return relay;
}

static void test_target_killed(void)
{
    g_autoptr(Trip) trip = trip_new(&plain, "raw");
    Boot *target;
    Relay *relay = begin(trip, &target);

    trip_forget(trip, target);
    assert_failed(trip, NULL);
    relay_free(relay);
    assert_unharmed(trip);
}

/* When all has been sent, and the guest is stopped. */
static void test_target_killed_late(void)
{
    static const Kind late = {"late", BY_UNIX, "return-path pause-before-switchover", NULL};
    g_autoptr(Trip) trip = trip_new(&plain, "raw");
    g_autofree char *uri = trip_uri(trip, &late);
    Boot *target = trip_target(trip, &plain, &late);

    trip_listen(target, uri);
    trip_send(trip, &late, uri);
    trip_wait_status(trip->boot, "pre-switchover");
    trip_forget(trip, target);
    trip_tell(trip->boot, "migrate-continue", "{\"state\":\"pre-switchover\"}");
    assert_failed(trip, NULL);
    assert_unharmed(trip);
}

static void test_socket_closed(void)
{
    g_autoptr(Trip) trip = trip_new(&plain, "raw");
    Boot *target;
    Relay *relay = begin(trip, &target);

    relay_free(relay);
    assert_target_failed(target, "load of migration failed: Input/output error");
    trip_forget(trip, target);
    assert_failed(trip, NULL);
    assert_unharmed(trip);
}

/* Nobody has the guest any more. The target does not start what it has of it; the disk is sound. */
static void test_source_killed(void)
{
    g_autoptr(Trip) trip = trip_new(&plain, "raw");
    g_autoptr(GError) error = NULL;
    g_autofree char *then = NULL, *now = NULL;
    gsize then_size, now_size;
    Boot *target;
    Relay *relay = begin(trip, &target);

    g_clear_pointer(&trip->boot, boot_free);
    g_file_get_contents(trip->files.disk, &then, &then_size, &error);
    g_assert_no_error(error);
    relay_free(relay);
    assert_target_failed(target, "load of migration failed: Input/output error");
    trip_forget(trip, target);
    g_file_get_contents(trip->files.disk, &now, &now_size, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(then, then_size, now, now_size);
    trip_check_disk_sound(trip);
}

static void test_disk_full(gconstpointer data)
{
    const Kind *kind = data;
    g_autoptr(Trip) trip = trip_new(&plain, "raw");
    g_autofree char *small = g_dir_make_tmp("migrate-XXXXXX", NULL);
    g_autofree char *uri = g_strdup_printf("file:%s/state", small);

    if (!node_mount_small(small, SMALL_KIB)) {
        g_test_skip("no file system can be mounted here");
    } else {
        trip_send(trip, kind, uri);
        assert_failed(trip, "No space left on device");
        assert_unharmed(trip);
        node_unmount(small);
    }
    g_rmdir(small);
}

/* A target that is another machine than the source. */
typedef struct {
    Board board;
    const char *why; /* what it says */
    gboolean old;    /* the source is microvm-9.2 */
} Other;

static const Board old = {.machine = "microvm-9.2"};

static void test_other(gconstpointer data)
{
    const Other *other = data;
    const Board *board = other->old ? &old : &plain;
    g_autoptr(Trip) trip = trip_new(board, "raw");
    g_autofree char *uri = trip_uri(trip, &by_unix);
    Boot *target = trip_target(trip, &other->board, &by_unix);

    trip_listen(target, uri);
    trip_send(trip, &by_unix, uri);
    assert_target_failed(target, other->why);
    assert_failed(trip, NULL);
    trip_forget(trip, target);
    assert_unharmed_on(trip, board);
}

static const Kind blind = {"blind", BY_UNIX, "", NULL};

/*
 * Without a return path the source does not learn that the target could not load the last of it,
 * if the wire takes all. The guest then runs nowhere; but the source still has it, and can be told
 * to go on.
 */
static void test_no_return_path(void)
{
    static const Board less = {.machine = "microvm-9.2", .no_rng = TRUE};
    g_autoptr(Trip) trip = trip_new(&old, "raw");
    g_autofree char *to = g_strdup_printf("%s/to", trip->files.dir);
    g_autofree char *from = g_strdup_printf("%s/from", trip->files.dir);
    g_autofree char *to_uri = g_strdup_printf("unix:%s", to);
    g_autofree char *from_uri = g_strdup_printf("unix:%s", from);
    Boot *target = trip_target(trip, &less, &blind);
    g_autoptr(GError) error = NULL;
    g_autoptr(Relay) relay = NULL;

    trip_listen(target, to_uri);
    relay = relay_new(from, to, G_MAXSIZE, TRUE, &error);
    g_assert_no_error(error);
    trip_send(trip, &blind, from_uri);
    trip_sent(trip, NULL, &error);
    boot_assert_no_error(trip->boot, error);
    assert_target_failed(target, "virtio-mmio@00000000feb00e00/virtio-rng");
    trip_forget(trip, target);
    trip_tell(trip->boot, "cont", "{}");
    assert_unharmed_on(trip, &old);
}

/* That it has other devices the target knows at once, and the source notices with the next page. */
static void test_no_return_path_early(void)
{
    static const Board less = {.no_rng = TRUE};
    g_autoptr(Trip) trip = trip_new(&plain, "raw");
    g_autofree char *uri = trip_uri(trip, &blind);
    Boot *target = trip_target(trip, &less, &blind);

    trip_listen(target, uri);
    trip_send(trip, &blind, uri);
    assert_failed(trip, NULL);
    assert_target_failed(target, "virtio-mmio-bus.7 has no device here");
    trip_forget(trip, target);
    assert_unharmed(trip);
}

#define FS_DEVICE "vhost-user-fs-device,id=fs,chardev=v0,tag=t,bus=virtio-mmio-bus.8"
#define VSOCK_DEVICE "vhost-user-vsock-device,id=vs,chardev=v0,bus=virtio-mmio-bus.8"

/* A device that cannot move: the monitor refuses with @why, and the guest does not stop. */
typedef struct {
    const char *device;
    guint64 features, protocol_features;
    const char *why;
} Blocker;

static void test_blocker(gconstpointer data)
{
    const Blocker *blocker = data;
    g_autofree char *path = g_strdup_printf("%s/backend-%08x", g_get_tmp_dir(), g_random_int());
    g_autofree char *memory = g_strconcat(path, ".memory", NULL);
    g_autofree char *chardev = g_strdup_printf("socket,id=v0,path=%s", path);
    const char *const more[] = {"-chardev", chardev, "-device", blocker->device, NULL};
    const Board board = {.memory_file = memory, .more = more};
    g_autoptr(GError) error = NULL, refused = NULL;
    g_autoptr(Backend) backend =
        backend_new(path, blocker->features, blocker->protocol_features, &error);
    g_autoptr(JsonNode) answer = NULL;
    g_autoptr(Trip) trip = NULL;

    g_assert_no_error(error);
    trip = trip_new(&board, "raw");
    answer = qmp_execute(boot_qmp(trip->boot, NULL), "migrate", "{\"uri\":\"exec:cat >/dev/null\"}",
                         boot_deadline(trip->boot), &refused);
    g_assert_null(answer);
    g_test_message("the monitor says: %s", refused->message);
    g_assert_nonnull(strstr(refused->message, blocker->why));
    trip_check(trip);
    trip_end(trip);
    g_unlink(path);
    g_unlink(memory);
}

static const char *const other_rng[] = {
    "-device", "virtio-rng-device,id=rng2,rng=r0,bus=virtio-mmio-bus.9", NULL};

/*
 * With microvm-9.2, a device more is not noticed: the stream, which other QEMUs write and read, has
 * no word about it. The guest, which has long looked for its devices, goes on without.
 */
static void test_device_more_old(void)
{
    static const Board more = {.machine = "microvm-9.2", .more = other_rng};
    g_autoptr(Trip) trip = trip_new(&old, "raw");

    trip_move(trip, &more, &by_unix, NULL);
    trip_end(trip);
}

void add_faults(void)
{
    static const Kind stream = {"file", BY_FILE, "", NULL};
    static const Kind mapped = {"mapped-ram", BY_FILE, "mapped-ram", NULL};
    static const Other version = {
        .board = {.machine = "microvm-9.2"},
        .why = "Machine type received is 'microvm-10.0' and local is 'microvm-9.2'"};
    static const Other memory = {.board = {.memory = 192},
                                 .why = "Size mismatch: microvm.ram: 0x10000000 != 0xc000000"};
    static const Other less = {
        .board = {.no_rng = TRUE},
        .why = "virtio-mmio-bus.7 has no device here, but virtio device 4 in the "
               "migration stream"};
    static const Other less_old = {.board = {.machine = "microvm-9.2", .no_rng = TRUE},
                                   .why = "virtio-mmio@00000000feb00e00/virtio-rng",
                                   .old = TRUE};
    static const Other more = {
        .board = {.more = other_rng},
        .why = "virtio-mmio-bus.9 has virtio device 4 here, but no device in the "
               "migration stream"};
    static const Other moved = {.board = {.no_rng = TRUE, .more = other_rng},
                                .why = "virtio-mmio-bus.9 has virtio device 4 here"};
    static const Other no_acpi = {
        .board = {.acpi_off = TRUE},
        .why = "10 virtio-mmio transports here, but 24 in the migration stream"};
    static const Other legacy = {.board = {.legacy = TRUE},
                                 .why = "unsupported. Allowed features: "};
    static const Blocker fs = {FS_DEVICE, 0, BACKEND_DEVICE_STATE,
                               "vhost-user backend lacks VHOST_USER_PROTOCOL_F_LOG_SHMFD feature"};
    static const Blocker fs_state = {FS_DEVICE, BACKEND_LOG_ALL, BACKEND_LOG_SHMFD,
                                     "Back-end of virtio-fs device (tag: \"t\") cannot hand over "
                                     "its state"};
    static const Blocker vsock = {VSOCK_DEVICE, BACKEND_LOG_ALL, BACKEND_LOG_SHMFD | BACKEND_CONFIG,
                                  "State blocked by non-migratable device"};

    g_test_add_func("/migrate/faults/target-killed", test_target_killed);
    g_test_add_func("/migrate/faults/target-killed-late", test_target_killed_late);
    g_test_add_func("/migrate/faults/source-killed", test_source_killed);
    g_test_add_func("/migrate/faults/socket-closed", test_socket_closed);
    g_test_add_data_func("/migrate/faults/disk-full/file", &stream, test_disk_full);
    g_test_add_data_func("/migrate/faults/disk-full/mapped-ram", &mapped, test_disk_full);
    g_test_add_data_func("/migrate/faults/other/version", &version, test_other);
    g_test_add_data_func("/migrate/faults/other/less-memory", &memory, test_other);
    g_test_add_data_func("/migrate/faults/other/device-less", &less, test_other);
    g_test_add_data_func("/migrate/faults/other/device-moved", &moved, test_other);
    g_test_add_data_func("/migrate/faults/other/device-less-old", &less_old, test_other);
    g_test_add_data_func("/migrate/faults/other/device-more", &more, test_other);
    g_test_add_func("/migrate/faults/other/device-more-old", test_device_more_old);
    g_test_add_data_func("/migrate/faults/other/no-acpi", &no_acpi, test_other);
    g_test_add_data_func("/migrate/faults/other/transports", &legacy, test_other);
    g_test_add_func("/migrate/faults/no-return-path", test_no_return_path);
    g_test_add_func("/migrate/faults/no-return-path-early", test_no_return_path_early);
    g_test_add_data_func("/migrate/blockers/vhost-user-fs", &fs, test_blocker);
    g_test_add_data_func("/migrate/blockers/vhost-user-fs-state", &fs_state, test_blocker);
    g_test_add_data_func("/migrate/blockers/vhost-user-vsock", &vsock, test_blocker);
}
