/*
 * RapiLog as a component, on the Linux twin: real links, signals and timers; a disk component that can be held, slowed down, made
 * to refuse, or forget what was not flushed; and this test as VMM and supervisor.
 */
#include <quoll/block_io.h>
#include <quoll/quoll.h>
#include <quoll/rapilog.h>
#include <quoll/twin.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DISKS 2u
#define SECTORS 4096u
#define DISK_BYTES (SECTORS * BLOCK_SECTOR)
#define DIRTY_BYTES (2u << 20)
#define CLIENT_BYTES (2u << 20)
#define CLIENT_BUFFER 3u
#define DIRTY_BUFFER 7u
#define SOON 10000u /* ms: fails the test when exceeded */
#define SECOND UINT64_C(1000000000)

void rapilog_main(void);

/* ---- The disk ---- */

static struct {
    bool ready;        /* has found its links */
    bool hold;         /* takes nothing */
    bool refuse;       /* answers writes with an error */
    bool gone;         /* the server fails */
    bool late;         /* the second disk is not ready yet */
    uint32_t looks;    /* of the first disk, since it was joined */
    uint32_t requests; /* that the first disk has taken */
    uint32_t delay_us;
    uint32_t abilities;
    uint32_t flushes;                   /* asked for */
    uint8_t content[DISKS][DISK_BYTES]; /* cache included */
    uint8_t durable[DISKS][DISK_BYTES];
} disk;

#define KNOB(name) __atomic_load_n(&disk.name, __ATOMIC_SEQ_CST)
#define TURN(name, value) __atomic_store_n(&disk.name, value, __ATOMIC_SEQ_CST)

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

struct system {
    struct twin *twin;
    struct block_client client[DISKS];
    struct block_link *link[DISKS];
    uint8_t *memory; /* the client's buffer */
    struct rapilog_gauges *gauges;
    uint64_t next_id;
    uint32_t status[256]; /* by id; UINT32_MAX: not answered */
};

static struct rapilog_config usual_config(void)
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

static struct system *system_new(const struct rapilog_config *config)
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

/* Waits until both disks can be used. */
static void system_start(struct system *s)
{
    uint64_t signals = 0;
    for (uint32_t i = 0; i < DISKS; i++)
        block_client_find(&s->client[i], i);
    twin_start(s->twin);
    for (uint32_t i = 0; i < DISKS; i++)
        assert_int_equal(block_client_wait(&s->client[i], &signals), BLOCK_LINK_READY);
}

static struct system *system_started(void)
{
    struct rapilog_config config = usual_config();
    struct system *s = system_new(&config);
    system_start(s);
    return s;
}

static void system_end(struct system *s)
{
    TURN(hold, false);
    twin_destroy(s->twin);
    free(s);
}

static uint64_t ask_on(struct system *s, uint32_t number, enum block_operation operation,
                       uint64_t sector, uint32_t count, uint64_t offset)
{
    const struct block_request request = {.id = s->next_id,
                                          .sector = sector,
                                          .count = count,
                                          .operation = (uint16_t)operation,
                                          .buffer = CLIENT_BUFFER,
                                          .offset = offset};
    assert_true(block_client_submit(&s->client[number], &request));
    block_client_publish(&s->client[number]);
    return s->next_id++;
}

