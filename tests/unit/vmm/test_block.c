/* The virtio disk between a simulated driver and a simulated disk at the other end of the block link. */
#include "../../link.h"
#include "driver.h"
#include "virtio/block.h"
#include <stdlib.h>
#include <string.h>

#define BUFFER 5u
#define BUFFER_BYTES (64u * 1024)
#define SECTORS 4096u

static struct block_link link;
static struct block_server server;
static struct block_client client;
static struct block_buffers buffers;
static uint8_t *buffer;
static uint8_t disk[SECTORS * BLOCK_SECTOR];
static struct virtio_block block;
static struct driver driver;
static struct block_geometry geometry;
static struct virtio_block_setup wanted;
static uint32_t flushes, fua_writes;
static uint64_t status_address;

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8 };

static void start(void)
{
    virtio_block_start(&block, &wanted);
    block.device.intid = 50;
    block.device.vgic = &vgic;
    block.device.ram = &ram;
}

static int setup(void **state)
{
    fake_setup(state);
    free(buffer);
    buffer = calloc(1, BUFFER_BYTES);
    memset(&link, 0, sizeof(link));
    memset(&block, 0, sizeof(block));
    for (size_t i = 0; i < sizeof(disk); i++)
        disk[i] = (uint8_t)(i / BLOCK_SECTOR * 3 + i);
    flushes = fua_writes = 0;
    buffers.buffer[BUFFER] = (struct block_buffer){buffer, BUFFER_BYTES, 0};
    block_server_attach(&server, &link, 1, 1, &buffers, 1u << BUFFER);
    geometry = (struct block_geometry){.sectors = SECTORS,
                                       .abilities = BLOCK_CAN_FLUSH | BLOCK_VOLATILE_CACHE,
                                       .physical_block = 4096,
                                       .max_sectors = 16,
                                       .name = "test"};
    block_server_ready(&server, &geometry);
    block_client_attach(&client, &link, 2, 2);
    link_open(&server, &client);
    wanted = (struct virtio_block_setup){
        .disk = &client,
        .buffer = buffer,
        .buffer_size = BUFFER_BYTES,
        .buffer_number = BUFFER,
        .serial = "quoll-0",
    };
    start();
    return 0;
}

/* The disk carries out one request; false: there is none. */
static bool disk_step(enum block_status status)
{
    struct block_request request;
    if (!block_server_take(&server, &request))
        return false;
    uint8_t *sectors = disk + request.sector * BLOCK_SECTOR;
    size_t bytes = request.count * BLOCK_SECTOR;
    if (status == BLOCK_OK) {
        if (request.operation == BLOCK_READ)
            memcpy(buffer + request.offset, sectors, bytes);
        else if (request.operation == BLOCK_WRITE)
            memcpy(sectors, buffer + request.offset, bytes);
        else
            flushes++;
        fua_writes += (request.flags & BLOCK_FUA) != 0;
    }
    block_server_complete(&server, request.id, status);
    block_server_publish(&server);
    return true;
}

static void disk_runs(void)
{
    while (disk_step(BLOCK_OK))
        virtio_block_completions(&block);
}

static void start_driver(uint64_t features)
{
    driver_start(&driver, &block.device, features | VIRTIO_F_COMMON);
    status_address = driver_allocate(&driver, 16);
}

/* Adds a request with its data in `parts` equal pieces from `data` on. */
static void request(uint32_t type, uint64_t sector, uint64_t data, uint32_t bytes, uint32_t parts,
                    uint64_t status)
{
    struct buffer chain[64];
    uint64_t header = driver_allocate(&driver, 16);
    uint32_t zero = 0, count = 0;
    memcpy(at(header), &type, 4);
    memcpy(at(header + 4), &zero, 4);
    memcpy(at(header + 8), &sector, 8);
    *at(status) = 0xff;
    chain[count++] = (struct buffer){header, 16, false};
    for (uint32_t i = 0; i < parts && bytes != 0; i++)
        chain[count++] = (struct buffer){data + i * (bytes / parts), bytes / parts, type != OUT};
    chain[count++] = (struct buffer){status, 1, true};
    driver_add(&driver, &driver.queue[0], chain, count, true);
    block.device.notify(&block.device);
}

