/* How fast the named disks are: against their data sheets, and against a naive model of the cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../../services/timing/pace.h"
#include <stdlib.h>
#include <string.h>

#define MS UINT64_C(1000000)
#define US UINT64_C(1000)
#define TURN (UINT64_C(60000) * MS / 7200)

static uint64_t bitmap[PACE_WORDS];

static struct pace *disk(const char *kind)
{
    static struct pace pace;
    memset(bitmap, 0, sizeof(bitmap));
    pace_start(&pace, latency_kind(kind), bitmap);
    return &pace;
}

static void a_write_goes_to_the_cache_and_its_flush_to_the_medium(void **state)
{
    (void)state;
    struct pace *pace = disk("7200rpm");
    uint64_t written = pace_write(pace, 0, 0, 4096, false);
    assert_in_range(written, 100 * US, 200 * US);
    uint64_t flushed = pace_flush(pace, written);
    assert_true(flushed > written && flushed - written <= TURN + 10 * MS);
    assert_int_equal(pace_flush(pace, flushed), flushed);
}

static void rewriting_one_block_with_a_flush_each_time_takes_a_turn_each_time(void **state)
{
    (void)state;
    struct pace *pace = disk("7200rpm");
    uint64_t now = pace_flush(pace, pace_write(pace, 0, 8192, 4096, false)), first = now;
    for (int i = 0; i < 10; i++)
        now = pace_flush(pace, pace_write(pace, now, 8192, 4096, false));
    assert_in_range(now - first, 10 * TURN - MS, 10 * TURN + MS);
}

static void one_flush_of_many_writes_is_cheaper_than_many_flushes(void **state)
{
    (void)state;
    struct pace *pace = disk("7200rpm");
    uint64_t together = 0, apart = 0;
    for (uint64_t i = 0; i < 32; i++)
        together = pace_write(pace, together, i * 4096, 4096, false);
    together = pace_flush(pace, together);
    pace = disk("7200rpm");
    for (uint64_t i = 0; i < 32; i++)
        apart = pace_flush(pace, pace_write(pace, apart, i * 4096, 4096, false));
    assert_true(together * 5 < apart);
}

static void a_durable_write_leaves_the_rest_of_the_cache_alone(void **state)
{
    (void)state;
    struct pace *pace = disk("consumer-ssd");
    uint64_t now = pace_write(pace, 0, 0, 64 * 4096, false);
    now = pace_write(pace, now, 1 << 20, 4096, true);
    assert_int_equal(pace->cached, 64);
    uint64_t flushed = pace_flush(pace, now);
    assert_in_range(flushed - now, 1500 * US, 2500 * US);
}

static void a_disk_serves_one_command_at_a_time_unless_it_is_parallel(void **state)
{
    (void)state;
    struct pace *pace = disk("consumer-ssd");
    uint64_t first = pace_write(pace, 0, 0, 4096, false);
    assert_int_equal(pace_write(pace, 0, 4096, 4096, false), 2 * first);
    pace = disk("plp-nvme");
    first = pace_write(pace, 0, 0, 4096, false);
    uint64_t transfer = latency_transfer(4096, latency_kind("plp-nvme")->interface_rate);
    assert_int_equal(pace_write(pace, 0, 4096, 4096, false), first + transfer);
    assert_int_equal(pace_flush(pace, 7), 7);
}

static void a_parallel_disk_moves_no_more_than_its_interface(void **state)
{
    (void)state;
    struct pace *pace = disk("network-2ms");
    uint64_t last = 0;
    for (uint64_t i = 0; i < 100; i++)
        last = pace_write(pace, 0, i << 20, 1 << 20, false);
    assert_in_range(last, 100 * MS, 110 * MS); /* 100 MiB at 1 GB/s, and 2 ms */
}

static void a_read_on_a_rotating_disk_waits_for_its_sector(void **state)
{
    (void)state;
    struct pace *pace = disk("7200rpm");
    uint64_t now = pace_read(pace, 0, 1 << 30, 4096), first = now;
    for (int i = 0; i < 10; i++)
        now = pace_read(pace, now, 1 << 30, 4096);
    assert_in_range(now - first, 10 * TURN - MS, 10 * TURN + MS);
    pace = disk("consumer-ssd");
    assert_in_range(pace_read(pace, 0, 1 << 30, 4096), 80 * US, 90 * US);
}

static void a_full_cache_makes_a_write_wait_for_the_medium(void **state)
{
    (void)state;
    struct pace *pace = disk("consumer-ssd");
    uint64_t now = 0, longest = 0;
    for (uint64_t i = 0; i < 64; i++) {
        uint64_t done = pace_write(pace, now, i << 20, 1 << 20, false);
        longest = done - now > longest ? done - now : longest;
        now = done;
    }
    assert_true(longest > 100 * MS); /* 64 MB at 450 MB/s */
}

/* The set of cached blocks, with its summary words, is what a plain array says. */
static void the_set_of_cached_blocks_is_exact(void **state)
{
    (void)state;
    static uint8_t naive[4096];
    struct pace *pace = disk("7200rpm");
    uint64_t now = 0;
    memset(naive, 0, sizeof(naive));
    srand(1);
    for (int step = 0; step < 20000; step++) {
        uint64_t block = (uint64_t)rand() % 4064, count = 1 + (uint64_t)rand() % 32;
        bool durable = rand() % 4 == 0;
        now = pace_write(pace, now, block * 4096, count * 4096, durable);
        memset(naive + block, !durable, count);
        if (rand() % 100 == 0) {
            now = pace_flush(pace, now);
            memset(naive, 0, sizeof(naive));
        }
        uint64_t cached = 0;
        for (size_t i = 0; i < sizeof(naive); i++)
            cached += naive[i];
        assert_int_equal(pace->cached, cached);
    }
    for (size_t i = 0; i < sizeof(naive); i++)
        assert_int_equal(bitmap[i / 64] >> i % 64 & 1, naive[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_goes_to_the_cache_and_its_flush_to_the_medium),
        cmocka_unit_test(rewriting_one_block_with_a_flush_each_time_takes_a_turn_each_time),
        cmocka_unit_test(one_flush_of_many_writes_is_cheaper_than_many_flushes),
        cmocka_unit_test(a_durable_write_leaves_the_rest_of_the_cache_alone),
        cmocka_unit_test(a_disk_serves_one_command_at_a_time_unless_it_is_parallel),
        cmocka_unit_test(a_parallel_disk_moves_no_more_than_its_interface),
        cmocka_unit_test(a_read_on_a_rotating_disk_waits_for_its_sector),
        cmocka_unit_test(a_full_cache_makes_a_write_wait_for_the_medium),
        cmocka_unit_test(the_set_of_cached_blocks_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
