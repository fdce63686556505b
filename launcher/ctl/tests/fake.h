/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_FAKE_H
#define MICROVM_FAKE_H

#include <glib.h>

/*
 * A process that looks like a guest's QEMU from outside: a locked pidfile, a monitor, a guest
 * agent, a console. What it answers is written down by the test; what it is told, by it.
 */

typedef enum {
    FAKE_ANSWER,
    FAKE_ERROR,     /* ->reply is its text */
    FAKE_MUTE,      /* no answer, ever */
    FAKE_END,       /* ends instead of an answer */
    FAKE_INTERRUPT, /* sends SIGINT to whoever asks, and answers */
    FAKE_FLOOD,     /* ->reply, a line, again and again for as long as it is read */
} FakeAction;

/* The answer to @command; of several for one command each is used once, the last for good. */
typedef struct {
    const char *command;
    FakeAction action;
    const char *reply;  /* JSON; NULL: {} */
    const char *events; /* lines sent before the answer; or NULL */
} FakeStep;

typedef struct {
    const char *name;
    const FakeStep *steps; /* ends with a NULL command */
    gboolean agent;        /* has an agent, which takes the same steps */
    const char *late;      /* what that one still has to say to an earlier client; or NULL */
    gboolean deaf;         /* does not end by SIGTERM */
    const char *console;   /* what the console prints to whoever connects; NULL: no console */
} FakeGuest;

/*
 * Starts @guest as number 7 in run directory @dir. It ends when told, with the test, or by
 * fake_end().
 */
GPid fake_start(const FakeGuest *guest, const char *dir);

/* Kills it if it still runs, and waits. */
void fake_end(GPid pid);

/* All it was told, a line each, in order; but for what every connection starts with. To be freed.
 */
char *fake_log(const char *dir);

#endif
