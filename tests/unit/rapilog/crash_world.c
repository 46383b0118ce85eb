/* The world of the crash-point test; see crash_world.h. */
#include "crash_world.h"

#include "world_parts.h"

#include <stdlib.h>
#include <string.h>

/* Up to 10 unflushed sectors, all subsets are tried. */
static const struct disk_cuts cuts = {.few = 10, .random = 48};

struct operation_state {
    bool answered;
    enum block_status status;
    uint64_t acknowledged[WORLD_SECTORS]; /* READ: when it was submitted */
};

static struct {
    struct buffer_slot slot[WORLD_SLOTS];
    uint32_t bucket[WORLD_BUCKETS];
    uint8_t data[WORLD_SLOTS * BUFFER_BLOCK];
    uint8_t memory[WORLD_OPERATIONS + 1]
                  [WORLD_SECTORS * BLOCK_SECTOR];        /* the client's; last: probe */
    uint32_t epoch[WORLD_SECTORS][WORLD_OPERATIONS + 1]; /* in which each stamp went to the disk */
    struct operation_state state[WORLD_OPERATIONS + 1];
    uint64_t acknowledged[WORLD_SECTORS];
} own;
const struct world_own world_own = {&own, sizeof(own), 1};

static const struct world_scenario *scenario;

/* ---- The disk's view of memory ---- */

uint8_t *world_memory(const struct block_request *request)
{
    return request->buffer == 0 ? own.data + request->offset
                                : (uint8_t *)own.memory + request->offset;
}

uint32_t world_value(const uint8_t *sector)
{
    return (uint32_t)stamp_of(sector);
}

void world_fill(uint8_t *sector, uint32_t value)
{
    stamp_fill(sector, 1, value);
}

/* ---- What the engine asks for ---- */

static void submitted_write(const struct disk_command *command)
{
    uint32_t epoch = (uint32_t)engine.buffer.volume[0].writing.number;
    for (uint32_t i = 0; i < command->request.count; i++)
        if (command->value[i] <= WORLD_OPERATIONS)
            own.epoch[command->place + i][command->value[i]] = epoch;
        else
            trouble("scribbled bytes are sent to the disk");
}

bool engine_port_submit(uint32_t volume, const struct block_request *request)
{
    const struct disk_command *command =
        disk_submit(&world.disk, volume, (uint32_t)request->sector, request);
    if (command != NULL && request->operation == BLOCK_WRITE)
        submitted_write(command);
    return command != NULL;
}

static void completed_read(uint32_t number)
{
    const struct world_operation *operation = &scenario->operation[number];
    for (uint32_t i = 0; i < operation->count; i++) {
        uint64_t seen = stamp_of(own.memory[number] + (size_t)i * BLOCK_SECTOR);
        uint32_t sector = operation->sector + i;
        if (seen < own.state[number].acknowledged[sector] || seen > WORLD_OPERATIONS)
            trouble("a read of sector %u returned version %lu although %lu was acknowledged",
                    sector, (unsigned long)seen,
                    (unsigned long)own.state[number].acknowledged[sector]);
    }
}

void engine_port_complete(uint32_t volume, uint64_t id, enum block_status status)
{
    struct operation_state *state = &own.state[id];
    if (state->answered)
        trouble("operation %lu was answered twice", (unsigned long)id);
    if (world.ended && !scenario->drain)
        trouble("operation %lu was answered after mains was lost", (unsigned long)id);
    state->answered = true;
    state->status = status;
    if (id == WORLD_OPERATIONS)
        return;
    const struct world_operation *operation = &scenario->operation[id];
    if (operation->kind == BLOCK_READ && status == BLOCK_OK)
        completed_read((uint32_t)id);
    if (operation->kind != BLOCK_WRITE)
        return;
    stamp_fill(own.memory[id], operation->count, UINT64_MAX);
    for (uint32_t i = 0; i < operation->count && status == BLOCK_OK; i++)
        if (own.acknowledged[operation->sector + i] < id + 1)
            own.acknowledged[operation->sector + i] = id + 1;
}

