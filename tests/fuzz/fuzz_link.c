/*
 * A hostile peer at either end of a block link: a hostile server (disk) against the client half, then a hostile client against the
 * server half; the link changes between any two reads.
 *
 * Beside anything at all, the hostile peer does what a good one does: it begins anew, opens sessions, asks and answers; else
 * hardly anything would come to pass.
 *
 * What must hold: a request that take() hands out passes every check, of geometry, buffer and size, on the copy that is handed out; what is
 * answered was taken; what the client has in flight is what it was given and not answered; geometry that a client accepts is one that a disk can have; texts end and are printable; no more in flight than the ring
 * holds.
 *
 * Input: byte 0: bit 0: the hostile client, else the hostile server; bits 1..4 abilities; bit 5: buffers of known size; 1
 * byte: how many bytes of changes between reads follow; these; then steps.
 */
#include "../link.h"
#include "calls.h"
#include "hostile.h"
#include <quoll/block_io.h>

static struct block_link *link_memory;
static uint64_t taken[BLOCK_RING_ENTRIES];
static uint32_t taken_count;

static void scribble(struct input *input)
{
    uint8_t choice = input_8(input);
    uint32_t length = choice & 31, offset = input_16(input);
    if (choice & 0x80) /* header and ring indices rather than entries */
        offset %= offsetof(struct block_link, request);
    for (uint32_t i = 0; i < length; i++)
        ((uint8_t *)link_memory)[(offset + i) % sizeof(*link_memory)] = input_8(input);
}

/* ---- hostile client ---- */

static void check_taken(const struct block_server *server, const struct block_request *request)
{
    const struct block_geometry *geometry = &server->geometry;
    HOLDS(server->state == BLOCK_LINK_READY);
    if (request->operation == BLOCK_FLUSH) {
        HOLDS(request->count == 0 && (geometry->abilities & BLOCK_CAN_FLUSH));
        return;
    }
    HOLDS(request->operation == BLOCK_READ || request->operation == BLOCK_WRITE);
    HOLDS(request->count != 0 && request->count <= geometry->max_sectors);
    HOLDS(request->sector < geometry->sectors &&
          request->count <= geometry->sectors - request->sector);
    HOLDS(request->buffer < CONFIG_MAX_BUFFERS && (server->allowed_buffers >> request->buffer & 1));
    HOLDS(request->offset % BLOCK_SECTOR == 0);
    HOLDS(server->buffers == NULL || request->offset + request->count * 512ull <=
                                         server->buffers->buffer[request->buffer].size);
    HOLDS(request->operation == BLOCK_READ || !(geometry->abilities & BLOCK_IS_READ_ONLY));
    HOLDS(!(geometry->abilities & BLOCK_WHOLE_BLOCKS) ||
          (request->sector | request->count) % (geometry->physical_block / BLOCK_SECTOR) == 0);
}

/* A request that is nearly good, in the ring where the client would put it. */
static void client_puts(struct input *input)
{
    uint8_t kind = input_8(input);
    struct block_request request = {.id = input_8(input),
                                    .sector = kind & 0x80 ? input_64(input) : input_8(input) * 8u,
                                    .count = kind & 0x40 ? input_16(input) : (kind >> 2 & 3) * 8u,
                                    .operation = kind & 3,
                                    .flags = kind >> 4 & 1,
                                    .buffer = kind & 0x20 ? input_8(input) : 3,
                                    .offset = input_8(input) * 512ull};
    uint32_t at = link_memory->requests.produced;
    link_memory->request[at % BLOCK_RING_ENTRIES] = request;
    link_memory->requests.produced = at + 1;
}

/* The client begins anew, or asks for a session of some other life. */
static void client_joins(const struct block_server *server, uint8_t choice)
{
    uint32_t life = choice & 8 ? choice : server->life;
    link_memory->join = (uint64_t)life << 32 | (choice & 7);
}

static void server_works(struct block_server *server, uint8_t choice)
{
    struct block_request request;
    switch (choice & 3) {
    case 0:
        if (taken_count < BLOCK_RING_ENTRIES && block_server_take(server, &request)) {
            check_taken(server, &request);
            taken[taken_count++] = request.id;
        }
        break;
    case 1:
        if (taken_count > 0)
            block_server_complete(server, taken[--taken_count],
                                  choice & 4 ? BLOCK_OK : BLOCK_IO_ERROR);
        break;
    case 2:
        block_server_publish(server);
        block_server_sleep(server);
        block_server_awake(server);
        break;
    default:
        if (choice == 0xff)
            block_server_failed(server, "the disk\033 is gone");
        break;
    }
    HOLDS(server->outstanding == taken_count && server->outstanding <= BLOCK_RING_ENTRIES);
}

static void hostile_client(uint8_t choice, struct input *input)
{
    static struct block_buffers buffers;
    struct block_server server;
    struct block_geometry geometry = {.sectors = 1024,
                                      .abilities = choice >> 1 & 15,
                                      .physical_block = 4096,
                                      .max_sectors = 64,
                                      .name = "disk"};
    taken_count = 0;
    block_buffers_find(&buffers);
    buffers.buffer[3].size = 65536;
    block_server_find(&server, 0, choice & 0x20 ? &buffers : NULL, 1u << 3 | 1u << 5);
    if (choice & 0x40)
        server_works(&server, 0);
    block_server_ready(&server, &geometry);
    link_join(link_memory);
    while (input_more(input)) {
        uint8_t step = input_8(input);
        if ((step & 7) == 0)
            scribble(input);
        else if ((step & 7) < 4)
            client_puts(input);
        else if ((step & 7) == 4)
            link_memory->completions.consumed += step >> 3;
        else if ((step & 7) == 5)
            client_joins(&server, step >> 3);
        else
            server_works(&server, step >> 3 == 31 ? 0xff : step >> 3);
    }
}

