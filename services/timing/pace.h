/*
 * How fast a named disk would be: for each command, when that disk would have done it.
 *
 * Pure state and computation, all in the disk's own time ("model time", ns). The disk has a write cache of which only the
 * block numbers are kept; a FLUSH writes them to the medium in ascending order, as latency.h says. It serves one
 * command at a time unless its kind is parallel; then only the transfers wait for each other.
 */
#ifndef TIMING_PACE_H
#define TIMING_PACE_H

#include "latency.h"

#define PACE_BLOCK 4096u  /* bytes */
#define PACE_WORDS 65536u /* of the set of blocks: disks up to 16 GiB */
#define PACE_BITMAP_BYTES (PACE_WORDS * sizeof(uint64_t))
#define PACE_LARGEST_DISK ((uint64_t)PACE_WORDS * 64 * PACE_BLOCK)

struct pace {
    const struct disk_kind *kind;
    struct disk_arm arm;
    uint64_t busy_until;
    uint64_t *blocks; /* PACE_WORDS: bit b of word w: block 64w + b is in the cache */
    uint64_t words[PACE_WORDS / 64]; /* bit b of word w: blocks[64w + b] is not 0 */
    uint64_t cached;                 /* blocks */
};

/* `bitmap`: PACE_BITMAP_BYTES, all 0. */
void pace_start(struct pace *pace, const struct disk_kind *kind, uint64_t *bitmap);
/* When the command that arrives at `now` is done. [offset, offset + bytes) lies within PACE_LARGEST_DISK. A durable write is on
 * the medium then. */
uint64_t pace_write(struct pace *pace, uint64_t now, uint64_t offset, uint64_t bytes, bool durable);
/* Reads come from the medium, as behind a cache that has not seen them. */
uint64_t pace_read(struct pace *pace, uint64_t now, uint64_t offset, uint64_t bytes);
uint64_t pace_flush(struct pace *pace, uint64_t now);

#endif