/* ---- Mistakes: wrapped around the buffer by the linker ---- */

bool __real_buffer_flush_begin(struct buffer *buffer, uint32_t volume);
bool __wrap_buffer_flush_begin(struct buffer *buffer, uint32_t volume);
bool __real_buffer_seal(struct buffer *buffer, uint32_t volume, uint32_t parts);
bool __wrap_buffer_seal(struct buffer *buffer, uint32_t volume, uint32_t parts);
void __real_buffer_run_done(struct buffer *buffer, const struct buffer_run *run, bool ok);
void __wrap_buffer_run_done(struct buffer *buffer, const struct buffer_run *run, bool ok);

bool __wrap_buffer_flush_begin(struct buffer *buffer, uint32_t volume)
{
    struct buffer_fate fate;
    if (!__real_buffer_flush_begin(buffer, volume))
        return false;
    while (planted == MISTAKE_RELEASE_BEFORE_FLUSH && buffer_flush_end(buffer, volume, true, &fate))
        continue;
    return true;
}

bool __wrap_buffer_seal(struct buffer *buffer, uint32_t volume, uint32_t parts)
{
    if (!__real_buffer_seal(buffer, volume, parts))
        return false;
    for (uint32_t i = 0; i < WORLD_SLOTS && planted == MISTAKE_COALESCE_INTO_DRAINING; i++)
        if (own.slot[i].state == BUFFER_DRAINING)
            own.slot[i].state = BUFFER_DIRTY;
    return true;
}

void __wrap_buffer_run_done(struct buffer *buffer, const struct buffer_run *run, bool ok)
{
    __real_buffer_run_done(buffer, run, ok || planted == MISTAKE_FORGET_REFUSED);
}

/* ---- Events ---- */

static void submit(uint32_t number, const struct world_operation *operation)
{
    const struct block_request request = {
        .id = number,
        .sector = operation->sector,
        .count = operation->count,
        .operation = (uint16_t)operation->kind,
        .buffer = 1,
        .offset = (uint64_t)number * sizeof(own.memory[0]),
    };
    memcpy(own.state[number].acknowledged, own.acknowledged, sizeof(own.acknowledged));
    if (operation->kind == BLOCK_WRITE)
        stamp_fill(own.memory[number], operation->count, number + 1);
    engine_take(&engine, 0, &request, own.memory[number]);
}

void world_do(const struct world_choice *choice)
{
    if (choice->kind == CHOICE_OPERATION) {
        submit(world.next, &scenario->operation[world.next]);
        world.next++;
    }
    parts_do(choice, scenario->drain);
    parts_step();
}

uint32_t world_choices(struct world_choice choices[WORLD_CHOICES])
{
    uint32_t count = 0;
    if (world.next < scenario->operations && !world.ended)
        choices[count++] = (struct world_choice){CHOICE_OPERATION, 0};
    return parts_choices(choices, count, scenario->errors, scenario->returns);
}

void world_begin(const struct world_scenario *with, enum world_mistake mistake)
{
    scenario = with;
    parts_begin(mistake);
    world.disk.late_reads = scenario->late_reads;
    const struct engine_setup setup = {
        .volume_count = 1,
        .scratch_sectors = 64,
        .dirty_limit = (uint64_t)scenario->slot_limit * BUFFER_BLOCK,
        .limits = {scenario->through ? 0 : UINT64_C(1) << 39, 1, 1},
        .strict_order = scenario->strict,
        .gauges = &gauges,
    };
    engine_init(&engine, &setup, own.slot, WORLD_SLOTS, own.bucket, WORLD_BUCKETS, own.data);
    /* Too small to be measured; the costs do not matter here. */
    engine_disk_ready(&engine, 0, "test", WORLD_SECTORS, WORLD_SECTORS, false, world.now);
    engine.volume[0].rate = (struct rate){1000, 1000, 1000, true};
    parts_step();
}

