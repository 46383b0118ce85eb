/*
 * The explorer of the crash-point tests: goes through a world (world.h) in every order of events, or at random where a workload is
 * too long for that, and looks in every state whether something is wrong.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include "world.h"

/* Before and after all explorations. */
void explore_init(void);
void explore_exit(void);

/* From the world's beginning (world_begin()) on, every order. Fails the test when something is wrong. */
void explore_must_hold(const char *name);
/* Fails the test when nothing is wrong: a mistake was planted. */
void explore_must_find(const char *name);

/* Random walks: a number below `below`, from a sequence of its own for each seed. */
void explore_seed(uint32_t seed);
uint32_t explore_choose(uint32_t below);
/* One walk from the world's beginning to its end, checked at one state in `checks`. NULL: all was well. */
const char *explore_walk(uint32_t checks);

#endif
