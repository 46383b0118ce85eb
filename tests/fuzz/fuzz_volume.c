/*
 * Hostile clients of the volume service, and a hostile disk below it; all links change between any two reads.
 *
 * What must hold: a client's request reaches the disk only inside the client's own volume and buffer, and a write never a volume
 * that is read-only; each request is answered once, to the client that asked; no client takes more than its share.
 *
 * Input: byte 0: bit 0 honest disk, bit 1 the second client may only read, bit 2 whole blocks; 1 byte: how many bytes of
 * changes between reads follow; these; then steps.
 */
#include "../link.h"
#include "calls.h"
#include "hostile.h"
#include "volume.h"

#define CLIENTS 2u
#define SECTORS 1024u

static struct block_link *links[CLIENTS + 1]; /* the last one: to the disk */
static struct volumes volumes;
static uint64_t losses;
static struct block_server disk;
static uint64_t pending[BLOCK_RING_ENTRIES];
static uint32_t pending_count;
static bool disk_honest;
static const struct extent extents[CLIENTS] = {{64, 256}, {512, 128}};
static struct extent given[CLIENTS];

static void start(uint8_t choice, struct input changes)
{
    struct block_geometry geometry = {.sectors = SECTORS,
                                      .abilities =
                                          BLOCK_CAN_FLUSH | (choice & 4 ? BLOCK_WHOLE_BLOCKS : 0),
                                      .physical_block = 4096,
                                      .max_sectors = 64,
                                      .name = "disk"};
    hostile_begin(changes);
    for (uint32_t i = 0; i <= CLIENTS; i++) {
        if (links[i] == NULL)
            links[i] = (struct block_link *)(void *)hostile_allocate(sizeof(struct block_link));
        memset(links[i], 0, sizeof(struct block_link));
        hostile_area((uint8_t *)links[i],
                     i < CLIENTS || !(choice & 1) ? sizeof(struct block_link) : 0);
    }
    hostile_pause();
    disk_honest = choice & 1;
    pending_count = 0;
    block_server_attach(&disk, links[CLIENTS], 0, 1, NULL, UINT64_MAX);
    block_server_ready(&disk, &geometry);
    losses = 0;
    volumes_start(&volumes, CLIENTS, &losses);
    block_client_attach(&volumes.disk, links[CLIENTS], 0, 1);
    link_open(&disk, &volumes.disk);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        block_server_attach(&volumes.volume[i].server, links[i], 0, 1, NULL, 1u << i);
        given[i] = extents[i];
        HOLDS(volume_assign(&volumes, i, &extents[i], "label", i == 1 && (choice & 2)) == NULL);
        link_join(links[i]);
    }
    hostile_resume();
}

static void put_request(struct input *input)
{
    uint8_t kind = input_8(input);
    struct block_link *link = links[kind & 1];
    struct block_request request = {.id = input_8(input),
                                    .sector = kind & 0x80 ? input_64(input) : input_8(input) * 8u,
                                    .count = kind & 0x40 ? input_16(input) : (kind >> 3 & 1) * 8u,
                                    .operation = (kind >> 1 & 3),
                                    .buffer = kind & 0x20 ? input_8(input) : kind & 1,
                                    .offset = input_8(input) * 512ull};
    uint32_t at = link->requests.produced;
    link->request[at % BLOCK_RING_ENTRIES] = request;
    link->requests.produced = at + 1;
    link->completions.consumed = link->completions.produced; /* it takes its answers */
}

/* Whether a request that reaches the disk may be one of this client. */
static bool allowed(uint32_t client, const struct block_request *request)
{
    const struct extent *extent = &given[client];
    if (request->operation == BLOCK_FLUSH)
        return true;
    return request->buffer == client && request->sector >= extent->first &&
           request->sector - extent->first + request->count <= extent->count &&
           (request->operation == BLOCK_READ || !volumes.volume[client].read_only);
}

static void disk_takes(void)
{
    struct block_request request;
    while (disk_honest && pending_count < BLOCK_RING_ENTRIES &&
           block_server_take(&disk, &request)) {
        HOLDS(request.id <
              BLOCK_RING_ENTRIES); /* the link's number of it; the passage is behind that */
        uint64_t passage = volumes.disk.pending[request.id].id;
        HOLDS(passage < BLOCK_RING_ENTRIES && volumes.passage[passage].in_use);
        HOLDS(allowed(volumes.passage[passage].client, &request));
        pending[pending_count++] = request.id;
    }
    HOLDS(!disk_honest || disk.state != BLOCK_LINK_READY || disk.refused == 0);
}

static void disk_answers(uint8_t choice)
{
    disk_takes();
    if (pending_count == 0)
        return;
    uint32_t which = choice % pending_count;
    block_server_complete(&disk, pending[which], choice & 0x80 ? BLOCK_IO_ERROR : BLOCK_OK);
    pending[which] = pending[--pending_count];
    block_server_publish(&disk);
}

static void scribble(struct input *input, uint32_t which)
{
    uint32_t offset = input_16(input), length = input_8(input) % 32u;
    for (uint32_t i = 0; i < length && !(which == CLIENTS && disk_honest); i++)
        ((uint8_t *)links[which])[(offset + i) % sizeof(struct block_link)] = input_8(input);
}

/* Another table was read: the volumes are asked for anew; what collides is refused. That is done while nothing is under way. */
static void assign(struct input *input)
{
    uint32_t number = input_8(input) % CLIENTS;
    struct extent extent = {input_8(input) * 8u, input_8(input) * 8u};
    if (volumes.volume[number].usable || volumes.free_count < BLOCK_RING_ENTRIES)
        return;
    const char *refused = volume_assign(&volumes, number, &extent, "", false);
    HOLDS(refused == NULL || strlen(refused) <= 71);
    if (refused == NULL) {
        HOLDS(extent.first + extent.count <= volumes.disk.geometry.sectors); /* as the disk says */
        HOLDS(!disk_honest || extent.first + extent.count <= SECTORS);
        given[number] = extent;
    }
}

static void check(void)
{
    uint32_t used = 0, of[CLIENTS] = {0};
    for (uint32_t i = 0; i < BLOCK_RING_ENTRIES; i++) {
        used += volumes.passage[i].in_use;
        if (volumes.passage[i].in_use)
            of[volumes.passage[i].client]++;
    }
    HOLDS(used + volumes.free_count == BLOCK_RING_ENTRIES);
    for (uint32_t i = 0; i < CLIENTS; i++)
        HOLDS(of[i] == volumes.volume[i].server.outstanding && of[i] <= volumes.share);
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
            disk_answers(step >> 3 | (step & 0x80));
            break;
        case 1:
            scribble(&input, (step >> 3) % (CLIENTS + 1));
            break;
        case 2:
            if (step == 0xfa)
                block_server_failed(&disk, "gone");
            if (step == 0xf2)
                volume_refuse(&volumes, 1, "no more");
            if (step == 0xea)
                assign(&input);
            volumes_sleep(&volumes);
            volumes_awake(&volumes);
            break;
        case 3:
        case 4:
            volumes_work(&volumes);
            break;
        default:
            put_request(&input);
            break;
        }
        check();
    }
    return 0;
}
