/*
 * RapiLog's buffer as the drain sees it: epochs, runs, FLUSHes and what the disk refused. See buffer.h.
 */
#include "buffer.h"

#include "bound.h"
#include "kept.h"
#include "sectors.h"
#include "slots.h"

#include <string.h>

/* ---- Sealing ---- */

static bool must_drain(const struct buffer *buffer, uint32_t index)
{
    return !buffer->hurry || buffer->slot[index].promised != 0;
}

static bool something_must_drain(const struct buffer *buffer, const struct buffer_volume *volume,
                                 const struct buffer_list *list)
{
    uint32_t index = list->first;
    if (buffer->hurry && volume->promised_slots == 0)
        return false;
    while (index != BUFFER_NONE && !must_drain(buffer, index))
        index = buffer->slot[index].next;
    return index != BUFFER_NONE;
}

static void add_slot(struct buffer *buffer, struct buffer_epoch *epoch, uint32_t index)
{
    struct buffer_slot *slot = &buffer->slot[index];
    slot->state = BUFFER_DRAINING;
    slot->todo = slot->valid;
    slot->failed = false;
    slot->epoch = (uint8_t)epoch->number;
    kept_note(buffer, index);
    epoch->slots++;
    epoch->heads += slot->head ? 1 : 0;
    slots_append(buffer, &epoch->list, index);
    if (epoch->cursor == BUFFER_NONE)
        epoch->cursor = index;
}

/* Puts what was left out of an epoch before the rest of the list again. */
static void put_back(struct buffer *buffer, struct buffer_list *list, struct buffer_list left_out)
{
    if (left_out.first == BUFFER_NONE)
        return;
    buffer->slot[left_out.last].next = list->first;
    if (list->first == BUFFER_NONE)
        list->last = left_out.last;
    list->first = left_out.first;
}

/* Moves DIRTY slots to the end of an epoch. */
static void add_to_epoch(struct buffer *buffer, struct buffer_epoch *epoch,
                         struct buffer_list *list, uint32_t parts)
{
    struct buffer_list left_out = slots_none;
    while (list->first != BUFFER_NONE) {
        uint32_t index = slots_take(buffer, list);
        if (!must_drain(buffer, index)) {
            slots_append(buffer, &left_out, index);
            continue;
        }
        add_slot(buffer, epoch, index);
        if (bound_part_reached(buffer, epoch, parts))
            break;
    }
    put_back(buffer, list, left_out);
}

static bool seal_list(struct buffer *buffer, struct buffer_volume *volume, struct buffer_list *list,
                      uint32_t parts)
{
    if (volume->is_writing || !something_must_drain(buffer, volume, list))
        return false;
    volume->writing = (struct buffer_epoch){
        .list = slots_none,
        .cursor = BUFFER_NONE,
        .number = ++volume->epochs,
    };
    volume->is_writing = true;
    add_to_epoch(buffer, &volume->writing, list, parts);
    return true;
}

bool buffer_seal(struct buffer *buffer, uint32_t volume, uint32_t parts)
{
    return seal_list(buffer, &buffer->volume[volume], &buffer->volume[volume].open, parts);
}

bool buffer_seal_failed(struct buffer *buffer, uint32_t volume)
{
    return seal_list(buffer, &buffer->volume[volume], &buffer->volume[volume].failed, 1);
}

enum buffer_epoch_state buffer_epoch_state(const struct buffer *buffer, uint32_t volume)
{
    const struct buffer_volume *v = &buffer->volume[volume];
    if (!v->is_writing)
        return BUFFER_EPOCH_NONE;
    bool written = v->writing.cursor == BUFFER_NONE && v->writing.runs == 0;
    return written ? BUFFER_EPOCH_WRITTEN : BUFFER_EPOCH_WRITING;
}

bool buffer_must_seal(const struct buffer *buffer, uint32_t volume)
{
    const struct buffer_volume *v = &buffer->volume[volume];
    return something_must_drain(buffer, v, &v->open) || something_must_drain(buffer, v, &v->failed);
}

