/*
 * The journal's start: what is pending in the dump area comes back into the buffer. See journal.h and dump.h.
 *
 * Nothing on the dump area is believed: superblocks and descriptors are copied, checked, and refer only to volumes, blocks and
 * slots that exist; data is compared with its checksum. An epoch that is not complete was not acknowledged as
 * dumped by anything that still runs, so it is left out; where RapiLog was restarted, its memory knows which were, and a damaged one of those is
 * refused. An older epoch that is damaged while a newer one is complete cannot
 * come from a power cut: then the area is refused, since half of a history would be worse than none.
 */
#include "checksum.h"
#include "engine.h"
#include "journal.h"
#include "kept.h"
#include "sectors.h"
#include "slots.h"

#include <quoll/quoll.h>
#include <string.h>

#define KIB 1024u

static const char something_else[] =
    "the partition holds something else. Is its label the right one? If so, clear its first 8 KiB";
static const char another_version[] =
    "another version of RapiLog has written it, and it may hold acknowledged data that is not in "
    "place. Start that version once more, switch off cleanly, and then clear its first 8 KiB; who "
    "clears it before loses that data";
static const char lost_flushed[] = "the disk has lost a part of it that was flushed";

static void refuse(struct engine *engine, const char *why)
{
    engine->journal.stage = JOURNAL_REFUSED;
    quoll_log("dump area: %s. No volume is served", why);
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        engine_port_refused(number, "RapiLog cannot use its dump area; its log tells why");
}

/* ---- Superblocks and first descriptors ---- */

static void read_heads(struct engine *engine);

/* The disk does not let the dump area be read now. That says nothing about what is there: it is tried again. */
static void read_later(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    if (!journal->failing)
        quoll_log("dump area: it cannot be read; trying again. No volume is served before");
    journal->failing = true;
    journal->failed = false;
    journal->unread = true;
    journal->retry_at = now + JOURNAL_RETRY_NS;
}

/* False: the area is too small. */
static bool note_capacity(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    journal->capacity = dump_capacity(journal->sectors);
    if (journal->capacity > 0 && journal->capacity < engine->buffer.slot_count) {
        engine->buffer.slot_most = journal->capacity;
        quoll_log("dump area: only %u KiB fit into half of it, so not more is held",
                  journal->capacity * (DUMP_BLOCK / KIB));
    }
    return journal->capacity > 0;
}

void replay_open(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    if (!note_capacity(engine) || journal_disk(engine)->max_sectors < DUMP_BLOCK_SECTORS) {
        refuse(engine, "it is too small; give it twice the size of RapiLog's memory");
        return;
    }
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        journal->identity = dump_identity(journal->identity, engine->volume[number].name,
                                          engine->volume[number].sectors);
    read_heads(engine);
}

static void read_heads(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    journal->failed = false;
    journal->unread = false;
    journal->stage = JOURNAL_READING;
    /* After a restart of RapiLog the disk may have in its cache only what is read now as if it were there for good. */
    journal_send(engine, BLOCK_FLUSH, 0, NULL, 0);
    for (uint32_t i = 0; i < DUMP_SUPERS; i++)
        journal_send(engine, BLOCK_READ, i, journal_super(engine, i), 1);
    for (uint32_t i = 0; i < 2; i++)
        journal_send(engine, BLOCK_READ, dump_half(journal->sectors, i),
                     journal_descriptor(engine, i), 1);
}

static bool all_zero(const void *memory)
{
    const uint8_t *byte = memory;
    for (uint32_t i = 0; i < DUMP_BLOCK; i++)
        if (byte[i] != 0)
            return false;
    return true;
}

/* The newest superblock; false: there is none. */
static bool newest_super(struct engine *engine, struct dump_super *newest)
{
    bool any = false;
    for (uint32_t i = 0; i < DUMP_SUPERS; i++) {
        const struct dump_super super = *journal_super(engine, i);
        dump_copied(&super);
        if (dump_super_sound(&super) && (!any || super.serial > newest->serial)) {
            *newest = super;
            any = true;
        }
    }
    return any;
}

