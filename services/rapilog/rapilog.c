/*
 * RapiLog: a filter between a VM's virtual disks and the volume service. It acknowledges a write as soon as the bytes
 * are in its own memory, which no guest, VMM or driver can write, and brings them to the disk behind that; on loss of
 * mains it drains what is left within the hold-up time.
 *
 * This file is the transport: block links on both sides, signals, the timer. What is done with requests is in
 * engine.c and its siblings. One thread; client link N is stored on disk link N; the disk link behind the last of
 * these, if there is one, is the dump area.
 *
 * The region "dirty" holds, in this order: a header (kept.h), the slots' administration, the hash buckets, the order of an
 * epoch in the dump area, the scratch memory of the measurement, the journal's memory, the slots' data. The disk reads it by
 * DMA, and writes the scratch memory, and the others when the dump area is read.
 */
#include "engine.h"
#include "guest_queue.h"
#include "kept.h"

#include <quoll/block_io.h>
#include <quoll/quoll.h>
#include <string.h>

#define SMALLEST_DIRTY (UINT64_C(1) << 20)
#define SMALLEST_SCRATCH (UINT64_C(64) * BLOCK_SECTOR)
#define ROUNDING 8u /* pages: what the parts of the region are rounded up by, together */
#define LARGEST_SCRATCH ((uint64_t)MEASURE_MOST_SECTORS * BLOCK_SECTOR)

struct flushes { /* of a disk that needs none: to be answered */
    uint64_t id[ENGINE_COMMANDS];
    uint32_t count;
};

enum disk_state { DISK_AWAITED, DISK_USED, DISK_UNUSABLE, DISK_GONE };

static struct {
    uint32_t count;              /* clients */
    uint32_t disks;              /* of them, and the dump area */
    uint32_t drained;            /* channel */
    uint32_t resumed;            /* channel; only with `back` */
    uint64_t mains, back, drain; /* signals; 0: not connected */
    uint64_t armed;              /* the timer's deadline, ns */
    bool unsettled;              /* something is to be answered in the place of a disk */
    uint32_t awake;              /* bit n: disk n was not left asleep, and has to be looked at */
    enum disk_state state[CONFIG_MAX_CLIENTS + 1];
    struct block_server server[CONFIG_MAX_CLIENTS];
    /* large, so last */
    struct flushes flushes[CONFIG_MAX_CLIENTS + 1];
    struct block_client disk[CONFIG_MAX_CLIENTS + 1];
    struct block_buffers buffers;
    struct engine engine;
} rapilog;

/* ---- What the engine asks for ---- */

static bool answer_flush_later(struct flushes *flushes, uint64_t id)
{
    if (flushes->count == ENGINE_COMMANDS)
        return false;
    flushes->id[flushes->count++] = id;
    rapilog.unsettled = true;
    return true;
}

bool engine_port_submit(uint32_t volume, const struct block_request *request)
{
    bool cached = (rapilog.disk[volume].geometry.abilities & BLOCK_VOLATILE_CACHE) != 0;
    /* A disk that is gone takes everything; settle() then answers. */
    if (rapilog.state[volume] == DISK_GONE) {
        rapilog.unsettled = true;
        return true;
    }
    if (request->operation == BLOCK_FLUSH && !cached)
        return answer_flush_later(&rapilog.flushes[volume], request->id);
    return block_client_submit(&rapilog.disk[volume], request);
}

void engine_port_complete(uint32_t volume, uint64_t id, enum block_status status)
{
    if (guest_queue_is_lent(volume))
        guest_queue_complete(volume, id, status);
    else
        block_server_complete(&rapilog.server[volume], id, status);
}

void engine_port_serving(uint32_t volume)
{
    struct block_geometry geometry = rapilog.disk[volume].geometry;
    geometry.abilities &= ~(uint32_t)BLOCK_VOLATILE_CACHE;
    guest_queue_ready(volume, &geometry);
    block_server_ready(&rapilog.server[volume], &geometry);
}

void engine_port_refused(uint32_t volume, const char *reason)
{
    block_server_failed(&rapilog.server[volume], reason);
}

