/* The disk's partition table; see table.h. */
#include "table.h"
#include <quoll/quoll.h>
#include <string.h>

#define HEADER_BYTES 4096u /* of the buffer: for the header's block; the entries follow */

_Static_assert(HEADER_BYTES + GPT_TABLE_BYTES + HEADER_BYTES <= VOLUME_BUFFER_BYTES,
               "a header, the entries, and rounding them up to a block");

struct reader {
    struct block_client *disk;
    const struct block_buffer *buffer;
    uint32_t number;
    uint64_t *signals;
    uint32_t block_sectors;
};

static bool read_sectors(struct reader *reader, uint64_t sector, uint32_t count, uint64_t offset)
{
    uint32_t most = reader->disk->geometry.max_sectors;
    most -= most % reader->block_sectors;
    for (uint32_t done = 0; done < count;) {
        uint32_t part = count - done < most ? count - done : most;
        struct block_request request = {
            .id = sector + done,
            .sector = sector + done,
            .count = part,
            .operation = BLOCK_READ,
            .buffer = reader->number,
            .offset = offset + (uint64_t)done * BLOCK_SECTOR,
        };
        if (block_client_transfer(reader->disk, request, reader->signals) != BLOCK_OK)
            return false;
        done += part;
    }
    return true;
}

/* One copy of the table: header in logical block `block`. */
static enum gpt_problem read_copy(struct reader *reader, uint64_t block,
                                  struct partition_table *table)
{
    uint32_t block_sectors = reader->block_sectors;
    uint64_t blocks = reader->disk->geometry.sectors / block_sectors;
    size_t block_bytes = (size_t)block_sectors * BLOCK_SECTOR;
    if (block >= blocks)
        return GPT_NO_SIGNATURE;
    if (!read_sectors(reader, block * block_sectors, block_sectors, 0))
        return GPT_UNREADABLE;
    enum gpt_problem problem =
        gpt_header_read(reader->buffer->address, block_bytes, block, blocks, &table->header);
    if (problem != GPT_NONE)
        return problem;

    size_t size = gpt_table_size(&table->header);
    uint32_t sectors = (uint32_t)((size + block_bytes - 1) / block_bytes) * block_sectors;
    table->entries = reader->buffer->address + HEADER_BYTES;
    if (!read_sectors(reader, table->header.table * block_sectors, sectors, HEADER_BYTES))
        return GPT_UNREADABLE;
    return gpt_table_check(&table->header, table->entries);
}

void table_read(struct partition_table *table, struct block_client *disk,
                const struct block_buffer *buffer, uint32_t number, uint64_t *signals)
{
    const struct block_geometry *geometry = &disk->geometry;
    bool whole = (geometry->abilities & BLOCK_WHOLE_BLOCKS) != 0;
    uint32_t block_sectors = whole ? geometry->physical_block / BLOCK_SECTOR : 1;
    struct reader reader = {disk, buffer, number, signals, block_sectors};
    *table = (struct partition_table){.block_sectors = block_sectors};
    if (block_sectors * BLOCK_SECTOR > HEADER_BYTES) {
        table->problem = GPT_UNREADABLE;
        return;
    }
    table->problem = read_copy(&reader, 1, table);
    if (table->problem == GPT_NONE || geometry->sectors < 2ull * block_sectors)
        return;
    enum gpt_problem backup = read_copy(&reader, geometry->sectors / block_sectors - 1, table);
    if (backup != GPT_NONE)
        return;
    quoll_log("disk \"%s\": %s; using the backup at its end. Repair it with `sgdisk -e`",
              geometry->name, gpt_problem_text(table->problem));
    table->problem = GPT_NONE;
}

static bool is_label(const struct gpt_partition *partition, const char *label)
{
    return strcmp(partition->label, label) == 0;
}

const char *table_find(const struct partition_table *table, const char *label,
                       struct extent *extent)
{
    struct gpt_partition partition;
    uint32_t found = 0;
    bool inside = false;
    if (table->problem != GPT_NONE)
        return gpt_problem_text(table->problem);
    for (uint32_t i = 0; i < table->header.entry_count; i++) {
        if (!gpt_partition_read(&table->header, table->entries, i, &partition) ||
            !is_label(&partition, label))
            continue;
        found++;
        inside = partition.inside;
        extent->first = partition.first * table->block_sectors;
        extent->count = (partition.last - partition.first + 1) * table->block_sectors;
    }
    if (found == 0)
        return "no partition has this label";
    if (found > 1)
        return "several partitions have this label";
    return inside ? NULL : "the partition lies outside the disk's usable blocks";
}

void table_explain(const struct partition_table *table, const char *disk, const char *label)
{
    struct gpt_partition partition;
    if (table->problem != GPT_NONE) {
        quoll_log("disk \"%s\": %s. Partition it with GPT (sgdisk), or give the whole disk to one "
                  "VM",
                  disk, gpt_problem_text(table->problem));
        return;
    }
    quoll_log("disk \"%s\" has these labels:", disk);
    for (uint32_t i = 0; i < table->header.entry_count; i++) {
        if (gpt_partition_read(&table->header, table->entries, i, &partition))
            quoll_log("  partition %u: \"%s\", %lu MiB%s", i + 1, partition.label,
                      (unsigned long)(partition.inside ? (partition.last - partition.first + 1) /
                                                             (2048 / table->block_sectors)
                                                       : 0),
                      partition.inside ? "" : " (damaged)");
    }
    quoll_log("name one of them in the system description, or set the label: sgdisk "
              "--change-name=NUMBER:%s DISK",
              label);
}

bool extents_overlap(const struct extent *a, const struct extent *b)
{
    return a->first < b->first + b->count && b->first < a->first + a->count;
}
