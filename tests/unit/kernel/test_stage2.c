/*
 * Stage-2 tables against a naive model: one record per page of a small window of the guest-physical space. After every
 * random operation each page of the window must translate as the model says, and nothing outside of it may translate at all.
 */
#include "stage2.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define POOL_PAGES 512u
/* Around the border between two 1 GiB entries, so that all levels take part. */
#define WINDOW_BASE ((UINT64_C(1) << 30) - (UINT64_C(4) << 20))
#define WINDOW_PAGES 4096u
#define RESERVED_PAGE 2048u
#define RESERVED_PAGES 700u

static uint8_t *memory;

static struct page_pool fresh_pool(void)
{
    return (struct page_pool){memory, memory + POOL_PAGES * PAGE_SIZE};
}

struct model_page {
    bool mapped;
    uint64_t physical;
    uint32_t rights;
};

static struct model_page model[WINDOW_PAGES];

static uint64_t page_address(uint32_t page)
{
    return WINDOW_BASE + page * PAGE_SIZE;
}

static void compare(const struct stage2 *space)
{
    for (uint32_t i = 0; i < WINDOW_PAGES; i++) {
        paddr_t physical;
        uint32_t rights;
        bool mapped = stage2_lookup(space, ipaddr(page_address(i) + 0x123), &physical, &rights);
        assert_int_equal(mapped, model[i].mapped);
        if (mapped) {
            assert_int_equal(physical.value, model[i].physical + 0x123);
            assert_int_equal(rights, model[i].rights);
        }
    }
    paddr_t physical;
    uint32_t rights;
    assert_false(stage2_lookup(space, ipaddr(WINDOW_BASE - 1), &physical, &rights));
    assert_false(stage2_lookup(space, ipaddr(page_address(WINDOW_PAGES)), &physical, &rights));
    assert_false(stage2_lookup(space, ipaddr(UINT64_C(1) << 39), &physical, &rights));
}

static uint32_t random_rights(void)
{
    return QUOLL_READ | (rand() & 1 ? QUOLL_WRITE : 0) | (rand() & 1 ? QUOLL_EXECUTE : 0) |
           (rand() % 4 == 0 ? QUOLL_UNCACHED : 0);
}

/* Mostly aligned like the guest address, so that blocks happen. */
static uint64_t random_physical(uint64_t address)
{
    uint64_t physical = (uint64_t)(rand() % 1024) << 30;
    uint64_t page = (uint64_t)rand() % 512;
    if (rand() % 4 == 0)
        return physical + page * PAGE_SIZE;
    return physical + (address & ((UINT64_C(1) << 30) - 1));
}

static void model_set(uint32_t page, uint32_t pages, uint64_t physical, uint32_t rights)
{
    for (uint32_t i = 0; i < pages; i++)
        model[page + i] = (struct model_page){true, physical + i * PAGE_SIZE, rights};
}

static bool model_is_free(uint32_t page, uint32_t pages)
{
    for (uint32_t i = page; i < page + pages; i++) {
        if (model[i].mapped)
            return false;
    }
    return true;
}

static void random_map(struct stage2 *space, struct page_pool *pool)
{
    uint32_t page = (uint32_t)rand() % WINDOW_PAGES;
    uint32_t most = WINDOW_PAGES - page;
    uint32_t pages = 1 + (uint32_t)rand() % (rand() % 2 ? most : most > 16 ? 16 : most);
    if (rand() % 2)
        page = page / 512 * 512;
    uint64_t physical = random_physical(page_address(page));
    uint32_t rights = random_rights();
    enum stage2_result result = stage2_map(space, ipaddr(page_address(page)), paddr(physical),
                                           pages * PAGE_SIZE, rights, pool);
    if (!model_is_free(page, pages)) {
        assert_int_equal(result, STAGE2_OVERLAP);
        return;
    }
    assert_int_equal(result, STAGE2_OK);
    model_set(page, pages, physical, rights);
}

static void random_change(struct stage2 *space)
{
    uint32_t page = RESERVED_PAGE + (uint32_t)rand() % RESERVED_PAGES;
    uint32_t pages = 1 + (uint32_t)rand() % (RESERVED_PAGE + RESERVED_PAGES - page);
    uint64_t physical = random_physical(page_address(page));
    uint32_t rights = random_rights();
    ipaddr_t address = ipaddr(page_address(page));
    switch (rand() % 3) {
    case 0:
        stage2_set_pages(space, address, paddr(physical), pages * PAGE_SIZE, rights);
        model_set(page, pages, physical, rights);
        break;
    case 1:
        stage2_clear_pages(space, address, pages * PAGE_SIZE);
        for (uint32_t i = page; i < page + pages; i++)
            model[i].mapped = false;
        break;
    default:
        stage2_protect_pages(space, address, pages * PAGE_SIZE, rights);
        for (uint32_t i = page; i < page + pages; i++)
            model[i].rights = rights;
        break;
    }
}

