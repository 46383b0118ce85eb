/*
 * Measuring while the volume is in use: the real engine in virtual time over a disk that holds data and can become slower. The
 * bound must follow, and whatever a client writes in the middle of a measurement must be there afterwards.
 */
#include "engine.h"

#include <quoll/quoll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define SECTORS 4096u
#define SLOTS 1024u
#define SCRATCH 1024u /* sectors */
#define PENDING 32u

static struct {
    uint8_t content[SECTORS * BLOCK_SECTOR];
    uint64_t now, slot_ns, command_ns, free_at;
    uint32_t writes; /* of sectors */
    bool backwards;  /* what came last is done first, as a disk may */
    bool refuses;    /* reads; it answers with an error */
    uint32_t lost;   /* so many FLUSHes tell of a cache that was lost */
    struct {
        bool used;
        struct block_request request;
        uint64_t at;
    } pending[PENDING];
} disk;

static struct engine engine;
static struct buffer_slot slots[SLOTS];
static uint32_t buckets[SLOTS];
static uint8_t memory[SCRATCH * BLOCK_SECTOR + SLOTS * BUFFER_BLOCK];
static struct rapilog_gauges gauges;
static uint32_t answers, drained;
static char said[4096]; /* the log; half full, it begins anew */

void quoll_log(const char *format, ...)
{
    size_t length = strlen(said) < sizeof(said) / 2 ? strlen(said) : 0;
    va_list list;
    va_start(list, format);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)vsnprintf(said + length, sizeof(said) - length, format, list);
#pragma GCC diagnostic pop
    va_end(list);
}

size_t quoll_format(char *buffer, size_t size, const char *format, ...)
{
    return (size_t)snprintf(buffer, size, "disk");
}

bool engine_port_submit(uint32_t volume, const struct block_request *request)
{
    uint32_t i = 0;
    while (disk.pending[i].used)
        i++;
    uint64_t begin = disk.free_at > disk.now ? disk.free_at : disk.now;
    disk.free_at = begin + disk.command_ns + (request->count + 7) / 8 * disk.slot_ns;
    disk.pending[i].used = true;
    disk.pending[i].request = *request;
    disk.pending[i].at = disk.free_at;
    return true;
}

void engine_port_complete(uint32_t volume, uint64_t id, enum block_status status)
{
    assert_int_equal(status, BLOCK_OK);
    answers++;
}

void engine_port_serving(uint32_t volume) {}
void engine_port_refused(uint32_t volume, const char *reason) {}
void engine_port_drained(void)
{
    drained++;
}

/* The content moves at the end of a command: whatever else happens meanwhile comes before it. */
static void carry_out(const struct block_request *request)
{
    uint8_t *place = disk.content + request->sector * BLOCK_SECTOR;
    size_t bytes = (size_t)request->count * BLOCK_SECTOR;
    if (request->operation == BLOCK_WRITE) {
        memcpy(place, memory + request->offset, bytes);
        disk.writes += request->count;
    } else if (request->operation == BLOCK_READ) {
        memcpy(memory + request->offset, place, bytes);
    }
}

/* Which command is done next, not after `limit`; PENDING: none. */
static uint32_t next_command(uint64_t limit)
{
    uint32_t which = PENDING;
    for (uint32_t i = 0; i < PENDING; i++) {
        if (!disk.pending[i].used || disk.pending[i].at > limit)
            continue;
        if (which == PENDING || (disk.pending[i].at > disk.pending[which].at) == disk.backwards)
            which = i;
    }
    return which;
}

/* The next thing that happens, not after `limit`; false: nothing does until then. */
static bool happen(uint64_t limit)
{
    uint64_t deadline = engine_step(&engine, disk.now);
    uint32_t which = next_command(limit);
    if (which == PENDING) {
        if (deadline < limit)
            disk.now = deadline;
        return deadline < limit;
    }
    if (disk.pending[which].at > disk.now)
        disk.now = disk.pending[which].at;
    disk.pending[which].used = false;
    const uint16_t operation = disk.pending[which].request.operation;
    bool refused = disk.refuses && operation == BLOCK_READ;
    if (operation == BLOCK_FLUSH && disk.lost > 0) {
        refused = true;
        disk.lost--;
    }
    if (!refused)
        carry_out(&disk.pending[which].request);
    engine_disk_done(&engine, 0, disk.pending[which].request.id,
                     refused ? BLOCK_IO_ERROR : BLOCK_OK, disk.now);
    return true;
}

