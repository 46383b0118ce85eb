/* RapiLog's buffer: each rule of services/rapilog/buffer.h by an example. */
#include "buffer_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Writes all runs of the sealed epoch, then flushes; returns how many runs it took. */
static uint32_t finish_epoch(struct fixture *f, uint32_t volume, bool write_ok, bool flush_ok)
{
    struct buffer_run run;
    struct buffer_fate fate;
    uint32_t runs = 0;
    while (buffer_next_run(&f->buffer, volume, 2048, &run)) {
        buffer_run_done(&f->buffer, &run, write_ok);
        runs++;
    }
    assert_true(buffer_flush_begin(&f->buffer, volume));
    while (buffer_flush_end(&f->buffer, volume, flush_ok, &fate))
        assert_true(fate.on_disk == (write_ok && flush_ok));
    return runs;
}

static void a_read_sees_the_newest_write_per_sector(void **state)
{
    struct fixture *f = fixture_new();
    put(f, 0, 0, 8, true);
    put(f, 0, 2, 2, true);
    assert_int_equal(look(f, 0, 1), 1);
    assert_int_equal(look(f, 0, 2), 2);
    assert_int_equal(look(f, 0, 4), 1);
    assert_int_equal(look(f, 0, 8), 0);
    assert_int_equal(look(f, 1, 0), 0);
    free(f);
}

static void a_read_is_split_where_the_buffer_begins_and_ends(void **state)
{
    struct fixture *f = fixture_new();
    uint8_t out[SECTORS * BUFFER_SECTOR];
    bool held;
    put(f, 0, 5, 6, true);
    assert_int_equal(buffer_read(&f->buffer, 0, 0, 20, out, &held), 5);
    assert_false(held);
    assert_int_equal(buffer_read(&f->buffer, 0, 5, 15, out, &held), 6);
    assert_true(held);
    assert_int_equal(buffer_read(&f->buffer, 0, 11, 9, out, &held), 9);
    assert_false(held);
    free(f);
}

static void a_rewritten_block_takes_one_slot_and_one_disk_write(void **state)
{
    struct fixture *f = fixture_new();
    for (int i = 0; i < 10; i++)
        put(f, 0, 8, 8, true);
    assert_int_equal(f->buffer.slots, 1);
    assert_int_equal(f->buffer.counters.coalesced, 9 * BUFFER_BLOCK);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    assert_int_equal(finish_epoch(f, 0, true, true), 1);
    assert_int_equal(f->buffer.slots, 0);
    free(f);
}

static void a_write_to_a_draining_block_takes_a_slot_of_its_own(void **state)
{
    struct fixture *f = fixture_new();
    struct buffer_run run;
    put(f, 0, 0, 8, true);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    assert_true(buffer_next_run(&f->buffer, 0, 2048, &run));
    put(f, 0, 0, 8, true);
    assert_int_equal(f->buffer.slots, 2);
    uint64_t on_its_way;
    memcpy(&on_its_way, f->data + run.offset, sizeof(on_its_way));
    assert_int_equal(on_its_way, 1);
    assert_int_equal(look(f, 0, 0), 2);
    free(f);
}

static void slots_stay_until_the_flush_that_covers_them_has_succeeded(void **state)
{
    struct fixture *f = fixture_new();
    struct buffer_run run;
    struct buffer_fate fate;
    put(f, 0, 0, 8, true);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    assert_false(buffer_flush_begin(&f->buffer, 0));
    assert_true(buffer_next_run(&f->buffer, 0, 2048, &run));
    assert_false(buffer_flush_begin(&f->buffer, 0));
    buffer_run_done(&f->buffer, &run, true);
    assert_int_equal(buffer_epoch_state(&f->buffer, 0), BUFFER_EPOCH_WRITTEN);
    assert_int_equal(f->buffer.slots, 1);
    assert_true(buffer_flush_begin(&f->buffer, 0));
    assert_int_equal(look(f, 0, 0), 1);
    assert_true(buffer_flush_end(&f->buffer, 0, true, &fate));
    assert_false(buffer_flush_end(&f->buffer, 0, true, &fate));
    assert_int_equal(f->buffer.slots, 0);
    assert_int_equal(look(f, 0, 0), 0);
    free(f);
}

static void sequential_writes_become_one_request(void **state)
{
    struct fixture *f = fixture_new();
    put(f, 0, 3, 13, true);
    put(f, 0, 16, 8, true);
    put(f, 0, 24, 4, true);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    struct buffer_run run;
    assert_true(buffer_next_run(&f->buffer, 0, 2048, &run));
    assert_int_equal(run.sector, 3);
    assert_int_equal(run.count, 25);
    assert_int_equal(run.slots, 4);
    assert_false(buffer_next_run(&f->buffer, 0, 2048, &run));
    free(f);
}

