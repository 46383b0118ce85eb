/*
 * The volume service on the Linux twin, between clients (this thread) and a simulated disk (a component of its own): labels
 * and what happens when they are wrong, the place where data ends up, FLUSH, isolation, a disk that fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../../services/volume/gpt.h"
#include "../../../services/volume/volume.h"
#include <quoll/block_io.h>
#include <quoll/twin.h>
#include <stdlib.h>
#include <string.h>

void volume_main(void);

enum {
    CLIENTS = 4,
    SECTORS = 4096,
    OWN_BUFFER = 0,
    FIRST_BUFFER = 1, /* client N has buffer 1 + N */
    BUFFER_BYTES = 64 << 10,
    ROOT_FIRST = 100,
    ROOT_LAST = 299,
    WAL_FIRST = 300,
    WAL_LAST = 399,
};

/* ---- The simulated disk ---- */

static struct {
    uint8_t *content;
    uint32_t flushes;
    uint32_t reads;
    bool fail_requests;
    bool fail_flush;        /* the next one */
    uint32_t fail_reads;    /* so many, from the start on */
    bool break_down;        /* fails with requests unanswered */
    const char *fail_start; /* never becomes ready */
    struct block_buffers buffers;
} disk;

static enum block_status carry_out(const struct block_request *request)
{
    uint8_t *data = disk.buffers.buffer[request->buffer].address + request->offset;
    uint8_t *place = disk.content + request->sector * BLOCK_SECTOR;
    size_t bytes = (size_t)request->count * BLOCK_SECTOR;
    if (__atomic_load_n(&disk.fail_requests, __ATOMIC_SEQ_CST))
        return BLOCK_IO_ERROR;
    if (request->operation == BLOCK_FLUSH &&
        __atomic_exchange_n(&disk.fail_flush, false, __ATOMIC_SEQ_CST))
        return BLOCK_IO_ERROR;
    if (request->operation == BLOCK_FLUSH)
        __atomic_add_fetch(&disk.flushes, 1, __ATOMIC_SEQ_CST);
    else if (request->operation == BLOCK_WRITE)
        memcpy(place, data, bytes);
    else if (disk.reads++ < disk.fail_reads)
        return BLOCK_IO_ERROR;
    else
        memcpy(data, place, bytes);
    return BLOCK_OK;
}

static void disk_main(void)
{
    static struct block_server server;
    struct block_request request;
    const struct block_geometry geometry = {.sectors = SECTORS,
                                            .abilities = BLOCK_CAN_FLUSH | BLOCK_VOLATILE_CACHE,
                                            .physical_block = 512,
                                            .max_sectors = 16,
                                            .name = "simulated"};
    block_buffers_find(&disk.buffers);
    block_server_find(&server, 0, &disk.buffers, ~0ull);
    if (disk.fail_start != NULL)
        block_server_failed(&server, disk.fail_start);
    else
        block_server_ready(&server, &geometry);
    for (;;) {
        while (block_server_take(&server, &request)) {
            if (__atomic_load_n(&disk.break_down, __ATOMIC_SEQ_CST))
                block_server_failed(&server, "it burns");
            else
                block_server_complete(&server, request.id, carry_out(&request));
        }
        block_server_publish(&server);
        if (block_server_sleep(&server))
            quoll_wait();
        block_server_awake(&server);
    }
}

/* ---- A disk image with partitions "root" (100..299), "wal" (300..399), "twice" (two of them) ---- */

