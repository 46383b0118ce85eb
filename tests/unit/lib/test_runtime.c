/* What every component relies on: text formatting, time, the environment, signals, timers, interrupts and death in the twin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <quoll/twin.h>
#include <string.h>

#define assert_format(expected, ...)                                                               \
    do {                                                                                           \
        char text[64];                                                                             \
        size_t length = quoll_format(text, sizeof text, __VA_ARGS__);                              \
        assert_string_equal(text, expected);                                                       \
        assert_int_equal(length, strlen(expected));                                                \
    } while (0)

static void format_writes_numbers_and_text(void **state)
{
    assert_format("plain", "plain");
    assert_format("a 100% b", "a 100%% %c", 'b');
    assert_format("-7 7 4294967295", "%d %u %u", -7, 7u, UINT32_MAX);
    assert_format("-9223372036854775808", "%ld", INT64_MIN);
    assert_format("18446744073709551615 0", "%lu %lx", UINT64_MAX, UINT64_C(0));
    assert_format("deadbeef 0xffff", "%x %p", 0xdeadbeefu, (void *)0xffff);
    assert_format("12", "%zu", (size_t)12);
}

static void format_pads_to_a_width(void **state)
{
    assert_format("   42|00042|42   |", "%5d|%05d|%-5d|", 42, 42, 42);
    assert_format("-0042|  -42", "%05d|%5d", -42, -42);
    assert_format("  ab|ab  |abc", "%4s|%-4s|%2s", "ab", "ab", "abc");
    assert_format("abc|ab", "%.3s|%.*s", "abcdef", 2, "abcdef");
}

static void format_cuts_what_does_not_fit(void **state)
{
    char text[8] = "xxxxxxx";
    assert_int_equal(quoll_format(text, 4, "%s", "abcdef"), 3);
    assert_memory_equal(text, "abc\0xxx", 8);
    assert_int_equal(quoll_format(text, 1, "abc"), 0);
    assert_int_equal(text[0], 0);
    assert_int_equal(quoll_format(NULL, 0, "abc"), 0);
}

static void long_times_convert_without_overflow(void **state)
{
    assert_int_equal(quoll_ticks_from_ns(1000000000u), 62500000u);
    uint64_t century = UINT64_C(3155760000) * 1000000000u;
    assert_int_equal(quoll_ns_from_ticks(quoll_ticks_from_ns(century)), century);
}

/* ------------------------------------------------------------------------------------------------ */

static void echo_main(void)
{
    uint32_t back = quoll_handle("test", QUOLL_OBJECT_CHANNEL);
    uint64_t from_test = quoll_receive("test");
    for (;;)
        if (quoll_wait() & from_test)
            quoll_signal(back);
}

static void signals_reach_a_component_and_come_back(void **state)
{
    struct twin *twin = twin_create();
    struct twin_component *test = twin_adopt(twin, "test");
    struct twin_component *echo = twin_component(twin, "echo", echo_main, NULL, 1);
    twin_connect(test, "echo", echo, 0, "test");
    twin_connect(echo, "test", test, 0, "echo");
    twin_start(twin);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(quoll_signal(quoll_handle("echo", QUOLL_OBJECT_CHANNEL)), QUOLL_OK);
        assert_true(twin_await(quoll_receive("echo"), 10000));
    }
    twin_destroy(twin);
}

static void wrong_handles_are_answered_with_a_status(void **state)
{
    struct twin *twin = twin_create();
    struct twin_component *test = twin_adopt(twin, "test");
    twin_connect(test, "self", test, 0, "self");
    assert_int_equal(quoll_signal(77), QUOLL_BAD_HANDLE);
    assert_int_equal(quoll_irq_ack(0), QUOLL_WRONG_TYPE);
    assert_null(quoll_find(QUOLL_ENVIRONMENT_MEMORY, "self"));
    twin_destroy(twin);
}

