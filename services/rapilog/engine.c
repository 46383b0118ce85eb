/*
 * RapiLog's engine: life of the volumes, commands to the disks, the bound, loss of mains. See engine.h; the other halves are
 * requests.c and drain.c.
 */
#include "engine.h"

#include "kept.h"

#include <quoll/quoll.h>
#include <string.h>

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define KIB UINT64_C(1024)
#define SUMS_AT_ONCE 16u
#define GAUGES_EVERY (10 * MS)

static void commands_init(struct engine_volume *volume)
{
    volume->unused_command = 0;
    for (uint16_t number = 0; number < ENGINE_COMMANDS; number++) {
        volume->command[number].kind = ENGINE_COMMAND_FREE;
        volume->command[number].next =
            number + 1u < ENGINE_COMMANDS ? (uint16_t)(number + 1) : ENGINE_NONE;
    }
}

/* Volumes, and the dump area. */
static uint32_t engine_disks(const struct engine *engine)
{
    return engine->setup.volume_count + (engine->setup.has_dump ? 1 : 0);
}

void engine_init(struct engine *engine, const struct engine_setup *setup, struct buffer_slot *slots,
                 uint32_t slot_count, uint32_t *buckets, uint32_t bucket_count, uint8_t *data)
{
    memset(engine, 0, sizeof(*engine));
    engine->setup = *setup;
    engine->reason = RAPILOG_REASON_NOT_MEASURED;
    engine->news = true;
    buffer_init(&engine->buffer, slots, slot_count, buckets, bucket_count, data);
    engine->buffer.sums = setup->survives_reset;
    for (uint32_t number = 0; number < engine_disks(engine); number++) {
        requests_init(&engine->volume[number]);
        commands_init(&engine->volume[number]);
    }
    engine->journal.stage = setup->has_dump ? JOURNAL_AWAITED : JOURNAL_ABSENT;
    if (setup->unsafe_no_drain)
        quoll_log("WARNING: unsafe_no_drain is set: acknowledged data is LOST when mains fails. "
                  "For tests of the test rig only");
}

static unsigned long kib_of(uint32_t slots)
{
    return (unsigned long)(slots * (BUFFER_BLOCK / KIB));
}

static void tell_restored(enum kept_past past, const struct kept_account *account)
{
    if (past == KEPT_RESTARTED)
        quoll_log("started again: %lu KiB of acknowledged data are still in memory",
                  kib_of(account->found));
    else if (past == KEPT_RESET)
        quoll_log("the machine was reset: %lu KiB of acknowledged data are still in memory and "
                  "pass their checks",
                  kib_of(account->found));
    if (account->refused > 0)
        quoll_log("WARNING: %lu KiB in memory do not pass their checks (%lu KiB had no checksum "
                  "yet): what was acknowledged in them is LOST",
                  kib_of(account->refused), kib_of(account->unsummed));
    if (account->damaged > 0)
        quoll_log("%u records in memory do not pass their checks: what was acknowledged in them "
                  "is LOST, and is not served",
                  account->damaged);
}

/* Of an ordered domain, what a reset of the machine has left is taken as a whole or not at all. */
static enum kept_past past_of_domain(const struct engine *engine, const struct kept_search *search)
{
    if (search->past != KEPT_RESET || !search->ordered)
        return search->past;
    const struct kept_account account = kept_inspect(&engine->buffer, search);
    if (account.refused + account.damaged == 0)
        return KEPT_RESET;
    tell_restored(KEPT_NOTHING, &account);
    quoll_log("WARNING: the %lu KiB that do are not taken either: the volumes go back to what the "
              "dump area has, a state that was acknowledged as a whole",
              kib_of(account.found));
    return KEPT_NOTHING;
}

void engine_restore(struct engine *engine, enum kept_past past)
{
    const struct engine_setup *setup = &engine->setup;
    struct kept_search search = {.past = past,
                                 .volumes = setup->volume_count,
                                 .has_dump = setup->has_dump,
                                 .ordered = setup->ordered,
                                 .dumped = kept_dumped(setup->kept)};
    search.past = past_of_domain(engine, &search);
    if (search.past == KEPT_NOTHING) {
        kept_header_void(setup->kept);
        kept_note_dumped(setup->kept, KEPT_NOT_READ);
        search.dumped = KEPT_NOT_READ;
    }
    const struct kept_account account = kept_find(&engine->buffer, &search);
    engine->journal.dumped = search.dumped;
    engine->journal.survived = search.past != KEPT_NOTHING;
    if (!engine->setup.has_dump)
        kept_adopt(&engine->buffer);
    tell_restored(search.past, &account);
}

