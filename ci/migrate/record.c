/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "record.h"

#include <string.h>

/* splitmix64: each word is as good as random, and found again from its place. */
static uint64_t word_at(uint64_t stream, uint64_t seq, size_t index)
{
    uint64_t x = (stream << 56) ^ (seq * 0x9e3779b97f4a7c15) ^ (index << 40);

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

static uint64_t sum_of(const uint64_t *words, size_t count)
{
    uint64_t sum = 0xcbf29ce484222325;

    for (size_t i = 0; i < count; i++) {
        sum = (sum ^ words[i]) * 0x100000001b3;
    }
    return sum;
}

void record_make(void *to, size_t size, uint64_t stream, uint64_t seq)
{
    uint64_t *words = to;
    size_t last = size / sizeof(*words) - 1;

    words[0] = stream;
    words[1] = seq;
    for (size_t i = 2; i < last; i++) {
        words[i] = word_at(stream, seq, i);
    }
    words[last] = sum_of(words, last);
}

uint64_t record_number(const void *from, size_t size, uint64_t stream)
{
    const uint64_t *words = from;
    size_t last = size / sizeof(*words) - 1;

    if (words[0] != stream || words[last] != sum_of(words, last)) {
        return RECORD_NONE;
    }
    for (size_t i = 2; i < last; i++) {
        if (words[i] != word_at(stream, words[1], i)) {
            return RECORD_NONE;
        }
    }
    return words[1];
}