static void a_timer_fires_once_and_a_new_deadline_replaces_the_old(void **state)
{
    struct twin *twin = twin_create();
    twin_adopt(twin, "test");
    uint64_t start = quoll_now();
    quoll_timer_set(start + quoll_ticks_from_ns(3600u * UINT64_C(1000000000)));
    quoll_timer_set(start + quoll_ticks_from_ns(5000000));
    assert_int_equal(quoll_wait(), QUOLL_SIGNAL_TIMER);
    assert_true(quoll_now() - start >= quoll_ticks_from_ns(5000000));
    assert_int_equal(twin_wait(10), 0);
    quoll_timer_set(start);
    assert_int_equal(quoll_wait(), QUOLL_SIGNAL_TIMER);
    quoll_timer_set(quoll_now() + quoll_ticks_from_ns(5000000));
    quoll_timer_set(QUOLL_NEVER);
    assert_int_equal(twin_wait(20), 0);
    twin_destroy(twin);
}

static void an_interrupt_arrives_again_only_after_its_acknowledgement(void **state)
{
    struct twin *twin = twin_create();
    struct twin_component *test = twin_adopt(twin, "test");
    struct twin_irq *irq = twin_give_irq(test, 0, "interrupt");
    twin_irq_raise(irq);
    assert_int_equal(twin_wait(1000), quoll_receive("interrupt"));
    twin_irq_raise(irq);
    assert_int_equal(twin_wait(10), 0);
    assert_int_equal(quoll_irq_ack(quoll_handle("interrupt", QUOLL_OBJECT_IRQ)), QUOLL_OK);
    assert_int_equal(twin_wait(1000), quoll_receive("interrupt"));
    assert_int_equal(twin_irq_acks(irq), 1);
    twin_destroy(twin);
}

static void failing_main(void)
{
    quoll_memory("treasure", 1);
}

static void a_missing_memory_is_named_and_the_fault_is_reported(void **state)
{
    struct twin *twin = twin_create();
    struct twin_component *test = twin_adopt(twin, "test");
    struct twin_component *poor = twin_component(twin, "poor", failing_main, NULL, 1);
    twin_expect_failure(poor);
    twin_fault_channel(poor, test, 0, "fault");
    twin_start(twin);
    assert_int_equal(twin_wait(10000), quoll_receive("fault"));
    assert_non_null(strstr(twin_failure(poor), "\"treasure\""));
    assert_true(twin_logged(twin, "poor: the system image maps no memory \"treasure\""));
    twin_destroy(twin);
}

static void counting_main(void)
{
    volatile uint32_t *count = quoll_memory("count", 4);
    for (;;) {
        __atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
        quoll_timer_set(0);
        quoll_wait();
    }
}

static void a_suspended_thread_stands_still_until_it_is_resumed(void **state)
{
    struct twin *twin = twin_create();
    struct twin_component *test = twin_adopt(twin, "test");
    struct twin_component *counter = twin_component(twin, "counter", counting_main, NULL, 1);
    uint32_t *count = twin_memory(twin, 4);
    twin_give_memory(counter, "count", count, 4);
    twin_give_thread(test, "counter", counter, 0);
    twin_start(twin);
    uint32_t thread = quoll_handle("counter", QUOLL_OBJECT_THREAD);
    assert_int_equal(quoll_thread_control(thread, QUOLL_THREAD_SUSPEND), QUOLL_OK);
    /* it stops at its next call, so it may count once more */
    uint32_t last = __atomic_load_n(count, __ATOMIC_SEQ_CST) + 1;
    twin_wait(20);
    assert_true(__atomic_load_n(count, __ATOMIC_SEQ_CST) <= last);
    assert_int_equal(quoll_thread_control(thread, QUOLL_THREAD_RESUME), QUOLL_OK);
    while (__atomic_load_n(count, __ATOMIC_SEQ_CST) <= last)
        twin_wait(1);
    twin_kill(counter);
    twin_destroy(twin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_writes_numbers_and_text),
        cmocka_unit_test(format_pads_to_a_width),
        cmocka_unit_test(format_cuts_what_does_not_fit),
        cmocka_unit_test(long_times_convert_without_overflow),
        cmocka_unit_test(signals_reach_a_component_and_come_back),
        cmocka_unit_test(wrong_handles_are_answered_with_a_status),
        cmocka_unit_test(a_timer_fires_once_and_a_new_deadline_replaces_the_old),
        cmocka_unit_test(an_interrupt_arrives_again_only_after_its_acknowledgement),
        cmocka_unit_test(a_missing_memory_is_named_and_the_fault_is_reported),
        cmocka_unit_test(a_suspended_thread_stands_still_until_it_is_resumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