void engine_port_drained(void)
{
    (void)quoll_signal(rapilog.drained);
}

/* ---- Disks ---- */

static uint64_t now_ns(void)
{
    return quoll_ns_from_ticks(quoll_now());
}

/* NULL: the disk can be used. */
static const char *objection(const struct block_geometry *geometry)
{
    bool read_only = (geometry->abilities & BLOCK_IS_READ_ONLY) != 0;
    if ((geometry->abilities & BLOCK_CAN_FLUSH) == 0 && !read_only)
        return "the disk cannot flush; RapiLog needs one that can";
    if ((geometry->abilities & BLOCK_WHOLE_BLOCKS) != 0 && geometry->physical_block > BUFFER_BLOCK)
        return "RapiLog cannot use a disk with blocks above 4096 bytes";
    return NULL;
}

static void refuse_disk(uint32_t number, const char *reason)
{
    rapilog.state[number] = DISK_UNUSABLE;
    engine_disk_unusable(&rapilog.engine);
    quoll_log("disk%u cannot be used: %s", number, reason);
    if (number < rapilog.count)
        block_server_failed(&rapilog.server[number], reason);
    if (rapilog.disks > rapilog.count)
        quoll_log("RapiLog with a dump area serves no volume until all its disks can be used");
}

static void use_disk(uint32_t number)
{
    const struct block_geometry *geometry = &rapilog.disk[number].geometry;
    const char *reason = objection(geometry);
    if (reason != NULL) {
        refuse_disk(number, reason);
        return;
    }
    uint32_t most = geometry->max_sectors;
    if (most > BUFFER_BLOCK_SECTORS)
        most -= most % BUFFER_BLOCK_SECTORS;
    rapilog.state[number] = DISK_USED;
    engine_disk_ready(&rapilog.engine, number, geometry->name, geometry->sectors, most,
                      (geometry->abilities & BLOCK_IS_READ_ONLY) != 0, now_ns());
}

static void lose_disk(uint32_t number)
{
    rapilog.state[number] = DISK_GONE;
    rapilog.unsettled = true;
    quoll_log("disk%u is gone: %s. Acknowledged data that was not written yet is kept, but cannot "
              "get to it",
              number, rapilog.disk[number].reason);
}

/* Nothing of a former life is on its way any more, on no link: measurements of all volumes use the same memory, and an old
 * read that arrived late would be written back to another volume. */
static bool former_life_is_over(void)
{
    for (uint32_t number = 0; number < rapilog.disks; number++)
        if (block_client_state(&rapilog.disk[number]) == BLOCK_LINK_STARTING)
            return false;
    return true;
}

static void look_at_disk(uint32_t number)
{
    enum block_link_state link = block_client_state(&rapilog.disk[number]);
    if (rapilog.state[number] == DISK_AWAITED && link == BLOCK_LINK_READY && former_life_is_over())
        use_disk(number);
    else if (rapilog.state[number] == DISK_AWAITED && link == BLOCK_LINK_FAILED)
        refuse_disk(number, rapilog.disk[number].reason);
    struct block_completion completion;
    while (block_client_take(&rapilog.disk[number], &completion))
        engine_disk_done(&rapilog.engine, number, completion.id,
                         (enum block_status)completion.status, now_ns());
    if (rapilog.state[number] == DISK_USED && link == BLOCK_LINK_FAILED)
        lose_disk(number);
}

/* What a disk without a volatile cache has completed is on stable storage: a FLUSH is done when it is asked for. */
static bool settle_flushes(uint32_t number)
{
    struct flushes due;
    if (rapilog.flushes[number].count == 0)
        return false;
    due = rapilog.flushes[number]; /* an answer may make the engine ask again */
    rapilog.flushes[number].count = 0;
    for (uint32_t i = 0; i < due.count; i++)
        engine_disk_done(&rapilog.engine, number, due.id[i], BLOCK_OK, now_ns());
    return true;
}

