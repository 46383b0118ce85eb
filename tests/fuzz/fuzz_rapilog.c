/*
 * A hostile client (a VMM, or the guest behind it) against RapiLog: requests through a real link, with memory that changes
 * while it is copied; and a disk that refuses, reorders, has no room, answers what was not asked, or goes away. The mains fail and
 * come back.
 *
 * What must hold: each request that was taken is answered exactly once; nothing outside the client's buffer is read or written; while
 * client and disk are honest, a read returns no version older than one acknowledged before it was asked for, and when
 * the mains fail, everything acknowledged is on stable storage once RapiLog says that it has drained: in place or, with a dump area,
 * where the next start of RapiLog brings it there from.
 *
 * Input: byte 0: bit 0 hostile client, bit 1 hostile disk, bit 2 hold-up time, bit 3 strict order, bits 4..5 how many
 * slots may be dirty, bits 6..7 enum kind; 1 byte: how many bytes of changes between reads follow; these; then steps.
 */
#include "../link.h"
#include "calls.h"
#include "engine.h"
#include "hostile.h"
#include <quoll/block_io.h>

#define SECTORS 64u
#define CHUNK_SECTORS 8u
#define CHUNKS 16u /* of the client's buffer: one for each request in flight */
#define BUFFER_BYTES (CHUNKS * CHUNK_SECTORS * BLOCK_SECTOR)
#define SLOTS 16u
#define BUCKETS 8u
#define SCRATCH_SECTORS 64u
#define SCRATCH_BYTES (SCRATCH_SECTORS * BLOCK_SECTOR)
#define SLOTS_END (SCRATCH_BYTES + SLOTS * BUFFER_BLOCK)
#define JOURNAL_BLOCKS 4u
#define DUMP_BLOCKS (DUMP_SUPERS + 2 * (1 + DUMP_LEAST))

enum kind {
    KIND_PLAIN,
    KIND_HELD,
    KIND_ORDERED,
    KIND_READ_ONLY
}; /* the middle ones: a dump area */
enum disk { DISK_VOLUME, DISK_DUMP, DISKS };

struct client_request {
    bool in_flight, write;
    bool may_fail; /* RapiLog was told to refuse it */
    uint32_t sector, count;
    uint32_t stamp;                /* WRITE: what is in its sectors */
    uint32_t least[CHUNK_SECTORS]; /* READ: oldest versions that it may return */
};

struct disk_command {
    uint32_t disk;
    struct block_request request;
    uint32_t flushed[SECTORS]; /* FLUSH of the volume: what it makes durable */
    uint32_t serial;           /* FLUSH of the dump area: the same */
};

static struct {
    struct engine engine;
    struct buffer_slot slot[SLOTS];
    uint32_t bucket[BUCKETS];
    uint8_t dirty[SLOTS_END + JOURNAL_BLOCKS * DUMP_BLOCK];
    uint32_t order[SLOTS];
    struct kept_header kept;
    struct rapilog_gauges gauges;
    struct block_server server;
    struct block_buffers buffers;
    uint64_t now;
    bool drained, refusing;
} rapilog;

static struct block_link *link_memory;
static struct block_client client;
static uint8_t *buffer;
static struct client_request asked[CHUNKS];
static uint32_t stamps, acknowledged[SECTORS];
static struct disk_command commands[DISKS * ENGINE_COMMANDS];
static uint32_t command_count, cached[SECTORS], durable[SECTORS];
static struct {
    uint8_t cached[DUMP_BLOCKS * DUMP_BLOCK], durable[DUMP_BLOCKS * DUMP_BLOCK];
    uint32_t written[DUMP_BLOCKS]; /* serial of the last write */
    uint32_t serial;
} dump;
static enum kind kind;
static bool client_honest, disk_honest, disk_busy;

static bool has_dump(void)
{
    return kind == KIND_HELD || kind == KIND_ORDERED;
}

/* ---- the disk ---- */

static uint8_t *place_of(const struct block_request *request)
{
    if (request->buffer == 1) {
        HOLDS(request->offset + (uint64_t)request->count * BLOCK_SECTOR <= sizeof(rapilog.dirty));
        return rapilog.dirty + request->offset;
    }
    HOLDS(request->buffer == 0 && request->operation == BLOCK_READ);
    HOLDS(request->offset + (uint64_t)request->count * BLOCK_SECTOR <= BUFFER_BYTES);
    return buffer + request->offset;
}