static uint8_t answer(void)
{
    struct used used;
    assert_true(driver_take_used(&driver.queue[0], &used));
    return *at(status_address);
}

static void configuration(void **state)
{
    driver.device = &block.device;
    assert_int_equal(driver_read(&driver, 0x08), 2);
    assert_int_equal(driver_read(&driver, 0x100), SECTORS);
    assert_int_equal(driver_read(&driver, 0x104), 0);
    assert_int_equal(driver_read(&driver, 0x10c), 128);
    assert_int_equal(driver_read(&driver, 0x114), 512);
    struct access exponent = {0x118, 0, 1, 0};
    virtio_access(&block.device, &exponent);
    assert_int_equal(exponent.value, 3); /* 4096-byte blocks */
    assert_int_equal(block.device.features >> 9 & 1, 1);
    assert_int_equal(block.device.features >> 5 & 1, 0);
}

static void reads_and_writes_reach_their_sectors(void **state)
{
    static uint8_t expected[BLOCK_SECTOR * 8];
    start_driver(1u << 9);
    uint64_t data = driver_allocate(&driver, 4096);
    request(IN, 100, data, 4096, 4, status_address);
    disk_runs();
    assert_int_equal(answer(), 0);
    assert_memory_equal(at(data), disk + 100 * 512, 4096);
    assert_int_equal(fake.pulses[50], 1);
    memset(at(data), 0x77, 4096);
    memset(expected, 0x77, 4096);
    request(OUT, 200, data, 4096, 8, status_address);
    disk_runs();
    assert_int_equal(answer(), 0);
    assert_memory_equal(disk + 200 * 512, expected, 4096);
    assert_int_equal(fua_writes, 0);
    request(FLUSH, 0, 0, 0, 0, status_address);
    disk_runs();
    assert_int_equal(answer(), 0);
    assert_int_equal(flushes, 1);
    request(GET_ID, 0, data, 20, 1, status_address);
    assert_int_equal(answer(), 0);
    assert_string_equal((char *)at(data), "quoll-0");
    request(99, 0, data, 512, 1, status_address);
    assert_int_equal(answer(), 2);
}

static void long_requests_go_in_pieces(void **state)
{
    start_driver(0);
    uint64_t data = driver_allocate(&driver, 256 * 1024);
    request(IN, 8, data, 256 * 1024, 32, status_address); /* more than the buffer holds */
    disk_runs();
    assert_int_equal(answer(), 0);
    assert_memory_equal(at(data), disk + 8 * 512, 256 * 1024);
    for (size_t i = 0; i < 256 * 1024; i++)
        at(data)[i] = (uint8_t)(i * 5);
    request(OUT, 512, data, 256 * 1024, 32, status_address);
    disk_runs();
    assert_int_equal(answer(), 0);
    assert_memory_equal(disk + 512 * 512, at(data), 256 * 1024);
    for (uint32_t i = 0; i < VIRTIO_BLOCK_CHUNKS / 64; i++)
        assert_int_equal(block.data.in_use[i], 0); /* all of the buffer is free again */
}

static void many_requests_at_once_get_one_interrupt_per_batch(void **state)
{
    struct used used;
    start_driver(1u << 9);
    driver_set_used_event(&driver.queue[0], 0);
    uint64_t data = driver_allocate(&driver, 8 * 8192), statuses = driver_allocate(&driver, 8);
    for (uint32_t i = 0; i < 8; i++) /* 8 x 8 KiB is all of the buffer */
        request(IN, i * 16, data + i * 8192, 8192, 2, statuses + i);
    assert_int_equal(fake.pulses[50], 0);
    while (disk_step(BLOCK_OK))
        ;
    virtio_block_completions(&block);
    for (uint32_t i = 0; i < 8; i++) {
        assert_true(driver_take_used(&driver.queue[0], &used));
        assert_int_equal(*at(statuses + i), 0);
    }
    assert_memory_equal(at(data), disk, 8 * 8192);
    assert_int_equal(fake.pulses[50], 1);
}