bool buffer_extend(struct buffer *buffer, uint32_t volume)
{
    struct buffer_volume *v = &buffer->volume[volume];
    if (buffer_epoch_state(buffer, volume) != BUFFER_EPOCH_WRITTEN)
        return false;
    if (!buffer_must_seal(buffer, volume))
        return false;
    /* What joins it may be newer than what it has of the same blocks, and a later life has to know (kept.h). */
    v->writing.number = ++v->epochs;
    add_to_epoch(buffer, &v->writing, &v->failed, 1);
    add_to_epoch(buffer, &v->writing, &v->open, 1);
    return true;
}

/* ---- The dump area ---- */

bool buffer_seal_for_dump(struct buffer *buffer, uint32_t volume, uint64_t number)
{
    struct buffer_volume *v = &buffer->volume[volume];
    if (!buffer_must_seal(buffer, volume))
        return false;
    v->dumping = (struct buffer_epoch){
        .list = slots_none,
        .cursor = BUFFER_NONE,
        .number = number,
    };
    v->is_dumping = true;
    add_to_epoch(buffer, &v->dumping, &v->failed, 1);
    add_to_epoch(buffer, &v->dumping, &v->open, 1);
    return true;
}

void buffer_dumped(struct buffer *buffer, uint32_t volume)
{
    const struct buffer_volume *v = &buffer->volume[volume];
    if (!v->is_dumping)
        return;
    for (uint32_t i = v->dumping.list.first; i != BUFFER_NONE; i = buffer->slot[i].next) {
        buffer->slot[i].dumped = true;
        kept_note(buffer, i);
    }
}

void buffer_place(struct buffer *buffer, uint32_t volume)
{
    struct buffer_volume *v = &buffer->volume[volume];
    if (!v->is_dumping)
        return;
    v->writing = v->dumping;
    v->is_writing = true;
    v->is_dumping = false;
}

void buffer_unplace(struct buffer *buffer, uint32_t volume)
{
    struct buffer_volume *v = &buffer->volume[volume];
    if (!v->is_writing)
        return;
    v->dumping = v->writing;
    v->is_dumping = true;
    v->is_writing = false;
}

bool buffer_place_refused(const struct buffer *buffer, uint32_t volume)
{
    const struct buffer_epoch *epoch = &buffer->volume[volume].flushing;
    for (uint32_t i = epoch->list.first; i != BUFFER_NONE; i = buffer->slot[i].next)
        if (buffer->slot[i].failed)
            return true;
    return false;
}

void buffer_place_again(struct buffer *buffer, uint32_t volume)
{
    struct buffer_volume *v = &buffer->volume[volume];
    for (uint32_t i = v->flushing.list.first; i != BUFFER_NONE; i = buffer->slot[i].next) {
        buffer->slot[i].todo = buffer->slot[i].valid;
        buffer->slot[i].failed = false;
    }
    v->writing = v->flushing;
    v->writing.cursor = v->writing.list.first;
    v->is_writing = true;
    v->is_flushing = false;
}

void buffer_note_in_place(struct buffer *buffer, uint32_t volume)
{
    buffer->volume[volume].is_in_place = true;
}

bool buffer_placed(const struct buffer *buffer, uint32_t volume)
{
    const struct buffer_volume *v = &buffer->volume[volume];
    return !v->is_writing && (!v->is_flushing || v->is_in_place);
}