bool engine_rest(struct engine *engine)
{
    return engine->buffer.sums && kept_make_sums(&engine->buffer, SUMS_AT_ONCE);
}

uint32_t engine_volume_number(const struct engine *engine, const struct engine_volume *volume)
{
    return (uint32_t)(volume - engine->volume);
}

/* ---- Commands ---- */

bool engine_send(struct engine *engine, struct engine_volume *volume,
                 const struct engine_command *like, struct block_request *request)
{
    uint16_t number = volume->unused_command;
    /* Reads leave room for the drain: a client that reads a lot must not keep data from the disk. */
    bool spare =
        like->kind != ENGINE_COMMAND_READ || volume->commands < ENGINE_COMMANDS - ENGINE_RUNS - 2;
    if (number == ENGINE_NONE || !spare)
        return false;
    request->id = number;
    if (!engine_port_submit(engine_volume_number(engine, volume), request))
        return false;
    volume->unused_command = volume->command[number].next;
    volume->command[number] = *like;
    volume->commands++;
    return true;
}

static void measuring_done(struct engine *engine, struct engine_volume *volume, bool ok,
                           uint64_t now)
{
    measure_done(&volume->measure, ok, now);
    engine->gauges.write_errors += ok ? 0 : 1;
}

void engine_disk_done(struct engine *engine, uint32_t volume_number, uint64_t id,
                      enum block_status status, uint64_t now)
{
    struct engine_volume *volume = &engine->volume[volume_number];
    engine->news = true;
    if (id >= ENGINE_COMMANDS || volume->command[id].kind == ENGINE_COMMAND_FREE)
        return;
    const struct engine_command command = volume->command[id];
    volume->command[id].kind = ENGINE_COMMAND_FREE;
    volume->command[id].next = volume->unused_command;
    volume->unused_command = (uint16_t)id;
    volume->commands--;
    bool ok = status == BLOCK_OK;
    switch (command.kind) {
    case ENGINE_COMMAND_FREE:
        break;
    case ENGINE_COMMAND_READ:
        requests_read_done(engine, volume, command.request, status);
        break;
    case ENGINE_COMMAND_RUN:
        volume->runs--;
        drain_run_done(engine, &command.run, ok);
        break;
    case ENGINE_COMMAND_FLUSH:
        drain_flush_done(engine, volume, ok, now);
        break;
    case ENGINE_COMMAND_FINAL_FLUSH:
        drain_final_done(engine, volume, ok);
        break;
    case ENGINE_COMMAND_MEASURE:
        measuring_done(engine, volume, ok, now);
        break;
    case ENGINE_COMMAND_PORTION_FLUSH:
        drain_portion_done(engine, volume, ok);
        break;
    case ENGINE_COMMAND_JOURNAL:
        journal_command_done(engine, ok);
        break;
    }
}

bool engine_disk_gone(struct engine *engine, uint32_t volume_number, uint64_t now)
{
    const struct engine_volume *volume = &engine->volume[volume_number];
    bool any = volume->commands > 0;
    for (uint32_t id = 0; id < ENGINE_COMMANDS; id++)
        engine_disk_done(engine, volume_number, id, BLOCK_GONE, now);
    return any;
}

/* ---- Start of a volume ---- */

void engine_serve(struct engine *engine, uint32_t number)
{
    engine->news = true;
    engine->volume[number].state = VOLUME_SERVING;
    engine_port_serving(number);
}

