/*
 * Which of a block's eight sectors: bit n stands for sector n. Pure arithmetic on masks, for buffer.c and its siblings.
 */
#ifndef RAPILOG_SECTORS_H
#define RAPILOG_SECTORS_H

#include "buffer.h"

static inline uint8_t mask_of(uint32_t first, uint32_t count)
{
    return (uint8_t)(((1u << count) - 1u) << first);
}

static inline bool has_sector(uint8_t mask, uint32_t sector)
{
    return ((uint32_t)mask >> sector & 1u) != 0;
}

static inline uint32_t sectors_in(uint8_t mask)
{
    uint32_t count = 0;
    for (uint32_t sector = 0; sector < BUFFER_BLOCK_SECTORS; sector++)
        count += has_sector(mask, sector) ? 1 : 0;
    return count;
}

static inline uint32_t first_sector(uint8_t mask)
{
    uint32_t sector = 0;
    while (sector < BUFFER_BLOCK_SECTORS && !has_sector(mask, sector))
        sector++;
    return sector;
}

/* Sectors from `first` on that are in the mask without a gap. */
static inline uint32_t sectors_from(uint8_t mask, uint32_t first)
{
    uint32_t end = first;
    while (end < BUFFER_BLOCK_SECTORS && has_sector(mask, end))
        end++;
    return end - first;
}

/* The part of [sector, sector + count) that lies in the block of `sector`. */
static inline uint32_t within_block(uint64_t sector, uint32_t count)
{
    uint32_t room = BUFFER_BLOCK_SECTORS - (uint32_t)(sector % BUFFER_BLOCK_SECTORS);
    return count < room ? count : room;
}

#endif
