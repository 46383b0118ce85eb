/*
 * RapiLog's crash-point test. Small workloads run against the real engine in a closed world (crash_world.h), and *every* order
 * of events is tried: each request, each completion of each disk command, each retry, each refusal, and loss of mains (or a clean
 * "drain") at every point. In every state that can be reached, that is after every single step of a drain:
 *
 *   - power cut: every acknowledged sector is in the buffer or durable, whatever the disk's cache loses; and
 *     after "drained" it is on the disk, for every subset of what was not flushed
 *   - crash of the guest or its VMM: everything acknowledged can be read
 *   - in strict order: whatever a hold-up time that was too short leaves is a prefix of epochs
 *   - the mains come back: everything goes on, and they may be lost again
 *
 * and at every end: all requests are answered, and the drain has ended. Planted mistakes show that the checks can fail.
 */
#include "crash_world.h"
#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void must_hold(const struct world_scenario *scenario)
{
    world_begin(scenario, MISTAKE_NONE);
    explore_must_hold(scenario->name);
}

static void must_be_found(const struct world_scenario *scenario, enum world_mistake mistake)
{
    world_begin(scenario, mistake);
    explore_must_find(scenario->name);
}

/* ---- Workloads ---- */

#define WRITE(sector, count)                                                                       \
    {                                                                                              \
        BLOCK_WRITE, (sector), (count)                                                             \
    }
#define READ(sector, count)                                                                        \
    {                                                                                              \
        BLOCK_READ, (sector), (count)                                                              \
    }
#define FLUSH                                                                                      \
    {                                                                                              \
        BLOCK_FLUSH, 0, 0                                                                          \
    }
#define TAIL {WRITE(0, 8), WRITE(0, 8), WRITE(0, 8), FLUSH}, .operations = 4
#define OVERLAP {WRITE(0, 12), WRITE(6, 4), READ(4, 10), WRITE(7, 1)}, .operations = 4
#define GAPS {WRITE(1, 1), WRITE(3, 2), WRITE(7, 2), FLUSH}, .operations = 4
#define LARGE {WRITE(0, 24), WRITE(8, 8), READ(0, 24)}, .operations = 3

static void acknowledged_data_survives_every_cut(void **state)
{
    must_hold(&(struct world_scenario){.name = "log tail rewritten", .operation = TAIL});
    must_hold(
        &(struct world_scenario){.name = "overlapping writes and a read", .operation = OVERLAP});
    must_hold(&(struct world_scenario){
        .name = "reads that see the disk late", .operation = OVERLAP, .late_reads = true});
    must_hold(&(struct world_scenario){.name = "blocks with gaps", .operation = GAPS});
}

static void a_full_buffer_delays_and_loses_nothing(void **state)
{
    must_hold(&(struct world_scenario){
        .name = "room for two blocks", .operation = LARGE, .slot_limit = 2});
    must_hold(
        &(struct world_scenario){.name = "room for one block", .operation = TAIL, .slot_limit = 1});
}

static void without_hold_up_only_what_is_on_the_disk_is_acknowledged(void **state)
{
    must_hold(
        &(struct world_scenario){.name = "through, tail", .operation = TAIL, .through = true});
    must_hold(&(struct world_scenario){
        .name = "through, overlap", .operation = OVERLAP, .through = true});
}

static void strict_order_leaves_a_prefix_of_epochs(void **state)
{
    must_hold(&(struct world_scenario){
        .name = "strict, tail", .operation = TAIL, .strict = true, .expect_prefix = true});
    must_hold(&(struct world_scenario){
        .name = "strict, gaps", .operation = GAPS, .strict = true, .expect_prefix = true});
}

static void a_clean_drain_ends_with_everything_on_the_disk(void **state)
{
    must_hold(
        &(struct world_scenario){.name = "drain, overlap", .operation = OVERLAP, .drain = true});
}

static void disk_errors_lose_nothing(void **state)
{
    must_hold(&(struct world_scenario){.name = "one error, tail", .operation = TAIL, .errors = 1});
    must_hold(&(struct world_scenario){.name = "two errors",
                                       .operation = {WRITE(0, 8), WRITE(6, 4), FLUSH},
                                       .operations = 3,
                                       .errors = 2});
    must_hold(&(struct world_scenario){.name = "two errors, through",
                                       .operation = {WRITE(0, 8), WRITE(6, 4), FLUSH},
                                       .operations = 3,
                                       .errors = 2,
                                       .through = true});
    must_hold(&(struct world_scenario){.name = "an error in a full buffer",
                                       .operation = {WRITE(0, 16), WRITE(8, 8), WRITE(0, 8)},
                                       .operations = 3,
                                       .errors = 1,
                                       .slot_limit = 2});
    must_hold(&(struct world_scenario){.name = "errors in a clean drain",
                                       .operation = {WRITE(5, 7), WRITE(0, 8)},
                                       .operations = 2,
                                       .errors = 2,
                                       .through = true,
                                       .drain = true});
}