static void measured(struct engine *engine, struct engine_volume *volume)
{
    volume->state = VOLUME_MEASURED;
    volume->measurable = measure_result(&volume->measure, &volume->rate);
    engine->gauges.measurements += volume->measurable ? 1 : 0;
    if (volume->measurable)
        quoll_log("volume %s: writes %lu KiB/s in sequence, a scattered block costs %lu us, a "
                  "small FLUSH %lu us (measured)",
                  volume->name, (unsigned long)(rate_bytes_per_second(&volume->rate) / KIB),
                  (unsigned long)(volume->rate.head_ns / US),
                  (unsigned long)(volume->rate.flush_ns / US));
    else if (!volume->read_only)
        quoll_log("volume %s: could not be measured (smaller than %u KiB, or the disk reports "
                  "errors)",
                  volume->name, MEASURE_LEAST_SECTORS / 2);
    if (!engine->setup.has_dump)
        engine_serve(engine, engine_volume_number(engine, volume));
}

void engine_disk_ready(struct engine *engine, uint32_t volume_number, const char *name,
                       uint64_t sectors, uint32_t max_sectors, bool read_only, uint64_t now)
{
    struct engine_volume *volume = &engine->volume[volume_number];
    quoll_format(volume->name, sizeof(volume->name), "%s", name);
    volume->sectors = sectors;
    volume->max_sectors = max_sectors;
    volume->read_only = read_only;
    volume->state = VOLUME_MEASURING;
    engine->news = true;
    uint32_t most =
        max_sectors < engine->setup.scratch_sectors ? max_sectors : engine->setup.scratch_sectors;
    if (!measure_begin(&volume->measure, read_only ? 0 : sectors, most, now))
        measured(engine, volume);
}

void engine_measure(struct engine *engine, struct engine_volume *volume, uint64_t now)
{
    struct measure_command next;
    while (measure_next(&volume->measure, now, &next)) {
        struct block_request request = {
            .sector = next.sector,
            .count = next.count,
            .operation = (uint16_t)next.operation,
            .buffer = engine->setup.buffer_number,
            .offset = engine->setup.scratch_offset + next.offset,
        };
        const struct engine_command command = {.kind = ENGINE_COMMAND_MEASURE};
        if (!engine_send(engine, volume, &command, &request))
            measuring_done(engine, volume, false, now);
    }
}

void engine_disk_unusable(struct engine *engine)
{
    engine->news = true;
    if (engine->journal.stage == JOURNAL_AWAITED)
        engine->journal.stage = JOURNAL_REFUSED;
}

static void step_measure(struct engine *engine, struct engine_volume *volume, uint64_t now)
{
    if (volume->state != VOLUME_MEASURING)
        return;
    if (engine->phase == ENGINE_RUNNING)
        engine_measure(engine, volume, now);
    /* When the mains fail there may be something to drain from an earlier life: no time to measure. */
    bool cut_short = engine->phase != ENGINE_RUNNING && volume->commands == 0;
    if (!cut_short && !measure_finished(&volume->measure))
        return;
    volume->measured_at = now;
    measured(engine, volume);
}

/* The volume whose measurement is under way; NULL: none. */
static struct engine_volume *under_measurement(struct engine *engine)
{
    for (uint32_t number = 0; number < engine_disks(engine); number++) {
        struct engine_volume *volume = &engine->volume[number];
        if (volume->remeasuring ||
            (volume->state == VOLUME_MEASURING && measure_is_under_way(&volume->measure)))
            return volume;
    }
    return NULL;
}

/* Volumes share the scratch memory and would disturb each other's times, so they are measured one by one, each to its end:
 * between its read and its write no other may begin, in whatever order they become ready. */
static void step_measures(struct engine *engine, uint64_t now)
{
    struct engine_volume *first = under_measurement(engine);
    bool all = true;
    if (first != NULL)
        step_measure(engine, first, now);
    if (under_measurement(engine) != NULL)
        return;
    for (uint32_t number = 0; number < engine_disks(engine); number++) {
        struct engine_volume *volume = &engine->volume[number];
        step_measure(engine, volume, now);
        if (volume->state == VOLUME_MEASURING)
            return;
        all = all && volume->state == VOLUME_MEASURED;
    }
    if (all && engine->journal.stage == JOURNAL_AWAITED) {
        engine->journal.sectors = engine->volume[engine->setup.volume_count].sectors;
        journal_open(engine);
    }
}

/* ---- The bound ---- */

static uint64_t bytes_within(const struct engine *engine, uint64_t slot_ns)
{
    uint64_t slots = slot_ns == 0 ? 0 : engine->budget / slot_ns;
    uint64_t limit = engine->buffer.slot_limit;
    return (slots < limit ? slots : limit) * BUFFER_BLOCK;
}

