/* The pace of a named disk; see pace.h. */
#include "pace.h"

#include <string.h>

void pace_start(struct pace *pace, const struct disk_kind *kind, uint64_t *bitmap)
{
    memset(pace, 0, sizeof(*pace));
    pace->kind = kind;
    pace->blocks = bitmap;
}

static void remember(struct pace *pace, uint64_t offset, uint64_t bytes)
{
    uint64_t end = (offset + bytes + PACE_BLOCK - 1) / PACE_BLOCK;
    for (uint64_t block = offset / PACE_BLOCK; block < end; block++) {
        uint64_t word = block / 64, bit = UINT64_C(1) << block % 64;
        pace->cached += (pace->blocks[word] & bit) == 0;
        pace->blocks[word] |= bit;
        pace->words[word / 64] |= UINT64_C(1) << word % 64;
    }
}

static void forget(struct pace *pace, uint64_t offset, uint64_t bytes)
{
    uint64_t end = (offset + bytes + PACE_BLOCK - 1) / PACE_BLOCK;
    for (uint64_t block = offset / PACE_BLOCK; block < end; block++) {
        uint64_t word = block / 64, bit = UINT64_C(1) << block % 64;
        pace->cached -= (pace->blocks[word] & bit) != 0;
        pace->blocks[word] &= ~bit;
        if (pace->blocks[word] == 0)
            pace->words[word / 64] &= ~(UINT64_C(1) << word % 64);
    }
}

/* A run of cached blocks, collected while they are visited in ascending order. */
struct run {
    uint64_t first, count, when;
};

static void write_run(struct pace *pace, struct run *run)
{
    if (run->count > 0)
        run->when = latency_medium(pace->kind, &pace->arm, run->when, run->first * PACE_BLOCK,
                                   run->count * PACE_BLOCK);
    run->count = 0;
}

static void add_block(struct pace *pace, struct run *run, uint64_t block)
{
    if (run->count > 0 && run->first + run->count != block)
        write_run(pace, run);
    if (run->count == 0)
        run->first = block;
    run->count++;
}

static void add_word(struct pace *pace, struct run *run, uint64_t word)
{
    for (uint64_t bits = pace->blocks[word]; bits != 0; bits &= bits - 1)
        add_block(pace, run, word * 64 + (uint64_t)__builtin_ctzll(bits));
    pace->blocks[word] = 0;
}

/* The whole cache goes to the medium. Returns when it is there. */
static uint64_t destage(struct pace *pace, uint64_t now)
{
    if (pace->cached == 0)
        return now;
    struct run run = {.when = now + pace->kind->flush_ns};
    for (uint64_t group = 0; group < PACE_WORDS / 64; group++) {
        for (uint64_t bits = pace->words[group]; bits != 0; bits &= bits - 1)
            add_word(pace, &run, group * 64 + (uint64_t)__builtin_ctzll(bits));
        pace->words[group] = 0;
    }
    write_run(pace, &run);
    pace->cached = 0;
    return run.when;
}

static uint64_t begin(const struct pace *pace, uint64_t now)
{
    return now > pace->busy_until ? now : pace->busy_until;
}

/* The transfer of a command that begins at `start`, then what it costs besides: a parallel disk is free meanwhile. */
static uint64_t transfer(struct pace *pace, uint64_t start, uint64_t bytes, uint64_t cost)
{
    uint64_t moved = start + latency_transfer(bytes, pace->kind->interface_rate);
    pace->busy_until = pace->kind->parallel ? moved : moved + cost;
    return moved + cost;
}

uint64_t pace_write(struct pace *pace, uint64_t now, uint64_t offset, uint64_t bytes, bool durable)
{
    const struct disk_kind *kind = pace->kind;
    uint64_t when = transfer(pace, begin(pace, now), bytes, kind->command_ns);
    if (kind->volatile_cache) {
        if (pace->cached * PACE_BLOCK + bytes > kind->cache_bytes)
            when = destage(pace, when);
        remember(pace, offset, bytes);
        if (durable) { /* its own blocks, not the whole cache */
            when = latency_medium(kind, &pace->arm, when + kind->flush_ns, offset, bytes);
            forget(pace, offset, bytes);
        }
        pace->busy_until = when;
    }
    return when;
}

uint64_t pace_read(struct pace *pace, uint64_t now, uint64_t offset, uint64_t bytes)
{
    uint64_t start = begin(pace, now);
    if (pace->kind->rotating)
        start = latency_medium(pace->kind, &pace->arm, start, offset, bytes);
    return transfer(pace, start, bytes, pace->kind->read_ns);
}

uint64_t pace_flush(struct pace *pace, uint64_t now)
{
    if (!pace->kind->volatile_cache)
        return now;
    pace->busy_until = destage(pace, begin(pace, now));
    return pace->busy_until;
}
