/*
 * RapiLog's buffer; what it means is told in buffer.h. Everything here is integer arithmetic on arrays.
 *
 * Order within the hash chains carries meaning (newest first), so slots enter only at the head of a chain.
 * Free slots are searched from where the last one was found on: sequential writes get adjacent slots, which become one
 * disk request, and the order repairs itself however the slots were freed.
 */
#include "buffer.h"

#include <string.h>

#define COST_LIMIT (UINT64_C(1) << 40)

/* ---- Sector masks ---- */

static uint8_t mask_of(uint32_t first, uint32_t count)
{
    return (uint8_t)(((1u << count) - 1u) << first);
}

static bool has_sector(uint8_t mask, uint32_t sector)
{
    return ((uint32_t)mask >> sector & 1u) != 0;
}

static uint32_t sectors_in(uint8_t mask)
{
    uint32_t count = 0;
    for (uint32_t sector = 0; sector < BUFFER_BLOCK_SECTORS; sector++)
        count += has_sector(mask, sector) ? 1 : 0;
    return count;
}

static uint32_t first_sector(uint8_t mask)
{
    uint32_t sector = 0;
    while (sector < BUFFER_BLOCK_SECTORS && !has_sector(mask, sector))
        sector++;
    return sector;
}

/* Sectors from `first` on that are in the mask without a gap. */
static uint32_t sectors_from(uint8_t mask, uint32_t first)
{
    uint32_t end = first;
    while (end < BUFFER_BLOCK_SECTORS && has_sector(mask, end))
        end++;
    return end - first;
}

/* ---- Lists and chains ---- */

static const struct buffer_list empty_list = {BUFFER_NONE, BUFFER_NONE};

static void list_append(struct buffer *buffer, struct buffer_list *list, uint32_t index)
{
    buffer->slot[index].next = BUFFER_NONE;
    if (list->last == BUFFER_NONE)
        list->first = index;
    else
        buffer->slot[list->last].next = index;
    list->last = index;
}

static uint32_t list_take(struct buffer *buffer, struct buffer_list *list)
{
    uint32_t index = list->first;
    list->first = buffer->slot[index].next;
    if (list->first == BUFFER_NONE)
        list->last = BUFFER_NONE;
    return index;
}

static uint32_t bucket_of(const struct buffer *buffer, uint32_t volume, uint64_t block)
{
    uint64_t key = (block * BUFFER_MAX_VOLUMES + volume) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(key >> 32) & (buffer->bucket_count - 1);
}

static void chain_insert(struct buffer *buffer, uint32_t index)
{
    struct buffer_slot *slot = &buffer->slot[index];
    uint32_t *head = &buffer->bucket[bucket_of(buffer, slot->volume, slot->block)];
    slot->older = *head;
    *head = index;
}

static void chain_remove(struct buffer *buffer, uint32_t index)
{
    const struct buffer_slot *slot = &buffer->slot[index];
    uint32_t *link = &buffer->bucket[bucket_of(buffer, slot->volume, slot->block)];
    while (*link != index)
        link = &buffer->slot[*link].older;
    *link = slot->older;
}

/* The first slot of this block from `index` on along the chain. */
static uint32_t chain_match(const struct buffer *buffer, uint32_t index, uint32_t volume,
                            uint64_t block)
{
    while (index != BUFFER_NONE &&
           (buffer->slot[index].block != block || buffer->slot[index].volume != volume))
        index = buffer->slot[index].older;
    return index;
}

static uint32_t newest(const struct buffer *buffer, uint32_t volume, uint64_t block)
{
    return chain_match(buffer, buffer->bucket[bucket_of(buffer, volume, block)], volume, block);
}

static uint32_t next_older(const struct buffer *buffer, uint32_t index)
{
    const struct buffer_slot *slot = &buffer->slot[index];
    return chain_match(buffer, slot->older, slot->volume, slot->block);
}

/* The block's DIRTY slot, by invariant 1 the newest. */
static uint32_t dirty_slot(const struct buffer *buffer, uint32_t volume, uint64_t block)
{
    uint32_t index = newest(buffer, volume, block);
    if (index != BUFFER_NONE && buffer->slot[index].state != BUFFER_DIRTY)
        index = BUFFER_NONE;
    return index;
}