static void log_through(const struct engine *engine)
{
    const struct rate_limits *limits = &engine->setup.limits;
    switch (engine->reason) {
    case RAPILOG_REASON_NONE:
    case RAPILOG_REASON_COUNT:
        break;
    case RAPILOG_REASON_NO_HOLD_UP:
        quoll_log("no power-fail signal (hold_up 0): writes are acknowledged when they are on the "
                  "disk");
        break;
    case RAPILOG_REASON_TOO_SHORT:
        quoll_log("hold-up %lu us is too short for reserve %lu us, 2 FLUSHes of %lu us and one "
                  "block: writes are acknowledged from the disk",
                  (unsigned long)(limits->hold_up_ns / US),
                  (unsigned long)(limits->reserve_ns / US),
                  (unsigned long)(engine->rate.flush_ns / US));
        break;
    case RAPILOG_REASON_NOT_MEASURED:
        quoll_log("a volume's write rate is not known: writes are acknowledged when they are on "
                  "the disk");
        break;
    }
}

static void log_bound(const struct engine *engine)
{
    const struct rate_limits *limits = &engine->setup.limits;
    quoll_log(
        "bound %lu KiB in sequence, %lu KiB scattered = (hold-up %lu us - reserve %lu us - "
        "2 FLUSHes of %lu us) at %lu KiB/s",
        (unsigned long)(bytes_within(engine, engine->rate.slot_ns) / KIB),
        (unsigned long)(bytes_within(engine, engine->rate.slot_ns + engine->rate.head_ns) / KIB),
        (unsigned long)(limits->hold_up_ns / US), (unsigned long)(limits->reserve_ns / US),
        (unsigned long)(engine->rate.flush_ns / US),
        (unsigned long)(rate_bytes_per_second(&engine->rate) / KIB));
}

/* Told when it is new, and when the bytes have halved or doubled since. */
static void tell_bound(struct engine *engine, enum rapilog_reason before)
{
    uint64_t bytes = bytes_within(engine, engine->rate.slot_ns);
    bool same = engine->reason == before && bytes <= 2 * engine->told_bound &&
                engine->told_bound <= 2 * bytes;
    if (same)
        return;
    engine->told_bound = bytes;
    if (engine->reason == RAPILOG_REASON_NONE)
        log_bound(engine);
    else
        log_through(engine);
}

/* In an ordered domain everything is first written to the dump area, in one piece. A FLUSH there flushes the volumes, too. */
static struct rate way_out(const struct engine *engine, const struct rate *worst)
{
    const struct rate *dump = &engine->volume[engine->setup.volume_count].rate;
    if (!engine->setup.ordered)
        return *worst;
    return (struct rate){
        .slot_ns = dump->slot_ns + dump->slot_ns / DUMP_CHUNK + 1,
        .head_ns = 0,
        .flush_ns = dump->flush_ns > worst->flush_ns ? dump->flush_ns : worst->flush_ns,
        .known = dump->known && worst->known,
    };
}

/* Whether something in the domain keeps it from promising. */
static bool domain_is_closed(const struct engine *engine)
{
    if (!engine->setup.ordered)
        return false;
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        if (engine->volume[number].failing)
            return true;
    return engine->journal.failing || journal_is_full(engine);
}

void engine_cache_lost(struct engine *engine)
{
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        buffer_cache_lost(&engine->buffer, number);
    journal_cache_lost(engine);
}

/* The slowest volume decides. Volumes that cannot be written do not count. */
static void rebound(struct engine *engine)
{
    struct rate worst = {.known = true};
    uint32_t serving = 0;
    for (uint32_t number = 0; number < engine->setup.volume_count; number++) {
        const struct engine_volume *volume = &engine->volume[number];
        if (volume->state != VOLUME_SERVING || volume->read_only)
            continue;
        worst = rate_worse(&worst, &volume->rate);
        serving++;
    }
    if (serving == 0)
        return;
    enum rapilog_reason before = engine->bounded ? engine->reason : RAPILOG_REASON_COUNT;
    uint64_t limit = engine->setup.dirty_limit / BUFFER_BLOCK;
    engine->bounded = true;
    engine->rate = way_out(engine, &worst);
    engine->full_budget = rate_budget(&engine->rate, &engine->setup.limits, &engine->reason);
    engine->budget = journal_budget(engine);
    buffer_bound(&engine->buffer, limit == 0 || limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit,
                 engine->budget, engine->rate.slot_ns, engine->rate.head_ns);
    tell_bound(engine, before);
}