static void pass(uint64_t ns)
{
    uint64_t until = disk.now + ns;
    while (happen(until))
        continue;
    disk.now = until;
    (void)engine_step(&engine, disk.now);
}

/* The disk is ready; its measurement has not begun. */
static void become_ready(bool has_dump)
{
    const struct engine_setup setup = {
        .volume_count = 1,
        .has_dump = has_dump,
        .scratch_sectors = SCRATCH,
        .slots_offset = SCRATCH * BLOCK_SECTOR,
        .limits = {.hold_up_ns = 6 * MS, .reserve_ns = 500 * US},
        .gauges = &gauges,
    };
    memset(&disk, 0, sizeof(disk));
    for (size_t i = 0; i < sizeof(disk.content); i++)
        disk.content[i] = (uint8_t)(i / BLOCK_SECTOR);
    disk.now = 1;
    disk.slot_ns = 10 * US;
    disk.command_ns = 50 * US;
    answers = drained = 0;
    said[0] = 0;
    engine_init(&engine, &setup, slots, SLOTS, buckets, SLOTS, memory + setup.slots_offset);
    engine_disk_ready(&engine, 0, "disk", SECTORS, 1024, false, disk.now);
}

static void begin(void)
{
    become_ready(false);
    pass(SECOND);
    assert_int_equal(engine.volume[0].state, VOLUME_SERVING);
    assert_int_equal(gauges.measurements, 1);
}

static void write_block(uint64_t block, uint8_t byte)
{
    static uint8_t data[BUFFER_BLOCK];
    const struct block_request request = {
        .sector = block * 8, .count = 8, .operation = BLOCK_WRITE, .buffer = 1};
    memset(data, byte, sizeof(data));
    engine_take(&engine, 0, &request, data);
}

/* Until the measurement is under way, and so many things have happened to it. */
static void into_a_measurement(uint32_t steps)
{
    while (!engine.volume[0].remeasuring)
        assert_true(happen(UINT64_MAX));
    for (uint32_t i = 0; i < steps; i++)
        (void)happen(UINT64_MAX);
}

static void an_idle_disk_is_measured_once_in_a_while_and_keeps_its_content(void **state)
{
    static uint8_t before[sizeof(disk.content)];
    begin();
    memcpy(before, disk.content, sizeof(before));
    uint32_t written = disk.writes;
    pass(299 * SECOND);
    assert_int_equal(disk.writes, written);
    pass(3001 * SECOND);
    assert_int_equal(gauges.measurements, 12);
    assert_true(disk.writes > written);
    assert_memory_equal(before, disk.content, sizeof(before));
}

static void the_bound_shrinks_while_nobody_writes_and_grows_slowly(void **state)
{
    begin();
    uint64_t bound = gauges.bound_bytes;
    disk.slot_ns *= 8; /* the drive tidies up */
    pass(301 * SECOND);
    assert_true(gauges.bound_bytes < bound / 6);
    uint64_t small = gauges.bound_bytes;
    disk.slot_ns /= 8;
    pass(301 * SECOND);
    assert_true(gauges.bound_bytes > small && gauges.bound_bytes < bound / 2);
    pass(100 * 301 * SECOND);
    assert_true(gauges.bound_bytes > bound * 9 / 10);
}

static void the_bound_shrinks_at_once_when_the_disk_gets_slower_under_load(void **state)
{
    begin();
    uint64_t bound = gauges.bound_bytes;
    disk.slot_ns *= 8;
    for (uint64_t block = 0; block < 200; block++)
        write_block(block, 1), (void)engine_step(&engine, disk.now);
    while (gauges.epochs < 2) /* the first one was sealed with the first write */
        assert_true(happen(UINT64_MAX));
    (void)engine_step(&engine, disk.now);
    assert_true(gauges.bound_bytes < bound / 2);
    pass(SECOND);
    assert_true(gauges.bound_bytes < bound / 4);
}

