/*
 * The virtio-blk driver's device and commands, against registers that are plain memory and a device that this test plays: it
 * follows the chains as 2.7 and 5.2.6 say, and breaks the rules in the ways that devices do. PCI and interrupts are the
 * system test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../../drivers/virtio_blk/commands.h"
#include <quoll/twin.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER = 3, BUFFER_BYTES = 1 << 16, SECTORS = 4096, QUEUE = 64 };

struct fixture {
    struct twin *twin;
    struct device device;
    struct commands commands;
    struct block_buffers buffers;
    uint8_t *data;
    uint8_t disk[SECTORS * BLOCK_SECTOR];
    _Alignas(8) uint8_t common[COMMON_BYTES], config[CONFIG_BYTES], isr[4], notify[16];
    uint16_t taken, given; /* by the device */
    uint32_t flushes;
    bool fail_flush;
    uint64_t losses;
};

/* Both halves of the features are one register of plain memory here: bit 0 is VERSION_1 in the upper half, and nothing that the
 * driver knows in the lower. */
#define MODERN 1u

static void put(uint8_t *registers, uint32_t offset, uint64_t value, size_t size)
{
    memcpy(registers + offset, &value, size);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->twin = twin_create();
    twin_adopt(f->twin, "test");
    twin_start(f->twin);
    f->data = twin_memory(f->twin, BUFFER_BYTES);
    f->buffers.buffer[BUFFER] = (struct block_buffer){NULL, BUFFER_BYTES, (uintptr_t)f->data};
    uint8_t *memory = twin_memory(f->twin, VIRTIO_BLK_QUEUES_BYTES);
    f->device = (struct device){
        .common = f->common,
        .isr = f->isr,
        .config = f->config,
        .notify = f->notify,
        .notify_bytes = sizeof(f->notify),
        .notify_multiplier = 4,
        .memory = (struct device_memory *)(void *)memory,
        .memory_physical = (uintptr_t)memory,
    };
    put(f->common, COMMON_DEVICE_FEATURE, MODERN | FEATURE_FLUSH, 4);
    put(f->common, COMMON_QUEUE_SIZE, QUEUE, 2);
    put(f->common, COMMON_QUEUE_NOTIFY_OFFSET, 1, 2);
    put(f->config, CONFIG_CAPACITY, SECTORS, 8);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    twin_destroy(f->twin);
    free(f);
    return 0;
}

static void start(struct fixture *f)
{
    assert_null(device_start(&f->device));
    commands_start(&f->commands, &f->device, &f->buffers, &f->losses);
}

/* ---- The device ---- */

static void *bytes_at(const struct virtio_descriptor *descriptor)
{
    return (void *)(uintptr_t)descriptor->address;
}

static uint8_t carry_out(struct fixture *f, const struct virtio_descriptor *chain)
{
    const struct virtio_block_header *header = bytes_at(chain);
    assert_int_equal(chain->length, sizeof(*header));
    if (header->type == TYPE_FLUSH) {
        f->flushes++;
        return f->fail_flush ? ANSWER_IOERR : ANSWER_OK;
    }
    const struct virtio_descriptor *data = &f->device.memory->descriptor[chain->next];
    bool in = header->type == TYPE_IN;
    assert_int_equal((data->flags & DESCRIPTOR_WRITE) != 0, in);
    if (header->sector * BLOCK_SECTOR + data->length > sizeof(f->disk))
        return ANSWER_IOERR;
    uint8_t *place = f->disk + header->sector * BLOCK_SECTOR;
    memcpy(in ? bytes_at(data) : place, in ? place : bytes_at(data), data->length);
    return ANSWER_OK;
}

static void answer(struct fixture *f, uint32_t id)
{
    struct device_memory *memory = f->device.memory;
    memory->used[f->given++ % QUEUE] = (struct virtio_used){.id = id, .length = 1};
    memory->used_index = f->given;
}

static void serve_one(struct fixture *f)
{
    struct device_memory *memory = f->device.memory;
    assert_true(f->taken != memory->available_index);
    uint16_t head = memory->available[f->taken++ % QUEUE];
    struct virtio_descriptor *chain = &memory->descriptor[head], *last = chain;
    while (last->flags & DESCRIPTOR_NEXT)
        last = &memory->descriptor[last->next];
    assert_true(last->flags & DESCRIPTOR_WRITE);
    *(uint8_t *)bytes_at(last) = carry_out(f, chain);
    answer(f, head);
}

/* ---- Requests ---- */