static void put(uint8_t *to, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static void add_partition(uint8_t *entries, uint32_t index, const char *label, uint64_t first,
                          uint64_t last)
{
    uint8_t *entry = entries + index * 128;
    entry[0] = 1;
    put(entry + 32, first, 8);
    put(entry + 40, last, 8);
    for (size_t i = 0; label[i] != '\0'; i++)
        put(entry + 56 + 2 * i, (uint8_t)label[i], 2);
}

static void write_header(uint64_t block, uint64_t table, const uint8_t *entries)
{
    uint8_t *header = disk.content + block * 512;
    memcpy(header, "EFI PART", 8);
    put(header + 12, 92, 4);
    put(header + 24, block, 8);
    put(header + 40, 34, 8);
    put(header + 48, SECTORS - 34, 8);
    put(header + 72, table, 8);
    put(header + 80, 128, 4);
    put(header + 84, 128, 4);
    put(header + 88, gpt_checksum(entries, 16384), 4);
    put(header + 16, gpt_checksum(header, 92), 4);
}

static void partition_disk(void)
{
    uint8_t *entries = disk.content + 2 * 512, *backup = disk.content + (SECTORS - 33) * 512;
    add_partition(entries, 0, "root", ROOT_FIRST, ROOT_LAST);
    add_partition(entries, 1, "wal", WAL_FIRST, WAL_LAST);
    add_partition(entries, 2, "twice", 500, 509);
    add_partition(entries, 3, "twice", 510, 519);
    add_partition(entries, 4, "across", 390, 410);
    memcpy(backup, entries, 16384);
    write_header(1, 2, entries);
    write_header(SECTORS - 1, SECTORS - 33, backup);
}

/* ---- The system around it ---- */

struct fixture {
    struct twin *twin;
    struct volume_config config;
    struct block_client client[CLIENTS];
    uint8_t *buffer[CLIENTS];
    bool later_life; /* the service has served volumes of the disk before */
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    memset(&disk, 0, sizeof(disk));
    disk.content = calloc(SECTORS, 512);
    partition_disk();
    f->config.client_count = CLIENTS;
    f->config.buffer = OWN_BUFFER;
    for (uint32_t i = 0; i < CLIENTS; i++)
        f->config.client[i].allowed_buffers = 1ull << (FIRST_BUFFER + i) | 1ull << OWN_BUFFER;
    strcpy(f->config.client[0].label, "root");
    strcpy(f->config.client[1].label, "wal");
    strcpy(f->config.client[2].label, "missing");
    strcpy(f->config.client[3].label, "twice");
    *state = f;
    return 0;
}

static void start(struct fixture *f)
{
    f->twin = twin_create();
    struct twin_component *test = twin_adopt(f->twin, "test");
    struct twin_component *driver = twin_component(f->twin, "disk", disk_main, NULL, 1);
    struct twin_component *service = twin_component(f->twin, "volume", volume_main, NULL, 1);
    void *own = twin_memory(f->twin, VOLUME_BUFFER_BYTES);
    twin_give_config(service, &f->config, sizeof(f->config));
    twin_give_memory(service, "buffer0", own, VOLUME_BUFFER_BYTES);
    twin_give_memory(driver, "buffer0", own, VOLUME_BUFFER_BYTES);
    twin_link(driver, "client0", service, "disk0", BLOCK_LINK_BYTES);
    volume_was_assigned = f->later_life;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        char buffer[16], client[16], name[16];
        quoll_format(buffer, sizeof(buffer), "buffer%u", FIRST_BUFFER + i);
        quoll_format(client, sizeof(client), "client%u", i);
        quoll_format(name, sizeof(name), "disk%u", i);
        f->buffer[i] = twin_memory(f->twin, BUFFER_BYTES);
        twin_give_memory(test, buffer, f->buffer[i], BUFFER_BYTES);
        twin_give_memory(driver, buffer, f->buffer[i], BUFFER_BYTES);
        twin_link(service, client, test, name, BLOCK_LINK_BYTES);
    }
    twin_start(f->twin);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        uint64_t signals = 0;
        block_client_find(&f->client[i], i);
        block_client_wait(&f->client[i], &signals);
    }
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->twin != NULL)
        twin_destroy(f->twin);
    free(disk.content);
    free(f);
    return 0;
}

