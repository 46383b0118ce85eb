/* The split virtqueue: what a well-behaved driver gets, and that no ring, however mad, leads outside guest RAM. */
#include "driver.h"
#include <stdlib.h>

static struct driver driver;
static struct driver_queue *dq = &driver.queue[0];
static struct virtqueue queue;
static struct virtqueue_chain chain;

static int setup(void **state)
{
    fake_setup(state);
    driver = (struct driver){.free_memory = VIRT_RAM + 0x1000};
    driver_place(&driver, dq, 8);
    queue = (struct virtqueue){
        .size = 8, .descriptors = dq->descriptors, .driver = dq->driver, .device = dq->device};
    assert_true(virtqueue_start(&queue, &ram, false));
    return 0;
}

static void chain_is_seen_as_the_driver_made_it(bool indirect)
{
    uint64_t a = driver_allocate(&driver, 100), b = driver_allocate(&driver, 200);
    struct buffer buffers[] = {{a, 3, false}, {a + 50, 5, false}, {b, 7, true}, {b + 100, 9, true}};
    memcpy(at(a), "abc", 3);
    memcpy(at(a + 50), "defgh", 5);
    uint16_t head = driver_add(&driver, dq, buffers, 4, indirect);
    assert_int_equal(virtqueue_take(&queue, &chain), VIRTQUEUE_TAKEN);
    assert_int_equal(chain.head, head);
    assert_int_equal(chain.readable, 2);
    assert_int_equal(chain.writable, 2);
    assert_int_equal(chain.readable_bytes, 8);
    assert_int_equal(chain.writable_bytes, 16);
    char text[9] = {0};
    assert_int_equal(chain_read(&chain, 1, text, 100), 7);
    assert_string_equal(text, "bcdefgh");
    assert_int_equal(chain_write(&chain, 5, "0123456789", 10), 10);
    assert_memory_equal(at(b + 5), "01", 2);
    assert_memory_equal(at(b + 100), "23456789", 8);
    assert_int_equal(virtqueue_take(&queue, &chain), VIRTQUEUE_EMPTY);
}

static void direct_chain(void **state)
{
    chain_is_seen_as_the_driver_made_it(false);
}
static void indirect_chain(void **state)
{
    chain_is_seen_as_the_driver_made_it(true);
}

static void used_entries_appear_with_publish(void **state)
{
    struct used used;
    struct buffer buffer = {driver_allocate(&driver, 16), 16, true};
    for (int round = 0; round < 100; round++) { /* more than once around the ring */
        uint16_t head = driver_add(&driver, dq, &buffer, 1, false);
        assert_int_equal(virtqueue_take(&queue, &chain), VIRTQUEUE_TAKEN);
        virtqueue_put(&queue, chain.head, 12);
        assert_false(driver_take_used(dq, &used));
        assert_true(virtqueue_publish(&queue));
        assert_true(driver_take_used(dq, &used));
        assert_int_equal(used.head, head);
        assert_int_equal(used.length, 12);
    }
    assert_false(virtqueue_publish(&queue)); /* nothing new: no interrupt */
}

static void no_interrupt_flag_is_honoured(void **state)
{
    struct buffer buffer = {driver_allocate(&driver, 16), 16, true};
    driver_add(&driver, dq, &buffer, 1, false);
    *(uint16_t *)(void *)at(dq->driver) = 1;
    virtqueue_take(&queue, &chain);
    virtqueue_put(&queue, chain.head, 0);
    assert_false(virtqueue_publish(&queue));
}

static void event_index_gives_one_interrupt_per_batch(void **state)
{
    assert_true(virtqueue_start(&queue, &ram, true));
    struct buffer buffer = {driver_allocate(&driver, 16), 16, true};
    driver_set_used_event(dq, 3); /* wake me with the fourth */
    for (int i = 0; i < 6; i++) {
        driver_add(&driver, dq, &buffer, 1, false);
        assert_int_equal(virtqueue_take(&queue, &chain), VIRTQUEUE_TAKEN);
        virtqueue_put(&queue, chain.head, 0);
        assert_int_equal(virtqueue_publish(&queue), i == 3);
    }
    assert_true(virtqueue_listen(&queue));
    assert_int_equal(driver_avail_event(dq), 6);
    driver_add(&driver, dq, &buffer, 1, false);
    assert_false(virtqueue_listen(&queue)); /* one came before the wish was visible */
}