static bool is_of_another_version(const struct engine *engine)
{
    for (uint32_t i = 0; i < DUMP_SUPERS; i++) {
        const struct dump_super super = *journal_super(engine, i);
        dump_copied(&super);
        if (dump_super_of_another_version(&super))
            return true;
    }
    return false;
}

/* Its superblock says another size than the partition has; where the halves are follows from the superblock's. */
static void take_former_size(struct engine *engine, uint64_t sectors)
{
    struct journal *journal = &engine->journal;
    bool smaller = journal->sectors < sectors;
    journal->sectors = sectors;
    if (smaller || !note_capacity(engine)) {
        refuse(engine, "its partition has become smaller, so that a part of it is gone. Give it "
                       "its former size, or clear its first 8 KiB and lose what is in it");
        return;
    }
    quoll_log("dump area: its partition has grown; %lu KiB of it are used, as before. To use all, "
              "clear its first 8 KiB after a clean power-off",
              (unsigned long)(sectors / (KIB / BLOCK_SECTOR)));
    read_heads(engine);
}

/* Whether an earlier life in this memory has noted what the dump area holds. */
static bool memory_knows(const struct journal *journal)
{
    return journal->survived && journal->dumped < KEPT_NOT_READ;
}

/* Which epoch is there, as far as its first descriptor tells. */
struct half {
    uint64_t sequence; /* 0: none */
    bool whole;
};

static void note_placed_up_to(struct journal *journal, uint64_t sequence)
{
    if (sequence > journal->placed)
        journal->placed = sequence;
}

/* What the superblock, which is of those volumes, and the halves' first descriptors tell about where things stand. NULL: there is none. */
static void note_halves(struct engine *engine, const struct dump_super *super,
                        struct half halves[2])
{
    struct journal *journal = &engine->journal;
    uint64_t identity = super != NULL ? super->identity : journal->identity;
    bool counts = super != NULL || memory_knows(journal);
    for (uint32_t i = 0; i < 2; i++) {
        journal->list = *journal_descriptor(engine, i);
        dump_copied(&journal->list);
        const struct dump_descriptor *first = &journal->list;
        halves[i] = (struct half){0};
        if (!dump_descriptor_sound(first) || first->chunk != 0 || first->sequence % 2 != i)
            continue;
        if (!counts) /* whoever it is from: what is written from now on has later numbers */
            note_placed_up_to(journal, first->sequence);
        if (first->identity != identity)
            continue;
        halves[i] = (struct half){first->sequence, first->whole == 1};
        note_placed_up_to(journal, first->placed);
    }
    journal->sequence = journal->placed;
    journal->told = journal->placed;
}

/* After a restart of RapiLog, its memory knows more than the dump area says: an epoch that was not known to be there is in memory as a
 * whole, and one that is in place may have no room any more. Both are left out; in mode held that means that they are voided. */
static void note_pending(struct engine *engine, const struct half halves[2])
{
    struct journal *journal = &engine->journal;
    uint64_t in_place = journal->survived ? kept_placed(engine->setup.kept) : 0;
    uint32_t older = 1;
    if (halves[0].sequence < halves[1].sequence)
        older = 0;
    if (engine->setup.ordered && in_place > journal->placed)
        journal->placed = journal->sequence = in_place;
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t sequence = halves[i == 0 ? older : 1 - older].sequence;
        if (sequence <= journal->told)
            continue;
        if (!journal->survived || (sequence > in_place && sequence <= journal->dumped))
            journal->pending[journal->pending_count++] = sequence;
        else if (!engine->setup.ordered)
            journal->to_void = sequence;
    }
    journal->alone = journal->pending_count == 2 && halves[1 - older].whole;
    if (journal->alone) {
        journal->pending[1] = journal->pending[0];
        journal->pending[0] = halves[1 - older].sequence;
    }
}