static void a_slot_with_gaps_is_written_in_pieces_and_a_long_run_in_portions(void **state)
{
    struct fixture *f = fixture_new();
    put(f, 0, 0, 1, true);
    put(f, 0, 2, 3, true);
    put(f, 0, 7, 4, true);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    static const uint32_t expected[][2] = {{0, 1}, {2, 2}, {4, 1}, {7, 2}, {9, 2}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        struct buffer_run run;
        assert_true(buffer_next_run(&f->buffer, 0, 2, &run));
        assert_int_equal(run.sector, expected[i][0]);
        assert_int_equal(run.count, expected[i][1]);
    }
    free(f);
}

static void the_bound_counts_time_so_scattered_blocks_weigh_more(void **state)
{
    struct fixture *f = fixture_new();
    buffer_bound(&f->buffer, SLOTS, 10000, 1000, 5000);
    assert_int_equal(put(f, 0, 0, 48, true), 40); /* one head, five blocks */
    free(f);
    f = fixture_new();
    buffer_bound(&f->buffer, SLOTS, 12000, 1000, 5000);
    assert_int_equal(put(f, 0, 0, 8, true), 8);
    assert_int_equal(put(f, 0, 24, 8, true), 8);
    assert_int_equal(put(f, 0, 40, 8, true), 0);
    assert_int_equal(put(f, 0, 0, 8, true), 8);   /* rewriting costs nothing */
    assert_int_equal(put(f, 0, 40, 8, false), 8); /* nobody relies on it */
    free(f);
}

static void nothing_can_be_promised_without_a_bound(void **state)
{
    struct fixture *f = fixture_new();
    buffer_bound(&f->buffer, SLOTS, 0, 0, 0);
    assert_false(buffer_can_promise(&f->buffer));
    buffer_bound(&f->buffer, SLOTS, 5999, 1000, 5000);
    assert_false(buffer_can_promise(&f->buffer));
    buffer_bound(&f->buffer, SLOTS, 6000, 1000, 5000);
    assert_true(buffer_can_promise(&f->buffer));
    buffer_bound(&f->buffer, 0, 6000, 1000, 5000);
    assert_false(buffer_can_promise(&f->buffer));
    free(f);
}

static void a_full_buffer_takes_a_part_and_the_rest_after_the_drain(void **state)
{
    struct fixture *f = fixture_new();
    buffer_bound(&f->buffer, 2, LARGE, 1, 1);
    assert_int_equal(put(f, 0, 4, 20, true), 12);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    finish_epoch(f, 0, true, true);
    assert_int_equal(put(f, 0, 16, 8, true), 8);
    free(f);
}

static void what_the_disk_refused_is_kept_and_sealed_again_apart_from_the_rest(void **state)
{
    struct fixture *f = fixture_new();
    put(f, 0, 0, 8, true);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    finish_epoch(f, 0, false, true);
    assert_int_equal(look(f, 0, 0), 1);
    assert_false(buffer_seal(&f->buffer, 0, 1));
    assert_true(buffer_seal_failed(&f->buffer, 0));
    finish_epoch(f, 0, true, true);
    assert_int_equal(f->buffer.slots, 0);
    free(f);
}

static void a_failed_flush_brings_back_everything_it_should_have_covered(void **state)
{
    struct fixture *f = fixture_new();
    put(f, 0, 0, 8, true);
    put(f, 0, 32, 8, true);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    finish_epoch(f, 0, true, false);
    assert_int_equal(look(f, 0, 0), 1);
    assert_int_equal(look(f, 0, 32), 2);
    assert_true(buffer_seal_failed(&f->buffer, 0));
    assert_int_equal(finish_epoch(f, 0, true, true), 2);
    free(f);
}

static void refused_data_never_replaces_a_newer_version(void **state)
{
    struct fixture *f = fixture_new();
    put(f, 0, 0, 8, true);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    put(f, 0, 2, 2, true);
    finish_epoch(f, 0, false, true);
    assert_int_equal(look(f, 0, 0), 1);
    assert_int_equal(look(f, 0, 2), 2);
    assert_int_equal(f->buffer.slots, 1); /* merged */
    assert_true(buffer_seal(&f->buffer, 0, 1));
    finish_epoch(f, 0, true, true);
    assert_int_equal(f->buffer.slots, 0);
    free(f);
}

static void a_promise_passes_on_to_the_newer_version_that_takes_its_place(void **state)
{
    struct fixture *f = fixture_new();
    put(f, 0, 0, 8, true);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    put(f, 0, 0, 8, false);
    finish_epoch(f, 0, false, true); /* the promised version is given up for the newer one ... */
    assert_true(buffer_seal(&f->buffer, 0, 1));
    finish_epoch(f, 0, false, true); /* ... which is therefore kept, too */
    assert_int_equal(look(f, 0, 0), 2);
    free(f);
}

