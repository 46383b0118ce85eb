/* The kernel's log: rings that a reader can follow, the early console until somebody else has taken over, and a
 * wake-up for that listener that is safe from anywhere. */
#include "host.h"
#include "log.h"
#include <quoll/log.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <cmocka.h>

static struct quoll_log *log_region(void)
{
    uint64_t size;
    struct quoll_log *log = (struct quoll_log *)klog_memory(&size).value;
    assert_true(size >= sizeof(*log) + QUOLL_MAX_CORES * sizeof(log->ring[0]));
    return log;
}

static void goes_to_ring_and_console(void **state)
{
    klog("answer %u", 42u);
    const char *line = "quoll: answer 42\n";
    struct quoll_log_ring *ring = &log_region()->ring[0];
    assert_int_equal(ring->written, strlen(line));
    assert_memory_equal(ring->text, line, strlen(line));
    assert_int_equal(ring->taken_over, ring->written);
    assert_string_equal(host.console, "quoll: answer 42\r\n");
}

static void each_core_has_its_own_ring(void **state)
{
    host_core = &cores[1];
    klog_line("nvme", "ready", 5);
    assert_int_equal(log_region()->ring[0].written, 0);
    assert_memory_equal(log_region()->ring[1].text, "nvme: ready\n", 12);
}

static void a_long_log_wraps_around(void **state)
{
    char line[100];
    memset(line, 'x', sizeof(line));
    for (int i = 0; i < 200; i++)
        klog_line("a", line, sizeof(line));
    struct quoll_log_ring *ring = &log_region()->ring[0];
    assert_int_equal(ring->written, 200 * (3 + 100 + 1));
    assert_int_equal(ring->text[(ring->written - 1) % QUOLL_LOG_BYTES], '\n');
    assert_int_equal(ring->text[(ring->written - 104) % QUOLL_LOG_BYTES], 'a');
}

static struct channel channel;

static void listen_on(struct core *core)
{
    threads[0].core = core;
    core->threads[core->thread_count++] = &threads[0];
    channel = (struct channel){&threads[0], 5};
    log_channel = &channel;
    klog_taken_over();
}

static void a_listener_is_woken_instead_of_printing(void **state)
{
    klog("before");
    listen_on(&cores[1]);
    klog("after");
    assert_string_equal(host.console, "quoll: before\r\n");
    struct quoll_log_ring *ring = &log_region()->ring[0];
    assert_int_equal(ring->taken_over, strlen("quoll: before\n"));
    assert_int_equal(ring->written, strlen("quoll: before\nquoll: after\n"));
    assert_int_equal(atomic_load(&threads[0].pending), QUOLL_SIGNAL(5));
    assert_int_equal(cores[1].arch.interrupts, 1);
}

static void waking_a_listener_on_the_same_core_waits_for_the_interrupt(void **state)
{
    threads[0].state = THREAD_BLOCKED;
    listen_on(&cores[0]);
    klog("from inside the scheduler");
    assert_int_equal(threads[0].state, THREAD_BLOCKED);
    assert_int_equal(cores[0].arch.interrupts, 1);
}

/* The frame that names the log's stream: the listener may have shown a VM's last. */
#define BACK_TO_THE_LOG "\033_Qquoll\033\\"

static void the_console_comes_back_when_the_listener_is_gone(void **state)
{
    listen_on(&cores[1]);
    klog("unseen");
    klog_take_back();
    klog("seen");
    assert_string_equal(host.console, BACK_TO_THE_LOG "quoll: seen\r\n");
}

static void what_was_taken_back_is_not_taken_over_again(void **state)
{
    listen_on(&cores[1]);
    klog_take_back();
    klog_taken_over(); /* the listener waits on its core while this one reports its end */
    klog("seen");
    assert_string_equal(host.console, BACK_TO_THE_LOG "quoll: seen\r\n");
}

static void a_stop_says_why_and_powers_off(void **state)
{
    listen_on(&cores[1]);
    host.catches_stop = true;
    int how = setjmp(host.stopped);
    if (how == HOST_RUNS)
        kstop("no %s", "memory");
    assert_int_equal(how, HOST_OFF);
    assert_string_equal(host.console, BACK_TO_THE_LOG "quoll: stopped: no memory\r\n");
}

static int set_up(void **state)
{
    host_reset(2);
    uint64_t size;
    paddr_t memory = klog_memory(&size);
    memset((void *)memory.value, 0, size);
    klog_start();
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(goes_to_ring_and_console),
        TEST(each_core_has_its_own_ring),
        TEST(a_long_log_wraps_around),
        TEST(a_listener_is_woken_instead_of_printing),
        TEST(waking_a_listener_on_the_same_core_waits_for_the_interrupt),
        TEST(the_console_comes_back_when_the_listener_is_gone),
        TEST(what_was_taken_back_is_not_taken_over_again),
        TEST(a_stop_says_why_and_powers_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
