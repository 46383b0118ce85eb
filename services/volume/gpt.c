/*
 * GUID partition tables; see gpt.h. Field offsets are those of UEFI 2.10, tables 5.5 (header) and 5.6 (entry).
 */
#include "gpt.h"
#include <string.h>

enum header_offset {
    HEADER_SIGNATURE = 0,
    HEADER_SIZE = 12,
    HEADER_CHECKSUM = 16,
    HEADER_MY_BLOCK = 24,
    HEADER_FIRST_USABLE = 40,
    HEADER_LAST_USABLE = 48,
    HEADER_TABLE = 72,
    HEADER_ENTRY_COUNT = 80,
    HEADER_ENTRY_SIZE = 84,
    HEADER_TABLE_CHECKSUM = 88,
    HEADER_MINIMUM_BYTES = 92,
    HEADER_MAXIMUM_BYTES = 512,
};

enum entry_offset {
    ENTRY_TYPE = 0,
    ENTRY_FIRST = 32,
    ENTRY_LAST = 40,
    ENTRY_LABEL = 56,
    ENTRY_MINIMUM_BYTES = 128,
};

//@ requires problem < GPT_PROBLEM_COUNT;
const char *gpt_problem_text(enum gpt_problem problem)
{
    static const char *const text[GPT_PROBLEM_COUNT] = {
#define PROBLEM(name, words) [GPT_##name] = words,
        GPT_PROBLEMS(PROBLEM)
#undef PROBLEM
    };
    return text[problem];
}

/*@ requires \valid_read(bytes + (0 .. 1));
    assigns \nothing;
    ensures \result == bytes[0] + 256 * bytes[1]; */
static uint32_t get16(const uint8_t *bytes)
{
    return bytes[0] + 256u * bytes[1];
}

/*@ requires \valid_read(bytes + (0 .. 3));
    assigns \nothing; */
static uint32_t get32(const uint8_t *bytes)
{
    return get16(bytes) | get16(bytes + 2) << 16;
}

/*@ requires \valid_read(bytes + (0 .. 7));
    assigns \nothing; */
static uint64_t get64(const uint8_t *bytes)
{
    return get32(bytes) | (uint64_t)get32(bytes + 4) << 32;
}

/*@ requires \valid_read(bytes + (0 .. size - 1));
    assigns \nothing; */
static uint32_t checksum_continue(uint32_t crc, const uint8_t *bytes, size_t size)
{
    /*@ loop invariant i <= size;
        loop assigns i, crc;
        loop variant size - i; */
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        /*@ loop invariant 0 <= bit <= 8;
            loop assigns bit, crc;
            loop variant 8 - bit; */
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
    }
    return crc;
}

/*@ requires \valid_read(bytes + (0 .. size - 1));
    assigns \nothing; */
uint32_t gpt_checksum(const uint8_t *bytes, size_t size)
{
    return ~checksum_continue(~0u, bytes, size);
}

/* The header's checksum is taken with its own field as zero. */
/*@ requires 92 <= size <= 512 && \valid_read(bytes + (0 .. size - 1));
    assigns \nothing; */
static uint32_t header_checksum(const uint8_t *bytes, size_t size)
{
    static const uint8_t zeros[4];
    uint32_t crc = checksum_continue(~0u, bytes, HEADER_CHECKSUM);
    crc = checksum_continue(crc, zeros, sizeof(zeros));
    size_t rest = HEADER_CHECKSUM + sizeof(zeros);
    return ~checksum_continue(crc, bytes + rest, size - rest);
}

/*@ predicate has_possible_sizes(struct gpt_header *header) =
      128 <= header->entry_size <= GPT_TABLE_BYTES && 0 < header->entry_count &&
      header->entry_count * header->entry_size <= GPT_TABLE_BYTES; */

/*@ requires \valid_read(header);
    assigns \nothing;
    ensures \result == GPT_NONE ==> has_possible_sizes(header); */
