/*
 * RapiLog's speed, in virtual time: the real engine over a disk with a write cache, a medium of limited speed and a
 * FLUSH that costs what it costs. What counts is the ratio to the same client on the same disk without RapiLog.
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
#define SLOTS 8192u
#define PENDING 128u
#define NEVER UINT64_MAX

/* ---- The disk ---- */

struct disk_kind {
    const char *name;
    uint64_t slot_ns, head_ns, flush_ns, command_ns;
    uint64_t cache_ns; /* medium time that the write cache holds */
    uint64_t
        destage_ns; /* not 0: what a slot takes from the cache to the medium, which only a FLUSH does */
};

static const struct disk_kind hard_disk = {"hard disk", 27 * US, 4 * MS, 8 * MS,
                                           100 * US,    40 * MS, 0};
static const struct disk_kind consumer_ssd = {"consumer SSD", 8 * US,  40 * US, 1500 * US,
                                              20 * US,        20 * MS, 0};
static const struct disk_kind lazy_ssd = {
    "SSD that writes when it flushes", 10 * US, 0, 100 * US, 5 * US, 0, 10 * US};
static const struct disk_kind protected_ssd = {
    "SSD with power-loss protection", 2 * US, 8 * US, 5 * US, 12 * US, 20 * MS, 0};

static struct {
    const struct disk_kind *kind;
    uint64_t now;
    uint64_t medium_free; /* when the medium has done all that was taken */
    uint64_t next_sector; /* continues the last write */
    uint64_t cached;      /* slots */
    uint64_t flush_free;  /* when the last FLUSH is done */
    struct {
        bool used;
        uint64_t id, at;
    } pending[PENDING];
} disk;

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t lazy_disk_completes_at(const struct block_request *request)
{
    const struct disk_kind *kind = disk.kind;
    uint64_t slots_asked = (request->count + 7) / 8;
    if (request->operation == BLOCK_FLUSH) {
        uint64_t begins = later(later(disk.now, disk.medium_free), disk.flush_free);
        disk.flush_free = begins + kind->flush_ns + disk.cached * kind->destage_ns;
        disk.cached = 0;
        return disk.flush_free;
    }
    disk.cached += slots_asked;
    disk.medium_free = later(disk.medium_free, disk.now) + slots_asked * kind->slot_ns;
    return disk.medium_free + kind->command_ns;
}

static uint64_t disk_completes_at(const struct block_request *request)
{
    const struct disk_kind *kind = disk.kind;
    uint64_t arrived = disk.now + kind->command_ns;
    if (kind->destage_ns != 0)
        return lazy_disk_completes_at(request);
    if (request->operation == BLOCK_FLUSH)
        return later(arrived, disk.medium_free) + kind->flush_ns;
    uint64_t work = (request->count + 7) / 8 * kind->slot_ns;
    work += request->sector == disk.next_sector ? 0 : kind->head_ns;
    disk.next_sector = request->sector + request->count;
    disk.medium_free = later(disk.medium_free, disk.now) + work;
    return later(arrived,
                 disk.medium_free > kind->cache_ns ? disk.medium_free - kind->cache_ns : 0);
}

static void disk_take(const struct block_request *request, uint64_t id)
{
    uint32_t i = 0;
    while (disk.pending[i].used)
        i++;
    disk.pending[i].used = true;
    disk.pending[i].id = id;
    disk.pending[i].at = disk_completes_at(request);
}

/* The next completion, or NEVER. */
static uint64_t disk_next(uint32_t *which)
{
    uint64_t first = NEVER;
    for (uint32_t i = 0; i < PENDING; i++)
        if (disk.pending[i].used && disk.pending[i].at < first) {
            first = disk.pending[i].at;
            *which = i;
        }
    return first;
}

static void disk_begin(const struct disk_kind *kind)
{
    memset(&disk, 0, sizeof(disk));
    disk.kind = kind;
    disk.now = 1;
    disk.next_sector = NEVER;
}

/* ---- The engine ---- */

static struct engine engine;
static struct buffer_slot slots[SLOTS];
static uint32_t buckets[SLOTS];
static uint8_t *data;
static struct rapilog_gauges gauges;
static uint8_t client_memory[BLOCK_MAX_SECTORS * BLOCK_SECTOR];
static uint32_t answers;
static uint64_t drained_at;        /* 0: not yet */
static uint64_t finished[PENDING]; /* ids answered since last looked at */
static uint32_t finished_count;

void quoll_log(const char *format, ...) {}

size_t quoll_format(char *buffer, size_t size, const char *format, ...)
{
    return (size_t)snprintf(buffer, size, "disk");
}

bool engine_port_submit(uint32_t volume, const struct block_request *request)
{
    disk_take(request, request->id);
    return true;
}

void engine_port_complete(uint32_t volume, uint64_t id, enum block_status status)
{
    assert_int_equal(status, BLOCK_OK);
    answers++;
    finished[finished_count++] = id;
}

