/*
 * What the tests of RapiLog's buffer have in common: a small buffer. A sector's content is a stamp, the number of the write that made it.
 */
#ifndef BUFFER_FIXTURE_H
#define BUFFER_FIXTURE_H

#include "buffer.h"

#define SLOTS 24u
#define BUCKETS 8u
#define VOLUMES 2u
#define BLOCKS 6u
#define SECTORS (BLOCKS * BUFFER_BLOCK_SECTORS)
#define LARGE (UINT64_C(1) << 50)

struct fixture {
    struct buffer buffer;
    struct buffer_slot slot[SLOTS];
    uint32_t bucket[BUCKETS];
    uint8_t data[SLOTS * BUFFER_BLOCK];
    uint64_t stamp;
};

/* To be freed. */
struct fixture *fixture_new(void);
/* Writes as the next stamp; returns how many sectors were taken. */
uint32_t put(struct fixture *f, uint32_t volume, uint64_t sector, uint32_t count, bool promise);
/* The stamp that a read of one sector sees; 0: not in the buffer. */
uint64_t look(struct fixture *f, uint32_t volume, uint64_t sector);

#endif
