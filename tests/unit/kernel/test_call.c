/*
 * System calls over the simulated machine: whatever a component hands in is answered from the closed set of statuses,
 * changes only what it may, and what it logs cannot hurt anybody else.
 */
#include "call.h"
#include "host.h"
#include "log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TABLES 8

static struct quoll_vm_interrupts interrupts;
static struct quoll_vcpu_page page;
static uint64_t tables[TABLES][512] __attribute__((aligned(4096)));
static uint8_t memory[16 * PAGE_SIZE] __attribute__((aligned(4096)));

#define PAGED_ADDRESS UINT64_C(0x50000000)
#define PAGED_SIZE (4 * PAGE_SIZE)

static void make_thread(uint32_t index, uint32_t core)
{
    struct thread *thread = &threads[index];
    thread->core = &cores[core];
    thread->component = &components[0];
    thread->priority = 10;
    thread->budget = thread->budget_left = thread->period = 1000;
    thread->slot = cores[core].thread_count;
    thread->index = index;
    cores[core].threads[cores[core].thread_count++] = thread;
}

/* One component with an object of each type; thread 0 calls, thread 1 is on the other core. */
static int setup(void **state)
{
    host_reset(2);
    host.now = 1000000000;
    klog_start();
    memset(&interrupts, 0, sizeof interrupts);
    memset(&page, 0, sizeof page);
    memset(tables, 0, sizeof tables);
    make_thread(0, 0);
    make_thread(1, 1);
    thread_count = 2;
    snprintf(components[0].name, sizeof components[0].name, "wild");
    component_count = 1;
    components[0].fault_channel = IMAGE_NONE;
    components[0].object_count = QUOLL_OBJECT_TYPE_COUNT;
    for (uint32_t type = 0; type < QUOLL_OBJECT_TYPE_COUNT; type++)
        objects[type] = (struct object){.type = type, .index = 0};
    objects[QUOLL_OBJECT_THREAD].index = 1;
    channels[0] = (struct channel){.thread = &threads[1], .bit = 3};
    irqs[0] = (struct irq){.intid = 40, .thread = &threads[0], .bit = 4};
    regions[0] = (struct region){.base = {(uintptr_t)memory}, .size = sizeof memory};
    lines[0] = (struct line){.vm = &vms[0], .intid = 50};
    vcpus[0] = (struct vcpu){.page = &page, .vm = &vms[0], .thread = &threads[0]};
    threads[0].vcpu = &vcpus[0];
    struct page_pool pool = {(uint8_t *)tables, (uint8_t *)(tables + TABLES)};
    vms[0] = (struct vm){.interrupts = &interrupts,
                         .vcpus = vcpus,
                         .vcpu_count = 1,
                         .paged_address = {PAGED_ADDRESS},
                         .paged_size = PAGED_SIZE};
    stage2_create(&vms[0].space, 1, &pool);
    stage2_reserve(&vms[0].space, ipaddr(PAGED_ADDRESS), PAGED_SIZE, &pool);
    threads[0].state = THREAD_READY;
    return 0;
}

static uint64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    uint64_t *x = threads[0].registers.x;
    x[8] = number;
    x[0] = a;
    x[1] = b;
    x[2] = c;
    x[3] = d;
    x[4] = e;
    call_dispatch(&cores[0], &threads[0]);
    return x[0];
}

static uint64_t any(void)
{
    static const uint64_t edges[] = {0,          1,
                                     UINT64_MAX, UINT32_MAX,
                                     PAGE_SIZE,  PAGED_ADDRESS,
                                     PAGED_SIZE, PAGED_ADDRESS + PAGED_SIZE,
                                     287,        288,
                                     31,         UINT64_C(1) << 63};
    switch (rand() % 4) {
    case 0:
        return (uint64_t)rand() % 16;
    case 1:
        return edges[(size_t)rand() % ARRAY_SIZE(edges)];
    case 2:
        return PAGED_ADDRESS + (uint64_t)rand() % 6 * PAGE_SIZE;
    default:
        return (uint64_t)rand() << 40 ^ (uint64_t)rand() << 16 ^ (uint64_t)rand();
    }
}

