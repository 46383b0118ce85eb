/*
 * A hostile client (a VMM, or the guest behind it) against RapiLog: requests through a real link, with memory that changes
 * while it is copied; and a disk that refuses, reorders, answers what was not asked, or goes away.
 *
 * What must hold: each request that was taken is answered exactly once; nothing outside the client's buffer is read or written; while
 * client and disk are honest, a read returns no version older than one acknowledged before it was asked for, and when
 * the mains fail, everything acknowledged is on stable storage once RapiLog says that it has drained.
 *
 * Input: byte 0: bit 0 hostile client, bit 1 hostile disk, bit 2 hold-up time, bit 3 strict order, bits 4..7 how many
 * slots may be dirty; 1 byte: how many bytes of changes between reads follow; these; then steps.
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

struct client_request {
    bool in_flight, write;
    uint32_t sector, count;
    uint32_t stamp;                /* WRITE: what is in its sectors */
    uint32_t least[CHUNK_SECTORS]; /* READ: oldest versions that it may return */
};

struct disk_command {
    struct block_request request;
    uint32_t flushed[SECTORS]; /* FLUSH: what it makes durable */
};

static struct {
    struct engine engine;
    struct buffer_slot slot[SLOTS];
    uint32_t bucket[BUCKETS];
    uint8_t dirty[SCRATCH_BYTES + SLOTS * BUFFER_BLOCK];
    struct rapilog_gauges gauges;
    struct block_server server;
    struct block_buffers buffers;
    uint64_t now;
    bool drained, gone;
} rapilog;

static struct block_link *link_memory;
static struct block_client client;
static uint8_t *buffer;
static struct client_request asked[CHUNKS];
static uint32_t stamps, acknowledged[SECTORS];
static struct disk_command commands[ENGINE_COMMANDS];
static uint32_t command_count, cached[SECTORS], durable[SECTORS];
static bool client_honest, disk_honest;

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

bool engine_port_submit(uint32_t volume, const struct block_request *request)
{
    HOLDS(volume == 0 && command_count < ENGINE_COMMANDS);
    HOLDS(request->operation == BLOCK_FLUSH || request->sector + request->count <= SECTORS);
    commands[command_count].request = *request;
    if (request->operation == BLOCK_FLUSH)
        memcpy(commands[command_count].flushed, cached, sizeof(cached));
    else
        place_of(request);
    command_count++;
    return true;
}

static void carry_out(const struct disk_command *command)
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
    if (ok)
        carry_out(&command);
    engine_disk_done(&rapilog.engine, 0, command.request.id, ok ? BLOCK_OK : BLOCK_IO_ERROR,
                     rapilog.now);
}

static void disk_misbehaves(struct input *input)
{
    uint8_t choice = input_8(input);
    if (disk_honest)
        return;
    if (choice == 0) {
        command_count = 0;
        engine_disk_gone(&rapilog.engine, 0, rapilog.now);
    } else {
        uint64_t id = choice & 1 ? input_64(input) : choice >> 1;
        for (uint32_t i = 0; i < command_count; i++)
            if (commands[i].request.id == id)
                commands[i--] = commands[--command_count];
        engine_disk_done(&rapilog.engine, 0, id, choice % BLOCK_STATUS_COUNT, rapilog.now);
    }
}

/* ---- the client ---- */

void engine_port_complete(uint32_t volume, uint64_t id, enum block_status status)
{
    HOLDS(volume == 0 && rapilog.engine.phase != ENGINE_MAINS);
    block_server_complete(&rapilog.server, id, status);
}

void engine_port_serving(uint32_t volume)
{
    HOLDS(volume == 0);
}

void engine_port_refused(uint32_t volume, const char *reason) {}

