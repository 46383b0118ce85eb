/*
 * What RapiLog finds in its memory after its own restart and after a reset of the machine (kept.h): what passes its checks is
 * there to be read, and nothing else is.
 */
#include "buffer.h"
#include "kept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define SLOTS 16u
#define BUCKETS 16u
#define BLOCKS 8u /* of the volume that is written to */

static struct buffer buffer;
static struct buffer_slot slots[SLOTS];
static uint32_t buckets[BUCKETS];
static uint8_t data[SLOTS * BUFFER_BLOCK];

static void begin(void)
{
    buffer_init(&buffer, slots, SLOTS, buckets, BUCKETS, data);
    buffer.sums = true;
    buffer_bound(&buffer, SLOTS, UINT64_C(1) << 40, 1, 1);
}

static int set_up(void **state)
{
    memset(slots, 0, sizeof(slots));
    memset(data, 0, sizeof(data));
    begin();
    return 0;
}

static void write_sectors(uint64_t sector, uint32_t count, uint8_t byte)
{
    uint8_t bytes[BLOCKS * BUFFER_BLOCK];
    memset(bytes, byte, sizeof(bytes));
    uint64_t number = buffer_write_number(&buffer, 0);
    assert_int_equal(buffer_write(&buffer, 0, number, sector, count, bytes, true), count);
}

static void make_all_sums(void)
{
    while (kept_make_sums(&buffer, 1))
        continue;
}

static struct kept_account begin_anew(enum kept_past past)
{
    const struct kept_search search = {.past = past, .volumes = 1};
    begin();
    const struct kept_account account = kept_find(&buffer, &search);
    kept_adopt(&buffer);
    return account;
}

static void expect_held(uint64_t sector, uint8_t byte)
{
    uint8_t bytes[BUFFER_SECTOR];
    bool held;
    assert_int_equal(buffer_read(&buffer, 0, sector, 1, bytes, &held), 1);
    assert_true(held);
    for (uint32_t i = 0; i < BUFFER_SECTOR; i++)
        assert_int_equal(bytes[i], byte);
}

static void expect_not_held(uint64_t sector)
{
    uint8_t bytes[BUFFER_SECTOR];
    bool held;
    assert_int_equal(buffer_read(&buffer, 0, sector, 1, bytes, &held), 1);
    assert_false(held);
}

static void what_passes_its_checks_is_found_after_a_reset(void **state)
{
    write_sectors(0, 8, 0x11);
    write_sectors(12, 6, 0x22); /* two blocks, a part of each */
    make_all_sums();
    const struct kept_account account = begin_anew(KEPT_RESET);
    assert_int_equal(account.found, 3);
    assert_int_equal(account.refused + account.damaged, 0);
    expect_held(7, 0x11);
    expect_not_held(8);
    expect_held(12, 0x22);
    expect_held(17, 0x22);
    expect_not_held(18);
    /* and again, without another write */
    assert_int_equal(begin_anew(KEPT_RESET).found, 3);
}

static void one_wrong_bit_of_data_is_refused_after_a_reset(void **state)
{
    write_sectors(0, 8, 0x11);
    write_sectors(8, 8, 0x22);
    make_all_sums();
    data[100] ^= 4;
    const struct kept_account account = begin_anew(KEPT_RESET);
    assert_int_equal(account.found, 1);
    assert_int_equal(account.refused, 1);
    assert_int_equal(account.unsummed, 0);
    expect_not_held(0);
    expect_held(8, 0x22);
}

static void every_wrong_bit_of_a_record_is_found(void **state)
{
    write_sectors(0, 8, 0x11);
    make_all_sums();
    for (uint32_t bit = 0; bit < 64; bit++) {
        struct buffer_slot before[SLOTS];
        memcpy(before, slots, sizeof(slots));
        slots[0].kept ^= UINT64_C(1) << bit;
        struct kept_account account = begin_anew(KEPT_RESET);
        assert_int_equal(account.found, 0);
        assert_int_equal(account.damaged, 1);
        memcpy(slots, before, sizeof(slots));
        slots[0].block ^= UINT64_C(1) << bit;
        account = begin_anew(KEPT_RESET);
        assert_int_equal(account.found, 0);
        memcpy(slots, before, sizeof(slots));
    }
}