/* What the driver writes into descriptor 0 before it offers it; everything here breaks a rule. */
static void broken(uint64_t address, uint32_t length, uint16_t flags, uint16_t next)
{
    setup(NULL);
    driver_set_descriptor(dq, 0, address, length, flags, next);
    driver_offer(dq, 0);
    assert_int_equal(virtqueue_take(&queue, &chain), VIRTQUEUE_BROKEN);
}

static void rule_breakers_are_found(void **state)
{
    uint64_t inside = VIRT_RAM + 0x8000, end = VIRT_RAM + RAM_BYTES;
    broken(0, 16, 0, 0);                    /* no RAM there */
    broken(VIRT_RAM - 1, 16, 0, 0);         /* begins before it */
    broken(end - 15, 16, 0, 0);             /* ends behind it */
    broken(UINT64_MAX - 7, 16, 0, 0);       /* wraps around */
    broken(VIRT_RAM, UINT32_MAX, 0, 0);     /* longer than it */
    broken(inside, 16, NEXT, 0);            /* a loop */
    broken(inside, 16, NEXT, 8);            /* no such descriptor */
    broken(inside, 17, INDIRECT, 0);        /* not whole descriptors */
    broken(inside, 0, INDIRECT, 0);         /* an empty table */
    broken(inside, 32, INDIRECT | NEXT, 1); /* both is forbidden */
    broken(end - 16, 32, INDIRECT, 0);      /* a table that ends behind RAM */
    uint64_t self = dq->descriptors;
    broken(self, 128, INDIRECT, 0); /* a table within a table */
}

static void readable_after_writable_is_broken(void **state)
{
    uint64_t a = driver_allocate(&driver, 16);
    struct buffer buffers[] = {{a, 4, true}, {a, 4, false}};
    driver_add(&driver, dq, buffers, 2, false);
    assert_int_equal(virtqueue_take(&queue, &chain), VIRTQUEUE_BROKEN);
}

static void more_entries_than_the_ring_has_is_broken(void **state)
{
    *(uint16_t *)(void *)at(dq->driver + 2) = 9;
    assert_int_equal(virtqueue_take(&queue, &chain), VIRTQUEUE_BROKEN);
}

static void head_outside_the_table_is_broken(void **state)
{
    driver_offer(dq, 8);
    assert_int_equal(virtqueue_take(&queue, &chain), VIRTQUEUE_BROKEN);
}

static void long_chains_end(void **state)
{
    static struct buffer buffers[VIRTQUEUE_MAX_SEGMENTS + 1];
    uint64_t a = driver_allocate(&driver, 16);
    for (uint32_t i = 0; i <= VIRTQUEUE_MAX_SEGMENTS; i++)
        buffers[i] = (struct buffer){a, 1, false};
    driver_add(&driver, dq, buffers, VIRTQUEUE_MAX_SEGMENTS, true);
    assert_int_equal(virtqueue_take(&queue, &chain), VIRTQUEUE_TAKEN);
    assert_int_equal(chain.readable, VIRTQUEUE_MAX_SEGMENTS);
    driver_add(&driver, dq, buffers, VIRTQUEUE_MAX_SEGMENTS + 1, true);
    assert_int_equal(virtqueue_take(&queue, &chain), VIRTQUEUE_BROKEN);
}

