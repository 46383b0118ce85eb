/*
 * The NVMe driver's controller and transfers against a simulated controller that checks the driver's side of the
 * specification. PCI and interrupts are the system test's (tests/system/disk-test).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../../drivers/nvme/transfer.h"
#include "simulated_nvme.h"
#include <quoll/twin.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER = 7, BUFFER_BYTES = 4 << 20, BLOCKS = 16384 };

struct fixture {
    struct twin *twin;
    struct simulated_nvme *nvme;
    struct controller controller;
    struct transfers transfers;
    struct block_buffers buffers;
    uint64_t losses;
    uint8_t *data;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->twin = twin_create();
    twin_adopt(f->twin, "test");
    twin_start(f->twin);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->nvme != NULL)
        simulated_nvme_stop(f->nvme);
    twin_destroy(f->twin);
    free(f);
    return 0;
}

/* Brings the controller up; returns its problem. */
static const char *start(struct fixture *f, const struct simulated_knobs *knobs)
{
    uint8_t *queues = twin_memory(f->twin, NVME_QUEUES_BYTES);
    f->data = twin_memory(f->twin, BUFFER_BYTES);
    f->nvme = simulated_nvme_start(BLOCKS, knobs);
    simulated_nvme_allow(f->nvme, queues, NVME_QUEUES_BYTES);
    simulated_nvme_allow(f->nvme, f->data, BUFFER_BYTES);
    f->buffers.buffer[BUFFER] = (struct block_buffer){NULL, BUFFER_BYTES, (uintptr_t)f->data};
    f->controller.registers = simulated_nvme_registers(f->nvme);
    f->controller.register_bytes = 8192;
    f->controller.memory = queues;
    f->controller.memory_physical = (uintptr_t)queues;
    const char *problem = controller_start(&f->controller);
    if (problem == NULL)
        transfers_start(&f->transfers, &f->controller, &f->buffers, &f->losses, false);
    return problem;
}

static struct block_request request_of(uint16_t operation, uint64_t sector, uint32_t count,
                                       uint64_t offset)
{
    return (struct block_request){.id = sector + 1000,
                                  .sector = sector,
                                  .count = count,
                                  .operation = operation,
                                  .buffer = BUFFER,
                                  .offset = offset};
}

static enum transfer_event next_event(struct fixture *f, struct transfer_result *result)
{
    enum transfer_event event;
    for (int i = 0; i < 100000; i++) {
        event = transfer_next(&f->transfers, result);
        queue_release(&f->controller.io);
        queue_ring(&f->controller.io);
        if (event != TRANSFER_NOTHING)
            return event;
        quoll_timer_set(quoll_now() + quoll_ticks_from_ns(20000));
        quoll_wait();
    }
    fail_msg("the controller does not answer");
    return TRANSFER_NOTHING;
}

static enum block_status carry_out(struct fixture *f, const struct block_request *request)
{
    struct transfer_result result;
    enum transfer_event event;
    transfer_begin(&f->transfers, 3, (struct block_mark){0}, request);
    queue_ring(&f->controller.io);
    do {
        event = next_event(f, &result);
    } while (event == TRANSFER_GOES_ON);
    assert_int_equal(event, TRANSFER_DONE);
    assert_int_equal(result.id, request->id);
    assert_int_equal(result.client, 3);
    return result.status;
}

static void a_controller_that_firmware_left_running_comes_up(void **state)
{
    struct fixture *f = *state;
    assert_null(start(f, &(struct simulated_knobs){0}));
    assert_string_equal(f->controller.geometry.name, "Simulated");
    assert_int_equal(f->controller.geometry.sectors, BLOCKS);
    assert_int_equal(f->controller.geometry.max_sectors, 2048);
    assert_int_equal(f->controller.geometry.physical_block, 512);
    assert_int_equal(f->controller.geometry.abilities, BLOCK_CAN_FLUSH | BLOCK_VOLATILE_CACHE);
    assert_int_equal(f->controller.io.depth, 128);
}

static void abilities_are_those_of_the_disk(void **state)
{
    struct fixture *f = *state;
    assert_null(start(f, &(struct simulated_knobs){.no_cache = true,
                                                   .write_protected = true,
                                                   .block_shift = 12,
                                                   .transfer_shift = 5,
                                                   .doorbell_stride = 2,
                                                   .entries = 15}));
    assert_int_equal(f->controller.geometry.abilities,
                     BLOCK_CAN_FLUSH | BLOCK_IS_READ_ONLY | BLOCK_WHOLE_BLOCKS);
    assert_int_equal(f->controller.geometry.sectors, BLOCKS * 8);
    assert_int_equal(f->controller.geometry.physical_block, 4096);
    assert_int_equal(f->controller.geometry.max_sectors, 256);
    assert_int_equal(f->transfers.count, 15);
}

