/*
 * RapiLog's journal, one order of events at a time, in the world of the ordered crash-point test (ordered_world.h): what no search
 * for every order gets to, and what somebody does to the dump area from outside.
 */
#include "ordered_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* ---- Events ---- */

static void happen(enum world_choice_kind kind)
{
    world_do(&(struct world_choice){kind, 0});
}

/* The disk does one thing after the other until the journal has got so far, or nothing more happens. */
static void until(enum journal_stage stage)
{
    while (engine.journal.stage != stage && ordered_complete_first())
        continue;
}

/* A write, which is in the dump area then, and on its way in place. */
static void place_the_next(void)
{
    happen(CHOICE_OPERATION);
    while (engine.journal.placing == 0)
        assert_true(ordered_complete_first());
}

static void until_quiet(void)
{
    while (ordered_complete_first())
        continue;
}

static void refuse_the_superblock(void)
{
    until(JOURNAL_SUPER_WRITING);
    assert_int_equal(engine.journal.stage, JOURNAL_SUPER_WRITING);
    for (uint32_t i = 0; i < WORLD_COMMANDS; i++)
        if (world.disk.command[i].used)
            world_do(&(struct world_choice){CHOICE_REFUSE, i});
}

static void all_must_be_answered(void)
{
    until_quiet();
    const char *wrong = world_check_end();
    if (wrong != NULL)
        fail_msg("%s", wrong);
}

/* Whatever the power leaves. */
static void all_must_be_safe(void)
{
    const char *wrong = world_check();
    if (wrong != NULL)
        fail_msg("%s", wrong);
}

/* ---- Restarts ---- */

static const struct world_scenario held_and_slow = {.write = {{0, 0, 1}, {0, 8, 1}},
                                                    .writes = 2,
                                                    .held = true,
                                                    .slow_in_place = true,
                                                    .returns = 2,
                                                    .restarts = 1};

/* Two epochs are in place, and memory knows, but the dump area does not. */
static void a_restart_before_the_superblock_goes_on(void **state)
{
    static const struct world_scenario plan = {.write = {{1, 0, 1}, {0, 0, 1}, {1, 8, 1}},
                                               .writes = 3,
                                               .returns = 1,
                                               .restarts = 1,
                                               .errors = 1};
    world_begin(&plan, MISTAKE_NONE);
    place_the_next();
    happen(CHOICE_OPERATION);
    happen(CHOICE_END);
    until_quiet();
    assert_int_equal(engine.journal.stage, JOURNAL_DUMPED);
    happen(CHOICE_BACK);
    refuse_the_superblock();
    happen(CHOICE_RESTART);
    until_quiet();
    happen(CHOICE_OPERATION);
    all_must_be_answered();
}

/* The dump area has all that is in memory, and is to be voided: no life may take it from there. */
static void two_restarts_before_a_dump_is_voided_find_room(void **state)
{
    static const struct world_scenario plan = {.write = {{0, 0, 1}, {0, 8, 1}},
                                               .writes = 2,
                                               .held = true,
                                               .slow_in_place = true,
                                               .slots = 2,
                                               .returns = 1,
                                               .restarts = 2,
                                               .errors = 2};
    world_begin(&plan, MISTAKE_NONE);
    happen(CHOICE_OPERATION);
    happen(CHOICE_OPERATION);
    happen(CHOICE_END);
    until(JOURNAL_DUMPED);
    assert_int_equal(engine.journal.stage, JOURNAL_DUMPED);
    happen(CHOICE_BACK);
    for (uint32_t restarts = 0; restarts < 2; restarts++) {
        refuse_the_superblock();
        happen(CHOICE_RESTART);
    }
    all_must_be_answered();
}

static void restart_when_dumped(void)
{
    world_begin(&held_and_slow, MISTAKE_NONE);
    happen(CHOICE_OPERATION);
    happen(CHOICE_OPERATION);
    happen(CHOICE_END);
    until(JOURNAL_DUMPED);
    assert_true(world.drained);
    happen(CHOICE_RESTART);
}

/* The dump area has all that is in memory when RapiLog is restarted without mains: it gets there once more, not in place. */
static void a_restart_without_mains_takes_the_fast_way_out(void **state)
{
    restart_when_dumped();
    until(JOURNAL_DUMPED);
    assert_int_equal(engine.journal.stage, JOURNAL_DUMPED);
    assert_int_equal(engine.journal.sequence, 2);
    all_must_be_safe();
    assert_true(world.drained);
    happen(CHOICE_BACK);
    all_must_be_answered();
}

/* Before that is complete, what the life before has dumped still counts. */
static void a_dump_that_is_cut_off_leaves_the_one_before(void **state)
{
    restart_when_dumped();
    until(JOURNAL_WRITING);
    assert_int_equal(engine.journal.stage, JOURNAL_WRITING);
    world.drained = true; /* it was: whatever happens now, all of it must be found */
    all_must_be_safe();
}

/* The mains are back, but the superblock that says that the dump is not needed is refused. */
static void dump_without_voiding(void)
{
    world_begin(&held_and_slow, MISTAKE_NONE);
    happen(CHOICE_OPERATION);
    happen(CHOICE_END);
    until(JOURNAL_DUMPED);
    happen(CHOICE_BACK);
    refuse_the_superblock();
}

