/*
 * A hostile guest against the virtio block device: registers, descriptors, requests, and guest memory that changes between any two
 * reads; at the same time a disk whose server is honest, slow, failing, or as hostile as the guest. The queue is served by the device,
 * or lent to the disk's server. The VMM crashes, also in the middle of what it does, and begins anew.
 *
 * What must hold: nothing outside the guest's RAM and the disk's buffer is touched; extents of requests at the disk never overlap and
 * lie in the buffer; the disk is asked for nothing beyond its end. While the queue is lent the device leaves the guest's memory
 * alone; after a reset it is served by nobody, and a queue that was being taken back is not lent again before its driver has set it
 * up anew. A *tame* driver, which keeps the rules, gets each request answered exactly once, however often the VMM crashes meanwhile.
 *
 * Input: byte 0: disk's abilities (4 bits), 4 KiB blocks, read-only, write-through, queue size; byte 1: bit 0 the queue is lent, bit 1
 * to a hostile server, bit 2 a tame driver, bit 3 a queue of 256 entries; 1 byte: how many bytes of changes between reads follow
 * (odd: of the link to the disk as well); these; then steps.
 */
#include "../link.h"
#include "calls.h"
#include "driver.h"
#include "virtio/block.h"

#define BUFFER_BYTES 32768u
#define SECTORS 4096u
#define PLACES 16u /* requests that a tame driver has at a time */
#define DESCRIPTORS 5u
#define WAKE_UP 4u /* signal of the server that has let go */

/* What the server of a lent queue does when the device waits for it; then it lets go. */
enum plan { PLAN_LET_GO, PLAN_VMM_DIES, PLAN_LINK_FAILS, PLAN_NONSENSE_FIRST, PLANS };

static struct virtio_block block;
static struct driver driver;
static struct block_client client;
static struct block_server server;
static struct block_link *link_memory;
static struct guest_queue *page;
static uint8_t *buffer, before[DRIVER_RAM];
static uint64_t pending[BLOCK_RING_ENTRIES];
static uint32_t pending_count;
static bool server_honest;
static struct virtio_block_setup wanted;

static struct virtio_device saved;                        /* what outlives the VMM: registers, */
static struct virtqueue_record record[VIRTIO_MAX_QUEUES]; /* chains */
static jmp_buf next_life;
static bool restarted;

static bool lent, page_honest, bold;
static bool used;      /* lent: rings that the driver has not set up since */
static uint64_t heard; /* signals that arrived while the device waited */
static enum plan plan;

static bool tame, setting_up;
static uint32_t entries;   /* of the queue, as the driver sets it up */
static bool asked[PLACES]; /* on their way */
static uint16_t answers;   /* looked at so far */

/* ---- The server of a lent queue ---- */

static bool is_lent(void)
{
    return lent && !block.data.failed;
}

static void note_lent(void)
{
    used = used || (lent && guest_queue_is_served(page->wanted));
}

static uint64_t server_lets_go(void)
{
    enum plan now = plan;
    HOLDS(is_lent());
    plan = PLAN_LET_GO;
    note_lent();
    switch (now) {
    case PLAN_VMM_DIES:
        longjmp(next_life, 1);
    case PLAN_LINK_FAILS:
        block_server_failed(&server, "gone");
        break;
    case PLAN_NONSENSE_FIRST:
        page->served = ~block.setting;
        break;
    default:
        page->served = block.setting;
        break;
    }
    heard |= WAKE_UP;
    return WAKE_UP;
}

/* Does something that leaves guest memory alone while the queue is lent. */
static void quietly(void (*something)(void))
{
    bool silent = is_lent() && !bold;
    if (silent)
        memcpy(before, driver.ram.bytes, DRIVER_RAM);
    something();
    HOLDS(!silent || !is_lent() || memcmp(before, driver.ram.bytes, DRIVER_RAM) == 0);
}

static void look_at_disk(void)
{
    virtio_block_completions(&block);
}

static void look_at_queue(void)
{
    block.device.notify(&block.device);
}

/* After a reset nobody serves the queue. A server that is gone has let go, too. */
static void check_not_served(void)
{
    if (is_lent() && page_honest && client.state == BLOCK_LINK_READY)
        HOLDS(!guest_queue_is_served(page->wanted) && page->served == page->wanted);
}

/* ---- The VMM's lives ---- */

static void make_device(void)
{
    memset(&block, 0, sizeof(block));
    for (uint32_t i = 0; i < VIRTIO_MAX_QUEUES; i++)
        block.device.queue[i].record = &record[i];
    virtio_block_start(&block, &wanted);
}