static void a_cache_counts_unless_it_is_known_to_be_off(void **state)
{
    struct fixture *f = *state;
    assert_null(start(f, &(struct simulated_knobs){.cache_off = true}));
    assert_int_equal(f->controller.geometry.abilities, BLOCK_CAN_FLUSH);
}

static void a_controller_that_does_not_say_counts_as_one_with_a_cache(void **state)
{
    struct fixture *f = *state;
    assert_null(start(
        f, &(struct simulated_knobs){.cache_off = true, .refuse_admin = NVME_ADMIN_GET_FEATURES}));
    assert_int_equal(f->controller.geometry.abilities, BLOCK_CAN_FLUSH | BLOCK_VOLATILE_CACHE);
}

/* A byte of the device's is no shift count before it was looked at. */
static void a_transfer_size_beyond_all_numbers_is_no_limit(void **state)
{
    struct fixture *f = *state;
    assert_null(start(f, &(struct simulated_knobs){.transfer_shift = 132}));
    assert_int_equal(f->controller.geometry.max_sectors, BLOCK_MAX_SECTORS);
}

static void refuses(struct fixture *f, const struct simulated_knobs *knobs, const char *why)
{
    const char *problem = start(f, knobs);
    assert_non_null(problem);
    assert_non_null(strstr(problem, why));
    assert_true(strlen(problem) < sizeof(((struct block_link *)0)->reason));
}

static void other_block_formats_are_refused(void **state)
{
    refuses(*state, &(struct simulated_knobs){.block_shift = 10}, "not 512 or 4096");
}

static void metadata_is_refused(void **state)
{
    refuses(*state, &(struct simulated_knobs){.metadata = 8}, "not 512 or 4096");
}

static void a_controller_without_a_disk_is_told(void **state)
{
    refuses(*state, &(struct simulated_knobs){.no_namespace = true}, "no namespace");
}

static void a_controller_that_never_gets_ready_is_told(void **state)
{
    refuses(*state, &(struct simulated_knobs){.never_ready = true}, "not become ready");
}

static void a_controller_that_fails_at_once_is_told(void **state)
{
    refuses(*state, &(struct simulated_knobs){.fatal_at_start = true}, "fatal");
}

static void a_controller_works_until_somebody_stops_it(void **state)
{
    struct fixture *f = *state;
    assert_null(start(f, &(struct simulated_knobs){0}));
    assert_true(controller_works(&f->controller));
    f->controller.register_bytes = 16;
    assert_false(controller_works(&f->controller));
    f->controller.register_bytes = 8192;
    assert_true(controller_stop(&f->controller));
    assert_false(controller_works(&f->controller));
}

static void a_refused_administrative_command_is_told(void **state)
{
    refuses(*state, &(struct simulated_knobs){.refuse_admin = NVME_ADMIN_CREATE_SUBMISSION},
            "refuses");
}

static void a_controller_of_large_pages_is_refused(void **state)
{
    refuses(*state, &(struct simulated_knobs){.smallest_page = 2}, "4 KiB");
}

/* Every length class and place in a page, up to 1 MiB that touches 257 pages. */
static void data_goes_where_it_belongs(void **state)
{
    static const uint32_t counts[] = {1, 7, 8, 9, 15, 16, 17, 24, 25, 255, 1024, 2047, 2048};
    struct fixture *f = *state;
    assert_null(start(f, &(struct simulated_knobs){0}));
    srandom(3);
    for (uint32_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        for (uint64_t shift = 0; shift < 8; shift++) {
            uint64_t sector = (uint64_t)random() % (BLOCKS - counts[i]);
            size_t bytes = counts[i] * 512;
            uint8_t *from = f->data + shift * 512, *to = f->data + (2 << 20) + (7 - shift) * 512;
            for (size_t b = 0; b < bytes; b++)
                from[b] = (uint8_t)random();
            struct block_request write = request_of(BLOCK_WRITE, sector, counts[i], shift * 512);
            assert_int_equal(carry_out(f, &write), BLOCK_OK);
            assert_memory_equal(simulated_nvme_content(f->nvme) + sector * 512, from, bytes);
            to[bytes] = 0x5a;
            struct block_request read =
                request_of(BLOCK_READ, sector, counts[i], (uint64_t)(to - f->data));
            assert_int_equal(carry_out(f, &read), BLOCK_OK);
            assert_memory_equal(to, from, bytes);
            assert_int_equal(to[bytes], 0x5a);
        }
    }
}

