/*
 * A hostile guest, and its VMM, against RapiLog serving the guest's queue itself: settings come and go, descriptors and the page between
 * VMM and RapiLog hold anything, and both and guest memory change between any two reads. Behind it an engine that is full,
 * slow, keeps writes waiting for room, or refuses.
 *
 * What must hold: the engine is asked for nothing beyond the disk's end or while it has no room; bytes of requests lie in the guest's
 * memory or in the buffer; each request that the engine took can be answered; while no queue is served, nothing changes in guest
 * memory.
 *
 * Input: byte 0: the disk's block, how much the engine takes, whether the VMM is honest; 1 byte: how many bytes of changes
 * between reads follow; these; then steps.
 */
#include "calls.h"
#include "guest_queue.h"
#include "hostile.h"
#include "virt.h"
#include <quoll/guest_queue.h>

#define RAM_BYTES 16384u
#define RING_BYTES 0x2000u /* of RAM: table, available ring, used ring */
#define AVAILABLE 0x1000u
#define USED 0x1400u
#define BUFFER_BYTES 32768u
#define SECTORS 4096u
#define MOST_SECTORS 16u

static struct engine engine;
static uint8_t *ram, *buffer, before[RAM_BYTES];
static struct guest_queue *page;
static struct block_buffers buffers;
static bool honest;
static uint32_t room, taken_count, keep_waiting, block_sectors;
static struct {
    uint64_t id;
    bool waiting; /* a write whose bytes are not copied yet */
} taken[ENGINE_REQUESTS];

/* ---- the engine ---- */

bool engine_can_take(const struct engine *asked, uint32_t volume)
{
    HOLDS(asked == &engine && volume == 0);
    return taken_count < room;
}

static void check_place(const struct block_request *request, const uint8_t *data)
{
    uint64_t bytes = (uint64_t)request->count * BLOCK_SECTOR;
    size_t in_ram = (size_t)(data - ram), in_buffer = (size_t)(data - buffer);
    bool own = in_buffer <= BUFFER_BYTES && bytes <= BUFFER_BYTES - in_buffer;
    bool guests = in_ram <= RAM_BYTES && bytes <= RAM_BYTES - in_ram;
    HOLDS(own || (guests && request->operation == BLOCK_WRITE));
    HOLDS(request->operation != BLOCK_READ || request->offset == in_buffer);
}

void engine_take(struct engine *asked, uint32_t volume, const struct block_request *request,
                 uint8_t *data)
{
    HOLDS(engine_can_take(asked, volume));
    if (request->operation != BLOCK_FLUSH) {
        HOLDS(request->operation == BLOCK_WRITE || request->operation == BLOCK_READ);
        HOLDS(request->count != 0 && request->count <= MOST_SECTORS);
        HOLDS(request->sector <= SECTORS && request->count <= SECTORS - request->sector);
        HOLDS(request->sector % block_sectors == 0 && request->count % block_sectors == 0);
        check_place(request, data);
    }
    taken[taken_count].id = request->id;
    taken[taken_count++].waiting = request->operation == BLOCK_WRITE && (keep_waiting & 1);
    keep_waiting = keep_waiting >> 1 | (keep_waiting & 1) << 7;
}

static void complete(uint32_t which, enum block_status status)
{
    uint64_t id = taken[which].id;
    taken[which] = taken[--taken_count];
    guest_queue_complete(0, id, status);
}

void engine_refuse_waiting(struct engine *asked, uint32_t volume)
{
    HOLDS(asked == &engine && volume == 0);
    for (uint32_t i = taken_count; i-- > 0;)
        if (taken[i].waiting)
            complete(i, BLOCK_IO_ERROR);
}

/* ---- RapiLog's loop ---- */

static void turn(bool takes)
{
    bool silent = honest && !guest_queue_is_served(page->served) && page->wanted == page->served;
    if (silent)
        memcpy(before, ram, RAM_BYTES);
    if (takes)
        (void)guest_queue_take(0, 0);
    else
        (void)guest_queue_answer(0, 0);
    HOLDS(!silent || memcmp(before, ram, RAM_BYTES) == 0);
}

static void answer_one(uint8_t choice)
{
    if (taken_count == 0)
        return;
    complete(choice % taken_count, choice & 0x80 ? BLOCK_IO_ERROR : BLOCK_OK);
    if (choice & 0x40)
        turn(false);
}

/* ---- the VMM and its guest ---- */

static void store(uint32_t offset, uint64_t value, uint32_t width)
{
    for (uint32_t i = 0; i < width; i++)
        ram[(offset + i) % RAM_BYTES] = (uint8_t)(value >> 8 * i);
}

static void set_up(struct input *input)
{
    uint8_t choice = input_8(input);
    page->size = 1u << (choice & 7);
    page->descriptors = VIRT_RAM;
    page->driver = VIRT_RAM + AVAILABLE;
    page->device = VIRT_RAM + USED;
    page->event_index = choice >> 3 & 1;
    page->flushes = choice >> 4 & 1;
    page->read_only = choice >> 5 == 7;
    page->wanted += choice & 0x40 ? 2 : 1;
}

