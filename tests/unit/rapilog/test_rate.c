/*
 * RapiLog's model of a disk (rate.h), the measurement it starts from (measure.h), and the bound that follows: does what
 * is promised really fit into the hold-up time of disks that behave like real ones?
 */
#include "buffer.h"
#include "measure.h"
#include "rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define VOLUME_SECTORS (UINT64_C(1) << 15) /* 16 MiB */

/* ---- A disk in virtual time ---- */

struct model_disk {
    uint64_t slot_ns, head_ns, flush_ns; /* the truth */
    uint8_t *content;
    uint64_t now;
    uint64_t expected; /* sector that continues the last request */
    uint32_t requests, reads, flushes;
    bool refuse_writes;
};

static const struct model_disk hard_disk = {27 * US, 8 * MS, 9 * MS, NULL, 0, 0, 0, 0, 0, false};
static const struct model_disk consumer_ssd = {8 * US, 60 * US, 1500 * US, NULL, 0,
                                               0,      0,       0,         0,    false};
static const struct model_disk protected_ssd = {2 * US, 12 * US, 15 * US, NULL, 0,
                                                0,      0,       0,       0,    false};

static void disk_do(struct model_disk *disk, const struct measure_command *command,
                    uint8_t *scratch)
{
    size_t bytes = (size_t)command->count * BLOCK_SECTOR;
    uint8_t *place = disk->content + command->sector * BLOCK_SECTOR;
    disk->requests++;
    if (command->operation == BLOCK_FLUSH) {
        disk->flushes++;
        disk->now += disk->flush_ns;
        return;
    }
    disk->now += command->count / BUFFER_BLOCK_SECTORS * disk->slot_ns;
    disk->now += command->sector == disk->expected ? 0 : disk->head_ns;
    disk->expected = command->sector + command->count;
    if (command->operation == BLOCK_READ) {
        disk->reads++;
        memcpy(scratch + command->offset, place, bytes);
    } else {
        assert_memory_equal(place, scratch + command->offset, bytes); /* what was there before */
        memcpy(place, scratch + command->offset, bytes);
    }
}

/* Runs the whole measurement; returns the rate, or known = false. */
static struct rate measure_disk(struct model_disk *disk, uint64_t sectors, uint32_t max_sectors)
{
    struct measure measure;
    struct measure_command command;
    struct rate rate = {0};
    uint8_t *scratch = malloc(MEASURE_MOST_SECTORS * BLOCK_SECTOR);
    disk->content = malloc(VOLUME_SECTORS * BLOCK_SECTOR);
    for (size_t i = 0; i < VOLUME_SECTORS * BLOCK_SECTOR; i++)
        disk->content[i] = (uint8_t)(i * 31 >> 3);
    measure_begin(&measure, sectors, max_sectors, disk->now);
    while (!measure_finished(&measure)) {
        assert_true(measure_next(&measure, disk->now, &command));
        assert_true(command.operation == BLOCK_FLUSH || command.sector + command.count <= sectors);
        assert_int_equal(command.sector % BUFFER_BLOCK_SECTORS, 0);
        bool refused = disk->refuse_writes && command.operation == BLOCK_WRITE;
        if (!refused)
            disk_do(disk, &command, scratch);
        measure_done(&measure, !refused, disk->now);
    }
    (void)measure_result(&measure, &rate);
    free(disk->content);
    free(scratch);
    return rate;
}

/* ---- Measurement ---- */

static void near(uint64_t value, uint64_t truth, uint64_t percent)
{
    if (value < truth * (100 - percent) / 100 || value > truth * (100 + percent) / 100)
        fail_msg("%lu is not within %lu %% of %lu", (unsigned long)value, (unsigned long)percent,
                 (unsigned long)truth);
}

static void a_measurement_finds_the_costs_of_a_disk(void **state)
{
    struct model_disk disk = consumer_ssd;
    struct rate rate = measure_disk(&disk, VOLUME_SECTORS, 2048);
    assert_true(rate.known);
    near(rate.slot_ns, disk.slot_ns, 20);
    /* A FLUSH that is long against a seek hides the seek; the doubt goes to the safe side. */
    assert_true(rate.head_ns >= disk.head_ns && rate.head_ns <= 3 * disk.head_ns);
    near(rate.flush_ns, disk.flush_ns + disk.head_ns, 20);
}

static void a_measurement_never_claims_a_faster_disk_than_there_is(void **state)
{
    static const struct model_disk *const disks[] = {&hard_disk, &consumer_ssd, &protected_ssd};
    for (size_t i = 0; i < 3; i++) {
        struct model_disk disk = *disks[i];
        struct rate rate = measure_disk(&disk, VOLUME_SECTORS, 256);
        assert_true(rate.slot_ns >= disk.slot_ns * 9 / 10);
        assert_true(rate.slot_ns + rate.head_ns >= disk.head_ns * 9 / 10);
        assert_true(rate.flush_ns >= disk.flush_ns);
    }
}

