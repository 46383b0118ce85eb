/*
 * The slots of RapiLog's buffer (buffer.h), for buffer.c and epochs.c: where they hang, and how they come and go.
 *
 * A slot in use is in the hash chain of its block, newest first, and in exactly one list: of open, failed, dumping,
 * writing or flushing ones. Heads, promised slots and slots in use are counted here and nowhere else.
 */
#ifndef RAPILOG_SLOTS_H
#define RAPILOG_SLOTS_H

#include "bound.h"
#include "buffer.h"
#include "sectors.h"

/*
 * Contracts are for Frama-C (tests/proof). A buffer is its memory, and links that never leave it. What is in a list or chain
 * is said only where a function needs it: to go along a chain to a slot, the slot must be *linked*, as every slot in use is.
 *
 * `holder` is what a read is about: of a block's chain from `from` on, the first slot (newest, as slots enter at the head) in
 * which the sector is valid; BUFFER_NONE: there is none.
 */
/*@ predicate is_index(struct buffer *b, integer i) = 0 <= i < b->slot_count || i == BUFFER_NONE;
    predicate has_memory(struct buffer *b) =
      \valid(b) && 0 < b->slot_count <= BUFFER_MAX_SLOTS && 0 < b->bucket_count <= 0x80000000 &&
      \valid(b->slot + (0 .. b->slot_count - 1)) && \valid(b->bucket + (0 .. b->bucket_count - 1)) &&
      \valid(b->data + (0 .. b->slot_count * BUFFER_BLOCK - 1)) &&
      \separated(b, b->slot + (0 .. b->slot_count - 1), b->bucket + (0 .. b->bucket_count - 1),
                 b->data + (0 .. b->slot_count * BUFFER_BLOCK - 1));
    predicate is_chained(struct buffer *b) =
      (\forall integer i; 0 <= i < b->slot_count ==> is_index(b, b->slot[i].older)) &&
      (\forall integer i; 0 <= i < b->bucket_count ==> is_index(b, b->bucket[i]));
    predicate is_listed(struct buffer *b) =
      \forall integer i; 0 <= i < b->slot_count ==> is_index(b, b->slot[i].next);
    predicate has_volumes(struct buffer *b) =
      \forall integer i; 0 <= i < b->slot_count ==> b->slot[i].volume < BUFFER_MAX_VOLUMES;
    predicate is_buffer(struct buffer *b) =
      has_memory(b) && is_chained(b) && is_listed(b) && has_volumes(b) && b->next_free < b->slot_count;

    predicate is_counted(struct buffer *b) =
      b->heads <= b->slots <= b->slot_count && b->slot_most <= b->slot_count;

    predicate is_list(struct buffer *b, struct buffer_list *list) =
      \valid(list) && is_index(b, list->first) && is_index(b, list->last) &&
      (list->first == BUFFER_NONE <==> list->last == BUFFER_NONE) &&
      \separated(list, b->slot + (0 .. b->slot_count - 1), b->bucket + (0 .. b->bucket_count - 1),
                 &b->slot, &b->bucket, &b->data, &b->slot_count, &b->bucket_count, &b->next_free);

    logic integer bucket_number(integer buckets, integer volume, integer block) =
      (uint32_t)((uint64_t)((uint64_t)((uint64_t)(block * BUFFER_MAX_VOLUMES) + volume) * 0x9e3779b97f4a7c15) >> 32) &
      (uint32_t)(buckets - 1);
    logic integer newest_of{L}(struct buffer *b, integer volume, integer block) =
      b->bucket[bucket_number(b->bucket_count, volume, block)];
    predicate is_of{L}(struct buffer *b, integer i, integer volume, integer block) =
      b->slot[i].volume == volume && b->slot[i].block == block;

    inductive linked{L}(struct buffer *b, integer from, integer index) {
      case here{L}: \forall struct buffer *b, integer index; linked(b, index, index);
      case older{L}: \forall struct buffer *b, integer from, index;
        0 <= from < b->slot_count ==> linked(b, b->slot[from].older, index) ==> linked(b, from, index);
    }
    inductive holder{L}(struct buffer *b, integer from, integer volume, integer block, integer sector, integer found) {
      case nobody{L}: \forall struct buffer *b, integer volume, block, sector;
        holder(b, BUFFER_NONE, volume, block, sector, BUFFER_NONE);
      case here{L}: \forall struct buffer *b, integer from, volume, block, sector;
        0 <= from < b->slot_count && is_of(b, from, volume, block) && in_mask(b->slot[from].valid, sector) ==>
        holder(b, from, volume, block, sector, from);
      case older{L}: \forall struct buffer *b, integer from, volume, block, sector, found;
        0 <= from < b->slot_count && !(is_of(b, from, volume, block) && in_mask(b->slot[from].valid, sector)) ==>
        holder(b, b->slot[from].older, volume, block, sector, found) ==>
        holder(b, from, volume, block, sector, found);
    } */

