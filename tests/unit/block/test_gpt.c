/*
 * Partition tables: built here, made by sgdisk (the reference, when it is installed), and damaged in every byte.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../../services/volume/gpt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 512, ENTRY_BYTES = 128 };

struct table {
    uint64_t blocks;
    uint8_t header[BLOCK];
    uint8_t entries[GPT_TABLE_BYTES];
    uint32_t count;
};

static void put(uint8_t *to, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static void seal(struct table *t)
{
    uint32_t size = t->count <= 4096 ? t->count * ENTRY_BYTES : 0;
    if (size <= sizeof(t->entries))
        put(t->header + 88, gpt_checksum(t->entries, size), 4);
    put(t->header + 16, 0, 4);
    put(t->header + 16, gpt_checksum(t->header, 92), 4);
}

static void build(struct table *t)
{
    memset(t, 0, sizeof(*t));
    t->blocks = 1000;
    t->count = 128;
    memcpy(t->header, "EFI PART", 8);
    put(t->header + 8, 0x10000, 4);
    put(t->header + 12, 92, 4);
    put(t->header + 24, 1, 8);
    put(t->header + 32, t->blocks - 1, 8);
    put(t->header + 40, 34, 8);
    put(t->header + 48, t->blocks - 34, 8);
    put(t->header + 72, 2, 8);
    put(t->header + 80, t->count, 4);
    put(t->header + 84, ENTRY_BYTES, 4);
}

static void add(struct table *t, uint32_t index, uint64_t first, uint64_t last,
                const uint16_t *label, size_t units)
{
    uint8_t *entry = t->entries + index * ENTRY_BYTES;
    entry[0] = 0x42;
    put(entry + 32, first, 8);
    put(entry + 40, last, 8);
    for (size_t i = 0; i < units; i++)
        put(entry + 56 + 2 * i, label[i], 2);
}

static enum gpt_problem read_header(const struct table *t, struct gpt_header *header)
{
    return gpt_header_read(t->header, BLOCK, 1, t->blocks, header);
}

static void the_checksum_is_that_of_ieee_802_3(void **state)
{
    assert_int_equal(gpt_checksum((const uint8_t *)"123456789", 9), 0xcbf43926);
}

static void a_partition_is_found_with_its_label_and_place(void **state)
{
    struct table t;
    struct gpt_header header;
    struct gpt_partition partition;
    build(&t);
    add(&t, 3, 100, 199, u"wal", 3);
    seal(&t);
    assert_int_equal(read_header(&t, &header), GPT_NONE);
    assert_int_equal(gpt_table_size(&header), 16384);
    assert_int_equal(gpt_table_check(&header, t.entries), GPT_NONE);
    assert_false(gpt_partition_read(&header, t.entries, 0, &partition));
    assert_true(gpt_partition_read(&header, t.entries, 3, &partition));
    assert_string_equal(partition.label, "wal");
    assert_int_equal(partition.first, 100);
    assert_int_equal(partition.last, 199);
    assert_true(partition.inside);
}

static void labels_become_utf8_without_what_terminals_obey(void **state)
{
    struct table t;
    struct gpt_header header;
    struct gpt_partition partition;
    uint16_t longest[36];
    for (int i = 0; i < 36; i++)
        longest[i] = 0x20ac; /* three bytes each */
    build(&t);
    add(&t, 0, 100, 100, u"K\u00e4se \u20ac \U0001f9c0", 9);
    add(&t, 1, 101, 101, (const uint16_t[]){'a', 0x1b, 0x9b, 0xd800, 'b'}, 5);
    add(&t, 2, 102, 102, longest, 36);
    seal(&t);
    assert_int_equal(read_header(&t, &header), GPT_NONE);
    gpt_partition_read(&header, t.entries, 0, &partition);
    assert_string_equal(partition.label, "K\u00e4se \u20ac \U0001f9c0");
    gpt_partition_read(&header, t.entries, 1, &partition);
    assert_string_equal(partition.label, "a???b");
    gpt_partition_read(&header, t.entries, 2, &partition);
    assert_int_equal(strlen(partition.label), 108);
}

static void partitions_outside_the_usable_blocks_are_told(void **state)
{
    static const uint64_t places[][2] = {
        {33, 50}, {50, 49}, {900, 967}, {0, UINT64_MAX}, {UINT64_MAX, UINT64_MAX}, {1, 1}};
    struct table t;
    struct gpt_header header;
    struct gpt_partition partition;
    build(&t);
    for (uint32_t i = 0; i < 6; i++)
        add(&t, i, places[i][0], places[i][1], u"x", 1);
    seal(&t);
    assert_int_equal(read_header(&t, &header), GPT_NONE);
    for (uint32_t i = 0; i < 6; i++) {
        assert_true(gpt_partition_read(&header, t.entries, i, &partition));
        assert_false(partition.inside);
    }
}

