/*
 * A hostile disk: whatever its blocks hold, and however its driver changes the buffer while the volume service looks.
 *
 * What must hold: nothing outside the blocks that were read is looked at; a partition that is found lies within the usable blocks
 * of the disk; a label is a short text without anything that a terminal obeys.
 *
 * Input: byte 0: bits 0..1 logical block (512 << n), bit 2 header sealed, bit 3 table sealed, bit 4 backup as well, bit 5 a read
 * fails; 2 bytes: blocks of the disk; 1 byte: how many bytes of changes between reads follow; these; 92 bytes of header; 92 of
 * the backup's when there is one; the rest are the entries, for both.
 */
#include "calls.h"
#include "hostile.h"
#include "table.h"
#include <zlib.h>

#define HEADER_BYTES 92u
#define BUFFER_BYTES (4096u + GPT_TABLE_BYTES + 4096u)

static struct {
    uint8_t header[2][HEADER_BYTES]; /* primary, backup */
    const uint8_t *entries;
    size_t entries_size;
    uint64_t blocks;
    uint32_t block_bytes;
    bool failing;
} disk;
static uint8_t *memory;

static void put32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, 4);
}

static uint64_t get64(const uint8_t *from)
{
    uint64_t value;
    memcpy(&value, from, 8);
    return value;
}

/* What the disk has at a byte: headers in blocks 1 and last, entries from block 2 on, zeros elsewhere. */
static void read_bytes(uint64_t at, uint8_t *to, size_t size)
{
    uint64_t block = at / disk.block_bytes;
    memset(to, 0, size);
    if (block == 1 || block + 1 == disk.blocks) {
        const uint8_t *header = disk.header[block == 1 ? 0 : 1];
        memcpy(to, header, size < HEADER_BYTES ? size : HEADER_BYTES);
        return;
    }
    if (block < 2 || at - 2ull * disk.block_bytes >= disk.entries_size)
        return;
    uint64_t offset = at - 2ull * disk.block_bytes, left = disk.entries_size - offset;
    memcpy(to, disk.entries + offset, size < left ? size : left);
}

/* Instead of lib/common/block.c's. */
enum block_status block_client_transfer(struct block_client *client, struct block_request request,
                                        uint64_t *signals)
{
    uint64_t bytes = (uint64_t)request.count * BLOCK_SECTOR;
    (void)signals;
    HOLDS(request.operation == BLOCK_READ && request.count <= client->geometry.max_sectors);
    HOLDS(request.count <= client->geometry.sectors &&
          request.sector <= client->geometry.sectors - request.count);
    HOLDS(bytes <= BUFFER_BYTES && request.offset <= BUFFER_BYTES - bytes);
    if (disk.failing && request.sector > 8)
        return BLOCK_IO_ERROR;
    read_bytes(request.sector * BLOCK_SECTOR, memory + request.offset, bytes);
    return BLOCK_OK;
}

static void seal_table(uint8_t *header)
{
    uint32_t count, size;
    memcpy(&count, header + 80, 4);
    memcpy(&size, header + 84, 4);
    uint64_t bytes = (uint64_t)count * size;
    if (bytes > 4096)
        return;
    static uint8_t table[4096];
    read_bytes(get64(header + 72) % (1u << 20) * disk.block_bytes, table, bytes);
    put32(header + 88, (uint32_t)crc32(0, table, (uInt)bytes));
}

static void seal_header(uint8_t *header)
{
    put32(header + 16, 0);
    put32(header + 16, (uint32_t)crc32(0, header, HEADER_BYTES));
}

static void check_label(const char *label)
{
    size_t length = strnlen(label, GPT_LABEL_BYTES);
    HOLDS(length < GPT_LABEL_BYTES);
    for (size_t i = 0; i < length; i++)
        HOLDS((uint8_t)label[i] >= ' ' && label[i] != 0x7f);
}

static void check_partitions(const struct partition_table *table)
{
    struct gpt_partition partition;
    struct extent extent;
    for (uint32_t i = 0; i < table->header.entry_count; i++) {
        if (!gpt_partition_read(&table->header, table->entries, i, &partition))
            continue;
        check_label(partition.label);
        HOLDS(!partition.inside ||
              (partition.first <= partition.last && partition.last < disk.blocks));
        if (table_find(table, partition.label, &extent) != NULL)
            continue;
        HOLDS(extent.count != 0 && extent.count <= disk.blocks * table->block_sectors);
        HOLDS(extent.first <= disk.blocks * table->block_sectors - extent.count);
        HOLDS(extents_overlap(&extent, &extent));
    }
}

static struct input take_disk(struct input *input)
{
    uint8_t flags = input_8(input);
    disk.block_bytes = 512u << (flags & 3);
    disk.failing = (flags & 32) != 0;
    disk.blocks = input_16(input);
    struct input changes = input_part(input, input_8(input));
    for (unsigned copy = 0; copy < 2; copy++) {
        bool given = copy == 0 || (flags & 16);
        struct input header = given ? input_part(input, HEADER_BYTES) : input_of(NULL, 0);
        memset(disk.header[copy], 0, HEADER_BYTES);
        if (header.size != 0)
            memcpy(disk.header[copy], header.bytes, header.size);
    }
    struct input entries = input_part(input, SIZE_MAX);
    disk.entries = entries.bytes;
    disk.entries_size = entries.size;
    for (unsigned copy = 0; copy < 2; copy++) {
        if (flags & 8)
            seal_table(disk.header[copy]);
        if (flags & 4)
            seal_header(disk.header[copy]);
    }
    return changes;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct partition_table table;
    if (memory == NULL)
        memory = hostile_allocate(BUFFER_BYTES);
    struct input input = input_of(bytes, size);
    hostile_begin(input_of(NULL, 0));
    struct input changes = take_disk(&input);
    hostile_begin(changes);
    hostile_area(memory, BUFFER_BYTES);
    struct block_client client = {.geometry = {.sectors = disk.blocks * (disk.block_bytes / 512),
                                               .abilities = BLOCK_WHOLE_BLOCKS,
                                               .physical_block = disk.block_bytes,
                                               .max_sectors = 64,
                                               .name = "disk"}};
    struct block_buffer buffer = {memory, BUFFER_BYTES, 0};
    uint64_t signals = 0;
    struct extent extent;
    table_read(&table, &client, &buffer, 0, &signals);
    const char *wrong = table_find(&table, "data", &extent);
    HOLDS(wrong == NULL || strlen(wrong) <= 71);
    table_explain(&table, "disk", "data");
    if (table.problem == GPT_NONE)
        check_partitions(&table);
    return 0;
}
