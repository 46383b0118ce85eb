/* Rings and streams: order and completeness between two threads, sleep and wake-up without loss, and peers that write nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <quoll/stream.h>
#include <quoll/twin.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 8 };

struct fixture {
    struct quoll_ring ring;
    uint32_t entries[CAPACITY];
    uint32_t guard; /* behind the entries: must never change */
    struct quoll_ring_end producer, consumer;
};

static void set_up(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->guard = 0x5a5a5a5a;
    quoll_ring_attach(&f->producer, &f->ring, f->entries, 4, CAPACITY, true, true);
    quoll_ring_attach(&f->consumer, &f->ring, f->entries, 4, CAPACITY, false, false);
}

static void entries_come_out_in_the_order_they_went_in(void **state)
{
    struct fixture f;
    set_up(&f);
    uint32_t next = 0;
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(quoll_ring_put(&f.producer, &i));
        quoll_ring_publish(&f.producer);
        uint32_t value;
        assert_true(quoll_ring_take(&f.consumer, &value));
        assert_int_equal(value, next++);
    }
}

static void nothing_is_visible_before_publish(void **state)
{
    struct fixture f;
    set_up(&f);
    uint32_t value = 1;
    quoll_ring_put(&f.producer, &value);
    assert_false(quoll_ring_take(&f.consumer, &value));
    quoll_ring_publish(&f.producer);
    assert_true(quoll_ring_take(&f.consumer, &value));
}

static void a_full_ring_refuses_and_says_so(void **state)
{
    struct fixture f;
    set_up(&f);
    for (uint32_t i = 0; i < CAPACITY; i++)
        assert_true(quoll_ring_put(&f.producer, &i));
    assert_int_equal(quoll_ring_space(&f.producer), 0);
    assert_false(quoll_ring_put(&f.producer, &f.guard));
    quoll_ring_publish(&f.producer);
    uint32_t value;
    assert_true(quoll_ring_take(&f.consumer, &value));
    assert_int_equal(value, 0);
    assert_int_equal(quoll_ring_space(&f.producer), 1);
}

static void indices_wrap_at_the_end_of_their_range(void **state)
{
    struct fixture f;
    set_up(&f);
    f.ring.produced = f.ring.consumed = UINT32_MAX - 2;
    quoll_ring_attach(&f.producer, &f.ring, f.entries, 4, CAPACITY, true, false);
    quoll_ring_attach(&f.consumer, &f.ring, f.entries, 4, CAPACITY, false, false);
    for (uint32_t i = 0; i < 20; i++) {
        uint32_t value = 0;
        assert_true(quoll_ring_put(&f.producer, &i));
        quoll_ring_publish(&f.producer);
        assert_true(quoll_ring_take(&f.consumer, &value));
        assert_int_equal(value, i);
    }
}

static void a_signal_is_asked_for_only_by_a_sleeping_consumer(void **state)
{
    struct fixture f;
    set_up(&f);
    uint32_t value = 3;
    quoll_ring_put(&f.producer, &value);
    assert_false(quoll_ring_publish(&f.producer));
    assert_false(quoll_ring_sleep(&f.consumer)); /* there is something to do */
    assert_true(quoll_ring_take(&f.consumer, &value));
    assert_true(quoll_ring_sleep(&f.consumer));
    quoll_ring_put(&f.producer, &value);
    assert_true(quoll_ring_publish(&f.producer));
    assert_false(quoll_ring_publish(&f.producer)); /* once is enough */
    assert_true(quoll_ring_take(&f.consumer, &value));
    assert_true(quoll_ring_sleep(&f.consumer));
    assert_false(quoll_ring_publish(&f.producer)); /* nothing new: let it sleep */
}

static void impossible_indices_of_the_peer_move_nothing(void **state)
{
    struct fixture f;
    set_up(&f);
    uint32_t value = 7, out;
    for (uint64_t index = CAPACITY + 1; index <= UINT32_MAX; index += 0x1234567) {
        f.ring.produced = (uint32_t)index;
        assert_false(quoll_ring_take(&f.consumer, &out));
        assert_true(quoll_ring_sleep(&f.consumer));
    }
    assert_true(f.consumer.nonsense > 0);
    assert_int_equal(f.consumer.mine, 0);
    f.ring.consumed = 1; /* ahead of what was ever produced */
    assert_int_equal(quoll_ring_space(&f.producer), 0);
    assert_false(quoll_ring_put(&f.producer, &value));
    assert_true(f.producer.nonsense > 0);
    assert_int_equal(f.guard, 0x5a5a5a5a);
}

/* A peer that writes random indices all the time: the other end must stay inside its entries (the sanitizer
 * watches) and come to an end. */