/* The mains come and go while the dump area takes what is then not needed there, and its other half is not free. */
static void a_flicker_does_not_forget_an_abandoned_dump(void **state)
{
    dump_without_voiding();
    happen(CHOICE_END);
    until(JOURNAL_WRITING);
    assert_int_equal(engine.journal.stage, JOURNAL_WRITING);
    happen(CHOICE_BACK);
    happen(CHOICE_END);
    happen(CHOICE_BACK);
    assert_true(engine.journal.abandoned);
    happen(CHOICE_OPERATION);
    all_must_be_answered();
}

/* What was dumped is not voided yet, so nothing newer may go in place: then the other half is the way out, also when it is the slower one. */
static void what_is_not_voided_does_not_keep_newer_data_in_memory(void **state)
{
    dump_without_voiding();
    happen(CHOICE_OPERATION);
    for (uint32_t number = 0; number < WORLD_VOLUMES; number++)
        engine.volume[number].rate = (struct rate){1, 1, 1, true};
    engine.news = true;
    parts_step();
    happen(CHOICE_END);
    until_quiet();
    assert_int_equal(engine.journal.stage, JOURNAL_DUMPED);
    assert_true(world.drained);
    all_must_be_safe();
}

/* ---- Bad disks ---- */

static void refuse_all(uint32_t volume)
{
    for (uint32_t i = 0; i < WORLD_COMMANDS; i++)
        if (world.disk.command[i].used && world.disk.command[i].volume == volume)
            world_do(&(struct world_choice){CHOICE_REFUSE, i});
}

/* So many times, the disk refuses what that volume wants and does what others want. */
static void go_on_without(uint32_t volume, uint32_t times)
{
    while (times-- > 0) {
        refuse_all(volume);
        for (uint32_t i = 0; i < WORLD_COMMANDS; i++)
            if (world.disk.command[i].used && world.disk.command[i].volume != volume)
                world_do(&(struct world_choice){CHOICE_COMPLETE, i});
        if (world.deadline != ENGINE_NEVER)
            happen(CHOICE_TIME);
    }
}

static void until_nothing_is_left(void)
{
    while (world.deadline != ENGINE_NEVER || ordered_complete_first())
        if (world.deadline != ENGINE_NEVER)
            happen(CHOICE_TIME);
}

/* Nothing is promised that the next start would not look for, and nobody waits for ever. */
static void a_new_area_is_used_when_its_superblock_is_there(void **state)
{
    static const struct world_scenario plan = {.write = {{1, 0, 1}, {0, 0, 1}}, .writes = 2};
    world_begin(&plan, MISTAKE_NONE);
    memset(world.disk.durable, 0, sizeof(world.disk.durable));
    ordered_begin_anew(true, KEPT_NOTHING);
    until(JOURNAL_SUPER_WRITING);
    assert_int_equal(engine.volume[0].state, VOLUME_SERVING);
    happen(CHOICE_OPERATION);
    assert_false(own.done[0]);
    all_must_be_safe();
    go_on_without(WORLD_VOLUMES, 1);
    assert_false(own.done[0]); /* once may be an accident */
    assert_non_null(strstr(world_said, "is answered with an error"));
    go_on_without(WORLD_VOLUMES, 9);
    assert_true(own.done[0] && !own.acknowledged[0]);
    assert_int_equal(engine.journal.sequence, 0);
    all_must_be_safe();
    until_nothing_is_left();
    happen(CHOICE_OPERATION);
    assert_true(own.acknowledged[1]);
    all_must_be_answered();
}

/* In mode held nothing waits for that superblock but the fast way out. */
static void a_volume_does_not_need_the_superblock_in_mode_held(void **state)
{
    static const struct world_scenario plan = {
        .write = {{0, 0, 1}}, .writes = 1, .held = true, .through = true};
    world_begin(&plan, MISTAKE_NONE);
    memset(world.disk.durable, 0, sizeof(world.disk.durable));
    ordered_begin_anew(false, KEPT_NOTHING);
    until(JOURNAL_SUPER_WRITING);
    go_on_without(WORLD_VOLUMES, 2);
    assert_non_null(strstr(world_said, "no write waits for it"));
    happen(CHOICE_OPERATION);
    for (uint32_t times = 0; times < 4; times++) {
        assert_true(!own.done[0] || own.acknowledged[0]);
        go_on_without(WORLD_VOLUMES, 1);
    }
    assert_true(own.acknowledged[0]);
    happen(CHOICE_END);
    go_on_without(WORLD_VOLUMES, 4);
    assert_true(world.drained);
}

/* The bound is that of draining in place; a dump area that cannot be written must not stand before it. */
static void a_bad_dump_area_is_given_up_when_the_mains_fail(void **state)
{
    world_begin(&held_and_slow, MISTAKE_NONE);
    happen(CHOICE_OPERATION);
    happen(CHOICE_OPERATION);
    happen(CHOICE_END);
    until(JOURNAL_WRITING);
    assert_int_equal(engine.journal.stage, JOURNAL_WRITING);
    go_on_without(WORLD_VOLUMES, 8);
    assert_true(world.drained);
    all_must_be_safe();
    happen(CHOICE_BACK);
    assert_true(engine.journal.gate); /* it may be complete all the same */
    until_nothing_is_left();
    assert_false(engine.journal.gate);
    all_must_be_answered();
}