static enum gpt_problem check_sizes(const struct gpt_header *header)
{
    uint32_t size = header->entry_size;
    if (size < ENTRY_MINIMUM_BYTES || size > GPT_TABLE_BYTES || (size & (size - 1)) != 0)
        return GPT_BAD_TABLE_SIZE;
    if (header->entry_count == 0 || header->entry_count > GPT_TABLE_BYTES / size)
        return GPT_BAD_TABLE_SIZE;
    return GPT_NONE;
}

/* Header and table must lie outside the usable blocks, and everything on the disk. */
/*@ requires \valid_read(header) && has_possible_sizes(header) && 512 <= block_size <= 65536;
    assigns \nothing;
    ensures \result == GPT_NONE ==> header->first_usable <= header->last_usable < blocks; */
static enum gpt_problem check_places(const struct gpt_header *header, uint64_t block_size,
                                     uint64_t blocks)
{
    uint64_t table_blocks = (gpt_table_size(header) + block_size - 1) / block_size;
    if (header->first_usable > header->last_usable || header->last_usable >= blocks)
        return GPT_OTHER_DISK;
    if (header->first_usable < 2 || header->table < 2 || header->table >= blocks ||
        table_blocks > blocks - header->table)
        return GPT_OTHER_DISK;
    bool before = header->table + table_blocks <= header->first_usable;
    bool after = header->table > header->last_usable;
    return before || after ? GPT_NONE : GPT_OTHER_DISK;
}

/*@ requires \valid_read(bytes + (0 .. size - 1)) && size <= 65536 && \valid(header);
    requires \separated(bytes + (0 .. size - 1), header);
    assigns *header;
    ensures \result == GPT_NONE ==> has_possible_sizes(header) && header->last_usable < blocks; */
enum gpt_problem gpt_header_read(const uint8_t *bytes, size_t size, uint64_t block, uint64_t blocks,
                                 struct gpt_header *header)
{
    static const uint8_t signature[8] = {'E', 'F', 'I', ' ', 'P', 'A', 'R', 'T'};
    if (size < HEADER_MAXIMUM_BYTES ||
        memcmp(bytes + HEADER_SIGNATURE, signature, sizeof(signature)) != 0)
        return GPT_NO_SIGNATURE;
    uint32_t header_size = get32(bytes + HEADER_SIZE);
    if (header_size < HEADER_MINIMUM_BYTES || header_size > HEADER_MAXIMUM_BYTES)
        return GPT_BAD_HEADER;
    if (header_checksum(bytes, header_size) != get32(bytes + HEADER_CHECKSUM))
        return GPT_BAD_HEADER;
    if (get64(bytes + HEADER_MY_BLOCK) != block)
        return GPT_OTHER_DISK;
    *header = (struct gpt_header){
        .first_usable = get64(bytes + HEADER_FIRST_USABLE),
        .last_usable = get64(bytes + HEADER_LAST_USABLE),
        .table = get64(bytes + HEADER_TABLE),
        .entry_count = get32(bytes + HEADER_ENTRY_COUNT),
        .entry_size = get32(bytes + HEADER_ENTRY_SIZE),
        .table_checksum = get32(bytes + HEADER_TABLE_CHECKSUM),
    };
    enum gpt_problem problem = check_sizes(header);
    return problem != GPT_NONE ? problem : check_places(header, size, blocks);
}

/*@ requires \valid_read(header);
    assigns \nothing;
    ensures \result == header->entry_count * header->entry_size; */
size_t gpt_table_size(const struct gpt_header *header)
{
    return (size_t)header->entry_count * header->entry_size;
}

/*@ requires \valid_read(header) && has_possible_sizes(header);
    requires \valid_read(table + (0 .. header->entry_count * header->entry_size - 1));
    assigns \nothing; */
enum gpt_problem gpt_table_check(const struct gpt_header *header, const uint8_t *table)
{
    uint32_t checksum = gpt_checksum(table, gpt_table_size(header));
    return checksum == header->table_checksum ? GPT_NONE : GPT_BAD_TABLE;
}