/* The machine may be switched off, since the component has that object: whoever calls goes on after it. */
static void random_calls_are_all_answered(void **state)
{
    static volatile uint32_t round;
    static uint32_t answers[QUOLL_STATUS_COUNT];
    srand(1);
    host.catches_stop = true;
    setjmp(host.stopped);
    while (round++ < 300000) {
        host.console_length = 0;
        host.now += 7;
        for (uint32_t i = 9; i < 31; i++)
            threads[0].registers.x[i] = i * round;
        uint64_t number = (uint64_t)rand() % (QUOLL_CALL_COUNT + 1);
        uint64_t status = call(number, any(), any(), any(), any(), any());
        assert_true(status < QUOLL_STATUS_COUNT);
        answers[status]++;
        for (uint32_t i = 9; i < 31; i++)
            assert_int_equal(threads[0].registers.x[i], i * round);
        threads[0].in_guest = false;
        threads[0].state = THREAD_READY;
        host_interrupts_deliver();
    }
    for (uint32_t i = 0; i < QUOLL_NOT_ALLOWED; i++)
        assert_true(answers[i] > 0);
}

static void mappings_stay_in_the_paged_range_and_the_region(void **state)
{
    uint64_t vm = QUOLL_OBJECT_VM, region = QUOLL_OBJECT_REGION, rw = QUOLL_READ | QUOLL_WRITE;
    const uint64_t at = PAGED_ADDRESS, end = at + PAGED_SIZE, page_size = PAGE_SIZE;
    assert_int_equal(call(QUOLL_CALL_map, vm, at, region, 0, PAGED_SIZE | rw), QUOLL_OK);
    assert_int_equal(call(QUOLL_CALL_map, vm, end, region, 0, page_size | rw), QUOLL_BAD_ARGUMENT);
    assert_int_equal(call(QUOLL_CALL_map, vm, at - page_size, region, 0, page_size | rw),
                     QUOLL_BAD_ARGUMENT);
    assert_int_equal(call(QUOLL_CALL_map, vm, at, region, sizeof memory, page_size | rw),
                     QUOLL_BAD_ARGUMENT);
    assert_int_equal(call(QUOLL_CALL_map, vm, at, region, 0 - page_size, 2 * page_size | rw),
                     QUOLL_BAD_ARGUMENT);
    assert_int_equal(call(QUOLL_CALL_map, vm, at, region, 0, 0 | rw), QUOLL_BAD_ARGUMENT);
    assert_int_equal(call(QUOLL_CALL_map, vm, at, region, 0, page_size | rw | QUOLL_UNCACHED),
                     QUOLL_BAD_ARGUMENT);
    assert_int_equal(call(QUOLL_CALL_unmap, vm, at, 0 - page_size, 0, 0), QUOLL_BAD_ARGUMENT);
    assert_int_equal(call(QUOLL_CALL_unmap, vm, at + page_size, PAGED_SIZE, 0, 0),
                     QUOLL_BAD_ARGUMENT);
}

static void one_call_changes_no_more_than_a_bounded_range(void **state)
{
    uint64_t vm = QUOLL_OBJECT_VM, at = PAGED_ADDRESS;
    vms[0].paged_size = UINT64_C(1) << 30;
    assert_int_equal(call(QUOLL_CALL_unmap, vm, at, QUOLL_MAP_BYTES, 0, 0), QUOLL_OK);
    assert_int_equal(call(QUOLL_CALL_unmap, vm, at, QUOLL_MAP_BYTES + PAGE_SIZE, 0, 0),
                     QUOLL_BAD_ARGUMENT);
}

static void log_text(const char *text)
{
    while (*text != 0) {
        uint64_t words[4] = {0};
        size_t part = strlen(text) < sizeof words ? strlen(text) : sizeof words;
        memcpy(words, text, part);
        call(QUOLL_CALL_debug_put, part, words[0], words[1], words[2], words[3]);
        text += part;
    }
}

static void a_log_line_is_printable_text(void **state)
{
    log_text("a\x1b[2J\x9b\x7f\xff\tz\n");
    assert_string_equal(host.console, "wild: a.[2J....z\r\n");
}

static uint32_t count(const char *text)
{
    uint32_t found = 0;
    for (const char *at = host.console; (at = strstr(at, text)) != NULL; at++)
        found++;
    return found;
}

static void a_flood_of_lines_is_cut_and_the_log_says_so(void **state)
{
    for (uint32_t i = 0; i < 1000; i++)
        log_text("flood\n");
    assert_in_range(count("flood"), 10, 50);
    host.now += host.frequency;
    log_text("quiet now\n");
    assert_int_equal(count("'wild' logs too much"), 1);
    assert_int_equal(count("quiet now"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(random_calls_are_all_answered, setup),
        cmocka_unit_test_setup(mappings_stay_in_the_paged_range_and_the_region, setup),
        cmocka_unit_test_setup(one_call_changes_no_more_than_a_bounded_range, setup),
        cmocka_unit_test_setup(a_log_line_is_printable_text, setup),
        cmocka_unit_test_setup(a_flood_of_lines_is_cut_and_the_log_says_so, setup),
    };
    return cmocka_run_group_tests_name("system calls", tests, NULL, NULL);
}