/* What was dumped cannot be voided then: nothing leaves memory, so nothing more is promised; what was, gets out in place when the mains fail
 * again, though what the area holds of old may come back; it is tried as long as there may be power. */
static void a_bad_dump_area_is_given_up_each_time(void **state)
{
    static const struct world_scenario plan = {
        .write = {{0, 0, 1}, {0, 8, 1}, {1, 0, 1}, {1, 8, 1}},
        .writes = 4,
        .held = true,
        .slow_in_place = true,
        .returns = 3};
    world_begin(&plan, MISTAKE_NONE);
    happen(CHOICE_OPERATION);
    happen(CHOICE_OPERATION);
    happen(CHOICE_END);
    go_on_without(WORLD_VOLUMES, 8);
    assert_true(world.drained);
    happen(CHOICE_BACK);
    happen(CHOICE_OPERATION);
    assert_true(own.acknowledged[2]);
    engine.setup.limits.hold_up_ns = 5 * JOURNAL_RETRY_NS;
    for (uint32_t times = 0; times < 2; times++) {
        happen(CHOICE_END);
        go_on_without(WORLD_VOLUMES, 3);
        assert_false(world.drained); /* it could still be voided */
        go_on_without(WORLD_VOLUMES, 9);
        assert_true(world.drained);
        all_must_be_safe();
        happen(CHOICE_BACK);
        go_on_without(WORLD_VOLUMES, 4);
    }
    assert_true(engine.journal.gate && engine.journal.failing);
    happen(CHOICE_OPERATION);
    assert_false(own.done[3]);
    go_on_without(WORLD_VOLUMES, 12);
    assert_true(own.done[3] && !own.acknowledged[3]);
    until_nothing_is_left();
    all_must_be_answered();
}

static const struct world_scenario held_for_long = {.write = {{0, 0, 1}, {0, 8, 1}, {1, 0, 1}},
                                                    .writes = 3,
                                                    .held = true,
                                                    .slow_in_place = true,
                                                    .returns = 2,
                                                    .restarts = 1};

/* The power is lost when the first write is in the dump area, and comes back; it is on its way in place when the next one comes. */
static void start_with_a_dump(void)
{
    world_begin(&held_for_long, MISTAKE_NONE);
    happen(CHOICE_OPERATION);
    happen(CHOICE_END);
    until(JOURNAL_DUMPED);
    assert_true(world.drained);
    disk_forget(&world.disk, false);
    disk_flush(&world.disk, UINT32_MAX);
    world.ended = world.drained = false;
    ordered_begin_anew(true, KEPT_NOTHING);
    engine.setup.limits.hold_up_ns = 5 * JOURNAL_RETRY_NS;
    while (engine.journal.placing == 0)
        assert_true(ordered_complete_first());
    happen(CHOICE_OPERATION);
    assert_true(own.acknowledged[1]);
}

/* What is on its way in place stays so, and what came later follows: nothing stays in memory. */
static void a_bad_dump_area_is_given_up_while_an_epoch_is_placed(void **state)
{
    start_with_a_dump();
    happen(CHOICE_END);
    until(JOURNAL_WRITING);
    assert_int_equal(engine.journal.stage, JOURNAL_WRITING);
    go_on_without(WORLD_VOLUMES, 4);
    assert_int_equal(stamp_of_value(disk_has(&world.disk, place_of(0, 0))), 1);
    assert_false(world.drained); /* it could still be voided */
    go_on_without(WORLD_VOLUMES, 12);
    assert_int_equal(stamp_of_value(disk_has(&world.disk, place_of(0, 8))), 2);
    assert_true(world.drained);
    all_must_be_safe();
    happen(CHOICE_BACK);
    happen(CHOICE_OPERATION);
    until_nothing_is_left();
    assert_false(engine.journal.gate);
    all_must_be_answered();
}

/* The mains are back before it is in place. */
static void a_given_up_dump_is_voided_after_the_epoch_before_it(void **state)
{
    start_with_a_dump();
    happen(CHOICE_END);
    until(JOURNAL_WRITING);
    refuse_all(WORLD_VOLUMES);
    assert_true(engine.journal.given_up && engine.journal.placing != 0);
    happen(CHOICE_BACK);
    assert_true(engine.journal.gate);
    happen(CHOICE_OPERATION);
    until_nothing_is_left();
    assert_false(engine.journal.gate);
    assert_int_equal(engine.journal.super_placed, engine.journal.sequence);
    all_must_be_safe();
    all_must_be_answered();
}