/* Writes one character as UTF-8, at most four bytes; returns how many. */
/*@ requires \valid(to + (0 .. 3)) && c < 0x110000;
    assigns to[0 .. 3];
    ensures 1 <= \result <= 4 && (c < 0x10000 ==> \result <= 3); */
static size_t put_character(char *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    static const uint8_t lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    /*@ loop invariant i <= length - 1;
        loop assigns i, c, to[1 .. 3];
        loop variant i; */
    for (size_t i = length - 1; i > 0; i--) {
        to[i] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    to[0] = (char)(lead[length] | c);
    return length;
}

/*@ assigns \nothing;
    ensures \result <==> 0xd800 <= unit < 0xdc00; */
static bool is_high_surrogate(uint32_t unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

/*@ assigns \nothing;
    ensures \result <==> 0xdc00 <= unit < 0xe000; */
static bool is_low_surrogate(uint32_t unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

/* What a terminal could obey, and what is no character, becomes a question mark. */
/*@ requires \valid_read(units + (0 .. 2 * GPT_LABEL_UNITS - 1)) && \valid(label + (0 .. GPT_LABEL_BYTES - 1));
    requires \separated(units + (0 .. 2 * GPT_LABEL_UNITS - 1), label + (0 .. GPT_LABEL_BYTES - 1));
    assigns label[0 .. GPT_LABEL_BYTES - 1];
    ensures \exists integer n; 0 <= n < GPT_LABEL_BYTES && label[n] == 0; */
static void read_label(const uint8_t *units, char label[GPT_LABEL_BYTES])
{
    size_t length = 0;
    /*@ loop invariant i <= GPT_LABEL_UNITS && length <= 3 * i;
        loop assigns i, length, label[0 .. GPT_LABEL_BYTES - 1];
        loop variant GPT_LABEL_UNITS - i; */
    for (size_t i = 0; i < GPT_LABEL_UNITS; i++) {
        uint32_t c = get16(units + 2 * i);
        if (c == 0)
            break;
        /* once: the disk's driver may change what was read at any time */
        uint32_t low = i + 1 < GPT_LABEL_UNITS ? get16(units + 2 * i + 2) : 0;
        if (is_high_surrogate(c) && is_low_surrogate(low)) {
            c = 0x10000 + (c - 0xd800) * 0x400 + (low - 0xdc00);
            i++;
        } else if (is_high_surrogate(c) || is_low_surrogate(c) || c < ' ' ||
                   (c >= 0x7f && c < 0xa0)) {
            c = '?';
        }
        length += put_character(label + length, c);
    }
    label[length] = '\0';
}

_Static_assert(GPT_LABEL_UNITS * 3 < GPT_LABEL_BYTES,
               "three bytes for each unit, two units for four bytes");

/*@ requires \valid_read(header) && has_possible_sizes(header) && index < header->entry_count;
    requires \valid_read(table + (0 .. header->entry_count * header->entry_size - 1)) && \valid(partition);
    requires \separated(partition, header, table + (0 .. header->entry_count * header->entry_size - 1));
    assigns *partition;
    ensures \result && partition->inside ==>
      header->first_usable <= partition->first <= partition->last <= header->last_usable; */
bool gpt_partition_read(const struct gpt_header *header, const uint8_t *table, uint32_t index,
                        struct gpt_partition *partition)
{
    static const uint8_t unused[16];
    //@ assert (index + 1) * header->entry_size <= header->entry_count * header->entry_size;
    const uint8_t *entry = table + (size_t)index * header->entry_size;
    if (memcmp(entry + ENTRY_TYPE, unused, sizeof(unused)) == 0)
        return false;
    partition->first = get64(entry + ENTRY_FIRST);
    partition->last = get64(entry + ENTRY_LAST);
    partition->inside = partition->first <= partition->last &&
                        partition->first >= header->first_usable &&
                        partition->last <= header->last_usable;
    read_label(entry + ENTRY_LABEL, partition->label);
    return true;
}
