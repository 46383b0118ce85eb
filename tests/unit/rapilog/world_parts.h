/*
 * What both worlds are made of (world.h): the engine, the disk, time, the mains, and copies of all that. What a client's sector holds is its
 * *stamp*, the number of the client's operation that wrote it; 0 at the start. The log and the formatting that the engine asks
 * for are here, too.
 */
#ifndef WORLD_PARTS_H
#define WORLD_PARTS_H

#include "world_disk.h"

/* What was found first; NULL: nothing. Not part of the state that can be copied: it stays until the next world_begin(). */
extern const char *world_trouble;
void __attribute__((format(printf, 1, 2))) trouble(const char *format, ...);

/* The last line of the log. Not part of the state either. */
extern char world_said[400];

void stamp_fill(uint8_t *memory, uint32_t count, uint64_t stamp);
uint64_t stamp_of(const uint8_t *sector);

uint64_t hash_words(uint64_t hash, const void *memory, size_t size);

/* MISTAKE_ACKNOWLEDGE_BEFORE_COPY (any world can plant it): a write gets into the buffer only when the next one comes. */
#define LATE_SECTORS 24u
struct late_write {
    uint32_t volume, count;
    uint64_t number, sector;
    uint8_t data[LATE_SECTORS * BLOCK_SECTOR];
};

/* The part of the state that both have. */
struct world_state {
    uint64_t now, deadline;
    struct world_disk disk;
    uint32_t next;            /* of the client's operations */
    uint32_t errors, returns; /* so far */
    bool ended, drained;
    struct late_write late;
};
extern struct world_state world;
extern struct engine engine;
extern struct rapilog_gauges gauges;
extern enum world_mistake planted; /* not part of the state */

/* The rest of it, and how many of the engine's volumes there are. Each world has one. */
struct world_own {
    void *memory;
    size_t size;
    uint32_t volumes;
};
extern const struct world_own world_own;

/* Everything is as at the beginning of time. */
void parts_reset(void);
/* The same for a new scenario: nothing was found yet. */
void parts_begin(enum world_mistake mistake);
/* Has the engine do what it can now. */
void parts_step(void);
/* The disk has done that command, or refuses it. */
void parts_complete(uint32_t command, bool ok);
/* Loss of mains, or a clean end. */
void parts_tell_end(bool drain);
/* Adds what the disk, time and the mains can do, with at most so many errors and returns of the mains; returns the new count. */
uint32_t parts_choices(struct world_choice choices[WORLD_CHOICES], uint32_t count, uint32_t errors,
                       uint32_t returns);
/* What the disk, time and the mains do. The engine has not been stepped yet. */
void parts_do(const struct world_choice *choice, bool drain);
/* When nothing more can happen: the drain has ended, and was told. */
void parts_check_end(void);

#endif
