/*
 * RapiLog's drain: one epoch after the other to the disk, each followed by a FLUSH (buffer.h tells why this order is safe).
 *
 * It never waits for more data: whatever became dirty while an epoch was written is the next epoch, so the disk is
 * always busy and epochs grow with the load. While an epoch is being flushed the next one may be written already,
 * unless the setup asks for strict order.
 *
 * When mains is lost there is no time for a FLUSH in between: what is still open joins the epoch that has just been
 * written, and one FLUSH ends it. A drain is over for a volume when nothing promised is left and a FLUSH that was begun
 * after the request for it has been answered.
 *
 * An epoch that comes from the dump area ends when all volumes have it in place (journal.h, ROOM).
 */
#include "engine.h"

#include <quoll/quoll.h>

/* A full buffer is one epoch on its way to the disk and one that fills up. The larger an epoch, the less a scattered block costs:
 * a rotating disk sweeps once over all of it. More parts would only matter to a disk that writes while it flushes. */
#define EPOCH_PARTS 2u

#define MS UINT64_C(1000000)
#define RETRY_FIRST (10 * MS)
#define RETRY_LONGEST (5000 * MS)
#define COMPLAIN_EVERY (1000 * MS)

static struct buffer_volume *core_of(struct engine *engine, const struct engine_volume *volume)
{
    return &engine->buffer.volume[engine_volume_number(engine, volume)];
}

static bool send_run(struct engine *engine, struct engine_volume *volume,
                     const struct buffer_run *run)
{
    struct block_request request = {
        .sector = run->sector,
        .count = run->count,
        .operation = BLOCK_WRITE,
        .buffer = engine->setup.buffer_number,
        .offset = engine->setup.slots_offset + run->offset,
    };
    const struct engine_command command = {.kind = ENGINE_COMMAND_RUN, .run = *run};
    if (!engine_send(engine, volume, &command, &request))
        return false;
    volume->runs++;
    return true;
}

/* Whether nothing is to be written in place for now. */
static bool must_wait(const struct engine *engine, const struct engine_volume *volume, uint64_t now)
{
    return journal_stops_placing(engine) || volume->portion ||
           (journal_keeps_epochs(engine) && now < volume->retry_at);
}

/* A run that the link has no room for is answered as refused and comes again with the next epoch; the link has room for
 * every command that the engine has (ENGINE_COMMANDS), so this is the disk's server misbehaving. */
static void issue_runs(struct engine *engine, struct engine_volume *volume, uint64_t now)
{
    uint32_t number = engine_volume_number(engine, volume);
    uint64_t limit = journal_unflushed_limit(engine);
    struct buffer_run run;
    if (must_wait(engine, volume, now))
        return;
    while (volume->runs < ENGINE_RUNS && volume->commands < ENGINE_COMMANDS &&
           volume->unflushed_ns < limit &&
           buffer_next_run(&engine->buffer, number, volume->max_sectors, &run)) {
        if (volume->writing_since == 0)
            volume->writing_since = now;
        volume->unflushed_ns += volume->rate.head_ns + run.slots * volume->rate.slot_ns;
        if (!send_run(engine, volume, &run))
            drain_run_done(engine, &run, false);
    }
}

/* An epoch that is placed in portions: see journal.h. */
static void step_portion(struct engine *engine, struct engine_volume *volume)
{
    uint32_t number = engine_volume_number(engine, volume);
    struct block_request request = {.operation = BLOCK_FLUSH};
    const struct engine_command command = {.kind = ENGINE_COMMAND_PORTION_FLUSH};
    bool due = buffer_epoch_state(&engine->buffer, number) == BUFFER_EPOCH_WRITING &&
               volume->unflushed_ns >= journal_unflushed_limit(engine);
    if (due && volume->runs == 0 && !volume->portion && engine->phase != ENGINE_MAINS)
        volume->portion = engine_send(engine, volume, &command, &request);
}

void drain_portion_done(struct engine *engine, struct engine_volume *volume, bool ok)
{
    volume->portion = false;
    volume->unflushed_ns = 0;
    engine->gauges.write_errors += ok ? 0 : 1;
    if (!ok)
        engine_cache_lost(engine);
}

static void send_flush(struct engine *engine, struct engine_volume *volume)
{
    struct block_request request = {.operation = BLOCK_FLUSH};
    const struct engine_command command = {.kind = ENGINE_COMMAND_FLUSH};
    if (!volume->flush_due || !engine_send(engine, volume, &command, &request))
        return;
    volume->flush_due = false;
    volume->unflushed_ns = 0;
    volume->flush_counts = engine->phase != ENGINE_RUNNING;
}

