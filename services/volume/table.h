/*
 * The partition table of the disk that the volume service serves: read once at start-up, first copy or, when that is
 * damaged, the backup at the end of the disk; then asked for labels.
 */
#ifndef VOLUME_TABLE_H
#define VOLUME_TABLE_H

#include "gpt.h"
#include <quoll/block_io.h>

struct extent { /* sectors of 512 bytes */
    uint64_t first;
    uint64_t count;
};

struct partition_table {
    enum gpt_problem problem; /* why there is none */
    struct gpt_header header;
    const uint8_t *entries;
    uint32_t block_sectors; /* sectors in a logical block */
};

/* Reads it through `disk`, which is READY, into `buffer` (number `number`, VOLUME_BUFFER_BYTES or more), where its entries
 * stay. Signals that arrive meanwhile are OR-ed into *signals. */
void table_read(struct partition_table *table, struct block_client *disk,
                const struct block_buffer *buffer, uint32_t number, uint64_t *signals);

/* The partition with that label. NULL, or why there is none to use: at most 71 characters. */
const char *table_find(const struct partition_table *table, const char *label,
                       struct extent *extent);
/* Logs which labels there are and what to do about a missing one. */
void table_explain(const struct partition_table *table, const char *disk, const char *label);

bool extents_overlap(const struct extent *a, const struct extent *b);

#endif
