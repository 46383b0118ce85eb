/* The formatter prints what printf prints, for the conversions that it knows. */
#include <quoll/text.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define SAME(...)                                                                                  \
    do {                                                                                           \
        char ours[128], theirs[128];                                                               \
        size_t length = text_format(ours, sizeof(ours), __VA_ARGS__);                              \
        snprintf(theirs, sizeof(theirs), __VA_ARGS__);                                             \
        assert_string_equal(ours, theirs);                                                         \
        assert_int_equal(length, strlen(ours));                                                    \
    } while (0)

static void formats_like_printf(void **state)
{
    SAME("plain 100%%");
    SAME("%s|%8s|%-8s|", "abc", "abc", "abc");
    SAME("%c%c", 'x', 'y');
    SAME("%d %d %5d %-5d|%05d", 0, -1, -42, 42, -42);
    SAME("%u %x %08x %8x", 4294967295u, 0xdeadbeefu, 0x12u, 0x12u);
    SAME("%lu %lx %016lx %ld", UINT64_MAX, UINT64_MAX, (uint64_t)1, INT64_MIN);
}

static void cuts_off_at_the_end_of_the_buffer(void **state)
{
    char buffer[8];
    assert_int_equal(text_format(buffer, sizeof(buffer), "%s", "0123456789"), 7);
    assert_string_equal(buffer, "0123456");
    assert_int_equal(text_format(buffer, 1, "%u", 7u), 0);
    assert_string_equal(buffer, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_like_printf),
        cmocka_unit_test(cuts_off_at_the_end_of_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
