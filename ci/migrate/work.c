/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "../board/port.h"
#include "migrate.h"
#include "record.h"

#define PACE_US 2000 /* a guest on TCG that is never idle would do little else than this */
#define PAGE 4096
#define PAGES 4096
#define PAGES_AT_ONCE 4
#define RANDOM_BYTES 32
#define RANDOM_KEPT 1024
#define SYNC_EVERY 64

typedef struct {
    const char *name;
    void (*run)(Tally *tally, int number);
    int number;
} Job;

static int console;
static volatile int *held;
static const char *own_name;

/* A fault ends its worker: what comes after it would be wrong too. */
__attribute__((format(printf, 2, 3), noreturn)) static void fail(Tally *tally, const char *format,
                                                                 ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    tally->errors++;
    dprintf(console, "migrate: error=%s: %s\n", own_name, text);
    tally->at_rest = 1;
    exit(1);
}

/* Between two records. */
static void pace(Tally *tally)
{
    do {
        tally->at_rest = *held;
        usleep(PACE_US);
    } while (*held);
    tally->at_rest = 0;
}

/* A record that was written not more than @kept ago, chosen by the number of the newest. */
static uint64_t earlier(uint64_t newest, uint64_t kept)
{
    uint64_t among = newest + 1 < kept ? newest + 1 : kept;

    return newest - newest * 7919 % among;
}

/* O_DIRECT: what is read comes from the device, not from the kernel's cache. */
static void run_disk(Tally *tally, int number)
{
    static unsigned char block[DISK_BLOCK] __attribute__((aligned(DISK_BLOCK)));
    int fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
    uint64_t stream = STREAM_DISK + (uint64_t)number, got, wanted;
    off_t start = (off_t)number * DISK_BLOCKS;

    for (uint64_t seq = 0;; seq++) {
        pace(tally);
        record_make(block, DISK_BLOCK, stream, seq);
        if (pwrite(fd, block, DISK_BLOCK, (start + (off_t)(seq % DISK_BLOCKS)) * DISK_BLOCK) !=
            DISK_BLOCK) {
            fail(tally, "writing block %llu: %s", (unsigned long long)seq, strerror(errno));
        }
        wanted = earlier(seq, DISK_BLOCKS);
        if (pread(fd, block, DISK_BLOCK, (start + (off_t)(wanted % DISK_BLOCKS)) * DISK_BLOCK) !=
            DISK_BLOCK) {
            fail(tally, "reading block %llu: %s", (unsigned long long)wanted, strerror(errno));
        }
        got = record_number(block, DISK_BLOCK, stream);
        if (got != wanted) {
            fail(tally, "block %lld is where %llu was written", (long long)got,
                 (unsigned long long)wanted);
        }
        if (seq % SYNC_EVERY == 0 && fsync(fd)) {
            fail(tally, "fsync: %s", strerror(errno));
        }
        tally->done = seq + 1;
    }
}

static void run_memory(Tally *tally, int number)
{
    unsigned char *pages = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)number;
    if (pages == MAP_FAILED) {
        fail(tally, "mmap: %s", strerror(errno));
    }
    for (uint64_t seq = 0;; seq++) {
        uint64_t wanted = earlier(seq, PAGES), got;

        if (seq % PAGES_AT_ONCE == 0) {
            pace(tally);
        }
        record_make(pages + seq % PAGES * PAGE, PAGE, STREAM_MEMORY, seq);
        got = record_number(pages + wanted % PAGES * PAGE, PAGE, STREAM_MEMORY);
        if (got != wanted) {
            fail(tally, "page %lld is where %llu was written", (long long)got,
                 (unsigned long long)wanted);
        }
        tally->done = seq + 1;
    }
}

/* The whole of @size bytes; FALSE where the other end is gone. */
static int read_all(int fd, void *to, size_t size)
{
    ssize_t n = 1;

    for (size_t at = 0; at < size && n > 0; at += (size_t)n) {
        n = read(fd, (char *)to + at, size - at);
    }
    return n > 0;
}

static int write_all(int fd, const void *from, size_t size)
{
    ssize_t n = 1;

    for (size_t at = 0; at < size && n > 0; at += (size_t)n) {
        n = write(fd, (const char *)from + at, size - at);
    }
    return n > 0;
}

/* Exchanges batches of records until the connection ends. */
static void talk(Tally *tally, int fd, uint64_t out, uint64_t in)
{
    static unsigned char batch[TCP_BATCH][MESSAGE_BYTES] __attribute__((aligned(8)));

    for (uint64_t seq = 0;; seq += TCP_BATCH) {
        pace(tally);
        for (int i = 0; i < TCP_BATCH; i++) {
            record_make(batch[i], MESSAGE_BYTES, out, seq + (uint64_t)i);
        }
        if (!write_all(fd, batch, sizeof(batch)) || !read_all(fd, batch, sizeof(batch))) {
            return;
        }
        for (int i = 0; i < TCP_BATCH; i++) {
            uint64_t got = record_number(batch[i], MESSAGE_BYTES, in);

            if (got != seq + (uint64_t)i) {
                fail(tally, "record %lld came instead of %llu", (long long)got,
                     (unsigned long long)seq + (unsigned long long)i);
            }
        }
        tally->done += TCP_BATCH;
    }
}

