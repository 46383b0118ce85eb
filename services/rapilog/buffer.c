/*
 * RapiLog's buffer as its clients see it: writes into slots, reads out of them; what it means is told in buffer.h, and what
 * becomes of the slots is in epochs.c. Everything here is integer arithmetic on arrays.
 */
#include "buffer.h"

#include "bound.h"
#include "kept.h"
#include "sectors.h"
#include "slots.h"

#include <string.h>

void buffer_init(struct buffer *buffer, struct buffer_slot *slots, uint32_t slot_count,
                 uint32_t *buckets, uint32_t bucket_count, uint8_t *data)
{
    memset(buffer, 0, sizeof(*buffer));
    buffer->slot = slots;
    buffer->bucket = buckets;
    buffer->data = data;
    buffer->slot_count = slot_count;
    buffer->slot_most = slot_count;
    buffer->bucket_count = bucket_count;
    buffer->unsummed = BUFFER_NONE;
    for (uint32_t index = 0; index < slot_count; index++) {
        slots[index].state = BUFFER_FREE;
        slots[index].unsummed = false;
    }
    for (uint32_t bucket = 0; bucket < bucket_count; bucket++)
        buckets[bucket] = BUFFER_NONE;
    for (uint32_t number = 0; number < BUFFER_MAX_VOLUMES; number++) {
        buffer->volume[number].open = slots_none;
        buffer->volume[number].failed = slots_none;
    }
}

/*
 * Contracts are for Frama-C (tests/proof; slots.h has what they are made of). Clients' memory lies apart from the buffer's.
 */
/*@ predicate is_outside(struct buffer *b, uint8_t *bytes, integer size) =
      \separated(bytes + (0 .. size - 1), b, b->slot + (0 .. b->slot_count - 1), b->bucket + (0 .. b->bucket_count - 1),
                 b->data + (0 .. b->slot_count * BUFFER_BLOCK - 1)); */

/* ---- Writes ---- */

/*@ requires \valid(buffer) && volume < BUFFER_MAX_VOLUMES;
    assigns buffer->volume[volume].writes;
    ensures \result == buffer->volume[volume].writes == (uint64_t)(\old(buffer->volume[volume].writes) + 1); */
uint64_t buffer_write_number(struct buffer *buffer, uint32_t volume)
{
    return ++buffer->volume[volume].writes;
}

/*@ requires \valid_read(slot);
    assigns \nothing; */
static bool slot_waited_for(const struct buffer_slot *slot)
{
    return slot->first_write <= slot->last_write;
}

/* Puts sectors of one block into its DIRTY slot; false when the bound is reached. */
/*@ requires is_buffer(buffer) && is_bounded(buffer) && is_counted(buffer) && volume < BUFFER_MAX_VOLUMES;
    requires is_list(buffer, &buffer->volume[volume].open);
    requires first < BUFFER_BLOCK_SECTORS && 0 < count <= BUFFER_BLOCK_SECTORS - first;
    requires \valid_read(data + (0 .. count * BUFFER_SECTOR - 1)) && is_outside(buffer, data, count * BUFFER_SECTOR);
    assigns buffer->slot[0 .. buffer->slot_count - 1], buffer->bucket[0 .. buffer->bucket_count - 1], buffer->heads,
      buffer->slots, buffer->next_free, buffer->volume[volume], buffer->counters,
      buffer->data[0 .. buffer->slot_count * BUFFER_BLOCK - 1];
    ensures is_buffer(buffer) && is_bounded(buffer) && is_counted(buffer);
    ensures is_list(buffer, &buffer->volume[volume].open); */
static bool write_block(struct buffer *buffer, uint32_t volume, uint64_t number, uint64_t block,
                        uint32_t first, uint32_t count, const uint8_t *data, bool promise)
{
    uint8_t mask = mask_of(first, count);
    uint32_t index = slots_dirty(buffer, volume, block);
    if (index == BUFFER_NONE)
        index = slots_open(buffer, volume, block, mask, promise);
    else if (promise && buffer->slot[index].promised == 0 && !bound_allows(buffer, 0, 0))
        index = BUFFER_NONE;
    if (index == BUFFER_NONE)
        return false;
    struct buffer_slot *slot = &buffer->slot[index];
    if (buffer->sums)
        kept_unsum(buffer, index);
    memcpy(slots_data(buffer, index, first), data, (size_t)count * BUFFER_SECTOR);
    if (!slot_waited_for(slot))
        slot->first_write = number;
    slot->last_write = number;
    buffer->counters.written += (uint64_t)count * BUFFER_SECTOR;
    buffer->counters.coalesced += (uint64_t)sectors_in(slot->valid & mask) * BUFFER_SECTOR;
    slot->valid |= mask;
    if (promise)
        slots_set_promised(buffer, slot, slot->promised | mask);
    return true;
}

/*@ requires is_buffer(buffer) && is_bounded(buffer) && is_counted(buffer) && volume < BUFFER_MAX_VOLUMES;
    requires is_list(buffer, &buffer->volume[volume].open);
    requires count < BUFFER_MAX_SLOTS && sector + count <= UINT64_MAX;
    requires \valid_read(data + (0 .. count * BUFFER_SECTOR - 1)) && is_outside(buffer, data, count * BUFFER_SECTOR);
    assigns buffer->slot[0 .. buffer->slot_count - 1], buffer->bucket[0 .. buffer->bucket_count - 1], buffer->heads,
      buffer->slots, buffer->next_free, buffer->volume[volume], buffer->counters,
      buffer->data[0 .. buffer->slot_count * BUFFER_BLOCK - 1];
    ensures is_buffer(buffer) && is_bounded(buffer) && is_counted(buffer) && \result <= count; */