/* ---- Mains, drain ---- */

/* No FLUSH that was sent before counts for the drain that may come. */
static void forget_final(struct engine_volume *volume)
{
    bool sent = volume->final == FINAL_SENT || volume->final == FINAL_STALE;
    volume->final = sent ? FINAL_STALE : FINAL_NONE;
    volume->flush_counts = false;
}

void engine_mains(struct engine *engine)
{
    uint32_t slots = 0;
    if (engine->phase == ENGINE_MAINS)
        return;
    engine->phase = ENGINE_MAINS;
    engine->news = true;
    engine->drained = false;
    buffer_hurry(&engine->buffer, true);
    for (uint32_t number = 0; number < engine->setup.volume_count; number++) {
        forget_final(&engine->volume[number]);
        engine->volume[number].retry_at = 0;
        slots += engine->buffer.volume[number].promised_slots;
    }
    journal_mains(engine);
    quoll_log("mains lost: %lu KiB to drain", (unsigned long)(slots * (BUFFER_BLOCK / KIB)));
}

void engine_mains_back(struct engine *engine)
{
    if (engine->phase != ENGINE_MAINS)
        return;
    engine->phase = ENGINE_RUNNING;
    engine->news = true;
    engine->drained = false;
    buffer_hurry(&engine->buffer, false);
    journal_mains_back(engine);
    for (uint32_t number = 0; number < engine->setup.volume_count; number++) {
        forget_final(&engine->volume[number]);
        requests_settle(engine, &engine->volume[number], false);
    }
    quoll_log("the mains are back: %lu KiB are still to go",
              (unsigned long)(engine->buffer.slots * (BUFFER_BLOCK / KIB)));
}

void engine_drain(struct engine *engine)
{
    if (engine->phase != ENGINE_RUNNING)
        return;
    engine->news = true;
    engine->phase = ENGINE_DRAINING;
    quoll_log("asked to drain: %lu KiB to go; from now on writes are acknowledged from the disk",
              (unsigned long)(engine->buffer.slots * (BUFFER_BLOCK / KIB)));
}

static bool all_final(const struct engine *engine)
{
    if (!journal_finished(engine))
        return false;
    if (journal_stops_placing(engine))
        return true;
    for (uint32_t number = 0; number < engine->setup.volume_count; number++) {
        const struct engine_volume *volume = &engine->volume[number];
        if (volume->state == VOLUME_SERVING && volume->final != FINAL_DONE)
            return false;
        if (engine->buffer.volume[number].promised_slots > 0)
            return false;
    }
    return true;
}

static void step_drained(struct engine *engine)
{
    bool lost = engine->phase == ENGINE_MAINS && engine->setup.unsafe_no_drain;
    if (engine->phase == ENGINE_RUNNING || engine->drained || !(lost || all_final(engine)))
        return;
    engine->drained = true;
    quoll_log(lost ? "NOT drained (unsafe_no_drain): acknowledged data is lost"
                   : "drained: everything acknowledged is on the disk");
    engine_port_drained();
}

/* ---- Gauges ---- */

static enum rapilog_state state_of(const struct engine *engine)
{
    bool failing = false, serving = false;
    for (uint32_t number = 0; number < engine->setup.volume_count; number++) {
        failing = failing || engine->volume[number].failing;
        serving = serving || engine->volume[number].state == VOLUME_SERVING;
    }
    if (engine->drained)
        return RAPILOG_DRAINED;
    if (engine->phase != ENGINE_RUNNING)
        return engine->phase == ENGINE_MAINS ? RAPILOG_MAINS : RAPILOG_DRAINING;
    if (!serving)
        return RAPILOG_STARTING;
    if (failing)
        return RAPILOG_FAILING;
    return buffer_can_promise(&engine->buffer) ? RAPILOG_HELD : RAPILOG_THROUGH;
}

