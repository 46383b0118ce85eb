/*
 * How a volume starts: its disk is measured (measure.h) before any client is admitted, so that there is a bound before
 * anything is promised. One volume at a time; those that are measured serve at once, or, when there is a dump area, as soon as the
 * journal has read it. remeasure.c measures again what has been idle for long, with the same commands, and makes up for what was
 * cut short here because the mains failed.
 */
#include "engine.h"

#include <quoll/quoll.h>

#define US UINT64_C(1000)
#define KIB UINT64_C(1024)

void engine_serve(struct engine *engine, uint32_t number)
{
    engine->news = true;
    engine->volume[number].state = VOLUME_SERVING;
    engine_port_serving(number);
}

static void tell_cut_short(const struct engine *engine, const struct engine_volume *volume)
{
    if (engine->setup.has_dump)
        quoll_log("volume %s: not measured, as everything was to be drained; with a dump area that "
                  "is not made up for until RapiLog begins anew",
                  volume->name);
    else
        quoll_log("volume %s: not measured yet, as everything is to be drained; it will be when "
                  "RapiLog goes on",
                  volume->name);
}

static void tell(const struct engine *engine, const struct engine_volume *volume)
{
    if (volume->rate.known)
        quoll_log("volume %s: writes %lu KiB/s in sequence, a scattered block costs %lu us, a "
                  "small FLUSH %lu us (measured)",
                  volume->name, (unsigned long)(rate_bytes_per_second(&volume->rate) / KIB),
                  (unsigned long)(volume->rate.head_ns / US),
                  (unsigned long)(volume->rate.flush_ns / US));
    else if (volume->measurable)
        tell_cut_short(engine, volume);
    else if (!volume->read_only)
        quoll_log("volume %s: could not be measured (smaller than %u KiB, or the disk reports "
                  "errors)",
                  volume->name, MEASURE_LEAST_SECTORS / 2);
}

void measuring_end(struct engine *engine, struct engine_volume *volume)
{
    bool found = measure_result(&volume->measure, &volume->rate);
    volume->measurable = found || volume->measure.stopped;
    engine->gauges.measurements += found ? 1 : 0;
    tell(engine, volume);
}

bool measuring_again(struct engine_volume *volume, uint64_t now)
{
    if (!volume->measure.failed || volume->measure.stopped || volume->measured_twice)
        return false;
    volume->measured_twice = true;
    return measure_again(&volume->measure, now);
}

static void measured(struct engine *engine, struct engine_volume *volume)
{
    volume->state = VOLUME_MEASURED;
    measuring_end(engine, volume);
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
    if (cut_short && !measure_finished(&volume->measure))
        measure_stop(&volume->measure);
    if (!measure_finished(&volume->measure))
        return;
    if (measuring_again(volume, now)) {
        engine->news = true;
        return;
    }
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
void measuring_step(struct engine *engine, uint64_t now)
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
