/*
 * RapiLog's buffer: each rule of services/rapilog/buffer.h by an example, then long random histories against a naive map
 * with every structural invariant recomputed after every operation.
 *
 * A sector's content is a stamp, the number of the write that made it.
 */
#include "buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SLOTS 24u
#define BUCKETS 8u
#define VOLUMES 2u
#define BLOCKS 6u
#define SECTORS (BLOCKS * BUFFER_BLOCK_SECTORS)
#define LARGE (UINT64_C(1) << 50)

struct fixture {
    struct buffer buffer;
    struct buffer_slot slot[SLOTS];
    uint32_t bucket[BUCKETS];
    uint8_t data[SLOTS * BUFFER_BLOCK];
    uint64_t stamp;
};

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    buffer_init(&f->buffer, f->slot, SLOTS, f->bucket, BUCKETS, f->data);
    buffer_bound(&f->buffer, SLOTS, LARGE, 1000, 5000);
    return f;
}

static uint32_t put(struct fixture *f, uint32_t volume, uint64_t sector, uint32_t count,
                    bool promise)
{
    uint8_t bytes[SECTORS * BUFFER_SECTOR];
    uint64_t stamp = ++f->stamp;
    for (size_t at = 0; at < (size_t)count * BUFFER_SECTOR; at += sizeof(stamp))
        memcpy(bytes + at, &stamp, sizeof(stamp));
    return buffer_write(&f->buffer, volume, buffer_write_number(&f->buffer, volume), sector, count,
                        bytes, promise);
}

/* The stamp that a read of one sector sees; 0: not in the buffer. */
static uint64_t look(struct fixture *f, uint32_t volume, uint64_t sector)
{
    uint64_t words[BUFFER_SECTOR / sizeof(uint64_t)];
    bool held;
    assert_int_equal(buffer_read(&f->buffer, volume, sector, 1, (uint8_t *)words, &held), 1);
    if (!held)
        return 0;
    assert_true(words[0] == words[BUFFER_SECTOR / sizeof(uint64_t) - 1]);
    return words[0];
}

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

/* ---- By example ---- */

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

/* ---- Random histories ---- */

struct model {
    uint64_t disk[VOLUMES][SECTORS];     /* flushed */
    uint64_t cache[VOLUMES][SECTORS];    /* written */
    uint64_t covered[VOLUMES][SECTORS];  /* by the flush in progress */
    uint64_t newest[VOLUMES][SECTORS];   /* written by the client */
    uint64_t promised[VOLUMES][SECTORS]; /* the newest that was promised */
    struct buffer_run run[64];
    uint32_t runs;
    bool failures;
    uint32_t random;
};

static uint32_t choose(struct model *m, uint32_t below)
{
    m->random = m->random * 1664525u + 1013904223u;
    return (m->random >> 8) % below;
}

static void model_write(struct fixture *f, struct model *m)
{
    uint32_t volume = choose(m, VOLUMES), sector = choose(m, SECTORS);
    uint32_t count =
        1 + choose(m, choose(m, 4) == 0 ? SECTORS - sector : 1 + (SECTORS - sector) / 8);
    bool promise = choose(m, 4) != 0;
    uint32_t taken = put(f, volume, sector, count, promise);
    for (uint32_t i = 0; i < taken; i++) {
        m->newest[volume][sector + i] = f->stamp;
        if (promise)
            m->promised[volume][sector + i] = f->stamp;
    }
}

static void model_issue(struct fixture *f, struct model *m, uint32_t volume)
{
    if (m->runs < 64 && buffer_next_run(&f->buffer, volume, 1 + choose(m, 20), &m->run[m->runs])) {
        const struct buffer_run *run = &m->run[m->runs];
        assert_true(run->count > 0 && run->sector + run->count <= SECTORS);
        m->runs++;
    }
}

static void model_complete(struct fixture *f, struct model *m)
{
    if (m->runs == 0)
        return;
    uint32_t which = choose(m, m->runs);
    const struct buffer_run run = m->run[which];
    bool ok = !m->failures || choose(m, 5) != 0;
    for (uint32_t i = 0; i < run.count && ok; i++) {
        uint64_t stamp;
        memcpy(&stamp, f->data + run.offset + (size_t)i * BUFFER_SECTOR, sizeof(stamp));
        assert_true(stamp >= m->cache[run.volume][run.sector + i]); /* versions never go back */
        m->cache[run.volume][run.sector + i] = stamp;
    }
    buffer_run_done(&f->buffer, &run, ok);
    m->run[which] = m->run[--m->runs];
}

/* The flush covers what had been written when it began; the adversary keeps the rest in the cache, and drops the whole
 * cache when the flush fails. */
static void model_flush(struct fixture *f, struct model *m, uint32_t volume)
{
    struct buffer_fate fate;
    if (!f->buffer.volume[volume].is_flushing)
        return;
    bool ok = !m->failures || choose(m, 5) != 0;
    if (ok)
        memcpy(m->disk[volume], m->covered[volume], sizeof(m->disk[volume]));
    else
        memcpy(m->cache[volume], m->disk[volume], sizeof(m->cache[volume]));
    while (buffer_flush_end(&f->buffer, volume, ok, &fate))
        assert_true(ok || !fate.on_disk);
}

