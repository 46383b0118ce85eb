/*
 * The slots of RapiLog's buffer: lists, hash chains, a slot's life; see slots.h.
 *
 * Order within the hash chains carries meaning (newest first), so slots enter only at the head of a chain.
 * Free slots are searched from where the last one was found on: sequential writes get adjacent slots, which become one
 * disk request, and the order repairs itself however the slots were freed.
 */
#include "slots.h"

#include "bound.h"
#include "kept.h"
#include "sectors.h"

/* ---- Lists ---- */

void slots_append(struct buffer *buffer, struct buffer_list *list, uint32_t index)
{
    buffer->slot[index].next = BUFFER_NONE;
    if (list->last == BUFFER_NONE)
        list->first = index;
    else
        buffer->slot[list->last].next = index;
    list->last = index;
    //@ assert \forall integer i; 0 <= i < buffer->slot_count ==> buffer->slot[i].older == \at(buffer->slot[i].older, Pre);
    //@ assert \forall integer i; 0 <= i < buffer->bucket_count ==> buffer->bucket[i] == \at(buffer->bucket[i], Pre);
}

uint32_t slots_take(struct buffer *buffer, struct buffer_list *list)
{
    uint32_t index = list->first;
    list->first = buffer->slot[index].next;
    if (list->first == BUFFER_NONE)
        list->last = BUFFER_NONE;
    return index;
}

/* ---- Chains ---- */

/*@ requires 0 < buckets <= 0x80000000;
    assigns \nothing;
    ensures \result < buckets && \result == (hash & (uint32_t)(buckets - 1)); */
static uint32_t folded(uint32_t hash, uint32_t buckets /* a power of two */)
{
    return hash & (buckets - 1);
}

/*@ requires has_memory(buffer);
    assigns \nothing;
    ensures \result < buffer->bucket_count;
    ensures \result == bucket_number(buffer->bucket_count, volume, block); */
static uint32_t bucket_of(const struct buffer *buffer, uint32_t volume, uint64_t block)
{
    uint64_t key = (block * BUFFER_MAX_VOLUMES + volume) * UINT64_C(0x9e3779b97f4a7c15);
    return folded((uint32_t)(key >> 32), buffer->bucket_count);
}

/*@ requires is_buffer(buffer) && index < buffer->slot_count;
    assigns buffer->slot[index].older, buffer->bucket[0 .. buffer->bucket_count - 1];
    ensures is_buffer(buffer);
    ensures newest_of(buffer, buffer->slot[index].volume, buffer->slot[index].block) == index;
    ensures buffer->slot[index].older == newest_of{Pre}(buffer, buffer->slot[index].volume, buffer->slot[index].block);
    ensures \forall integer i; 0 <= i < buffer->bucket_count &&
      i != bucket_number(buffer->bucket_count, buffer->slot[index].volume, buffer->slot[index].block) ==>
      buffer->bucket[i] == \old(buffer->bucket[i]); */
static void chain_insert(struct buffer *buffer, uint32_t index)
{
    struct buffer_slot *slot = &buffer->slot[index];
    uint32_t *head = &buffer->bucket[bucket_of(buffer, slot->volume, slot->block)];
    slot->older = *head;
    *head = index;
}

/*@ requires is_buffer(buffer) && index < buffer->slot_count;
    requires linked(buffer, newest_of(buffer, buffer->slot[index].volume, buffer->slot[index].block), index);
    assigns buffer->slot[0 .. buffer->slot_count - 1].older, buffer->bucket[0 .. buffer->bucket_count - 1];
    ensures is_buffer(buffer); */
static void chain_remove(struct buffer *buffer, uint32_t index)
{
    const struct buffer_slot *slot = &buffer->slot[index];
    uint32_t *link = &buffer->bucket[bucket_of(buffer, slot->volume, slot->block)];
    /*@ loop invariant (\exists integer i; 0 <= i < buffer->bucket_count && link == &buffer->bucket[i]) ||
          (\exists integer i; 0 <= i < buffer->slot_count && link == &buffer->slot[i].older);
        loop invariant linked(buffer, *link, index);
        loop assigns link; */
    while (*link != index)
        link = &buffer->slot[*link].older;
    *link = slot->older;
}

/* The first slot of this block from `index` on along the chain. */
/*@ requires is_buffer(buffer) && is_index(buffer, index);
    assigns \nothing;
    ensures is_index(buffer, \result) && (\result != BUFFER_NONE ==> is_of(buffer, \result, volume, block));
    ensures \forall integer sector, found; holder(buffer, \result, volume, block, sector, found) ==>
      holder(buffer, \old(index), volume, block, sector, found); */
static uint32_t match(const struct buffer *buffer, uint32_t index, uint32_t volume, uint64_t block)
{
    /*@ loop invariant is_index(buffer, index);
        loop invariant \forall integer sector, found; holder(buffer, index, volume, block, sector, found) ==>
          holder(buffer, \at(index, Pre), volume, block, sector, found);
        loop assigns index; */
    while (index != BUFFER_NONE &&
           (buffer->slot[index].block != block || buffer->slot[index].volume != volume))
        index = buffer->slot[index].older;
    return index;
}

uint32_t slots_newest(const struct buffer *buffer, uint32_t volume, uint64_t block)
{
    return match(buffer, buffer->bucket[bucket_of(buffer, volume, block)], volume, block);
}