/* True when something was answered in the place of a disk. */
static bool settle(void)
{
    bool any = false;
    if (!rapilog.unsettled)
        return false;
    rapilog.unsettled = false;
    for (uint32_t number = 0; number < rapilog.disks; number++) {
        any = settle_flushes(number) || any;
        if (rapilog.state[number] == DISK_GONE)
            any = engine_disk_gone(&rapilog.engine, number, now_ns()) || any;
    }
    return any;
}

/* ---- Clients ---- */

/* The link of a lent queue: the session is opened there, and that is all it is for. */
static void refuse_requests(uint32_t number)
{
    struct block_request request;
    while (block_server_take(&rapilog.server[number], &request)) {
        block_server_complete(&rapilog.server[number], request.id, BLOCK_BAD_REQUEST);
        block_server_publish(&rapilog.server[number]);
    }
}

static void take_requests(uint32_t number)
{
    struct block_server *server = &rapilog.server[number];
    struct block_request request;
    while (engine_can_take(&rapilog.engine, number) && block_server_take(server, &request)) {
        uint8_t *base = NULL;
        if (request.operation != BLOCK_FLUSH)
            base = rapilog.buffers.buffer[request.buffer].address;
        if (base == NULL && request.operation != BLOCK_FLUSH)
            block_server_complete(server, request.id, BLOCK_BAD_REQUEST);
        else
            engine_take(&rapilog.engine, number, &request,
                        base == NULL ? NULL : base + request.offset);
    }
}

/* ---- The loop ---- */

static void act_on(uint64_t signals)
{
    /* Mains first: nothing that arrived with it may be answered any more. When it came together with `back`, it was earlier:
     * the supervisor waits for `resumed` before it tells of the next loss. */
    if ((signals & rapilog.mains) != 0)
        engine_mains(&rapilog.engine);
    if ((signals & rapilog.back) != 0) {
        engine_mains_back(&rapilog.engine);
        (void)quoll_signal(rapilog.resumed);
    }
    if ((signals & rapilog.drain) != 0)
        engine_drain(&rapilog.engine);
}

/* Takes what the clients ask for; true when one of them has more. */
static bool take_all(void)
{
    bool more = false;
    for (uint32_t number = 0; number < rapilog.disks; number++) {
        if (rapilog.state[number] == DISK_AWAITED)
            rapilog.awake |= UINT32_C(1) << number;
        if ((rapilog.awake >> number & 1) != 0)
            look_at_disk(number);
    }
    for (uint32_t number = 0; number < rapilog.count; number++) {
        if (!guest_queue_is_lent(number)) {
            take_requests(number);
            continue;
        }
        refuse_requests(number);
        more = guest_queue_take(number, rapilog.server[number].channel) || more;
    }
    return more;
}

/* True when the engine has something to do because of it. Answers first: on a shared core the disk's services would
 * otherwise run before the guest goes on. */
static bool tell_clients(void)
{
    bool more = settle();
    for (uint32_t number = 0; number < rapilog.count; number++) {
        if (guest_queue_is_lent(number))
            more = guest_queue_answer(number, rapilog.server[number].channel) || more;
        else
            block_server_publish(&rapilog.server[number]);
    }
    return more;
}

static uint64_t pass(void)
{
    uint64_t deadline;
    bool more = take_all();
    do
        deadline = engine_step(&rapilog.engine, now_ns());
    while (tell_clients());
    for (uint32_t number = 0; number < rapilog.disks; number++)
        block_client_publish(&rapilog.disk[number]);
    more = engine_rest(&rapilog.engine) || more;
    return more ? 0 : deadline;
}

/* False when something has arrived meanwhile. A disk that does not signal stays asleep through any number of passes. A link
 * whose requests cannot be taken now is not slept on. */
static bool fall_asleep(void)
{
    bool quiet = true;
    for (uint32_t left = rapilog.awake; left != 0; left &= left - 1) {
        uint32_t number = (uint32_t)__builtin_ctz(left);
        if (block_client_sleep(&rapilog.disk[number]))
            rapilog.awake &= ~(UINT32_C(1) << number);
        else
            quiet = false;
    }
    for (uint32_t number = 0; number < rapilog.count; number++)
        if (engine_can_take(&rapilog.engine, number))
            quiet = block_server_sleep(&rapilog.server[number]) && quiet;
    return quiet;
}

