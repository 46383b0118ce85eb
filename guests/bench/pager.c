/*
 * A stage-2 fault served by the VMM, and an interrupt that the VMM injects from another core: what the kernel's calls cost
 * with as little VMM around them as possible. tests/components/bench-vmm.c is that VMM.
 */
#include "bench.h"

#define PAGED 0x41000000UL /* behind 16 MiB of RAM */
#define PAGE 4096u
#define PAGES 256u
#define INJECTED_AT 0x40f10000UL /* where the VMM notes when it injected */
#define ROUNDS 100u

enum bench_call { CALL_UNMAP = 0xc6000001, CALL_PROTECT = 0xc6000002, CALL_INJECT = 0xc6000003 };

static void call_for_each_page(const char *name, enum bench_call call)
{
    uint64_t start = counter();
    for (uint32_t i = 0; i < PAGES; i++) {
        firmware(call, PAGED + i * PAGE, 0, 0);
    }
    result(name, counter() - start, PAGES);
}

void measure_pager(void)
{
    uint64_t start = counter();
    for (uint32_t i = 0; i < PAGES; i++) {
        (void)read32(PAGED + i * PAGE);
    }
    result("pager_map", counter() - start, PAGES);
    call_for_each_page("pager_protect", CALL_PROTECT);
    call_for_each_page("pager_unmap", CALL_UNMAP);
}

static void measure(const char *name, bool asleep)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t before = taken[0].count;
        firmware(CALL_INJECT, 0, 0, 0);
        interrupts_off();
        while (taken[0].count == before) {
            if (asleep) {
                wait_for_interrupt();
            }
            interrupts_on();
            relax();
            interrupts_off();
        }
        interrupts_on();
        sum += taken[0].at - *(volatile uint64_t *)INJECTED_AT;
    }
    result(name, sum, ROUNDS);
}

void measure_injection(void)
{
    measure("inject_running", false);
    measure("inject_sleeping", true);
}