static void requests_wait_for_buffer_space(void **state)
{
    struct used used;
    wanted.buffer_size = 16384; /* four requests' worth */
    start();
    start_driver(0);
    uint64_t data = driver_allocate(&driver, 8 * 65536);
    for (uint32_t i = 0; i < 8; i++)
        request(IN, i * 128, data + i * 65536, 65536, 1, status_address);
    assert_non_null(block.data.waiting);
    disk_runs();
    for (uint32_t i = 0; i < 8; i++)
        assert_true(driver_take_used(&driver.queue[0], &used));
    assert_null(block.data.waiting);
    assert_memory_equal(at(data), disk, 8 * 65536);
}

static void without_flush_every_write_is_durable(void **state)
{
    wanted.write_through = true;
    start();
    assert_int_equal(block.device.features >> 9 & 1, 0);
    start_driver(0);
    uint64_t data = driver_allocate(&driver, 512);
    request(OUT, 1, data, 512, 1, status_address);
    disk_runs();
    assert_int_equal(answer(), 0);
    assert_int_equal(fua_writes, 1);
    request(FLUSH, 0, 0, 0, 0, status_address); /* asked for although not offered */
    assert_int_equal(answer(), 2);
}

static void errors_are_io_errors(void **state)
{
    start_driver(0);
    uint64_t data = driver_allocate(&driver, 4096);
    request(IN, SECTORS, data, 512, 1, status_address);
    assert_int_equal(answer(), 1);
    request(IN, SECTORS - 1, data, 1024, 1, status_address);
    assert_int_equal(answer(), 1);
    request(OUT, UINT64_MAX, data, 1024, 1, status_address);
    assert_int_equal(answer(), 1);
    request(IN, 0, data, 511, 1, status_address);
    assert_int_equal(answer(), 1);
    request(OUT, 0, data, 512, 1, status_address);
    assert_true(disk_step(BLOCK_IO_ERROR));
    virtio_block_completions(&block);
    assert_int_equal(answer(), 1);
}

static void read_only_disks_are_not_written(void **state)
{
    wanted.read_only = true;
    start();
    assert_int_equal(block.device.features >> 5 & 1, 1);
    start_driver(1u << 5);
    uint64_t data = driver_allocate(&driver, 512);
    request(OUT, 0, data, 512, 1, status_address);
    assert_int_equal(answer(), 1);
    assert_false(disk_step(BLOCK_OK));
}

static void a_failed_disk_is_empty(void **state)
{
    memset(&block, 0, sizeof(block));
    block_server_failed(&server, "no partition \"root\"");
    block_client_state(&client);
    start();
    driver.device = &block.device;
    assert_int_equal(driver_read(&driver, 0x100), 0);
    start_driver(0);
    uint64_t data = driver_allocate(&driver, 512);
    request(IN, 0, data, 512, 1, status_address);
    assert_int_equal(answer(), 1);
}

static void a_disk_that_goes_away_answers_everything(void **state)
{
    start_driver(0);
    uint64_t data = driver_allocate(&driver, 512);
    request(IN, 0, data, 512, 1, status_address);
    block_server_failed(&server, "burnt");
    virtio_block_completions(&block);
    assert_int_equal(answer(), 1);
    request(IN, 0, data, 512, 1, status_address);
    assert_int_equal(answer(), 1);
    assert_non_null(strstr(fake.log, "burnt"));
}

/* ---- A queue that is lent to the disk's server ---- */

static struct guest_queue lent;
static uint32_t waits;

static uint64_t server_lets_go(void)
{
    waits++;
    lent.served = lent.wanted;
    return 8;
}

static void start_lent(void)
{
    memset(&lent, 0, sizeof(lent));
    waits = 0;
    fake.wait = server_lets_go;
    wanted.lent = &lent;
    start();
    start_driver(0);
    assert_int_equal(lent.wanted, 1);
    lent.served = lent.wanted;
}