/* A written epoch goes on to be flushed, or grows once more. True when something has changed. */
static bool step_written(struct engine *engine, struct engine_volume *volume)
{
    uint32_t number = engine_volume_number(engine, volume);
    bool hurry = engine->phase == ENGINE_MAINS && !engine->setup.strict_order &&
                 !journal_keeps_epochs(engine);
    if (journal_stops_placing(engine))
        return false;
    if (hurry && buffer_extend(&engine->buffer, number))
        return true;
    if (!buffer_flush_begin(&engine->buffer, number))
        return false;
    volume->flushing_since = volume->writing_since;
    volume->flushing_overlaps = volume->writing_overlaps;
    volume->writing_since = 0;
    volume->writing_overlaps = false;
    volume->flush_due = true;
    /* Before the next epoch's first write, or the disk would have to flush that as well. */
    send_flush(engine, volume);
    return true;
}

static bool step_seal(struct engine *engine, struct engine_volume *volume, uint64_t now)
{
    uint32_t number = engine_volume_number(engine, volume);
    if (volume->remeasuring || remeasure_awaits(engine, volume) || journal_keeps_epochs(engine) ||
        journal_stops_placing(engine))
        return false;
    if (engine->setup.strict_order && core_of(engine, volume)->is_flushing)
        return false;
    if (now >= volume->retry_at && buffer_seal_failed(&engine->buffer, number))
        return true;
    bool whole = engine->setup.strict_order || engine->phase == ENGINE_MAINS;
    return buffer_seal(&engine->buffer, number, whole ? 1 : EPOCH_PARTS);
}

static void step_final(struct engine *engine, struct engine_volume *volume)
{
    if (engine->phase == ENGINE_RUNNING || volume->final != FINAL_NONE || volume->remeasuring ||
        journal_stops_placing(engine))
        return;
    struct block_request request = {.operation = BLOCK_FLUSH};
    const struct engine_command command = {.kind = ENGINE_COMMAND_FINAL_FLUSH};
    if (core_of(engine, volume)->promised_slots > 0)
        return;
    if (volume->read_only)
        volume->final = FINAL_DONE;
    else if (engine_send(engine, volume, &command, &request))
        volume->final = FINAL_SENT;
}

void drain_step(struct engine *engine, struct engine_volume *volume, uint64_t now)
{
    if (volume->state != VOLUME_SERVING)
        return;
    uint32_t number = engine_volume_number(engine, volume);
    bool changed = true;
    while (changed) {
        issue_runs(engine, volume, now);
        enum buffer_epoch_state state = buffer_epoch_state(&engine->buffer, number);
        changed = (state == BUFFER_EPOCH_WRITTEN && step_written(engine, volume)) ||
                  (state == BUFFER_EPOCH_NONE && step_seal(engine, volume, now));
    }
    send_flush(engine, volume);
    step_portion(engine, volume);
    step_final(engine, volume);
}

void drain_run_done(struct engine *engine, const struct buffer_run *run, bool ok)
{
    engine->gauges.write_errors += ok ? 0 : 1;
    if (engine->buffer.volume[run->volume].is_flushing)
        engine->volume[run->volume].writing_overlaps = true;
    buffer_run_done(&engine->buffer, run, ok);
}

/* ---- The end of an epoch ---- */

static void note_refused(struct engine_volume *volume, const struct buffer_fate *fate)
{
    if (volume->refused_blocks == 0)
        volume->refused_sector = fate->block * BUFFER_BLOCK_SECTORS;
    volume->refused_blocks++;
    requests_refused(volume, fate);
}

static void complain(struct engine *engine, struct engine_volume *volume, uint64_t now)
{
    if (now < volume->complain_at)
        return;
    volume->complain_at = now + COMPLAIN_EVERY;
    quoll_log("volume %s: the disk refuses to write %u blocks from sector %lu on; %u KiB of "
              "acknowledged data kept",
              volume->name, volume->refused_blocks, (unsigned long)volume->refused_sector,
              core_of(engine, volume)->promised_slots * (BUFFER_BLOCK / 1024));
    quoll_log("volume %s: retrying; until it works, writes are acknowledged from the disk only",
              volume->name);
}

static void epoch_refused(struct engine *engine, struct engine_volume *volume, uint64_t now)
{
    volume->failing = true;
    volume->retry_after = volume->retry_after == 0 ? RETRY_FIRST : volume->retry_after * 2;
    if (volume->retry_after > RETRY_LONGEST || engine->phase == ENGINE_MAINS)
        volume->retry_after = engine->phase == ENGINE_MAINS ? RETRY_FIRST : RETRY_LONGEST;
    volume->retry_at = now + volume->retry_after;
    complain(engine, volume, now);
}

static void epoch_accepted(struct engine *engine, struct engine_volume *volume)
{
    engine->gauges.epochs++;
    if (!volume->failing || core_of(engine, volume)->failed.first != BUFFER_NONE)
        return;
    volume->failing = false;
    volume->retry_after = 0;
    volume->complain_at = 0;
    quoll_log("volume %s: the disk takes writes again; all that was kept is on it", volume->name);
}

