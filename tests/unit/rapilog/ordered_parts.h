/*
 * What the files of the ordered world (ordered_world.h) share:
 *
 *     ordered_world.c      the client, the engine, and what happens
 *     ordered_recovery.c   what a new engine makes of what a power cut leaves
 *     ordered_checks.c     what must hold
 */
#ifndef ORDERED_PARTS_H
#define ORDERED_PARTS_H

#include "ordered_world.h"

#include "kept.h"
#include "world_parts.h"

#define SECTORS (WORLD_VOLUMES * WORLD_SECTORS)
#define BUCKETS 4u
#define JOURNAL_BLOCKS 4u

struct ordered_state {
    struct kept_header kept;
    struct buffer_slot slot[WORLD_SLOTS];
    uint32_t bucket[BUCKETS];
    uint32_t order[WORLD_SLOTS];
    uint8_t journal[JOURNAL_BLOCKS * DUMP_BLOCK];
    uint8_t data[WORLD_SLOTS * BUFFER_BLOCK];
    uint8_t memory[WORLD_OPERATIONS][8 * BLOCK_SECTOR]; /* the client's */
    uint32_t restarts, resets;
    bool foreign;   /* the volumes have other names than at first */
    uint32_t grown; /* sectors that the dump area's partition has more than at first */
    bool asked[WORLD_OPERATIONS]; /* in this life of the engine */
    bool done[WORLD_OPERATIONS];
    bool acknowledged[WORLD_OPERATIONS];
    bool torn[WORLD_OPERATIONS]; /* not answered when RapiLog was restarted */
    uint32_t
        after[WORLD_OPERATIONS]; /* so many writes before it were acknowledged when it was made */
    uint32_t answered;           /* writes */
};
extern struct ordered_state own;
extern const struct world_scenario *scenario;

uint32_t place_of(uint32_t volume, uint64_t sector);
/* The stamp that the disk's value stands for. */
uint64_t stamp_of_value(uint32_t value);

/* A new engine on what is in memory and on the disk; hold: with a hold-up time. */
void ordered_start(bool hold, enum kept_past past);
/* RapiLog begins anew on what it finds in memory. */
void ordered_begin_anew(bool hold, enum kept_past past);
/* False: nothing is in flight. */
bool ordered_complete_first(void);

/* What a client of the engine that runs now reads. */
void ordered_read_all(uint8_t stamp[SECTORS]);
/* The same of an engine that starts on this disk. It is itself cut off once, and the one after that killed a few times; what is in
 * place in the end is compared. */
const uint8_t *ordered_recover(const uint32_t left[DISK_PLACES]);
/* What was recovered is forgotten: another scenario begins. */
void ordered_forget(void);

#endif