static enum block_status transfer(struct fixture *f, uint32_t client, uint16_t operation,
                                  uint64_t sector, uint32_t count)
{
    uint64_t signals = 0;
    struct block_request request = {.id = 1234567890123,
                                    .sector = sector,
                                    .count = count,
                                    .operation = operation,
                                    .buffer = FIRST_BUFFER + client};
    return block_client_transfer(&f->client[client], request, &signals);
}

static void a_label_becomes_a_disk_of_the_partitions_size(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(f->client[0].state, BLOCK_LINK_READY);
    assert_int_equal(f->client[0].geometry.sectors, ROOT_LAST - ROOT_FIRST + 1);
    assert_int_equal(f->client[1].geometry.sectors, WAL_LAST - WAL_FIRST + 1);
    assert_string_equal(f->client[1].geometry.name, "wal");
    assert_int_equal(f->client[1].geometry.abilities, BLOCK_CAN_FLUSH | BLOCK_VOLATILE_CACHE);
    assert_int_equal(f->client[1].geometry.max_sectors, 16);
}

static void a_missing_label_is_told_with_those_that_are_there(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(f->client[2].state, BLOCK_LINK_FAILED);
    assert_string_equal(f->client[2].reason, "\"missing\": no partition has this label");
    assert_true(twin_await_log(f->twin, "client 2 cannot have \"missing\"", 1000));
    assert_true(twin_await_log(f->twin, "partition 2: \"wal\"", 1000));
    assert_true(twin_await_log(f->twin, "--change-name=NUMBER:missing", 1000));
}

static void a_label_that_is_there_twice_is_refused(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(f->client[3].state, BLOCK_LINK_FAILED);
    assert_string_equal(f->client[3].reason, "\"twice\": several partitions have this label");
}

static void data_lands_in_its_own_partition(void **state)
{
    struct fixture *f = *state;
    start(f);
    memset(f->buffer[0], 0xaa, BUFFER_BYTES);
    memset(f->buffer[1], 0xbb, BUFFER_BYTES);
    assert_int_equal(transfer(f, 0, BLOCK_WRITE, 192, 8), BLOCK_OK);
    assert_int_equal(transfer(f, 1, BLOCK_WRITE, 0, 8), BLOCK_OK);
    assert_int_equal(disk.content[292 * 512 - 1], 0);
    assert_int_equal(disk.content[292 * 512], 0xaa);
    assert_int_equal(disk.content[300 * 512 - 1], 0xaa);
    assert_int_equal(disk.content[300 * 512], 0xbb);
    assert_int_equal(disk.content[308 * 512 - 1], 0xbb);
    assert_int_equal(disk.content[308 * 512], 0);
    memset(f->buffer[0], 0, BUFFER_BYTES);
    assert_int_equal(transfer(f, 0, BLOCK_READ, 192, 8), BLOCK_OK);
    assert_int_equal(f->buffer[0][4095], 0xaa);
}

static void the_end_of_the_partition_is_the_end_of_the_disk(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(transfer(f, 0, BLOCK_READ, 199, 1), BLOCK_OK);
    assert_int_equal(transfer(f, 0, BLOCK_READ, 199, 2), BLOCK_OUT_OF_RANGE);
    assert_int_equal(transfer(f, 0, BLOCK_WRITE, UINT64_MAX - 98, 1), BLOCK_OUT_OF_RANGE);
    assert_int_equal(transfer(f, 0, BLOCK_WRITE, 0, 17), BLOCK_BAD_REQUEST);
}

static void a_flush_is_a_flush_of_the_disk(void **state)
{
    struct fixture *f = *state;
    uint64_t signals = 0;
    start(f);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(block_client_transfer(&f->client[i],
                                               (struct block_request){.operation = BLOCK_FLUSH},
                                               &signals),
                         BLOCK_OK);
    assert_int_equal(__atomic_load_n(&disk.flushes, __ATOMIC_SEQ_CST), 2);
}