/* Memory has left the newest epoch that was dumped to the dump area, where not even its first descriptor is any more. Older ones: see
 * loaded(). */
static bool is_newest_gone(const struct engine *engine)
{
    const struct journal *journal = &engine->journal;
    if (!memory_knows(journal) || journal->dumped <= journal->placed ||
        journal->dumped <= kept_placed(engine->setup.kept))
        return false;
    for (uint32_t i = 0; i < journal->pending_count; i++)
        if (journal->pending[i] == journal->dumped)
            return false;
    return true;
}

static void begin_load(struct engine *engine);

static void judge(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    struct dump_super super = {0};
    struct half halves[2];
    bool known = newest_super(engine, &super);
    if (!known && !(all_zero(journal_super(engine, 0)) && all_zero(journal_super(engine, 1)))) {
        refuse(engine, is_of_another_version(engine) ? another_version : something_else);
        return;
    }
    if (known && super.sectors != journal->sectors) {
        take_former_size(engine, super.sectors);
        return;
    }
    journal->placed = super.placed;
    journal->super_placed = super.placed;
    journal->super_serial = super.serial;
    note_halves(engine, known ? &super : NULL, halves);
    note_pending(engine, halves);
    bool ours = known && super.identity == journal->identity;
    if (known && !ours && journal->pending_count > 0) {
        refuse(engine,
               "it holds data of other volumes than these that may not be in place yet. Start "
               "the description that it belongs to, or clear its first 8 KiB and lose that "
               "data");
        return;
    }
    if (is_newest_gone(engine)) {
        refuse(engine, lost_flushed);
        return;
    }
    journal->owned = ours || (!known && memory_knows(journal));
    journal->super_due = !ours || journal->placed > journal->told;
    begin_load(engine);
}

/* ---- Loading ---- */

static void serve_all(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    journal->entries = 0;
    journal->failed = false;
    journal->failing = false;
    if (journal->recovered > 0)
        quoll_log("dump area: %lu KiB recovered; they are on their way to their volumes",
                  (unsigned long)(journal->recovered / KIB));
    kept_adopt(&engine->buffer);
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        engine_serve(engine, number);
}

/* What is in place is known from the first descriptor of an epoch that is not complete (mode `held ordered` had begun it). The next
 * dump's first write replaces that, and an older epoch would count again: before the superblock says it, too, nothing newer may go in place. */
static bool is_only_a_hint(const struct journal *journal)
{
    return journal->owned && journal->told > journal->super_placed;
}

/* All is loaded that could be. The newest epoch is in the dumping lists, the one before already in the writing lists. */
static void end_load(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    bool any = false;
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        any = any || engine->buffer.volume[number].is_dumping;
    journal->stage = any ? JOURNAL_DUMPED : JOURNAL_IDLE;
    /* An area that does not say yet whose it is holds nothing of this memory's. Before `to_void` counts: what is voided is in memory, and the next life must not look for it there. */
    kept_note_dumped(engine->setup.kept, journal->owned ? journal->sequence : KEPT_NOT_READ);
    if (journal->owned && journal->told > kept_placed(engine->setup.kept))
        kept_note_placed(engine->setup.kept, journal->told); /* what says so may be overwritten */
    if (journal->to_void > journal->sequence)
        journal->sequence = journal->to_void;
    journal->gate = !engine->setup.ordered && (any || journal->placing != 0 ||
                                               journal->to_void != 0 || is_only_a_hint(journal));
    journal->super_due = journal->super_due || journal->gate;
    if (journal->to_void != 0 && !any && journal->placing == 0) {
        journal->placed = journal->to_void;
        journal->super_due = true;
    }
    /* The life before took the fast way out, which it knew to be faster; this one has not measured anything. */
    journal->emergency =
        engine->phase == ENGINE_MAINS && journal->to_void != 0 && !any && !journal_is_full(engine);
    serve_all(engine);
}

