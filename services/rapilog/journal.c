/* The journal while volumes are served: what is written when, superblocks, the mains; see journal.h. */
#include "journal.h"

#include "engine.h"
#include "kept.h"

#include <quoll/quoll.h>
#include <string.h>

#define UNFLUSHED_SHARE 4u
#define RETRY_LONGEST UINT64_C(5000000000)

/* ---- Memory: order of the slots, descriptors, superblocks ---- */

static uint32_t descriptor_count(uint32_t slot_count)
{
    uint32_t chunks = (slot_count + DUMP_CHUNK - 1) / DUMP_CHUNK;
    return chunks > 2 ? chunks : 2;
}

uint32_t journal_blocks(uint32_t slot_count)
{
    return descriptor_count(slot_count) + DUMP_SUPERS;
}

struct engine_volume *journal_disk(struct engine *engine)
{
    return &engine->volume[engine->setup.volume_count];
}

struct dump_descriptor *journal_descriptor(const struct engine *engine, uint32_t chunk)
{
    return (struct dump_descriptor *)(void *)(engine->setup.journal_memory +
                                              (size_t)chunk * DUMP_BLOCK);
}

struct dump_super *journal_super(const struct engine *engine, uint32_t copy)
{
    uint32_t place = descriptor_count(engine->buffer.slot_count) + copy;
    return (struct dump_super *)(void *)(engine->setup.journal_memory + (size_t)place * DUMP_BLOCK);
}

/* Where the disk finds memory of the engine's: slot data, or the journal's own. */
static uint64_t offset_of(const struct engine *engine, const uint8_t *memory)
{
    const uint8_t *data = engine->buffer.data;
    if (memory >= data && memory < data + (size_t)engine->buffer.slot_count * BUFFER_BLOCK)
        return engine->setup.slots_offset + (uint64_t)(memory - data);
    return engine->setup.journal_offset + (uint64_t)(memory - engine->setup.journal_memory);
}

void journal_send(struct engine *engine, uint32_t operation, uint64_t block, const void *memory,
                  uint32_t blocks)
{
    struct journal *journal = &engine->journal;
    struct block_request request = {.operation = (uint16_t)operation};
    if (operation != BLOCK_FLUSH) {
        request.sector = block * DUMP_BLOCK_SECTORS;
        request.count = blocks * DUMP_BLOCK_SECTORS;
        request.buffer = engine->setup.buffer_number;
        request.offset = offset_of(engine, memory);
    }
    const struct engine_command command = {.kind = ENGINE_COMMAND_JOURNAL};
    if (engine_send(engine, journal_disk(engine), &command, &request))
        journal->in_flight++;
    else
        journal->failed = true;
}

void journal_command_done(struct engine *engine, bool ok)
{
    engine->journal.in_flight--;
    engine->journal.failed = engine->journal.failed || !ok;
    engine->gauges.write_errors += ok ? 0 : 1;
}

/* ---- What the rest of the engine asks ---- */

bool journal_orders(const struct engine *engine)
{
    return engine->setup.ordered;
}

/* When the dump area has refused the fast way out, or to be voided without mains, what it holds of old may come back whatever is
 * done: better to have the rest in place than only in memory. An older epoch that is on its way there goes first. */
static bool gate_counts(const struct engine *engine)
{
    const struct journal *journal = &engine->journal;
    bool in_place = engine->phase == ENGINE_MAINS && journal->given_up && journal->placing == 0;
    return journal->gate && !in_place;
}

bool journal_keeps_epochs(const struct engine *engine)
{
    return engine->setup.ordered || gate_counts(engine);
}

bool journal_is_placing(const struct engine *engine)
{
    return engine->journal.placing != 0;
}

bool journal_stops_placing(const struct engine *engine)
{
    if (engine->journal.abandoned)
        return true; /* no slot may change that the dump area still takes */
    return engine->phase == ENGINE_MAINS && (engine->setup.ordered || engine->journal.emergency);
}

uint64_t journal_unflushed_limit(const struct engine *engine)
{
    if (!engine->setup.ordered || engine->full_budget == 0)
        return UINT64_MAX;
    return engine->full_budget / UNFLUSHED_SHARE / engine->setup.volume_count + 1;
}