/* The VMM begins anew; what its driver had set up is found. */
static void begin_anew(void)
{
    static struct virtqueue_record record;
    struct virtio_device was = block.device;
    memset(&block, 0, sizeof(block));
    memset(&record, 0, sizeof(record));
    start();
    struct virtqueue *queue = &block.device.queue[0];
    block.device.accepted = was.accepted;
    block.device.status = was.status;
    *queue = (struct virtqueue){.size = was.queue[0].size,
                                .descriptors = was.queue[0].descriptors,
                                .driver = was.queue[0].driver,
                                .device = was.queue[0].device,
                                .record = &record};
    assert_true(virtqueue_resume(queue, &ram, true));
    virtio_block_resume(&block);
}

static void a_lent_queue_is_taken_back_at_a_reset(void **state)
{
    start_lent();
    driver_write(&driver, 0x70, 0);
    assert_int_equal(lent.wanted, 2);
    assert_int_equal(waits, 1);
    assert_int_equal(virtio_block_missed_signals(&block), 8);
    assert_int_equal(virtio_block_missed_signals(&block), 0);
    start_driver(0);
    assert_int_equal(lent.wanted, 3);
}

static void a_lent_queue_stays_so_when_the_vmm_begins_anew(void **state)
{
    start_lent();
    begin_anew();
    block.device.notify(&block.device);
    assert_int_equal(lent.wanted, 1);
    assert_int_equal(block.device.status & VIRTIO_NEEDS_RESET, 0);
}

/* The former life has told the server, and did not live to see it let go. */
static void a_reset_waits_for_a_server_that_a_former_life_has_told(void **state)
{
    start_lent();
    lent.wanted = 2;
    memset(&block, 0, sizeof(block));
    start();
    driver_write(&driver, 0x70, 0);
    assert_int_equal(waits, 1);
    assert_int_equal(lent.served, 2);
}

/* Lent anew as it is, it would be served from its oldest entry on: requests of long ago, carried out once more. */
static void a_queue_that_was_being_taken_back_is_not_lent_anew(void **state)
{
    start_lent();
    lent.wanted = 2;
    begin_anew();
    block.device.notify(&block.device);
    assert_int_equal(lent.wanted, 2);
    assert_int_equal(lent.served, 2);
    assert_int_equal(block.device.status & VIRTIO_NEEDS_RESET, VIRTIO_NEEDS_RESET);
    start_driver(0); /* the driver's reset, asked for again, and what follows it */
    assert_int_equal(lent.wanted, 3);
}

static void headless_requests_need_reset(void **state)
{
    start_driver(0);
    uint64_t data = driver_allocate(&driver, 512);
    driver_add(&driver, &driver.queue[0], (struct buffer[]){{data, 15, false}, {data, 1, true}}, 2,
               false);
    block.device.notify(&block.device);
    assert_true(driver_read(&driver, 0x70) & VIRTIO_NEEDS_RESET);
    start_driver(0);
    driver_add(&driver, &driver.queue[0], (struct buffer[]){{data, 16, false}}, 1, false);
    block.device.notify(&block.device); /* no place for a status */
    assert_true(driver_read(&driver, 0x70) & VIRTIO_NEEDS_RESET);
}

static void reset_with_requests_at_the_disk(void **state)
{
    struct used used;
    start_driver(0);
    uint64_t data = driver_allocate(&driver, 4096);
    memset(at(data), 1, 512);
    request(OUT, 7, data, 512, 1, status_address);
    start_driver(0); /* a new driver; the old write is still on its way */
    data = driver_allocate(&driver, 4096);
    memset(at(data), 2, 512);
    assert_false(virtio_block_is_quiet(&block));
    request(OUT, 7, data, 512, 1, status_address);
    assert_true(disk_step(BLOCK_OK));  /* the old one */
    assert_false(disk_step(BLOCK_OK)); /* the new one is not there before it is done */
    virtio_block_completions(&block);
    assert_true(virtio_block_is_quiet(&block));
    assert_false(driver_take_used(&driver.queue[0], &used)); /* its answer went nowhere */
    disk_runs();
    assert_int_equal(answer(), 0);
    assert_int_equal(disk[7 * 512], 2);
}