static const struct buffer_list slots_none = {BUFFER_NONE, BUFFER_NONE};

/*@ requires is_buffer(buffer) && is_list(buffer, list) && index < buffer->slot_count && index != list->last;
    assigns list->first, list->last, buffer->slot[0 .. buffer->slot_count - 1].next;
    ensures has_memory(buffer);
    ensures is_chained(buffer);
    ensures is_listed(buffer);
    ensures has_volumes(buffer) && buffer->next_free < buffer->slot_count;
    ensures is_list(buffer, list);
    ensures list->last == index && buffer->slot[index].next == BUFFER_NONE;
    ensures list->first == (\old(list->first) == BUFFER_NONE ? index : \old(list->first)); */
void slots_append(struct buffer *buffer, struct buffer_list *list, uint32_t index);
/* The first of a list that is not empty, taken out. */
/*@ requires is_buffer(buffer) && is_list(buffer, list) && list->first != BUFFER_NONE;
    assigns list->first, list->last;
    ensures has_memory(buffer);
    ensures is_chained(buffer);
    ensures is_listed(buffer);
    ensures has_volumes(buffer) && buffer->next_free < buffer->slot_count;
    ensures is_list(buffer, list);
    ensures \result == \old(list->first) && \result < buffer->slot_count;
    ensures list->first == buffer->slot[\result].next; */
uint32_t slots_take(struct buffer *buffer, struct buffer_list *list);

/* The block's newest slot, the next older one of the same block, the block's DIRTY one (by invariant 1 the newest);
 * BUFFER_NONE: there is none. */
/*@ requires is_buffer(buffer);
    assigns \nothing;
    ensures is_index(buffer, \result);
    ensures \result != BUFFER_NONE ==> is_of(buffer, \result, volume, block);
    ensures \forall integer sector, found; holder(buffer, \result, volume, block, sector, found) ==>
      holder(buffer, newest_of(buffer, volume, block), volume, block, sector, found); */
uint32_t slots_newest(const struct buffer *buffer, uint32_t volume, uint64_t block);
/*@ requires is_buffer(buffer) && index < buffer->slot_count;
    assigns \nothing;
    ensures is_index(buffer, \result);
    ensures \result != BUFFER_NONE ==> is_of(buffer, \result, buffer->slot[index].volume, buffer->slot[index].block);
    ensures \forall integer sector, found;
      holder(buffer, \result, buffer->slot[index].volume, buffer->slot[index].block, sector, found) ==>
      holder(buffer, buffer->slot[index].older, buffer->slot[index].volume, buffer->slot[index].block, sector, found); */
uint32_t slots_next_older(const struct buffer *buffer, uint32_t index);
/*@ requires is_buffer(buffer);
    assigns \nothing;
    ensures is_index(buffer, \result);
    ensures \result != BUFFER_NONE ==>
      is_of(buffer, \result, volume, block) && buffer->slot[\result].state == BUFFER_DIRTY; */
uint32_t slots_dirty(const struct buffer *buffer, uint32_t volume, uint64_t block);
/* Makes it the newest of its block. */
/*@ requires is_buffer(buffer) && index < buffer->slot_count;
    requires linked(buffer, newest_of(buffer, buffer->slot[index].volume, buffer->slot[index].block), index);
    assigns buffer->slot[0 .. buffer->slot_count - 1].older, buffer->bucket[0 .. buffer->bucket_count - 1];
    ensures is_buffer(buffer);
    ensures newest_of(buffer, buffer->slot[index].volume, buffer->slot[index].block) == index; */
void slots_to_front(struct buffer *buffer, uint32_t index);
/* Puts a slot that is in no chain into its block's, as the newest. */
/*@ requires is_buffer(buffer) && index < buffer->slot_count;
    assigns buffer->slot[index].older, buffer->bucket[0 .. buffer->bucket_count - 1];
    ensures is_buffer(buffer);
    ensures newest_of(buffer, buffer->slot[index].volume, buffer->slot[index].block) == index; */