/* After each write to a register. */
static void save(void)
{
    bool reset = saved.status != 0 && block.device.status == 0;
    saved = block.device;
    note_lent();
    if (reset)
        check_not_served();
    if (saved.status == 0 || !saved.queue[0].ready)
        used = false;
}

/* The client of a life that is over: its requests come back, then the next life's session is opened. */
static void reopen_link(void)
{
    struct block_request request;
    block_client_attach(&client, link_memory, 0, 2);
    (void)block_client_state(&client);
    (void)block_server_take(&server, &request);
    while (pending_count != 0)
        block_server_complete(&server, pending[--pending_count], BLOCK_OK);
    link_open(&server, &client);
}

/* False: what is found is not possible. As vmm/survival.c does it. */
static bool resume(void)
{
    struct virtio_device *device = &block.device;
    struct virtqueue *queue = &device->queue[0];
    if ((saved.accepted & ~device->features) != 0 && (saved.status & VIRTIO_FEATURES_OK) != 0)
        return false;
    device->accepted = saved.accepted;
    device->status = saved.status;
    device->features_select = saved.features_select;
    device->accepted_select = saved.accepted_select;
    device->queue_select = saved.queue_select;
    queue->size = saved.queue[0].size;
    queue->descriptors = saved.queue[0].descriptors;
    queue->driver = saved.queue[0].driver;
    queue->device = saved.queue[0].device;
    if (saved.queue[0].ready &&
        !virtqueue_resume(queue, device->ram, (saved.accepted & VIRTIO_F_RING_EVENT_IDX) != 0))
        return false;
    if (virtio_running(device))
        virtio_interrupt_again(device);
    virtio_block_resume(&block);
    return true;
}

static void set_up(void)
{
    setting_up = true;
    driver_reset(&driver);
    if (tame)
        memset(driver.ram.bytes, 0, DRIVER_DATA);
    memset(asked, 0, sizeof(asked));
    answers = 0;
    driver_set_up(&driver, block.device.features, entries);
    setting_up = false;
}

/* As vmm/life.c does it. */
static void start_new_guest(void)
{
    driver_reset(&driver);
    if (virtio_block_is_quiet(&block))
        virtio_block_new_guest(&block);
    set_up();
}

static void begin_anew(void)
{
    note_lent();
    bool taken_back = used && !guest_queue_is_served(page->wanted);
    restarted = true;
    heard = 0;
    reopen_link();
    make_device();
    driver_attach(&driver, &block.device);
    bool good = resume();
    if (block.device.again)
        look_at_queue();
    HOLDS(!taken_back || !page_honest || !guest_queue_is_served(page->wanted));
    if (!good)
        driver_reset(&driver);
    if (tame && (!good || setting_up))
        set_up();
}

/* ---- Start ---- */

static void allocate(void)
{
    if (link_memory != NULL)
        return;
    link_memory = (struct block_link *)(void *)hostile_allocate(BLOCK_LINK_BYTES);
    page = (struct guest_queue *)(void *)hostile_allocate(sizeof(*page));
    buffer = hostile_allocate(BUFFER_BYTES);
    driver.wrote = save;
    calls.wait = server_lets_go;
}

static void start_link(uint8_t choice)
{
    struct block_geometry geometry = {.sectors = SECTORS,
                                      .abilities = choice & 15,
                                      .physical_block = choice & 16 ? 4096 : 512,
                                      .max_sectors = 8u << (choice >> 6),
                                      .name = "disk"};
    memset(link_memory, 0, sizeof(*link_memory));
    block_server_attach(&server, link_memory, 0, 1, NULL, UINT64_MAX);
    block_server_ready(&server, &geometry);
    block_client_attach(&client, link_memory, 0, 2);
    link_open(&server, &client);
    if (choice == 0xff)
        client.state = BLOCK_LINK_FAILED;
    pending_count = 0;
}