static void impossible_headers_are_refused(void **state)
{
    static const struct {
        uint32_t offset, bytes;
        uint64_t value;
        enum gpt_problem problem;
    } cases[] = {
        {0, 1, 'e', GPT_NO_SIGNATURE},
        {12, 4, 91, GPT_BAD_HEADER},
        {12, 4, 513, GPT_BAD_HEADER},
        {12, 4, UINT32_MAX, GPT_BAD_HEADER},
        {24, 8, 2, GPT_OTHER_DISK},
        {40, 8, 1, GPT_OTHER_DISK},
        {40, 8, 990, GPT_OTHER_DISK},
        {48, 8, 1000, GPT_OTHER_DISK},
        {48, 8, UINT64_MAX, GPT_OTHER_DISK},
        {72, 8, 1, GPT_OTHER_DISK},
        {72, 8, 100, GPT_OTHER_DISK},
        {72, 8, 999, GPT_OTHER_DISK},
        {72, 8, UINT64_MAX, GPT_OTHER_DISK},
        {80, 4, 0, GPT_BAD_TABLE_SIZE},
        {80, 4, UINT32_MAX, GPT_BAD_TABLE_SIZE},
        {80, 4, 449, GPT_BAD_TABLE_SIZE},
        {84, 4, 0, GPT_BAD_TABLE_SIZE},
        {84, 4, 64, GPT_BAD_TABLE_SIZE},
        {84, 4, 129, GPT_BAD_TABLE_SIZE},
        {84, 4, 1u << 31, GPT_BAD_TABLE_SIZE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct table t;
        struct gpt_header header;
        build(&t);
        put(t.header + cases[i].offset, cases[i].value, cases[i].bytes);
        seal(&t); /* the checksum is right: only the content is not */
        enum gpt_problem problem = read_header(&t, &header);
        if (problem != cases[i].problem)
            fail_msg("offset %u value %llu: %s", cases[i].offset,
                     (unsigned long long)cases[i].value, gpt_problem_text(problem));
    }
}

static void damage_to_any_bit_is_noticed(void **state)
{
    struct table t;
    struct gpt_header header;
    build(&t);
    add(&t, 0, 100, 199, u"root", 4);
    seal(&t);
    for (uint32_t bit = 0; bit < 92 * 8; bit++) {
        t.header[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(read_header(&t, &header), GPT_NONE);
        t.header[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(read_header(&t, &header), GPT_NONE);
    for (uint32_t byte = 0; byte < 16384; byte += 61) {
        t.entries[byte] ^= 0x10;
        assert_int_equal(gpt_table_check(&header, t.entries), GPT_BAD_TABLE);
        t.entries[byte] ^= 0x10;
    }
    assert_int_equal(gpt_table_check(&header, t.entries), GPT_NONE);
}

/* Random contents with valid checksums: nothing may be read outside what was given (the sanitizers watch). */
static void random_tables_are_survived(void **state)
{
    srandom(1);
    uint32_t accepted = 0;
    for (int round = 0; round < 3000; round++) {
        struct table t;
        struct gpt_header header;
        struct gpt_partition partition;
        build(&t);
        for (int i = 0; i < 3; i++)
            put(t.header + 40 + random() % 52, (uint64_t)random() << (random() % 40),
                1 + (size_t)random() % 4);
        for (int i = 0; i < 2000; i++)
            t.entries[random() % 16384] = (uint8_t)random();
        put(t.header + 16, 0, 4);
        put(t.header + 16, gpt_checksum(t.header, 92), 4);
        if (read_header(&t, &header) != GPT_NONE)
            continue;
        accepted++;
        uint8_t *entries = malloc(gpt_table_size(&header));
        memcpy(entries, t.entries, gpt_table_size(&header));
        gpt_table_check(&header, entries);
        for (uint32_t i = 0; i < header.entry_count; i++)
            if (gpt_partition_read(&header, entries, i, &partition))
                assert_true(strlen(partition.label) < sizeof(partition.label));
        free(entries);
    }
    assert_true(accepted > 0);
}

static void a_table_made_by_sgdisk_is_understood(void **state)
{
    char path[] = "/tmp/test_gpt.XXXXXX", command[300];
    struct gpt_header header;
    struct gpt_partition partition;
    static uint8_t disk[40 * BLOCK];
    int file = mkstemp(path);
    assert_true(file >= 0 && ftruncate(file, 8 << 20) == 0);
    snprintf(command, sizeof(command),
             "PATH=$PATH:/sbin:/usr/sbin; sgdisk -n 1:2048:+1M -c 1:root -n 2:0:0 -c 2:wal %s "
             ">/dev/null 2>&1",
             path);
    if (system(command) != 0) {
        close(file);
        unlink(path);
        skip();
    }
    assert_int_equal(pread(file, disk, sizeof(disk), 0), sizeof(disk));
    assert_int_equal(gpt_header_read(disk + BLOCK, BLOCK, 1, 16384, &header), GPT_NONE);
    assert_int_equal(header.table, 2);
    assert_int_equal(gpt_table_check(&header, disk + 2 * BLOCK), GPT_NONE);
    assert_true(gpt_partition_read(&header, disk + 2 * BLOCK, 0, &partition));
    assert_string_equal(partition.label, "root");
    assert_int_equal(partition.first, 2048);
    assert_int_equal(partition.last, 4095);
    assert_true(gpt_partition_read(&header, disk + 2 * BLOCK, 1, &partition));
    assert_string_equal(partition.label, "wal");
    assert_true(partition.inside);
    assert_false(gpt_partition_read(&header, disk + 2 * BLOCK, 2, &partition));

    assert_int_equal(pread(file, disk, BLOCK, 16383 * BLOCK), BLOCK);
    assert_int_equal(gpt_header_read(disk, BLOCK, 16383, 16384, &header), GPT_NONE);
    close(file);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_that_of_ieee_802_3),
        cmocka_unit_test(a_partition_is_found_with_its_label_and_place),
        cmocka_unit_test(labels_become_utf8_without_what_terminals_obey),
        cmocka_unit_test(partitions_outside_the_usable_blocks_are_told),
        cmocka_unit_test(impossible_headers_are_refused),
        cmocka_unit_test(damage_to_any_bit_is_noticed),
        cmocka_unit_test(random_tables_are_survived),
        cmocka_unit_test(a_table_made_by_sgdisk_is_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