/* ---- Checks ---- */

/* Every acknowledged sector is in the buffer, or durable whatever the cut leaves of the rest. */
static void check_nothing_can_be_lost(void)
{
    uint8_t bytes[BLOCK_SECTOR];
    for (uint32_t sector = 0; sector < WORLD_SECTORS; sector++) {
        bool held;
        uint64_t wanted = own.acknowledged[sector];
        buffer_read(&engine.buffer, 0, sector, 1, bytes, &held);
        uint64_t least = held ? stamp_of(bytes) : disk_least(&world.disk, sector);
        if (least < wanted)
            trouble("sector %u: acknowledged version %lu is neither in the buffer nor durable",
                    sector, (unsigned long)wanted);
    }
}

/* The client is restarted and reads everything back, while the drain stands still. */
static void check_reads(void)
{
    const struct world_operation all = {BLOCK_READ, 0, WORLD_SECTORS};
    if (!engine_can_take(&engine, 0))
        return;
    uint8_t *snapshot = malloc(world_size());
    world_save(snapshot);
    submit(WORLD_OPERATIONS, &all);
    parts_step();
    for (uint32_t i = 0; i < WORLD_COMMANDS; i++)
        if (world.disk.command[i].used && world.disk.command[i].request.operation == BLOCK_READ)
            parts_complete(i, true);
    if (!own.state[WORLD_OPERATIONS].answered)
        trouble("a read is not answered");
    for (uint32_t sector = 0; sector < WORLD_SECTORS; sector++) {
        uint64_t seen = stamp_of(own.memory[WORLD_OPERATIONS] + (size_t)sector * BLOCK_SECTOR);
        if (seen < own.acknowledged[sector] || seen > WORLD_OPERATIONS)
            trouble("after a restart sector %u reads as version %lu although %lu was acknowledged",
                    sector, (unsigned long)seen, (unsigned long)own.acknowledged[sector]);
    }
    world_restore(snapshot);
    free(snapshot);
}

/* What of an epoch is visible, all earlier ones must be. */
static void check_prefix(const uint32_t disk[DISK_PLACES])
{
    uint32_t newest = 0;
    for (uint32_t sector = 0; sector < WORLD_SECTORS; sector++)
        if (own.epoch[sector][disk[sector]] > newest)
            newest = own.epoch[sector][disk[sector]];
    for (uint32_t sector = 0; sector < WORLD_SECTORS; sector++)
        for (uint64_t stamp = disk[sector] + 1; stamp <= WORLD_OPERATIONS; stamp++)
            if (own.epoch[sector][stamp] != 0 && own.epoch[sector][stamp] < newest)
                trouble("after a cut epoch %u is on the disk, but version %lu of sector %u, of "
                        "epoch %u, is not",
                        newest, (unsigned long)stamp, sector, own.epoch[sector][stamp]);
}

static void check_disk(const uint32_t disk[DISK_PLACES])
{
    world_cuts++;
    for (uint32_t sector = 0; sector < WORLD_SECTORS && world.drained; sector++)
        if (disk[sector] < own.acknowledged[sector])
            trouble("power off after \"drained\": sector %u has version %u, acknowledged was %lu",
                    sector, disk[sector], (unsigned long)own.acknowledged[sector]);
    if (scenario->expect_prefix)
        check_prefix(disk);
}

const char *world_check(void)
{
    check_nothing_can_be_lost();
    check_reads();
    if (world.ended || scenario->expect_prefix)
        disk_cut(&world.disk, &cuts, check_disk);
    return world_trouble;
}

const char *world_check_end(void)
{
    parts_check_end();
    for (uint32_t i = 0; i < world.next; i++)
        if (!own.state[i].answered && (!world.ended || scenario->drain))
            trouble("operation %u was never answered", i);
    return world_trouble;
}