static void model_flush_begin(struct fixture *f, struct model *m, uint32_t volume)
{
    if (buffer_flush_begin(&f->buffer, volume))
        memcpy(m->covered[volume], m->cache[volume], sizeof(m->covered[volume]));
}

static void model_step(struct fixture *f, struct model *m)
{
    uint32_t volume = choose(m, VOLUMES);
    switch (choose(m, 16)) {
    case 0:
        buffer_seal(&f->buffer, volume, 1 + choose(m, 3));
        break;
    case 1:
        buffer_seal_failed(&f->buffer, volume);
        break;
    case 2:
        if (choose(m, 8) == 0)
            buffer_extend(&f->buffer, volume);
        break;
    case 3:
        model_flush_begin(f, m, volume);
        break;
    case 4:
        model_flush(f, m, volume);
        break;
    case 5:
        buffer_hurry(&f->buffer, choose(m, 4) == 0);
        break;
    case 6:
    case 7:
    case 8:
        model_issue(f, m, volume);
        break;
    case 9:
    case 10:
    case 11:
        model_complete(f, m);
        break;
    default:
        model_write(f, m);
    }
}

/* Every sector reads as the newest write, or, when data may be refused, at least as new as the newest promise. */
static void check_content(struct fixture *f, struct model *m)
{
    for (uint32_t volume = 0; volume < VOLUMES; volume++)
        for (uint32_t sector = 0; sector < SECTORS; sector++) {
            uint64_t seen = look(f, volume, sector);
            if (seen == 0)
                seen = m->disk[volume][sector];
            if (!m->failures)
                assert_int_equal(seen, m->newest[volume][sector]);
            assert_true(seen >= m->promised[volume][sector]);
        }
}

static uint32_t list_length(struct fixture *f, const struct buffer_list *list, uint8_t state)
{
    uint32_t length = 0, last = BUFFER_NONE;
    for (uint32_t i = list->first; i != BUFFER_NONE; i = f->slot[i].next) {
        assert_int_equal(f->slot[i].state, state);
        last = i;
        length++;
        assert_true(length <= SLOTS);
    }
    assert_int_equal(list->last, last);
    return length;
}

static void check_lists(struct fixture *f)
{
    for (uint32_t number = 0; number < VOLUMES; number++) {
        const struct buffer_volume *v = &f->buffer.volume[number];
        uint32_t listed = list_length(f, &v->open, BUFFER_DIRTY);
        listed += list_length(f, &v->failed, BUFFER_DIRTY);
        if (v->is_writing)
            listed += list_length(f, &v->writing.list, BUFFER_DRAINING);
        if (v->is_flushing)
            listed += list_length(f, &v->flushing.list, BUFFER_DRAINING);
        assert_int_equal(listed, v->slots);
    }
}

static void check_slots(struct fixture *f)
{
    uint32_t used = 0, heads = 0, promised = 0, chained = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        const struct buffer_slot *slot = &f->slot[i];
        if (slot->state == BUFFER_FREE)
            continue;
        used++;
        heads += slot->head ? 1 : 0;
        promised += slot->promised != 0 ? 1 : 0;
        assert_int_equal(slot->promised & ~slot->valid, 0);
        assert_int_not_equal(slot->valid, 0);
    }
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++)
        for (uint32_t i = f->bucket[bucket]; i != BUFFER_NONE; i = f->slot[i].older) {
            chained++;
            assert_true(chained <= SLOTS);
            for (uint32_t j = f->slot[i].older; j != BUFFER_NONE; j = f->slot[j].older)
                if (f->slot[j].block == f->slot[i].block && f->slot[j].volume == f->slot[i].volume)
                    assert_int_equal(f->slot[j].state, BUFFER_DRAINING); /* invariant 1 */
        }
    assert_int_equal(chained, used);
    assert_int_equal(f->buffer.slots, used);
    assert_int_equal(f->buffer.heads, heads);
    assert_int_equal(f->buffer.volume[0].promised_slots + f->buffer.volume[1].promised_slots,
                     promised);
}

static void random_histories(bool failures)
{
    for (uint32_t seed = 1; seed <= 60; seed++) {
        struct fixture *f = fixture_new();
        struct model *m = calloc(1, sizeof(*m));
        m->random = seed * 7919;
        m->failures = failures;
        for (uint32_t step = 0; step < 1500; step++) {
            model_step(f, m);
            check_lists(f);
            check_slots(f);
            if (step % 8 == 0)
                check_content(f, m);
        }
        check_content(f, m);
        free(m);
        free(f);
    }
}

static void random_histories_match_a_naive_map(void **state)
{
    random_histories(false);
}

static void random_histories_with_disk_errors_keep_every_promise(void **state)
{
    random_histories(true);
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
        cmocka_unit_test(random_histories_match_a_naive_map),
        cmocka_unit_test(random_histories_with_disk_errors_keep_every_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
