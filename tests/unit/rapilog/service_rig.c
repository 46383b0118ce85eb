/* See service_rig.h. */
#include "service_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIRTY_BYTES (2u << 20)

void rapilog_main(void);

/* ---- The disk ---- */

struct service_disk disk;

static enum block_status disk_execute(uint32_t number, const struct block_buffers *buffers,
                                      const struct block_request *request)
{
    if (request->operation == BLOCK_FLUSH) {
        __atomic_fetch_add(&disk.flushes, 1, __ATOMIC_SEQ_CST);
        memcpy(disk.durable[number], disk.content[number], DISK_BYTES);
        return BLOCK_OK;
    }
    uint8_t *memory = buffers->buffer[request->buffer].address + request->offset;
    uint8_t *place = disk.content[number] + request->sector * BLOCK_SECTOR;
    size_t bytes = (size_t)request->count * BLOCK_SECTOR;
    if (request->operation == BLOCK_WRITE && KNOB(refuse))
        return BLOCK_IO_ERROR;
    if (request->operation == BLOCK_WRITE)
        memcpy(place, memory, bytes);
    else
        memcpy(memory, place, bytes);
    return BLOCK_OK;
}

static void disk_serve(uint32_t number, struct block_server *server,
                       const struct block_buffers *buffers)
{
    struct block_request request;
    if (KNOB(gone) && server->state == BLOCK_LINK_READY)
        block_server_failed(server, "unplugged");
    while (!KNOB(hold) && !KNOB(gone) && block_server_take(server, &request)) {
        __atomic_fetch_add(&disk.requests, number == 0 ? 1 : 0, __ATOMIC_SEQ_CST);
        if (KNOB(delay_us) != 0) {
            quoll_timer_set(quoll_now() + quoll_ticks_from_ns(KNOB(delay_us) * UINT64_C(1000)));
            quoll_wait();
        }
        block_server_complete(server, request.id, disk_execute(number, buffers, &request));
    }
    block_server_publish(server);
}

static void disk_main(void)
{
    static struct block_buffers buffers;
    static struct block_server server[DISKS];
    struct block_geometry geometry = {
        .sectors = SECTORS, .physical_block = 512, .max_sectors = 256, .name = "wal"};
    geometry.abilities = disk.abilities;
    block_buffers_find(&buffers);
    for (uint32_t i = 0; i < DISKS; i++) {
        block_server_find(&server[i], i, &buffers,
                          UINT64_C(1) << CLIENT_BUFFER | UINT64_C(1) << DIRTY_BUFFER);
        if (i == 0 || !KNOB(late))
            block_server_ready(&server[i], &geometry);
    }
    TURN(ready, true);
    for (;;) {
        if (server[1].state == BLOCK_LINK_STARTING && !KNOB(late))
            block_server_ready(&server[1], &geometry);
        __atomic_fetch_add(&disk.looks, server[0].session != 0 ? 1 : 0, __ATOMIC_SEQ_CST);
        for (uint32_t i = 0; i < DISKS; i++)
            disk_serve(i, &server[i], &buffers);
        for (uint32_t i = 0; i < DISKS; i++)
            (void)block_server_sleep(&server[i]);
        quoll_timer_set(quoll_now() + quoll_ticks_from_ns(500000));
        quoll_wait();
        for (uint32_t i = 0; i < DISKS; i++)
            block_server_awake(&server[i]);
    }
}

/* Components look for their links one after the other, as quoll_numbered()'s result is the process's on the twin. */
static void rapilog_after_disk(void)
{
    while (!KNOB(ready)) {
        quoll_timer_set(quoll_now() + quoll_ticks_from_ns(500000));
        quoll_wait();
    }
    rapilog_main();
}

/* ---- The rest of the system ---- */

struct rapilog_config usual_config(void)
{
    return (struct rapilog_config){
        .client_count = DISKS,
        .buffer = DIRTY_BUFFER,
        .hold_up_ns = 60 * SECOND,
        .allowed_buffers = {UINT64_C(1) << CLIENT_BUFFER, UINT64_C(1) << CLIENT_BUFFER},
    };
}

static void share(struct twin_component *with[], uint32_t count, const char *name, void *memory,
                  size_t size)
{
    for (uint32_t i = 0; i < count; i++)
        twin_give_memory(with[i], name, memory, size);
}