static void a_record_of_another_slot_is_no_record(void **state)
{
    write_sectors(0, 8, 0x11);
    make_all_sums();
    slots[1] = slots[0];
    memcpy(data + BUFFER_BLOCK, data, BUFFER_BLOCK);
    const struct kept_account account = begin_anew(KEPT_RESET);
    assert_int_equal(account.found, 1);
    assert_int_equal(account.damaged, 1);
}

static void what_has_no_checksum_yet_is_refused_after_a_reset_and_told(void **state)
{
    write_sectors(0, 8, 0x11);
    make_all_sums();
    write_sectors(3, 1, 0x22); /* takes it away again */
    write_sectors(8, 8, 0x33);
    const struct kept_account account = begin_anew(KEPT_RESET);
    assert_int_equal(account.found, 0);
    assert_int_equal(account.refused, 2);
    assert_int_equal(account.unsummed, 2);
    expect_not_held(0);
}

static void after_a_restart_of_rapilog_alone_nothing_needs_a_checksum(void **state)
{
    write_sectors(0, 8, 0x11);
    const struct kept_account account = begin_anew(KEPT_RESTARTED);
    assert_int_equal(account.found, 1);
    expect_held(0, 0x11);
    make_all_sums(); /* it gets one now */
    assert_int_equal(begin_anew(KEPT_RESET).found, 1);
}

/* An ordered domain adopts what it has found only when it has read its dump area, which takes a while. */
static void what_is_found_gets_its_checksum_before_it_is_adopted(void **state)
{
    const struct kept_search search = {.past = KEPT_RESTARTED, .volumes = 1};
    write_sectors(0, 8, 0x11);
    begin();
    assert_int_equal(kept_find(&buffer, &search).found, 1);
    make_all_sums();
    assert_int_equal(begin_anew(KEPT_RESET).found, 1);
}

static void the_first_life_finds_nothing_whatever_is_there(void **state)
{
    write_sectors(0, 8, 0x11);
    make_all_sums();
    assert_int_equal(begin_anew(KEPT_NOTHING).found, 0);
    expect_not_held(0);
    assert_int_equal(begin_anew(KEPT_RESET).found, 0); /* it is forgotten for good */
}

static void two_versions_of_a_block_become_one_with_a_checksum_of_its_own(void **state)
{
    write_sectors(0, 8, 0x11);
    assert_true(buffer_seal(&buffer, 0, 1));
    write_sectors(2, 2, 0x22);
    make_all_sums();
    assert_int_equal(begin_anew(KEPT_RESET).found, 2);
    expect_held(1, 0x11);
    expect_held(2, 0x22);
    assert_int_equal(begin_anew(KEPT_RESET).refused, 1); /* none yet */
}

/* Whatever becomes of slots: once all checksums are made, they are right. */
static void checksums_follow_the_slots(void **state)
{
    uint32_t random = 1;
    for (uint32_t step = 0; step < 20000; step++) {
        random = random * 1664525u + 1013904223u;
        uint32_t what = random >> 28, sector = random >> 8 & (BLOCKS * BUFFER_BLOCK_SECTORS - 1);
        struct buffer_run run;
        struct buffer_fate fate;
        if (what < 6 && buffer.slots + 2 < SLOTS)
            write_sectors(sector, 1 + (sector < 60 ? random >> 20 & 3 : 0), (uint8_t)(step | 1));
        else if (what < 8)
            (void)(buffer_seal(&buffer, 0, 1) || buffer_seal_failed(&buffer, 0));
        else if (what < 10)
            while (buffer_next_run(&buffer, 0, 8, &run))
                buffer_run_done(&buffer, &run, (random >> 16 & 7) != 0);
        else if (what < 12 && buffer_flush_begin(&buffer, 0))
            while (buffer_flush_end(&buffer, 0, (random >> 16 & 3) != 0, &fate))
                continue;
        else if (what == 12)
            (void)kept_make_sums(&buffer, 2);
        else if (what == 13 && (random >> 16 & 15) == 0)
            (void)begin_anew(KEPT_RESTARTED);
        if ((random >> 12 & 63) != 0)
            continue;
        make_all_sums();
        const struct kept_search search = {.past = KEPT_RESET, .volumes = 1};
        const struct kept_account account = kept_inspect(&buffer, &search);
        assert_int_equal(account.refused + account.damaged, 0);
    }
}

