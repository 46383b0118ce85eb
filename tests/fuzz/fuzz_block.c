/*
 * A hostile guest against the virtio block device: registers, descriptors, requests, and guest memory that changes between any two
 * reads; at the same time a disk whose server is honest, slow, failing, or as hostile as the guest.
 *
 * What must hold: nothing outside the guest's RAM and the disk's buffer is touched; each request is answered exactly once;
 * extents of requests at the disk never overlap and lie in the buffer; the disk is asked for nothing beyond its end.
 *
 * Input: byte 0: disk's abilities (4 bits), write-through, read-only, queue size; 1 byte: how many bytes of changes between
 * reads follow (odd: of the link to the disk as well); these; then steps.
 */
#include "../link.h"
#include "calls.h"
#include "driver.h"
#include "virtio/block.h"

#define BUFFER_BYTES 32768u
#define SECTORS 4096u

static struct virtio_block block;
static struct driver driver;
static struct block_client client;
static struct block_server server;
static struct block_link *link_memory;
static uint8_t *buffer;
static uint64_t pending[BLOCK_RING_ENTRIES];
static uint32_t pending_count;
static bool server_honest;

static void start(struct input *input, uint8_t choice)
{
    struct block_geometry geometry = {.sectors = SECTORS,
                                      .abilities = choice & 15,
                                      .physical_block = choice & 16 ? 4096 : 512,
                                      .max_sectors = 8u << (choice >> 6),
                                      .name = "disk"};
    if (link_memory == NULL) {
        link_memory = (struct block_link *)(void *)hostile_allocate(BLOCK_LINK_BYTES);
        buffer = hostile_allocate(BUFFER_BYTES);
    }
    memset(link_memory, 0, sizeof(*link_memory));
    memset(&block, 0, sizeof(block));
    uint8_t changes = input_8(input);
    hostile_begin(input_part(input, changes));
    server_honest = (changes & 1) == 0;
    if (!server_honest)
        hostile_area((uint8_t *)link_memory, sizeof(*link_memory));
    hostile_pause();
    block_server_attach(&server, link_memory, 0, 1, NULL, UINT64_MAX);
    block_server_ready(&server, &geometry);
    block_client_attach(&client, link_memory, 0, 2);
    link_open(&server, &client);
    if (choice == 0xff)
        client.state = BLOCK_LINK_FAILED;
    virtio_block_start(&block, &(struct virtio_block_setup){.disk = &client,
                                                            .buffer = buffer,
                                                            .buffer_size = BUFFER_BYTES,
                                                            .read_only = (choice & 32) != 0,
                                                            .write_through = (choice & 64) != 0,
                                                            .serial = "serial"});
    pending_count = 0;
    driver_start(&driver, &block.device);
    hostile_resume();
}

static void check_requests(void)
{
    uint64_t used[VIRTIO_BLOCK_CHUNKS / 64] = {0};
    uint32_t held = 0, orphans = 0;
    for (uint32_t i = 0; i < VIRTIO_BLOCK_REQUESTS; i++) {
        const struct virtio_block_request *request = &block.data.request[i];
        held += request->state == BLOCK_WAITING || request->state == BLOCK_FLIGHT;
        orphans += request->state == BLOCK_ORPHAN;
        if (request->state == BLOCK_FREE)
            continue;
        HOLDS(request->extent_chunks == 0 ||
              request->extent + request->extent_chunks <= BUFFER_BYTES / VIRTIO_BLOCK_CHUNK);
        for (uint32_t c = 0; c < request->extent_chunks; c++) {
            uint32_t chunk = request->extent + c;
            HOLDS((used[chunk / 64] >> chunk % 64 & 1) == 0);
            used[chunk / 64] |= UINT64_C(1) << chunk % 64;
        }
    }
    HOLDS(memcmp(used, block.data.in_use, sizeof(used)) == 0);
    HOLDS(orphans == block.data.orphans);
    driver_check_queue(&block.device.queue[0], held);
}