/* The mains are lost, and the dump area refuses only what would void what it holds. */
static void all_must_get_in_place_without_the_superblock(void)
{
    until(JOURNAL_SUPER_WRITING);
    assert_int_equal(engine.journal.stage, JOURNAL_SUPER_WRITING);
    assert_false(world.drained || engine.journal.emergency);
    go_on_without(WORLD_VOLUMES, 2);
    assert_false(world.drained); /* it could still be voided */
    assert_non_null(strstr(world_said, "goes on refusing, all drains in place"));
    go_on_without(WORLD_VOLUMES, 12);
    assert_true(world.drained && engine.journal.hopeless);
    assert_non_null(strstr(world_said, "is on the disk, but old data in the dump area may"));
    for (uint32_t place = 0; place < SECTORS; place++)
        for (uint32_t i = 0; i < world.next; i++)
            if (place == place_of(scenario->write[i].volume, scenario->write[i].sector))
                assert_true(stamp_of_value(disk_has(&world.disk, place)) >= i + 1);
}

/* The area takes the dump, and nothing any more once the mains have come back and are lost again: it has no room for another one. */
static void what_cannot_be_voided_after_two_losses_of_mains_gets_in_place(void **state)
{
    start_with_a_dump();
    happen(CHOICE_END);
    until(JOURNAL_DUMPED);
    assert_true(world.drained);
    happen(CHOICE_BACK);
    happen(CHOICE_OPERATION);
    assert_true(own.acknowledged[2]);
    happen(CHOICE_END);
    assert_false(engine.journal.given_up);
    all_must_get_in_place_without_the_superblock();
    all_must_be_safe();
    happen(CHOICE_BACK);
    until_nothing_is_left();
    assert_false(engine.journal.gate);
    all_must_be_answered();
}

/* RapiLog fails, too, and its next life has never heard that the area refuses. */
static void what_cannot_be_voided_after_a_restart_gets_in_place(void **state)
{
    start_with_a_dump();
    world.ended = true;
    ordered_begin_anew(true, KEPT_RESTARTED);
    engine.setup.limits.hold_up_ns = 5 * JOURNAL_RETRY_NS;
    all_must_get_in_place_without_the_superblock();
    all_must_be_safe();
}

/* An older epoch would come back over what gets in place without mains: the end is told when it is voided. */
static void an_old_dump_is_voided_before_the_end_is_told(void **state)
{
    static const struct world_scenario plan = {.write = {{0, 0, 1}, {0, 0, 1}},
                                               .writes = 2,
                                               .held = true,
                                               .slow_in_place = true,
                                               .returns = 1};
    world_begin(&plan, MISTAKE_NONE);
    happen(CHOICE_OPERATION);
    happen(CHOICE_END);
    until(JOURNAL_DUMPED);
    happen(CHOICE_BACK);
    until(JOURNAL_SUPER_WRITING);
    assert_int_equal(engine.journal.stage, JOURNAL_SUPER_WRITING);
    happen(CHOICE_OPERATION);
    assert_true(own.acknowledged[1]);
    happen(CHOICE_END);
    go_on_without(WORLD_VOLUMES, 12);
    assert_true(engine.journal.given_up);
    assert_int_equal(stamp_of_value(disk_has(&world.disk, place_of(0, 0))), 2);
    all_must_be_safe();
    until_nothing_is_left();
    assert_true(world.drained);
    all_must_be_safe();
}

/* Nothing can be in it, so nothing is left to be said there. */
static void a_clean_end_does_not_wait_for_a_first_superblock(void **state)
{
    static const struct world_scenario plan = {
        .write = {{0, 0, 1}}, .writes = 1, .held = true, .through = true, .drain = true};
    world_begin(&plan, MISTAKE_NONE);
    memset(world.disk.durable, 0, sizeof(world.disk.durable));
    ordered_begin_anew(false, KEPT_NOTHING);
    until(JOURNAL_SUPER_WRITING);
    happen(CHOICE_OPERATION);
    go_on_without(WORLD_VOLUMES, 4);
    happen(CHOICE_END);
    go_on_without(WORLD_VOLUMES, 8);
    assert_true(world.drained);
}

static void an_unmeasured_dump_area_is_no_way_out(void **state)
{
    world_begin(&held_and_slow, MISTAKE_NONE);
    engine.volume[WORLD_VOLUMES].rate = (struct rate){0, 0, 0, false};
    happen(CHOICE_OPERATION);
    happen(CHOICE_OPERATION);
    happen(CHOICE_END);
    until_quiet();
    assert_int_equal(engine.journal.sequence, 0);
    assert_true(world.drained);
    all_must_be_safe();
}

/* A disk that refuses something once gets it again, and nobody hears of it. */
static void one_refusal_is_no_error(void **state)
{
    static const struct world_scenario plan = {
        .write = {{1, 0, 1}, {0, 0, 1}}, .writes = 2, .through = true};
    world_begin(&plan, MISTAKE_NONE);
    place_the_next();
    happen(CHOICE_OPERATION);
    refuse_all(1);
    until_nothing_is_left();
    assert_true(own.acknowledged[1]);
}

/* Nobody is answered then, and the log says nothing else. */
static void a_dump_area_that_refuses_without_mains_promises_no_answer(void **state)
{
    static const struct world_scenario plan = {.write = {{1, 0, 1}}, .writes = 1};
    world_begin(&plan, MISTAKE_NONE);
    happen(CHOICE_OPERATION);
    happen(CHOICE_END);
    go_on_without(WORLD_VOLUMES, 12);
    assert_false(world.drained);
    assert_non_null(strstr(world_said, "goes on refusing, what is in memory stays there"));
    until(JOURNAL_DUMPED);
    until_nothing_is_left();
    assert_true(world.drained);
    assert_null(strstr(world_said, "old data"));
}