void engine_port_serving(uint32_t volume) {}
void engine_port_refused(uint32_t volume, const char *reason) {}

void engine_port_drained(void)
{
    drained_at = disk.now;
}

static void engine_begin(uint64_t hold_up_ns)
{
    const struct engine_setup setup = {
        .volume_count = 1,
        .scratch_sectors = 2048,
        .limits = {.hold_up_ns = hold_up_ns, .reserve_ns = hold_up_ns / 8},
        .gauges = &gauges,
    };
    engine_init(&engine, &setup, slots, SLOTS, buckets, SLOTS, data);
    engine_disk_ready(&engine, 0, "disk", UINT64_C(1) << 21, 2048, false, disk.now);
}

/* ---- Clients ---- */

/* Work: `depth` streams, each waits for the answer to its write before the next one. */
struct load {
    uint32_t depth;
    uint32_t sectors; /* of one write */
    uint32_t writes;  /* all together */
    bool sequential;  /* one stream of addresses; otherwise every write is somewhere else */
    bool durable;     /* without RapiLog: each write is followed by a FLUSH */
};

static uint64_t load_sector(const struct load *load, uint32_t number)
{
    uint64_t place = load->sequential ? number : number * UINT64_C(7919) % 9973 * 2;
    return place * load->sectors;
}

static void send_to_engine(const struct load *load, uint32_t number)
{
    const struct block_request request = {.id = number,
                                          .sector = load_sector(load, number),
                                          .count = load->sectors,
                                          .operation = BLOCK_WRITE};
    engine_take(&engine, 0, &request, client_memory);
}

/* The next thing that happens. */
static void go_on_until(uint64_t deadline)
{
    uint32_t which = 0;
    uint64_t next = disk_next(&which);
    assert_true(next != NEVER || deadline != ENGINE_NEVER);
    disk.now = next < deadline ? next : deadline;
    if (next > deadline)
        return;
    disk.pending[which].used = false;
    engine_disk_done(&engine, 0, disk.pending[which].id, BLOCK_OK, disk.now);
}

/* Time until all writes are answered, and, `drained`, until they are on the disk. */
static uint64_t time_on_rapilog(const struct disk_kind *kind, const struct load *load,
                                uint64_t hold_up_ns, bool drained)
{
    uint32_t sent = 0;
    uint64_t begun = 0;
    disk_begin(kind);
    engine_begin(hold_up_ns);
    answers = 0;
    finished_count = 0;
    while (answers < load->writes || (drained && engine.buffer.slots > 0)) {
        uint64_t deadline = engine_step(&engine, disk.now);
        bool serving = engine.volume[0].state == VOLUME_SERVING;
        if (serving && begun == 0)
            begun = disk.now;
        finished_count = 0;
        bool more = false;
        for (; serving && sent < load->writes && sent - answers < load->depth; more = true)
            send_to_engine(load, sent++);
        if (more)
            continue;
        go_on_until(deadline);
    }
    return disk.now - begun;
}

static uint64_t time_on_the_bare_disk(const struct disk_kind *kind, const struct load *load)
{
    uint32_t sent = 0, done = 0, flights = 0, which = 0;
    disk_begin(kind);
    const struct block_request flush = {.operation = BLOCK_FLUSH};
    while (done < load->writes) {
        for (; sent < load->writes && flights < load->depth; sent++, flights++) {
            const struct block_request request = {.sector = load_sector(load, sent),
                                                  .count = load->sectors,
                                                  .operation = BLOCK_WRITE};
            disk_take(&request, 1);
        }
        disk.now = disk_next(&which);
        disk.pending[which].used = false;
        if (load->durable && disk.pending[which].id == 1) {
            disk_take(&flush, 2);
            continue;
        }
        done++;
        flights--;
    }
    return load->durable ? disk.now : later(disk.now, disk.medium_free);
}

static void at_least(const char *what, const struct disk_kind *kind, uint64_t bare, uint64_t with,
                     uint64_t percent)
{
    uint64_t speed = bare * 100 / with;
    printf("    %s, %s: %lu %% of the bare disk's speed\n", kind->name, what, (unsigned long)speed);
    if (speed < percent)
        fail_msg("%s, %s: %lu %%, expected at least %lu %%", kind->name, what, (unsigned long)speed,
                 (unsigned long)percent);
}

/* ---- Tests ---- */

static const struct disk_kind *const kinds[] = {&hard_disk, &consumer_ssd, &protected_ssd};

static void bulk_writes_reach_97_percent_of_the_disks_speed(void **state)
{
    const struct load load = {.depth = 32, .sectors = 256, .writes = 4096, .sequential = true};
    for (size_t i = 0; i < 3; i++) {
        uint64_t bare = time_on_the_bare_disk(kinds[i], &load);
        at_least("bulk, buffer of 32 MiB", kinds[i], bare,
                 time_on_rapilog(kinds[i], &load, 2000 * MS, true), 97);
    }
    at_least("bulk, hold-up of 60 ms", &consumer_ssd, time_on_the_bare_disk(&consumer_ssd, &load),
             time_on_rapilog(&consumer_ssd, &load, 60 * MS, true), 97);
}