static uint8_t *sector_data(const struct buffer *buffer, uint32_t index, uint32_t sector)
{
    return buffer->data + (size_t)index * BUFFER_BLOCK + (size_t)sector * BUFFER_SECTOR;
}

/* ---- Start, bound ---- */

void buffer_init(struct buffer *buffer, struct buffer_slot *slots, uint32_t slot_count,
                 uint32_t *buckets, uint32_t bucket_count, uint8_t *data)
{
    memset(buffer, 0, sizeof(*buffer));
    buffer->slot = slots;
    buffer->bucket = buckets;
    buffer->data = data;
    buffer->slot_count = slot_count;
    buffer->bucket_count = bucket_count;
    for (uint32_t index = 0; index < slot_count; index++)
        slots[index].state = BUFFER_FREE;
    for (uint32_t bucket = 0; bucket < bucket_count; bucket++)
        buckets[bucket] = BUFFER_NONE;
    for (uint32_t number = 0; number < BUFFER_MAX_VOLUMES; number++) {
        buffer->volume[number].open = empty_list;
        buffer->volume[number].failed = empty_list;
    }
}

static uint64_t limited(uint64_t cost)
{
    return cost < COST_LIMIT ? cost : COST_LIMIT;
}

void buffer_bound(struct buffer *buffer, uint32_t slot_limit, uint64_t budget, uint64_t slot_cost,
                  uint64_t head_cost)
{
    buffer->slot_limit = slot_limit < buffer->slot_count ? slot_limit : buffer->slot_count;
    buffer->budget = budget;
    buffer->slot_cost = limited(slot_cost);
    buffer->head_cost = limited(head_cost);
}

static uint64_t cost_of(const struct buffer *buffer, uint32_t slots, uint32_t heads)
{
    return slots * buffer->slot_cost + heads * buffer->head_cost;
}

uint64_t buffer_cost(const struct buffer *buffer)
{
    return cost_of(buffer, buffer->slots, buffer->heads);
}

/* Whether the bound holds with that many slots and heads more. */
static bool bound_allows(const struct buffer *buffer, uint32_t slots, uint32_t heads)
{
    return buffer->slots + slots <= buffer->slot_limit &&
           cost_of(buffer, buffer->slots + slots, buffer->heads + heads) <= buffer->budget;
}

bool buffer_can_promise(const struct buffer *buffer)
{
    return buffer->budget > 0 && buffer->slot_limit > 0 && cost_of(buffer, 1, 1) <= buffer->budget;
}

/* ---- Slots ---- */

static uint32_t free_slot(const struct buffer *buffer)
{
    if (buffer->slots == buffer->slot_count)
        return BUFFER_NONE;
    uint32_t index = buffer->next_free;
    while (buffer->slot[index].state != BUFFER_FREE)
        index = index + 1 < buffer->slot_count ? index + 1 : 0;
    return index;
}

/* Whether a run can go on from the newest open slot into `index`. */
static bool continues(const struct buffer *buffer, const struct buffer_volume *volume,
                      uint32_t index, uint64_t block, uint8_t mask)
{
    uint32_t last = volume->open.last;
    if (last == BUFFER_NONE || last + 1 != index)
        return false;
    const struct buffer_slot *slot = &buffer->slot[last];
    return slot->block + 1 == block && has_sector(slot->valid, BUFFER_BLOCK_SECTORS - 1) &&
           has_sector(mask, 0);
}

static void set_head(struct buffer *buffer, struct buffer_slot *slot, bool head)
{
    buffer->heads = buffer->heads - (slot->head ? 1 : 0) + (head ? 1 : 0);
    slot->head = head;
}

static void set_promised(struct buffer *buffer, struct buffer_slot *slot, uint8_t promised)
{
    struct buffer_volume *volume = &buffer->volume[slot->volume];
    volume->promised_slots = volume->promised_slots - (slot->promised != 0 ? 1 : 0);
    volume->promised_slots = volume->promised_slots + (promised != 0 ? 1 : 0);
    slot->promised = promised;
}