static void begin(struct fixture *f, uint16_t operation, uint64_t sector, uint16_t flags)
{
    struct block_request request = {
        .id = 100 + sector,
        .sector = sector,
        .count = operation == BLOCK_FLUSH ? 0 : 8,
        .operation = operation,
        .flags = flags,
        .buffer = BUFFER,
    };
    commands_begin(&f->commands, 2, (struct block_mark){.told = 17}, &request);
    commands_announce(&f->commands);
}

static void expect(struct fixture *f, uint64_t id, enum block_status status)
{
    struct command_result result;
    assert_int_equal(commands_next(&f->commands, &result), COMMAND_DONE);
    assert_int_equal(result.id, id);
    assert_int_equal(result.client, 2);
    assert_int_equal(result.status, status);
}

static void what_is_written_can_be_read(void **state)
{
    struct fixture *f = *state;
    start(f);
    memset(f->data, 0x5a, 4096);
    begin(f, BLOCK_WRITE, 16, 0);
    serve_one(f);
    expect(f, 116, BLOCK_OK);
    assert_int_equal(f->disk[16 * 512], 0x5a);
    memset(f->data, 0, 4096);
    begin(f, BLOCK_READ, 16, 0);
    serve_one(f);
    expect(f, 116, BLOCK_OK);
    assert_int_equal(f->data[4095], 0x5a);
    assert_int_equal(f->flushes, 0);
}

static void a_durable_write_is_answered_after_a_flush(void **state)
{
    struct fixture *f = *state;
    struct command_result result;
    start(f);
    begin(f, BLOCK_WRITE, 0, BLOCK_FUA);
    serve_one(f);
    assert_int_equal(commands_next(&f->commands, &result), COMMAND_GOES_ON);
    commands_announce(&f->commands);
    assert_int_equal(f->flushes, 0);
    serve_one(f);
    expect(f, 100, BLOCK_OK);
    assert_int_equal(f->flushes, 1);
}

/* A durable write whose write is done, and whose flush the device has. */
static void begin_flush_after_write(struct fixture *f)
{
    struct command_result result;
    begin(f, BLOCK_WRITE, 0, BLOCK_FUA);
    serve_one(f);
    assert_int_equal(commands_next(&f->commands, &result), COMMAND_GOES_ON);
    commands_announce(&f->commands);
}

static void a_failed_flush_behind_a_write_counts_as_a_loss(void **state)
{
    struct fixture *f = *state;
    struct command_result result;
    start(f);
    f->fail_flush = true;
    begin_flush_after_write(f);
    serve_one(f);
    assert_int_equal(commands_next(&f->commands, &result), COMMAND_DONE);
    assert_int_equal(result.status, BLOCK_IO_ERROR);
    assert_false(result.flush); /* its error tells nobody that the cache is lost */
    assert_int_equal(f->losses, 1);
}

static void a_write_whose_cache_was_lost_before_its_flush_is_not_durable(void **state)
{
    struct fixture *f = *state;
    start(f);
    begin_flush_after_write(f);
    f->losses++; /* somebody else's FLUSH has failed */
    serve_one(f);
    expect(f, 100, BLOCK_IO_ERROR);
    begin_flush_after_write(f);
    serve_one(f);
    expect(f, 100, BLOCK_OK); /* what was lost before it is not its own */
    assert_int_equal(f->losses, 1);
}

/* The device may have put it into its cache before that flush failed, and say so afterwards. */
static void a_write_that_was_in_flight_at_a_loss_is_not_durable(void **state)
{
    struct fixture *f = *state;
    struct command_result result;
    start(f);
    begin(f, BLOCK_WRITE, 0, BLOCK_FUA);
    f->losses++;
    serve_one(f);
    assert_int_equal(commands_next(&f->commands, &result), COMMAND_GOES_ON);
    commands_announce(&f->commands);
    serve_one(f);
    expect(f, 100, BLOCK_IO_ERROR);
}

static void
after_a_reset_the_cache_counts_as_lost_and_a_durable_write_is_written_again(void **state)
{
    struct fixture *f = *state;
    start(f);
    memset(f->data, 7, 4096);
    begin_flush_after_write(f);
    assert_null(device_start(&f->device));
    f->taken = f->given = 0;
    memset(f->disk, 0, sizeof(f->disk));
    commands_again(&f->commands);
    commands_announce(&f->commands);
    assert_int_equal(f->losses, 1);
    serve_one(f);
    assert_int_equal(f->disk[0], 7);
    assert_int_equal(f->flushes, 0);
    struct command_result result;
    assert_int_equal(commands_next(&f->commands, &result), COMMAND_GOES_ON);
    commands_announce(&f->commands);
    serve_one(f);
    expect(f, 100, BLOCK_OK);
}