/* The disk takes what it is asked for; an honest driver refuses nothing of what this device asks. */
static void take_requests(void)
{
    struct block_request request;
    while (pending_count < BLOCK_RING_ENTRIES && block_server_take(&server, &request)) {
        HOLDS(!server_honest ||
              (request.offset <= BUFFER_BYTES &&
               (uint64_t)request.count * BLOCK_SECTOR <= BUFFER_BYTES - request.offset));
        pending[pending_count++] = request.id;
    }
    HOLDS(!server_honest || server.state != BLOCK_LINK_READY || server.refused == 0);
}

static void answer_one(uint8_t choice)
{
    take_requests();
    if (pending_count == 0)
        return;
    uint32_t which = choice % pending_count;
    block_server_complete(&server, pending[which], choice & 0x80 ? BLOCK_IO_ERROR : BLOCK_OK);
    pending[which] = pending[--pending_count];
    block_server_publish(&server);
    virtio_block_completions(&block);
}

/* A request as an honest driver makes it: header, up to two pieces of data, status. */
static void ask(struct input *input)
{
    static const uint32_t types[] = {0, 1, 4, 8, 1, 0, 4, 2};
    uint8_t choice = input_8(input), place = input_8(input);
    uint32_t type = types[choice & 7], size = input_8(input), pieces = choice >> 3 & 3;
    uint64_t sector = choice & 0x80 ? input_64(input) : input_8(input) * 8u;
    uint8_t *header = driver.ram.bytes + DRIVER_DATA + place % 16u * 64;
    memcpy(header, &type, 4);
    memcpy(header + 8, &sector, 8);
    uint64_t own = VIRT_RAM + DRIVER_DATA + place % 16u * 64;
    struct driver_buffer buffers[5] = {{own, 16}};
    uint32_t count = 1;
    for (; count <= pieces; count++)
        buffers[count] =
            (struct driver_buffer){VIRT_RAM + DRIVER_DATA + 0x400 + count * 512u, size % 25 * 512u};
    buffers[count++] = (struct driver_buffer){own + 32, 1};
    driver_add(&driver, 0, place >> 4, buffers, type == 1 ? count - 1 : 1, count);
    if (choice & 0x20)
        block.device.notify(&block.device);
}

static void hostile_server(struct input *input)
{
    uint32_t offset = input_16(input) % sizeof(*link_memory), length = input_8(input) % 32u;
    server_honest = false;
    for (uint32_t i = 0; i < length; i++)
        ((uint8_t *)link_memory)[(offset + i) % sizeof(*link_memory)] = input_8(input);
    virtio_block_completions(&block);
}

static void answer_all(void)
{
    for (uint32_t i = 0; i < 4 * BLOCK_RING_ENTRIES && block.data.flights != 0; i++)
        answer_one(0);
}

/* Ends as an honest disk does: what it has taken, it answers. A driver may have put its rings so that each answer makes
 * another request available; so it goes on for a while, then the device is reset, and then there must be an end. */
static void drain(void)
{
    hostile_begin(input_of(NULL, 0));
    answer_all();
    driver_reset(&driver);
    answer_all();
    HOLDS(!server_honest || (block.data.flights == 0 && block.data.orphans == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    uint8_t choice = input_8(&input);
    start(&input, choice);
    driver_set_up(&driver, block.device.features, choice & 128 ? 16 : 4);
    while (input_more(&input)) {
        uint8_t step = input_8(&input);
        if ((step & 7) == 0)
            answer_one(input_8(&input));
        else if ((step & 7) == 4)
            ask(&input);
        else if (step == 1)
            hostile_server(&input);
        else if (step == 9)
            block_server_failed(&server, "gone"), virtio_block_completions(&block);
        else
            driver_step(&driver, &input);
        check_requests();
    }
    drain();
    check_requests();
    return 0;
}