/* A new DIRTY slot; BUFFER_NONE when there is none or the bound forbids it. */
static uint32_t open_slot(struct buffer *buffer, uint32_t number, uint64_t block, uint8_t mask,
                          bool promise)
{
    struct buffer_volume *volume = &buffer->volume[number];
    uint32_t index = free_slot(buffer);
    if (index == BUFFER_NONE)
        return BUFFER_NONE;
    bool head = !continues(buffer, volume, index, block, mask);
    if (promise && !bound_allows(buffer, 1, head ? 1 : 0))
        return BUFFER_NONE;
    buffer->slot[index] = (struct buffer_slot){
        .block = block,
        .first_write = 1,
        .volume = (uint8_t)number,
        .state = BUFFER_DIRTY,
    };
    set_head(buffer, &buffer->slot[index], head);
    buffer->slots++;
    volume->slots++;
    buffer->next_free = index + 1 < buffer->slot_count ? index + 1 : 0;
    chain_insert(buffer, index);
    list_append(buffer, &volume->open, index);
    return index;
}

static void release(struct buffer *buffer, uint32_t index)
{
    struct buffer_slot *slot = &buffer->slot[index];
    chain_remove(buffer, index);
    set_head(buffer, slot, false);
    set_promised(buffer, slot, 0);
    buffer->volume[slot->volume].slots--;
    buffer->slots--;
    slot->state = BUFFER_FREE;
}

/* ---- Writes and reads ---- */

uint64_t buffer_write_number(struct buffer *buffer, uint32_t volume)
{
    return ++buffer->volume[volume].writes;
}

static bool slot_waited_for(const struct buffer_slot *slot)
{
    return slot->first_write <= slot->last_write;
}

/* Puts sectors of one block into its DIRTY slot; false when the bound is reached. */
static bool write_block(struct buffer *buffer, uint32_t volume, uint64_t number, uint64_t block,
                        uint32_t first, uint32_t count, const uint8_t *data, bool promise)
{
    uint8_t mask = mask_of(first, count);
    uint32_t index = dirty_slot(buffer, volume, block);
    if (index == BUFFER_NONE)
        index = open_slot(buffer, volume, block, mask, promise);
    else if (promise && buffer->slot[index].promised == 0 && !bound_allows(buffer, 0, 0))
        index = BUFFER_NONE;
    if (index == BUFFER_NONE)
        return false;
    struct buffer_slot *slot = &buffer->slot[index];
    memcpy(sector_data(buffer, index, first), data, (size_t)count * BUFFER_SECTOR);
    if (!slot_waited_for(slot))
        slot->first_write = number;
    slot->last_write = number;
    buffer->counters.written += (uint64_t)count * BUFFER_SECTOR;
    buffer->counters.coalesced += (uint64_t)sectors_in(slot->valid & mask) * BUFFER_SECTOR;
    slot->valid |= mask;
    if (promise)
        set_promised(buffer, slot, slot->promised | mask);
    return true;
}

/* The part of [sector, sector + count) that lies in the block of `sector`. */
static uint32_t within_block(uint64_t sector, uint32_t count)
{
    uint32_t room = BUFFER_BLOCK_SECTORS - (uint32_t)(sector % BUFFER_BLOCK_SECTORS);
    return count < room ? count : room;
}

uint32_t buffer_write(struct buffer *buffer, uint32_t volume, uint64_t number, uint64_t sector,
                      uint32_t count, const uint8_t *data, bool promise)
{
    uint32_t taken = 0;
    while (taken < count) {
        uint64_t at = sector + taken;
        uint32_t piece = within_block(at, count - taken);
        if (!write_block(buffer, volume, number, at / BUFFER_BLOCK_SECTORS,
                         (uint32_t)(at % BUFFER_BLOCK_SECTORS), piece,
                         data + (size_t)taken * BUFFER_SECTOR, promise))
            break;
        taken += piece;
    }
    return taken;
}