static void bad_places_are_refused_at_the_start(void **state)
{
    struct virtqueue good = queue, bad;
    const uint32_t sizes[] = {0, 3, 512, UINT32_MAX};
    for (int i = 0; i < 4; i++) {
        bad = good;
        bad.size = sizes[i];
        assert_false(virtqueue_start(&bad, &ram, false));
    }
    bad = good;
    bad.descriptors += 8;
    assert_false(virtqueue_start(&bad, &ram, false));
    bad = good;
    bad.device = VIRT_RAM + RAM_BYTES - 16;
    assert_false(virtqueue_start(&bad, &ram, false));
    bad = good;
    bad.driver = UINT64_MAX - 1;
    assert_false(virtqueue_start(&bad, &ram, false));
}

/* Random rings, changing while they are read: nothing outside guest RAM is touched (the sanitizer looks),
 * every call ends, and every segment handed out lies in RAM. */
static void random_rings_stay_in_ram(void **state)
{
    srand(1);
    for (int round = 0; round < 20000; round++) {
        if (!queue.ready || round % 64 == 0) {
            queue = (struct virtqueue){.size = 1u << rand() % 9};
            queue.descriptors = VIRT_RAM + ((uint64_t)rand() % RAM_BYTES & ~15ull);
            queue.driver = VIRT_RAM + ((uint64_t)rand() % RAM_BYTES & ~1ull);
            queue.device = VIRT_RAM + ((uint64_t)rand() % RAM_BYTES & ~3ull);
            if (!virtqueue_start(&queue, &ram, rand() % 2))
                continue;
        }
        uint64_t *words = (uint64_t *)(void *)queue.table;
        for (uint32_t i = 0; i < queue.size; i++) {
            words[2 * i] = VIRT_RAM + (uint64_t)rand() % (RAM_BYTES + RAM_BYTES / 8);
            words[2 * i + 1] = (uint64_t)(rand() % 4096) | (uint64_t)(rand() % 8) << 32 |
                               (uint64_t)((uint32_t)rand() % (queue.size + 1)) << 48;
        }
        queue.available[1] = (uint16_t)(queue.next_available + rand() % 3);
        queue.available[2 + queue.next_available % queue.size] =
            (uint16_t)((uint32_t)rand() % (queue.size + 1));
        enum virtqueue_taken taken = virtqueue_take(&queue, &chain);
        if (taken == VIRTQUEUE_TAKEN) {
            uint8_t bytes[64] = {0};
            assert_true(chain.readable + chain.writable <= (int)VIRTQUEUE_MAX_SEGMENTS);
            for (int i = 0; i < chain.readable + chain.writable; i++) {
                assert_true(chain.segment[i].bytes >= ram.bytes);
                assert_true(chain.segment[i].bytes + chain.segment[i].length <=
                            ram.bytes + ram.size);
            }
            chain_read(&chain, (uint64_t)rand() % 8192, bytes, sizeof(bytes));
            chain_write(&chain, (uint64_t)rand() % 8192, bytes, sizeof(bytes));
            virtqueue_put(&queue, chain.head, 1);
        } else if (taken == VIRTQUEUE_BROKEN) {
            queue.ready = false;
        }
        virtqueue_publish(&queue);
        virtqueue_listen(&queue);
    }
}

/* ---- A device that begins anew ---- */

static struct virtqueue_record record;

static void start_recorded(void)
{
    memset(&record, 0xff, sizeof(record));
    queue.record = &record;
    assert_true(virtqueue_start(&queue, &ram, false));
}

/* What a new life knows: the registers and the record. */
static void begin_anew(void)
{
    queue = (struct virtqueue){.size = 8,
                               .descriptors = dq->descriptors,
                               .driver = dq->driver,
                               .device = dq->device,
                               .record = &record};
    assert_true(virtqueue_resume(&queue, &ram, false));
}

static uint16_t offer(void)
{
    struct buffer buffer = {driver_allocate(&driver, 16), 16, true};
    return driver_add(&driver, dq, &buffer, 1, false);
}

static void expect_taken(uint16_t head)
{
    assert_int_equal(virtqueue_take(&queue, &chain), VIRTQUEUE_TAKEN);
    assert_int_equal(chain.head, head);
}

