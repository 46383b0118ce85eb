/*
 * RapiLog's crash-point test with a dump area: mode `held ordered`, and the fast way out of mode `held`. Small workloads over two
 * volumes run against the real engine in a closed world (ordered_world.h), and *every* order of events is tried (of longer ones,
 * random orders): each write, each
 * completion of each disk command, each refusal and retry, loss and return of mains, restarts of RapiLog at every point. In every state that can be
 * reached the power is cut, with every kind of torn and reordered remains, and a new engine starts:
 *
 *   - held ordered: what it serves is a prefix of the history, at whatever instant the power was cut
 *   - after "drained": everything acknowledged is there
 *   - what it serves is what it puts in place, also when it is cut off itself
 *
 * Planted mistakes show that the checks can fail.
 */
#include "explore.h"
#include "ordered_parts.h"
#include "ordered_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void must_hold(const struct world_scenario *plan)
{
    world_recoveries = 0;
    world_begin(plan, MISTAKE_NONE);
    explore_must_hold(plan->name);
    printf("        %lu different disks to start from\n", (unsigned long)world_recoveries);
}

static void must_be_found(const struct world_scenario *plan, enum world_mistake mistake)
{
    world_begin(plan, mistake);
    explore_must_find(plan->name);
}

/* ---- Random walks: workloads too long for every order ---- */

static struct world_scenario random_scenario(uint32_t seed)
{
    struct world_scenario plan = {
        .name = "random walk",
        .writes = WORLD_OPERATIONS,
        .held = explore_choose(3) == 0,
        .slow_in_place = explore_choose(2) == 0,
        .through = explore_choose(5) == 0,
        .drain = explore_choose(5) == 0,
        .errors = explore_choose(2) * explore_choose(5),
        .returns = explore_choose(3),
        .restarts = explore_choose(2) * explore_choose(8),
        .resets = explore_choose(2) * explore_choose(4),
    };
    plan.slots = seed % 2 != 0 ? 2 + seed / 2 % 3 : 0;
    for (uint32_t i = 0; i < WORLD_OPERATIONS; i++) {
        struct world_write *write = &plan.write[i];
        write->volume = explore_choose(WORLD_VOLUMES);
        write->count = 1 + explore_choose(3);
        write->sector = explore_choose(WORLD_SECTORS / 8) * 8 + explore_choose(6);
    }
    if (plan.drain)
        plan.returns = 0;
    return plan;
}

static void random_walks_keep_order_and_promise(void **state)
{
    world_cuts = 0;
    world_recoveries = 0;
    for (uint32_t seed = 1; seed <= 600; seed++) {
        explore_seed(seed);
        const struct world_scenario plan = random_scenario(seed);
        world_begin(&plan, MISTAKE_NONE);
        const char *wrong = explore_walk(3);
        if (wrong != NULL)
            fail_msg("random walk with seed %u: %s", seed, wrong);
    }
    printf("    600 walks, %lu power cuts, %lu different disks to start from\n",
           (unsigned long)world_cuts, (unsigned long)world_recoveries);
}

/* ---- Workloads: volume, sector, count. Volume 1 is the log ---- */

#define LOG_THEN_DATA {{1, 0, 2}, {0, 0, 2}, {1, 2, 1}}, .writes = 3
#define TAIL_AND_DATA {{1, 0, 1}, {0, 8, 1}, {1, 0, 1}, {0, 8, 1}}, .writes = 4
#define ONE_OF_EACH {{1, 0, 1}, {0, 0, 1}}, .writes = 2

static void an_ordered_domain_always_leaves_a_prefix(void **state)
{
    must_hold(&(struct world_scenario){.name = "log, data, log", .write = LOG_THEN_DATA});
    must_hold(&(struct world_scenario){.name = "tail and data rewritten", .write = TAIL_AND_DATA});
}

static void without_hold_up_it_is_acknowledged_when_dumped(void **state)
{
    must_hold(&(struct world_scenario){.name = "through", .write = LOG_THEN_DATA, .through = true});
}

static void mains_that_come_back_change_nothing(void **state)
{
    must_hold(&(struct world_scenario){.name = "back", .write = ONE_OF_EACH, .returns = 2});
}

static void errors_break_neither_order_nor_promise(void **state)
{
    must_hold(&(struct world_scenario){.name = "one error", .write = ONE_OF_EACH, .errors = 1});
}

static void a_clean_end_leaves_nothing_pending(void **state)
{
    must_hold(&(struct world_scenario){.name = "clean end", .write = ONE_OF_EACH, .drain = true});
}

static void held_data_gets_out_through_the_dump_area(void **state)
{
    must_hold(&(struct world_scenario){
        .name = "held", .write = ONE_OF_EACH, .held = true, .slow_in_place = true});
    must_hold(&(struct world_scenario){.name = "held, back, rewritten",
                                       .write = {{0, 0, 1}, {0, 0, 1}},
                                       .writes = 2,
                                       .held = true,
                                       .slow_in_place = true,
                                       .returns = 1});
    must_hold(&(struct world_scenario){.name = "held, one error",
                                       .write = {{0, 0, 1}},
                                       .writes = 1,
                                       .held = true,
                                       .slow_in_place = true,
                                       .errors = 1});
}