static void update_gauges(struct engine *engine)
{
    struct rapilog_gauges *gauges = &engine->gauges;
    gauges->state = state_of(engine);
    gauges->reason = engine->reason;
    gauges->dirty_bytes = (uint64_t)engine->buffer.slots * BUFFER_BLOCK;
    gauges->bound_bytes = bytes_within(engine, engine->rate.slot_ns);
    gauges->bound_scattered = bytes_within(engine, engine->rate.slot_ns + engine->rate.head_ns);
    gauges->drain_ns = buffer_cost(&engine->buffer);
    gauges->write_rate = rate_bytes_per_second(&engine->rate);
    gauges->scattered_ns = engine->rate.head_ns;
    gauges->flush_ns = engine->rate.flush_ns;
    gauges->coalesced_bytes = engine->buffer.counters.coalesced;
    gauges->drained_bytes = engine->buffer.counters.drained;
    gauges->waiting = 0;
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        gauges->waiting += engine->volume[number].taken;
}

static void publish_gauges(const struct engine *engine)
{
    uint64_t field[sizeof(struct rapilog_gauges) / sizeof(uint64_t)];
    uint64_t *out = (uint64_t *)(void *)engine->setup.gauges;
    memcpy(field, &engine->gauges, sizeof(field));
    for (size_t i = 0; i < sizeof(field) / sizeof(field[0]); i++)
        __atomic_store_n(&out[i], field[i], __ATOMIC_RELAXED);
}

/* ---- Step ---- */

static uint64_t later_than(uint64_t now, uint64_t deadline)
{
    return deadline > now ? deadline : ENGINE_NEVER;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What clients alone do not change. A write must not pay for it, and a client that keeps RapiLog busy must not keep it from happening. */
static void step_news(struct engine *engine, uint64_t now)
{
    if (!engine->news && now < engine->idle_until)
        return;
    engine->news = false;
    step_measures(engine, now);
    engine->idle_until = later_than(now, remeasure_step(engine, now));
    rebound(engine);
    engine->idle_until = earlier(engine->idle_until, report_step(engine, now));
}

/* Gauges are for people and may be late by GAUGES_EVERY, but never say that nothing is dirty when something is. Returns when they
 * are to be published. */
static uint64_t step_gauges(struct engine *engine, bool news, uint64_t now)
{
    uint64_t dirty = (uint64_t)engine->buffer.slots * BUFFER_BLOCK;
    if (dirty > engine->gauges.dirty_high)
        engine->gauges.dirty_high = dirty;
    bool first = dirty != 0 && engine->gauges.dirty_bytes == 0;
    if (!news && !first && now < engine->told_gauges + GAUGES_EVERY)
        return engine->told_gauges + GAUGES_EVERY;
    engine->told_gauges = now;
    update_gauges(engine);
    publish_gauges(engine);
    return ENGINE_NEVER;
}

/* A volume's epoch is on its way: until the disk says something there is nothing to do for it. */
static bool awaits_disk(const struct engine *engine, uint32_t number)
{
    return !engine->setup.has_dump && engine->buffer.volume[number].is_writing;
}

static uint64_t step_drains(struct engine *engine, bool news, uint64_t now)
{
    journal_step(engine, now);
    uint64_t deadline = later_than(now, journal_deadline(engine));
    for (uint32_t number = 0; number < engine->setup.volume_count; number++) {
        struct engine_volume *volume = &engine->volume[number];
        if (!news && awaits_disk(engine, number))
            continue;
        drain_step(engine, volume, now);
        deadline = earlier(deadline, later_than(now, drain_deadline(engine, volume)));
    }
    return deadline;
}

uint64_t engine_step(struct engine *engine, uint64_t now)
{
    bool news = engine->news;
    uint64_t deadline = ENGINE_NEVER;
    step_news(engine, now);
    engine->closed = domain_is_closed(engine);
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        requests_step(engine, &engine->volume[number]);
    if (!(engine->phase == ENGINE_MAINS && engine->setup.unsafe_no_drain))
        deadline = step_drains(engine, news, now);
    step_drained(engine);
    deadline = earlier(deadline, step_gauges(engine, news || engine->news, now));
    return engine->news ? now : earlier(deadline, engine->idle_until);
}