static void a_flush_comes_back_with_the_losses_its_client_knew_of(void **state)
{
    struct fixture *f = *state;
    struct command_result result;
    start(f);
    begin(f, BLOCK_FLUSH, 0, 0);
    serve_one(f);
    assert_int_equal(commands_next(&f->commands, &result), COMMAND_DONE);
    assert_true(result.flush);
    assert_int_equal(result.mark.told, 17);
}

static void a_device_without_flush_has_no_cache(void **state)
{
    struct fixture *f = *state;
    put(f->common, COMMON_DEVICE_FEATURE, MODERN, 4);
    start(f);
    assert_int_equal(f->device.geometry.abilities, BLOCK_CAN_FLUSH);
    begin(f, BLOCK_WRITE, 0, BLOCK_FUA);
    serve_one(f);
    expect(f, 100, BLOCK_OK);
}

static void a_device_whose_cache_is_switched_off_is_not_flushed(void **state)
{
    struct fixture *f = *state;
    put(f->common, COMMON_DEVICE_FEATURE, MODERN | FEATURE_FLUSH | FEATURE_CACHE_MODE, 4);
    put(f->config, CONFIG_WRITEBACK, 1, 1);
    start(f);
    assert_true(f->device.geometry.abilities & BLOCK_VOLATILE_CACHE);
    put(f->config, CONFIG_WRITEBACK, 0, 1);
    start(f);
    assert_int_equal(f->device.geometry.abilities, BLOCK_CAN_FLUSH);
    begin(f, BLOCK_WRITE, 0, BLOCK_FUA);
    serve_one(f);
    expect(f, 100, BLOCK_OK);
    assert_int_equal(f->flushes, 0);
}

static void a_dying_disk_does_not_drown_the_log(void **state)
{
    struct fixture *f = *state;
    start(f);
    for (int i = 0; i < 100; i++) {
        begin(f, BLOCK_WRITE, SECTORS, 0);
        serve_one(f);
        expect(f, 100 + SECTORS, BLOCK_IO_ERROR);
    }
    assert_int_equal(f->commands.errors, 100);
}

static void an_error_of_the_device_is_an_error_of_the_request(void **state)
{
    struct fixture *f = *state;
    start(f);
    begin(f, BLOCK_WRITE, SECTORS, 0);
    serve_one(f);
    expect(f, 100 + SECTORS, BLOCK_IO_ERROR);
}

static void as_many_commands_as_the_queue_has_room_for_are_in_flight(void **state)
{
    struct fixture *f = *state;
    start(f);
    for (int turn = 0; turn < 5000; turn++) { /* the rings' indices wrap more than once */
        uint32_t count = 0;
        while (!commands_full(&f->commands))
            begin(f, BLOCK_WRITE, 8 * count++, 0);
        assert_int_equal(count, QUEUE / DEVICE_CHAIN);
        for (uint32_t i = 0; i < count; i++)
            serve_one(f);
        for (uint32_t i = 0; i < count; i++)
            expect(f, 100 + 8 * i, BLOCK_OK);
    }
}

static void answers_to_nothing_are_nonsense(void **state)
{
    struct fixture *f = *state;
    const uint32_t ids[] = {3, 1, 4, QUEUE, QUEUE * 3, UINT32_MAX};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct command_result result;
        f->taken = f->given = 0;
        start(f);
        begin(f, BLOCK_WRITE, 0, 0);
        answer(f, ids[i]);
        assert_int_equal(commands_next(&f->commands, &result), COMMAND_NONSENSE);
    }
}

static void what_was_in_flight_is_given_again_after_a_reset(void **state)
{
    struct fixture *f = *state;
    start(f);
    memset(f->data, 7, 4096);
    begin(f, BLOCK_WRITE, 8, 0);
    begin(f, BLOCK_WRITE, 24, BLOCK_FUA);
    assert_null(device_start(&f->device));
    f->taken = f->given = 0;
    commands_again(&f->commands);
    commands_announce(&f->commands);
    serve_one(f);
    expect(f, 108, BLOCK_OK);
    assert_int_equal(f->disk[8 * 512], 7);
    struct command_result result;
    assert_true(commands_abandon(&f->commands, &result));
    assert_int_equal(result.id, 124);
    assert_int_equal(result.status, BLOCK_GONE);
    assert_false(commands_abandon(&f->commands, &result));
}

/* ---- Devices that cannot be driven ---- */