uint32_t buffer_load(struct buffer *buffer, uint32_t volume, uint64_t block, uint8_t valid)
{
    struct buffer_volume *v = &buffer->volume[volume];
    uint32_t index = slots_load(buffer, volume, block);
    if (index == BUFFER_NONE)
        return BUFFER_NONE;
    struct buffer_slot *slot = &buffer->slot[index];
    slot->valid = valid;
    slot->dumped = true;
    slots_set_promised(buffer, slot, valid);
    slot->last_write = 0;
    if (!v->is_dumping)
        v->dumping = (struct buffer_epoch){
            .list = slots_none,
            .cursor = index,
            .number = ++v->epochs,
        };
    v->is_dumping = true;
    slot->state = BUFFER_DRAINING;
    slot->todo = valid;
    v->dumping.slots++;
    v->dumping.heads++;
    slots_append(buffer, &v->dumping.list, index);
    return index;
}

void buffer_unload(struct buffer *buffer, uint32_t volume)
{
    struct buffer_volume *v = &buffer->volume[volume];
    while (v->is_dumping && v->dumping.list.first != BUFFER_NONE)
        slots_release(buffer, slots_take(buffer, &v->dumping.list));
    v->is_dumping = false;
}

/* ---- Runs ---- */

/* Whether a run that has reached the end of `index`'s block goes on into the next slot of the list. */
static bool run_goes_on(const struct buffer *buffer, uint32_t index)
{
    uint32_t next = buffer->slot[index].next;
    return next != BUFFER_NONE && next == index + 1 &&
           buffer->slot[next].block == buffer->slot[index].block + 1 &&
           has_sector(buffer->slot[next].todo, 0);
}

/* Issues sectors of one slot, from `first` on, at most `limit`; returns how many. */
static uint32_t issue(struct buffer_slot *slot, uint32_t first, uint32_t limit)
{
    uint32_t count = sectors_from(slot->todo, first);
    if (count > limit)
        count = limit;
    slot->todo = (uint8_t)(slot->todo & ~mask_of(first, count));
    return count;
}

bool buffer_next_run(struct buffer *buffer, uint32_t volume, uint32_t max_sectors,
                     struct buffer_run *run)
{
    struct buffer_epoch *epoch = &buffer->volume[volume].writing;
    if (!buffer->volume[volume].is_writing || epoch->cursor == BUFFER_NONE)
        return false;
    uint32_t index = epoch->cursor;
    uint32_t first = first_sector(buffer->slot[index].todo);
    *run = (struct buffer_run){
        .sector = buffer->slot[index].block * BUFFER_BLOCK_SECTORS + first,
        .offset = (uint64_t)index * BUFFER_BLOCK + (uint64_t)first * BUFFER_SECTOR,
        .volume = volume,
        .slot = index,
        .slots = 1,
    };
    run->count = issue(&buffer->slot[index], first, max_sectors);
    while (run->count < max_sectors && first + run->count == run->slots * BUFFER_BLOCK_SECTORS &&
           run_goes_on(buffer, index)) {
        index++;
        run->slots++;
        run->count += issue(&buffer->slot[index], 0, max_sectors - run->count);
    }
    epoch->cursor = buffer->slot[index].todo != 0 ? index : buffer->slot[index].next;
    epoch->runs++;
    return true;
}

void buffer_run_done(struct buffer *buffer, const struct buffer_run *run, bool ok)
{
    buffer->volume[run->volume].writing.runs--;
    for (uint32_t n = 0; n < run->slots && !ok; n++)
        buffer->slot[run->slot + n].failed = true;
}

/* ---- Flushes ---- */

bool buffer_flush_begin(struct buffer *buffer, uint32_t volume)
{
    struct buffer_volume *v = &buffer->volume[volume];
    if (v->is_flushing || buffer_epoch_state(buffer, volume) != BUFFER_EPOCH_WRITTEN)
        return false;
    v->flushing = v->writing;
    v->is_flushing = true;
    v->is_writing = false;
    return true;
}

