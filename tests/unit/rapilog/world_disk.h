/*
 * The disk of both worlds (world.h). It is as mean as the block protocol allows:
 *   - requests in flight complete in any order; a write in flight at a power cut may be on the medium, or any of its sectors
 *   - a completed write is in the cache; any subset of the cache's sectors may be lost at a power cut, an older
 *     version may survive where a newer one is lost
 *   - a FLUSH makes durable only what was complete when it was submitted; one that fails drops the whole cache
 *   - the data of a write is taken from memory when it completes, and compared with what it was when it was submitted
 *   - a read returns what the disk had when it was submitted, or when it completes, as the world says
 *
 * Sectors of all volumes are numbered through: their *places*. What is in a sector is known by a number, its *value*; 0 at the
 * start. The world tells which bytes that is.
 */
#ifndef WORLD_DISK_H
#define WORLD_DISK_H

#include "world.h"

#define DISK_PLACES 336u /* as many as the larger world has */
#define DISK_LARGEST 64u /* sectors of a command */
#define DISK_CACHED 512u

struct disk_command {
    bool used;
    uint32_t volume, place;
    uint32_t serial; /* FLUSH: covers cached writes up to this one */
    struct block_request request;
    uint32_t value[DISK_LARGEST]; /* WRITE: when submitted; READ: what the disk had then */
};

struct disk_cached {
    uint32_t place, serial, value;
};

struct world_disk {
    bool late_reads; /* reads return what the disk has when they complete */
    struct disk_command command[WORLD_COMMANDS];
    struct disk_cached cached[DISK_CACHED];
    uint32_t cached_count, serial;
    uint32_t durable[DISK_PLACES];
};

/* What a read that completes now returns. */
uint32_t disk_has(const struct world_disk *disk, uint32_t place);
/* The smallest value that a power cut can leave there. */
uint32_t disk_least(const struct world_disk *disk, uint32_t place);
/* NULL: the disk has no room for it. */
const struct disk_command *disk_submit(struct world_disk *disk, uint32_t volume, uint32_t place,
                                       const struct block_request *request);
/* Does it, or refuses it; it is not in flight any more. */
struct disk_command disk_complete(struct world_disk *disk, uint32_t number, bool ok);
/* Everything in flight is done, or none of it; nobody is told. */
void disk_forget(struct world_disk *disk, bool done);
/* Makes durable what the cache holds of writes up to this one. */
void disk_flush(struct world_disk *disk, uint32_t serial);

/*
 * Power cuts. Of few sectors that may be lost, every subset survives once. Of many: every beginning; with `singles` also all but one, and
 * one alone, for each; and so many random subsets.
 */
struct disk_cuts {
    uint32_t few, random;
    bool singles;
};
/* Calls `check` with what is at each place after each of them, until there is trouble. */
void disk_cut(const struct world_disk *disk, const struct disk_cuts *cuts,
              void (*check)(const uint32_t left[DISK_PLACES]));

/* ---- Implemented by each world ---- */

uint8_t *world_memory(const struct block_request *request);
uint32_t world_value(const uint8_t *sector);
void world_fill(uint8_t *sector, uint32_t value);

#endif
