/* What is said of faults, and what follows from them. */
#include "host.h"
#include "log.h"
#include "report.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void make_thread(uint32_t index, uint32_t component, uint32_t core)
{
    struct thread *thread = &threads[index];
    thread->core = &cores[core];
    thread->component = &components[component];
    thread->slot = cores[core].thread_count;
    thread->number = index;
    cores[core].threads[cores[core].thread_count++] = thread;
}

/* Component "a" has threads on both cores, "b" hears of its fault. */
static int setup(void **state)
{
    host_reset(2);
    klog_start();
    snprintf(components[0].name, sizeof components[0].name, "a");
    components[1].index = 1;
    components[0].fault_channel = 0;
    make_thread(0, 0, 0);
    make_thread(1, 0, 1);
    make_thread(2, 1, 1);
    thread_count = 3;
    channels[0] = (struct channel){.thread = &threads[2], .bit = 5};
    return 0;
}

static void a_fault_stops_all_threads_of_its_component_and_no_other(void **state)
{
    component_fault(&cores[0], &threads[0], "stopped itself", 0xf2000000, 0x400123);
    host_interrupts_deliver();
    assert_true(threads[0].stopped && threads[1].stopped && !threads[2].stopped);
    assert_int_equal(threads[2].registers.x[1], QUOLL_SIGNAL(5));
    assert_non_null(strstr(host.console, "component 'a' stopped: stopped itself, address 400123"));
}

static bool fails(struct core *core)
{
    static const struct quoll_registers registers;
    host.console_length = 0;
    memset(host.console, 0, sizeof host.console);
    host.catches_stop = true;
    if (setjmp(host.stopped) == HOST_RUNS)
        kernel_fault(core, &registers, "synchronous exception", 0x96000004, 0);
    return host.console_length != 0;
}

static void a_report_that_fails_itself_is_not_begun_again(void **state)
{
    assert_true(fails(&cores[0]));
    assert_false(fails(&cores[0]));
    assert_true(fails(&cores[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_fault_stops_all_threads_of_its_component_and_no_other, setup),
        cmocka_unit_test_setup(a_report_that_fails_itself_is_not_begun_again, setup),
    };
    return cmocka_run_group_tests_name("reports", tests, NULL, NULL);
}
