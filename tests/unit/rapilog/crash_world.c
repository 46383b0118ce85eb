/* The world of the crash-point test; see crash_world.h. */
#include "crash_world.h"

#include "world_parts.h"

#include <string.h>

#define SMALL_SUBSETS 10u /* up to so many unflushed sectors, all subsets are tried */
#define RANDOM_SUBSETS 48u

struct command {
    bool used;
    struct block_request request;
    uint64_t stamp[WORLD_SECTORS]; /* WRITE: when submitted; READ: what the disk had then */
    uint32_t serial;               /* FLUSH: covers cached writes up to this one */
};

struct cached {
    uint32_t sector;
    uint32_t serial;
    uint64_t stamp;
};

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
                  [WORLD_SECTORS * BLOCK_SECTOR]; /* the client's; last: probe */
    uint64_t now, deadline;

    struct command command[WORLD_COMMANDS];
    struct cached cached[WORLD_CACHED];
    uint32_t cached_count, serial;
    uint64_t durable[WORLD_SECTORS];
    uint32_t epoch[WORLD_SECTORS][WORLD_OPERATIONS + 1]; /* in which each stamp went to the disk */

    struct operation_state state[WORLD_OPERATIONS + 1];
    uint32_t next;
    uint64_t acknowledged[WORLD_SECTORS];
    uint32_t errors, returns;
    bool ended, drained;

    struct late_write late;
} world;

static struct engine engine;
static struct rapilog_gauges gauges;
static const struct world_scenario *scenario;
static enum world_mistake mistake;

/* ---- What the engine asks for ---- */

static uint64_t disk_has(uint32_t sector)
{
    uint64_t stamp = world.durable[sector];
    for (uint32_t i = 0; i < world.cached_count; i++)
        if (world.cached[i].sector == sector)
            stamp = world.cached[i].stamp;
    return stamp;
}

static uint8_t *disk_memory(const struct block_request *request)
{
    return request->buffer == 0 ? world.data + request->offset
                                : (uint8_t *)world.memory + request->offset;
}

static void submitted_write(struct command *command)
{
    uint32_t epoch = (uint32_t)engine.buffer.volume[0].writing.number;
    for (uint32_t i = 0; i < command->request.count; i++) {
        uint64_t stamp = stamp_of(disk_memory(&command->request) + (size_t)i * BLOCK_SECTOR);
        command->stamp[i] = stamp;
        if (stamp <= WORLD_OPERATIONS)
            world.epoch[command->request.sector + i][stamp] = epoch;
        else
            trouble("scribbled bytes are sent to the disk");
    }
}

bool engine_port_submit(uint32_t volume, const struct block_request *request)
{
    uint32_t number = 0;
    while (number < WORLD_COMMANDS && world.command[number].used)
        number++;
    if (number == WORLD_COMMANDS)
        return false;
    struct command *command = &world.command[number];
    memset(command, 0, sizeof(*command));
    command->used = true;
    command->request = *request;
    command->serial = world.serial;
    if (request->operation == BLOCK_WRITE)
        submitted_write(command);
    for (uint32_t i = 0; i < request->count && request->operation == BLOCK_READ; i++)
        command->stamp[i] = disk_has((uint32_t)request->sector + i);
    return true;
}

static void completed_read(uint32_t number)
{
    const struct world_operation *operation = &scenario->operation[number];
    for (uint32_t i = 0; i < operation->count; i++) {
        uint64_t seen = stamp_of(world.memory[number] + (size_t)i * BLOCK_SECTOR);
        uint32_t sector = operation->sector + i;
        if (seen < world.state[number].acknowledged[sector] || seen > WORLD_OPERATIONS)
            trouble("a read of sector %u returned version %lu although %lu was acknowledged",
                    sector, (unsigned long)seen,
                    (unsigned long)world.state[number].acknowledged[sector]);
    }
}

void engine_port_complete(uint32_t volume, uint64_t id, enum block_status status)
{
    struct operation_state *state = &world.state[id];
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
    stamp_fill(world.memory[id], operation->count, UINT64_MAX);
    for (uint32_t i = 0; i < operation->count && status == BLOCK_OK; i++)
        if (world.acknowledged[operation->sector + i] < id + 1)
            world.acknowledged[operation->sector + i] = id + 1;
}

void engine_port_serving(uint32_t volume) {}

void engine_port_refused(uint32_t volume, const char *reason) {}

void engine_port_drained(void)
{
    if (world.drained)
        trouble("\"drained\" was signalled twice");
    world.drained = true;
}

/* ---- Mistakes: wrapped around the buffer by the linker ---- */