void engine_port_drained(void)
{
    rapilog.drained = true;
    for (uint32_t i = 0; i < SECTORS && client_honest && disk_honest; i++)
        HOLDS(durable[i] >= acknowledged[i]);
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
    *mine = (struct client_request){
        true, request.operation == BLOCK_WRITE, (uint32_t)request.sector, request.count, ++stamps,
        {0}};
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
        HOLDS(answer.status == BLOCK_OK || !disk_honest);
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

static void start(uint8_t choice, struct input changes)
{
    if (link_memory == NULL) {
        link_memory = (struct block_link *)(void *)hostile_allocate(sizeof(*link_memory));
        buffer = hostile_allocate(BUFFER_BYTES);
    }
    client_honest = (choice & 1) == 0;
    disk_honest = (choice & 2) == 0;
    struct engine_setup setup = {
        .volume_count = 1,
        .buffer_number = 1,
        .slots_offset = SCRATCH_BYTES,
        .scratch_sectors = SCRATCH_SECTORS,
        .dirty_limit = (choice >> 4) * (uint64_t)BUFFER_BLOCK,
        .limits = {.hold_up_ns = choice & 4 ? 1000000 : 0, .reserve_ns = 1000},
        .strict_order = (choice & 8) != 0,
        .gauges = &rapilog.gauges};
    struct block_geometry geometry = {SECTORS, BLOCK_CAN_FLUSH, 512, CHUNK_SECTORS, "disk"};
    memset(link_memory, 0, sizeof(*link_memory));
    memset(asked, 0, sizeof(asked));
    memset(acknowledged, 0, sizeof(acknowledged));
    memset(cached, 0, sizeof(cached));
    memset(durable, 0, sizeof(durable));
    memset(buffer, 0, BUFFER_BYTES);
    stamps = command_count = 0;
    rapilog.drained = rapilog.gone = false;
    rapilog.now = 1000;
    hostile_begin(client_honest ? input_of(NULL, 0) : changes);
    rapilog.buffers.buffer[0].size = BUFFER_BYTES;
    block_server_attach(&rapilog.server, link_memory, 0, 1, &rapilog.buffers, 1);
    block_server_ready(&rapilog.server, &geometry);
    block_client_attach(&client, link_memory, 0, 1);
    link_open(&rapilog.server, &client);
    engine_init(&rapilog.engine, &setup, rapilog.slot, SLOTS, rapilog.bucket, BUCKETS,
                rapilog.dirty + SCRATCH_BYTES);
    engine_disk_ready(&rapilog.engine, 0, "disk", SECTORS, CHUNK_SECTORS, false, rapilog.now);
    /* too small to be measured: as if it had been */
    rapilog.engine.volume[0].rate =
        (struct rate){.slot_ns = 1000, .head_ns = 100, .flush_ns = 10000, .known = true};
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
    HOLDS(rapilog.engine.volume[0].commands == command_count);
    client_hears();
}

/* An honest disk goes on until nothing is to do: then everything was answered, or the mains were lost and it has drained. */
static void finish(void)
{
    hostile_begin(input_of(NULL, 0));
    for (uint32_t i = 0; i < 400 && !(rapilog.drained && rapilog.engine.phase == ENGINE_MAINS);
         i++) {
        if (command_count == 0 && rapilog.server.outstanding == 0 &&
            rapilog.engine.phase != ENGINE_MAINS)
            break;
        rapilog.now += 20000000;
        disk_answers(0);
        work();
    }
    HOLDS(rapilog.engine.phase == ENGINE_MAINS ? rapilog.drained : rapilog.server.outstanding == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    uint8_t choice = input_8(&input);
    start(choice, input_part(&input, input_8(&input)));
    while (input_more(&input)) {
        uint8_t step = input_8(&input);
        switch (step & 7) {
        case 0:
        case 1:
            disk_answers(input_8(&input));
            break;
        case 2:
            disk_misbehaves(&input);
            break;
        case 3:
            client_misbehaves(&input);
            break;
        case 4:
            rapilog.now += (uint64_t)(step >> 3) << 16;
            break;
        default:
            client_asks(&input);
            break;
        }
        if (step == 0xfa)
            engine_mains(&rapilog.engine);
        if (step == 0xf2)
            engine_drain(&rapilog.engine);
        work();
    }
    if (disk_honest)
        finish();
    return 0;
}