static void commits_do_not_wait_for_the_disk(void **state)
{
    const struct load load = {
        .depth = 1, .sectors = 16, .writes = 400, .sequential = true, .durable = true};
    uint64_t bare = time_on_the_bare_disk(&hard_disk, &load);
    at_least("commits of one client", &hard_disk, bare,
             time_on_rapilog(&hard_disk, &load, 400 * MS, false) + 1, 1000);
    bare = time_on_the_bare_disk(&consumer_ssd, &load);
    at_least("commits of one client", &consumer_ssd, bare,
             time_on_rapilog(&consumer_ssd, &load, 60 * MS, false) + 1, 1000);
}

static void without_hold_up_commits_are_as_fast_as_on_the_disk(void **state)
{
    for (size_t i = 0; i < 3; i++)
        for (uint32_t depth = 1; depth <= 8; depth *= 8) {
            const struct load load = {
                .depth = depth, .sectors = 16, .writes = 400, .sequential = true, .durable = true};
            uint64_t bare = time_on_the_bare_disk(kinds[i], &load);
            at_least(depth == 1 ? "through, 1 client" : "through, 8 clients", kinds[i], bare,
                     time_on_rapilog(kinds[i], &load, 0, false), depth == 1 ? 97 : 60);
        }
}

static void when_the_bound_is_small_commits_are_as_fast_as_on_the_disk(void **state)
{
    /* Room for little more than one block, and addresses that never coalesce. */
    const struct load load = {.depth = 1, .sectors = 16, .writes = 400, .durable = true};
    at_least("bound of a few blocks", &hard_disk, time_on_the_bare_disk(&hard_disk, &load),
             time_on_rapilog(&hard_disk, &load, 60 * MS, false), 97);
    at_least("bound of a few blocks", &consumer_ssd, time_on_the_bare_disk(&consumer_ssd, &load),
             time_on_rapilog(&consumer_ssd, &load, 5 * MS, false), 97);
}

static void the_dirty_bytes_stay_within_the_bound(void **state)
{
    const struct load load = {.depth = 32, .sectors = 64, .writes = 2000};
    (void)time_on_rapilog(&hard_disk, &load, 400 * MS, true);
    assert_true(gauges.waits > 0);
    assert_true(gauges.dirty_high > 0);
    assert_true(gauges.bound_bytes > gauges.bound_scattered);
    assert_true(gauges.dirty_high <= gauges.bound_bytes);
    assert_int_equal(gauges.acknowledged_writes, load.writes);
    assert_int_equal(gauges.acknowledged_bytes, (uint64_t)load.writes * load.sectors * 512);
}

/* As much as is promised at once, in no time. */
static void fill_the_buffer(const struct load *load, uint32_t number)
{
    uint64_t waits = engine.gauges.waits;
    finished_count = 0;
    while (engine.gauges.waits == waits) {
        send_to_engine(load, number++);
        (void)engine_step(&engine, disk.now);
        finished_count = 0;
    }
}

/* While one epoch is written and another flushed, each seems to take half of what it takes alone. */
static void the_bound_holds_on_a_disk_that_writes_while_it_flushes(void **state)
{
    const struct load load = {.depth = 32, .sectors = 64, .writes = 8000, .sequential = true};
    const uint64_t hold_up = 100 * MS;
    (void)time_on_rapilog(&lazy_ssd, &load, hold_up, true);
    fill_the_buffer(&load, load.writes);
    const uint64_t lost = disk.now;
    uint32_t held = engine.buffer.slots;
    drained_at = 0;
    engine_mains(&engine);
    for (uint64_t deadline = engine_step(&engine, disk.now); drained_at == 0;
         deadline = engine_step(&engine, disk.now))
        go_on_until(deadline);
    printf("    %s: %u KiB drained in %lu us\n", lazy_ssd.name, held * 4,
           (unsigned long)((drained_at - lost) / US));
    assert_true(drained_at - lost <= hold_up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bulk_writes_reach_97_percent_of_the_disks_speed),
        cmocka_unit_test(commits_do_not_wait_for_the_disk),
        cmocka_unit_test(without_hold_up_commits_are_as_fast_as_on_the_disk),
        cmocka_unit_test(when_the_bound_is_small_commits_are_as_fast_as_on_the_disk),
        cmocka_unit_test(the_dirty_bytes_stay_within_the_bound),
        cmocka_unit_test(the_bound_holds_on_a_disk_that_writes_while_it_flushes),
    };
    data = malloc((size_t)SLOTS * BUFFER_BLOCK);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(data);
    return failed;
}