static uint32_t commands_of(uint32_t disk)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < command_count; i++)
        count += commands[i].disk == disk;
    return count;
}

bool engine_port_submit(uint32_t disk, const struct block_request *request)
{
    HOLDS(disk == DISK_VOLUME || (disk == DISK_DUMP && has_dump()));
    HOLDS(commands_of(disk) < ENGINE_COMMANDS);
    HOLDS(kind != KIND_READ_ONLY || request->operation == BLOCK_READ);
    uint32_t sectors = disk == DISK_DUMP ? DUMP_BLOCKS * DUMP_BLOCK_SECTORS : SECTORS;
    HOLDS(request->operation == BLOCK_FLUSH || request->sector + request->count <= sectors);
    if (disk_busy)
        return false;
    struct disk_command *command = &commands[command_count++];
    command->disk = disk;
    command->request = *request;
    command->serial = dump.serial;
    if (request->operation == BLOCK_FLUSH)
        memcpy(command->flushed, cached, sizeof(cached));
    else
        place_of(request);
    return true;
}

static void dump_flushes(uint32_t serial)
{
    for (uint32_t block = 0; block < DUMP_BLOCKS; block++)
        if (dump.written[block] != 0 && dump.written[block] <= serial) {
            memcpy(dump.durable + block * DUMP_BLOCK, dump.cached + block * DUMP_BLOCK, DUMP_BLOCK);
            dump.written[block] = 0;
        }
}

static void dump_carries_out(const struct disk_command *command)
{
    const struct block_request *request = &command->request;
    if (request->operation == BLOCK_FLUSH) {
        dump_flushes(command->serial);
        return;
    }
    HOLDS(request->sector % DUMP_BLOCK_SECTORS == 0 && request->count % DUMP_BLOCK_SECTORS == 0);
    uint8_t *there = dump.cached + request->sector * BLOCK_SECTOR;
    if (request->operation == BLOCK_READ) {
        memcpy(place_of(request), there, request->count * BLOCK_SECTOR);
        return;
    }
    memcpy(there, place_of(request), request->count * BLOCK_SECTOR);
    dump.serial++;
    for (uint32_t i = 0; i < request->count / DUMP_BLOCK_SECTORS; i++)
        dump.written[request->sector / DUMP_BLOCK_SECTORS + i] = dump.serial;
}

static void volume_carries_out(const struct disk_command *command)
{
    const struct block_request *request = &command->request;
    for (uint32_t i = 0; i < SECTORS && request->operation == BLOCK_FLUSH; i++)
        durable[i] = durable[i] < command->flushed[i] ? command->flushed[i] : durable[i];
    for (uint32_t i = 0; i < request->count; i++) {
        uint8_t *bytes = place_of(request) + i * BLOCK_SECTOR;
        uint32_t sector = (uint32_t)request->sector + i;
        if (request->operation == BLOCK_READ)
            memcpy(bytes, &cached[sector], 4);
        else
            memcpy(&cached[sector], bytes, 4);
    }
}

static void disk_answers(uint8_t choice)
{
    if (command_count == 0)
        return;
    uint32_t which = choice % 8u % command_count;
    struct disk_command command = commands[which];
    bool ok = disk_honest || (choice & 0x80) == 0;
    commands[which] = commands[--command_count];
    if (ok && command.disk == DISK_DUMP)
        dump_carries_out(&command);
    else if (ok)
        volume_carries_out(&command);
    engine_disk_done(&rapilog.engine, command.disk, command.request.id,
                     ok ? BLOCK_OK : BLOCK_IO_ERROR, rapilog.now);
}

static void forget_commands(uint32_t disk, uint64_t first_id, uint64_t last_id)
{
    for (uint32_t i = 0; i < command_count; i++)
        if (commands[i].disk == disk && commands[i].request.id >= first_id &&
            commands[i].request.id <= last_id)
            commands[i--] = commands[--command_count];
}

static void disk_goes(uint32_t disk)
{
    forget_commands(disk, 0, UINT64_MAX);
    engine_disk_gone(&rapilog.engine, disk, rapilog.now);
}