static void a_restart_of_rapilog_loses_nothing(void **state)
{
    must_hold(&(struct world_scenario){
        .name = "a restart, ordered", .write = {{1, 0, 1}}, .writes = 1, .restarts = 1});
    must_hold(&(struct world_scenario){.name = "a restart, held",
                                       .write = {{0, 0, 2}, {0, 1, 2}},
                                       .writes = 2,
                                       .held = true,
                                       .without_dump = true,
                                       .restarts = 1});
}

static void a_reset_of_the_machine_loses_nothing(void **state)
{
    must_hold(&(struct world_scenario){
        .name = "a reset, ordered", .write = {{1, 0, 1}}, .writes = 1, .resets = 1});
    must_hold(&(struct world_scenario){.name = "a reset, held",
                                       .write = {{0, 0, 2}, {0, 1, 2}},
                                       .writes = 2,
                                       .held = true,
                                       .without_dump = true,
                                       .resets = 1});
}

/* One volume has its part of an epoch in place, and all other room is taken by what came later, when RapiLog is restarted or the
 * mains fail. */
static void what_is_pending_finds_room_again(void **state)
{
    struct world_scenario plan = {.name = "full",
                                  .write = {{1, 0, 1}, {0, 0, 1}, {1, 8, 1}, {0, 8, 1}},
                                  .writes = 4,
                                  .slots = 2};
    for (uint32_t seed = 1; seed <= 1000; seed++) {
        explore_seed(seed);
        plan.restarts = seed % 3;
        plan.returns = seed / 3 % 3;
        plan.held = plan.slow_in_place = seed % 5 < 2;
        world_begin(&plan, MISTAKE_NONE);
        const char *wrong = explore_walk(5);
        if (wrong != NULL)
            fail_msg("full, random walk with seed %u: %s", seed, wrong);
    }
}

/* Whatever happened on the way: a client that is there in the end is served. */
static void after_the_mains_are_back_all_goes_on(void **state)
{
    struct world_scenario plan = {.name = "goes on",
                                  .write = {{1, 0, 1}, {0, 0, 1}, {1, 8, 1}, {0, 8, 1}},
                                  .writes = 4,
                                  .returns = 2,
                                  .stays_up = true};
    for (uint32_t seed = 1; seed <= 2000; seed++) {
        explore_seed(seed);
        plan.restarts = seed / 2 % 3;
        plan.resets = seed % 2;
        plan.held = seed % 5 == 0;
        world_begin(&plan, MISTAKE_NONE);
        const char *wrong = explore_walk(50);
        if (wrong != NULL)
            fail_msg("goes on, random walk with seed %u: %s", seed, wrong);
    }
}

/* The end is told to each new life at once, before it has looked at the dump area. */
static void a_restart_while_draining_leaves_nothing_pending(void **state)
{
    must_hold(&(struct world_scenario){.name = "a clean end, a restart",
                                       .write = {{1, 0, 1}},
                                       .writes = 1,
                                       .drain = true,
                                       .restarts = 1});
    must_hold(&(struct world_scenario){.name = "a clean end, restarts, held",
                                       .write = {{0, 0, 1}},
                                       .writes = 1,
                                       .held = true,
                                       .slow_in_place = true,
                                       .drain = true,
                                       .restarts = 2});
}

static void acknowledging_before_the_copy_is_found(void **state)
{
    must_be_found(&(struct world_scenario){.name = "copy", .write = ONE_OF_EACH},
                  MISTAKE_ACKNOWLEDGE_BEFORE_COPY);
}

static void draining_out_of_order_is_found(void **state)
{
    must_be_found(&(struct world_scenario){.name = "order", .write = LOG_THEN_DATA},
                  MISTAKE_DRAIN_OUT_OF_ORDER);
}

static void a_forgotten_flush_is_found(void **state)
{
    must_be_found(&(struct world_scenario){.name = "flush", .write = ONE_OF_EACH},
                  MISTAKE_FORGET_FLUSH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordered_domain_always_leaves_a_prefix),
        cmocka_unit_test(without_hold_up_it_is_acknowledged_when_dumped),
        cmocka_unit_test(mains_that_come_back_change_nothing),
        cmocka_unit_test(errors_break_neither_order_nor_promise),
        cmocka_unit_test(a_clean_end_leaves_nothing_pending),
        cmocka_unit_test(held_data_gets_out_through_the_dump_area),
        cmocka_unit_test(a_restart_of_rapilog_loses_nothing),
        cmocka_unit_test(a_reset_of_the_machine_loses_nothing),
        cmocka_unit_test(what_is_pending_finds_room_again),
        cmocka_unit_test(after_the_mains_are_back_all_goes_on),
        cmocka_unit_test(a_restart_while_draining_leaves_nothing_pending),
        cmocka_unit_test(random_walks_keep_order_and_promise),
        cmocka_unit_test(acknowledging_before_the_copy_is_found),
        cmocka_unit_test(draining_out_of_order_is_found),
        cmocka_unit_test(a_forgotten_flush_is_found),
    };
    explore_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    explore_exit();
    return failed;
}