bool __real_buffer_flush_begin(struct buffer *buffer, uint32_t volume);
bool __wrap_buffer_flush_begin(struct buffer *buffer, uint32_t volume);
bool __real_buffer_seal(struct buffer *buffer, uint32_t volume, uint32_t parts);
bool __wrap_buffer_seal(struct buffer *buffer, uint32_t volume, uint32_t parts);
void __real_buffer_run_done(struct buffer *buffer, const struct buffer_run *run, bool ok);
void __wrap_buffer_run_done(struct buffer *buffer, const struct buffer_run *run, bool ok);

uint32_t __wrap_buffer_write(struct buffer *buffer, uint32_t volume, uint64_t number,
                             uint64_t sector, uint32_t count, const uint8_t *data, bool promise)
{
    if (mistake != MISTAKE_ACKNOWLEDGE_BEFORE_COPY || !promise)
        return __real_buffer_write(buffer, volume, number, sector, count, data, promise);
    return late_write(&world.late, buffer, volume, number, sector, count, data);
}

bool __wrap_buffer_flush_begin(struct buffer *buffer, uint32_t volume)
{
    struct buffer_fate fate;
    if (!__real_buffer_flush_begin(buffer, volume))
        return false;
    while (mistake == MISTAKE_RELEASE_BEFORE_FLUSH && buffer_flush_end(buffer, volume, true, &fate))
        continue;
    return true;
}

bool __wrap_buffer_seal(struct buffer *buffer, uint32_t volume, uint32_t parts)
{
    if (!__real_buffer_seal(buffer, volume, parts))
        return false;
    for (uint32_t i = 0; i < WORLD_SLOTS && mistake == MISTAKE_COALESCE_INTO_DRAINING; i++)
        if (world.slot[i].state == BUFFER_DRAINING)
            world.slot[i].state = BUFFER_DIRTY;
    return true;
}

void __wrap_buffer_run_done(struct buffer *buffer, const struct buffer_run *run, bool ok)
{
    __real_buffer_run_done(buffer, run, ok || mistake == MISTAKE_FORGET_REFUSED);
}

/* ---- Events ---- */

static void step(void)
{
    world.deadline = engine_step(&engine, world.now);
}

static void submit(uint32_t number, const struct world_operation *operation)
{
    const struct block_request request = {
        .id = number,
        .sector = operation->sector,
        .count = operation->count,
        .operation = (uint16_t)operation->kind,
        .buffer = 1,
        .offset = (uint64_t)number * sizeof(world.memory[0]),
    };
    memcpy(world.state[number].acknowledged, world.acknowledged, sizeof(world.acknowledged));
    if (operation->kind == BLOCK_WRITE)
        stamp_fill(world.memory[number], operation->count, number + 1);
    engine_take(&engine, 0, &request, world.memory[number]);
}

static void write_reaches_cache(struct command *command)
{
    world.serial++;
    for (uint32_t i = 0; i < command->request.count; i++) {
        uint64_t stamp = stamp_of(disk_memory(&command->request) + (size_t)i * BLOCK_SECTOR);
        if (stamp != command->stamp[i])
            trouble("the bytes of a write changed while the disk was reading them");
        if (world.cached_count == WORLD_CACHED) {
            trouble("the simulated cache is too small");
            return;
        }
        world.cached[world.cached_count++] =
            (struct cached){(uint32_t)command->request.sector + i, world.serial, stamp};
    }
}

static void flush_cache(uint32_t serial)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < world.cached_count; i++) {
        if (world.cached[i].serial <= serial)
            world.durable[world.cached[i].sector] = world.cached[i].stamp;
        else
            world.cached[kept++] = world.cached[i];
    }
    memset(&world.cached[kept], 0, (world.cached_count - kept) * sizeof(world.cached[0]));
    world.cached_count = kept;
}

static void execute(struct command *command, bool ok)
{
    const struct block_request *request = &command->request;
    if (request->operation == BLOCK_WRITE && ok)
        write_reaches_cache(command);
    if (request->operation == BLOCK_FLUSH && ok)
        flush_cache(command->serial);
    if (request->operation == BLOCK_FLUSH && !ok) {
        memset(world.cached, 0, sizeof(world.cached));
        world.cached_count = 0;
    }
    for (uint32_t i = 0; i < request->count && request->operation == BLOCK_READ; i++)
        stamp_fill(disk_memory(request) + (size_t)i * BLOCK_SECTOR, 1,
                   scenario->late_reads ? disk_has((uint32_t)request->sector + i)
                                        : command->stamp[i]);
}

static void complete(uint32_t number, bool ok)
{
    struct command *command = &world.command[number];
    uint64_t id = command->request.id;
    execute(command, ok);
    memset(command, 0, sizeof(*command));
    engine_disk_done(&engine, 0, id, ok ? BLOCK_OK : BLOCK_IO_ERROR, world.now);
}