static void disk_answers_anything(uint8_t choice, struct input *input)
{
    uint32_t disk = (choice & 0x40) && has_dump() ? DISK_DUMP : DISK_VOLUME;
    uint64_t id = choice & 1 ? input_64(input) : choice >> 1;
    forget_commands(disk, id, id);
    engine_disk_done(&rapilog.engine, disk, id, choice % BLOCK_STATUS_COUNT, rapilog.now);
}

static void disk_misbehaves(struct input *input)
{
    uint8_t choice = input_8(input);
    if (disk_honest)
        return;
    if (choice == 0)
        disk_goes(DISK_VOLUME);
    else if (choice == 2 && has_dump())
        disk_goes(DISK_DUMP);
    else if (choice == 4)
        disk_busy = !disk_busy;
    else
        disk_answers_anything(choice, input);
}

/* ---- the client ---- */

void engine_port_complete(uint32_t volume, uint64_t id, enum block_status status)
{
    HOLDS(volume == 0 && rapilog.engine.phase != ENGINE_MAINS);
    if (rapilog.refusing && client_honest)
        asked[id].may_fail = true;
    block_server_complete(&rapilog.server, id, status);
}

void engine_port_serving(uint32_t volume)
{
    HOLDS(volume == 0);
}

void engine_port_refused(uint32_t volume, const char *reason) {}

static void check_in_place(void)
{
    for (uint32_t i = 0; i < SECTORS && client_honest && disk_honest; i++)
        HOLDS(durable[i] >= acknowledged[i]);
}

void engine_port_drained(void)
{
    rapilog.drained = true;
    if (!journal_stops_placing(&rapilog.engine)) /* or the dump area has it: see next_start() */
        check_in_place();
}

static void client_asks(struct input *input)
{
    uint8_t choice = input_8(input), where = input_8(input);
    uint32_t chunk = 0;
    while (chunk < CHUNKS && asked[chunk].in_flight)
        chunk++;
    if (chunk == CHUNKS)
        return;
    struct client_request *mine = &asked[chunk];
    struct block_request request = {.id = chunk,
                                    .sector = where % SECTORS,
                                    .count = (choice >> 3 & 7) + 1u,
                                    .operation = choice % 7 == 0 ? BLOCK_FLUSH
                                                 : choice & 1    ? BLOCK_WRITE
                                                                 : BLOCK_READ,
                                    .offset = chunk * CHUNK_SECTORS * BLOCK_SECTOR};
    if (request.sector + request.count > SECTORS)
        request.sector = SECTORS - request.count;
    if (request.operation == BLOCK_FLUSH)
        request.count = 0, request.sector = 0;
    *mine = (struct client_request){.in_flight = true,
                                    .write = request.operation == BLOCK_WRITE,
                                    .may_fail = kind == KIND_READ_ONLY,
                                    .sector = (uint32_t)request.sector,
                                    .count = request.count,
                                    .stamp = ++stamps};
    for (uint32_t i = 0; i < request.count; i++) {
        mine->least[i] = acknowledged[mine->sector + i];
        memcpy(buffer + request.offset + i * BLOCK_SECTOR, &stamps, 4);
    }
    if (!client_honest && (choice & 0x40)) { /* any request at all */
        request.sector = input_64(input);
        request.count = input_16(input);
        request.buffer = choice >> 7;
        request.offset = input_32(input);
        request.flags = input_8(input);
    }
    block_client_submit(&client, &request);
    block_client_publish(&client);
}

static void client_hears(void)
{
    struct block_completion answer;
    while (block_client_take(&client, &answer)) {
        if (!client_honest)
            continue;
        HOLDS(answer.id < CHUNKS && asked[answer.id].in_flight);
        struct client_request *mine = &asked[answer.id];
        mine->in_flight = false;
        HOLDS(answer.status == BLOCK_OK || !disk_honest || (mine->write && mine->may_fail));
        for (uint32_t i = 0; i < mine->count && answer.status == BLOCK_OK; i++) {
            uint32_t version, sector = mine->sector + i;
            memcpy(&version, buffer + (answer.id * CHUNK_SECTORS + i) * BLOCK_SECTOR, 4);
            if (mine->write && mine->stamp > acknowledged[sector])
                acknowledged[sector] = mine->stamp;
            HOLDS(mine->write || !disk_honest || version >= mine->least[i]);
        }
    }
    for (uint32_t i = 0; i < CHUNKS && !client_honest; i++)
        asked[i].in_flight = false;
}

