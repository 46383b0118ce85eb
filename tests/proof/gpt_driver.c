/* EVA: the partition table reader on any bytes, of any disk. */
#include "gpt.h"

#include <__fc_builtin.h>

static uint8_t block[4096], table[GPT_TABLE_BYTES];

int main(void)
{
    struct gpt_header header;
    struct gpt_partition partition;
    Frama_C_make_unknown((char *)block, sizeof(block));
    Frama_C_make_unknown((char *)table, sizeof(table));
    size_t size = Frama_C_nondet(0, 1) ? 512 : 4096;
    uint64_t number = Frama_C_unsigned_long_interval(0, UINT64_MAX);
    uint64_t blocks = Frama_C_unsigned_long_interval(0, UINT64_MAX);
    if (gpt_header_read(block, size, number, blocks, &header) != GPT_NONE)
        return 0;
    if (gpt_table_check(&header, table) != GPT_NONE)
        return 0;
    uint32_t index = Frama_C_unsigned_int_interval(0, UINT32_MAX);
    if (index < header.entry_count && gpt_partition_read(&header, table, index, &partition))
        return partition.inside;
    return 0;
}
