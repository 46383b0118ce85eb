/*
 * Measuring a volume again while it is in use, so that the bound follows a disk that has become slower before anybody writes to
 * it: a drive that tidies up, an array that lost a member.
 *
 * A volume is measured when it has been idle for so long: no request, nothing in the buffer, nothing in flight. What it writes
 * back is what it has just read (measure.h). That holds here, too, because nothing reaches this volume but through the drain,
 * and no epoch is sealed meanwhile: a client's write that arrives waits in the buffer, is newer, and is drained
 * afterwards. As soon as there is a request, or the mains are lost, no further command is issued and what was measured so
 * far is dropped; so a drain waits at most for the commands of one probe's step, which `reserve` must allow for as for any in flight.
 *
 * A volume for whose first measurement there was no time, because the mains failed, is measured when no other one is and the epoch that is
 * on its way is on the disk; no other is sealed before. While another one is measured, whose disk may be away for long, it drains.
 * Until it is measured nothing is promised on any volume, so that goes on to its end although requests
 * arrive: writes wait for it once, as at the start, and a busy volume gets it done, too. Only the mains, or a drain, end it before; then it begins again.
 *
 * With a dump area volumes are not measured again: what is placed is under way at times that this file does not know.
 */
#include "engine.h"

#define IDLE_NS UINT64_C(300000000000)

static const struct buffer_volume *core_of(const struct engine *engine,
                                           const struct engine_volume *volume)
{
    return &engine->buffer.volume[engine_volume_number(engine, volume)];
}

static bool is_idle(const struct engine *engine, const struct engine_volume *volume)
{
    const struct buffer_volume *core = core_of(engine, volume);
    return engine->phase == ENGINE_RUNNING && !volume->failing && volume->taken == 0 &&
           core->slots == 0 && !core->is_writing && !core->is_flushing;
}

static bool may_be_measured(const struct engine *engine, const struct engine_volume *volume)
{
    return volume->state == VOLUME_SERVING && volume->measurable && !engine->setup.has_dump;
}

static bool others_are_measured(const struct engine *engine, const struct engine_volume *volume)
{
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        if (&engine->volume[number] != volume && (engine->volume[number].remeasuring ||
                                                  engine->volume[number].state == VOLUME_MEASURING))
            return true;
    return false;
}

bool remeasure_awaits(const struct engine *engine, const struct engine_volume *volume)
{
    return may_be_measured(engine, volume) && !volume->rate.known && !volume->failing &&
           engine->phase == ENGINE_RUNNING && !others_are_measured(engine, volume);
}

/* Clients may go on reading meanwhile, and writing to memory. */
static bool may_begin(const struct engine *engine, const struct engine_volume *volume)
{
    const struct buffer_volume *core = core_of(engine, volume);
    if (remeasure_awaits(engine, volume))
        return !core->is_writing && !core->is_flushing;
    return is_idle(engine, volume) && volume->commands == 0;
}

static uint64_t due_at(const struct engine_volume *volume)
{
    if (!volume->rate.known)
        return 0;
    uint64_t since =
        volume->last_flush > volume->measured_at ? volume->last_flush : volume->measured_at;
    return since + IDLE_NS;
}

static bool must_stop(const struct engine *engine, const struct engine_volume *volume)
{
    return volume->rate.known ? !is_idle(engine, volume) : engine->phase != ENGINE_RUNNING;
}

static void begin(struct engine *engine, struct engine_volume *volume, uint64_t now)
{
    volume->remeasuring = measure_again(&volume->measure, now);
}

static void end(struct engine *engine, struct engine_volume *volume, uint64_t now)
{
    struct rate found;
    volume->remeasuring = false;
    volume->measured_at = now;
    engine->news = true; /* another volume may have waited for the scratch memory */
    if (!volume->rate.known) {
        volume->remeasuring = measuring_again(volume, now);
        if (!volume->remeasuring)
            measuring_end(engine, volume);
        return;
    }
    if (!measure_result(&volume->measure, &found))
        return;
    rate_blend(&volume->rate, &found);
    engine->gauges.measurements++;
}

static void step(struct engine *engine, struct engine_volume *volume, uint64_t now)
{
    if (!volume->remeasuring && may_begin(engine, volume) && now >= due_at(volume) &&
        !others_are_measured(engine, volume))
        begin(engine, volume, now);
    if (!volume->remeasuring)
        return;
    if (must_stop(engine, volume))
        measure_stop(&volume->measure);
    engine_measure(engine, volume, now);
    if (measure_finished(&volume->measure))
        end(engine, volume, now);
}

uint64_t remeasure_step(struct engine *engine, uint64_t now)
{
    uint64_t deadline = ENGINE_NEVER;
    for (uint32_t number = 0; number < engine->setup.volume_count; number++) {
        struct engine_volume *volume = &engine->volume[number];
        if (!may_be_measured(engine, volume))
            continue;
        step(engine, volume, now);
        uint64_t due = due_at(volume);
        if (is_idle(engine, volume) && !volume->remeasuring && due > now && due < deadline)
            deadline = due;
    }
    return deadline;
}
