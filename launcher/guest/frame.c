/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frame.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Frames that tell of less than this cost more than they bring. */
#define CREDIT_MIN (FRAME_WINDOW / 4)

void frame_put16(uint8_t *to, unsigned value)
{
    to[0] = value & 0xff;
    to[1] = value >> 8 & 0xff;
}

void frame_put32(uint8_t *to, uint32_t value)
{
    frame_put16(to, value & 0xffff);
    frame_put16(to + 2, value >> 16);
}

unsigned frame_get16(const uint8_t *from)
{
    return from[0] | (unsigned)from[1] << 8;
}

uint32_t frame_get32(const uint8_t *from)
{
    return frame_get16(from) | (uint32_t)frame_get16(from + 2) << 16;
}

ssize_t frame_parse(const uint8_t *buffer, size_t size, Frame *frame)
{
    uint32_t data;

    if (size < FRAME_HEAD) {
        return 0;
    }
    data = frame_get32(buffer + 1);
    if (data > FRAME_DATA_MAX) {
        return -1;
    }
    frame->kind = buffer[0];
    frame->size = data;
    frame->data = buffer + FRAME_HEAD;
    return size - FRAME_HEAD < data ? 0 : (ssize_t)(FRAME_HEAD + data);
}

bool link_is_free(const Link *link)
{
    return link->out_start == link->out_end;
}

static void put_head(uint8_t *to, unsigned kind, size_t size)
{
    to[0] = (uint8_t)kind;
    frame_put32(to + 1, (uint32_t)size);
}

bool link_put(Link *link, unsigned kind, const void *data, size_t size)
{
    if (size > FRAME_DATA_MAX || sizeof(link->out) - link->out_end < FRAME_HEAD + size) {
        return false;
    }
    put_head(link->out + link->out_end, kind, size);
    if (size > 0) {
        memcpy(link->out + link->out_end + FRAME_HEAD, data, size);
    }
    link->out_end += FRAME_HEAD + size;
    return true;
}

ssize_t link_put_from(Link *link, unsigned kind, int fd, size_t size)
{
    ssize_t n = read(fd, link->out + FRAME_HEAD, size < FRAME_DATA_MAX ? size : FRAME_DATA_MAX);

    if (n > 0) {
        put_head(link->out, kind, (size_t)n);
        link->out_start = 0;
        link->out_end = FRAME_HEAD + (size_t)n;
    }
    return n;
}

bool link_send(Link *link)
{
    while (link->out_start < link->out_end) {
        ssize_t n = write(link->fd, link->out + link->out_start, link->out_end - link->out_start);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno == EAGAIN;
        }
        link->out_start += (size_t)n;
    }
    link->out_start = link->out_end = 0;
    return true;
}

ssize_t link_receive(Link *link)
{
    ssize_t n, all = 0;

    if (link->in_start > 0) {
        memmove(link->in, link->in + link->in_start, link->in_end - link->in_start);
        link->in_end -= link->in_start;
        link->in_start = 0;
    }
    do {
        n = read(link->fd, link->in + link->in_end, sizeof(link->in) - link->in_end);
        if (n > 0) {
            link->in_end += (size_t)n;
            all += n;
        }
    } while (n > 0 && link->in_end < sizeof(link->in));
    return all > 0 ? all : n;
}

ssize_t link_next(Link *link, Frame *frame)
{
    ssize_t n = frame_parse(link->in + link->in_start, link->in_end - link->in_start, frame);

    if (n > 0) {
        link->in_start += (size_t)n;
    }
    return n;
}

bool sink_put(Sink *sink, const uint8_t *data, size_t size)
{
    size_t end, first;

    if (size > FRAME_WINDOW - sink->used - sink->passed) {
        return false;
    }
    if (sink->fd < 0) {
        sink->passed += (uint32_t)size;
        return true;
    }
    end = (sink->start + sink->used) % FRAME_WINDOW;
    first = size < FRAME_WINDOW - end ? size : FRAME_WINDOW - end;
    memcpy(sink->data + end, data, first);
    memcpy(sink->data, data + first, size - first);
    sink->used += size;
    return true;
}

void sink_break(Sink *sink)
{
    sink->fd = -1;
    sink->passed += (uint32_t)sink->used;
    sink->start = sink->used = 0;
}

/* Sockets alone can be written to without waiting whatever others do who have them as well. */
static ssize_t write_some(const Sink *sink, size_t size)
{
    return sink->socket
               ? send(sink->fd, sink->data + sink->start, size, MSG_DONTWAIT | MSG_NOSIGNAL)
               : write(sink->fd, sink->data + sink->start, size);
}

bool sink_write(Sink *sink)
{
    while (sink->fd >= 0 && sink->used > 0) {
        size_t size = FRAME_WINDOW - sink->start;
        ssize_t n = write_some(sink, size < sink->used ? size : sink->used);

        if (n < 0 && errno == EAGAIN) {
            return true;
        }
        if (n < 0 && errno != EINTR) {
            return false;
        }
        if (n > 0) {
            sink->start = (sink->start + (size_t)n) % FRAME_WINDOW;
            sink->used -= (size_t)n;
            sink->passed += (uint32_t)n;
        }
    }
    return true;
}

void sink_credit(Sink *sink, Link *link)
{
    uint8_t data[5] = {(uint8_t)sink->kind};

    if (sink->passed < CREDIT_MIN) {
        return;
    }
    frame_put32(data + 1, sink->passed);
    if (link_put(link, FRAME_CREDIT, data, sizeof(data))) {
        sink->passed = 0;
    }
}