static void end(void)
{
    world.ended = true;
    if (scenario->drain)
        engine_drain(&engine);
    else
        engine_mains(&engine);
}

void world_do(const struct world_choice *choice)
{
    switch (choice->kind) {
    case CHOICE_OPERATION:
        submit(world.next, &scenario->operation[world.next]);
        world.next++;
        break;
    case CHOICE_COMPLETE:
        complete(choice->command, true);
        break;
    case CHOICE_REFUSE:
        world.errors++;
        complete(choice->command, false);
        break;
    case CHOICE_TIME:
        world.now = world.deadline;
        break;
    case CHOICE_END:
        end();
        break;
    case CHOICE_BACK:
        world.returns++;
        world.ended = world.drained = false;
        engine_mains_back(&engine);
        break;
    case CHOICE_RESTART:
    case CHOICE_RESET:
        break; /* not in this world */
    }
    step();
}

uint32_t world_choices(struct world_choice choices[WORLD_CHOICES])
{
    uint32_t count = 0;
    if (world.next < scenario->operations && !world.ended)
        choices[count++] = (struct world_choice){CHOICE_OPERATION, 0};
    for (uint32_t i = 0; i < WORLD_COMMANDS; i++) {
        const struct command *command = &world.command[i];
        if (!command->used)
            continue;
        choices[count++] = (struct world_choice){CHOICE_COMPLETE, i};
        if (world.errors < scenario->errors && command->request.operation != BLOCK_READ)
            choices[count++] = (struct world_choice){CHOICE_REFUSE, i};
    }
    if (world.deadline != ENGINE_NEVER)
        choices[count++] = (struct world_choice){CHOICE_TIME, 0};
    if (!world.ended)
        choices[count++] = (struct world_choice){CHOICE_END, 0};
    else if (world.returns < scenario->returns)
        choices[count++] = (struct world_choice){CHOICE_BACK, 0};
    return count;
}

void world_begin(const struct world_scenario *with, enum world_mistake planted)
{
    scenario = with;
    mistake = planted;
    world_trouble = NULL;
    memset(&world, 0, sizeof(world));
    world.now = 1;
    const struct engine_setup setup = {
        .volume_count = 1,
        .scratch_sectors = 64,
        .dirty_limit = (uint64_t)scenario->slot_limit * BUFFER_BLOCK,
        .limits = {scenario->through ? 0 : UINT64_C(1) << 39, 1, 1},
        .strict_order = scenario->strict,
        .gauges = &gauges,
    };
    engine_init(&engine, &setup, world.slot, WORLD_SLOTS, world.bucket, WORLD_BUCKETS, world.data);
    /* Too small to be measured; the costs do not matter here. */
    engine_disk_ready(&engine, 0, "test", WORLD_SECTORS, WORLD_SECTORS, false, world.now);
    engine.volume[0].rate = (struct rate){1000, 1000, 1000, true};
    step();
}

/* ---- Copies: the engine up to its only volume, and the world ---- */

#define ENGINE_SIZE offsetof(struct engine, volume[1])

size_t world_size(void)
{
    return ENGINE_SIZE + sizeof(world);
}

void world_save(void *snapshot)
{
    memcpy(snapshot, &engine, ENGINE_SIZE);
    memcpy((uint8_t *)snapshot + ENGINE_SIZE, &world, sizeof(world));
}

void world_restore(const void *snapshot)
{
    memcpy(&engine, snapshot, ENGINE_SIZE);
    memcpy(&world, (const uint8_t *)snapshot + ENGINE_SIZE, sizeof(world));
}

uint64_t world_hash(void)
{
    uint64_t hash = hash_words(UINT64_C(0xcbf29ce484222325), &engine, ENGINE_SIZE);
    return hash_words(hash, &world, sizeof(world));
}

/* ---- Checks ---- */

struct unit { /* may or may not survive a power cut */
    uint32_t sector;
    uint64_t stamp;
};

static uint32_t collect_units(struct unit units[static WORLD_CACHED * 2])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world.cached_count; i++)
        units[count++] = (struct unit){world.cached[i].sector, world.cached[i].stamp};
    for (uint32_t i = 0; i < WORLD_COMMANDS; i++) {
        const struct command *command = &world.command[i];
        if (!command->used || command->request.operation != BLOCK_WRITE)
            continue;
        for (uint32_t n = 0; n < command->request.count && count < WORLD_CACHED * 2; n++)
            units[count++] =
                (struct unit){(uint32_t)command->request.sector + n, command->stamp[n]};
    }
    return count;
}

