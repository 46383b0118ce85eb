/* The journal while volumes are served; see journal.h. */
#include "journal.h"

#include "checksum.h"
#include "engine.h"
#include "kept.h"
#include "sectors.h"
#include "slots.h"

#include <quoll/quoll.h>
#include <string.h>

#define MS UINT64_C(1000000)
#define RETRY_FIRST (10 * MS)
#define RETRY_LONGEST (5000 * MS)
#define UNFLUSHED_SHARE 4u

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

bool journal_keeps_epochs(const struct engine *engine)
{
    return engine->setup.ordered || engine->journal.gate;
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

/* The half of the next epoch is that of the one before the newest. */
static bool next_half_is_free(const struct journal *journal)
{
    bool on_its_way = journal->stage >= JOURNAL_WRITING && journal->stage <= JOURNAL_RETRYING;
    uint64_t told =
        on_its_way && journal->telling > journal->told ? journal->telling : journal->told;
    return told + 1 >= journal->sequence;
}

/* Both halves hold epochs that are not in place: what would be acknowledged now could not be dumped if the mains failed. */
bool journal_is_full(const struct engine *engine)
{
    const struct journal *journal = &engine->journal;
    bool two = journal->placing != 0 && journal->stage >= JOURNAL_WRITING &&
               journal->stage <= JOURNAL_DUMPED;
    return two || !next_half_is_free(journal);
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
    return journal->stage == JOURNAL_IDLE && !journal->super_due && !journal->gate &&
           journal->super_placed == journal->sequence;
}

uint64_t journal_deadline(const struct engine *engine)
{
    const struct journal *journal = &engine->journal;
    bool waits = journal->unread || journal->stage == JOURNAL_RETRYING ||
                 (journal->stage == JOURNAL_IDLE && journal->super_due);
    return waits ? journal->retry_at : ENGINE_NEVER;
}

/* ---- The list of an epoch ---- */

static void list_slot(struct engine *engine, uint32_t index, uint8_t valid)
{
    struct journal *journal = &engine->journal;
    const struct buffer_slot *slot = &engine->buffer.slot[index];
    struct dump_descriptor *descriptor = journal_descriptor(engine, journal->entries / DUMP_CHUNK);
    engine->setup.journal_order[journal->entries] = index;
    descriptor->entry[journal->entries % DUMP_CHUNK] = (struct dump_entry){
        .block = slot->block,
        .volume = slot->volume,
        .valid = valid,
    };
    journal->entries++;
}

/* Mains lost: what nobody was promised is not worth the time. */
static bool is_worth_it(const struct buffer_slot *slot)
{
    return slot->state == BUFFER_DRAINING || (slot->state == BUFFER_DIRTY && slot->promised != 0);
}

/* Sectors of the slot that no newer slot of the block brings. */
static uint8_t not_in_newer(const struct buffer *buffer, uint32_t index)
{
    const struct buffer_slot *slot = &buffer->slot[index];
    uint8_t valid = slot->valid;
    uint32_t newer = slots_newest(buffer, slot->volume, slot->block);
    for (; newer != index; newer = slots_next_older(buffer, newer))
        if (is_worth_it(&buffer->slot[newer]))
            valid = (uint8_t)(valid & ~buffer->slot[newer].valid);
    return valid;
}

/* Mode held: all that is in the buffer, each sector once. */
static void list_everything(struct engine *engine)
{
    for (uint32_t index = 0; index < engine->buffer.slot_count; index++) {
        if (!is_worth_it(&engine->buffer.slot[index]))
            continue;
        uint8_t valid = not_in_newer(&engine->buffer, index);
        if (valid != 0)
            list_slot(engine, index, valid);
    }
}

static void list_domain(struct engine *engine)
{
    const struct buffer *buffer = &engine->buffer;
    for (uint32_t number = 0; number < engine->setup.volume_count; number++) {
        const struct buffer_volume *volume = &buffer->volume[number];
        uint32_t index = volume->is_dumping ? volume->dumping.list.first : BUFFER_NONE;
        for (; index != BUFFER_NONE; index = buffer->slot[index].next)
            list_slot(engine, index, buffer->slot[index].valid);
    }
}

/* ---- Writing an epoch ---- */

static uint32_t entries_of(const struct journal *journal, uint32_t chunk)
{
    uint32_t left = journal->entries - chunk * DUMP_CHUNK;
    return left < DUMP_CHUNK ? left : DUMP_CHUNK;
}

/* Completes the descriptor, whose entries have been listed, with everything that is known only now. The checksums of the
 * data are made chunk by chunk, so that nobody waits long for them. */
static void describe(struct engine *engine, uint32_t chunk)
{
    struct journal *journal = &engine->journal;
    struct dump_descriptor *descriptor = journal_descriptor(engine, chunk);
    descriptor->identity = journal->identity;
    descriptor->sequence = journal->sequence;
    descriptor->placed = journal->telling;
    descriptor->chunk = chunk;
    descriptor->entries = entries_of(journal, chunk);
    descriptor->total = journal->entries;
    descriptor->last = (chunk + 1) * DUMP_CHUNK >= journal->entries;
    descriptor->before = chunk == 0 ? 0 : journal->sum;
    descriptor->whole = journal->emergency;
    for (uint32_t i = 0; i < descriptor->entries; i++) {
        uint32_t slot = engine->setup.journal_order[chunk * DUMP_CHUNK + i];
        descriptor->entry[i].sum = checksum(0, slots_data(&engine->buffer, slot, 0), BUFFER_BLOCK);
    }
    for (uint32_t i = descriptor->entries; i < DUMP_CHUNK; i++)
        descriptor->entry[i] = (struct dump_entry){0};
    dump_seal_descriptor(descriptor);
    journal->sum = descriptor->sum;
}

uint32_t journal_piece(const struct engine *engine, uint32_t issued, uint8_t **memory)
{
    const uint32_t *order = engine->setup.journal_order;
    uint32_t chunk = issued / (DUMP_CHUNK + 1), within = issued % (DUMP_CHUNK + 1);
    if (within == 0) {
        *memory = (uint8_t *)journal_descriptor(engine, chunk);
        return 1;
    }
    uint32_t entry = chunk * DUMP_CHUNK + within - 1;
    uint32_t most = entries_of(&engine->journal, chunk) - (within - 1);
    uint32_t limit = engine->volume[engine->setup.volume_count].max_sectors / DUMP_BLOCK_SECTORS;
    most = most < limit ? most : limit;
    uint32_t count = 1;
    while (count < most && order[entry + count] == order[entry] + count)
        count++;
    *memory = slots_data(&engine->buffer, order[entry], 0);
    return count;
}

/* Not more than one descriptor at a time while clients are served: its checksums take their time. */
static void issue_pieces(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    uint64_t half = dump_half(journal->sectors, journal->sequence);
    uint32_t described = 0;
    while (journal->issued < dump_blocks(journal->entries) && journal->in_flight < ENGINE_RUNS) {
        uint8_t *memory;
        if (journal->issued % (DUMP_CHUNK + 1) == 0) {
            if (described++ > 0 && engine->phase == ENGINE_RUNNING)
                return;
            describe(engine, journal->issued / (DUMP_CHUNK + 1));
        }
        uint32_t count = journal_piece(engine, journal->issued, &memory);
        journal_send(engine, BLOCK_WRITE, half + journal->issued, memory, count);
        journal->issued += count;
    }
}

static void begin_dump(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    journal->sequence++;
    journal->telling = journal->placed;
    journal->issued = 0;
    journal->failed = false;
    journal->since = now;
    journal->stage = JOURNAL_WRITING;
}

static void retry_dump(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    bool hurry = engine->phase == ENGINE_MAINS;
    if (!journal->failing)
        quoll_log("dump area: the disk refuses to write; until it works, nothing is acknowledged");
    journal->failing = true;
    journal->retry_after =
        journal->retry_after == 0 || hurry ? RETRY_FIRST : journal->retry_after * 2;
    if (journal->retry_after > RETRY_LONGEST)
        journal->retry_after = RETRY_LONGEST;
    journal->retry_at = now + journal->retry_after;
    journal->stage = JOURNAL_RETRYING;
    for (uint32_t number = 0; number < engine->setup.volume_count && !hurry; number++)
        requests_fail_waiting(engine, &engine->volume[number]);
}

static bool step_writing(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    issue_pieces(engine);
    if (journal->issued < dump_blocks(journal->entries) || journal->in_flight > 0)
        return false;
    if (journal->failed) {
        retry_dump(engine, now);
        return true;
    }
    journal->stage = JOURNAL_FLUSHING;
    journal_send(engine, BLOCK_FLUSH, 0, NULL, 0);
    return true;
}

static bool step_flushing(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    if (journal->in_flight > 0)
        return false;
    if (journal->failed) {
        engine_cache_lost(engine);
        retry_dump(engine, now);
        return true;
    }
    if (journal->failing)
        quoll_log("dump area: the disk takes writes again");
    journal->failing = false;
    journal->retry_after = 0;
    journal->stage = JOURNAL_DUMPED;
    journal->told = journal->telling > journal->told ? journal->telling : journal->told;
    if (engine->setup.ordered)
        kept_note_dumped(engine->setup.kept, journal->sequence);
    rate_follow(&journal_disk(engine)->rate, dump_blocks(journal->entries), 0,
                now - journal->since);
    for (uint32_t number = 0; number < engine->setup.volume_count && !journal->emergency;
         number++) {
        buffer_dumped(&engine->buffer, number);
        requests_settle(engine, &engine->volume[number], false);
    }
    return true;
}

static bool step_retrying(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    if (now < journal->retry_at)
        return false;
    journal->issued = 0;
    journal->failed = false;
    journal->since = now;
    journal->stage = JOURNAL_WRITING;
    return true;
}

/* ---- Placing ---- */

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
    journal->super_due = journal->super_due || journal->gate || !next_half_is_free(journal);
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
    super->placed = journal->placed;
    super->serial = journal->super_serial;
    dump_seal_super(super);
    journal->failed = false;
    journal->stage = JOURNAL_SUPER_WRITING;
    journal_send(engine, BLOCK_WRITE, copy, super, 1);
}