bool buffer_holds_write(const struct buffer *buffer, uint32_t volume, uint64_t number,
                        uint64_t sector, uint32_t count)
{
    uint64_t last = (sector + count - 1) / BUFFER_BLOCK_SECTORS;
    for (uint64_t block = sector / BUFFER_BLOCK_SECTORS; block <= last; block++) {
        uint32_t index = newest(buffer, volume, block);
        for (; index != BUFFER_NONE; index = next_older(buffer, index)) {
            const struct buffer_slot *slot = &buffer->slot[index];
            if (slot->first_write <= number && number <= slot->last_write)
                return true;
        }
    }
    return false;
}

/* The newest slot in which the sector is valid. */
static uint32_t slot_with(const struct buffer *buffer, uint32_t volume, uint64_t sector)
{
    uint32_t index = newest(buffer, volume, sector / BUFFER_BLOCK_SECTORS);
    while (index != BUFFER_NONE &&
           !has_sector(buffer->slot[index].valid, (uint32_t)(sector % BUFFER_BLOCK_SECTORS)))
        index = next_older(buffer, index);
    return index;
}

uint32_t buffer_read(const struct buffer *buffer, uint32_t volume, uint64_t sector, uint32_t count,
                     uint8_t *out, bool *held)
{
    uint32_t done = 0;
    *held = slot_with(buffer, volume, sector) != BUFFER_NONE;
    while (done < count) {
        uint64_t at = sector + done;
        if (newest(buffer, volume, at / BUFFER_BLOCK_SECTORS) == BUFFER_NONE) {
            if (*held)
                break;
            done += within_block(at, count - done);
            continue;
        }
        uint32_t index = slot_with(buffer, volume, at);
        if ((index != BUFFER_NONE) != *held)
            break;
        if (*held)
            memcpy(out + (size_t)done * BUFFER_SECTOR,
                   sector_data(buffer, index, (uint32_t)(at % BUFFER_BLOCK_SECTORS)),
                   BUFFER_SECTOR);
        done++;
    }
    return done;
}

/* ---- Drain ---- */

/* Whether the epoch has reached its part of the bound. */
static bool part_reached(const struct buffer *buffer, const struct buffer_epoch *epoch,
                         uint32_t parts)
{
    if (parts <= 1)
        return false;
    uint64_t cost = cost_of(buffer, epoch->slots, epoch->heads);
    return epoch->slots >= buffer->slot_limit / parts ||
           (buffer->budget > 0 && cost >= buffer->budget / parts);
}

/* Moves DIRTY slots to the end of an epoch; at least one. */
static void add_to_epoch(struct buffer *buffer, struct buffer_epoch *epoch,
                         struct buffer_list *list, uint32_t parts)
{
    if (list->first == BUFFER_NONE)
        return;
    if (epoch->cursor == BUFFER_NONE)
        epoch->cursor = list->first;
    while (list->first != BUFFER_NONE) {
        uint32_t index = list_take(buffer, list);
        struct buffer_slot *slot = &buffer->slot[index];
        slot->state = BUFFER_DRAINING;
        slot->todo = slot->valid;
        slot->failed = false;
        epoch->slots++;
        epoch->heads += slot->head ? 1 : 0;
        list_append(buffer, &epoch->list, index);
        if (part_reached(buffer, epoch, parts))
            return;
    }
}