static void expect_problem(struct fixture *f, const char *word)
{
    const char *problem = device_start(&f->device);
    assert_non_null(problem);
    assert_true(strlen(problem) <= 71);
    if (strstr(problem, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", problem, word);
    assert_int_equal(f->common[COMMON_STATUS], 0);
}

static void a_device_that_cannot_be_driven_is_refused_with_the_reason(void **state)
{
    struct fixture *f = *state;
    put(f->common, COMMON_DEVICE_FEATURE, FEATURE_FLUSH, 4);
    expect_problem(f, "before version 1");
    put(f->common, COMMON_DEVICE_FEATURE, MODERN, 4);
    put(f->config, CONFIG_CAPACITY, 0, 8);
    expect_problem(f, "capacity");
    put(f->config, CONFIG_CAPACITY, UINT64_MAX, 8);
    expect_problem(f, "capacity");
    put(f->config, CONFIG_CAPACITY, SECTORS, 8);
    put(f->common, COMMON_QUEUE_SIZE, 2, 2);
    expect_problem(f, "too small");
    put(f->common, COMMON_QUEUE_SIZE, QUEUE, 2);
    put(f->common, COMMON_QUEUE_NOTIFY_OFFSET, 4, 2);
    expect_problem(f, "no place to be notified");
    put(f->common, COMMON_QUEUE_NOTIFY_OFFSET, 1, 2);
    put(f->common, COMMON_DEVICE_FEATURE, MODERN | FEATURE_BLOCK_SIZE, 4);
    put(f->config, CONFIG_BLOCK_SIZE, 8192, 4);
    expect_problem(f, "block size");
    put(f->common, COMMON_DEVICE_FEATURE, MODERN | FEATURE_SIZE_MAX, 4);
    put(f->config, CONFIG_SIZE_MAX, 511, 4);
    expect_problem(f, "one piece");
}

static void larger_blocks_are_told_to_clients(void **state)
{
    struct fixture *f = *state;
    put(f->common, COMMON_DEVICE_FEATURE, MODERN | FEATURE_BLOCK_SIZE, 4);
    put(f->config, CONFIG_BLOCK_SIZE, 4096, 4);
    start(f);
    assert_int_equal(f->device.geometry.physical_block, 4096);
    assert_true(f->device.geometry.abilities & BLOCK_WHOLE_BLOCKS);
}

/* Clients name whole blocks only. A device may tell of parts beside them, or of nothing else. */
static void what_is_no_whole_block_is_not_there(void **state)
{
    struct fixture *f = *state;
    put(f->common, COMMON_DEVICE_FEATURE, MODERN | FEATURE_BLOCK_SIZE | FEATURE_SIZE_MAX, 4);
    put(f->config, CONFIG_BLOCK_SIZE, 4096, 4);
    put(f->config, CONFIG_SIZE_MAX, 3 * 4096 + 512, 4);
    put(f->config, CONFIG_CAPACITY, SECTORS + 7, 8);
    start(f);
    assert_int_equal(f->device.geometry.sectors, SECTORS);
    assert_int_equal(f->device.geometry.max_sectors, 24);
    put(f->config, CONFIG_SIZE_MAX, 2048, 4);
    expect_problem(f, "one piece");
    put(f->config, CONFIG_SIZE_MAX, 4096, 4);
    put(f->config, CONFIG_CAPACITY, 7, 8);
    expect_problem(f, "capacity");
}

static void a_device_that_is_gone_is_noticed(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_false(device_needs_reset(&f->device));
    assert_true(device_works(&f->device));
    f->common[COMMON_STATUS] |= STATUS_NEEDS_RESET;
    assert_true(device_needs_reset(&f->device));
    assert_false(device_works(&f->device));
    f->common[COMMON_STATUS] = 0xff;
    assert_true(device_needs_reset(&f->device));
    assert_false(device_works(&f->device));
    f->common[COMMON_STATUS] = 0; /* somebody else has reset it */
    assert_false(device_works(&f->device));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_can_be_read),
        TEST(a_durable_write_is_answered_after_a_flush),
        TEST(a_failed_flush_behind_a_write_counts_as_a_loss),
        TEST(a_write_whose_cache_was_lost_before_its_flush_is_not_durable),
        TEST(after_a_reset_the_cache_counts_as_lost_and_a_durable_write_is_written_again),
        TEST(a_write_that_was_in_flight_at_a_loss_is_not_durable),
        TEST(a_flush_comes_back_with_the_losses_its_client_knew_of),
        TEST(a_device_without_flush_has_no_cache),
        TEST(a_device_whose_cache_is_switched_off_is_not_flushed),
        TEST(a_dying_disk_does_not_drown_the_log),
        TEST(an_error_of_the_device_is_an_error_of_the_request),
        TEST(as_many_commands_as_the_queue_has_room_for_are_in_flight),
        TEST(answers_to_nothing_are_nonsense),
        TEST(what_was_in_flight_is_given_again_after_a_reset),
        TEST(a_device_that_cannot_be_driven_is_refused_with_the_reason),
        TEST(larger_blocks_are_told_to_clients),
        TEST(what_is_no_whole_block_is_not_there),
        TEST(a_device_that_is_gone_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