/* Leaves to newer slots of the block what they hold, and the promise with it; returns what remains. */
static uint8_t leave_to_newer(struct buffer *buffer, uint32_t index)
{
    struct buffer_slot *slot = &buffer->slot[index];
    uint8_t keep = slot->promised;
    uint32_t newer = slots_newest(buffer, slot->volume, slot->block);
    for (; newer != index; newer = slots_next_older(buffer, newer)) {
        struct buffer_slot *other = &buffer->slot[newer];
        if (buffer->sums && other->sum == 0 && (keep & other->valid) != 0)
            kept_unsum(buffer, newer); /* while nothing of it was promised it was passed over */
        slots_set_promised(buffer, other, other->promised | (keep & other->valid));
        keep = (uint8_t)(keep & ~other->valid);
    }
    return keep;
}

static void merge_into(struct buffer *buffer, uint32_t from, uint32_t to, uint8_t mask)
{
    if (buffer->sums)
        kept_unsum(buffer, to);
    for (uint32_t sector = 0; sector < BUFFER_BLOCK_SECTORS; sector++)
        if (has_sector(mask, sector))
            memcpy(slots_data(buffer, to, sector), slots_data(buffer, from, sector), BUFFER_SECTOR);
    struct buffer_slot *slot = &buffer->slot[to];
    slot->valid |= mask;
    slots_set_promised(buffer, slot, slot->promised | mask);
}

/* A slot that the disk refused becomes DIRTY again, as far as it must. */
static void return_slot(struct buffer *buffer, uint32_t index)
{
    struct buffer_slot *slot = &buffer->slot[index];
    uint8_t keep = leave_to_newer(buffer, index);
    uint32_t dirty = slots_dirty(buffer, slot->volume, slot->block);
    if (keep != 0 && dirty != BUFFER_NONE)
        merge_into(buffer, index, dirty, keep);
    if (keep == 0 || dirty != BUFFER_NONE) {
        slots_release(buffer, index);
        return;
    }
    /* As a DIRTY slot it takes the block's next writes, so it moves to the head of the chain; what it keeps is in no
     * other slot, so the order against those does not matter. */
    slots_to_front(buffer, index);
    slot->state = BUFFER_DIRTY;
    slot->valid = keep;
    slots_set_promised(buffer, slot, keep);
    slot->first_write = 1;
    slot->last_write = 0;
    slots_set_head(buffer, slot, true);
    slots_append(buffer, &buffer->volume[slot->volume].failed, index);
}

static void mark_failed(struct buffer *buffer, const struct buffer_epoch *epoch)
{
    for (uint32_t i = epoch->list.first; i != BUFFER_NONE; i = buffer->slot[i].next)
        if (buffer->slot[i].todo != buffer->slot[i].valid) /* some of it was written */
            buffer->slot[i].failed = true;
}

void buffer_cache_lost(struct buffer *buffer, uint32_t volume)
{
    const struct buffer_volume *v = &buffer->volume[volume];
    if (v->is_writing)
        mark_failed(buffer, &v->writing);
    if (v->is_flushing && !v->is_in_place)
        mark_failed(buffer, &v->flushing);
}

bool buffer_flush_end(struct buffer *buffer, uint32_t volume, bool ok, struct buffer_fate *fate)
{
    struct buffer_volume *v = &buffer->volume[volume];
    if (!v->is_flushing)
        return false;
    if (v->flushing.list.first == BUFFER_NONE) {
        v->is_flushing = false;
        v->is_in_place = false;
        if (!ok)
            buffer_cache_lost(buffer, volume);
        return false;
    }
    uint32_t index = slots_take(buffer, &v->flushing.list);
    const struct buffer_slot *slot = &buffer->slot[index];
    *fate = (struct buffer_fate){
        .block = slot->block,
        .first_write = slot->first_write,
        .last_write = slot->last_write,
        .on_disk = ok && !slot->failed,
    };
    if (fate->on_disk) {
        buffer->counters.drained += (uint64_t)sectors_in(slot->valid) * BUFFER_SECTOR;
        slots_release(buffer, index);
    } else {
        return_slot(buffer, index);
    }
    return true;
}

void buffer_hurry(struct buffer *buffer, bool hurry)
{
    buffer->hurry = hurry;
}
