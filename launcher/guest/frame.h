/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MICROVM_FRAME_H
#define MICROVM_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What microvm-run on the host and microvm-identity in the guest say to each other while a command
 * runs: frames on one stream of bytes. Used on both sides, so on nothing but the C library.
 *
 *     kind      1 byte
 *     size      4 bytes, little-endian: of what follows, at most FRAME_DATA_MAX
 *     data
 *
 * The host says what is to run (all but the last of the first group, in any order, then START), and
 * then sends what comes from its user; the guest sends what comes from the command, and last how it
 * ended. Of each of the three streams of data no more than FRAME_WINDOW bytes may be under way:
 * who has passed some on says so with CREDIT. So neither side has to keep more than that, and a
 * stream that nobody reads stands in no other's way.
 */
enum {
    /* from the host */
    FRAME_WORD = 'w',   /* a part of the command's words; a NUL ends each */
    FRAME_TERM = 'v',   /* TERM of its environment */
    FRAME_MOUNT = 'm',  /* mount the host's directory and work there; a byte: 1 read-only */
    FRAME_SIZE = 'z',   /* of the terminal: rows and columns, 2 bytes each; before START: it is to
                           have one */
    FRAME_START = 's',  /* no data */
    FRAME_INPUT = 'i',  /* no data: that was all */
    FRAME_SIGNAL = 'k', /* its number, a byte */
    FRAME_BROKEN = 'b', /* nobody reads this stream any more: FRAME_OUTPUT or _ERRORS, a byte */
    /* from both */
    FRAME_CREDIT = 'c', /* the stream, a byte, and how many bytes more, 4 */
    /* from the guest */
    FRAME_OUTPUT = 'o',
    FRAME_ERRORS = 'e',
    FRAME_EXIT = 'x',   /* it has ended: 0 and its exit status, or 1 and a signal's number */
    FRAME_FAILED = 'f', /* it could not be started: a text */
};

#define FRAME_HEAD 5
/* With its head, a frame is what the guest's driver takes in one buffer. */
#define FRAME_DATA_MAX (32768 - FRAME_HEAD)
#define FRAME_WINDOW 262144u
#define FRAME_WORDS_MAX (1024 * 1024) /* of all words together */

typedef struct {
    unsigned kind;
    size_t size;
    const uint8_t *data; /* in the buffer it was found in */
} Frame;

/*
 * The frame that @buffer begins with. Returns how many bytes it takes; 0: it is not whole yet;
 * -1: it is larger than a frame can be.
 */
ssize_t frame_parse(const uint8_t *buffer, size_t size, Frame *frame);

/* Numbers as frames have them. */
void frame_put16(uint8_t *to, unsigned value);
void frame_put32(uint8_t *to, uint32_t value);
unsigned frame_get16(const uint8_t *from);
uint32_t frame_get32(const uint8_t *from);

/* One side of the connection. @fd does not block. */
typedef struct {
    int fd;
    size_t in_start, in_end;   /* received, not yet looked at */
    size_t out_start, out_end; /* to be sent */
    uint8_t in[2 * (FRAME_HEAD + FRAME_DATA_MAX)];
    uint8_t out[FRAME_HEAD + FRAME_DATA_MAX + 256];
} Link;

/* Whether all has been sent. */
bool link_is_free(const Link *link);

/* Puts a frame behind what is to be sent; false: there is no room. */
bool link_put(Link *link, unsigned kind, const void *data, size_t size);

/*
 * Reads at most @size bytes from @fd into a frame @kind, for a link that is free. Returns as
 * read(); 0 and errors put no frame.
 */
ssize_t link_put_from(Link *link, unsigned kind, int fd, size_t size);

/* Sends what it can. false: the other side has gone, or errno. */
bool link_send(Link *link);

/* Receives what has come: its size, 0 at the end, -1 with errno, EAGAIN among them. */
ssize_t link_receive(Link *link);

/* The next whole frame, good until link_receive(); as frame_parse(). */
ssize_t link_next(Link *link, Frame *frame);

/* What came of a stream of data, on its way to a descriptor. */
typedef struct {
    unsigned kind;
    int fd;             /* -1: nobody takes it any more, and what comes is dropped */
    bool socket;        /* that is one */
    bool ended;         /* nothing more will come */
    size_t start, used; /* a ring */
    uint32_t passed;    /* bytes that the other side has not yet been told of */
    uint8_t data[FRAME_WINDOW];
} Sink;

/* Takes @size bytes; false: they are more than was allowed. */
bool sink_put(Sink *sink, const uint8_t *data, size_t size);

/* Writes what ->fd takes, which had better not block. false: nobody reads there any more. */
bool sink_write(Sink *sink);

/* Drops what it has and will get. */
void sink_break(Sink *sink);

/* Tells the other side what it may send, once that is worth a frame. */
void sink_credit(Sink *sink, Link *link);

#endif