uint64_t journal_budget(const struct engine *engine)
{
    uint64_t full = engine->full_budget;
    return engine->setup.ordered ? full - full / UNFLUSHED_SHARE : full;
}

void journal_cache_lost(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    bool affected = journal->stage == JOURNAL_WRITING || journal->stage == JOURNAL_FLUSHING ||
                    journal->stage == JOURNAL_SUPER_WRITING ||
                    journal->stage == JOURNAL_SUPER_FLUSHING;
    journal->failed = journal->failed || affected;
}

bool journal_all_placed(const struct engine *engine)
{
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        if (!buffer_placed(&engine->buffer, number))
            return false;
    return true;
}

static bool anything_open(const struct engine *engine)
{
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        if (buffer_must_seal(&engine->buffer, number))
            return true;
    return false;
}

static bool has_opened(const struct journal *journal)
{
    return journal->stage >= JOURNAL_IDLE;
}

/* Whether another epoch can be written. Its half is that of the one before the newest. */
static bool has_room(const struct journal *journal)
{
    bool on_its_way = journal->stage >= JOURNAL_WRITING && journal->stage <= JOURNAL_RETRYING;
    uint64_t told =
        on_its_way && journal->telling > journal->told ? journal->telling : journal->told;
    return journal->owned && told + 1 >= journal->sequence;
}

/* Both halves hold epochs that are not in place, or the area is not yet said to be these volumes': what would be acknowledged now
 * could not be dumped if the mains failed. */
bool journal_is_full(const struct engine *engine)
{
    const struct journal *journal = &engine->journal;
    bool two = journal->placing != 0 && journal->stage >= JOURNAL_WRITING &&
               journal->stage <= JOURNAL_DUMPED;
    return two || !has_room(journal);
}

bool journal_finished(const struct engine *engine)
{
    const struct journal *journal = &engine->journal;
    bool quiet = journal->stage == JOURNAL_IDLE || journal->stage == JOURNAL_DUMPED;
    if (journal->stage == JOURNAL_ABSENT)
        return true;
    /* Before that, only an earlier life can have left something: in memory, or in the dump area, where it is safe but not in
     * place. */
    if (!has_opened(journal))
        return engine->buffer.slots == 0 &&
               (engine->phase == ENGINE_MAINS || journal->stage == JOURNAL_REFUSED);
    if (engine->phase == ENGINE_MAINS && journal->emergency)
        return journal->stage == JOURNAL_DUMPED;
    if (engine->phase == ENGINE_MAINS && engine->setup.ordered)
        return quiet && !anything_open(engine);
    if (engine->phase == ENGINE_MAINS) /* the volumes drain in place */
        return journal->stage == JOURNAL_IDLE && (!journal->gate || journal->hopeless);
    if (!journal->owned) /* nothing of these volumes can be in it */
        return journal->stage == JOURNAL_IDLE;
    return journal->stage == JOURNAL_IDLE && !journal->super_due && !journal->gate &&
           journal->super_placed == journal->sequence;
}

bool journal_is_hopeless(const struct engine *engine)
{
    const struct journal *journal = &engine->journal;
    return engine->phase == ENGINE_MAINS && journal->hopeless && journal->gate;
}

uint64_t journal_deadline(const struct engine *engine)
{
    const struct journal *journal = &engine->journal;
    bool waits = journal->unread || journal->stage == JOURNAL_RETRYING ||
                 (journal->stage == JOURNAL_IDLE && journal->super_due);
    return waits ? journal->retry_at : ENGINE_NEVER;
}

/* ---- Placing ---- */

void journal_note_in_place(struct engine *engine)
{
    kept_note_placed(engine->setup.kept, engine->journal.placing);
}

static bool step_dumped(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    if (journal->emergency || !journal_all_placed(engine))
        return false;
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        buffer_place(&engine->buffer, number);
    journal->placed = journal->placing != 0 ? journal->placing : journal->placed;
    journal->placing = journal->sequence;
    journal->stage = JOURNAL_IDLE;
    return true;
}

static void note_placed(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    if (journal->placing == 0 || !journal_all_placed(engine))
        return;
    journal->placed = engine->setup.ordered ? journal->placing : journal->sequence;
    journal->placing = 0;
    journal->super_due = journal->super_due || journal->gate || !has_room(journal);
}