static void a_disk_of_4096_byte_blocks_is_addressed_in_sectors(void **state)
{
    struct fixture *f = *state;
    assert_null(start(f, &(struct simulated_knobs){.block_shift = 12}));
    memset(f->data, 0xab, 8192);
    struct block_request write = request_of(BLOCK_WRITE, 24, 16, 0);
    assert_int_equal(carry_out(f, &write), BLOCK_OK);
    assert_int_equal(simulated_nvme_content(f->nvme)[24 * 512 - 1], 0);
    assert_int_equal(simulated_nvme_content(f->nvme)[24 * 512], 0xab);
    assert_int_equal(simulated_nvme_content(f->nvme)[40 * 512 - 1], 0xab);
    assert_int_equal(simulated_nvme_content(f->nvme)[40 * 512], 0);
}

static void a_full_queue_goes_round_many_times(void **state)
{
    struct fixture *f = *state;
    struct transfer_result result;
    uint32_t begun = 0, done = 0;
    uint64_t sum = 0;
    assert_null(start(f, &(struct simulated_knobs){0}));
    while (done < 5000) {
        while (begun < 5000 && !transfers_full(&f->transfers)) {
            struct block_request request =
                request_of(begun % 3 == 0 ? BLOCK_READ : BLOCK_WRITE, begun, 1, begun % 64 * 512);
            transfer_begin(&f->transfers, 3, (struct block_mark){0}, &request);
            begun++;
        }
        queue_ring(&f->controller.io);
        assert_int_equal(next_event(f, &result), TRANSFER_DONE);
        assert_int_equal(result.status, BLOCK_OK);
        sum += result.id - 1000;
        done++;
    }
    assert_int_equal(sum, 5000ull * 4999 / 2);
    assert_int_equal(f->transfers.in_flight, 0);
}

static void a_flush_is_a_flush(void **state)
{
    struct fixture *f = *state;
    assert_null(start(f, &(struct simulated_knobs){0}));
    struct block_request flush = {.id = 5, .operation = BLOCK_FLUSH};
    assert_int_equal(carry_out(f, &flush), BLOCK_OK);
    assert_int_equal(simulated_nvme_flushes(f->nvme), 1);
}

static void fua_reaches_the_controller(void **state)
{
    struct fixture *f = *state;
    assert_null(start(f, &(struct simulated_knobs){0}));
    struct block_request write = request_of(BLOCK_WRITE, 0, 1, 0);
    write.flags = BLOCK_FUA;
    assert_int_equal(carry_out(f, &write), BLOCK_OK);
    assert_int_equal(simulated_nvme_fua_writes(f->nvme), 1);
    assert_int_equal(simulated_nvme_flushes(f->nvme), 0);
}

static void where_fua_is_ignored_a_flush_follows(void **state)
{
    struct fixture *f = *state;
    assert_null(start(f, &(struct simulated_knobs){0}));
    f->transfers.flush_for_fua = true;
    struct block_request write = request_of(BLOCK_WRITE, 0, 1, 0);
    assert_int_equal(carry_out(f, &write), BLOCK_OK);
    assert_int_equal(simulated_nvme_flushes(f->nvme), 0);
    write.flags = BLOCK_FUA;
    assert_int_equal(carry_out(f, &write), BLOCK_OK);
    assert_int_equal(simulated_nvme_flushes(f->nvme), 1);
    assert_int_equal(f->transfers.in_flight, 0);
}

/* A FUA write whose write is done, and whose flush the controller has. */
static void begin_flush_after_write(struct fixture *f)
{
    struct transfer_result result;
    struct block_request write = request_of(BLOCK_WRITE, 40, 1, 0);
    write.flags = BLOCK_FUA;
    f->transfers.flush_for_fua = true;
    memset(f->data, 0xcd, 512);
    transfer_begin(&f->transfers, 1, (struct block_mark){0}, &write);
    queue_ring(&f->controller.io);
    assert_int_equal(next_event(f, &result), TRANSFER_GOES_ON);
}

static enum block_status end_of_write(struct fixture *f)
{
    struct transfer_result result;
    assert_int_equal(next_event(f, &result), TRANSFER_DONE);
    assert_int_equal(result.id, 1040);
    assert_false(result.flush); /* its error tells nobody that the cache is lost */
    return result.status;
}