static void client_misbehaves(struct input *input)
{
    uint8_t choice = input_8(input);
    uint32_t offset = input_16(input);
    for (uint32_t i = 0; i < choice % 32u && !client_honest; i++)
        ((uint8_t *)link_memory)[(offset + i) % sizeof(*link_memory)] = input_8(input);
}

/* ---- RapiLog ---- */

static void start_engine(uint8_t choice)
{
    static const uint8_t dirty_slots[] = {0, 1, 4, 13};
    struct engine_setup setup = {
        .volume_count = 1,
        .buffer_number = 1,
        .slots_offset = SCRATCH_BYTES,
        .scratch_sectors = SCRATCH_SECTORS,
        .dirty_limit = dirty_slots[choice >> 4 & 3] * (uint64_t)BUFFER_BLOCK,
        .limits = {.hold_up_ns = choice & 4 ? 1000000 : 0, .reserve_ns = 1000},
        .strict_order = (choice & 8) != 0,
        .kept = &rapilog.kept,
        .has_dump = has_dump(),
        .ordered = kind == KIND_ORDERED,
        .journal_memory = rapilog.dirty + SLOTS_END,
        .journal_offset = SLOTS_END,
        .journal_order = rapilog.order,
        .gauges = &rapilog.gauges};
    struct engine *engine = &rapilog.engine;
    engine_init(engine, &setup, rapilog.slot, SLOTS, rapilog.bucket, BUCKETS,
                rapilog.dirty + SCRATCH_BYTES);
    engine_restore(engine, KEPT_NOTHING);
    engine_disk_ready(engine, DISK_VOLUME, "disk", SECTORS, CHUNK_SECTORS, kind == KIND_READ_ONLY,
                      rapilog.now);
    if (has_dump())
        engine_disk_ready(engine, DISK_DUMP, "dump", DUMP_BLOCKS * DUMP_BLOCK_SECTORS,
                          CHUNK_SECTORS, false, rapilog.now);
    for (uint32_t i = 0; i < 100 && engine->volume[0].state != VOLUME_SERVING; i++) {
        engine_step(engine, rapilog.now);
        disk_answers(0);
    }
    HOLDS(engine->volume[0].state == VOLUME_SERVING);
    /* too small to be measured: as if it had been. With a dump area it is the place where blocks are scattered that costs. */
    engine->volume[DISK_VOLUME].rate = (struct rate){1000, has_dump() ? 40000 : 100, 10000, true};
    engine->volume[DISK_DUMP].rate = (struct rate){1000, 100, 10000, true};
    engine->news = true;
}

static void start_link(void)
{
    struct block_geometry geometry = {SECTORS, BLOCK_CAN_FLUSH, 512, CHUNK_SECTORS, "disk"};
    if (kind == KIND_READ_ONLY)
        geometry.abilities |= BLOCK_IS_READ_ONLY;
    rapilog.buffers.buffer[0].size = BUFFER_BYTES;
    block_server_attach(&rapilog.server, link_memory, 0, 1, &rapilog.buffers, 1);
    block_server_ready(&rapilog.server, &geometry);
    block_client_attach(&client, link_memory, 0, 1);
    link_open(&rapilog.server, &client);
}

static void clear(void)
{
    memset(link_memory, 0, sizeof(*link_memory));
    memset(asked, 0, sizeof(asked));
    memset(acknowledged, 0, sizeof(acknowledged));
    memset(cached, 0, sizeof(cached));
    memset(durable, 0, sizeof(durable));
    memset(buffer, 0, BUFFER_BYTES);
    if (has_dump())
        memset(&dump, 0, sizeof(dump));
    stamps = command_count = 0;
    rapilog.drained = rapilog.refusing = disk_busy = false;
    rapilog.now = 1000;
}

