/*
 * An epoch's way into the dump area: its list, its chunks one after the other, one FLUSH, and everything once more when the disk
 * refuses, or in place when there is no time for that; see journal.h.
 *
 * The slots on the list do not change until the epoch is there: they are DRAINING, or the drain stands still (mode held).
 */
#include "checksum.h"
#include "engine.h"
#include "journal.h"
#include "kept.h"
#include "slots.h"

#include <quoll/quoll.h>

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
void dumping_list_everything(struct engine *engine)
{
    for (uint32_t index = 0; index < engine->buffer.slot_count; index++) {
        if (!is_worth_it(&engine->buffer.slot[index]))
            continue;
        uint8_t valid = not_in_newer(&engine->buffer, index);
        if (valid != 0)
            list_slot(engine, index, valid);
    }
}

void dumping_list_domain(struct engine *engine)
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

static uint32_t next_piece(const struct engine *engine, uint32_t issued, uint8_t **memory)
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
        uint32_t count = next_piece(engine, journal->issued, &memory);
        journal_send(engine, BLOCK_WRITE, half + journal->issued, memory, count);
        journal->issued += count;
    }
}

void dumping_begin(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    journal->sequence++;
    /* What is voided, but not yet told to be, may still be needed should this epoch not become complete. */
    journal->telling = journal->emergency ? journal->told : journal->placed;
    journal->issued = 0;
    journal->failed = false;
    journal->since = now;
    journal->stage = JOURNAL_WRITING;
}

/* The time that is left is for draining in place: an older epoch that is on its way there, and then the rest. */
static void refused(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    if (journal->emergency) {
        quoll_log("dump area: the disk refuses to write; draining in place");
        journal->emergency = false;
        journal->given_up = true;
        journal->stage = JOURNAL_IDLE;
        return;
    }
    journal->stage = JOURNAL_RETRYING;
    journal_refused(engine, now);
}

bool dumping_step_writing(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    issue_pieces(engine);
    if (journal->issued < dump_blocks(journal->entries) || journal->in_flight > 0)
        return false;
    if (journal->failed) {
        refused(engine, now);
        return true;
    }
    journal->stage = JOURNAL_FLUSHING;
    journal_send(engine, BLOCK_FLUSH, 0, NULL, 0);
    return true;
}

bool dumping_step_flushing(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    if (journal->in_flight > 0)
        return false;
    if (journal->failed) {
        engine_cache_lost(engine);
        refused(engine, now);
        return true;
    }
    journal_accepted(engine);
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

bool dumping_step_retrying(struct engine *engine, uint64_t now)
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