static void a_failed_flush_behind_a_write_counts_as_a_loss(void **state)
{
    struct fixture *f = *state;
    assert_null(start(f, &(struct simulated_knobs){.fail_flush = true}));
    begin_flush_after_write(f);
    assert_int_equal(f->losses, 0);
    assert_int_equal(end_of_write(f), BLOCK_IO_ERROR);
    assert_int_equal(f->losses, 1);
}

static void a_write_whose_cache_was_lost_before_its_flush_is_not_durable(void **state)
{
    struct fixture *f = *state;
    assert_null(start(f, &(struct simulated_knobs){0}));
    begin_flush_after_write(f);
    f->losses++; /* somebody else's FLUSH has failed */
    assert_int_equal(end_of_write(f), BLOCK_IO_ERROR);
    begin_flush_after_write(f);
    assert_int_equal(end_of_write(f), BLOCK_OK); /* what was lost before it is not its own */
    assert_int_equal(f->losses, 1);
}

/* The controller may have put it into its cache before that flush failed, and say so afterwards. */
static void a_write_that_was_in_flight_at_a_loss_is_not_durable(void **state)
{
    struct fixture *f = *state;
    struct transfer_result result;
    struct block_request write = request_of(BLOCK_WRITE, 40, 1, 0);
    assert_null(start(f, &(struct simulated_knobs){0}));
    write.flags = BLOCK_FUA;
    f->transfers.flush_for_fua = true;
    transfer_begin(&f->transfers, 1, (struct block_mark){0}, &write);
    f->losses++;
    queue_ring(&f->controller.io);
    assert_int_equal(next_event(f, &result), TRANSFER_GOES_ON);
    assert_int_equal(end_of_write(f), BLOCK_IO_ERROR);
}

static void
after_a_reset_the_cache_counts_as_lost_and_a_durable_write_is_written_again(void **state)
{
    struct fixture *f = *state;
    struct transfer_result result;
    assert_null(start(f, &(struct simulated_knobs){0}));
    begin_flush_after_write(f);
    assert_null(controller_start(&f->controller));
    memset(simulated_nvme_content(f->nvme), 0, 41 * 512);
    transfers_reissue(&f->transfers);
    queue_ring(&f->controller.io);
    assert_int_equal(f->losses, 1);
    assert_int_equal(next_event(f, &result), TRANSFER_GOES_ON);
    assert_int_equal(end_of_write(f), BLOCK_OK);
    assert_int_equal(simulated_nvme_content(f->nvme)[40 * 512], 0xcd);
}

static void a_flush_comes_back_with_the_losses_its_client_knew_of(void **state)
{
    struct fixture *f = *state;
    struct transfer_result result;
    const struct block_request flush = {.id = 5, .operation = BLOCK_FLUSH};
    assert_null(start(f, &(struct simulated_knobs){0}));
    transfer_begin(&f->transfers, 2, (struct block_mark){.told = 17}, &flush);
    queue_ring(&f->controller.io);
    assert_int_equal(next_event(f, &result), TRANSFER_DONE);
    assert_true(result.flush);
    assert_int_equal(result.mark.told, 17);
}

static void a_controller_that_is_busy_for_a_while_comes_up(void **state)
{
    assert_null(start(*state, &(struct simulated_knobs){.slow_admin = 12}));
}

static void answers_with(struct fixture *f, uint16_t status, enum block_status expected)
{
    assert_null(start(f, &(struct simulated_knobs){.fail_io = status}));
    struct block_request write = request_of(BLOCK_WRITE, 0, 1, 0);
    write.flags = BLOCK_FUA;
    f->transfers.flush_for_fua = true;
    assert_int_equal(carry_out(f, &write), expected);
}

static void a_write_fault_is_an_error(void **state)
{
    answers_with(*state, 0x280, BLOCK_IO_ERROR);
}

static void a_write_protected_disk_is_read_only(void **state)
{
    answers_with(*state, 0x020, BLOCK_READ_ONLY);
}

static void a_block_outside_the_disk_is_out_of_range(void **state)
{
    answers_with(*state, 0x080, BLOCK_OUT_OF_RANGE);
}

static void an_answer_to_nothing_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct transfer_result result;
    assert_null(start(f, &(struct simulated_knobs){.wrong_id = true}));
    struct block_request read = request_of(BLOCK_READ, 0, 1, 0);
    transfer_begin(&f->transfers, 0, (struct block_mark){0}, &read);
    queue_ring(&f->controller.io);
    assert_int_equal(next_event(f, &result), TRANSFER_NONSENSE);
}

