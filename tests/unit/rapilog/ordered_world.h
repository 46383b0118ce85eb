/*
 * A small closed world around RapiLog's engine with a dump area, in which every order of events can be tried: one client with two
 * volumes, one disk with both and the dump area, and time. Like crash_world.h, from which it takes the meanness of client and disk;
 * here the disk has real contents, since what the dump area holds after a power cut is read again by a new engine.
 *
 * RapiLog itself may be restarted: its engine begins anew on the memory of the old one, the disk has done what was in flight, the
 * client asks again for what was not answered.
 *
 * A power cut leaves any subset of the sectors that were not flushed, so blocks are torn and writes reordered. Then a new
 * engine starts on what is left, is cut off itself at some point, and another one starts, which is killed and restarted up to three
 * times on its way. What its clients could read must be the state after some number of writes, all of them and none later: a
 * prefix of the history. After "drained" it must have everything that was acknowledged, and after a clean end the volumes alone
 * must have it, without the dump area.
 */
#ifndef ORDERED_WORLD_H
#define ORDERED_WORLD_H

#include "engine.h"

#define WORLD_VOLUMES 2u
#define WORLD_SECTORS 16u /* of a volume */
#define WORLD_SLOTS 8u
#define WORLD_OPERATIONS 6u
#define WORLD_COMMANDS 24u

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
    uint32_t restarts;  /* RapiLog may be restarted that often */
    bool without_dump;  /* held only: there is no dump area */
};

enum world_mistake {
    MISTAKE_NONE,
    MISTAKE_ACKNOWLEDGE_BEFORE_COPY,
    MISTAKE_DRAIN_OUT_OF_ORDER,
    MISTAKE_FORGET_FLUSH,
};

enum world_choice_kind {
    CHOICE_WRITE,
    CHOICE_COMPLETE,
    CHOICE_REFUSE,
    CHOICE_TIME,
    CHOICE_END,
    CHOICE_BACK,
    CHOICE_RESTART,
};

struct world_choice {
    enum world_choice_kind kind;
    uint32_t command;
};
#define WORLD_CHOICES (2 * WORLD_COMMANDS + 5)

void world_begin(const struct world_scenario *scenario, enum world_mistake mistake);
uint32_t world_choices(struct world_choice choices[WORLD_CHOICES]);
void world_do(const struct world_choice *choice);

size_t world_size(void);
void world_save(void *snapshot);
void world_restore(const void *snapshot);
uint64_t world_hash(void);

/* Checks everything that must hold at this instant, power cuts included. NULL: all is well. */
const char *world_check(void);
/* When nothing more can happen. */
const char *world_check_end(void);
/* Power cuts tried so far, and states of the disk from which an engine was started. */
extern uint64_t world_cuts, world_recoveries;

#endif