/* One volume that cannot be written for good keeps the epoch of all of them. */
static void a_bad_volume_leaves_nobody_waiting(void **state)
{
    static const struct world_scenario plan = {
        .write = {{1, 0, 1}, {0, 0, 1}, {0, 8, 1}, {1, 8, 1}}, .writes = 4};
    const struct block_request flush = {.id = 4, .operation = BLOCK_FLUSH};
    world_begin(&plan, MISTAKE_NONE);
    place_the_next();
    happen(CHOICE_OPERATION);
    go_on_without(1, 8);
    assert_true(engine.volume[1].failing);
    happen(CHOICE_OPERATION);
    happen(CHOICE_OPERATION);
    engine_take(&engine, 0, &flush, own.memory[4]);
    go_on_without(1, 24);
    assert_true(own.done[2] && own.done[3] && own.done[4]);
}

/* ---- What somebody did to the dump area ---- */

static const struct world_scenario two_epochs = {
    .write = {{1, 0, 1}, {0, 0, 1}, {1, 8, 1}}, .writes = 3, .restarts = 1};

static void change(uint32_t volume, uint64_t sector, uint32_t count)
{
    static uint8_t bytes[BLOCK_SECTOR];
    stamp_fill(bytes, 1, 77);
    for (uint32_t i = 0; i < count; i++)
        world.disk.durable[place_of(volume, sector + i)] = world_value(bytes);
}

static void clear(uint32_t volume, uint64_t sector, uint32_t count)
{
    memset(&world.disk.durable[place_of(volume, sector)], 0, count * sizeof(world.disk.durable[0]));
}

/* What the volumes got since without it is newer than what a cleared area still holds. */
static void a_cleared_area_holds_nothing(void **state)
{
    uint8_t stamp[SECTORS];
    world_begin(&two_epochs, MISTAKE_NONE);
    for (uint32_t i = 0; i < 3; i++) {
        happen(CHOICE_OPERATION);
        until_quiet();
    }
    disk_flush(&world.disk, UINT32_MAX);
    clear(WORLD_VOLUMES, 0, DUMP_SUPERS * DUMP_BLOCK_SECTORS);
    change(1, 8, 1);
    ordered_begin_anew(true, KEPT_NOTHING);
    until_quiet();
    ordered_read_all(stamp);
    assert_int_equal(stamp[place_of(1, 0)], 1);
    assert_int_equal(stamp[place_of(1, 8)], 77);
    /* And what is written now is found. */
    ordered_begin_anew(true, KEPT_NOTHING);
    until_quiet();
    assert_true(engine.journal.owned);
    assert_int_equal(engine.buffer.slots, 0);
}

/* Nor after a restart of RapiLog before the superblock is there. */
static void a_cleared_area_holds_nothing_after_a_restart(void **state)
{
    uint8_t stamp[SECTORS];
    world_begin(&two_epochs, MISTAKE_NONE);
    for (uint32_t i = 0; i < 3; i++) {
        happen(CHOICE_OPERATION);
        until_quiet();
    }
    disk_flush(&world.disk, UINT32_MAX);
    clear(WORLD_VOLUMES, 0, DUMP_SUPERS * DUMP_BLOCK_SECTORS);
    change(1, 8, 1);
    ordered_begin_anew(true, KEPT_NOTHING);
    refuse_the_superblock();
    ordered_begin_anew(true, KEPT_RESTARTED);
    until(JOURNAL_SUPER_WRITING);
    ordered_read_all(stamp);
    assert_int_equal(stamp[place_of(1, 8)], 77);
    assert_false(engine.journal.owned);
}

/* Others had it in between, whose numbers begin anew: what they leave of it is not found again later either. */
static void a_cleared_area_holds_nothing_after_others_had_it(void **state)
{
    uint8_t stamp[SECTORS];
    world_begin(&two_epochs, MISTAKE_NONE);
    place_the_next();
    disk_flush(&world.disk, UINT32_MAX);
    clear(WORLD_VOLUMES, 0, DUMP_SUPERS * DUMP_BLOCK_SECTORS);
    own.foreign = true;
    ordered_begin_anew(true, KEPT_NOTHING);
    until_quiet();
    own.foreign = false;
    ordered_begin_anew(true, KEPT_NOTHING);
    until_quiet();
    disk_flush(&world.disk, UINT32_MAX);
    change(1, 0, 1);
    ordered_begin_anew(true, KEPT_NOTHING);
    until_quiet();
    ordered_read_all(stamp);
    assert_int_equal(stamp[place_of(1, 0)], 77);
}

/* RapiLog's memory says otherwise: then it is not from before. */
static void a_cleared_superblock_does_not_lose_what_memory_knows(void **state)
{
    world_begin(&two_epochs, MISTAKE_NONE);
    place_the_next();
    disk_flush(&world.disk, UINT32_MAX);
    clear(WORLD_VOLUMES, 0, DUMP_SUPERS * DUMP_BLOCK_SECTORS);
    happen(CHOICE_RESTART);
    happen(CHOICE_OPERATION);
    all_must_be_answered();
    assert_int_equal(stamp_of_value(disk_has(&world.disk, place_of(1, 0))), 1);
}