static void start(uint8_t choice, uint8_t more, struct input *input)
{
    uint8_t changes = input_8(input);
    allocate();
    hostile_begin(input_part(input, changes));
    bold = changes != 0;
    server_honest = (changes & 1) == 0;
    lent = (more & 1) != 0;
    page_honest = (more & 2) == 0;
    tame = (more & 4) != 0 && !lent && !bold;
    entries = tame || (more & 8) ? 256 : choice & 128 ? 16 : 4;
    restarted = used = setting_up = false;
    heard = 0;
    plan = PLAN_LET_GO;
    memset(record, 0, sizeof(record));
    memset(page, 0, sizeof(*page));
    if (!server_honest)
        hostile_area((uint8_t *)link_memory, sizeof(*link_memory));
    if (!page_honest)
        hostile_area((uint8_t *)page, sizeof(*page));
    if (!bold) /* it is the VMM's own, but a life may end where it is read */
        hostile_area((uint8_t *)record, sizeof(record));
    hostile_pause();
    start_link(choice);
    wanted = (struct virtio_block_setup){.disk = &client,
                                         .buffer = buffer,
                                         .buffer_size = BUFFER_BYTES,
                                         .read_only = (choice & 32) != 0,
                                         .write_through = (choice & 64) != 0,
                                         .serial = "serial",
                                         .lent = lent ? page : NULL};
    make_device();
    driver_start(&driver, &block.device);
    saved = block.device;
    hostile_resume();
}

/* ---- What must hold ---- */

/* After a restart a driver that had one chain twice in the queue gets one answer less. */
static void check_held(uint32_t held)
{
    const struct virtqueue *queue = &block.device.queue[0];
    if (!restarted || tame)
        driver_check_queue(queue, is_lent() ? 0 : held + queue->again_count);
    else if (queue->ready)
        HOLDS(queue->size != 0 && queue->size <= VIRTQUEUE_MAX_SIZE);
}

static void check_requests(void)
{
    uint64_t in_use[VIRTIO_BLOCK_CHUNKS / 64] = {0};
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
            HOLDS((in_use[chunk / 64] >> chunk % 64 & 1) == 0);
            in_use[chunk / 64] |= UINT64_C(1) << chunk % 64;
        }
    }
    HOLDS(memcmp(in_use, block.data.in_use, sizeof(in_use)) == 0);
    HOLDS(orphans == block.data.orphans);
    check_held(held);
}

static void check_signals(void)
{
    HOLDS(virtio_block_missed_signals(&block) == heard);
    heard = 0;
}

static uint16_t load16(uint32_t offset)
{
    return (uint16_t)(driver.ram.bytes[offset] | driver.ram.bytes[offset + 1] << 8);
}

/* A tame driver looks at its answers. */
static void look_at_answers(void)
{
    HOLDS((block.device.status & VIRTIO_NEEDS_RESET) == 0);
    for (; answers != load16(DRIVER_USED + 2); answers++) {
        uint32_t head = load16(DRIVER_USED + 4 + 8u * (answers % block.device.queue[0].size));
        uint32_t place = head / DESCRIPTORS;
        HOLDS(head % DESCRIPTORS == 0 && place < PLACES && asked[place]);
        HOLDS(driver.ram.bytes[DRIVER_DATA + place * 64 + 32] <= 2);
        asked[place] = false;
    }
}

/* ---- The disk ---- */

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
    uint64_t id = pending[which];
    pending[which] = pending[--pending_count]; /* first: a life may end where the link is read */
    block_server_complete(&server, id, choice & 0x80 ? BLOCK_IO_ERROR : BLOCK_OK);
    block_server_publish(&server);
    quietly(look_at_disk);
}

static void hostile_server(struct input *input)
{
    uint32_t offset = input_16(input), length = input_8(input) % 32u;
    uint8_t *memory = !page_honest && (offset & 0x8000) ? (uint8_t *)page : (uint8_t *)link_memory;
    size_t size = memory == (uint8_t *)page ? sizeof(*page) : sizeof(*link_memory);
    server_honest = server_honest && memory == (uint8_t *)page;
    for (uint32_t i = 0; i < length; i++)
        memory[(offset + i) % size] = input_8(input);
    quietly(look_at_disk);
}

/* The server of a lent queue follows, or finds that the driver broke the queue's rules. */
static void server_acts(uint8_t choice)
{
    page->served = page->wanted;
    if (choice & 1)
        page->broken = page->wanted;
    plan = choice >> 1 & (PLANS - 1);
    quietly(look_at_disk);
}

/* ---- The driver ---- */