static enum block_status flush(struct fixture *f, uint32_t client)
{
    uint64_t signals = 0;
    return block_client_transfer(&f->client[client],
                                 (struct block_request){.operation = BLOCK_FLUSH}, &signals);
}

/* What the service has counted outlives it, and the tests before this one: clients that are new are told of it once. */
static void start_with_no_loss_untold(struct fixture *f)
{
    start(f);
    for (uint32_t i = 0; i < 2; i++)
        (void)flush(f, i);
}

static void fail_next_flush(void)
{
    __atomic_store_n(&disk.fail_flush, true, __ATOMIC_SEQ_CST);
}

/* The disk may have dropped what the others have written. */
static void a_flush_that_fails_is_told_to_every_client_once(void **state)
{
    struct fixture *f = *state;
    start_with_no_loss_untold(f);
    assert_int_equal(flush(f, 1), BLOCK_OK); /* before it: that one holds */
    assert_int_equal(transfer(f, 1, BLOCK_WRITE, 0, 1), BLOCK_OK);
    fail_next_flush();
    assert_int_equal(flush(f, 0), BLOCK_IO_ERROR);
    assert_int_equal(flush(f, 0), BLOCK_OK);
    assert_int_equal(flush(f, 1), BLOCK_IO_ERROR);
    assert_int_equal(flush(f, 1), BLOCK_OK);
    assert_int_equal(flush(f, 0), BLOCK_OK);
    fail_next_flush();
    assert_int_equal(flush(f, 0), BLOCK_IO_ERROR);
    assert_int_equal(flush(f, 1), BLOCK_OK); /* all that it has written is safe */
    assert_int_equal(transfer(f, 1, BLOCK_WRITE, 0, 1), BLOCK_OK);
    assert_int_equal(flush(f, 1), BLOCK_OK); /* this came after the loss */
}

/* Both are with the disk; the one that fails is answered first. In whatever order their clients look, neither is done. */
static void a_flush_that_is_answered_after_a_failed_one_fails_as_well(void **state)
{
    struct fixture *f = *state;
    const struct block_request request = {.operation = BLOCK_FLUSH};
    struct block_completion completion;
    start_with_no_loss_untold(f);
    fail_next_flush();
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(block_client_submit(&f->client[i], &request));
        block_client_publish(&f->client[i]);
    }
    for (uint32_t i = 2; i-- > 0;) {
        while (!block_client_take(&f->client[i], &completion))
            twin_wait(10);
        assert_int_equal(completion.status, BLOCK_IO_ERROR);
    }
    assert_int_equal(flush(f, 1), BLOCK_OK);
}

static void another_clients_buffer_and_the_services_own_are_refused(void **state)
{
    struct fixture *f = *state;
    uint64_t signals = 0;
    struct block_request request = {
        .count = 1, .operation = BLOCK_READ, .buffer = FIRST_BUFFER + 1};
    start(f);
    assert_int_equal(block_client_transfer(&f->client[0], request, &signals), BLOCK_BAD_REQUEST);
    request.buffer = OWN_BUFFER; /* even when the configuration allows it */
    assert_int_equal(block_client_transfer(&f->client[0], request, &signals), BLOCK_BAD_REQUEST);
}

static void many_requests_of_two_clients_all_come_back(void **state)
{
    struct fixture *f = *state;
    uint32_t answered[2] = {0, 0}, sent[2] = {0, 0};
    uint64_t sum[2] = {0, 0};
    start(f);
    while (answered[0] < 5000 || answered[1] < 5000) {
        for (uint32_t i = 0; i < 2; i++) {
            struct block_completion completion;
            struct block_request request = {.id = sent[i],
                                            .sector = sent[i] % 90,
                                            .count = 1 + sent[i] % 8,
                                            .operation = (uint16_t)(1 + sent[i] % 2),
                                            .buffer = FIRST_BUFFER + i};
            while (sent[i] < 5000 && block_client_submit(&f->client[i], &request))
                request.id = ++sent[i];
            block_client_publish(&f->client[i]);
            while (block_client_take(&f->client[i], &completion)) {
                assert_int_equal(completion.status, BLOCK_OK);
                sum[i] += completion.id;
                answered[i]++;
            }
        }
        if (block_client_sleep(&f->client[0]) && block_client_sleep(&f->client[1]))
            twin_wait(10);
        block_client_awake(&f->client[0]);
        block_client_awake(&f->client[1]);
    }
    assert_int_equal(sum[0], 5000ull * 4999 / 2);
    assert_int_equal(sum[1], 5000ull * 4999 / 2);
}