static void answer_all(uint32_t count)
{
    struct used used;
    bool seen[8] = {false};
    (void)virtqueue_publish(&queue);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(driver_take_used(dq, &used));
        assert_in_range(used.head, 0, 7);
        assert_false(seen[used.head]);
        seen[used.head] = true;
    }
    assert_false(driver_take_used(dq, &used));
}

static void chains_that_were_held_are_taken_again(void **state)
{
    start_recorded();
    uint16_t first = offer(), second = offer(), third = offer();
    expect_taken(first);
    expect_taken(second);
    virtqueue_put(&queue, first, 16); /* answered, but the driver was not told */
    begin_anew();
    expect_taken(second);
    expect_taken(third);
    assert_int_equal(virtqueue_take(&queue, &chain), VIRTQUEUE_EMPTY);
    virtqueue_put(&queue, third, 16);
    virtqueue_put(&queue, second, 16);
    answer_all(3);
}

static void a_chain_whose_taking_was_cut_short_is_taken_once(void **state)
{
    start_recorded();
    uint16_t head = offer();
    expect_taken(head);
    record.taken--; /* the life ended between the two steps */
    begin_anew();
    expect_taken(head);
    assert_int_equal(virtqueue_take(&queue, &chain), VIRTQUEUE_EMPTY);
}

static void an_answer_that_was_cut_short_is_given_once(void **state)
{
    for (int counted = 0; counted < 2; counted++) {
        start_recorded();
        memset(at(dq->device), 0, 4);
        dq->seen = 0;
        dq->added = 0;
        memset(at(dq->driver), 0, 4);
        uint16_t head = offer();
        expect_taken(head);
        virtqueue_put(&queue, head, 16);
        record.answering = UINT64_C(1) << 32 | head; /* put before that: 0 */
        record.held[0] |= UINT64_C(1) << head;
        record.put = (uint16_t)counted;
        begin_anew();
        if (!counted) {
            expect_taken(head);
            virtqueue_put(&queue, head, 16);
        }
        assert_int_equal(virtqueue_take(&queue, &chain), VIRTQUEUE_EMPTY);
        answer_all(1);
    }
}

static void a_record_that_is_nonsense_harms_nobody(void **state)
{
    start_recorded();
    for (uint32_t seed = 1; seed < 2000; seed++) {
        for (size_t i = 0; i < sizeof(record); i++)
            ((uint8_t *)&record)[i] = (uint8_t)(seed * 2654435761u >> i % 24);
        begin_anew();
        for (int i = 0; i < 300; i++)
            if (virtqueue_take(&queue, &chain) != VIRTQUEUE_EMPTY && chain.head < 8)
                virtqueue_put(&queue, chain.head, 0);
        (void)virtqueue_publish(&queue);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(direct_chain, setup),
        cmocka_unit_test_setup(indirect_chain, setup),
        cmocka_unit_test_setup(used_entries_appear_with_publish, setup),
        cmocka_unit_test_setup(no_interrupt_flag_is_honoured, setup),
        cmocka_unit_test_setup(event_index_gives_one_interrupt_per_batch, setup),
        cmocka_unit_test_setup(rule_breakers_are_found, setup),
        cmocka_unit_test_setup(readable_after_writable_is_broken, setup),
        cmocka_unit_test_setup(more_entries_than_the_ring_has_is_broken, setup),
        cmocka_unit_test_setup(head_outside_the_table_is_broken, setup),
        cmocka_unit_test_setup(long_chains_end, setup),
        cmocka_unit_test_setup(bad_places_are_refused_at_the_start, setup),
        cmocka_unit_test_setup(random_rings_stay_in_ram, setup),
        cmocka_unit_test_setup(chains_that_were_held_are_taken_again, setup),
        cmocka_unit_test_setup(a_chain_whose_taking_was_cut_short_is_taken_once, setup),
        cmocka_unit_test_setup(an_answer_that_was_cut_short_is_given_once, setup),
        cmocka_unit_test_setup(a_record_that_is_nonsense_harms_nobody, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