/* ---- hostile server ---- */

static void check_text(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    HOLDS(length < size);
    for (size_t i = 0; i < length; i++)
        HOLDS(text[i] >= ' ' && text[i] <= '~');
}

static void check_client(const struct block_client *client)
{
    const struct block_geometry *geometry = &client->geometry;
    uint32_t used = 0;
    for (size_t i = 0; i < sizeof(client->used) / sizeof(client->used[0]); i++)
        used += (uint32_t)__builtin_popcountll(client->used[i]);
    HOLDS(client->in_flight == used && client->in_flight <= BLOCK_RING_ENTRIES);
    HOLDS(!client->open || client->session != 0);
    if (client->state == BLOCK_LINK_FAILED)
        check_text(client->reason, sizeof(client->reason));
    if (client->state != BLOCK_LINK_READY)
        return;
    uint32_t block = geometry->physical_block;
    HOLDS(block >= BLOCK_SECTOR && (block & (block - 1)) == 0);
    HOLDS(geometry->max_sectors != 0 && geometry->max_sectors <= BLOCK_MAX_SECTORS);
    HOLDS(geometry->sectors <= UINT64_MAX / BLOCK_SECTOR);
    check_text(geometry->name, sizeof(geometry->name));
}

static struct input *waiting_input;
static uint32_t waits;

static void server_answers(uint8_t id, uint8_t status)
{
    uint32_t at = link_memory->completions.produced;
    link_memory->completion[at % BLOCK_RING_ENTRIES] =
        (struct block_completion){.id = id, .status = status};
    link_memory->completions.produced = at + 1;
}

/* What a server does in its life, each at whatever time. */
static void server_lives(uint8_t choice, struct input *input)
{
    switch (choice & 7) {
    case 0:
    case 1:
        link_memory->joined = link_memory->join; /* opens the session */
        break;
    case 2: /* begins anew */
        link_memory->joined = 0;
        link_memory->life++;
        link_memory->requests.consumed = link_memory->completions.produced = 0;
        break;
    case 3:
        link_memory->state = choice >> 3 & 3;
        break;
    case 4: /* another disk, perhaps */
        link_memory->sectors = 1024u << (choice >> 3 & 1);
        link_memory->physical_block = 512u << (choice >> 4 & 1);
        break;
    default:
        server_answers(input_8(input), choice >> 3 & 7);
        break;
    }
}

/* While the client waits, the server does what the input says; then it gives up. */
static uint64_t wait(void)
{
    uint8_t choice = input_8(waiting_input);
    if (choice & 0x80)
        scribble(waiting_input);
    else
        server_lives(choice, waiting_input);
    if (++waits > 8)
        link_memory->state = BLOCK_LINK_FAILED;
    return 1;
}

static void client_works(struct block_client *client, uint8_t choice)
{
    struct block_request request = {
        .id = choice, .sector = 8, .count = 8, .operation = BLOCK_READ, .buffer = 3};
    struct block_completion completion;
    uint64_t signals = 0;
    switch (choice & 7) {
    case 0:
        block_client_state(client);
        break;
    case 1:
    case 2:
        block_client_submit(client, &request);
        break;
    case 3:
        if (block_client_take(client, &completion)) {
            HOLDS(completion.status < BLOCK_STATUS_COUNT);
            HOLDS(strlen(block_status_text(completion.status)) != 0);
        }
        break;
    case 4:
        block_client_publish(client);
        break;
    case 5:
        block_client_sleep(client);
        block_client_awake(client);
        break;
    case 6:
        block_client_wait(client, &signals);
        break;
    default:
        block_client_transfer(client, request, &signals);
        break;
    }
}

static void hostile_server(struct input *input)
{
    struct block_client client;
    link_memory->state = BLOCK_LINK_READY;
    link_memory->life = 1;
    link_memory->physical_block = 512;
    link_memory->max_sectors = 64;
    link_memory->sectors = 1024;
    waiting_input = input;
    waits = 0;
    calls.wait = wait;
    block_client_find(&client, 0);
    while (input_more(input)) {
        uint8_t step = input_8(input);
        if ((step & 7) == 0)
            scribble(input);
        else if ((step & 7) == 1)
            link_memory->completions.produced += step >> 5;
        else if ((step & 7) < 4)
            server_lives(step >> 3, input);
        else
            client_works(&client, step >> 3);
        check_client(&client);
    }
    calls.wait = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    if (link_memory == NULL)
        link_memory = (struct block_link *)(void *)hostile_allocate(sizeof(struct block_link));
    memset(link_memory, 0, sizeof(*link_memory));
    calls.memory = link_memory;
    calls.memory_size = sizeof(*link_memory);
    uint8_t choice = input_8(&input);
    hostile_begin(input_part(&input, input_8(&input)));
    hostile_area((uint8_t *)link_memory, sizeof(*link_memory));
    if (choice & 1)
        hostile_client(choice, &input);
    else
        hostile_server(&input);
    return 0;
}