static void *scribble(void *argument)
{
    struct quoll_ring *ring = argument;
    unsigned seed = 1;
    for (int i = 0; i < 200000; i++) {
        __atomic_store_n(&ring->produced, (uint32_t)rand_r(&seed) & 31, __ATOMIC_RELAXED);
        __atomic_store_n(&ring->consumed, (uint32_t)rand_r(&seed) & 31, __ATOMIC_RELAXED);
        __atomic_store_n(&ring->consumer_sleeps, (uint32_t)rand_r(&seed), __ATOMIC_RELAXED);
    }
    return NULL;
}

static void a_scribbling_peer_harms_nothing_else(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    set_up(f);
    pthread_t peer;
    pthread_create(&peer, NULL, scribble, &f->ring);
    uint32_t value = 0;
    for (int i = 0; i < 200000; i++) {
        quoll_ring_take(&f->consumer, &value);
        quoll_ring_put(&f->producer, &value);
        quoll_ring_publish(&f->producer);
    }
    pthread_join(peer, NULL);
    assert_int_equal(f->guard, 0x5a5a5a5a);
    free(f);
}

/* ------------------------------------------------------------------------------------------------ streams */

enum { STRESS_BYTES = 400000 };

static uint8_t pattern(uint32_t i)
{
    return (uint8_t)(i * 7 + (i >> 8));
}

/* Sends STRESS_BYTES in pieces of changing size, sleeping whenever there is no space. */
static void sender_main(void)
{
    struct stream_end stream;
    stream_open(&stream, "stream0", true);
    uint32_t sent = 0;
    while (sent < STRESS_BYTES) {
        uint8_t piece[700];
        uint32_t size = 1 + sent % sizeof piece;
        if (size > STRESS_BYTES - sent)
            size = STRESS_BYTES - sent;
        for (uint32_t i = 0; i < size; i++)
            piece[i] = pattern(sent + i);
        uint32_t done = stream_write(&stream, piece, size);
        sent += done;
        if (done < size)
            quoll_wait();
    }
    while (!stream_is_taken(&stream))
        quoll_wait();
    quoll_log("all taken");
}

static void two_threads_lose_nothing_and_no_wake_up(void **state)
{
    struct twin *twin = twin_create();
    struct twin_component *test = twin_adopt(twin, "test");
    struct twin_component *sender = twin_component(twin, "sender", sender_main, NULL, 1);
    twin_link(sender, "stream0", test, "sender", STREAM_LINK_BYTES);
    twin_start(twin);
    struct stream_end stream;
    stream_open(&stream, "sender", false);
    uint32_t received = 0;
    while (received < STRESS_BYTES) {
        uint8_t piece[333];
        uint32_t size = stream_read(&stream, piece, 1 + received % sizeof piece);
        for (uint32_t i = 0; i < size; i++)
            assert_int_equal(piece[i], pattern(received + i));
        received += size;
        if (size == 0 && stream_sleep(&stream) && received < STRESS_BYTES)
            assert_true(twin_await(quoll_receive("sender"), 20000));
    }
    assert_true(twin_await_log(twin, "sender: all taken", 20000));
    twin_destroy(twin);
}

static void a_stream_with_nonsense_in_it_stands_still(void **state)
{
    struct twin *twin = twin_create();
    struct twin_component *test = twin_adopt(twin, "test");
    twin_connect(test, "peer", test, 0, "peer");
    struct stream_link *link = twin_memory(twin, sizeof *link);
    struct stream_end stream;
    stream_attach(&stream, link, true, quoll_handle("peer", QUOLL_OBJECT_CHANNEL));
    memset(link, 0x7f, sizeof *link);
    uint8_t bytes[16] = {0};
    assert_int_equal(stream_read(&stream, bytes, sizeof bytes), 0);
    assert_int_equal(stream_write(&stream, bytes, sizeof bytes), 0);
    assert_false(stream_is_taken(&stream));
    assert_true(stream_sleep(&stream));
    twin_destroy(twin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_out_in_the_order_they_went_in),
        cmocka_unit_test(nothing_is_visible_before_publish),
        cmocka_unit_test(a_full_ring_refuses_and_says_so),
        cmocka_unit_test(indices_wrap_at_the_end_of_their_range),
        cmocka_unit_test(a_signal_is_asked_for_only_by_a_sleeping_consumer),
        cmocka_unit_test(impossible_indices_of_the_peer_move_nothing),
        cmocka_unit_test(a_scribbling_peer_harms_nothing_else),
        cmocka_unit_test(two_threads_lose_nothing_and_no_wake_up),
        cmocka_unit_test(a_stream_with_nonsense_in_it_stands_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