static void mains_that_come_back_change_nothing(void **state)
{
    must_hold(&(struct world_scenario){.name = "back, tail", .operation = TAIL, .returns = 1});
    must_hold(&(struct world_scenario){.name = "back, a read",
                                       .operation = {WRITE(0, 12), READ(4, 10)},
                                       .operations = 2,
                                       .returns = 1});
    must_hold(&(struct world_scenario){.name = "back, through",
                                       .operation = {WRITE(0, 12), WRITE(6, 4), FLUSH},
                                       .operations = 3,
                                       .through = true,
                                       .returns = 1});
    must_hold(&(struct world_scenario){.name = "back twice, a full buffer",
                                       .operation = {WRITE(0, 8), WRITE(8, 8), FLUSH},
                                       .operations = 3,
                                       .slot_limit = 1,
                                       .returns = 2});
    must_hold(&(struct world_scenario){.name = "back, an error",
                                       .operation = {WRITE(0, 8), WRITE(0, 8)},
                                       .operations = 2,
                                       .errors = 1,
                                       .returns = 1});
    must_hold(&(struct world_scenario){.name = "back, strict",
                                       .operation = TAIL,
                                       .strict = true,
                                       .expect_prefix = true,
                                       .returns = 1});
}

/* ---- Random walks: workloads too long for every order ---- */

static struct world_scenario random_scenario(void)
{
    struct world_scenario scenario = {
        .name = "random walk",
        .operations = WORLD_OPERATIONS,
        .slot_limit = explore_choose(5),
        .errors = explore_choose(2) * explore_choose(6),
        .through = explore_choose(5) == 0,
        .strict = explore_choose(3) == 0,
        .late_reads = explore_choose(2) == 0,
        .drain = explore_choose(4) == 0,
    };
    scenario.returns = scenario.drain ? 0 : explore_choose(4);
    for (uint32_t i = 0; i < WORLD_OPERATIONS; i++) {
        static const enum block_operation kinds[] = {BLOCK_WRITE, BLOCK_WRITE, BLOCK_WRITE,
                                                     BLOCK_READ, BLOCK_FLUSH};
        struct world_operation *operation = &scenario.operation[i];
        operation->kind = kinds[explore_choose(5)];
        if (operation->kind == BLOCK_FLUSH)
            continue;
        operation->sector = explore_choose(WORLD_SECTORS);
        operation->count = 1 + explore_choose(WORLD_SECTORS - operation->sector);
    }
    return scenario;
}

static void random_walks_lose_nothing(void **state)
{
    world_cuts = 0;
    for (uint32_t seed = 1; seed <= 4000; seed++) {
        explore_seed(seed);
        const struct world_scenario scenario = random_scenario();
        world_begin(&scenario, MISTAKE_NONE);
        const char *wrong = explore_walk(1);
        if (wrong != NULL)
            fail_msg("random walk with seed %u: %s", seed, wrong);
    }
    printf("    4000 walks, %lu power cuts\n", (unsigned long)world_cuts);
}

/* ---- Planted mistakes ---- */

static void acknowledging_before_the_copy_is_found(void **state)
{
    must_be_found(&(struct world_scenario){.name = "tail", .operation = TAIL},
                  MISTAKE_ACKNOWLEDGE_BEFORE_COPY);
}

static void releasing_before_the_flush_is_found(void **state)
{
    must_be_found(&(struct world_scenario){.name = "tail", .operation = TAIL},
                  MISTAKE_RELEASE_BEFORE_FLUSH);
}

static void draining_out_of_order_is_found(void **state)
{
    must_be_found(&(struct world_scenario){.name = "gaps, not strict",
                                           .operation = GAPS,
                                           .expect_prefix = true},
                  MISTAKE_NONE);
}

static void coalescing_into_what_the_drain_has_taken_is_found(void **state)
{
    must_be_found(&(struct world_scenario){.name = "tail", .operation = TAIL},
                  MISTAKE_COALESCE_INTO_DRAINING);
}

static void forgetting_what_the_disk_refused_is_found(void **state)
{
    must_be_found(&(struct world_scenario){.name = "tail", .operation = TAIL, .errors = 1},
                  MISTAKE_FORGET_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_data_survives_every_cut),
        cmocka_unit_test(a_full_buffer_delays_and_loses_nothing),
        cmocka_unit_test(without_hold_up_only_what_is_on_the_disk_is_acknowledged),
        cmocka_unit_test(strict_order_leaves_a_prefix_of_epochs),
        cmocka_unit_test(a_clean_drain_ends_with_everything_on_the_disk),
        cmocka_unit_test(disk_errors_lose_nothing),
        cmocka_unit_test(mains_that_come_back_change_nothing),
        cmocka_unit_test(random_walks_lose_nothing),
        cmocka_unit_test(acknowledging_before_the_copy_is_found),
        cmocka_unit_test(releasing_before_the_flush_is_found),
        cmocka_unit_test(draining_out_of_order_is_found),
        cmocka_unit_test(coalescing_into_what_the_drain_has_taken_is_found),
        cmocka_unit_test(forgetting_what_the_disk_refused_is_found),
    };
    explore_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    explore_exit();
    return failed;
}