static uint64_t ask(struct system *s, enum block_operation operation, uint64_t sector,
                    uint32_t count, uint64_t offset)
{
    return ask_on(s, 0, operation, sector, count, offset);
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

static void expect(struct system *s, uint64_t id, enum block_status status)
{
    assert_int_equal(answer_within(s, id, SOON), status);
}

static void expect_silence(struct system *s, uint64_t id)
{
    assert_int_equal(answer_within(s, id, 50), UINT32_MAX);
}

/* Writes `count` sectors filled with `byte`, from memory at the same place as on the disk. */
static uint64_t write_bytes(struct system *s, uint64_t sector, uint32_t count, uint8_t byte)
{
    memset(s->memory + sector * BLOCK_SECTOR, byte, (size_t)count * BLOCK_SECTOR);
    return ask(s, BLOCK_WRITE, sector, count, sector * BLOCK_SECTOR);
}

static void expect_read(struct system *s, uint64_t sector, uint32_t count, uint8_t byte)
{
    uint64_t offset = CLIENT_BYTES / 2;
    memset(s->memory + offset, 0xee, (size_t)count * BLOCK_SECTOR);
    expect(s, ask(s, BLOCK_READ, sector, count, offset), BLOCK_OK);
    for (size_t i = 0; i < (size_t)count * BLOCK_SECTOR; i++)
        assert_int_equal(s->memory[offset + i], byte);
}

static void expect_durable(uint64_t sector, uint32_t count, uint8_t byte)
{
    for (size_t i = 0; i < (size_t)count * BLOCK_SECTOR; i++)
        assert_int_equal(disk.durable[0][sector * BLOCK_SECTOR + i], byte);
}

static void expect_gauge(struct system *s, const uint64_t *gauge, uint64_t value)
{
    for (uint32_t waited = 0; waited < SOON; waited++) {
        if (__atomic_load_n(gauge, __ATOMIC_SEQ_CST) == value)
            return;
        (void)twin_wait(1);
    }
    fail_msg("a gauge is %lu, expected %lu", (unsigned long)*gauge, (unsigned long)value);
}

static void signal_and_await_drained(struct system *s, const char *signal)
{
    uint64_t drained = quoll_receive("drained");
    quoll_signal(quoll_handle(signal, QUOLL_OBJECT_CHANNEL));
    assert_true(twin_await(drained, SOON));
}

/* ---- Acknowledgement ---- */

static void a_write_is_acknowledged_while_the_disk_stands_still(void **state)
{
    struct system *s = system_started();
    TURN(hold, true);
    expect(s, write_bytes(s, 8, 16, 0x11), BLOCK_OK);
    expect(s, write_bytes(s, 8, 8, 0x22), BLOCK_OK);
    expect(s, ask(s, BLOCK_FLUSH, 0, 0, 0), BLOCK_OK);
    memset(s->memory, 0x77, DISK_BYTES / 2); /* the guest's memory is its own again */
    expect_read(s, 8, 8, 0x22);
    expect_read(s, 16, 8, 0x11);
    expect_durable(8, 16, 0);
    TURN(hold, false);
    expect_gauge(s, &s->gauges->dirty_bytes, 0);
    expect_durable(8, 8, 0x22);
    expect_durable(16, 8, 0x11);
    system_end(s);
}

static void a_read_joins_buffer_and_disk(void **state)
{
    struct system *s = system_started();
    expect(s, write_bytes(s, 0, 24, 0x33), BLOCK_OK);
    expect_gauge(s, &s->gauges->dirty_bytes, 0);
    TURN(delay_us, 30000);
    expect(s, write_bytes(s, 9, 3, 0x44), BLOCK_OK);
    uint64_t offset = CLIENT_BYTES / 2;
    expect(s, ask(s, BLOCK_READ, 0, 24, offset), BLOCK_OK);
    for (uint32_t sector = 0; sector < 24; sector++)
        assert_int_equal(s->memory[offset + sector * BLOCK_SECTOR],
                         sector >= 9 && sector < 12 ? 0x44 : 0x33);
    system_end(s);
}

static void a_full_buffer_makes_writes_wait_but_refuses_none(void **state)
{
    struct rapilog_config config = usual_config();
    config.dirty_limit = 4 * 4096;
    struct system *s = system_new(&config);
    system_start(s);
    TURN(hold, true);
    expect(s, write_bytes(s, 0, 24, 1), BLOCK_OK);
    uint64_t second = write_bytes(s, 24, 24, 2);
    uint64_t third = write_bytes(s, 48, 8, 3);
    expect_silence(s, second);
    expect_silence(s, third);
    expect_read(s, 0, 24, 1); /* reads go on */
    TURN(hold, false);
    expect(s, second, BLOCK_OK);
    expect(s, third, BLOCK_OK);
    expect_gauge(s, &s->gauges->dirty_bytes, 0);
    expect_durable(24, 24, 2);
    expect_durable(48, 8, 3);
    assert_int_equal(s->gauges->dirty_high, 4 * 4096);
    assert_true(s->gauges->waits >= 1);
    system_end(s);
}

static void without_hold_up_a_write_is_acknowledged_when_it_is_on_the_disk(void **state)
{
    struct rapilog_config config = usual_config();
    config.hold_up_ns = 0;
    struct system *s = system_new(&config);
    system_start(s);
    assert_true(twin_await_log(s->twin, "no power-fail signal (hold_up 0)", SOON));
    TURN(hold, true);
    uint64_t id = write_bytes(s, 0, 8, 5);
    expect_silence(s, id);
    TURN(hold, false);
    expect(s, id, BLOCK_OK);
    expect_durable(0, 8, 5);
    assert_int_equal(s->gauges->state, RAPILOG_THROUGH);
    assert_int_equal(s->gauges->reason, RAPILOG_REASON_NO_HOLD_UP);
    system_end(s);
}

static void a_hold_up_that_is_too_short_is_told_and_not_relied_on(void **state)
{
    struct rapilog_config config = usual_config();
    config.hold_up_ns = 20000000;
    config.reserve_ns = 20000000;
    struct system *s = system_new(&config);
    system_start(s);
    assert_true(twin_await_log(s->twin, "too short", SOON));
    TURN(hold, true);
    expect_silence(s, write_bytes(s, 0, 8, 5));
    system_end(s);
}

static void the_bound_is_logged_with_its_parts_and_shrinks_with_a_slow_disk(void **state)
{
    struct rapilog_config config = usual_config();
    config.hold_up_ns = 2 * SECOND;
    struct system *s = system_new(&config);
    system_start(s);
    assert_true(twin_await_log(s->twin, "(measured)", SOON));
    assert_true(twin_await_log(s->twin, "= (hold-up 2000000 us - reserve 0 us - 2 FLUSHes", SOON));
    expect_gauge(s, &s->gauges->state, RAPILOG_HELD);
    TURN(delay_us, 400000);
    expect(s, write_bytes(s, 0, 8, 1), BLOCK_OK);
    expect_gauge(s, &s->gauges->dirty_bytes, 0);
    assert_true(s->gauges->flush_ns + s->gauges->scattered_ns > SECOND / 4);
    system_end(s);
}

/* ---- Loss of mains, drain ---- */

static void loss_of_mains_drains_and_flushes_before_drained_is_signalled(void **state)
{
    struct system *s = system_started();
    TURN(delay_us, 3000);
    uint64_t last = 0;
    for (uint32_t i = 0; i < 40; i++)
        last = write_bytes(s, i * 16, 8, (uint8_t)(i + 1));
    expect(s, last, BLOCK_OK);
    signal_and_await_drained(s, "mains");
    for (uint32_t i = 0; i < 40; i++)
        expect_durable(i * 16, 8, (uint8_t)(i + 1));
    expect_silence(s, write_bytes(s, 0, 8, 0xaa)); /* nothing is promised any more */
    assert_true(twin_logged(s->twin, "everything acknowledged is on the disk"));
    system_end(s);
}

static void mains_that_come_back_are_as_if_nothing_had_happened(void **state)
{
    struct system *s = system_started();
    TURN(hold, true);
    expect(s, write_bytes(s, 0, 8, 1), BLOCK_OK);
    uint64_t read = ask(s, BLOCK_READ, 100, 8, CLIENT_BYTES / 2);
    quoll_signal(quoll_handle("mains", QUOLL_OBJECT_CHANNEL));
    expect_gauge(s, &s->gauges->state, RAPILOG_MAINS);
    uint64_t write = write_bytes(s, 8, 8, 2);
    expect_silence(s, write);
    quoll_signal(quoll_handle("mains-back", QUOLL_OBJECT_CHANNEL));
    assert_true(twin_await(quoll_receive("resumed"), SOON));
    expect(s, write, BLOCK_OK); /* held again: the disk still stands still */
    expect_gauge(s, &s->gauges->state, RAPILOG_HELD);
    TURN(hold, false);
    expect(s, read, BLOCK_OK);
    expect_gauge(s, &s->gauges->dirty_bytes, 0);
    expect_durable(0, 8, 1);
    expect_durable(8, 8, 2);
    expect(s, write_bytes(s, 16, 8, 3), BLOCK_OK);
    signal_and_await_drained(s, "mains"); /* and they can be lost again */
    expect_durable(16, 8, 3);
    system_end(s);
}

static void an_idle_system_is_drained_at_once(void **state)
{
    struct system *s = system_started();
    signal_and_await_drained(s, "mains");
    system_end(s);
}

static void a_clean_drain_goes_on_serving_from_the_disk(void **state)
{
    struct system *s = system_started();
    TURN(delay_us, 3000);
    expect(s, write_bytes(s, 0, 64, 9), BLOCK_OK);
    signal_and_await_drained(s, "drain");
    expect_durable(0, 64, 9);
    TURN(hold, true);
    uint64_t id = write_bytes(s, 0, 8, 10);
    expect_silence(s, id);
    TURN(hold, false);
    expect(s, id, BLOCK_OK);
    expect_durable(0, 8, 10);
    system_end(s);
}

static void the_unsafe_switch_loses_data_and_says_so(void **state)
{
    struct rapilog_config config = usual_config();
    config.unsafe_no_drain = 1;
    struct system *s = system_new(&config);
    system_start(s);
    assert_true(twin_await_log(s->twin, "WARNING: unsafe_no_drain", SOON));
    TURN(hold, true);
    expect(s, write_bytes(s, 0, 8, 6), BLOCK_OK);
    expect(s, write_bytes(s, 0, 8, 7), BLOCK_OK);
    signal_and_await_drained(s, "mains");
    TURN(hold, false);
    (void)twin_wait(20);
    assert_int_not_equal(disk.durable[0][0], 7);
    assert_true(twin_logged(s->twin, "NOT drained"));
    system_end(s);
}

/* ---- Disk errors ---- */

static void refused_data_is_kept_and_new_writes_fail_until_the_disk_recovers(void **state)
{
    struct system *s = system_started();
    TURN(refuse, true);
    expect(s, write_bytes(s, 80, 8, 1), BLOCK_OK);
    assert_true(twin_await_log(s->twin, "refuses to write 1 blocks from sector 80", SOON));
    expect_gauge(s, &s->gauges->state, RAPILOG_FAILING);
    expect(s, write_bytes(s, 160, 8, 2), BLOCK_IO_ERROR);
    expect(s, ask(s, BLOCK_FLUSH, 0, 0, 0), BLOCK_IO_ERROR);
    expect_read(s, 80, 8, 1);
    TURN(refuse, false);
    assert_true(twin_await_log(s->twin, "takes writes again", SOON));
    expect_gauge(s, &s->gauges->dirty_bytes, 0);
    expect_durable(80, 8, 1);
    expect(s, write_bytes(s, 160, 8, 3), BLOCK_OK);
    system_end(s);
}

static void mains_lost_with_a_failing_disk_drains_when_the_disk_recovers(void **state)
{
    struct system *s = system_started();
    TURN(refuse, true);
    expect(s, write_bytes(s, 0, 8, 4), BLOCK_OK);
    expect_gauge(s, &s->gauges->state, RAPILOG_FAILING);
    quoll_signal(quoll_handle("mains", QUOLL_OBJECT_CHANNEL));
    assert_false(twin_await(quoll_receive("drained"), 50));
    TURN(refuse, false);
    assert_true(twin_await(quoll_receive("drained"), SOON));
    expect_durable(0, 8, 4);
    system_end(s);
}

static void a_disk_that_goes_away_leaves_acknowledged_data_readable(void **state)
{
    struct system *s = system_started();
    TURN(hold, true);
    expect(s, write_bytes(s, 0, 8, 4), BLOCK_OK);
    uint64_t read = ask(s, BLOCK_READ, 100, 8, CLIENT_BYTES / 2);
    TURN(gone, true);
    assert_true(twin_await_log(s->twin, "is gone: unplugged", SOON));
    expect(s, read, BLOCK_GONE);
    expect(s, write_bytes(s, 8, 8, 5), BLOCK_IO_ERROR);
    expect_read(s, 0, 8, 4);
    system_end(s);
}

/* After a restart a link that is not open yet may still have requests of the former life below it. */
static void no_volume_is_measured_before_every_link_is_open(void **state)
{
    struct rapilog_config config = usual_config();
    struct system *s = system_new(&config);
    uint64_t signals = 0;
    disk.late = true;
    for (uint32_t i = 0; i < DISKS; i++)
        block_client_find(&s->client[i], i);
    twin_start(s->twin);
    for (uint32_t waited = 0; KNOB(looks) < 20 && waited < SOON; waited++)
        twin_wait(1);
    assert_true(KNOB(looks) >= 20);
    assert_int_equal(KNOB(requests), 0);
    TURN(late, false);
    for (uint32_t i = 0; i < DISKS; i++)
        assert_int_equal(block_client_wait(&s->client[i], &signals), BLOCK_LINK_READY);
    assert_true(KNOB(requests) > 0);
    system_end(s);
}

static void a_disk_that_cannot_flush_is_refused(void **state)
{
    struct rapilog_config config = usual_config();
    struct system *s = system_new(&config);
    uint64_t signals = 0;
    disk.abilities = 0;
    block_client_find(&s->client[0], 0);
    twin_start(s->twin);
    assert_int_equal(block_client_wait(&s->client[0], &signals), BLOCK_LINK_FAILED);
    assert_non_null(strstr(s->client[0].reason, "cannot flush"));
    system_end(s);
}

/* What may be in the dump area then cannot be put in place; the machine goes off all the same. */
static void a_clean_drain_does_not_wait_for_disks_that_cannot_be_used(void **state)
{
    struct rapilog_config config = usual_config();
    config.client_count = DISKS - 1;
    config.has_dump = 1;
    struct system *s = system_new(&config);
    uint64_t signals = 0;
    disk.abilities = 0;
    block_client_find(&s->client[0], 0);
    twin_start(s->twin);
    assert_int_equal(block_client_wait(&s->client[0], &signals), BLOCK_LINK_FAILED);
    signal_and_await_drained(s, "drain");
    system_end(s);
}

static void a_disk_without_a_volatile_cache_is_never_flushed(void **state)
{
    struct rapilog_config config = usual_config();
    struct system *s = system_new(&config);
    disk.abilities = BLOCK_CAN_FLUSH;
    system_start(s);
    for (uint32_t i = 0; i < 20; i++)
        expect(s, write_bytes(s, i * 8, 8, (uint8_t)(i + 1)), BLOCK_OK);
    expect(s, ask(s, BLOCK_FLUSH, 0, 0, 0), BLOCK_OK);
    expect_gauge(s, &s->gauges->dirty_bytes, 0);
    expect(s, write_bytes(s, 200, 8, 0x55), BLOCK_OK);
    signal_and_await_drained(s, "mains");
    assert_int_equal(KNOB(flushes), 0);
    assert_int_equal(disk.content[0][19 * 8 * BLOCK_SECTOR], 20);
    assert_int_equal(disk.content[0][200 * BLOCK_SECTOR], 0x55);
    system_end(s);
}

/* ---- Clients that misbehave ---- */

static void malformed_requests_are_answered_with_an_error(void **state)
{
    struct system *s = system_started();
    expect(s, ask(s, BLOCK_WRITE, SECTORS - 1, 2, 0), BLOCK_OUT_OF_RANGE);
    expect(s, ask(s, BLOCK_WRITE, UINT64_MAX, 2, 0), BLOCK_OUT_OF_RANGE);
    expect(s, ask(s, BLOCK_WRITE, 0, 0, 0), BLOCK_BAD_REQUEST);
    expect(s, ask(s, BLOCK_WRITE, 0, UINT32_MAX, 0), BLOCK_BAD_REQUEST);
    expect(s, ask(s, BLOCK_READ, 0, 8, CLIENT_BYTES - 512), BLOCK_BAD_REQUEST);
    expect(s, ask(s, BLOCK_READ, 0, 8, UINT64_MAX - 511), BLOCK_BAD_REQUEST);
    expect(s, ask(s, BLOCK_READ, 0, 8, 3), BLOCK_BAD_REQUEST);
    expect(s, ask(s, (enum block_operation)77, 0, 8, 0), BLOCK_BAD_REQUEST);
    struct block_request request = {.id = s->next_id, .count = 8, .operation = BLOCK_READ};
    request.buffer = DIRTY_BUFFER; /* RapiLog's own memory */
    assert_true(block_client_submit(&s->client[0], &request));
    block_client_publish(&s->client[0]);
    expect(s, s->next_id++, BLOCK_BAD_REQUEST);
    expect(s, write_bytes(s, 0, 8, 1), BLOCK_OK);
    system_end(s);
}

static void a_client_that_ruins_its_link_disturbs_no_other(void **state)
{
    struct system *s = system_started();
    uint32_t random = 1;
    for (uint32_t round = 0; round < 200; round++) {
        uint8_t *bytes = (uint8_t *)s->link[1];
        for (uint32_t i = 0; i < 64; i++) {
            random = random * 1664525u + 1013904223u;
            bytes[(random >> 8) % sizeof(struct block_link)] = (uint8_t)random;
        }
        quoll_signal(quoll_handle("disk1", QUOLL_OBJECT_CHANNEL));
        if (round % 20 == 0) {
            expect(s, write_bytes(s, round, 8, (uint8_t)round), BLOCK_OK);
            expect_read(s, round, 8, (uint8_t)round);
        }
    }
    signal_and_await_drained(s, "drain");
    system_end(s);
}

/* More in flight than any table holds, none of it taken by an impatient client. */
static void a_flood_of_requests_is_served(void **state)
{
    struct system *s = system_started();
    TURN(delay_us, 100);
    uint64_t last = 0;
    for (uint32_t i = 0; i < 120; i++) {
        memset(s->memory + i * 4096, (int)i, 4096);
        last = ask(s, i % 3 == 2 ? BLOCK_READ : BLOCK_WRITE, i * 8, 8, i * 4096);
    }
    for (uint64_t id = 0; id <= last; id++)
        expect(s, id, BLOCK_OK);
    TURN(delay_us, 0);
    signal_and_await_drained(s, "mains");
    for (uint32_t i = 0; i < 120; i++)
        expect_durable(i * 8, 8, i % 3 == 2 ? 0 : (uint8_t)i);
    system_end(s);
}

static void the_gauges_are_told_in_the_log_when_asked_for(void **state)
{
    struct rapilog_config config = usual_config();
    config.report_ns = SECOND / 20;
    struct system *s = system_new(&config);
    system_start(s);
    TURN(hold, true);
    expect(s, write_bytes(s, 8, 16, 0x11), BLOCK_OK);
    assert_true(twin_await_log(s->twin, "held: ", SOON));
    assert_true(twin_await_log(s->twin, "drained; 8 KiB dirty of ", SOON));
    assert_true(twin_await_log(
        s->twin, "held: 0 writes/s, 0 KiB/s acknowledged, 0 KiB/s drained; 8 KiB dirty", SOON));
    TURN(hold, false);
    system_end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_is_acknowledged_while_the_disk_stands_still),
        cmocka_unit_test(a_read_joins_buffer_and_disk),
        cmocka_unit_test(a_full_buffer_makes_writes_wait_but_refuses_none),
        cmocka_unit_test(without_hold_up_a_write_is_acknowledged_when_it_is_on_the_disk),
        cmocka_unit_test(a_hold_up_that_is_too_short_is_told_and_not_relied_on),
        cmocka_unit_test(the_bound_is_logged_with_its_parts_and_shrinks_with_a_slow_disk),
        cmocka_unit_test(loss_of_mains_drains_and_flushes_before_drained_is_signalled),
        cmocka_unit_test(mains_that_come_back_are_as_if_nothing_had_happened),
        cmocka_unit_test(an_idle_system_is_drained_at_once),
        cmocka_unit_test(the_gauges_are_told_in_the_log_when_asked_for),
        cmocka_unit_test(a_clean_drain_goes_on_serving_from_the_disk),
        cmocka_unit_test(the_unsafe_switch_loses_data_and_says_so),
        cmocka_unit_test(refused_data_is_kept_and_new_writes_fail_until_the_disk_recovers),
        cmocka_unit_test(mains_lost_with_a_failing_disk_drains_when_the_disk_recovers),
        cmocka_unit_test(a_disk_that_goes_away_leaves_acknowledged_data_readable),
        cmocka_unit_test(no_volume_is_measured_before_every_link_is_open),
        cmocka_unit_test(a_disk_that_cannot_flush_is_refused),
        cmocka_unit_test(a_clean_drain_does_not_wait_for_disks_that_cannot_be_used),
        cmocka_unit_test(a_disk_without_a_volatile_cache_is_never_flushed),
        cmocka_unit_test(malformed_requests_are_answered_with_an_error),
        cmocka_unit_test(a_client_that_ruins_its_link_disturbs_no_other),
        cmocka_unit_test(a_flood_of_requests_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