/* The same when the mains fail before it is in place. */
static void a_cleared_superblock_does_not_keep_the_end_waiting(void **state)
{
    world_begin(&two_epochs, MISTAKE_NONE);
    place_the_next();
    happen(CHOICE_OPERATION);
    disk_flush(&world.disk, UINT32_MAX);
    clear(WORLD_VOLUMES, 0, DUMP_SUPERS * DUMP_BLOCK_SECTORS);
    happen(CHOICE_RESTART);
    while (engine.journal.placing == 0)
        assert_true(ordered_complete_first());
    happen(CHOICE_END);
    until_quiet();
    assert_true(world.drained);
}

static void lose_power(void)
{
    disk_forget(&world.disk, false);
    disk_flush(&world.disk, UINT32_MAX);
}

static const struct world_scenario ordered_at_first = {.write = {{1, 0, 1}, {0, 0, 1}, {1, 0, 1}},
                                                       .writes = 3};
static const struct world_scenario held_then = {
    .write = {{1, 0, 1}, {0, 0, 1}, {1, 0, 1}}, .writes = 3, .held = true};

/* Epoch 1 is in place, which only the first descriptor of epoch 2 says, that is not complete. */
static void leave_only_a_hint(void)
{
    happen(CHOICE_OPERATION);
    until_quiet();
    happen(CHOICE_OPERATION);
    until(JOURNAL_WRITING);
    assert_int_equal(engine.journal.sequence, 2);
    assert_int_equal(engine.journal.super_placed, 0);
    assert_true(ordered_complete_first());
    lose_power();
}

/* Then the mode is another. */
static void become_held(void)
{
    world_begin(&ordered_at_first, MISTAKE_NONE);
    leave_only_a_hint();
    scenario = &held_then;
    ordered_begin_anew(true, KEPT_NOTHING);
}

/* What goes in place then is newer than epoch 1, also when the next dump has torn that descriptor. */
static void an_epoch_in_place_does_not_come_back_when_the_mode_is_changed(void **state)
{
    uint8_t stamp[SECTORS];
    become_held();
    until_quiet();
    happen(CHOICE_OPERATION);
    until_quiet();
    assert_int_equal(engine.buffer.slots, 0);
    lose_power();
    clear(WORLD_VOLUMES, dump_half(engine.journal.sectors, 2) * DUMP_BLOCK_SECTORS, 1);
    ordered_begin_anew(true, KEPT_NOTHING);
    until_quiet();
    ordered_read_all(stamp);
    assert_int_equal(stamp[place_of(1, 0)], 3);
}

/* Not before the superblock says that epoch 1 is in place. */
static void nothing_newer_gets_in_place_before_the_superblock_says_so(void **state)
{
    become_held();
    until(JOURNAL_SUPER_WRITING);
    assert_int_equal(engine.journal.stage, JOURNAL_SUPER_WRITING);
    happen(CHOICE_OPERATION);
    go_on_without(WORLD_VOLUMES, 4);
    assert_int_equal(stamp_of_value(disk_has(&world.disk, place_of(1, 0))), 1);
    until_nothing_is_left();
    assert_int_equal(stamp_of_value(disk_has(&world.disk, place_of(1, 0))), 3);
}

/* Two epochs are pending, and the mains are lost before they are in place. */
static void what_cannot_be_voided_when_the_mode_is_changed_gets_in_place(void **state)
{
    world_begin(&ordered_at_first, MISTAKE_NONE);
    place_the_next();
    happen(CHOICE_OPERATION);
    happen(CHOICE_END);
    until(JOURNAL_DUMPED);
    assert_true(world.drained && engine.journal.placing == 1);
    lose_power();
    world.ended = world.drained = false;
    scenario = &held_then;
    ordered_begin_anew(true, KEPT_NOTHING);
    engine.setup.limits.hold_up_ns = 5 * JOURNAL_RETRY_NS;
    until(JOURNAL_DUMPED);
    assert_int_equal(engine.journal.placing, 1);
    happen(CHOICE_OPERATION);
    assert_true(own.acknowledged[2]);
    happen(CHOICE_END);
    all_must_get_in_place_without_the_superblock();
}

/* Nor does RapiLog's next life take it for pending when a dump that was given up has torn that descriptor. */
static void an_epoch_in_place_does_not_come_back_after_a_restart(void **state)
{
    become_held();
    engine.setup.limits.hold_up_ns = 5 * JOURNAL_RETRY_NS;
    until(JOURNAL_SUPER_WRITING);
    happen(CHOICE_OPERATION);
    assert_true(own.acknowledged[2]);
    happen(CHOICE_END);
    go_on_without(WORLD_VOLUMES, 12);
    assert_true(world.drained);
    assert_int_equal(engine.buffer.slots, 0);
    refuse_all(WORLD_VOLUMES);
    clear(WORLD_VOLUMES, dump_half(engine.journal.sectors, 2) * DUMP_BLOCK_SECTORS, 1);
    happen(CHOICE_RESTART);
    until_quiet();
    assert_int_equal(stamp_of_value(disk_has(&world.disk, place_of(1, 0))), 3);
}