static void misbehave(struct input *input)
{
    uint8_t place = input_8(input), length = input_8(input) % 16u;
    for (uint32_t i = 0; i < length && !honest; i++)
        ((uint8_t *)page)[(place + i) % sizeof(*page)] = input_8(input);
}

static void poke(struct input *input)
{
    uint32_t offset = input_16(input), length = input_8(input) % 16u;
    for (uint32_t i = 0; i < length; i++)
        store(offset + i, input_8(input), 1);
}

static void describe(uint32_t index, uint64_t address, uint32_t length, uint32_t flags)
{
    store(16 * index, address, 8);
    store(16 * index + 8, length, 4);
    store(16 * index + 12, flags, 2);
    store(16 * index + 14, index + 1, 2);
}

/* A request as an honest driver makes it: header, up to three pieces of data, status. */
static void ask(struct input *input)
{
    static const uint32_t types[] = {1, 0, 4, 8, 1, 0, 1, 2};
    uint8_t choice = input_8(input), place = input_8(input), size = input_8(input);
    uint32_t type = types[choice & 7], pieces = choice >> 3 & 3, first = place % 16u * 5;
    uint32_t header = RING_BYTES + place % 16u * 32;
    uint16_t index = (uint16_t)(ram[AVAILABLE + 2] | ram[AVAILABLE + 3] << 8);
    uint32_t entries = page->size != 0 && page->size <= 256 ? page->size : 1;
    store(header, type, 4);
    store(header + 8, choice & 0x80 ? input_64(input) : size * 8u, 8);
    describe(first, VIRT_RAM + header, 16, 1);
    for (uint32_t i = 1; i <= pieces; i++)
        describe(first + i, VIRT_RAM + RING_BYTES + 0x400 + i * 512u, size % 13 * 512u,
                 type == 1 ? 1 : 3);
    describe(first + pieces + 1, VIRT_RAM + header + 24, 1, 2);
    store(AVAILABLE + 4 + 2 * (index % entries), first, 2);
    store(AVAILABLE + 2, (uint16_t)(index + 1), 2);
}

/* ---- one life ---- */

static void start(uint8_t choice, struct input changes)
{
    static struct quoll_environment_entry entry;
    const uint64_t allowed = 1;
    if (ram == NULL) {
        ram = hostile_allocate(RAM_BYTES);
        buffer = hostile_allocate(BUFFER_BYTES);
        page = (struct guest_queue *)(void *)hostile_allocate(sizeof(*page));
    }
    memset(ram, 0, RAM_BYTES);
    memset(page, 0, sizeof(*page));
    taken_count = 0;
    block_sectors = choice & 1 ? 8 : 1;
    honest = (choice & 2) == 0;
    room = choice & 4 ? ENGINE_REQUESTS : 2;
    keep_waiting = choice;
    entry = (struct quoll_environment_entry){.address = (uintptr_t)ram, .size = RAM_BYTES};
    calls.found = &entry;
    calls.memory = page;
    calls.memory_size = sizeof(*page);
    buffers.buffer[0] = (struct block_buffer){buffer, BUFFER_BYTES, 0};
    hostile_begin(input_of(NULL, 0));
    guest_queues_find(&engine, &buffers, &allowed, 1);
    HOLDS(guest_queue_is_lent(0));
    guest_queue_ready(0, &(struct block_geometry){.sectors = SECTORS,
                                                  .abilities = choice & 1 ? BLOCK_WHOLE_BLOCKS : 0,
                                                  .physical_block = block_sectors * BLOCK_SECTOR,
                                                  .max_sectors = MOST_SECTORS,
                                                  .name = "disk"});
    hostile_begin(changes);
    hostile_area(ram, RAM_BYTES);
    if (!honest)
        hostile_area((uint8_t *)page, sizeof(*page));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    uint8_t choice = input_8(&input);
    bool bold = (choice & 2) != 0; /* memory that changes by itself cannot be compared */
    struct input changes = input_part(&input, input_8(&input));
    start(choice, bold ? changes : input_of(NULL, 0));
    while (input_more(&input)) {
        uint8_t step = input_8(&input);
        switch (step & 7) {
        case 0:
            answer_one(input_8(&input));
            break;
        case 1:
            set_up(&input);
            break;
        case 2:
            misbehave(&input);
            break;
        case 3:
            poke(&input);
            break;
        case 4:
            turn(false);
            break;
        case 5:
        case 6:
            ask(&input);
            break;
        default:
            turn(true);
            break;
        }
        if (step & 8)
            turn(true);
    }
    hostile_begin(input_of(NULL, 0));
    while (taken_count != 0)
        answer_one(0x40);
    return 0;
}
