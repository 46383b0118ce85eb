/*
 * A hostile guest, and its VMM, against RapiLog serving the guest's queue itself: settings come and go, descriptors and the page between
 * VMM and RapiLog hold anything, and both and guest memory change between any two reads. Behind it an engine that is full,
 * slow, keeps writes waiting for room, or refuses. RapiLog crashes, also in the middle of what it does, and begins anew.
 *
 * What must hold: the engine is asked for nothing beyond the disk's end or while it has no room; bytes of requests lie in the guest's
 * memory or in the buffer; each request that the engine took can be answered; while no queue is served, nothing changes in guest
 * memory. A *tame* guest, whose driver keeps the rules, gets each of its requests answered exactly once, however often RapiLog
 * crashes meanwhile.
 *
 * Input: byte 0: bit 0 the disk's block, bit 1 whether VMM and memory are hostile, bit 2 how much the engine takes, bit 3
 * whether the guest is tame, bit 4 whether the disk is known at once; 1 byte: how many bytes of changes between reads follow;
 * these; then steps.
 */
#include "calls.h"
#include "guest_queue.h"
#include "hostile.h"
#include "virt.h"
#include <quoll/guest_queue.h>

#define RAM_BYTES 20480u
#define RING_BYTES 0x2000u /* of RAM: table, available ring, used ring */
#define AVAILABLE 0x1000u
#define USED 0x1400u
#define BUFFER_BYTES 32768u
#define SECTORS 4096u
#define MOST_SECTORS 16u
#define HEADERS 0x2000u /* of RAM: what requests are made of */
#define DATA 0x2400u
#define TABLES 0x4400u
#define PLACES 16u /* requests that a driver has at a time */
#define MOST_DESCRIPTORS 6u

static struct engine engine;
static uint8_t *ram, *buffer, before[RAM_BYTES];
static struct guest_queue *page;
static struct block_buffers buffers;
static bool honest, tame, lent_away, known;
static uint32_t room, taken_count, keep_waiting, block_sectors;
static struct {
    uint64_t id;
    bool waiting; /* a write whose bytes are not copied yet */
} taken[ENGINE_REQUESTS];
static bool asked[PLACES]; /* tame: on their way */
static uint16_t answers;   /* tame: looked at so far */
static jmp_buf next_life;

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

/* ---- RapiLog's lives ---- */

static void tell_disk(void)
{
    const struct block_geometry geometry = {.sectors = SECTORS,
                                            .abilities =
                                                block_sectors == 8 ? BLOCK_WHOLE_BLOCKS : 0,
                                            .physical_block = block_sectors * BLOCK_SECTOR,
                                            .max_sectors = MOST_SECTORS,
                                            .name = "disk"};
    known = true;
    guest_queue_ready(0, &geometry);
    guest_queue_ready(1, &geometry); /* not lent: nothing to do */
}

/* What the engine had taken is not answered by the next life. */
static void begin_anew(void)
{
    const uint64_t allowed[2] = {1, 0};
    taken_count = 0;
    guest_queues_find(&engine, &buffers, allowed, 2);
    HOLDS(guest_queue_is_lent(0) == lent_away && !guest_queue_is_lent(1));
    if (known)
        tell_disk();
}

static void take_requests(void)
{
    (void)guest_queue_take(0, 0);
}

static void tell_answers(void)
{
    (void)guest_queue_answer(0, 0);
}

/* RapiLog does something; or its life ends on the way, and the next one begins. */
static void live(void (*something)(void))
{
    bool silent = honest && !guest_queue_is_served(page->served) && page->wanted == page->served;
    if (silent)
        memcpy(before, ram, RAM_BYTES);
    if (setjmp(next_life) == 0)
        something();
    else
        begin_anew();
    HOLDS(!silent || memcmp(before, ram, RAM_BYTES) == 0);
}

static void answer_one(uint8_t choice)
{
    if (taken_count == 0)
        return;
    complete(choice % taken_count, choice & 0x80 ? BLOCK_IO_ERROR : BLOCK_OK);
    if (choice & 0x40)
        live(tell_answers);
}

/* ---- the VMM and its guest ---- */

static void store(uint32_t offset, uint64_t value, uint32_t width)
{
    for (uint32_t i = 0; i < width; i++)
        ram[(offset + i) % RAM_BYTES] = (uint8_t)(value >> 8 * i);
}

static uint16_t load16(uint32_t offset)
{
    return (uint16_t)(ram[offset] | ram[offset + 1] << 8);
}