/* The descriptor of the next chunk. */
static void read_list(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    journal->failed = false;
    journal->unread = false;
    journal->stage = JOURNAL_LOADING_LIST;
    journal_send(engine, BLOCK_READ,
                 dump_half(journal->sectors, journal->pending[journal->loading]) +
                     (uint64_t)journal->chunk * (DUMP_CHUNK + 1),
                 journal_descriptor(engine, journal->chunk % 2), 1);
}

static void begin_load(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    if (journal->loading == journal->pending_count) {
        end_load(engine);
        return;
    }
    journal->entries = 0;
    journal->chunk = 0;
    read_list(engine);
}

static void unload(struct engine *engine)
{
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        buffer_unload(&engine->buffer, number);
}

/* Leaving out what may be complete, or was, would lose it. */
static void refuse_load(struct engine *engine, const char *why)
{
    unload(engine);
    for (uint32_t number = 0; number < engine->setup.volume_count; number++)
        buffer_unplace(&engine->buffer, number);
    unload(engine);
    refuse(engine, why);
}

/* The epoch that is being loaded is not complete. */
static void give_up(struct engine *engine, const char *why)
{
    struct journal *journal = &engine->journal;
    if (memory_knows(journal)) { /* that it was complete: no other is loaded then */
        refuse_load(engine, lost_flushed);
        return;
    }
    unload(engine);
    quoll_log("dump area: epoch %lu is not complete (%s); it is left out",
              (unsigned long)journal->pending[journal->loading], why);
    if (!journal->alone && journal->loading + 1 < journal->pending_count)
        journal->damaged = true;
    journal->loading++;
    begin_load(engine);
}

/* Whether the epoch that is being loaded has some of these sectors already; they would be in flight twice, in any order. */
static bool has_already(const struct engine *engine, const struct dump_entry *entry)
{
    const struct buffer *buffer = &engine->buffer;
    uint32_t index = slots_newest(buffer, entry->volume, entry->block);
    for (; index != BUFFER_NONE; index = slots_next_older(buffer, index))
        if (buffer->slot[index].first_write == engine->journal.loading + 1u &&
            (buffer->slot[index].valid & entry->valid) != 0)
            return true;
    return false;
}

/* NULL: the entry has got a slot. */
static const char *load_entry(struct engine *engine, const struct dump_entry *entry)
{
    struct journal *journal = &engine->journal;
    if (entry->volume >= engine->setup.volume_count || entry->valid == 0)
        return "an entry names no volume";
    uint64_t sectors = engine->volume[entry->volume].sectors;
    uint32_t last = BUFFER_BLOCK_SECTORS - 1;
    while (!has_sector(entry->valid, last))
        last--;
    if (entry->block > sectors / BUFFER_BLOCK_SECTORS ||
        entry->block * BUFFER_BLOCK_SECTORS + last >= sectors)
        return "an entry lies beyond its volume";
    if (has_already(engine, entry))
        return "a sector is named twice";
    uint32_t index = buffer_load(&engine->buffer, entry->volume, entry->block, entry->valid);
    if (index == BUFFER_NONE)
        return "it has more than it says";
    /* Marks the slot as one of this epoch; no write is waited for. */
    engine->buffer.slot[index].first_write = journal->loading + 1u;
    engine->setup.journal_order[journal->entries++] = index;
    return NULL;
}

/* Takes the descriptor that was read; false: it is not the one that should be there. */
static bool next_list(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    const struct dump_descriptor read = *journal_descriptor(engine, journal->chunk % 2);
    dump_copied(&read);
    bool good = journal->chunk == 0 ? dump_descriptor_first(&read, journal->identity,
                                                            journal->pending[journal->loading])
                                    : dump_descriptor_next(&read, &journal->list);
    journal->list = read;
    return good && read.total <= journal->capacity;
}