/* A client writes to what is just being measured, at every step of it. */
static void a_write_in_the_middle_of_a_measurement_is_there_afterwards(void **state)
{
    uint32_t most = 0;
    for (uint32_t steps = 0; steps < 60; steps++) {
        begin();
        disk.backwards = true;
        into_a_measurement(steps);
        most += engine.volume[0].remeasuring ? 1 : 0;
        for (uint64_t block = 0; block < SECTORS / 8; block++)
            write_block(block, (uint8_t)(0x80 + block % 100)), (void)engine_step(&engine, disk.now);
        pass(SECOND);
        assert_int_equal(answers, SECTORS / 8);
        assert_int_equal(engine.buffer.slots, 0);
        assert_false(engine.volume[0].remeasuring);
        for (uint64_t block = 0; block < SECTORS / 8; block++)
            assert_int_equal(disk.content[block * BUFFER_BLOCK], 0x80 + block % 100);
    }
    assert_true(most > 20); /* steps that were within one */
}

static void mains_that_are_lost_in_a_measurement_are_no_later_drained(void **state)
{
    for (uint32_t steps = 0; steps < 40; steps++) {
        begin();
        into_a_measurement(steps);
        write_block(3, 0x99);
        (void)engine_step(&engine, disk.now);
        uint64_t lost = disk.now;
        engine_mains(&engine);
        while (drained == 0 && happen(UINT64_MAX))
            continue;
        assert_int_equal(drained, 1);
        /* one probe's commands of a phase, the block and two FLUSHes */
        assert_true(disk.now - lost < 10 * MS);
        assert_int_equal(disk.content[3 * BUFFER_BLOCK], 0x99);
        for (uint32_t i = 0; i < PENDING; i++)
            assert_false(disk.pending[i].used && disk.pending[i].request.operation == BLOCK_WRITE);
    }
}

/* The mains are lost when so much has happened to the first measurement, and are back when everything is drained. True: the
 * measurement was cut short. */
static bool lose_mains_at_the_start(uint32_t steps)
{
    become_ready(false);
    (void)engine_step(&engine, disk.now);
    for (uint32_t i = 0; i < steps && engine.volume[0].state == VOLUME_MEASURING; i++)
        (void)happen(UINT64_MAX);
    engine_mains(&engine);
    pass(SECOND);
    assert_int_equal(drained, 1);
    assert_int_equal(engine.volume[0].state, VOLUME_SERVING);
    bool cut_short = gauges.measurements == 0;
    assert_int_equal(strstr(said, "not measured yet") != NULL, cut_short);
    assert_null(strstr(said, "could not be measured"));
    uint32_t written = disk.writes;
    pass(100 * SECOND); /* nothing is measured without mains */
    assert_int_equal(disk.writes, written);
    engine_mains_back(&engine);
    return cut_short;
}

static void a_volume_with_no_time_to_be_measured_is_measured_when_the_mains_are_back(void **state)
{
    static uint8_t before[sizeof(disk.content)];
    uint32_t cut_short = 0;
    become_ready(false);
    memcpy(before, disk.content, sizeof(before));
    for (uint32_t steps = 0; steps < 60; steps++) {
        cut_short += lose_mains_at_the_start(steps) ? 1 : 0;
        pass(SECOND);
        assert_int_equal(gauges.measurements, 1);
        assert_non_null(strstr(said, "(measured)"));
        assert_true(gauges.bound_bytes > 0);
        assert_memory_equal(before, disk.content, sizeof(before));
        write_block(3, 0x99);
        (void)engine_step(&engine, disk.now);
        assert_int_equal(answers, 1); /* from memory */
    }
    assert_true(cut_short > 20);
    pass(301 * SECOND); /* and again, as any other */
    assert_int_equal(gauges.measurements, 2);
}

static void requests_do_not_keep_a_volume_from_its_first_measurement(void **state)
{
    for (uint32_t steps = 0; steps < 60; steps++) {
        assert_true(lose_mains_at_the_start(5));
        (void)engine_step(&engine, disk.now);
        assert_true(engine.volume[0].remeasuring);
        disk.backwards = true;
        for (uint32_t i = 0; i < steps; i++)
            (void)happen(UINT64_MAX);
        for (uint64_t block = 0; block < SECTORS / 8; block++) {
            assert_true(engine_can_take(&engine, 0));
            write_block(block, (uint8_t)(0x80 + block % 100));
            (void)engine_step(&engine, disk.now);
            (void)happen(UINT64_MAX);
        }
        assert_int_equal(gauges.measurements, 1); /* although it was never idle */
        pass(SECOND);
        assert_int_equal(answers, SECTORS / 8);
        for (uint64_t block = 0; block < SECTORS / 8; block++)
            assert_int_equal(disk.content[block * BUFFER_BLOCK], 0x80 + block % 100);
    }
}