static void a_silent_controller_is_noticed_and_stopped(void **state)
{
    struct fixture *f = *state;
    struct transfer_result result;
    assert_null(start(f, &(struct simulated_knobs){.silent = true}));
    struct block_request read = request_of(BLOCK_READ, 0, 1, 0);
    transfer_begin(&f->transfers, 6, (struct block_mark){0}, &read);
    queue_ring(&f->controller.io);
    assert_false(transfers_overdue(&f->transfers));
    for (uint32_t i = 0; i < f->transfers.count; i++)
        f->transfers.slot[i].started -= quoll_ticks_from_ns(121000000000u); /* two minutes later */
    assert_true(transfers_overdue(&f->transfers));
    assert_true(controller_stop(&f->controller));
    assert_true(transfer_abandon(&f->transfers, &result));
    assert_int_equal(result.status, BLOCK_GONE);
    assert_int_equal(result.client, 6);
    assert_false(transfer_abandon(&f->transfers, &result));
}

static void what_was_in_flight_is_done_after_a_reset(void **state)
{
    struct fixture *f = *state;
    struct transfer_result result;
    uint32_t seen[3] = {0};
    assert_null(start(f, &(struct simulated_knobs){.silent = true}));
    memset(f->data, 0xcd, 65536);
    for (uint32_t i = 0; i < 3; i++) {
        struct block_request write = request_of(BLOCK_WRITE, 100 * i, 32, 512 + 20000 / 512 * 512);
        transfer_begin(&f->transfers, i, (struct block_mark){0}, &write);
    }
    queue_ring(&f->controller.io);
    quoll_timer_set(quoll_now() + quoll_ticks_from_ns(5000000));
    quoll_wait();
    assert_int_equal(transfer_next(&f->transfers, &result), TRANSFER_NOTHING);
    simulated_nvme_heal(f->nvme);
    assert_null(controller_start(&f->controller));
    transfers_reissue(&f->transfers);
    queue_ring(&f->controller.io);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(next_event(f, &result), TRANSFER_DONE);
        assert_int_equal(result.status, BLOCK_OK);
        seen[result.client]++;
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(seen[i], 1);
        assert_int_equal(simulated_nvme_content(f->nvme)[(100 * i + 31) * 512], 0xcd);
    }
    assert_int_equal(f->transfers.in_flight, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_controller_that_firmware_left_running_comes_up),
        TEST(abilities_are_those_of_the_disk),
        TEST(a_cache_counts_unless_it_is_known_to_be_off),
        TEST(a_controller_that_does_not_say_counts_as_one_with_a_cache),
        TEST(a_transfer_size_beyond_all_numbers_is_no_limit),
        TEST(other_block_formats_are_refused),
        TEST(metadata_is_refused),
        TEST(a_controller_without_a_disk_is_told),
        TEST(a_controller_that_never_gets_ready_is_told),
        TEST(a_controller_that_fails_at_once_is_told),
        TEST(a_controller_works_until_somebody_stops_it),
        TEST(a_refused_administrative_command_is_told),
        TEST(a_controller_of_large_pages_is_refused),
        TEST(data_goes_where_it_belongs),
        TEST(a_disk_of_4096_byte_blocks_is_addressed_in_sectors),
        TEST(a_full_queue_goes_round_many_times),
        TEST(a_flush_is_a_flush),
        TEST(fua_reaches_the_controller),
        TEST(where_fua_is_ignored_a_flush_follows),
        TEST(a_failed_flush_behind_a_write_counts_as_a_loss),
        TEST(a_write_whose_cache_was_lost_before_its_flush_is_not_durable),
        TEST(after_a_reset_the_cache_counts_as_lost_and_a_durable_write_is_written_again),
        TEST(a_write_that_was_in_flight_at_a_loss_is_not_durable),
        TEST(a_flush_comes_back_with_the_losses_its_client_knew_of),
        TEST(a_controller_that_is_busy_for_a_while_comes_up),
        TEST(a_write_fault_is_an_error),
        TEST(a_write_protected_disk_is_read_only),
        TEST(a_block_outside_the_disk_is_out_of_range),
        TEST(an_answer_to_nothing_is_noticed),
        TEST(a_silent_controller_is_noticed_and_stopped),
        TEST(what_was_in_flight_is_done_after_a_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