void slots_chain(struct buffer *buffer, uint32_t index);
/*@ requires has_memory(buffer) && index < buffer->slot_count && sector < BUFFER_BLOCK_SECTORS;
    assigns \nothing;
    ensures \result == buffer->data + (index * BUFFER_BLOCK + sector * BUFFER_SECTOR); */
uint8_t *slots_data(const struct buffer *buffer, uint32_t index, uint32_t sector);

/* A new DIRTY slot, not yet valid in any sector; `mask` will be. BUFFER_NONE when there is none or the bound forbids it. */
/*@ requires is_buffer(buffer) && is_bounded(buffer) && is_counted(buffer) && number < BUFFER_MAX_VOLUMES;
    requires is_list(buffer, &buffer->volume[number].open);
    assigns buffer->slot[0 .. buffer->slot_count - 1], buffer->bucket[0 .. buffer->bucket_count - 1], buffer->heads,
      buffer->slots, buffer->next_free, buffer->volume[number].slots, buffer->volume[number].open;
    ensures is_buffer(buffer) && is_index(buffer, \result) && is_list(buffer, &buffer->volume[number].open);
    ensures is_bounded(buffer) && is_counted(buffer);
    ensures \result == BUFFER_NONE ==> buffer->slots == \old(buffer->slots);
    ensures \result != BUFFER_NONE ==>
      is_of(buffer, \result, number, block) && buffer->slot[\result].state == BUFFER_DIRTY &&
      newest_of(buffer, number, block) == \result && buffer->volume[number].open.last == \result;
    ensures the_bound_holds: promise && \result != BUFFER_NONE ==> buffer->slots <= buffer->slot_limit &&
      time_to_drain(buffer, buffer->slots, buffer->heads) <= buffer->budget; */
uint32_t slots_open(struct buffer *buffer, uint32_t number, uint64_t block, uint8_t mask,
                    bool promise);
/* The same for what comes from the dump area: whatever the bound says, and in no list yet. */
/*@ requires is_buffer(buffer) && is_counted(buffer) && number < BUFFER_MAX_VOLUMES;
    assigns buffer->slot[0 .. buffer->slot_count - 1], buffer->bucket[0 .. buffer->bucket_count - 1], buffer->heads,
      buffer->slots, buffer->next_free, buffer->volume[number].slots;
    ensures is_buffer(buffer) && is_counted(buffer) && is_index(buffer, \result);
    ensures \result != BUFFER_NONE ==>
      is_of(buffer, \result, number, block) && newest_of(buffer, number, block) == \result; */
uint32_t slots_load(struct buffer *buffer, uint32_t number, uint64_t block);
/* Frees a slot that is in no list any more. */
/*@ requires is_buffer(buffer) && index < buffer->slot_count;
    requires linked(buffer, newest_of(buffer, buffer->slot[index].volume, buffer->slot[index].block), index);
    assigns buffer->slot[0 .. buffer->slot_count - 1].older, buffer->bucket[0 .. buffer->bucket_count - 1], buffer->heads,
      buffer->slots, buffer->slot[index], buffer->volume[0 .. BUFFER_MAX_VOLUMES - 1];
    ensures is_buffer(buffer) && buffer->slot[index].state == BUFFER_FREE; */
void slots_release(struct buffer *buffer, uint32_t index);
/*@ requires is_buffer(buffer) && \exists integer i; 0 <= i < buffer->slot_count && slot == buffer->slot + i;
    assigns buffer->heads, slot->head;
    ensures is_buffer(buffer);
    ensures head && !\old(slot->head) && \old(buffer->heads) < 0xffffffff ==> buffer->heads == \old(buffer->heads) + 1;
    ensures head == \old(slot->head) ==> buffer->heads == \old(buffer->heads); */
void slots_set_head(struct buffer *buffer, struct buffer_slot *slot, bool head);
/*@ requires is_buffer(buffer) && \exists integer i; 0 <= i < buffer->slot_count && slot == buffer->slot + i;
    assigns buffer->volume[slot->volume].promised_slots, slot->promised, buffer->slot[slot - buffer->slot].kept;
    ensures is_buffer(buffer) && slot->promised == promised; */
void slots_set_promised(struct buffer *buffer, struct buffer_slot *slot, uint8_t promised);

#endif