/* ---- Refused writes ---- */

/* Nobody is answered without mains. */
static const char *what_happens_meanwhile(const struct engine *engine)
{
    if (engine->phase == ENGINE_MAINS)
        return engine->setup.ordered ? "what is in memory stays there" : "all drains in place";
    return engine->setup.ordered || engine->journal.gate
               ? "what waits for it is answered with an error"
               : "all drains in place, and no write waits for it";
}

void journal_refused(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    bool hurry = engine->phase == ENGINE_MAINS;
    bool needed = engine->setup.ordered || journal->gate;
    if (!journal->failing)
        quoll_log(
            "dump area: the disk refuses to write; trying again. While it goes on refusing, %s",
            what_happens_meanwhile(engine));
    journal->failing = true;
    journal->retry_after =
        journal->retry_after == 0 || hurry ? JOURNAL_RETRY_NS : journal->retry_after * 2;
    if (journal->retry_after > RETRY_LONGEST)
        journal->retry_after = RETRY_LONGEST;
    journal->retry_at = now + journal->retry_after;
    bool answer = needed && journal->retry_after > ENGINE_PATIENCE_NS;
    for (uint32_t number = 0; number < engine->setup.volume_count && answer && !hurry; number++)
        requests_fail_waiting(engine, &engine->volume[number]);
}

void journal_accepted(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    if (journal->failing)
        quoll_log("dump area: the disk takes writes again");
    journal->failing = false;
    journal->retry_after = 0;
}

/* ---- Superblocks ---- */

static bool wants_super(const struct engine *engine, uint64_t now)
{
    const struct journal *journal = &engine->journal;
    if (journal->placing != 0 || now < journal->retry_at)
        return false;
    bool clean_end = engine->phase == ENGINE_DRAINING && !anything_open(engine) &&
                     journal->super_placed != journal->placed;
    return journal->super_due || clean_end;
}

static void write_super(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    uint32_t copy = (uint32_t)(++journal->super_serial % DUMP_SUPERS);
    struct dump_super *super = journal_super(engine, copy);
    memset(super, 0, DUMP_BLOCK);
    super->identity = journal->identity;
    super->sectors = journal->sectors;
    super->placed = journal->placed;
    super->serial = journal->super_serial;
    dump_seal_super(super);
    journal->failed = false;
    journal->stage = JOURNAL_SUPER_WRITING;
    journal_send(engine, BLOCK_WRITE, copy, super, 1);
}

/* All drains in place, but what the area holds of old would come back over it. Its superblock is tried as long as there may be power; a
 * dead area must not keep a machine on for ever. */
static void note_hopeless(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    if (journal->try_until == 0)
        journal->try_until = now + engine->setup.limits.hold_up_ns;
    if (journal->hopeless || now < journal->try_until)
        return;
    journal->hopeless = true;
    quoll_log("dump area: the disk still refuses to write; what it holds of old may come back over "
              "newer data at the next start");
}

static bool super_failed(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    if (!journal->failed)
        return false;
    journal->super_due = true;
    journal->retry_at = now + JOURNAL_RETRY_NS;
    journal->stage = JOURNAL_IDLE;
    if (!engine->setup.ordered || !has_room(journal))
        journal_refused(engine, now);
    if (engine->phase == ENGINE_MAINS && journal->gate && !journal->emergency) {
        journal->given_up = true;
        note_hopeless(engine, now);
    }
    return true;
}

static bool step_super_writing(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    if (journal->in_flight > 0)
        return false;
    if (super_failed(engine, now))
        return true;
    journal->stage = JOURNAL_SUPER_FLUSHING;
    journal_send(engine, BLOCK_FLUSH, 0, NULL, 0);
    return true;
}

static bool step_super_flushing(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    if (journal->in_flight > 0)
        return false;
    if (super_failed(engine, now)) {
        engine_cache_lost(engine);
        return true;
    }
    journal_accepted(engine);
    if (!journal->owned)
        kept_note_dumped(engine->setup.kept, journal->sequence);
    journal->owned = true;
    journal->super_placed = journal->placed;
    journal->told = journal->placed;
    journal->super_due = false;
    journal->gate = false;
    journal->stage = JOURNAL_IDLE;
    return true;
}

