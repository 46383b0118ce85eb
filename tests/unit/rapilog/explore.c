/* The explorer of the crash-point tests; see explore.h. */
#include "explore.h"

#include "world_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEN (1u << 20)
#define DEEPEST 200u
#define LONGEST_WALK 1000u

static uint64_t *seen;
static uint8_t *stack;
static uint64_t states;
static uint32_t random_state;

void explore_init(void)
{
    seen = calloc(SEEN, sizeof(seen[0]));
    stack = malloc(DEEPEST * world_size());
}

void explore_exit(void)
{
    free(stack);
    free(seen);
}

/* ---- Every order ---- */

static bool is_new(void)
{
    uint64_t hash = world_hash() | 1;
    uint32_t at = (uint32_t)(hash >> 20) % SEEN;
    while (seen[at] != 0 && seen[at] != hash)
        at = (at + 1) % SEEN;
    bool new = seen[at] == 0;
    seen[at] = hash;
    return new;
}

/* Whether the world goes on without anybody's doing. */
static bool goes_on_by(enum world_choice_kind kind)
{
    return kind != CHOICE_END && kind != CHOICE_BACK && kind != CHOICE_RESTART &&
           kind != CHOICE_RESET;
}

/* Depth first; returns what is wrong in the first state where something is, or NULL. */
static const char *explore(uint32_t depth)
{
    struct world_choice choices[WORLD_CHOICES];
    if (world_trouble != NULL || !is_new())
        return world_trouble;
    const char *wrong = world_check();
    if (wrong != NULL)
        return wrong;
    states++;
    assert_true(depth < DEEPEST && states < SEEN / 2);
    uint32_t count = world_choices(choices);
    uint8_t *snapshot = stack + depth * world_size();
    world_save(snapshot);
    bool goes_on = false;
    for (uint32_t i = 0; i < count && wrong == NULL; i++) {
        goes_on = goes_on || goes_on_by(choices[i].kind);
        world_do(&choices[i]);
        wrong = explore(depth + 1);
        world_restore(snapshot);
    }
    if (wrong == NULL && !goes_on)
        wrong = world_check_end();
    return wrong;
}

static const char *explore_all(void)
{
    memset(seen, 0, SEEN * sizeof(seen[0]));
    states = 0;
    world_cuts = 0;
    return explore(0);
}

void explore_must_hold(const char *name)
{
    const char *wrong = explore_all();
    printf("    %s: %lu states, %lu power cuts\n", name, (unsigned long)states,
           (unsigned long)world_cuts);
    if (wrong != NULL)
        fail_msg("%s: %s", name, wrong);
}

void explore_must_find(const char *name)
{
    const char *wrong = explore_all();
    if (wrong == NULL)
        fail_msg("%s: the planted mistake was not found", name);
    printf("    found: %s\n", wrong);
}

/* ---- Random walks ---- */

void explore_seed(uint32_t seed)
{
    random_state = seed * 2654435761u;
}

uint32_t explore_choose(uint32_t below)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % below;
}

/* The end comes once in a while, everything else as chance has it. */
const char *explore_walk(uint32_t checks)
{
    struct world_choice choices[WORLD_CHOICES];
    for (uint32_t step = 0; step < LONGEST_WALK; step++) {
        const char *wrong = explore_choose(checks) == 0 ? world_check() : world_trouble;
        uint32_t count = world_choices(choices);
        if (wrong != NULL)
            return wrong;
        if (count == 0)
            return world_check_end();
        uint32_t which = explore_choose(count);
        if (choices[which].kind == CHOICE_END && count > 1 && explore_choose(8) != 0)
            which = explore_choose(count - 1); /* it is among the last */
        world_do(&choices[which]);
    }
    return "the drain never ends";
}