/* Every acknowledged sector is in the buffer, or durable whatever the cut leaves of the rest. */
static void check_nothing_can_be_lost(void)
{
    uint8_t bytes[BLOCK_SECTOR];
    struct unit units[WORLD_CACHED * 2];
    uint32_t count = collect_units(units);
    for (uint32_t sector = 0; sector < WORLD_SECTORS; sector++) {
        bool held;
        uint64_t wanted = world.acknowledged[sector];
        buffer_read(&engine.buffer, 0, sector, 1, bytes, &held);
        uint64_t least = held ? stamp_of(bytes) : world.durable[sector];
        for (uint32_t i = 0; i < count && !held; i++)
            if (units[i].sector == sector && units[i].stamp < least)
                least = units[i].stamp;
        if (least < wanted)
            trouble("sector %u: acknowledged version %lu is neither in the buffer nor durable",
                    sector, (unsigned long)wanted);
    }
}

/* The client is restarted and reads everything back, while the drain stands still. */
static void check_reads(void)
{
    static uint8_t snapshot[ENGINE_SIZE + sizeof(world)];
    const struct world_operation all = {BLOCK_READ, 0, WORLD_SECTORS};
    if (!engine_can_take(&engine, 0))
        return;
    world_save(snapshot);
    submit(WORLD_OPERATIONS, &all);
    step();
    for (uint32_t i = 0; i < WORLD_COMMANDS; i++)
        if (world.command[i].used && world.command[i].request.operation == BLOCK_READ)
            complete(i, true);
    if (!world.state[WORLD_OPERATIONS].answered)
        trouble("a read is not answered");
    for (uint32_t sector = 0; sector < WORLD_SECTORS; sector++) {
        uint64_t seen = stamp_of(world.memory[WORLD_OPERATIONS] + (size_t)sector * BLOCK_SECTOR);
        if (seen < world.acknowledged[sector] || seen > WORLD_OPERATIONS)
            trouble("after a restart sector %u reads as version %lu although %lu was acknowledged",
                    sector, (unsigned long)seen, (unsigned long)world.acknowledged[sector]);
    }
    world_restore(snapshot);
}

/* What of an epoch is visible, all earlier ones must be. */
static void check_prefix(const uint64_t disk[WORLD_SECTORS])
{
    uint32_t newest = 0;
    for (uint32_t sector = 0; sector < WORLD_SECTORS; sector++)
        if (world.epoch[sector][disk[sector]] > newest)
            newest = world.epoch[sector][disk[sector]];
    for (uint32_t sector = 0; sector < WORLD_SECTORS; sector++)
        for (uint64_t stamp = disk[sector] + 1; stamp <= WORLD_OPERATIONS; stamp++)
            if (world.epoch[sector][stamp] != 0 && world.epoch[sector][stamp] < newest)
                trouble("after a cut epoch %u is on the disk, but version %lu of sector %u, of "
                        "epoch %u, is not",
                        newest, (unsigned long)stamp, sector, world.epoch[sector][stamp]);
}

static void check_disk(const uint64_t disk[WORLD_SECTORS])
{
    world_cuts++;
    for (uint32_t sector = 0; sector < WORLD_SECTORS && world.drained; sector++)
        if (disk[sector] < world.acknowledged[sector])
            trouble("power off after \"drained\": sector %u has version %lu, acknowledged was %lu",
                    sector, (unsigned long)disk[sector], (unsigned long)world.acknowledged[sector]);
    if (scenario->expect_prefix)
        check_prefix(disk);
}

/* Cuts the power now: survivors is a bit set of units, or a prefix, or a random subset of them. */
static void check_cuts(void)
{
    struct unit units[WORLD_CACHED * 2];
    uint32_t count = collect_units(units);
    bool all = count <= SMALL_SUBSETS;
    uint32_t cuts = all ? 1u << count : count + 1 + RANDOM_SUBSETS;
    uint32_t random = 1;
    for (uint32_t cut = 0; cut < cuts; cut++) {
        uint64_t disk[WORLD_SECTORS];
        memcpy(disk, world.durable, sizeof(disk));
        for (uint32_t i = 0; i < count; i++) {
            random = random * 1664525u + 1013904223u;
            bool survives = all ? (cut >> i & 1) != 0 : cut <= count ? i < cut : random >> 31 != 0;
            if (survives)
                disk[units[i].sector] = units[i].stamp;
        }
        check_disk(disk);
    }
}

const char *world_check(void)
{
    check_nothing_can_be_lost();
    check_reads();
    if (world.ended || scenario->expect_prefix)
        check_cuts();
    return world_trouble;
}

const char *world_check_end(void)
{
    if (world.ended && !world.drained)
        trouble("\"drained\" was never signalled");
    for (uint32_t i = 0; i < world.next; i++)
        if (!world.state[i].answered && (!world.ended || scenario->drain))
            trouble("operation %u was never answered", i);
    if (!world.ended && engine.buffer.slots != 0)
        trouble("the drain stands still with %u slots in the buffer", engine.buffer.slots);
    return world_trouble;
}
