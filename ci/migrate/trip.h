/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_TRIP_H
#define MICROVM_TRIP_H

#include "board.h"
#include "boot.h"
#include "peers.h"

/*
 * A guest that is kept busy, and what moves it from one QEMU to another. What goes wrong ends the
 * test.
 */

/* What the environment names beside what a board has, see test-migrate.c. */
extern const char *trip_stock_qemu, *trip_qemu_10_2, *trip_qemu_img;
extern gboolean trip_full;

typedef enum { BY_UNIX, BY_TCP, BY_FILE } By;

/* How a guest is moved. */
typedef struct {
    const char *name;
    By by;
    const char *capabilities; /* of both sides, words */
    const char *parameters;   /* of both sides, members of JSON; or NULL */
} Kind;

/* What a move cost: by QEMU's own account, and the silence on the TCP connection. */
typedef struct {
    double total_ms, downtime_ms, silence_ms;
    gint64 bytes, pages_asked; /* the latter by postcopy */
} Cost;

typedef struct {
    BoardFiles files;
    Peers *peers;
    Boot *boot;         /* where the guest is */
    int side;           /* and which tap is its */
    gint64 reconnects;  /* that there must have been */
    GHashTable *report; /* what the guest has said last: char * to char * */
    guint words;
} Trip;

/* Starts a guest on @board with a disk of @format, raw or qcow2, and waits until it works. */
Trip *trip_new(const Board *board, const char *disk_format);

/* Ends what still runs, and removes all files. */
void trip_free(Trip *trip);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Trip, trip_free)

/* The guest goes on, each of its workers, and has seen nothing wrong. */
void trip_check(Trip *trip);

/* The workers finish what they are at; all that one end has sent the other has got. */
void trip_hold(Trip *trip);

void trip_go_on(Trip *trip);

/* Lets the guest end, and checks the disk: what it has last written is there. */
void trip_end(Trip *trip);

/* Ends QEMU without the guest's knowledge; and starts another for @board. */
void trip_stop(Trip *trip);
void trip_restart(Trip *trip, const Board *board);

/*
 * Moves the guest to @board by @kind, checks that it goes on, and says what that cost in @cost
 * unless NULL.
 */
void trip_move(Trip *trip, const Board *board, const Kind *kind, Cost *cost);

/* The same while the workers rest. The connection is silent then, so how long is not told. */
void trip_move_at_rest(Trip *trip, const Board *board, const Kind *kind, Cost *cost);

/* The parts of it, for moves that are not to succeed. */

/* Where a move by @kind of the guest goes; to be freed. */
char *trip_uri(const Trip *trip, const Kind *kind);

/* Starts a QEMU for @board on the other side, set up for @kind. Does not listen yet. */
Boot *trip_target(Trip *trip, const Board *board, const Kind *kind);
void trip_listen(Boot *target, const char *uri);

/* Begins to move. */
void trip_send(Trip *trip, const Kind *kind, const char *uri);

/* Waits until the source says that it has moved the guest. FALSE with QEMU's reason if not. */
gboolean trip_sent(Trip *trip, Cost *cost, GError **error);

/* Whether QEMU can take the guest before its memory. */
gboolean trip_has_postcopy(Trip *trip);

/* Waits until the guest runs on @target, which @trip owns from here on. */
void trip_arrive(Trip *trip, Boot *target);

/* Ends @target, on which the guest is not. */
void trip_forget(Trip *trip, Boot *target);

/* Waits until @target has ended with a failure. Its words are on its console. */
void trip_target_failed(Boot *target);

/* Waits until the move is in the given state. */
void trip_wait_status(Boot *boot, const char *status);

/* Runs a command of the monitor, which must succeed. To be freed with json_node_unref(). */
JsonNode *trip_qmp(Boot *boot, const char *command, const char *arguments);

/* The same without an answer. @format makes the arguments. */
void trip_tell(Boot *boot, const char *command, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The same of the human monitor; to be freed with g_free(). */
char *trip_hmp(Boot *boot, const char *line);

/*
 * Sends a command of QEMU's qtest protocol to a QEMU of a board with .ports, from where the test
 * can read and write its ports and memory: see system/qtest.c in QEMU's tree. Returns the number
 * that comes back, 0 if none does.
 */
guint64 trip_port(Trip *trip, int side, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Tells the guest, and waits until it has done it. */
void trip_command(Trip *trip, const char *what);

/* A new report of the guest; and a number in the last. */
void trip_report(Trip *trip);
gint64 trip_value(const Trip *trip, const char *name);

/* New reports, until there is one with @value or more. */
void trip_wait_value(Trip *trip, const char *name, gint64 value);

void trip_copy(const char *from, const char *to);

/* Checks the disk of a guest that is no more: each block is what was written there, if ever. */
void trip_check_disk_sound(const Trip *trip);

#endif
