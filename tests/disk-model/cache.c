/* The volatile write cache. See cache.h. */
#include "cache.h"

#include <stdlib.h>
#include <string.h>

bool cache_open(struct cache *cache, uint64_t disk_bytes, bool history)
{
    *cache = (struct cache){.disk_blocks = (disk_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES,
                            .history = history};
    cache->table = calloc(cache->disk_blocks + 1, sizeof cache->table[0]);
    return cache->table != NULL;
}

static void free_block(struct cache_block *block)
{
    for (struct cache_version *version = block->versions, *next; version; version = next) {
        next = version->next;
        free(version);
    }
    free(block);
}

void cache_close(struct cache *cache)
{
    for (size_t i = 0; i < cache->count; i++)
        free_block(cache->block[i]);
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
    free_block(block);
}

static bool remember(struct cache *cache, struct cache_block *block, uint64_t sector,
                     const uint8_t *data)
{
    struct cache_version *version = malloc(sizeof *version);
    if (!version)
        return false;
    *version = (struct cache_version){block->versions, cache->writes, sector, {0}};
    memcpy(version->data, data, SECTOR_BYTES);
    block->versions = version;
    return true;
}

bool cache_write(struct cache *cache, const uint8_t *data, uint64_t count, uint64_t offset)
{
    cache->writes++;
    for (uint64_t done = 0; done < count; done += SECTOR_BYTES) {
        uint64_t number = (offset + done) / BLOCK_BYTES;
        unsigned sector = (unsigned)((offset + done) % BLOCK_BYTES / SECTOR_BYTES);
        struct cache_block *block = find(cache, number);
        if (!block && !(block = add(cache, number)))
            return false;
        if (cache->history && !remember(cache, block, (offset + done) / SECTOR_BYTES, data + done))
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

uint64_t cache_random(uint64_t *seed)
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
            if (cache_random(seed) % 100 < survive)
                written &= sink(context, block->data + sector * SECTOR_BYTES, SECTOR_BYTES,
                                block->number * BLOCK_BYTES + sector * SECTOR_BYTES);
        }
        drop(cache, block);
    }
    return written;
}

static int compare_versions(const void *left, const void *right)
{
    const struct cache_version *const *a = left, *const *b = right;
    if ((*a)->write != (*b)->write)
        return (*a)->write > (*b)->write ? 1 : -1;
    return ((*a)->sector > (*b)->sector) - ((*a)->sector < (*b)->sector);
}

/* All versions, by write and sector; for the caller to free. NULL: out of memory. */
static const struct cache_version **all_versions(const struct cache *cache, size_t *count)
{
    size_t total = 0;
    for (size_t i = 0; i < cache->count; i++)
        for (const struct cache_version *at = cache->block[i]->versions; at; at = at->next)
            total++;
    const struct cache_version **versions = malloc((total + 1) * sizeof(*versions));
    if (!versions)
        return NULL;
    *count = 0;
    for (size_t i = 0; i < cache->count; i++)
        for (const struct cache_version *at = cache->block[i]->versions; at; at = at->next)
            versions[(*count)++] = at;
    qsort(versions, total, sizeof(*versions), compare_versions);
    return versions;
}

/* Puts the numbers of the first versions of those writes that survive into `starts`, in random order. */
static size_t choose_writes(const struct cache_version **versions, size_t count, unsigned survive,
                            uint64_t *seed, size_t *starts)
{
    size_t chosen = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && versions[i]->write == versions[i - 1]->write)
            continue;
        if (cache_random(seed) % 100 < survive)
            starts[chosen++] = i;
    }
    for (size_t i = chosen; i > 1; i--) {
        size_t other = cache_random(seed) % i, start = starts[i - 1];
        starts[i - 1] = starts[other];
        starts[other] = start;
    }
    return chosen;
}

static size_t sectors_of_write(const struct cache_version **versions, size_t count, size_t start)
{
    size_t end = start;
    while (end < count && versions[end]->write == versions[start]->write)
        end++;
    return end - start;
}

static bool apply_writes(const struct cache_version **versions, size_t count, const size_t *starts,
                         size_t chosen, uint64_t *seed, cache_sink sink, void *context)
{
    bool written = true;
    for (size_t i = 0; i < chosen; i++) {
        size_t sectors = sectors_of_write(versions, count, starts[i]);
        if (i + 1 == chosen)
            sectors = cache_random(seed) % (sectors + 1);
        for (size_t at = starts[i]; at < starts[i] + sectors; at++)
            written &= sink(context, versions[at]->data, SECTOR_BYTES,
                            versions[at]->sector * SECTOR_BYTES);
    }
    return written;
}

bool cache_tear(struct cache *cache, unsigned survive, uint64_t *seed, cache_sink sink,
                void *context)
{
    size_t count = 0;
    const struct cache_version **versions = all_versions(cache, &count);
    size_t *starts = malloc((count + 1) * sizeof *starts);
    bool good = versions != NULL && starts != NULL;
    if (good) {
        size_t chosen = choose_writes(versions, count, survive, seed, starts);
        good = apply_writes(versions, count, starts, chosen, seed, sink, context);
    }
    free(versions);
    free(starts);
    return cache_forget(cache, 0, seed, sink, context) && good;
}