uint32_t buffer_write(struct buffer *buffer, uint32_t volume, uint64_t number, uint64_t sector,
                      uint32_t count, const uint8_t *data, bool promise)
{
    uint32_t taken = 0;
    /*@ loop invariant taken <= count && is_buffer(buffer) && is_bounded(buffer) && is_counted(buffer);
        loop invariant is_list(buffer, &buffer->volume[volume].open);
        loop assigns taken, buffer->slot[0 .. buffer->slot_count - 1], buffer->bucket[0 .. buffer->bucket_count - 1], buffer->heads,
      buffer->slots, buffer->next_free, buffer->volume[volume], buffer->counters,
      buffer->data[0 .. buffer->slot_count * BUFFER_BLOCK - 1];
        loop variant count - taken; */
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

/*@ requires is_buffer(buffer) && 0 < count && sector + count <= UINT64_MAX;
    assigns \nothing; */
bool buffer_holds_write(const struct buffer *buffer, uint32_t volume, uint64_t number,
                        uint64_t sector, uint32_t count)
{
    uint64_t last = (sector + count - 1) / BUFFER_BLOCK_SECTORS;
    /*@ loop invariant block <= last + 1;
        loop assigns block;
        loop variant last + 1 - block; */
    for (uint64_t block = sector / BUFFER_BLOCK_SECTORS; block <= last; block++) {
        uint32_t index = slots_newest(buffer, volume, block);
        /*@ loop invariant is_index(buffer, index);
            loop assigns index; */
        for (; index != BUFFER_NONE; index = slots_next_older(buffer, index)) {
            const struct buffer_slot *slot = &buffer->slot[index];
            if (!slot->dumped && slot->first_write <= number && number <= slot->last_write)
                return true;
        }
    }
    return false;
}

/* ---- Reads ---- */

/*@ predicate is_holder(struct buffer *b, integer volume, integer sector, integer found) =
      holder(b, newest_of(b, volume, sector / BUFFER_BLOCK_SECTORS), volume, sector / BUFFER_BLOCK_SECTORS,
             sector % BUFFER_BLOCK_SECTORS, found); */

/* The newest slot in which the sector is valid. */
/*@ requires is_buffer(buffer);
    assigns \nothing;
    ensures is_index(buffer, \result);
    ensures newest: is_holder(buffer, volume, sector, \result); */
static uint32_t slot_with(const struct buffer *buffer, uint32_t volume, uint64_t sector)
{
    uint32_t index = slots_newest(buffer, volume, sector / BUFFER_BLOCK_SECTORS);
    /*@ loop invariant is_index(buffer, index);
        loop invariant index != BUFFER_NONE ==> is_of(buffer, index, volume, sector / BUFFER_BLOCK_SECTORS);
        loop invariant \forall integer found;
          holder(buffer, index, volume, sector / BUFFER_BLOCK_SECTORS, sector % BUFFER_BLOCK_SECTORS, found) ==>
          is_holder(buffer, volume, sector, found);
        loop assigns index; */
    while (index != BUFFER_NONE &&
           !has_sector(buffer->slot[index].valid, (uint32_t)(sector % BUFFER_BLOCK_SECTORS)))
        index = slots_next_older(buffer, index);
    return index;
}

/*@ requires has_memory(buffer) && index < buffer->slot_count;
    requires \valid(out + (0 .. BUFFER_SECTOR - 1)) && is_outside(buffer, out, BUFFER_SECTOR);
    assigns out[0 .. BUFFER_SECTOR - 1];
    ensures \forall integer i; 0 <= i < BUFFER_SECTOR ==>
      out[i] == buffer->data[index * BUFFER_BLOCK + (sector % BUFFER_BLOCK_SECTORS) * BUFFER_SECTOR + i]; */
static void copy_out(const struct buffer *buffer, uint32_t index, uint64_t sector, uint8_t *out)
{
    memcpy(out, slots_data(buffer, index, (uint32_t)(sector % BUFFER_BLOCK_SECTORS)),
           BUFFER_SECTOR);
}

/*@ requires is_buffer(buffer) && 0 < count < BUFFER_MAX_SLOTS && sector + count <= UINT64_MAX;
    requires \valid(out + (0 .. count * BUFFER_SECTOR - 1)) && is_outside(buffer, out, count * BUFFER_SECTOR);
    requires \valid(held) && is_outside(buffer, (uint8_t *)held, 1) && \separated(held, out + (0 .. count * BUFFER_SECTOR - 1));
    assigns *held, out[0 .. count * BUFFER_SECTOR - 1];
    ensures \result <= count; */
uint32_t buffer_read(const struct buffer *buffer, uint32_t volume, uint64_t sector, uint32_t count,
                     uint8_t *out, bool *held)
{
    uint32_t done = 0;
    *held = slot_with(buffer, volume, sector) != BUFFER_NONE;
    /*@ loop invariant done <= count && is_buffer(buffer);
        loop assigns done, out[0 .. count * BUFFER_SECTOR - 1];
        loop variant count - done; */
    while (done < count) {
        uint64_t at = sector + done;
        if (slots_newest(buffer, volume, at / BUFFER_BLOCK_SECTORS) == BUFFER_NONE) {
            if (*held)
                break;
            done += within_block(at, count - done);
            continue;
        }
        uint32_t index = slot_with(buffer, volume, at);
        if ((index != BUFFER_NONE) != *held)
            break;
        //@ assert from_the_newest: is_holder(buffer, volume, at, index) && (*held <==> index != BUFFER_NONE);
        if (*held)
            copy_out(buffer, index, at, out + (size_t)done * BUFFER_SECTOR);
        done++;
    }
    return done;
}