/* A reset: the driver uses its rings anew when the VMM has seen that they are not served any more. */
static void take_back(void)
{
    page->wanted = (page->wanted | 1) + 1;
    for (uint32_t i = 0; i < 3 && page->served != page->wanted; i++)
        live(take_requests);
    HOLDS(!known || page->served == page->wanted);
    memset(ram, 0, HEADERS);
    memset(asked, 0, sizeof(asked));
    answers = 0;
}

static void set_up(struct input *input)
{
    static const uint16_t sizes[] = {1, 2, 4, 8, 16, 64, 128, 256};
    uint8_t choice = input_8(input);
    if (tame)
        take_back();
    page->size = sizes[choice & 7];
    page->descriptors = VIRT_RAM;
    page->driver = VIRT_RAM + AVAILABLE;
    page->device = VIRT_RAM + USED;
    page->event_index = choice >> 3 & 1;
    page->flushes = choice >> 4 & 1;
    page->read_only = choice >> 5 == 7;
    page->wanted += (choice & 0x40) && !tame ? 2 : 1;
}

static void misbehave(struct input *input)
{
    uint8_t place = input_8(input), length = input_8(input) % 16u;
    for (uint32_t i = 0; i < length && !honest && !tame; i++)
        ((uint8_t *)page)[(place + i) % sizeof(*page)] = input_8(input);
}

static void poke(struct input *input)
{
    uint32_t offset = input_16(input), length = input_8(input) % 16u;
    for (uint32_t i = 0; i < length && !tame; i++)
        store(offset + i, input_8(input), 1);
}

struct descriptors { /* written one after the other */
    uint32_t table, first, count;
};

static void describe(struct descriptors *all, uint64_t address, uint32_t length, uint32_t flags)
{
    uint32_t index = all->first + all->count++, place = all->table + 16 * index;
    store(place, address, 8);
    store(place + 8, length, 4);
    store(place + 12, flags, 2);
    store(place + 14, index + 1, 2);
}

static uint32_t ring_size(void)
{
    return page->size != 0 && page->size <= 256 ? page->size : 1;
}

static void offer(uint32_t head, uint32_t times)
{
    uint16_t index = load16(AVAILABLE + 2);
    for (uint32_t i = 0; i < times; i++)
        store(AVAILABLE + 4 + 2 * ((index + i) % ring_size()), head, 2);
    store(AVAILABLE + 2, (uint16_t)(index + times), 2);
}

/* Whether a driver that keeps the rules can make a request at that place now. */
static bool may_ask(uint32_t place)
{
    uint32_t on_their_way = 0;
    for (uint32_t i = 0; i < PLACES; i++)
        on_their_way += asked[i];
    return !asked[place] && on_their_way < ring_size() &&
           (place + 1) * MOST_DESCRIPTORS <= ring_size();
}

/* Header, up to three pieces of data, status. */
static void describe_request(struct descriptors *all, uint32_t header, uint8_t choice, uint8_t size)
{
    static const uint32_t types[] = {1, 0, 4, 8, 1, 0, 1, 2};
    uint32_t type = types[choice & 7], pieces = choice >> 3 & 3;
    bool in_two = (choice & 0x40) != 0;
    store(header, type, 4);
    store(header + 24, 0xff, 1);
    describe(all, VIRT_RAM + header, in_two ? 6 : 16, 1);
    if (in_two)
        describe(all, VIRT_RAM + header + 6, 10, 1);
    for (uint32_t i = 1; i <= pieces; i++)
        describe(all, VIRT_RAM + DATA + i * 512u, size % 13 * 512u, type == 1 ? 1 : 3);
    describe(all, VIRT_RAM + header + 24, 1, 2);
}

/* A request as an honest driver makes it, also through an indirect table. */
static void ask(struct input *input)
{
    uint8_t choice = input_8(input), where = input_8(input), size = input_8(input);
    uint64_t sector = choice & 0x80 ? input_64(input) : size * 8u;
    uint32_t place = where % PLACES, header = HEADERS + place * 32;
    struct descriptors direct = {0, place * MOST_DESCRIPTORS, 0}, indirect = {TABLES, 0, 0};
    if (tame && !may_ask(place))
        return;
    asked[place] = true;
    indirect.table += place * MOST_DESCRIPTORS * 16;
    store(header + 8, sector, 8);
    describe_request(choice & 0x20 ? &indirect : &direct, header, choice, size);
    if (choice & 0x20)
        describe(&direct, VIRT_RAM + indirect.table, indirect.count * 16, 4);
    offer(direct.first, 1);
}

/* The same chain so many times, as no honest driver does. */
static void ask_again(struct input *input)
{
    uint8_t place = input_8(input), times = input_8(input);
    if (!tame)
        offer(place % PLACES * MOST_DESCRIPTORS, times + 1u);
}