/* The same in mode held ordered, where memory has no room for it any more. */
static void an_epoch_in_place_needs_no_room_after_a_restart(void **state)
{
    static const struct world_scenario plan = {
        .write = {{1, 0, 1}, {0, 0, 1}, {0, 8, 1}, {1, 8, 1}},
        .writes = 4,
        .slots = 2,
        .restarts = 1};
    world_begin(&plan, MISTAKE_NONE);
    leave_only_a_hint();
    ordered_begin_anew(true, KEPT_NOTHING);
    until_quiet();
    happen(CHOICE_OPERATION);
    happen(CHOICE_OPERATION);
    assert_true(own.acknowledged[2] && own.acknowledged[3]);
    refuse_all(WORLD_VOLUMES);
    clear(WORLD_VOLUMES, dump_half(engine.journal.sectors, 2) * DUMP_BLOCK_SECTORS, 1);
    happen(CHOICE_RESTART);
    until_nothing_is_left();
    all_must_be_answered();
    assert_int_equal(stamp_of_value(disk_has(&world.disk, place_of(1, 8))), 4);
}

/* Where its halves lie follows from the size that it had; with less than that a part of it is gone. */
static void an_area_keeps_its_size(void **state)
{
    world_begin(&two_epochs, MISTAKE_NONE);
    place_the_next();
    disk_flush(&world.disk, UINT32_MAX);
    own.grown = 2 * DUMP_BLOCK_SECTORS;
    ordered_begin_anew(true, KEPT_NOTHING);
    all_must_be_answered();
    assert_int_equal(stamp_of_value(disk_has(&world.disk, place_of(1, 0))), 1);
}

static void an_area_that_has_become_smaller_is_refused(void **state)
{
    world_begin(&two_epochs, MISTAKE_NONE);
    own.grown = 2 * DUMP_BLOCK_SECTORS;
    memset(world.disk.durable, 0, sizeof(world.disk.durable));
    ordered_begin_anew(true, KEPT_NOTHING);
    until_quiet();
    disk_flush(&world.disk, UINT32_MAX);
    own.grown = 0;
    ordered_begin_anew(true, KEPT_NOTHING);
    until_quiet();
    assert_int_equal(engine.journal.stage, JOURNAL_REFUSED);
    assert_non_null(strstr(world_trouble, "dump area"));
}

/* Both copies of the superblock. */
static void overwrite_the_superblock(const struct dump_super *with)
{
    uint8_t bytes[BLOCK_SECTOR] = {0};
    memcpy(bytes, with, sizeof(*with));
    for (uint32_t copy = 0; copy < DUMP_SUPERS; copy++)
        world.disk.durable[place_of(WORLD_VOLUMES, copy * DUMP_BLOCK_SECTORS)] = world_value(bytes);
}

/* What it holds may be needed: nobody is told to clear it and no more. */
static void an_area_of_another_version_is_refused_as_that(void **state)
{
    world_begin(&two_epochs, MISTAKE_NONE);
    place_the_next();
    disk_flush(&world.disk, UINT32_MAX);
    struct dump_super super = *journal_super(&engine, engine.journal.super_serial % DUMP_SUPERS);
    super.version = DUMP_VERSION + 1;
    overwrite_the_superblock(&super);
    ordered_begin_anew(true, KEPT_NOTHING);
    until_quiet();
    assert_int_equal(engine.journal.stage, JOURNAL_REFUSED);
    assert_non_null(strstr(world_said, "another version"));
}

static void what_is_no_dump_area_is_refused(void **state)
{
    static const struct dump_super other = {.magic = 1, .version = DUMP_VERSION + 1};
    world_begin(&two_epochs, MISTAKE_NONE);
    overwrite_the_superblock(&other);
    ordered_begin_anew(true, KEPT_NOTHING);
    until_quiet();
    assert_int_equal(engine.journal.stage, JOURNAL_REFUSED);
    assert_non_null(strstr(world_said, "something else"));
}

/* The disk has lost what it had flushed: leaving that out would lose it, too. What was loaded before does not keep the end waiting. */
static void a_damaged_epoch_that_was_complete_is_refused(void **state)
{
    world_begin(&two_epochs, MISTAKE_NONE);
    place_the_next();
    happen(CHOICE_OPERATION);
    happen(CHOICE_END);
    until_quiet();
    assert_true(world.drained && engine.journal.placing == 1);
    disk_flush(&world.disk, UINT32_MAX);
    clear(WORLD_VOLUMES, (dump_half(engine.journal.sectors, 2) + 1) * DUMP_BLOCK_SECTORS, 1);
    happen(CHOICE_RESTART);
    until_quiet();
    assert_int_equal(engine.journal.stage, JOURNAL_REFUSED);
    assert_int_equal(engine.buffer.slots, 0);
    assert_true(world.drained);
}

/* The first block of that epoch's half does not read back as it was. */
static void tear_the_start_of(uint64_t sequence)
{
    disk_flush(&world.disk, UINT32_MAX);
    clear(WORLD_VOLUMES, dump_half(engine.journal.sectors, sequence) * DUMP_BLOCK_SECTORS, 1);
}

