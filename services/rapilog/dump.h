/*
 * The dump area: what is on that partition, and how it is recognized. Pure: no I/O, no state; dumping.c and
 * journal.c write it, replay.c reads it.
 *
 * In blocks of 4 KiB:
 *
 *     0, 1        the superblock, two copies written in turn; only its first sector counts
 *     2 ...       half 0: epochs with even numbers
 *     2 + h ...   half 1: epochs with odd numbers; h = (blocks - 2) / 2
 *
 * An epoch fills a half from its start, in chunks written one after the other: a descriptor and up to 64 blocks of data.
 * A descriptor lists the data of its chunk, each block with its checksum, and carries the epoch's number and a checksum of
 * itself. The last chunk's descriptor, marked so, is the commit record: an epoch is *complete* when
 * all descriptors up to that one and all data pass their checks. What is torn, what was written in another order and what is
 * left of what was in this half before does not: every descriptor has the number of its epoch and the checksum of the
 * descriptor before it (an epoch that did not become complete is followed by one with the same number), every
 * block the checksum that its own descriptor says.
 *
 * An epoch is *placed* when all of it is where it belongs, flushed. Its half may then be written again, and not before. Each
 * descriptor and superblock tells up to which number everything was placed when it was written. What is complete and not
 * known to be placed is *pending*: at the next start it goes in place before anything else does.
 *
 * The area belongs to the volumes named by `identity` (their labels and sizes, in their order), and has the size that its
 * superblock says, though its partition may have grown since. No epoch is written before a superblock that says so is flushed.
 * Hence what the halves of an area without a superblock hold is from before somebody cleared that, and does not count.
 */
#ifndef RAPILOG_DUMP_H
#define RAPILOG_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DUMP_BLOCK 4096u
#define DUMP_BLOCK_SECTORS 8u
#define DUMP_SUPERS 2u
#define DUMP_CHUNK 64u /* blocks of data in a chunk */
#define DUMP_LEAST 16u /* blocks of data that a half must have room for */
#define DUMP_VERSION 2u

struct dump_entry {
    uint64_t block; /* of the volume, in units of 4 KiB */
    uint32_t sum;   /* of the whole block of data */
    uint8_t volume;
    uint8_t valid; /* bit n: sector n of the block is meant */
    uint16_t reserved;
};

struct dump_descriptor {
    uint64_t magic;
    uint32_t version;
    uint32_t sum; /* of the descriptor, this field taken as 0 */
    uint64_t identity;
    uint64_t sequence; /* the epoch's number, 1 is the first */
    uint64_t placed;   /* everything up to this number was placed */
    uint32_t chunk;    /* 0 is the first of the epoch */
    uint32_t entries;  /* 1..DUMP_CHUNK; DUMP_CHUNK but in the last one */
    uint32_t total;    /* entries of the whole epoch */
    uint32_t last;     /* 1: commit record */
    uint32_t before;   /* `sum` of the descriptor before this one; 0 in the first */
    uint32_t whole;    /* 1: has all that was held; no older epoch is needed beside it */
    struct dump_entry entry[DUMP_CHUNK];
};

struct dump_super {
    uint64_t magic;
    uint32_t version;
    uint32_t sum; /* of this structure, this field taken as 0 */
    uint64_t identity;
    uint64_t sectors; /* of the area: where its halves lie */
    uint64_t placed;
    uint64_t serial; /* the larger one is the newer copy */
};

_Static_assert(sizeof(struct dump_entry) == 16, "record layout");
_Static_assert(sizeof(struct dump_descriptor) <= DUMP_BLOCK, "fits its block");
_Static_assert(sizeof(struct dump_super) <= 512, "one sector, which is written as a whole");

/* How many blocks of data one half of an area of so many sectors has room for; 0: too small to be used. */
uint32_t dump_capacity(uint64_t sectors);
/* Blocks that so many blocks of data take with their descriptors. */
uint32_t dump_blocks(uint32_t entries);
/* The first block of an epoch's half. */
uint64_t dump_half(uint64_t sectors, uint64_t sequence);

/* Identity of a list of volumes: begins with 0, then takes one volume after the other. */
uint64_t dump_identity(uint64_t before, const char *label, uint64_t sectors);

/* Of memory that a disk writes, copied: the compiler cannot look at the original again instead. */
static inline void dump_copied(const void *copy)
{
    __asm__ volatile("" : : "r"(copy) : "memory");
}

/* Fill in magic, version and checksum; everything else is the caller's. */
void dump_seal_descriptor(struct dump_descriptor *descriptor);
void dump_seal_super(struct dump_super *super);
/* Whether it is one, whatever it says. */
bool dump_descriptor_sound(const struct dump_descriptor *descriptor);
bool dump_super_sound(const struct dump_super *super);
/* Whether it looks like one that another version of RapiLog has written, which cannot be understood here. */
bool dump_super_of_another_version(const struct dump_super *super);
/* Whether the descriptor is the first of that epoch, or the one after `before`, and says nothing impossible about its place in it. */
bool dump_descriptor_first(const struct dump_descriptor *descriptor, uint64_t identity,
                           uint64_t sequence);
bool dump_descriptor_next(const struct dump_descriptor *descriptor,
                          const struct dump_descriptor *before);

#endif
