/*
 * RapiLog's engine: what an earlier life has left, commands to the disks, loss of mains, and the step that has each part do its
 * own. See engine.h, which tells where the parts are.
 */
#include "engine.h"

#include "kept.h"

#include <quoll/quoll.h>
#include <string.h>

#define KIB UINT64_C(1024)
#define SUMS_AT_ONCE 16u

static void commands_init(struct engine_volume *volume)
{
    volume->unused_command = 0;
    for (uint16_t number = 0; number < ENGINE_COMMANDS; number++) {
        volume->command[number].kind = ENGINE_COMMAND_FREE;
        volume->command[number].next =
            number + 1u < ENGINE_COMMANDS ? (uint16_t)(number + 1) : ENGINE_NONE;
    }
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
        kept_note_placed(setup->kept, 0);
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

void engine_cache_lost(struct engine *engine)
{
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        buffer_cache_lost(&engine->buffer, number);
    journal_cache_lost(engine);
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
    quoll_log("mains lost: %lu KiB to drain", kib_of(slots));
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
    quoll_log("the mains are back: %lu KiB are still to go", kib_of(engine->buffer.slots));
}

void engine_drain(struct engine *engine)
{
    if (engine->phase != ENGINE_RUNNING)
        return;
    engine->news = true;
    engine->phase = ENGINE_DRAINING;
    quoll_log("asked to drain: %lu KiB to go; from now on writes are acknowledged from the disk",
              kib_of(engine->buffer.slots));
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

static const char *what_is_drained(const struct engine *engine, bool lost)
{
    if (lost)
        return "NOT drained (unsafe_no_drain): acknowledged data is lost";
    return journal_is_hopeless(engine)
               ? "drained: everything acknowledged is on the disk, but old data in the dump area "
                 "may come back over it at the next start"
               : "drained: everything acknowledged is on the disk";
}

static void step_drained(struct engine *engine)
{
    bool lost = engine->phase == ENGINE_MAINS && engine->setup.unsafe_no_drain;
    if (engine->phase == ENGINE_RUNNING || engine->drained || !(lost || all_final(engine)))
        return;
    engine->drained = true;
    quoll_log("%s", what_is_drained(engine, lost));
    engine_port_drained();
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
    measuring_step(engine, now);
    engine->idle_until = later_than(now, remeasure_step(engine, now));
    promise_rebound(engine);
    engine->idle_until = earlier(engine->idle_until, report_step(engine, now));
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
    engine->closed = promise_is_closed(engine);
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        requests_step(engine, &engine->volume[number]);
    if (!(engine->phase == ENGINE_MAINS && engine->setup.unsafe_no_drain))
        deadline = step_drains(engine, news, now);
    step_drained(engine);
    deadline = earlier(deadline, gauges_step(engine, news || engine->news, now));
    return engine->news ? now : earlier(deadline, engine->idle_until);
}