static void an_error_of_the_disk_reaches_the_client(void **state)
{
    struct fixture *f = *state;
    start(f);
    __atomic_store_n(&disk.fail_requests, true, __ATOMIC_SEQ_CST);
    assert_int_equal(transfer(f, 0, BLOCK_WRITE, 0, 1), BLOCK_IO_ERROR);
}

static void a_disk_that_breaks_down_is_gone_for_everybody(void **state)
{
    struct fixture *f = *state;
    start(f);
    __atomic_store_n(&disk.break_down, true, __ATOMIC_SEQ_CST);
    assert_int_equal(transfer(f, 0, BLOCK_WRITE, 0, 1), BLOCK_GONE);
    assert_true(twin_await_log(f->twin, "is gone: it burns", 1000));
    while (block_client_state(&f->client[1]) != BLOCK_LINK_FAILED)
        quoll_wait();
    assert_string_equal(f->client[1].reason, "it burns");
}

static void a_disk_that_does_not_start_fails_every_volume(void **state)
{
    struct fixture *f = *state;
    disk.fail_start = "no such controller";
    start(f);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        assert_int_equal(f->client[i].state, BLOCK_LINK_FAILED);
        assert_string_equal(f->client[i].reason, "no such controller");
    }
}

static void a_damaged_table_is_replaced_by_the_backup(void **state)
{
    struct fixture *f = *state;
    disk.content[512 + 60] ^= 1;
    start(f);
    assert_int_equal(f->client[0].state, BLOCK_LINK_READY);
    assert_true(twin_await_log(f->twin, "using the backup", 1000));
}

static void damaged_entries_are_replaced_by_the_backup(void **state)
{
    struct fixture *f = *state;
    disk.content[2 * 512 + 40] ^= 1; /* where root ends */
    start(f);
    assert_int_equal(f->client[0].geometry.sectors, ROOT_LAST - ROOT_FIRST + 1);
}

static void a_table_that_cannot_be_read_is_told(void **state)
{
    struct fixture *f = *state;
    disk.fail_reads = 2; /* it and its backup */
    start(f);
    assert_int_equal(f->client[0].state, BLOCK_LINK_FAILED);
    assert_string_equal(f->client[0].reason, "\"root\": the partition table cannot be read");
}

/* FAILED would be for good, and the clients have written here before. */
static void a_service_that_begins_anew_reads_the_table_until_it_can(void **state)
{
    struct fixture *f = *state;
    disk.fail_reads = 2;
    f->later_life = true;
    start(f);
    assert_int_equal(f->client[0].state, BLOCK_LINK_READY);
    assert_int_equal(f->client[0].geometry.sectors, ROOT_LAST - ROOT_FIRST + 1);
    assert_int_equal(f->client[2].state, BLOCK_LINK_FAILED); /* there is no such label */
}

static void a_disk_without_a_table_is_told(void **state)
{
    struct fixture *f = *state;
    memset(disk.content, 0, SECTORS * 512);
    start(f);
    assert_int_equal(f->client[0].state, BLOCK_LINK_FAILED);
    assert_string_equal(f->client[0].reason, "\"root\": there is no partition table");
    assert_true(twin_await_log(f->twin, "Partition it with GPT", 1000));
}

