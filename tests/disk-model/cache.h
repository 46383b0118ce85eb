/*
 * The volatile part of the disk: sectors that were written and are not on the medium yet.
 *
 * Kept in blocks of eight sectors with one dirty bit per sector, found by a table over the whole disk. With `history`
 * a block also keeps every version of its sectors since it was last clean: a disk that loses power may have
 * brought any of them to the medium. Not thread-safe: the caller holds the disk's lock.
 */
#ifndef DISK_MODEL_CACHE_H
#define DISK_MODEL_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR_BYTES 512u
#define BLOCK_SECTORS 8u
#define BLOCK_BYTES (SECTOR_BYTES * BLOCK_SECTORS)

struct cache_version { /* what one write put into one sector */
    struct cache_version *next;
    uint64_t write; /* number of the write */
    uint64_t sector;
    uint8_t data[SECTOR_BYTES];
};

struct cache_block {
    uint64_t number; /* which block of the disk */
    uint8_t dirty;   /* bit s: sector s of it is here */
    uint8_t data[BLOCK_BYTES];
    struct cache_version *versions; /* newest first */
};

struct cache {
    uint32_t *table; /* block number to 1 + index in `block`, 0: not cached */
    uint64_t disk_blocks;
    struct cache_block **block;
    size_t count;
    size_t room;
    uint64_t dirty_bytes;
    uint64_t writes; /* so far */
    bool history;
};

/* Writes cached sectors to the medium; false: stop, it failed. */
typedef bool (*cache_sink)(void *context, const void *data, uint64_t count, uint64_t offset);

bool cache_open(struct cache *cache, uint64_t disk_bytes, bool history);
void cache_close(struct cache *cache);

/* offset and count are multiples of SECTOR_BYTES, within the disk. False: out of memory. */
bool cache_write(struct cache *cache, const uint8_t *data, uint64_t count, uint64_t offset);

/* Puts the cached sectors of [offset, offset + count) over what the caller read from the medium. */
void cache_read(const struct cache *cache, uint8_t *data, uint64_t count, uint64_t offset);

/* Block numbers in ascending order, for the caller to free; their number is cache->count. NULL: out of memory. */
uint64_t *cache_sorted(const struct cache *cache);

/* Hands the dirty sectors of a block to `sink` and forgets the block. True also when it is not cached. */
bool cache_clean(struct cache *cache, uint64_t number, cache_sink sink, void *context);

/* Power-off: everything is gone, except that each sector reaches the medium with a chance of `survive` in 100. */
bool cache_forget(struct cache *cache, unsigned survive, uint64_t *seed, cache_sink sink,
                  void *context);

/* Power-off of a cache with history: each write since then reaches the medium with a chance of `survive` in 100, in random
 * order, the last one in part only. */
bool cache_tear(struct cache *cache, unsigned survive, uint64_t *seed, cache_sink sink,
                void *context);

/* xorshift64: small, repeatable, good enough to choose victims. *seed is not 0. */
uint64_t cache_random(uint64_t *seed);

#endif