static void a_header_of_another_layout_or_with_a_wrong_bit_is_none(void **state)
{
    struct kept_header header = {0};
    assert_false(kept_header_sound(&header, 5));
    kept_header_write(&header, 5);
    assert_true(kept_header_sound(&header, 5));
    assert_false(kept_header_sound(&header, 6));
    for (uint32_t bit = 0; bit < 8 * offsetof(struct kept_header, dumped); bit++) {
        uint8_t *byte = (uint8_t *)&header + bit / 8;
        *byte = (uint8_t)(*byte ^ 1u << bit % 8);
        assert_false(kept_header_sound(&header, 5));
        *byte = (uint8_t)(*byte ^ 1u << bit % 8);
    }
    kept_note_dumped(&header, 77);
    assert_int_equal(kept_dumped(&header), 77);
    header.dumped ^= UINT64_C(1) << 20;
    assert_int_equal(kept_dumped(&header), UINT64_MAX);
}

static void drain_all(void)
{
    struct buffer_run run;
    struct buffer_fate fate;
    while (buffer_next_run(&buffer, 0, 8, &run))
        buffer_run_done(&buffer, &run, true);
    assert_true(buffer_flush_begin(&buffer, 0));
    while (buffer_flush_end(&buffer, 0, true, &fate))
        continue;
}

/* When the mains fail, what is open joins the epoch that has been written, which may have the block already, in a slot with a higher number. */
static void what_joins_an_epoch_is_newer_than_what_it_has(void **state)
{
    uint8_t bytes[BUFFER_SECTOR];
    struct buffer_run run;
    bool held;
    for (uint32_t i = 0; i < SLOTS - 1; i++) {
        write_sectors(8, 1, 1);
        assert_true(buffer_seal(&buffer, 0, 1));
        drain_all();
    }
    write_sectors(0, 1, 2);
    assert_true(buffer_seal(&buffer, 0, 1));
    while (buffer_next_run(&buffer, 0, 8, &run))
        buffer_run_done(&buffer, &run, true);
    write_sectors(0, 1, 3);
    assert_true(buffer_extend(&buffer, 0));
    assert_int_equal(begin_anew(KEPT_RESTARTED).found, 2);
    assert_int_equal(buffer_read(&buffer, 0, 0, 1, bytes, &held), 1);
    assert_true(held);
    assert_int_equal(bytes[0], 3);
}

/* A life that ends between two stores would take a sound header, and all that it stands for, with it. */
static void a_sound_header_is_not_written_again(void **state)
{
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    struct kept_header *header =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(header, MAP_FAILED);
    kept_header_write(header, 5);
    assert_int_equal(mprotect(header, size, PROT_READ), 0);
    kept_header_write(header, 5);
    assert_true(kept_header_sound(header, 5));
    assert_int_equal(munmap(header, size), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(what_passes_its_checks_is_found_after_a_reset),
        TEST(one_wrong_bit_of_data_is_refused_after_a_reset),
        TEST(every_wrong_bit_of_a_record_is_found),
        TEST(a_record_of_another_slot_is_no_record),
        TEST(what_has_no_checksum_yet_is_refused_after_a_reset_and_told),
        TEST(after_a_restart_of_rapilog_alone_nothing_needs_a_checksum),
        TEST(what_is_found_gets_its_checksum_before_it_is_adopted),
        TEST(the_first_life_finds_nothing_whatever_is_there),
        TEST(two_versions_of_a_block_become_one_with_a_checksum_of_its_own),
        TEST(checksums_follow_the_slots),
        TEST(a_header_of_another_layout_or_with_a_wrong_bit_is_none),
        TEST(what_joins_an_epoch_is_newer_than_what_it_has),
        TEST(a_sound_header_is_not_written_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
