/*
 * RapiLog's buffer in long random histories, against a naive map, with every structural invariant recomputed after every operation.
 */
#include "buffer_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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
        cmocka_unit_test(random_histories_match_a_naive_map),
        cmocka_unit_test(random_histories_with_disk_errors_keep_every_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