/* What was lost before a guest started was lost to nobody. What is lost later is told: its own FLUSH comes after. */
static void a_new_guest_is_not_told_what_was_lost_before(void **state)
{
    virtio_block_new_guest(&block);
    start_driver(1u << 9);
    uint64_t data = driver_allocate(&driver, 512);
    request(OUT, 7, data, 512, 1, status_address);
    for (int i = 0; i < 3;
         i++) { /* the FLUSH of the guest's start; one loss may be told more than once */
        assert_true(disk_step(BLOCK_IO_ERROR));
        virtio_block_completions(&block);
    }
    assert_true(disk_step(BLOCK_OK));
    assert_int_equal(flushes, 1);
    assert_false(disk_step(BLOCK_OK)); /* the write waits for its end */
    virtio_block_completions(&block);
    disk_runs();
    assert_int_equal(answer(), 0);
    request(FLUSH, 0, 0, 0, 0, status_address);
    assert_true(disk_step(BLOCK_IO_ERROR));
    virtio_block_completions(&block);
    assert_int_equal(answer(), 1);
}

/* The guest hears of it by its own requests. */
static void a_disk_that_refuses_each_flush_is_not_waited_for(void **state)
{
    uint32_t refused = 0;
    virtio_block_new_guest(&block);
    while (disk_step(BLOCK_IO_ERROR) && refused++ < 100)
        virtio_block_completions(&block);
    assert_int_equal(refused, 9);
    start_driver(1u << 9);
    request(IN, 7, driver_allocate(&driver, 512), 512, 1, status_address);
    disk_runs();
    assert_int_equal(answer(), 0);
}

/* It need not be over before the VM is switched off, or reset once more: then there is one for both. */
static void a_guest_is_reset_while_its_disk_is_away(void **state)
{
    virtio_block_new_guest(&block);
    assert_true(virtio_block_is_quiet(&block));
    virtio_reset(&block.device);
    virtio_block_new_guest(&block);
    start_driver(1u << 9);
    request(IN, 7, driver_allocate(&driver, 512), 512, 1, status_address);
    assert_true(disk_step(BLOCK_OK));
    assert_int_equal(flushes, 1);
    assert_false(disk_step(BLOCK_OK));
    virtio_block_completions(&block);
    disk_runs();
    assert_int_equal(answer(), 0);
    assert_int_equal(flushes, 1);
}

static void assert_new_guest_asks_for_nothing(void)
{
    virtio_block_new_guest(&block);
    assert_true(virtio_block_is_quiet(&block));
    assert_false(disk_step(BLOCK_OK));
}

static void a_new_guest_asks_for_nothing_where_nothing_is_flushed(void **state)
{
    start_lent();
    assert_new_guest_asks_for_nothing();
    wanted.lent = NULL;
    wanted.write_through = true;
    start();
    assert_new_guest_asks_for_nothing();
}

static void a_disk_that_goes_away_ends_the_flush_of_a_new_guest(void **state)
{
    virtio_block_new_guest(&block);
    block_server_failed(&server, "burnt");
    virtio_block_completions(&block);
    assert_true(virtio_block_is_quiet(&block));
    assert_new_guest_asks_for_nothing();
}

/* A guest that breaks its queue may then say that it is larger than its rings; the disk answers after that. */
static void a_broken_queue_gets_no_answers(void **state)
{
    static const uint32_t sizes[] = {0, 8, 32768};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct used used;
        start_driver(0);
        request(IN, 0, driver_allocate(&driver, 512), 512, 1, status_address);
        driver_offer(&driver.queue[0], 99); /* there is no such descriptor */
        block.device.notify(&block.device);
        assert_true(driver_read(&driver, 0x70) & VIRTIO_NEEDS_RESET);
        driver_write(&driver, 0x38, sizes[i]);
        disk_runs();
        assert_false(driver_take_used(&driver.queue[0], &used));
        assert_int_equal(*at(status_address), 0xff);
        assert_true(virtio_block_is_quiet(&block));
    }
}