static bool seal_list(struct buffer *buffer, struct buffer_volume *volume, struct buffer_list *list,
                      uint32_t parts)
{
    if (volume->is_writing || list->first == BUFFER_NONE)
        return false;
    volume->writing = (struct buffer_epoch){
        .list = empty_list,
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

bool buffer_extend(struct buffer *buffer, uint32_t volume)
{
    struct buffer_volume *v = &buffer->volume[volume];
    if (buffer_epoch_state(buffer, volume) != BUFFER_EPOCH_WRITTEN)
        return false;
    if (v->open.first == BUFFER_NONE && v->failed.first == BUFFER_NONE)
        return false;
    add_to_epoch(buffer, &v->writing, &v->failed, 1);
    add_to_epoch(buffer, &v->writing, &v->open, 1);
    return true;
}

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
    uint32_t newer = newest(buffer, slot->volume, slot->block);
    for (; newer != index; newer = next_older(buffer, newer)) {
        struct buffer_slot *other = &buffer->slot[newer];
        set_promised(buffer, other, other->promised | (keep & other->valid));
        keep = (uint8_t)(keep & ~other->valid);
    }
    return keep;
}

static void merge_into(struct buffer *buffer, uint32_t from, uint32_t to, uint8_t mask)
{
    for (uint32_t sector = 0; sector < BUFFER_BLOCK_SECTORS; sector++)
        if (has_sector(mask, sector))
            memcpy(sector_data(buffer, to, sector), sector_data(buffer, from, sector),
                   BUFFER_SECTOR);
    struct buffer_slot *slot = &buffer->slot[to];
    slot->valid |= mask;
    set_promised(buffer, slot, slot->promised | mask);
}

/* A slot that the disk refused becomes DIRTY again, as far as it must. */
static void return_slot(struct buffer *buffer, uint32_t index)
{
    struct buffer_slot *slot = &buffer->slot[index];
    uint8_t keep = leave_to_newer(buffer, index);
    uint32_t dirty = dirty_slot(buffer, slot->volume, slot->block);
    if (keep != 0 && dirty != BUFFER_NONE)
        merge_into(buffer, index, dirty, keep);
    if (keep == 0 || dirty != BUFFER_NONE) {
        release(buffer, index);
        return;
    }
    /* As a DIRTY slot it takes the block's next writes, so it moves to the head of the chain; what it keeps is in no
     * other slot, so the order against those does not matter. */
    chain_remove(buffer, index);
    chain_insert(buffer, index);
    slot->state = BUFFER_DIRTY;
    slot->valid = keep;
    set_promised(buffer, slot, keep);
    slot->first_write = 1;
    slot->last_write = 0;
    set_head(buffer, slot, true);
    list_append(buffer, &buffer->volume[slot->volume].failed, index);
}

static void mark_failed(struct buffer *buffer, const struct buffer_epoch *epoch)
{
    for (uint32_t i = epoch->list.first; i != BUFFER_NONE; i = buffer->slot[i].next)
        buffer->slot[i].failed = true;
}

void buffer_cache_lost(struct buffer *buffer, uint32_t volume)
{
    const struct buffer_volume *v = &buffer->volume[volume];
    if (v->is_writing)
        mark_failed(buffer, &v->writing);
    if (v->is_flushing)
        mark_failed(buffer, &v->flushing);
}

bool buffer_flush_end(struct buffer *buffer, uint32_t volume, bool ok, struct buffer_fate *fate)
{
    struct buffer_volume *v = &buffer->volume[volume];
    if (!v->is_flushing)
        return false;
    if (v->flushing.list.first == BUFFER_NONE) {
        v->is_flushing = false;
        if (!ok)
            buffer_cache_lost(buffer, volume);
        return false;
    }
    uint32_t index = list_take(buffer, &v->flushing.list);
    const struct buffer_slot *slot = &buffer->slot[index];
    *fate = (struct buffer_fate){
        .block = slot->block,
        .first_write = slot->first_write,
        .last_write = slot->last_write,
        .on_disk = ok && !slot->failed,
    };
    if (fate->on_disk) {
        buffer->counters.drained += (uint64_t)sectors_in(slot->valid) * BUFFER_SECTOR;
        release(buffer, index);
    } else {
        return_slot(buffer, index);
    }
    return true;
}

static void forget_in(struct buffer *buffer, struct buffer_list *list)
{
    struct buffer_list kept = empty_list;
    while (list->first != BUFFER_NONE) {
        uint32_t index = list_take(buffer, list);
        if (buffer->slot[index].promised != 0)
            list_append(buffer, &kept, index);
        else
            release(buffer, index);
    }
    *list = kept;
}

void buffer_forget_unpromised(struct buffer *buffer, uint32_t volume)
{
    forget_in(buffer, &buffer->volume[volume].open);
    forget_in(buffer, &buffer->volume[volume].failed);
}