static bool super_failed(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    if (!journal->failed)
        return false;
    journal->super_due = true;
    journal->retry_at = now + RETRY_FIRST;
    journal->stage = JOURNAL_IDLE;
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
        if (engine->volume[number].runs > 0 || engine->buffer.volume[number].is_flushing)
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
        list_everything(engine);
    else if (engine->setup.ordered && next_half_is_free(journal) &&
             (mains_lost || journal_all_placed(engine)) && seal_domain(engine))
        list_domain(engine);
    if (journal->entries == 0 && !journal->emergency)
        return false;
    if (journal->entries == 0) {
        journal->stage = JOURNAL_DUMPED; /* nothing to save */
        return true;
    }
    begin_dump(engine, now);
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
        return step_writing(engine, now);
    case JOURNAL_FLUSHING:
        return step_flushing(engine, now);
    case JOURNAL_RETRYING:
        return step_retrying(engine, now);
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
    if (engine->setup.ordered || !has_opened(journal) || journal->stage == JOURNAL_DUMPED)
        return;
    journal->emergency =
        next_half_is_free(journal) && dump_cost(engine) < buffer_cost(&engine->buffer);
}

void journal_mains_back(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    bool begun = journal->emergency && journal->stage != JOURNAL_IDLE &&
                 journal->stage != JOURNAL_SUPER_WRITING &&
                 journal->stage != JOURNAL_SUPER_FLUSHING;
    journal->emergency = false;
    journal->abandoned = begun;
    journal->gate = journal->gate || begun;
}
