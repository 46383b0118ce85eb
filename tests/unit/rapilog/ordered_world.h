/*
 * A small closed world around RapiLog's engine with a dump area (world.h): one client with two
 * volumes, one disk with both and the dump area, and time. The client is as mean as that of crash_world.h. A value of the disk stands
 * for all the bytes of a sector, since what the dump area holds after a power cut is read again by a new engine.
 *
 * RapiLog itself may be restarted: its engine begins anew on the memory of the old one, the disk has done what was in flight, the
 * client asks again for what was not answered. When the machine is reset, the disk has done nothing of what was in flight, and all
 * checksums had been made.
 *
 * A power cut leaves any subset of the sectors that were not flushed, so blocks are torn and writes reordered. Then a new
 * engine starts on what is left, is cut off itself at some point, and another one starts, which is killed and restarted up to three
 * times on its way. What its clients could read must be the state after some number of writes, all of them and none later: a
 * prefix of the history. After "drained" it must have everything that was acknowledged, and after a clean end the volumes alone
 * must have it, without the dump area.
 */
#ifndef ORDERED_WORLD_H
#define ORDERED_WORLD_H

#include "world.h"

#define WORLD_VOLUMES 2u
#define WORLD_SECTORS 16u /* of a volume */
#define WORLD_SLOTS 8u
#define WORLD_OPERATIONS 6u

struct world_write {
    uint32_t volume, sector, count;
};

struct world_scenario {
    const char *name;
    struct world_write write[WORLD_OPERATIONS];
    uint32_t writes;
    bool held; /* mode held: the dump area is used on loss of mains only; no prefix is expected */
    bool slow_in_place; /* held: the dump area is the faster way out */
    bool through;       /* no hold-up time */
    bool drain;         /* a clean end instead of loss of mains */
    uint32_t errors;    /* the disk may refuse that many writes and flushes */
    uint32_t returns;   /* the mains may come back that often */
    bool
        stays_up; /* they are lost as often as they come back, and in the end everything must be answered */
    uint32_t restarts; /* RapiLog may be restarted that often */
    uint32_t resets;   /* the machine may be reset that often, keeping its memory */
    bool without_dump; /* held only: there is no dump area */
    uint32_t
        slots; /* of the buffer, for a client that waits for each answer: a write that finds no room would be overtaken by one
                         * that does; 0: WORLD_SLOTS, enough for all */
};

/* States of the disk from which an engine was started, so far. */
extern uint64_t world_recoveries;

#endif
