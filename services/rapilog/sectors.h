/*
 * Which of a block's eight sectors: bit n stands for sector n. Pure arithmetic on masks, for buffer.c and its siblings.
 */
#ifndef RAPILOG_SECTORS_H
#define RAPILOG_SECTORS_H

#include "buffer.h"

/* Contracts are for Frama-C (tests/proof). */
/*@ predicate in_mask(integer mask, integer sector) = ((mask >> sector) & 1) != 0; */

/*@ requires first < BUFFER_BLOCK_SECTORS && count <= BUFFER_BLOCK_SECTORS - first;
    assigns \nothing; */
static inline uint8_t mask_of(uint32_t first, uint32_t count)
{
    return (uint8_t)(((1u << count) - 1u) << first);
}

/*@ requires sector < BUFFER_BLOCK_SECTORS;
    assigns \nothing;
    ensures \result <==> in_mask(mask, sector); */
static inline bool has_sector(uint8_t mask, uint32_t sector)
{
    return ((uint32_t)mask >> sector & 1u) != 0;
}

/*@ assigns \nothing;
    ensures \result <= BUFFER_BLOCK_SECTORS; */
static inline uint32_t sectors_in(uint8_t mask)
{
    uint32_t count = 0;
    /*@ loop invariant count <= sector <= BUFFER_BLOCK_SECTORS;
        loop assigns sector, count;
        loop variant BUFFER_BLOCK_SECTORS - sector; */
    for (uint32_t sector = 0; sector < BUFFER_BLOCK_SECTORS; sector++)
        count += has_sector(mask, sector) ? 1 : 0;
    return count;
}

/*@ assigns \nothing;
    ensures \result <= BUFFER_BLOCK_SECTORS;
    ensures \result < BUFFER_BLOCK_SECTORS ==> in_mask(mask, \result);
    ensures \forall integer n; 0 <= n < \result ==> !in_mask(mask, n); */
static inline uint32_t first_sector(uint8_t mask)
{
    uint32_t sector = 0;
    /*@ loop invariant sector <= BUFFER_BLOCK_SECTORS;
        loop invariant \forall integer n; 0 <= n < sector ==> !in_mask(mask, n);
        loop assigns sector;
        loop variant BUFFER_BLOCK_SECTORS - sector; */
    while (sector < BUFFER_BLOCK_SECTORS && !has_sector(mask, sector))
        sector++;
    return sector;
}

/* Sectors from `first` on that are in the mask without a gap. */
/*@ requires first <= BUFFER_BLOCK_SECTORS;
    assigns \nothing;
    ensures first + \result <= BUFFER_BLOCK_SECTORS;
    ensures \forall integer n; first <= n < first + \result ==> in_mask(mask, n); */
static inline uint32_t sectors_from(uint8_t mask, uint32_t first)
{
    uint32_t end = first;
    /*@ loop invariant first <= end <= BUFFER_BLOCK_SECTORS;
        loop invariant \forall integer n; first <= n < end ==> in_mask(mask, n);
        loop assigns end;
        loop variant BUFFER_BLOCK_SECTORS - end; */
    while (end < BUFFER_BLOCK_SECTORS && has_sector(mask, end))
        end++;
    return end - first;
}

/* The part of [sector, sector + count) that lies in the block of `sector`. */
/*@ assigns \nothing;
    ensures \result <= count && (count > 0 ==> \result > 0);
    ensures sector % BUFFER_BLOCK_SECTORS + \result <= BUFFER_BLOCK_SECTORS; */
static inline uint32_t within_block(uint64_t sector, uint32_t count)
{
    uint32_t room = BUFFER_BLOCK_SECTORS - (uint32_t)(sector % BUFFER_BLOCK_SECTORS);
    return count < room ? count : room;
}

#endif