/* A request as an honest driver makes it: header, up to two pieces of data, status. */
static void ask(struct input *input)
{
    static const uint32_t types[] = {0, 1, 4, 8, 1, 0, 4, 2};
    uint8_t choice = input_8(input), where = input_8(input);
    uint32_t type = types[choice & 7], size = input_8(input), pieces = choice >> 3 & 3;
    uint64_t sector = choice & 0x80 ? input_64(input) : input_8(input) * 8u;
    uint32_t place = where % PLACES;
    uint8_t *header = driver.ram.bytes + DRIVER_DATA + place * 64;
    if (tame && asked[place])
        return;
    asked[place] = true;
    memcpy(header, &type, 4);
    memcpy(header + 8, &sector, 8);
    header[32] = 0xff;
    uint64_t own = VIRT_RAM + DRIVER_DATA + place * 64;
    struct driver_buffer buffers[DESCRIPTORS] = {{own, 16}};
    uint32_t count = 1;
    for (; count <= pieces; count++)
        buffers[count] =
            (struct driver_buffer){VIRT_RAM + DRIVER_DATA + 0x400 + count * 512u, size % 25 * 512u};
    buffers[count++] = (struct driver_buffer){own + 32, 1};
    uint16_t head = (uint16_t)(tame ? place * DESCRIPTORS : where >> 4);
    driver_add(&driver, 0, head, buffers, type == 1 ? count - 1 : 1, count);
    if (choice & 0x20)
        quietly(look_at_queue);
}

/* The same chain so many times, as no honest driver does. */
static void ask_again(struct input *input)
{
    uint8_t head = input_8(input);
    for (uint32_t times = input_8(input) + 1u; times != 0; times--)
        driver_offer(&driver, 0, head % 16);
    quietly(look_at_queue);
}

static void look_into_empty_slot(uint8_t choice)
{
    struct access access = {choice * 4u, UINT64_MAX, 4, 0};
    virtio_empty_slot(&access);
    HOLDS(access.value <= 2 || access.address == 0); /* no device id */
}

/* What a tame driver does not do. */
static void be_hostile(uint8_t step, struct input *input)
{
    switch (step) {
    case 1:
        hostile_server(input);
        break;
    case 33:
        look_into_empty_slot(input_8(input));
        break;
    case 41:
        ask_again(input);
        break;
    case 49:
        if (lent)
            server_acts(input_8(input));
        break;
    default:
        driver_step(&driver, input);
        break;
    }
}

static void happen(uint8_t step, struct input *input)
{
    if ((step & 7) == 0)
        answer_one(input_8(input));
    else if ((step & 7) == 4)
        ask(input);
    else if (step == 9)
        block_server_failed(&server, "gone"), quietly(look_at_disk);
    else if (step == 17)
        begin_anew();
    else if (step == 25)
        hostile_ends_life(input_8(input), &next_life);
    else if (step == 57)
        set_up();
    else if (step == 65)
        start_new_guest();
    else if (!tame)
        be_hostile(step, input);
}

/* Does something, or the VMM's life ends on the way, and the next one begins. */
static void live(void (*something)(uint8_t, struct input *), uint8_t step, struct input *input)
{
    if (setjmp(next_life) == 0)
        something(step, input);
    else
        begin_anew();
    note_lent();
    check_requests();
    check_signals();
    if (tame)
        look_at_answers();
}

/* ---- The end ---- */

static void answer_all(void)
{
    for (uint32_t i = 0; i < 4 * BLOCK_RING_ENTRIES && block.data.flights != 0; i++)
        answer_one(0);
}

static void finish_tame(void)
{
    for (uint32_t i = 0; i < 4 * BLOCK_RING_ENTRIES; i++) {
        look_at_queue();
        answer_one(0);
    }
    look_at_answers();
    for (uint32_t place = 0; place < PLACES; place++)
        HOLDS(!asked[place]);
}

/* Ends as an honest disk does: what it has taken, it answers. A driver may have put its rings so that each answer makes
 * another request available; so it goes on for a while, then the device is reset, and then there must be an end. */
static void finish(uint8_t step, struct input *input)
{
    plan = PLAN_LET_GO;
    answer_all();
    if (tame)
        finish_tame();
    driver_reset(&driver);
    answer_all();
    memset(asked, 0, sizeof(asked));
    answers = load16(DRIVER_USED + 2);
    HOLDS(!server_honest || (block.data.flights == 0 && block.data.orphans == 0));
}

static void first_set_up(uint8_t step, struct input *input)
{
    set_up();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    uint8_t choice = input_8(&input), more = input_8(&input);
    start(choice, more, &input);
    live(first_set_up, 0, &input);
    while (input_more(&input)) {
        uint8_t step = input_8(&input);
        live(happen, step, &input);
    }
    hostile_begin(input_of(NULL, 0));
    live(finish, 0, &input);
    return 0;
}