static void wake_up(uint64_t signals)
{
    for (uint32_t number = 0; number < rapilog.disks; number++)
        if ((signals & rapilog.disk[number].signal) != 0)
            rapilog.awake |= UINT32_C(1) << number;
    for (uint32_t left = rapilog.awake; left != 0; left &= left - 1)
        block_client_awake(&rapilog.disk[__builtin_ctz(left)]);
    for (uint32_t number = 0; number < rapilog.count; number++)
        block_server_awake(&rapilog.server[number]);
}

static void arm(uint64_t deadline_ns)
{
    if (deadline_ns == rapilog.armed)
        return;
    rapilog.armed = deadline_ns;
    (void)quoll_timer_set(deadline_ns == ENGINE_NEVER ? QUOLL_NEVER
                                                      : quoll_ticks_from_ns(deadline_ns) + 1);
}

/* Waits for signals, or only takes what is pending when there is work: a busy client must not hide loss of mains. */
static uint64_t take_signals(uint64_t deadline_ns)
{
    bool quiet = fall_asleep();
    arm(quiet ? deadline_ns : 0);
    uint64_t signals = quoll_wait();
    if ((signals & QUOLL_SIGNAL_TIMER) != 0)
        rapilog.armed = ENGINE_NEVER;
    wake_up(signals);
    return signals;
}

/* ---- Start ---- */

static uint64_t optional_signal(const char *name)
{
    return quoll_find(QUOLL_ENVIRONMENT_RECEIVE, name) == NULL ? 0 : quoll_receive(name);
}

static uint64_t page_aligned(uint64_t bytes)
{
    return (bytes + QUOLL_PAGE_SIZE - 1) / QUOLL_PAGE_SIZE * QUOLL_PAGE_SIZE;
}

static uint32_t power_of_two_above(uint32_t value)
{
    uint32_t power = 1;
    while (power < value)
        power *= 2;
    return power;
}

static uint64_t scratch_size(uint64_t region)
{
    uint64_t size = region / 8 / QUOLL_PAGE_SIZE * QUOLL_PAGE_SIZE;
    if (size < SMALLEST_SCRATCH)
        size = SMALLEST_SCRATCH;
    return size < LARGEST_SCRATCH ? size : LARGEST_SCRATCH;
}

_Static_assert(BUFFER_BLOCK == BUFFER_SECTOR * BUFFER_BLOCK_SECTORS, "a block is whole sectors");

/* Not the first life since the kernel has started the component. */
static bool started_before __attribute__((section(".surviving")));

static enum kept_past past_in(const struct kept_header *header, uint64_t layout)
{
    if (!kept_header_sound(header, layout))
        return KEPT_NOTHING;
    return started_before ? KEPT_RESTARTED : KEPT_RESET;
}