static void start(uint8_t choice, struct input changes)
{
    if (link_memory == NULL) {
        link_memory = (struct block_link *)(void *)hostile_allocate(sizeof(*link_memory));
        buffer = hostile_allocate(BUFFER_BYTES);
    }
    client_honest = (choice & 1) == 0;
    disk_honest = (choice & 2) == 0;
    kind = choice >> 6;
    clear();
    hostile_begin(client_honest ? input_of(NULL, 0) : changes);
    start_link();
    start_engine(choice);
    hostile_area((uint8_t *)link_memory, sizeof(*link_memory));
    hostile_area(buffer, BUFFER_BYTES);
}

static void work(void)
{
    struct block_request request;
    while (engine_can_take(&rapilog.engine, 0) && block_server_take(&rapilog.server, &request))
        engine_take(&rapilog.engine, 0, &request,
                    buffer + (request.operation == BLOCK_FLUSH ? 0 : request.offset));
    engine_step(&rapilog.engine, rapilog.now);
    block_server_publish(&rapilog.server);
    HOLDS(rapilog.engine.phase == ENGINE_MAINS ||
          rapilog.server.outstanding == rapilog.engine.volume[0].taken);
    HOLDS(rapilog.engine.volume[DISK_VOLUME].commands == commands_of(DISK_VOLUME));
    HOLDS(rapilog.engine.volume[DISK_DUMP].commands == commands_of(DISK_DUMP));
    client_hears();
}

/* An honest disk goes on until nothing is to do: then everything was answered, or the mains were lost and it has drained. */
static void finish(void)
{
    const struct engine *engine = &rapilog.engine;
    hostile_begin(input_of(NULL, 0));
    for (uint32_t i = 0; i < 400 && !(rapilog.drained && engine->phase == ENGINE_MAINS); i++) {
        bool ended = engine->phase == ENGINE_RUNNING || rapilog.drained;
        if (command_count == 0 && rapilog.server.outstanding == 0 && ended)
            break;
        rapilog.now += 20000000;
        disk_answers(0);
        work();
    }
    HOLDS(engine->phase == ENGINE_RUNNING || rapilog.drained);
    HOLDS(engine->phase == ENGINE_MAINS || rapilog.server.outstanding == 0);
}

/* The power is off and comes back: disks have what was flushed, and RapiLog starts on that. A clean end of it must then have
 * everything in place that was acknowledged. */
static void next_start(uint8_t choice)
{
    memcpy(cached, durable, sizeof(cached));
    memcpy(dump.cached, dump.durable, sizeof(dump.cached));
    memset(dump.written, 0, sizeof(dump.written));
    command_count = 0;
    rapilog.drained = false;
    start_engine(choice);
    engine_drain(&rapilog.engine);
    for (uint32_t i = 0; i < 400 && !rapilog.drained; i++) {
        rapilog.now += 20000000;
        engine_step(&rapilog.engine, rapilog.now);
        disk_answers(0);
    }
    HOLDS(rapilog.drained);
    check_in_place();
}

static void happen(uint8_t step, struct input *input)
{
    switch (step & 7) {
    case 0:
    case 1:
        disk_answers(input_8(input));
        break;
    case 2:
        disk_misbehaves(input);
        break;
    case 3:
        client_misbehaves(input);
        break;
    case 4:
        rapilog.now += (uint64_t)(step >> 3) << 16;
        break;
    default:
        client_asks(input);
        break;
    }
}

/* What the supervisor tells, and a client that does not keep its bytes any longer. */
static void tell(uint8_t step)
{
    switch (step) {
    case 0xfa:
        engine_mains(&rapilog.engine);
        break;
    case 0xf2:
        engine_drain(&rapilog.engine);
        break;
    case 0xea:
        engine_mains_back(&rapilog.engine);
        rapilog.drained = rapilog.drained && rapilog.engine.drained;
        break;
    case 0xe2:
        rapilog.refusing = true;
        if (rapilog.engine.phase != ENGINE_MAINS)
            engine_refuse_waiting(&rapilog.engine, 0);
        rapilog.refusing = false;
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    uint8_t choice = input_8(&input);
    start(choice, input_part(&input, input_8(&input)));
    while (input_more(&input)) {
        uint8_t step = input_8(&input);
        happen(step, &input);
        tell(step);
        work();
    }
    if (disk_honest)
        finish();
    if (disk_honest && has_dump() && rapilog.engine.phase == ENGINE_MAINS)
        next_start(choice);
    return 0;
}
