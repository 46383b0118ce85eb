/*
 * A closed world around RapiLog's engine: what can happen in it, one event after the other, and what must hold at every instant.
 * There are two, each with its own test: crash_world.c (one volume, in place) and ordered_world.c (an ordered domain, a dump
 * area, restarts). Each has a `struct world_scenario` of its own. The explorer (explore.h) goes through either.
 *
 * A world is deterministic, and all of its state can be copied, so that the explorer can go back.
 */
#ifndef WORLD_H
#define WORLD_H

#include "engine.h"

#define WORLD_COMMANDS 24u /* that the disk may have in flight */

enum world_choice_kind {
    CHOICE_OPERATION, /* the client's next one */
    CHOICE_COMPLETE,
    CHOICE_REFUSE,
    CHOICE_TIME,
    CHOICE_END,     /* loss of mains, or a clean end */
    CHOICE_BACK,    /* the mains */
    CHOICE_RESTART, /* of RapiLog */
    CHOICE_RESET    /* of the machine, which keeps its memory */
};

struct world_choice {
    enum world_choice_kind kind;
    uint32_t command;
};
#define WORLD_CHOICES (2 * WORLD_COMMANDS + 6)

/* Mistakes that can be planted, to see that the checks find them. Each world has some of them. */
enum world_mistake {
    MISTAKE_NONE,
    MISTAKE_ACKNOWLEDGE_BEFORE_COPY,
    MISTAKE_RELEASE_BEFORE_FLUSH,
    MISTAKE_COALESCE_INTO_DRAINING,
    MISTAKE_FORGET_REFUSED,
    MISTAKE_DRAIN_OUT_OF_ORDER,
    MISTAKE_FORGET_FLUSH,
};

struct world_scenario;

void world_begin(const struct world_scenario *scenario, enum world_mistake mistake);
/* What can happen next. */
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
/* Power cuts tried so far: subsets of what was not flushed. */
extern uint64_t world_cuts;

#endif
