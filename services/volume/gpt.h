/*
 * GUID partition tables (UEFI specification 2.10, section 5.3): pure functions on bytes that were read from a disk
 * and may hold anything. They keep no state, call nothing and never look beyond what they are given.
 *
 * Use: gpt_header_read() on block 1, or when that fails on the last block of the disk; then read the
 * table it names, gpt_table_check(), and gpt_partition_read() for each index.
 */
#ifndef VOLUME_GPT_H
#define VOLUME_GPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gpt_limit {
    GPT_TABLE_BYTES = 57344, /* largest table that is read; the usual one has 16384 bytes */
    GPT_LABEL_UNITS = 36,    /* UTF-16 units of a name */
    GPT_LABEL_BYTES = 112,   /* the same in UTF-8, with the terminating zero */
};

/* PROBLEM(name, text for messages) */
#define GPT_PROBLEMS(PROBLEM)                                                                      \
    PROBLEM(NONE, "nothing is wrong")                                                              \
    PROBLEM(NO_SIGNATURE, "there is no partition table")                                           \
    PROBLEM(BAD_HEADER, "the partition table's header is damaged")                                 \
    PROBLEM(OTHER_DISK, "the partition table does not fit this disk's size")                       \
    PROBLEM(BAD_TABLE_SIZE, "the partition table has an impossible size")                          \
    PROBLEM(BAD_TABLE, "the partition table's entries are damaged")                                \
    PROBLEM(UNREADABLE, "the partition table cannot be read")

enum gpt_problem {
#define PROBLEM(name, text) GPT_##name,
    GPT_PROBLEMS(PROBLEM)
#undef PROBLEM
        GPT_PROBLEM_COUNT
};

struct gpt_header { /* addresses in logical blocks */
    uint64_t first_usable;
    uint64_t last_usable;
    uint64_t table;
    uint32_t entry_count;
    uint32_t entry_size; /* bytes */
    uint32_t table_checksum;
};

struct gpt_partition { /* addresses in logical blocks */
    uint64_t first;
    uint64_t last; /* inclusive */
    bool inside;   /* lies within the usable blocks; otherwise it must not be used */
    char label[GPT_LABEL_BYTES];
};

const char *gpt_problem_text(enum gpt_problem problem);

/* bytes: the logical block `block` of a disk of `blocks` logical blocks; size: its length, 512 or more. */
enum gpt_problem gpt_header_read(const uint8_t *bytes, size_t size, uint64_t block, uint64_t blocks,
                                 struct gpt_header *header);
/* How many bytes the table has, at most GPT_TABLE_BYTES. */
size_t gpt_table_size(const struct gpt_header *header);
/* table: gpt_table_size() bytes. */
enum gpt_problem gpt_table_check(const struct gpt_header *header, const uint8_t *table);
/* False: entry `index` (below entry_count) is unused. */
bool gpt_partition_read(const struct gpt_header *header, const uint8_t *table, uint32_t index,
                        struct gpt_partition *partition);

/* CRC-32 of IEEE 802.3, as the table uses it. */
uint32_t gpt_checksum(const uint8_t *bytes, size_t size);

#endif