/* From the end of one FLUSH to the end of the next the disk did one epoch's work. A disk that takes the next epoch while it flushes does
 * two at once then: that one alone would be faster than expected, only its whole time can tell. */
static uint64_t epoch_time(const struct engine_volume *volume, uint64_t expected, uint64_t now)
{
    uint64_t since = volume->flushing_since;
    uint64_t whole = now - since;
    uint64_t beside = now - (since > volume->last_flush ? since : volume->last_flush);
    if (!volume->flushing_overlaps || beside >= expected)
        return beside;
    return whole < expected ? whole : expected;
}

/* The epoch of all volumes ends when this one has its part: what comes later waits, and is answered with an error when that takes long. */
static void place_again(struct engine *engine, struct engine_volume *volume, uint64_t now)
{
    uint32_t number = engine_volume_number(engine, volume);
    const struct buffer_epoch *epoch = &core_of(engine, volume)->flushing;
    volume->refused_sector = engine->buffer.slot[epoch->list.first].block * BUFFER_BLOCK_SECTORS;
    volume->refused_blocks = epoch->slots;
    buffer_place_again(&engine->buffer, number);
    epoch_refused(engine, volume, now);
    volume->last_flush = now;
    bool answer = volume->retry_after > ENGINE_PATIENCE_NS && engine->phase != ENGINE_MAINS;
    for (uint32_t other = 0; other < engine->setup.volume_count && answer; other++)
        requests_fail_waiting(engine, &engine->volume[other]);
}

/* Its slots are freed; true: the disk has taken all of it. */
static bool end_epoch(struct engine *engine, struct engine_volume *volume, bool ok)
{
    struct buffer_fate fate;
    while (buffer_flush_end(&engine->buffer, engine_volume_number(engine, volume), ok, &fate))
        if (!fate.on_disk)
            note_refused(volume, &fate);
    return volume->refused_blocks == 0;
}

static void settle(struct engine *engine, struct engine_volume *volume, bool ok)
{
    if (ok && volume->flush_counts && core_of(engine, volume)->promised_slots == 0)
        volume->final = FINAL_DONE;
    requests_settle(engine, volume, !ok);
}

/* An epoch of the dump area ends when all volumes have it in place. */
static void end_placed(struct engine *engine)
{
    if (!journal_all_placed(engine))
        return;
    journal_note_in_place(engine);
    for (uint32_t number = 0; number < engine->setup.volume_count; number++) {
        struct engine_volume *other = &engine->volume[number];
        if (!core_of(engine, other)->is_flushing)
            continue;
        (void)end_epoch(engine, other, true);
        settle(engine, other, true);
    }
}

void drain_flush_done(struct engine *engine, struct engine_volume *volume, bool ok, uint64_t now)
{
    uint32_t number = engine_volume_number(engine, volume);
    const struct buffer_epoch *epoch = &core_of(engine, volume)->flushing;
    uint32_t slots = epoch->slots, heads = epoch->heads;
    volume->refused_blocks = 0;
    engine->gauges.write_errors += ok ? 0 : 1;
    if (!ok)
        engine_cache_lost(engine);
    if (journal_keeps_epochs(engine) && (!ok || buffer_place_refused(&engine->buffer, number))) {
        place_again(engine, volume, now);
        return;
    }
    bool placing = journal_is_placing(engine);
    if (placing)
        buffer_note_in_place(&engine->buffer, number);
    if (placing || end_epoch(engine, volume, ok)) {
        uint64_t expected = rate_expects(&volume->rate, slots, heads);
        rate_follow(&volume->rate, slots, heads, epoch_time(volume, expected, now));
        epoch_accepted(engine, volume);
    } else {
        epoch_refused(engine, volume, now);
    }
    volume->last_flush = now;
    if (placing)
        end_placed(engine);
    else
        settle(engine, volume, volume->refused_blocks == 0);
}

void drain_final_done(struct engine *engine, struct engine_volume *volume, bool ok)
{
    if (!ok) {
        engine->gauges.write_errors++;
        engine_cache_lost(engine);
        quoll_log("volume %s: the disk refuses the last FLUSH; nothing acknowledged depends on it",
                  volume->name);
    }
    volume->final = volume->final == FINAL_STALE ? FINAL_NONE : FINAL_DONE;
}

uint64_t drain_deadline(const struct engine *engine, const struct engine_volume *volume)
{
    const struct buffer_volume *core = &engine->buffer.volume[engine_volume_number(engine, volume)];
    bool again = journal_keeps_epochs(engine) && core->is_writing;
    return again || (core->failed.first != BUFFER_NONE && !core->is_writing) ? volume->retry_at
                                                                             : ENGINE_NEVER;
}