/* ---- a tame driver looks at its answers ---- */

static uint32_t still_asked(void)
{
    uint32_t count = 0;
    for (uint32_t place = 0; place < PLACES; place++)
        count += asked[place];
    return count;
}

static void look_at_answers(void)
{
    if (!guest_queue_is_served(page->served))
        return;
    HOLDS(page->broken == 0 && known);
    for (; answers != load16(USED + 2); answers++) {
        uint32_t entry = USED + 4 + 8u * (answers % ring_size());
        uint32_t head = load16(entry), place = head / MOST_DESCRIPTORS;
        HOLDS(head % MOST_DESCRIPTORS == 0 && place < PLACES && asked[place]);
        HOLDS(ram[HEADERS + place * 32 + 24] <= 2);
        asked[place] = false;
    }
}

/* An engine that goes on answers everything, in whatever life. */
static void finish_tame(void)
{
    if (!known)
        live(tell_disk);
    for (uint32_t i = 0; i < 500 && (taken_count != 0 || still_asked() != 0); i++) {
        live(take_requests);
        answer_one(0x40);
        live(tell_answers);
        look_at_answers();
    }
    HOLDS(!guest_queue_is_served(page->wanted) || still_asked() == 0);
}

/* A driver may have put its rings so that each answer makes another request available; so it goes on for a while, then the
 * device is reset, and then there must be an end. */
static void finish(void)
{
    hostile_begin(input_of(NULL, 0));
    if (tame)
        finish_tame();
    for (uint32_t i = 0; i < ENGINE_REQUESTS && taken_count != 0; i++)
        answer_one(0x40);
    page->wanted = (page->wanted | 1) + 1;
    live(take_requests);
    for (uint32_t i = 0; i < ENGINE_REQUESTS && taken_count != 0; i++)
        answer_one(0x40);
    HOLDS(taken_count == 0);
}

/* ---- Start ---- */

static void start(uint8_t choice, struct input changes)
{
    static struct quoll_environment_entry entry;
    if (ram == NULL) {
        ram = hostile_allocate(RAM_BYTES);
        buffer = hostile_allocate(BUFFER_BYTES);
        page = (struct guest_queue *)(void *)hostile_allocate(sizeof(*page));
    }
    memset(ram, 0, RAM_BYTES);
    memset(page, 0, sizeof(*page));
    memset(asked, 0, sizeof(asked));
    answers = 0;
    block_sectors = choice & 1 ? 8 : 1;
    tame = (choice & 8) != 0;
    honest = (choice & 2) == 0;
    room = choice & 4 ? ENGINE_REQUESTS : 2;
    keep_waiting = choice;
    known = (choice & 16) == 0;
    entry = (struct quoll_environment_entry){.address = (uintptr_t)ram, .size = RAM_BYTES};
    lent_away = choice != 0xff;
    calls.found = lent_away ? &entry : NULL;
    calls.memory = page;
    calls.memory_size = sizeof(*page);
    buffers.buffer[0] = (struct block_buffer){buffer, BUFFER_BYTES, 0};
    hostile_begin(input_of(NULL, 0));
    begin_anew();
    hostile_begin(changes);
    hostile_area(ram, RAM_BYTES);
    if (!honest)
        hostile_area((uint8_t *)page, sizeof(*page));
}

/* What happens seldom; `which`: 4 bits. */
static void seldom(uint8_t which, struct input *input)
{
    switch (which) {
    case 1:
        live(begin_anew);
        break;
    case 2:
        ask_again(input);
        break;
    case 3:
        hostile_ends_life(input_8(input), &next_life);
        break;
    case 4:
        if (!known)
            live(tell_disk);
        break;
    default:
        live(take_requests);
        break;
    }
}

static void happen(uint8_t step, struct input *input)
{
    switch (step & 7) {
    case 0:
        answer_one(input_8(input));
        break;
    case 1:
        set_up(input);
        break;
    case 2:
        misbehave(input);
        break;
    case 3:
        poke(input);
        break;
    case 4:
        live(tell_answers);
        break;
    case 5:
    case 6:
        ask(input);
        break;
    default:
        seldom(step >> 4, input);
        break;
    }
    if (step & 8)
        live(take_requests);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    uint8_t choice = input_8(&input);
    struct input changes = input_part(&input, input_8(&input));
    bool bold = (choice & 10) == 2; /* memory that changes by itself cannot be compared */
    start(choice, bold ? changes : input_of(NULL, 0));
    while (input_more(&input) && lent_away) {
        happen(input_8(&input), &input);
        if (tame)
            look_at_answers();
    }
    if (lent_away)
        finish();
    return 0;
}