static void refused_data_that_nobody_was_promised_is_forgotten(void **state)
{
    struct fixture *f = fixture_new();
    put(f, 0, 0, 8, false);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    finish_epoch(f, 0, false, true);
    assert_int_equal(f->buffer.slots, 0);
    free(f);
}

static void in_a_hurry_only_what_is_promised_is_sealed(void **state)
{
    struct fixture *f = fixture_new();
    for (uint32_t block = 0; block < 6; block++)
        put(f, 0, block * 8, 8, block % 2 == 1);
    buffer_hurry(&f->buffer, true);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    assert_int_equal(finish_epoch(f, 0, true, true), 3);
    assert_false(buffer_seal(&f->buffer, 0, 1));
    put(f, 0, 6 * 8, 8, true);
    assert_true(buffer_seal(&f->buffer, 0, 1)); /* and the rest has kept its place in the list */
    assert_int_equal(finish_epoch(f, 0, true, true), 1);
    buffer_hurry(&f->buffer, false);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    assert_int_equal(finish_epoch(f, 0, true, true), 3);
    assert_int_equal(f->buffer.slots, 0);
    free(f);
}

static void an_extended_epoch_needs_one_flush_for_both_versions(void **state)
{
    struct fixture *f = fixture_new();
    struct buffer_run run;
    put(f, 0, 0, 8, true);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    put(f, 0, 0, 8, true);
    assert_false(buffer_extend(&f->buffer, 0));
    assert_true(buffer_next_run(&f->buffer, 0, 2048, &run));
    assert_false(buffer_extend(&f->buffer, 0)); /* the older version is in flight */
    buffer_run_done(&f->buffer, &run, true);
    assert_true(buffer_extend(&f->buffer, 0));
    assert_int_equal(finish_epoch(f, 0, true, true), 1);
    assert_int_equal(f->buffer.slots, 0);
    free(f);
}

static void a_write_is_held_until_its_last_slot_is_on_the_disk(void **state)
{
    struct fixture *f = fixture_new();
    put(f, 0, 0, 8, false);
    uint64_t number = f->buffer.volume[0].writes;
    assert_true(buffer_seal(&f->buffer, 0, 1));
    put(f, 0, 0, 8, false); /* a later write of the same block does not hold the first one up */
    assert_true(buffer_holds_write(&f->buffer, 0, number, 0, 8));
    finish_epoch(f, 0, true, true);
    assert_false(buffer_holds_write(&f->buffer, 0, number, 0, 8));
    assert_true(buffer_holds_write(&f->buffer, 0, number + 1, 0, 8));
    free(f);
}

static void volumes_do_not_meet(void **state)
{
    struct fixture *f = fixture_new();
    put(f, 0, 0, 8, true);
    put(f, 1, 0, 8, true);
    assert_true(buffer_seal(&f->buffer, 0, 1));
    finish_epoch(f, 0, true, true);
    assert_int_equal(look(f, 0, 0), 0);
    assert_int_equal(look(f, 1, 0), 2);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_sees_the_newest_write_per_sector),
        cmocka_unit_test(a_read_is_split_where_the_buffer_begins_and_ends),
        cmocka_unit_test(a_rewritten_block_takes_one_slot_and_one_disk_write),
        cmocka_unit_test(a_write_to_a_draining_block_takes_a_slot_of_its_own),
        cmocka_unit_test(slots_stay_until_the_flush_that_covers_them_has_succeeded),
        cmocka_unit_test(sequential_writes_become_one_request),
        cmocka_unit_test(a_slot_with_gaps_is_written_in_pieces_and_a_long_run_in_portions),
        cmocka_unit_test(the_bound_counts_time_so_scattered_blocks_weigh_more),
        cmocka_unit_test(nothing_can_be_promised_without_a_bound),
        cmocka_unit_test(a_full_buffer_takes_a_part_and_the_rest_after_the_drain),
        cmocka_unit_test(what_the_disk_refused_is_kept_and_sealed_again_apart_from_the_rest),
        cmocka_unit_test(a_failed_flush_brings_back_everything_it_should_have_covered),
        cmocka_unit_test(refused_data_never_replaces_a_newer_version),
        cmocka_unit_test(a_promise_passes_on_to_the_newer_version_that_takes_its_place),
        cmocka_unit_test(refused_data_that_nobody_was_promised_is_forgotten),
        cmocka_unit_test(in_a_hurry_only_what_is_promised_is_sealed),
        cmocka_unit_test(an_extended_epoch_needs_one_flush_for_both_versions),
        cmocka_unit_test(a_write_is_held_until_its_last_slot_is_on_the_disk),
        cmocka_unit_test(volumes_do_not_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
