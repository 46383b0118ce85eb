/* The volatile write cache. See cache.h. */
#include "cache.h"

#include <stdlib.h>
#include <string.h>

bool cache_open(struct cache *cache, uint64_t disk_bytes)
{
    *cache = (struct cache){.disk_blocks = (disk_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES};
    cache->table = calloc(cache->disk_blocks + 1, sizeof cache->table[0]);
    return cache->table != NULL;
}

void cache_close(struct cache *cache)
{
    for (size_t i = 0; i < cache->count; i++)
        free(cache->block[i]);
    free(cache->block);
    free(cache->table);
    *cache = (struct cache){0};
}

static struct cache_block *find(const struct cache *cache, uint64_t number)
{
    uint32_t index = cache->table[number];
    return index ? cache->block[index - 1] : NULL;
}

static struct cache_block *add(struct cache *cache, uint64_t number)
{
    if (cache->count == cache->room) {
        size_t room = cache->room ? cache->room * 2 : 1024;
        struct cache_block **more = realloc(cache->block, room * sizeof *more);
        if (!more)
            return NULL;
        cache->block = more;
        cache->room = room;
    }
    struct cache_block *block = calloc(1, sizeof *block);
    if (!block)
        return NULL;
    block->number = number;
    cache->block[cache->count++] = block;
    cache->table[number] = (uint32_t)cache->count;
    return block;
}

/* The last block takes the freed place, so the array stays dense. */
static void drop(struct cache *cache, struct cache_block *block)
{
    uint32_t index = cache->table[block->number];
    struct cache_block *last = cache->block[cache->count - 1];
    cache->block[index - 1] = last;
    cache->table[last->number] = index;
    cache->table[block->number] = 0;
    cache->count--;
    free(block);
}

bool cache_write(struct cache *cache, const uint8_t *data, uint64_t count, uint64_t offset)
{
    for (uint64_t done = 0; done < count; done += SECTOR_BYTES) {
        uint64_t number = (offset + done) / BLOCK_BYTES;
        unsigned sector = (unsigned)((offset + done) % BLOCK_BYTES / SECTOR_BYTES);
        struct cache_block *block = find(cache, number);
        if (!block && !(block = add(cache, number)))
            return false;
        if (!(block->dirty & 1u << sector))
            cache->dirty_bytes += SECTOR_BYTES;
        block->dirty = (uint8_t)(block->dirty | 1u << sector);
        memcpy(block->data + sector * SECTOR_BYTES, data + done, SECTOR_BYTES);
    }
    return true;
}

void cache_read(const struct cache *cache, uint8_t *data, uint64_t count, uint64_t offset)
{
    for (uint64_t done = 0; done < count; done += SECTOR_BYTES) {
        struct cache_block *block = find(cache, (offset + done) / BLOCK_BYTES);
        unsigned sector = (unsigned)((offset + done) % BLOCK_BYTES / SECTOR_BYTES);
        if (block && block->dirty & 1u << sector)
            memcpy(data + done, block->data + sector * SECTOR_BYTES, SECTOR_BYTES);
    }
}

static int compare_numbers(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

uint64_t *cache_sorted(const struct cache *cache)
{
    uint64_t *numbers = malloc((cache->count + 1) * sizeof *numbers);
    if (!numbers)
        return NULL;
    for (size_t i = 0; i < cache->count; i++)
        numbers[i] = cache->block[i]->number;
    qsort(numbers, cache->count, sizeof *numbers, compare_numbers);
    return numbers;
}

bool cache_clean(struct cache *cache, uint64_t number, cache_sink sink, void *context)
{
    struct cache_block *block = find(cache, number);
    if (!block)
        return true;
    for (unsigned first = 0, end; first < BLOCK_SECTORS; first = end) {
        end = first + 1;
        if (!(block->dirty & 1u << first))
            continue;
        while (end < BLOCK_SECTORS && block->dirty & 1u << end)
            end++;
        uint64_t bytes = (end - first) * SECTOR_BYTES;
        if (!sink(context, block->data + first * SECTOR_BYTES, bytes,
                  number * BLOCK_BYTES + first * SECTOR_BYTES))
            return false;
        cache->dirty_bytes -= bytes;
        block->dirty = (uint8_t)(block->dirty & ~(((1u << (end - first)) - 1) << first));
    }
    drop(cache, block);
    return true;
}

/* xorshift64: small, repeatable, good enough to choose victims. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

bool cache_forget(struct cache *cache, unsigned survive, uint64_t *seed, cache_sink sink,
                  void *context)
{
    bool written = true;
    while (cache->count > 0) {
        struct cache_block *block = cache->block[cache->count - 1];
        for (unsigned sector = 0; sector < BLOCK_SECTORS; sector++) {
            if (!(block->dirty & 1u << sector))
                continue;
            cache->dirty_bytes -= SECTOR_BYTES;
            if (next_random(seed) % 100 < survive)
                written &= sink(context, block->data + sector * SECTOR_BYTES, SECTOR_BYTES,
                                block->number * BLOCK_BYTES + sector * SECTOR_BYTES);
        }
        drop(cache, block);
    }
    return written;
}
