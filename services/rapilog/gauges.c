/*
 * The gauges (quoll/rapilog.h): what the engine is doing, in a page that others read. Counters count where things happen; the
 * rest is filled in here. They are published field by field, so a reader never sees a half of one, but may see fields of two instants.
 */
#include "engine.h"

#include <string.h>

#define GAUGES_EVERY UINT64_C(10000000) /* ns */

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

static void update(struct engine *engine)
{
    struct rapilog_gauges *gauges = &engine->gauges;
    gauges->state = state_of(engine);
    gauges->reason = engine->reason;
    gauges->dirty_bytes = (uint64_t)engine->buffer.slots * BUFFER_BLOCK;
    gauges->bound_bytes = promise_bytes(engine, engine->rate.slot_ns);
    gauges->bound_scattered = promise_bytes(engine, engine->rate.slot_ns + engine->rate.head_ns);
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

static void publish(const struct engine *engine)
{
    uint64_t field[sizeof(struct rapilog_gauges) / sizeof(uint64_t)];
    uint64_t *out = (uint64_t *)(void *)engine->setup.gauges;
    memcpy(field, &engine->gauges, sizeof(field));
    for (size_t i = 0; i < sizeof(field) / sizeof(field[0]); i++)
        __atomic_store_n(&out[i], field[i], __ATOMIC_RELAXED);
}

/* Gauges are for people and may be late by GAUGES_EVERY, but never say that nothing is dirty when something is. */
uint64_t gauges_step(struct engine *engine, bool news, uint64_t now)
{
    uint64_t dirty = (uint64_t)engine->buffer.slots * BUFFER_BLOCK;
    if (dirty > engine->gauges.dirty_high)
        engine->gauges.dirty_high = dirty;
    bool first = dirty != 0 && engine->gauges.dirty_bytes == 0;
    if (!news && !first && now < engine->told_gauges + GAUGES_EVERY)
        return engine->told_gauges + GAUGES_EVERY;
    engine->told_gauges = now;
    update(engine);
    publish(engine);
    return ENGINE_NEVER;
}