static void a_measurement_writes_only_what_it_has_read(void **state)
{
    struct model_disk disk = protected_ssd; /* disk_do() compares every write with the content */
    (void)measure_disk(&disk, VOLUME_SECTORS, 2048);
    assert_true(disk.reads > 0 && disk.requests == 2 * disk.reads + disk.flushes);
}

static void a_slow_disk_is_measured_with_fewer_probes(void **state)
{
    struct model_disk fast = consumer_ssd, slow = hard_disk;
    slow.head_ns = 400 * MS;
    (void)measure_disk(&fast, VOLUME_SECTORS, 2048);
    assert_true(measure_disk(&slow, VOLUME_SECTORS, 2048).known);
    assert_true(slow.requests < fast.requests);
    assert_true(slow.now < 3000 * MS);
}

static void a_tiny_volume_or_a_failing_disk_is_not_measured(void **state)
{
    struct model_disk disk = consumer_ssd;
    assert_false(measure_disk(&disk, MEASURE_LEAST_SECTORS - 1, 2048).known);
    assert_int_equal(disk.requests, 0);
    assert_true(measure_disk(&disk, MEASURE_LEAST_SECTORS, 2048).known);
    disk = consumer_ssd;
    disk.refuse_writes = true;
    assert_false(measure_disk(&disk, VOLUME_SECTORS, 2048).known);
}

/* ---- Following ---- */

static void a_slower_epoch_counts_at_once_and_a_faster_one_slowly(void **state)
{
    struct rate rate = {.slot_ns = 10 * US, .head_ns = 50 * US, .flush_ns = 1 * MS, .known = true};
    rate_follow(&rate, 1000, 1, 1 * MS + 2 * 10050 * US);
    near(rate.slot_ns, 20 * US, 1);
    near(rate.head_ns, 100 * US, 1);
    rate_follow(&rate, 1000, 1, 1 * MS + 10050 * US);
    near(rate.slot_ns, 20 * US - 10 * US / 16, 1);
    for (int i = 0; i < 200; i++)
        rate_follow(&rate, 1000, 1, 1 * MS + 10050 * US);
    near(rate.slot_ns, 10 * US, 5);
}

static void what_is_measured_again_counts_as_an_epoch_does(void **state)
{
    struct rate rate = {.slot_ns = 10 * US, .head_ns = 50 * US, .flush_ns = 1 * MS, .known = true};
    rate_blend(&rate, &(struct rate){20 * US, 50 * US, 3 * MS, true});
    assert_int_equal(rate.slot_ns, 20 * US);
    assert_int_equal(rate.head_ns, 50 * US);
    assert_int_equal(rate.flush_ns, 3 * MS);
    rate_blend(&rate, &(struct rate){10 * US, 50 * US, 1 * MS, true});
    near(rate.slot_ns, 20 * US - 10 * US / 16, 1);
    near(rate.flush_ns, 3 * MS - 2 * MS / 16, 1);
}

static void small_epochs_tell_about_the_flush(void **state)
{
    struct rate rate = {.slot_ns = 10 * US, .head_ns = 50 * US, .flush_ns = 1 * MS, .known = true};
    rate_follow(&rate, 2, 1, 5 * MS);
    near(rate.flush_ns, 5 * MS, 3);
    assert_int_equal(rate.slot_ns, 10 * US);
    for (int i = 0; i < 200; i++)
        rate_follow(&rate, 2, 1, 1 * MS);
    near(rate.flush_ns, 1 * MS, 10);
}

static void absurd_times_do_no_harm(void **state)
{
    struct rate rate = {.known = true};
    const struct rate_sample sample = {UINT64_MAX, UINT64_MAX, UINT64_MAX, 1, 8, UINT64_MAX};
    rate_begin(&rate, &sample);
    for (int i = 0; i < 10; i++)
        rate_follow(&rate, UINT32_MAX >> 12, UINT32_MAX >> 12, UINT64_MAX);
    enum rapilog_reason reason;
    const struct rate_limits limits = {UINT64_MAX, 0, 1};
    assert_int_equal(rate_budget(&rate, &limits, &reason), 0);
    rate = (struct rate){1, 1, 1, true};
    rate_follow(&rate, 0, 0, 0);
    assert_true(rate.slot_ns > 0 && rate.head_ns > 0 && rate.flush_ns > 0);
}

static void what_takes_as_long_as_expected_changes_nothing(void **state)
{
    struct rate rate = {40 * US, 4 * MS, 2 * MS, true};
    for (uint32_t i = 0; i < 100000; i++)
        rate_follow(&rate, 1000, 10, rate_expects(&rate, 1000, 10));
    assert_int_equal(rate.slot_ns, 40 * US);
    assert_int_equal(rate.head_ns, 4 * MS);
    assert_int_equal(rate.flush_ns, 2 * MS);
}