static void the_whole_disk_needs_no_table(void **state)
{
    struct fixture *f = *state;
    memset(disk.content, 0, SECTORS * 512);
    memset(f->config.client[0].label, 0, 40);
    start(f);
    assert_int_equal(f->client[0].state, BLOCK_LINK_READY);
    assert_int_equal(f->client[0].geometry.sectors, SECTORS);
}

static void what_an_earlier_client_has_is_refused_to_a_later_one(void **state)
{
    struct fixture *f = *state;
    strcpy(f->config.client[2].label, "across"); /* overlaps wal */
    memset(f->config.client[3].label, 0, 40);    /* the whole disk */
    start(f);
    assert_int_equal(f->client[1].state, BLOCK_LINK_READY);
    assert_int_equal(f->client[2].state, BLOCK_LINK_FAILED);
    assert_int_equal(f->client[3].state, BLOCK_LINK_FAILED);
    assert_non_null(strstr(f->client[2].reason, "another client already has"));
}

static void readers_may_share_a_partition(void **state)
{
    struct fixture *f = *state;
    strcpy(f->config.client[2].label, "root");
    f->config.client[0].read_only = f->config.client[2].read_only = 1;
    start(f);
    assert_int_equal(f->client[0].state, BLOCK_LINK_READY);
    assert_int_equal(f->client[2].state, BLOCK_LINK_READY);
    assert_int_equal(transfer(f, 2, BLOCK_READ, 0, 1), BLOCK_OK);
    assert_int_equal(transfer(f, 2, BLOCK_WRITE, 0, 1), BLOCK_READ_ONLY);
}

/* One client scribbles over its link for a while; the other one's requests are served. */
static void a_hostile_client_does_not_disturb_another(void **state)
{
    struct fixture *f = *state;
    start(f);
    srandom(7);
    memset(f->buffer[0], 0x77, BUFFER_BYTES);
    for (int round = 0; round < 500; round++) {
        uint32_t *words = (uint32_t *)(void *)f->client[1].link;
        for (int i = 0; i < 100; i++)
            __atomic_store_n(&words[(size_t)random() % (sizeof(struct block_link) / 4)],
                             (uint32_t)random() % 200, __ATOMIC_RELAXED);
        quoll_signal(f->client[1].channel);
        assert_int_equal(transfer(f, 0, BLOCK_WRITE, (uint64_t)round % 190, 8), BLOCK_OK);
    }
    for (size_t i = 0; i < ROOT_FIRST * 512; i++) {
        if (i >= 34 * 512)
            assert_int_equal(disk.content[i],
                             0); /* in front of the partitions nothing was written */
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_label_becomes_a_disk_of_the_partitions_size),
        TEST(a_missing_label_is_told_with_those_that_are_there),
        TEST(a_label_that_is_there_twice_is_refused),
        TEST(data_lands_in_its_own_partition),
        TEST(the_end_of_the_partition_is_the_end_of_the_disk),
        TEST(a_flush_is_a_flush_of_the_disk),
        TEST(a_flush_that_fails_is_told_to_every_client_once),
        TEST(a_flush_that_is_answered_after_a_failed_one_fails_as_well),
        TEST(another_clients_buffer_and_the_services_own_are_refused),
        TEST(many_requests_of_two_clients_all_come_back),
        TEST(an_error_of_the_disk_reaches_the_client),
        TEST(a_disk_that_breaks_down_is_gone_for_everybody),
        TEST(a_disk_that_does_not_start_fails_every_volume),
        TEST(a_damaged_table_is_replaced_by_the_backup),
        TEST(damaged_entries_are_replaced_by_the_backup),
        TEST(a_table_that_cannot_be_read_is_told),
        TEST(a_service_that_begins_anew_reads_the_table_until_it_can),
        TEST(a_disk_without_a_table_is_told),
        TEST(the_whole_disk_needs_no_table),
        TEST(what_an_earlier_client_has_is_refused_to_a_later_one),
        TEST(readers_may_share_a_partition),
        TEST(a_hostile_client_does_not_disturb_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
