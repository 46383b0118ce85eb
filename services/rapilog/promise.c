/*
 * What may be promised: from the rates of the volumes and the hold-up time the buffer's bound (bound.h), as new ones are measured
 * and as the disks become slower or faster; and whether anything may be promised at all. What came of it is said in the log, for
 * whoever wonders why a database is not faster.
 */
#include "engine.h"

#include <quoll/quoll.h>

#define US UINT64_C(1000)
#define KIB UINT64_C(1024)

uint64_t promise_bytes(const struct engine *engine, uint64_t slot_ns)
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
    uint32_t sharers = limits->sharers == 0 ? 1 : limits->sharers;
    quoll_log(
        "bound %lu KiB in sequence, %lu KiB scattered = ((hold-up %lu us - reserve %lu us) / %u "
        "RapiLog%s at that disk - 2 FLUSHes of %lu us) at %lu KiB/s",
        (unsigned long)(promise_bytes(engine, engine->rate.slot_ns) / KIB),
        (unsigned long)(promise_bytes(engine, engine->rate.slot_ns + engine->rate.head_ns) / KIB),
        (unsigned long)(limits->hold_up_ns / US), (unsigned long)(limits->reserve_ns / US), sharers,
        sharers == 1 ? "" : "s", (unsigned long)(engine->rate.flush_ns / US),
        (unsigned long)(rate_bytes_per_second(&engine->rate) / KIB));
}

/* Told when it is new, and when the bytes have halved or doubled since. */
static void tell_bound(struct engine *engine, enum rapilog_reason before)
{
    uint64_t bytes = promise_bytes(engine, engine->rate.slot_ns);
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

bool promise_is_closed(const struct engine *engine)
{
    if (!engine->setup.ordered) /* nothing gets out of memory */
        return engine->journal.gate && engine->journal.failing;
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        if (engine->volume[number].failing)
            return true;
    return engine->journal.failing || journal_is_full(engine);
}

/* The slowest volume decides. Volumes that cannot be written do not count. */
void promise_rebound(struct engine *engine)
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
