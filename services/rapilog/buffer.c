/*
 * RapiLog's buffer as its clients see it: writes into slots, reads out of them; what it means is told in buffer.h, and what
 * becomes of the slots is in epochs.c. Everything here is integer arithmetic on arrays.
 */
#include "buffer.h"

#include "bound.h"
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
    for (uint32_t index = 0; index < slot_count; index++)
        slots[index].state = BUFFER_FREE;
    for (uint32_t bucket = 0; bucket < bucket_count; bucket++)
        buckets[bucket] = BUFFER_NONE;
    for (uint32_t number = 0; number < BUFFER_MAX_VOLUMES; number++) {
        buffer->volume[number].open = slots_none;
        buffer->volume[number].failed = slots_none;
    }
}

/* ---- Writes ---- */

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
    uint32_t index = slots_dirty(buffer, volume, block);
    if (index == BUFFER_NONE)
        index = slots_open(buffer, volume, block, mask, promise);
    else if (promise && buffer->slot[index].promised == 0 && !bound_allows(buffer, 0, 0))
        index = BUFFER_NONE;
    if (index == BUFFER_NONE)
        return false;
    struct buffer_slot *slot = &buffer->slot[index];
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
        uint32_t index = slots_newest(buffer, volume, block);
        for (; index != BUFFER_NONE; index = slots_next_older(buffer, index)) {
            const struct buffer_slot *slot = &buffer->slot[index];
            if (!slot->dumped && slot->first_write <= number && number <= slot->last_write)
                return true;
        }
    }
    return false;
}

/* ---- Reads ---- */

/* The newest slot in which the sector is valid. */
static uint32_t slot_with(const struct buffer *buffer, uint32_t volume, uint64_t sector)
{
    uint32_t index = slots_newest(buffer, volume, sector / BUFFER_BLOCK_SECTORS);
    while (index != BUFFER_NONE &&
           !has_sector(buffer->slot[index].valid, (uint32_t)(sector % BUFFER_BLOCK_SECTORS)))
        index = slots_next_older(buffer, index);
    return index;
}

uint32_t buffer_read(const struct buffer *buffer, uint32_t volume, uint64_t sector, uint32_t count,
                     uint8_t *out, bool *held)
{
    uint32_t done = 0;
    *held = slot_with(buffer, volume, sector) != BUFFER_NONE;
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
        if (*held)
            memcpy(out + (size_t)done * BUFFER_SECTOR,
                   slots_data(buffer, index, (uint32_t)(at % BUFFER_BLOCK_SECTORS)), BUFFER_SECTOR);
        done++;
    }
    return done;
}