static void it_must_be_refused(void)
{
    until_quiet();
    assert_int_equal(engine.journal.stage, JOURNAL_REFUSED);
    assert_non_null(strstr(world_trouble, "dump area"));
}

/* Memory has left it to the dump area, so leaving it out would lose it. */
static void a_dumped_epoch_whose_start_is_gone_is_refused_after_a_restart(void **state)
{
    world_begin(&two_epochs, MISTAKE_NONE);
    place_the_next();
    tear_the_start_of(1);
    happen(CHOICE_RESTART);
    it_must_be_refused();
}

/* The same of the newer of two. */
static void a_newer_epoch_whose_start_is_gone_is_refused_after_a_restart(void **state)
{
    world_begin(&two_epochs, MISTAKE_NONE);
    place_the_next();
    happen(CHOICE_OPERATION);
    happen(CHOICE_END);
    until_quiet();
    assert_true(world.drained && engine.journal.placing == 1);
    tear_the_start_of(2);
    happen(CHOICE_RESTART);
    it_must_be_refused();
}

/* A newer epoch alone is no prefix: with memory, or without it. */
static void an_older_epoch_whose_start_is_gone_is_refused(void **state)
{
    for (uint32_t restarted = 0; restarted < 2; restarted++) {
        world_begin(&two_epochs, MISTAKE_NONE);
        place_the_next();
        happen(CHOICE_OPERATION);
        happen(CHOICE_END);
        until_quiet();
        assert_true(world.drained && engine.journal.placing == 1);
        tear_the_start_of(1);
        world.ended = world.drained = false;
        ordered_begin_anew(true, restarted != 0 ? KEPT_RESTARTED : KEPT_NOTHING);
        it_must_be_refused();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_before_the_superblock_goes_on),
        cmocka_unit_test(two_restarts_before_a_dump_is_voided_find_room),
        cmocka_unit_test(a_restart_without_mains_takes_the_fast_way_out),
        cmocka_unit_test(a_dump_that_is_cut_off_leaves_the_one_before),
        cmocka_unit_test(a_flicker_does_not_forget_an_abandoned_dump),
        cmocka_unit_test(what_is_not_voided_does_not_keep_newer_data_in_memory),
        cmocka_unit_test(a_new_area_is_used_when_its_superblock_is_there),
        cmocka_unit_test(a_volume_does_not_need_the_superblock_in_mode_held),
        cmocka_unit_test(a_bad_dump_area_is_given_up_when_the_mains_fail),
        cmocka_unit_test(a_bad_dump_area_is_given_up_each_time),
        cmocka_unit_test(a_bad_dump_area_is_given_up_while_an_epoch_is_placed),
        cmocka_unit_test(a_given_up_dump_is_voided_after_the_epoch_before_it),
        cmocka_unit_test(what_cannot_be_voided_after_two_losses_of_mains_gets_in_place),
        cmocka_unit_test(what_cannot_be_voided_after_a_restart_gets_in_place),
        cmocka_unit_test(an_old_dump_is_voided_before_the_end_is_told),
        cmocka_unit_test(a_clean_end_does_not_wait_for_a_first_superblock),
        cmocka_unit_test(an_unmeasured_dump_area_is_no_way_out),
        cmocka_unit_test(one_refusal_is_no_error),
        cmocka_unit_test(a_dump_area_that_refuses_without_mains_promises_no_answer),
        cmocka_unit_test(a_bad_volume_leaves_nobody_waiting),
        cmocka_unit_test(a_cleared_area_holds_nothing),
        cmocka_unit_test(a_cleared_area_holds_nothing_after_a_restart),
        cmocka_unit_test(a_cleared_area_holds_nothing_after_others_had_it),
        cmocka_unit_test(a_cleared_superblock_does_not_lose_what_memory_knows),
        cmocka_unit_test(a_cleared_superblock_does_not_keep_the_end_waiting),
        cmocka_unit_test(an_epoch_in_place_does_not_come_back_when_the_mode_is_changed),
        cmocka_unit_test(nothing_newer_gets_in_place_before_the_superblock_says_so),
        cmocka_unit_test(what_cannot_be_voided_when_the_mode_is_changed_gets_in_place),
        cmocka_unit_test(an_epoch_in_place_does_not_come_back_after_a_restart),
        cmocka_unit_test(an_epoch_in_place_needs_no_room_after_a_restart),
        cmocka_unit_test(an_area_keeps_its_size),
        cmocka_unit_test(an_area_that_has_become_smaller_is_refused),
        cmocka_unit_test(an_area_of_another_version_is_refused_as_that),
        cmocka_unit_test(what_is_no_dump_area_is_refused),
        cmocka_unit_test(a_damaged_epoch_that_was_complete_is_refused),
        cmocka_unit_test(a_dumped_epoch_whose_start_is_gone_is_refused_after_a_restart),
        cmocka_unit_test(a_newer_epoch_whose_start_is_gone_is_refused_after_a_restart),
        cmocka_unit_test(an_older_epoch_whose_start_is_gone_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
