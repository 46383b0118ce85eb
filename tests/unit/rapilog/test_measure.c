/*
 * Measuring at the start, with two volumes that become ready in either order and at any moment of each other's measurement: the
 * real engine over two disks that hold data. They share the scratch memory, so what one has read must not be written to the other.
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
#define VOLUMES 2u
#define SECTORS 4096u
#define SLOTS 64u
#define SCRATCH 1024u /* sectors */
#define PENDING 64u
#define MOST_STEPS 60u /* more than the commands of one measurement */

static struct {
    uint8_t content[VOLUMES][SECTORS * BLOCK_SECTOR];
    uint64_t now;
    uint32_t first, count; /* of `pending`, answered in order */
    uint32_t answers;      /* that a client got */
    bool away[VOLUMES];    /* its disk does not answer now */
    struct {
        uint32_t volume;
        struct block_request request;
    } pending[PENDING];
} world;

static struct engine engine;
static struct buffer_slot slots[SLOTS];
static uint32_t buckets[SLOTS];
static uint8_t memory[SCRATCH * BLOCK_SECTOR + SLOTS * BUFFER_BLOCK];
static struct rapilog_gauges gauges;

void quoll_log(const char *format, ...) {}

size_t quoll_format(char *buffer, size_t size, const char *format, ...)
{
    return (size_t)snprintf(buffer, size, "disk");
}

bool engine_port_submit(uint32_t volume, const struct block_request *request)
{
    uint32_t place = (world.first + world.count++) % PENDING;
    world.pending[place].volume = volume;
    world.pending[place].request = *request;
    return true;
}

void engine_port_complete(uint32_t volume, uint64_t id, enum block_status status)
{
    assert_int_equal(status, BLOCK_OK);
    world.answers++;
}
void engine_port_serving(uint32_t volume) {}
void engine_port_refused(uint32_t volume, const char *reason) {}
void engine_port_drained(void) {}

/* What waits for a disk that is away is put behind the others. False: all does. */
static bool find_one(void)
{
    for (uint32_t i = 0; i < world.count; i++) {
        if (!world.away[world.pending[world.first].volume])
            return true;
        world.pending[(world.first + world.count) % PENDING] = world.pending[world.first];
        world.first = (world.first + 1) % PENDING;
    }
    return false;
}

/* The content moves when a command is answered. False: nothing is on its way. */
static bool answer_one(void)
{
    (void)engine_step(&engine, world.now);
    if (!find_one())
        return false;
    uint32_t place = world.first;
    const struct block_request *request = &world.pending[place].request;
    uint32_t volume = world.pending[place].volume;
    uint8_t *at = world.content[volume] + request->sector * BLOCK_SECTOR;
    size_t bytes = (size_t)request->count * BLOCK_SECTOR;
    world.first = (world.first + 1) % PENDING;
    world.count--;
    world.now += 100 * US;
    if (request->operation == BLOCK_WRITE)
        memcpy(at, memory + request->offset, bytes);
    else if (request->operation == BLOCK_READ)
        memcpy(memory + request->offset, at, bytes);
    engine_disk_done(&engine, volume, request->id, BLOCK_OK, world.now);
    return true;
}

static void begin(void)
{
    const struct engine_setup setup = {
        .volume_count = VOLUMES,
        .scratch_sectors = SCRATCH,
        .slots_offset = SCRATCH * BLOCK_SECTOR,
        .limits = {.hold_up_ns = 100 * MS, .reserve_ns = MS},
        .gauges = &gauges,
    };
    memset(&world, 0, sizeof(world));
    for (uint32_t volume = 0; volume < VOLUMES; volume++)
        for (size_t i = 0; i < sizeof(world.content[volume]); i++)
            world.content[volume][i] = (uint8_t)(i / BLOCK_SECTOR * 2 + volume);
    world.now = 1;
    engine_init(&engine, &setup, slots, SLOTS, buckets, SLOTS, memory + setup.slots_offset);
}

static void make_ready(uint32_t volume)
{
    engine_disk_ready(&engine, volume, "disk", SECTORS, 1024, false, world.now);
}

static void become_ready(uint32_t first, uint32_t steps)
{
    static uint8_t before[VOLUMES][SECTORS * BLOCK_SECTOR];
    begin();
    memcpy(before, world.content, sizeof(before));
    make_ready(first);
    for (uint32_t i = 0; i < steps; i++)
        (void)answer_one();
    (void)engine_step(&engine, world.now);
    make_ready(1 - first);
    while (answer_one())
        continue;
    assert_int_equal(gauges.measurements, VOLUMES);
    assert_int_equal(engine.volume[0].state, VOLUME_SERVING);
    assert_int_equal(engine.volume[1].state, VOLUME_SERVING);
    assert_memory_equal(before, world.content, sizeof(before));
}

/* Both are made up for, one after the other; a third measurement would say that one was done twice. */
static void lose_mains_after(uint32_t first, uint32_t steps)
{
    static uint8_t before[VOLUMES][SECTORS * BLOCK_SECTOR];
    begin();
    memcpy(before, world.content, sizeof(before));
    make_ready(first);
    for (uint32_t i = 0; i < steps; i++)
        (void)answer_one();
    engine_mains(&engine);
    make_ready(1 - first);
    while (answer_one())
        continue;
    assert_true(gauges.measurements <= 1);
    engine_mains_back(&engine);
    while (answer_one())
        continue;
    assert_int_equal(gauges.measurements, VOLUMES);
    assert_true(gauges.bound_bytes > 0);
    assert_memory_equal(before, world.content, sizeof(before));
}

static void
volumes_without_the_time_to_be_measured_are_measured_when_the_mains_are_back(void **state)
{
    for (uint32_t first = 0; first < VOLUMES; first++)
        for (uint32_t steps = 0; steps < MOST_STEPS; steps++)
            lose_mains_after(first, steps);
}

/* Its turn to be measured may not come for long: until then it drains, and what waits for that is answered. */
static void a_volume_does_not_wait_for_the_measurement_of_one_whose_disk_is_away(void **state)
{
    static uint8_t data[BUFFER_BLOCK];
    const struct block_request request = {
        .sector = 24, .count = BUFFER_BLOCK_SECTORS, .operation = BLOCK_WRITE};
    memset(data, 0x99, sizeof(data));
    for (uint32_t steps = 0; steps < MOST_STEPS; steps++) {
        begin();
        make_ready(0);
        (void)answer_one();
        engine_mains(&engine);
        while (answer_one())
            continue;
        engine_mains_back(&engine);
        make_ready(1);
        for (uint32_t i = 0; i < steps && engine.volume[1].state == VOLUME_MEASURING; i++)
            (void)answer_one();
        world.away[1] = true;
        engine_take(&engine, 0, &request, data);
        while (answer_one())
            continue;
        assert_int_equal(world.answers, 1);
        world.away[1] = false;
        while (answer_one())
            continue;
        assert_int_equal(gauges.measurements, VOLUMES);
        assert_int_equal(world.content[0][24 * BLOCK_SECTOR], 0x99);
    }
}

static void a_volume_keeps_its_content_whenever_another_becomes_ready(void **state)
{
    for (uint32_t first = 0; first < VOLUMES; first++)
        for (uint32_t steps = 0; steps < MOST_STEPS; steps++)
            become_ready(first, steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_volume_keeps_its_content_whenever_another_becomes_ready),
        cmocka_unit_test(
            volumes_without_the_time_to_be_measured_are_measured_when_the_mains_are_back),
        cmocka_unit_test(a_volume_does_not_wait_for_the_measurement_of_one_whose_disk_is_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