uint32_t slots_next_older(const struct buffer *buffer, uint32_t index)
{
    const struct buffer_slot *slot = &buffer->slot[index];
    return match(buffer, slot->older, slot->volume, slot->block);
}

uint32_t slots_dirty(const struct buffer *buffer, uint32_t volume, uint64_t block)
{
    uint32_t index = slots_newest(buffer, volume, block);
    if (index != BUFFER_NONE && buffer->slot[index].state != BUFFER_DIRTY)
        index = BUFFER_NONE;
    return index;
}

uint8_t *slots_data(const struct buffer *buffer, uint32_t index, uint32_t sector)
{
    return buffer->data + (size_t)index * BUFFER_BLOCK + (size_t)sector * BUFFER_SECTOR;
}

void slots_to_front(struct buffer *buffer, uint32_t index)
{
    chain_remove(buffer, index);
    chain_insert(buffer, index);
}

void slots_chain(struct buffer *buffer, uint32_t index)
{
    chain_insert(buffer, index);
}

/* ---- Life ---- */

/*@ requires is_buffer(buffer);
    assigns \nothing;
    ensures is_index(buffer, \result);
    ensures \result != BUFFER_NONE ==> buffer->slots < most && buffer->slot[\result].state == BUFFER_FREE; */
static uint32_t free_slot(const struct buffer *buffer, uint32_t most)
{
    if (buffer->slots >= most)
        return BUFFER_NONE;
    uint32_t index = buffer->next_free;
    /*@ loop invariant index < buffer->slot_count;
        loop assigns index; */
    while (buffer->slot[index].state != BUFFER_FREE)
        index = index + 1 < buffer->slot_count ? index + 1 : 0;
    return index;
}

/* Whether a run can go on from the newest open slot into `index`. */
/*@ requires is_buffer(buffer) && \valid_read(volume) && is_index(buffer, volume->open.last);
    assigns \nothing; */
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

void slots_set_head(struct buffer *buffer, struct buffer_slot *slot, bool head)
{
    buffer->heads = buffer->heads - (slot->head ? 1 : 0) + (head ? 1 : 0);
    slot->head = head;
}

void slots_set_promised(struct buffer *buffer, struct buffer_slot *slot, uint8_t promised)
{
    struct buffer_volume *volume = &buffer->volume[slot->volume];
    volume->promised_slots = volume->promised_slots - (slot->promised != 0 ? 1 : 0);
    volume->promised_slots = volume->promised_slots + (promised != 0 ? 1 : 0);
    slot->promised = promised;
    kept_note(buffer, (uint32_t)(slot - buffer->slot));
}

/* Takes a free slot for the block; it is the newest of its block then, and in no list. */
/*@ requires is_buffer(buffer) && index < buffer->slot_count && number < BUFFER_MAX_VOLUMES;
    requires is_counted(buffer) && buffer->slots < buffer->slot_count;
    assigns buffer->slot[index], buffer->heads, buffer->slots, buffer->volume[number].slots, buffer->next_free,
      buffer->bucket[0 .. buffer->bucket_count - 1];
    ensures is_buffer(buffer) && is_of(buffer, index, number, block) && buffer->slot[index].state == BUFFER_DIRTY;
    ensures newest_of(buffer, number, block) == index;
    ensures is_counted(buffer) && buffer->slots == \old(buffer->slots) + 1;
    ensures buffer->heads == \old(buffer->heads) + (head ? 1 : 0); */
static void occupy(struct buffer *buffer, uint32_t index, uint32_t number, uint64_t block,
                   bool head)
{
    struct buffer_slot *slot = &buffer->slot[index];
    *slot = (struct buffer_slot){
        .block = block,
        .first_write = 1,
        .volume = (uint8_t)number,
        .state = BUFFER_DIRTY,
        .unsummed = slot->unsummed, /* it may still be in that list */
        .next_unsummed = slot->next_unsummed,
    };
    slots_set_head(buffer, slot, head);
    buffer->slots++;
    buffer->volume[number].slots++;
    buffer->next_free = index + 1 < buffer->slot_count ? index + 1 : 0;
    chain_insert(buffer, index);
}

uint32_t slots_open(struct buffer *buffer, uint32_t number, uint64_t block, uint8_t mask,
                    bool promise)
{
    struct buffer_volume *volume = &buffer->volume[number];
    uint32_t index = free_slot(buffer, buffer->slot_most);
    if (index == BUFFER_NONE)
        return BUFFER_NONE;
    bool head = !continues(buffer, volume, index, block, mask);
    if (promise && !bound_allows(buffer, 1, head ? 1 : 0))
        return BUFFER_NONE;
    occupy(buffer, index, number, block, head);
    slots_append(buffer, &volume->open, index);
    return index;
}

uint32_t slots_load(struct buffer *buffer, uint32_t number, uint64_t block)
{
    uint32_t index = free_slot(buffer, buffer->slot_count);
    if (index != BUFFER_NONE)
        occupy(buffer, index, number, block, true);
    return index;
}

void slots_release(struct buffer *buffer, uint32_t index)
{
    struct buffer_slot *slot = &buffer->slot[index];
    chain_remove(buffer, index);
    slots_set_head(buffer, slot, false);
    slots_set_promised(buffer, slot, 0);
    buffer->volume[slot->volume].slots--;
    buffer->slots--;
    slot->state = BUFFER_FREE;
}