static void agrees_with_a_naive_model(void **state)
{
    for (unsigned seed = 1; seed <= 60; seed++) {
        srand(seed);
        memset(model, 0, sizeof(model));
        struct page_pool pool = fresh_pool();
        struct stage2 space;
        assert_int_equal(stage2_create(&space, 7, &pool), STAGE2_OK);
        assert_int_equal(space.vmid, 7);
        assert_int_equal(stage2_reserve(&space, ipaddr(page_address(RESERVED_PAGE)),
                                        RESERVED_PAGES * PAGE_SIZE, &pool),
                         STAGE2_OK);
        for (int i = 0; i < 40; i++) {
            if (rand() % 2)
                random_map(&space, &pool);
            else
                random_change(&space);
            compare(&space);
        }
    }
}

static void large_ranges_take_few_tables(void **state)
{
    struct page_pool pool = fresh_pool();
    struct stage2 space;
    stage2_create(&space, 1, &pool);
    uint8_t *before = pool.next;
    uint64_t gib = UINT64_C(1) << 30;
    assert_int_equal(
        stage2_map(&space, ipaddr(4 * gib), paddr(2 * gib), 8 * gib, QUOLL_READ, &pool), STAGE2_OK);
    assert_ptr_equal(pool.next, before);
    assert_int_equal(
        stage2_map(&space, ipaddr(gib / 2), paddr(gib / 2), gib / 4, QUOLL_READ, &pool), STAGE2_OK);
    assert_ptr_equal(pool.next, before + PAGE_SIZE);
}

static void refuses_impossible_ranges(void **state)
{
    struct page_pool pool = fresh_pool();
    struct stage2 space;
    stage2_create(&space, 1, &pool);
    uint64_t top = UINT64_C(1) << 39;
#define BAD(address, physical, size)                                                               \
    assert_int_equal(                                                                              \
        stage2_map(&space, ipaddr(address), paddr(physical), size, QUOLL_READ, &pool),             \
        STAGE2_BAD_RANGE)
    BAD(0, 0, 0);
    BAD(1, 0, PAGE_SIZE);
    BAD(0, 1, PAGE_SIZE);
    BAD(0, 0, PAGE_SIZE + 1);
    BAD(top, 0, PAGE_SIZE);
    BAD(top - PAGE_SIZE, 0, 2 * PAGE_SIZE);
    BAD(0, UINT64_C(1) << 48, PAGE_SIZE);
    BAD(0, (UINT64_C(1) << 48) - PAGE_SIZE, 2 * PAGE_SIZE);
    BAD(PAGE_SIZE, 0, UINT64_MAX - PAGE_SIZE + 1);
#undef BAD
}

static void running_out_of_tables_is_an_answer(void **state)
{
    struct page_pool pool = {memory, memory + 2 * PAGE_SIZE};
    struct stage2 space;
    assert_int_equal(stage2_create(&space, 1, &pool), STAGE2_OK);
    assert_int_equal(stage2_map(&space, ipaddr(0), paddr(0), PAGE_SIZE, QUOLL_READ, &pool),
                     STAGE2_NO_MEMORY);
    struct page_pool empty = {memory, memory};
    assert_int_equal(stage2_create(&space, 1, &empty), STAGE2_NO_MEMORY);
}

static void changes_outside_a_reserved_range_do_nothing(void **state)
{
    struct page_pool pool = fresh_pool();
    struct stage2 space;
    stage2_create(&space, 1, &pool);
    stage2_set_pages(&space, ipaddr(0x5000), paddr(0x5000), PAGE_SIZE, QUOLL_READ);
    paddr_t physical;
    uint32_t rights;
    assert_false(stage2_lookup(&space, ipaddr(0x5000), &physical, &rights));
    stage2_clear_pages(&space, ipaddr(0x5000), PAGE_SIZE);
    stage2_protect_pages(&space, ipaddr(0x5000), PAGE_SIZE, QUOLL_READ);
}

static int set_up(void **state)
{
    memory = aligned_alloc(PAGE_SIZE, POOL_PAGES * PAGE_SIZE);
    return memory == NULL;
}

static int tear_down(void **state)
{
    free(memory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_naive_model),
        cmocka_unit_test(large_ranges_take_few_tables),
        cmocka_unit_test(refuses_impossible_ranges),
        cmocka_unit_test(running_out_of_tables_is_an_answer),
        cmocka_unit_test(changes_outside_a_reserved_range_do_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