static void mad_servers_are_survived(void **state)
{
    struct used used;
    start_driver(0);
    uint64_t data = driver_allocate(&driver, 512);
    request(IN, 0, data, 512, 1, status_address);
    for (uint64_t id = 0; id < 600; id++) { /* answers to what was never asked */
        struct block_completion completion = {.id = id * 77 + 1, .status = 0};
        quoll_ring_put(&server.completions, &completion);
        if (id % 100 == 99) {
            quoll_ring_publish(&server.completions);
            virtio_block_completions(&block);
        }
    }
    assert_false(driver_take_used(&driver.queue[0], &used));
}

static void random_guests_are_survived(void **state)
{
    srand(3);
    for (int round = 0; round < 3000; round++) {
        start_driver((uint64_t)rand() % 2 << 9);
        struct driver_queue *dq = &driver.queue[0];
        for (int i = 0; i < 6; i++) {
            uint64_t header = VIRT_RAM + 0x20000 + ((uint64_t)rand() % 0x8000 & ~15ull);
            *(uint64_t *)(void *)at(header) = (uint64_t)rand() % 9;
            *(uint64_t *)(void *)at(header + 8) = (uint64_t)rand() % (SECTORS + 8);
            for (uint16_t d = 0; d < 8; d++)
                driver_set_descriptor(dq, d, VIRT_RAM + (uint64_t)rand() % (RAM_BYTES + 4096),
                                      (uint32_t)(rand() % 3 ? rand() % 16 * 512 : rand() % 70000),
                                      (uint16_t)(rand() % 4), (uint16_t)((d + 1) % 8));
            driver_set_descriptor(dq, 0, header, 16, NEXT, 1);
            driver_offer(dq, (uint16_t)(rand() % 16 ? 0 : rand() % 9));
            block.device.notify(&block.device);
            if (rand() % 2 && disk_step(rand() % 4 ? BLOCK_OK : BLOCK_IO_ERROR))
                virtio_block_completions(&block);
        }
    }
    start_driver(0);
    disk_runs();
    assert_true(virtio_block_is_quiet(&block));
    for (uint32_t i = 0; i < VIRTIO_BLOCK_CHUNKS / 64; i++)
        assert_int_equal(block.data.in_use[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(configuration, setup),
        cmocka_unit_test_setup(reads_and_writes_reach_their_sectors, setup),
        cmocka_unit_test_setup(long_requests_go_in_pieces, setup),
        cmocka_unit_test_setup(many_requests_at_once_get_one_interrupt_per_batch, setup),
        cmocka_unit_test_setup(requests_wait_for_buffer_space, setup),
        cmocka_unit_test_setup(without_flush_every_write_is_durable, setup),
        cmocka_unit_test_setup(errors_are_io_errors, setup),
        cmocka_unit_test_setup(read_only_disks_are_not_written, setup),
        cmocka_unit_test_setup(a_failed_disk_is_empty, setup),
        cmocka_unit_test_setup(a_disk_that_goes_away_answers_everything, setup),
        cmocka_unit_test_setup(a_lent_queue_is_taken_back_at_a_reset, setup),
        cmocka_unit_test_setup(a_lent_queue_stays_so_when_the_vmm_begins_anew, setup),
        cmocka_unit_test_setup(a_reset_waits_for_a_server_that_a_former_life_has_told, setup),
        cmocka_unit_test_setup(a_queue_that_was_being_taken_back_is_not_lent_anew, setup),
        cmocka_unit_test_setup(headless_requests_need_reset, setup),
        cmocka_unit_test_setup(reset_with_requests_at_the_disk, setup),
        cmocka_unit_test_setup(a_new_guest_is_not_told_what_was_lost_before, setup),
        cmocka_unit_test_setup(a_disk_that_refuses_each_flush_is_not_waited_for, setup),
        cmocka_unit_test_setup(a_guest_is_reset_while_its_disk_is_away, setup),
        cmocka_unit_test_setup(a_new_guest_asks_for_nothing_where_nothing_is_flushed, setup),
        cmocka_unit_test_setup(a_disk_that_goes_away_ends_the_flush_of_a_new_guest, setup),
        cmocka_unit_test_setup(a_broken_queue_gets_no_answers, setup),
        cmocka_unit_test_setup(mad_servers_are_survived, setup),
        cmocka_unit_test_setup(random_guests_are_survived, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