/* ---- The bound ---- */

static void the_budget_is_hold_up_less_reserve_and_two_flushes(void **state)
{
    const struct rate rate = {10 * US, 50 * US, 2 * MS, true};
    enum rapilog_reason reason;
    struct rate_limits limits = {.hold_up_ns = 100 * MS, .reserve_ns = 30 * MS};
    assert_int_equal(rate_budget(&rate, &limits, &reason), 66 * MS);
    assert_int_equal(reason, RAPILOG_REASON_NONE);
    limits.sharers = 2;
    assert_int_equal(rate_budget(&rate, &limits, &reason),
                     31 * MS); /* each has FLUSHes of its own */
}

static void without_enough_time_nothing_is_promised_and_the_reason_is_told(void **state)
{
    struct rate rate = {10 * US, 50 * US, 2 * MS, true};
    enum rapilog_reason reason;
    struct rate_limits limits = {.hold_up_ns = 0};
    assert_int_equal(rate_budget(&rate, &limits, &reason), 0);
    assert_int_equal(reason, RAPILOG_REASON_NO_HOLD_UP);
    limits = (struct rate_limits){.hold_up_ns = 34 * MS, .reserve_ns = 30 * MS};
    assert_int_equal(rate_budget(&rate, &limits, &reason), 0);
    assert_int_equal(reason, RAPILOG_REASON_TOO_SHORT);
    rate.known = false;
    limits.hold_up_ns = 1000 * MS;
    assert_int_equal(rate_budget(&rate, &limits, &reason), 0);
    assert_int_equal(reason, RAPILOG_REASON_NOT_MEASURED);
}

/* Fills the buffer as far as the bound allows and returns how long the disk needs for it, all FLUSHes included. */
static uint64_t time_to_drain_the_most(const struct model_disk *disk, const struct rate *rate,
                                       const struct rate_limits *limits, uint32_t distance)
{
    enum { SLOTS = 4096 };
    static struct buffer buffer;
    static struct buffer_slot slot[SLOTS];
    static uint32_t bucket[SLOTS];
    static uint8_t data[SLOTS * BUFFER_BLOCK];
    static uint8_t block[BUFFER_BLOCK];
    enum rapilog_reason reason;
    buffer_init(&buffer, slot, SLOTS, bucket, SLOTS, data);
    buffer_bound(&buffer, SLOTS, rate_budget(rate, limits, &reason), rate->slot_ns, rate->head_ns);
    uint64_t time = 2 * disk->flush_ns;
    for (uint64_t sector = 0; buffer_can_promise(&buffer); sector += 8 * distance) {
        if (buffer_write(&buffer, 0, 1, sector, 8, block, true) == 0)
            break;
        time += disk->slot_ns + (sector == 0 || distance > 1 ? disk->head_ns : 0);
    }
    return time;
}

static void what_is_promised_fits_into_the_hold_up_time(void **state)
{
    static const struct model_disk *const disks[] = {&hard_disk, &consumer_ssd, &protected_ssd};
    static const uint64_t hold_ups[] = {10 * MS, 60 * MS, 400 * MS};
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 3; j++)
            for (uint32_t distance = 1; distance <= 2; distance++) {
                struct model_disk disk = *disks[i];
                struct rate rate = measure_disk(&disk, VOLUME_SECTORS, 2048);
                struct rate_limits limits = {hold_ups[j], hold_ups[j] / 4, 1};
                uint64_t time = time_to_drain_the_most(&disk, &rate, &limits, distance);
                if (time > 2 * disk.flush_ns)
                    assert_true(time <= hold_ups[j] - limits.reserve_ns);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_measurement_finds_the_costs_of_a_disk),
        cmocka_unit_test(a_measurement_never_claims_a_faster_disk_than_there_is),
        cmocka_unit_test(a_measurement_writes_only_what_it_has_read),
        cmocka_unit_test(a_slow_disk_is_measured_with_fewer_probes),
        cmocka_unit_test(a_tiny_volume_or_a_failing_disk_is_not_measured),
        cmocka_unit_test(a_slower_epoch_counts_at_once_and_a_faster_one_slowly),
        cmocka_unit_test(what_is_measured_again_counts_as_an_epoch_does),
        cmocka_unit_test(small_epochs_tell_about_the_flush),
        cmocka_unit_test(absurd_times_do_no_harm),
        cmocka_unit_test(what_takes_as_long_as_expected_changes_nothing),
        cmocka_unit_test(the_budget_is_hold_up_less_reserve_and_two_flushes),
        cmocka_unit_test(without_enough_time_nothing_is_promised_and_the_reason_is_told),
        cmocka_unit_test(what_is_promised_fits_into_the_hold_up_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