/* Divides the region "dirty" and starts the engine on it. */
static void divide(uint8_t *dirty, uint64_t size, struct engine_setup *setup)
{
    uint64_t scratch = scratch_size(size);
    uint64_t per_slot = BUFFER_BLOCK + sizeof(struct buffer_slot) + 3 * sizeof(uint32_t) +
                        BUFFER_BLOCK / DUMP_CHUNK;
    struct kept_header *header = (struct kept_header *)(void *)dirty;
    uint64_t slots = (size - scratch - ROUNDING * QUOLL_PAGE_SIZE) / per_slot;
    if (slots > BUFFER_MAX_SLOTS)
        slots = BUFFER_MAX_SLOTS;
    uint32_t buckets = power_of_two_above((uint32_t)slots / 2 + 1);
    uint64_t slots_at = page_aligned(sizeof(*header));
    uint64_t buckets_at = page_aligned(slots_at + slots * sizeof(struct buffer_slot));
    uint64_t order_at = page_aligned(buckets_at + buckets * sizeof(uint32_t));
    setup->scratch_offset = page_aligned(order_at + slots * sizeof(uint32_t));
    setup->scratch_sectors = (uint32_t)(scratch / BLOCK_SECTOR);
    setup->journal_offset = setup->scratch_offset + scratch;
    setup->journal_order = (uint32_t *)(void *)(dirty + order_at);
    setup->journal_memory = dirty + setup->journal_offset;
    setup->slots_offset =
        setup->journal_offset + (uint64_t)journal_blocks((uint32_t)slots) * DUMP_BLOCK;
    QUOLL_ASSERT(setup->slots_offset + slots * BUFFER_BLOCK <= size);
    setup->kept = header;
    engine_init(&rapilog.engine, setup, (struct buffer_slot *)(void *)(dirty + slots_at),
                (uint32_t)slots, (uint32_t *)(void *)(dirty + buckets_at), buckets,
                dirty + setup->slots_offset);
    uint64_t layout = size ^ slots << 40 ^ (uint64_t)setup->volume_count << 24;
    engine_restore(&rapilog.engine, past_in(header, layout));
    kept_header_write(header, layout);
    /* Last: a life that ends before has perhaps not looked at all data, and the next one must. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    started_before = true;
}

static void start(void)
{
    struct rapilog_config config;
    memset(&rapilog, 0, sizeof(rapilog));
    memcpy(&config, quoll_memory("config", sizeof(config)), sizeof(config));
    if (config.client_count > CONFIG_MAX_CLIENTS)
        quoll_fail("config: client_count is %u; at most %u are possible", config.client_count,
                   CONFIG_MAX_CLIENTS);
    if (config.mode == RAPILOG_MODE_HELD_ORDERED && config.has_dump == 0)
        quoll_fail("config: `held ordered` without a dump area");
    rapilog.count = config.client_count;
    rapilog.disks = config.client_count + (config.has_dump != 0 ? 1 : 0);
    rapilog.armed = ENGINE_NEVER;
    rapilog.mains = optional_signal("mains");
    rapilog.back = optional_signal("mains-back");
    if (rapilog.back != 0)
        rapilog.resumed = quoll_handle("resumed", QUOLL_OBJECT_CHANNEL);
    rapilog.drain = optional_signal("drain");
    rapilog.drained = quoll_handle("drained", QUOLL_OBJECT_CHANNEL);
    if (config.hold_up_ns != 0 && rapilog.mains == 0)
        quoll_log("WARNING: hold_up is given, but no power-fail signal \"mains\" is connected");
    struct engine_setup setup = {
        .volume_count = config.client_count,
        .buffer_number = config.buffer,
        .dirty_limit = config.dirty_limit,
        .limits = {rapilog.mains == 0 ? 0 : config.hold_up_ns, config.reserve_ns,
                   config.disk_sharers},
        .unsafe_no_drain = config.unsafe_no_drain != 0,
        .strict_order = config.strict_order != 0,
        .survives_reset = config.survives_reset != 0,
        .report_ns = config.report_ns,
        .has_dump = config.has_dump != 0,
        .ordered = config.has_dump != 0 && config.mode == RAPILOG_MODE_HELD_ORDERED,
        .gauges = quoll_memory("gauges", sizeof(struct rapilog_gauges)),
    };
    uint8_t *dirty = quoll_memory("dirty", SMALLEST_DIRTY);
    divide(dirty, quoll_find(QUOLL_ENVIRONMENT_MEMORY, "dirty")->size, &setup);
    block_buffers_find(&rapilog.buffers);
    guest_queues_find(&rapilog.engine, &rapilog.buffers, config.allowed_buffers, rapilog.count);
    for (uint32_t number = 0; number < rapilog.count; number++)
        block_server_find(&rapilog.server[number], number, &rapilog.buffers,
                          config.allowed_buffers[number]);
    for (uint32_t number = 0; number < rapilog.disks; number++)
        block_client_find(&rapilog.disk[number], number);
    rapilog.awake = (UINT32_C(1) << rapilog.disks) - 1;
}

void component_main(void)
{
    start();
    for (;;)
        act_on(take_signals(pass()));
}