static int connect_tcp(void)
{
    struct sockaddr_in peer = {.sin_family = AF_INET,
                               .sin_addr.s_addr = inet_addr(HOST_ADDRESS),
                               .sin_port = htons(TCP_PORT)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int connect_vsock(void)
{
    struct sockaddr_vm peer = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = VSOCK_PORT};
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void run_connection(Tally *tally, int vsock)
{
    for (;;) {
        int fd = vsock ? connect_vsock() : connect_tcp();

        if (fd >= 0) {
            talk(tally, fd, vsock ? STREAM_VSOCK_OUT : STREAM_TCP_OUT,
                 vsock ? STREAM_VSOCK_IN : STREAM_TCP_IN);
            close(fd);
            tally->reconnects += !vsock; /* a move resets the connections of vsock */
        }
        pace(tally);
    }
}

/* No random bytes come twice: of 32 at a time, never the same as one of many before. */
static void run_random(Tally *tally, int number)
{
    static unsigned char kept[RANDOM_KEPT][RANDOM_BYTES];
    int fd = open("/dev/hwrng", O_RDONLY | O_CLOEXEC);

    (void)number;
    for (uint64_t seq = 0;; seq++) {
        unsigned char *next = kept[seq % RANDOM_KEPT];

        pace(tally);
        if (!read_all(fd, next, RANDOM_BYTES)) {
            fail(tally, "reading: %s", strerror(errno));
        }
        for (uint64_t i = seq < RANDOM_KEPT ? 0 : seq + 1 - RANDOM_KEPT; i < seq; i++) {
            if (!memcmp(next, kept[i % RANDOM_KEPT], RANDOM_BYTES)) {
                fail(tally, "the bytes of %llu came again as %llu", (unsigned long long)i,
                     (unsigned long long)seq);
            }
        }
        tally->done = seq + 1;
    }
}

/*
 * Answers as the guest agent does to guest-sync. Each ping has a number of its own, and comes once.
 * One that was on its way when the guest moved may be lost; the next then has a higher number.
 */
static void run_ping(Tally *tally, int number)
{
    static unsigned char message[MESSAGE_BYTES] __attribute__((aligned(8)));
    int fd = port_open(PING_PORT);
    uint64_t wanted = 0, got;

    (void)number;
    for (;;) {
        pace(tally);
        if (!read_all(fd, message, sizeof(message))) {
            fail(tally, "reading: %s", strerror(errno));
        }
        got = record_number(message, sizeof(message), STREAM_PING);
        if (got < wanted || got == RECORD_NONE) {
            fail(tally, "ping %lld came, after %llu were answered", (long long)got,
                 (unsigned long long)wanted);
        }
        record_make(message, sizeof(message), STREAM_PONG, got);
        if (!write_all(fd, message, sizeof(message))) {
            fail(tally, "writing: %s", strerror(errno));
        }
        wanted = got + 1;
        tally->done = wanted;
    }
}

static void run_flow(Tally *tally, int number)
{
    static unsigned char message[MESSAGE_BYTES] __attribute__((aligned(8)));
    int fd = port_open(FLOW_PORT);

    (void)number;
    for (uint64_t seq = 0;; seq++) {
        pace(tally);
        record_make(message, sizeof(message), STREAM_FLOW, seq);
        if (!write_all(fd, message, sizeof(message))) {
            fail(tally, "writing: %s", strerror(errno));
        }
        tally->done = seq + 1;
    }
}

static const Job jobs[] = {
    {"disk0", run_disk, 0},    {"disk1", run_disk, 1}, {"disk2", run_disk, 2},
    {"memory", run_memory, 0}, {"rng", run_random, 0}, {"tcp", run_connection, 0},
    {"ping", run_ping, 0},     {"flow", run_flow, 0},  {"vsock", run_connection, 1},
};
#define JOBS (sizeof(jobs) / sizeof(jobs[0]))

static Worker workers[JOBS];
static int running;

static void start(const Job *job, Tally *tally)
{
    workers[running++] = (Worker){job->name, tally};
    if (fork() == 0) {
        own_name = job->name;
        job->run(tally, job->number);
    }
}

const Worker *work_start(int fd, int vsock, int *count)
{
    Tally *tallies = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (tallies == MAP_FAILED) {
        return NULL;
    }
    console = fd;
    held = &tallies[JOBS].at_rest;
    for (size_t i = 0; i < JOBS - !vsock; i++) {
        start(&jobs[i], &tallies[i]);
    }
    *count = running;
    return workers;
}

void work_hold(void)
{
    *held = 1;
    for (int i = 0; i < running; i++) {
        while (!workers[i].tally->at_rest) {
            usleep(PACE_US);
        }
    }
}

void work_go_on(void)
{
    *held = 0;
}
