/* Ranges of physical addresses: what shares an address, up to the end of all of them. */
#include "ranges.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static bool share(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    const struct devicetree_range one = {a, a_size}, other = {b, b_size};
    bool result = ranges_overlap(&one, &other);
    assert_int_equal(ranges_overlap(&other, &one), result);
    return result;
}

static void ranges_that_touch_share_nothing(void **state)
{
    assert_false(share(0x1000, 0x1000, 0x2000, 0x1000));
    assert_true(share(0x1000, 0x1001, 0x2000, 0x1000));
    assert_true(share(0x1000, 0x3000, 0x2000, 0x1000));
    assert_true(share(0x1000, 0x1000, 0x1000, 0x1000));
    assert_false(share(0x1000, 0x1000, 0x1800, 0));
}

static void a_range_that_would_wrap_does_not(void **state)
{
    assert_true(share(0x4000, UINT64_MAX - 0xfff, 0x5000, 1));
    assert_true(share(UINT64_MAX, 1, UINT64_MAX - 1, 2));
    assert_false(share(UINT64_MAX, 1, 0, 1));
    assert_true(share(UINT64_MAX, UINT64_MAX, UINT64_MAX - 1, 2));
}

static void one_pair_that_overlaps_is_found_among_many(void **state)
{
    struct devicetree_range range[20];
    for (uint32_t i = 0; i < 20; i++)
        range[i] = (struct devicetree_range){(i * 7 % 20) * 0x1000u, 0x1000};
    assert_true(ranges_apart(range, 20));
    assert_true(ranges_clear(&range[3], range, 3));
    assert_false(ranges_clear(&range[3], range, 4));
    for (uint32_t i = 0; i < 20; i++) {
        bool last = range[i].base == 19 * 0x1000;
        range[i].size++;
        assert_int_equal(ranges_apart(range, 20), last);
        range[i].size--;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_that_touch_share_nothing),
        cmocka_unit_test(a_range_that_would_wrap_does_not),
        cmocka_unit_test(one_pair_that_overlaps_is_found_among_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