struct system *system_new(const struct rapilog_config *config)
{
    struct system *s = calloc(1, sizeof(*s));
    memset(s->status, 0xff, sizeof(s->status));
    s->twin = twin_create();
    struct twin_component *test = twin_adopt(s->twin, "test");
    struct twin_component *rapilog =
        twin_component(s->twin, "rapilog", rapilog_after_disk, NULL, 1);
    struct twin_component *drive = twin_component(s->twin, "disk", disk_main, NULL, 1);
    struct twin_component *all[] = {test, rapilog, drive};
    for (uint32_t i = 0; i < DISKS; i++) {
        char above[8], below[8];
        quoll_format(above, sizeof(above), "client%u", i);
        quoll_format(below, sizeof(below), "disk%u", i);
        s->link[i] = twin_link(rapilog, above, test, below, BLOCK_LINK_BYTES);
        twin_link(drive, above, rapilog, below, BLOCK_LINK_BYTES);
    }
    void *dirty = twin_memory(s->twin, DIRTY_BYTES);
    s->memory = twin_memory(s->twin, CLIENT_BYTES);
    s->gauges = twin_memory(s->twin, 4096);
    share(all, 3, "buffer3", s->memory, CLIENT_BYTES);
    share(&all[2], 1, "buffer7", dirty, DIRTY_BYTES);
    share(&all[1], 1, "dirty", dirty, DIRTY_BYTES);
    share(all, 2, "gauges", s->gauges, 4096);
    twin_connect(test, "mains", rapilog, 0, "mains");
    twin_connect(test, "drain", rapilog, 0, "drain");
    twin_connect(test, "mains-back", rapilog, 0, "mains-back");
    twin_connect(rapilog, "drained", test, 0, "drained");
    twin_connect(rapilog, "resumed", test, 0, "resumed");
    twin_give_config(rapilog, config, sizeof(*config));
    memset(&disk, 0, sizeof(disk));
    disk.abilities = BLOCK_CAN_FLUSH | BLOCK_VOLATILE_CACHE;
    return s;
}

void system_start(struct system *s)
{
    uint64_t signals = 0;
    for (uint32_t i = 0; i < DISKS; i++)
        block_client_find(&s->client[i], i);
    twin_start(s->twin);
    for (uint32_t i = 0; i < DISKS; i++)
        assert_int_equal(block_client_wait(&s->client[i], &signals), BLOCK_LINK_READY);
}

struct system *system_started(void)
{
    struct rapilog_config config = usual_config();
    struct system *s = system_new(&config);
    system_start(s);
    return s;
}

void system_end(struct system *s)
{
    TURN(hold, false);
    twin_destroy(s->twin);
    free(s);
}

uint64_t ask(struct system *s, enum block_operation operation, uint64_t sector, uint32_t count,
             uint64_t offset)
{
    const struct block_request request = {.id = s->next_id,
                                          .sector = sector,
                                          .count = count,
                                          .operation = (uint16_t)operation,
                                          .buffer = CLIENT_BUFFER,
                                          .offset = offset};
    assert_true(block_client_submit(&s->client[0], &request));
    block_client_publish(&s->client[0]);
    return s->next_id++;
}

static void collect(struct system *s)
{
    struct block_completion completion;
    for (uint32_t i = 0; i < DISKS; i++)
        while (block_client_take(&s->client[i], &completion))
            if (completion.id < 256)
                s->status[completion.id] = completion.status;
}

/* The answer, or UINT32_MAX when there is none in that time. */
static uint32_t answer_within(struct system *s, uint64_t id, uint32_t milliseconds)
{
    for (uint32_t waited = 0; waited <= milliseconds; waited++) {
        bool quiet = true;
        collect(s);
        if (s->status[id] != UINT32_MAX)
            return s->status[id];
        for (uint32_t i = 0; i < DISKS; i++)
            quiet = block_client_sleep(&s->client[i]) && quiet;
        if (quiet)
            (void)twin_wait(1);
        for (uint32_t i = 0; i < DISKS; i++)
            block_client_awake(&s->client[i]);
    }
    return UINT32_MAX;
}

void expect(struct system *s, uint64_t id, enum block_status status)
{
    assert_int_equal(answer_within(s, id, SOON), status);
}

void expect_silence(struct system *s, uint64_t id)
{
    assert_int_equal(answer_within(s, id, 50), UINT32_MAX);
}

uint64_t write_bytes(struct system *s, uint64_t sector, uint32_t count, uint8_t byte)
{
    memset(s->memory + sector * BLOCK_SECTOR, byte, (size_t)count * BLOCK_SECTOR);
    return ask(s, BLOCK_WRITE, sector, count, sector * BLOCK_SECTOR);
}

void expect_read(struct system *s, uint64_t sector, uint32_t count, uint8_t byte)
{
    uint64_t offset = CLIENT_BYTES / 2;
    memset(s->memory + offset, 0xee, (size_t)count * BLOCK_SECTOR);
    expect(s, ask(s, BLOCK_READ, sector, count, offset), BLOCK_OK);
    for (size_t i = 0; i < (size_t)count * BLOCK_SECTOR; i++)
        assert_int_equal(s->memory[offset + i], byte);
}

void expect_durable(uint64_t sector, uint32_t count, uint8_t byte)
{
    for (size_t i = 0; i < (size_t)count * BLOCK_SECTOR; i++)
        assert_int_equal(disk.durable[0][sector * BLOCK_SECTOR + i], byte);
}

void expect_gauge(struct system *s, const uint64_t *gauge, uint64_t value)
{
    for (uint32_t waited = 0; waited < SOON; waited++) {
        if (__atomic_load_n(gauge, __ATOMIC_SEQ_CST) == value)
            return;
        (void)twin_wait(1);
    }
    fail_msg("a gauge is %lu, expected %lu", (unsigned long)*gauge, (unsigned long)value);
}

void signal_and_await_drained(struct system *s, const char *signal)
{
    uint64_t drained = quoll_receive("drained");
    quoll_signal(quoll_handle(signal, QUOLL_OBJECT_CHANNEL));
    assert_true(twin_await(drained, SOON));
}