static void step_loading_list(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    const char *wrong = !next_list(engine) ? "a descriptor is missing" : NULL;
    uint32_t before = journal->entries;
    if (wrong == NULL && engine->buffer.slots + journal->list.entries > engine->buffer.slot_count) {
        refuse_load(engine,
                    "RapiLog's memory is too small for what it holds. Give it as much as it "
                    "had when that was written");
        return;
    }
    for (uint32_t i = 0; i < journal->list.entries && wrong == NULL; i++)
        wrong = load_entry(engine, &journal->list.entry[i]);
    if (wrong != NULL) {
        give_up(engine, wrong);
        return;
    }
    journal->stage = JOURNAL_LOADING_DATA;
    journal->issued = before;
}

static void read_data(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    const uint32_t *order = engine->setup.journal_order;
    uint64_t half = dump_half(journal->sectors, journal->pending[journal->loading]);
    uint32_t limit = journal_disk(engine)->max_sectors / DUMP_BLOCK_SECTORS;
    while (journal->issued < journal->entries && journal->in_flight < ENGINE_RUNS) {
        uint32_t first = journal->issued, count = 1;
        while (count < limit && first + count < journal->entries &&
               order[first + count] == order[first] + count)
            count++;
        journal_send(engine, BLOCK_READ, half + first + journal->chunk + 1,
                     slots_data(&engine->buffer, order[first], 0), count);
        journal->issued += count;
    }
}

static bool data_is_right(const struct engine *engine)
{
    const struct journal *journal = &engine->journal;
    for (uint32_t i = 0; i < journal->list.entries; i++) {
        uint32_t slot = engine->setup.journal_order[journal->chunk * DUMP_CHUNK + i];
        if (checksum(0, slots_data(&engine->buffer, slot, 0), BUFFER_BLOCK) !=
            journal->list.entry[i].sum)
            return false;
    }
    return true;
}

/* The epoch is complete. */
static void loaded(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    uint64_t in_place = journal->survived ? kept_placed(engine->setup.kept) : 0;
    uint64_t before = in_place > journal->sequence ? in_place : journal->sequence;
    bool older_is_gone = journal->pending[journal->loading] > before + 1;
    if ((journal->damaged || older_is_gone) && journal->list.whole != 1) {
        refuse_load(engine,
                    "the older of its epochs is damaged, which no power cut does; the newer "
                    "one alone would not be a state that was ever acknowledged");
        return;
    }
    journal->recovered += (uint64_t)journal->entries * DUMP_BLOCK;
    journal->sequence = journal->pending[journal->loading++];
    if (journal->alone)
        journal->loading = journal->pending_count;
    if (journal->loading < journal->pending_count) {
        for (uint32_t number = 0; number < engine->setup.volume_count; number++)
            buffer_place(&engine->buffer, number);
        journal->placing = journal->pending[0];
    }
    begin_load(engine);
}

static bool step_loading_data(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    if (!journal->failed)
        read_data(engine);
    if (journal->in_flight > 0)
        return false;
    if (journal->failed) {
        read_later(engine, now);
        return true;
    }
    if (!data_is_right(engine)) {
        give_up(engine, "a checksum is wrong");
        return true;
    }
    if (journal->list.last == 1) {
        loaded(engine);
        return true;
    }
    journal->chunk++;
    read_list(engine);
    return true;
}

/* What could not be read is read once more. */
static void read_again(struct engine *engine)
{
    struct journal *journal = &engine->journal;
    journal->unread = false;
    if (journal->stage == JOURNAL_READING)
        read_heads(engine);
    else if (journal->stage == JOURNAL_LOADING_LIST)
        read_list(engine);
    else
        journal->issued = journal->chunk * DUMP_CHUNK;
}

bool replay_step(struct engine *engine, uint64_t now)
{
    struct journal *journal = &engine->journal;
    if (journal->unread && now < journal->retry_at)
        return false;
    if (journal->unread)
        read_again(engine);
    if (journal->stage == JOURNAL_LOADING_DATA)
        return step_loading_data(engine, now);
    if (journal->in_flight > 0)
        return false;
    if (journal->failed) {
        read_later(engine, now);
        return true;
    }
    if (journal->stage == JOURNAL_READING)
        judge(engine);
    else
        step_loading_list(engine);
    return true;
}