static void a_volume_that_is_never_idle_gets_its_first_measurement(void **state)
{
    uint32_t sent = 0;
    assert_true(lose_mains_at_the_start(5));
    for (uint32_t i = 0; i < 500; i++) {
        while (sent < answers + 16)
            write_block(sent++ % (SECTORS / 8), 1);
        (void)engine_step(&engine, disk.now);
        (void)happen(UINT64_MAX);
    }
    assert_int_equal(gauges.measurements, 1);
    assert_true(answers > 100);
}

static void mains_lost_again_in_the_first_measurement_put_it_off_again(void **state)
{
    for (uint32_t steps = 0; steps < 25; steps++) { /* it has more */
        assert_true(lose_mains_at_the_start(5));
        (void)engine_step(&engine, disk.now);
        for (uint32_t i = 0; i < steps; i++)
            (void)happen(UINT64_MAX);
        engine_mains(&engine);
        uint64_t lost = disk.now;
        while (drained == 1 && happen(UINT64_MAX))
            continue;
        assert_int_equal(drained, 2);
        assert_int_equal(gauges.measurements, 0);
        assert_true(disk.now - lost < 2 * MS); /* one probe's commands of a phase, a FLUSH */
        engine_mains_back(&engine);
        pass(SECOND);
        assert_int_equal(gauges.measurements, 1);
    }
}

/* What the disk lost was of before, and is told once. */
static void one_lost_cache_does_not_keep_a_volume_from_its_first_measurement(void **state)
{
    assert_true(lose_mains_at_the_start(5));
    disk.lost = 1;
    pass(SECOND);
    assert_int_equal(gauges.measurements, 1);
    assert_null(strstr(said, "could not be measured"));
    assert_true(lose_mains_at_the_start(5));
    disk.lost = 2;
    pass(1000 * SECOND);
    assert_int_equal(gauges.measurements, 0);
    assert_non_null(strstr(said, "could not be measured"));
}

static void a_disk_with_errors_is_not_measured_over_and_over(void **state)
{
    assert_true(lose_mains_at_the_start(5));
    disk.refuses = true;
    pass(SECOND);
    assert_non_null(strstr(said, "could not be measured"));
    disk.refuses = false;
    uint32_t written = disk.writes;
    pass(1000 * SECOND);
    assert_int_equal(disk.writes, written);
    assert_int_equal(gauges.measurements, 0);
    write_block(3, 0x99);
    pass(SECOND);
    assert_int_equal(answers, 1); /* from the disk */
}

static void with_a_dump_area_the_log_says_that_there_was_no_time(void **state)
{
    become_ready(true);
    (void)engine_step(&engine, disk.now);
    engine_mains(&engine);
    pass(SECOND);
    assert_int_equal(engine.volume[0].state, VOLUME_MEASURED);
    assert_non_null(strstr(said, "with a dump area that is not made up for"));
    assert_null(strstr(said, "could not be measured"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_disk_is_measured_once_in_a_while_and_keeps_its_content),
        cmocka_unit_test(the_bound_shrinks_while_nobody_writes_and_grows_slowly),
        cmocka_unit_test(the_bound_shrinks_at_once_when_the_disk_gets_slower_under_load),
        cmocka_unit_test(a_write_in_the_middle_of_a_measurement_is_there_afterwards),
        cmocka_unit_test(mains_that_are_lost_in_a_measurement_are_no_later_drained),
        cmocka_unit_test(a_volume_with_no_time_to_be_measured_is_measured_when_the_mains_are_back),
        cmocka_unit_test(requests_do_not_keep_a_volume_from_its_first_measurement),
        cmocka_unit_test(a_volume_that_is_never_idle_gets_its_first_measurement),
        cmocka_unit_test(mains_lost_again_in_the_first_measurement_put_it_off_again),
        cmocka_unit_test(one_lost_cache_does_not_keep_a_volume_from_its_first_measurement),
        cmocka_unit_test(a_disk_with_errors_is_not_measured_over_and_over),
        cmocka_unit_test(with_a_dump_area_the_log_says_that_there_was_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