/* ---- Steps ---- */

static bool seal_domain(struct engine *engine)
{
    bool any = false;
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        any = buffer_seal_for_dump(&engine->buffer, number, engine->journal.sequence + 1) || any;
    return any;
}

/* Nothing of any volume's own drain is at the disk, so that no slot changes any more. */
static bool drain_stands_still(const struct engine *engine)
{
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        if (engine->volume[number].runs > 0 || (engine->buffer.volume[number].is_flushing &&
                                                !engine->buffer.volume[number].is_in_place))
            return false;
    return true;
}

static bool step_idle(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    note_placed(engine);
    journal->entries = 0;
    if (wants_super(engine, now) && !journal->emergency) {
        write_super(engine);
        return true;
    }
    bool mains_lost = engine->phase == ENGINE_MAINS;
    if (journal->emergency && !drain_stands_still(engine))
        return false;
    if (journal->emergency)
        dumping_list_everything(engine);
    else if (engine->setup.ordered && has_room(journal) &&
             (mains_lost || journal_all_placed(engine)) && seal_domain(engine))
        dumping_list_domain(engine);
    if (journal->entries == 0 && !journal->emergency)
        return false;
    if (journal->entries == 0) {
        journal->stage = JOURNAL_DUMPED; /* nothing to save */
        return true;
    }
    dumping_begin(engine, now);
    return true;
}

/* Held, the mains are back: what is in the dump area is also in the buffer, and is voided before anything newer gets in place. */
static bool step_abandoned(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    if (journal->in_flight > 0)
        return false;
    journal->abandoned = false;
    journal->stage = JOURNAL_IDLE;
    if (journal->placing == 0) {
        journal->placed = journal->sequence;
        journal->super_due = true;
    }
    return true;
}

static bool step_stage(struct engine *engine, uint64_t now)
{
    if (engine->journal.abandoned)
        return step_abandoned(engine);
    switch (engine->journal.stage) {
    case JOURNAL_ABSENT:
    case JOURNAL_AWAITED:
    case JOURNAL_REFUSED:
        return false;
    case JOURNAL_READING:
    case JOURNAL_LOADING_LIST:
    case JOURNAL_LOADING_DATA:
        return replay_step(engine, now);
    case JOURNAL_IDLE:
        return step_idle(engine, now);
    case JOURNAL_WRITING:
        return dumping_step_writing(engine, now);
    case JOURNAL_FLUSHING:
        return dumping_step_flushing(engine, now);
    case JOURNAL_RETRYING:
        return dumping_step_retrying(engine, now);
    case JOURNAL_DUMPED:
        return step_dumped(engine);
    case JOURNAL_SUPER_WRITING:
        return step_super_writing(engine, now);
    case JOURNAL_SUPER_FLUSHING:
        return step_super_flushing(engine, now);
    }
    return false;
}

void journal_open(struct engine *engine)
{
    replay_open(engine);
}

void journal_step(struct engine *engine, uint64_t now)
{
    while (step_stage(engine, now))
        continue;
}

/* ---- Mains ---- */

/* Time to write everything that is in the buffer to the dump area, in one pass. */
static uint64_t dump_cost(struct engine *engine)
{
    return dump_blocks(engine->buffer.slots) * journal_disk(engine)->rate.slot_ns;
}

void journal_mains(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    journal->retry_at = 0;
    journal->try_until = 0;
    journal->hopeless = false;
    if (engine->setup.ordered || !has_opened(journal) || journal->stage == JOURNAL_DUMPED)
        return;
    bool faster =
        journal_disk(engine)->rate.known && dump_cost(engine) < buffer_cost(&engine->buffer);
    journal->emergency = has_room(journal) && (journal->gate || faster);
    journal->given_up =
        journal->gate && journal->failing && !journal->emergency && journal->placing == 0;
}

void journal_mains_back(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    bool begun = journal->emergency && journal->stage != JOURNAL_IDLE &&
                 journal->stage != JOURNAL_SUPER_WRITING &&
                 journal->stage != JOURNAL_SUPER_FLUSHING;
    begun = begun || journal->given_up;
    journal->emergency = false;
    journal->given_up = false;
    journal->abandoned = journal->abandoned || begun;
    journal->gate = journal->gate || begun;
}
