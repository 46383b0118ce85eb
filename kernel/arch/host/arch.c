/*
 * The simulated machine; see host.h and kernel/arch.h.
 *
 * What its cores have in common orders nothing (memory_order_relaxed), as on the machine: where cores are host threads, the kernel's
 * own atomic operations must be enough.
 */
#include "host.h"
#include "log.h"
#include "sched.h"
#include "signal.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct host host;
_Thread_local struct core *host_core;

#define CLEAR(array) memset(array, 0, sizeof(array))

void host_reset(uint32_t count)
{
    klog_take_back();
    memset(&host, 0, sizeof(host));
    CLEAR(components);
    CLEAR(threads);
    CLEAR(objects);
    CLEAR(channels);
    CLEAR(irqs);
    CLEAR(regions);
    CLEAR(vms);
    CLEAR(vcpus);
    CLEAR(doorbells);
    CLEAR(lines);
    CLEAR(cores);
    component_count = thread_count = region_count = vm_count = vcpu_count = irq_count = 0;
    log_channel = NULL;
    host_tlb_reset();
    core_count = count;
    host.frequency = 62500000;
    for (uint32_t i = 0; i < count; i++) {
        cores[i].index = i;
        cores[i].deadline = QUOLL_NEVER;
        cores[i].budget_end = QUOLL_NEVER;
        cores[i].arch.deadline = QUOLL_NEVER;
    }
    host_core = &cores[0];
}

void host_interrupts_deliver(void)
{
    bool any = true;
    while (any) {
        any = false;
        for (uint32_t i = 0; i < core_count; i++) {
            if (atomic_exchange(&cores[i].arch.interrupts, 0) == 0)
                continue;
            any = true;
            host_core = &cores[i];
            inbox_serve(&cores[i]);
        }
    }
}

void host_advance(struct core *core, uint64_t ticks)
{
    host.now += ticks;
    host_core = core;
    if (core->arch.deadline <= host.now)
        sched_deadline(core);
}

uint64_t arch_now(void)
{
    if (host.ticks_per_look == 0)
        return atomic_load_explicit(&host.now, memory_order_relaxed);
    return atomic_fetch_add_explicit(&host.now, host.ticks_per_look, memory_order_relaxed);
}

uint64_t arch_frequency(void)
{
    return host.frequency;
}

void arch_deadline_set(uint64_t deadline)
{
    host_core->arch.deadline = deadline;
}

void arch_ipi_send(struct core *target)
{
    atomic_fetch_add_explicit(&target->arch.interrupts, 1, memory_order_relaxed);
}

void arch_irq_enable(uint32_t intid, struct core *core)
{
    host.irq_core[intid] = core;
}

void arch_irq_deactivate(uint32_t intid)
{
    host.deactivated[intid]++;
    host.irq_active[intid] = false;
}

static _Noreturn void stop(enum host_stop how)
{
    if (host.catches_stop)
        longjmp(host.stopped, (int)how);
    fwrite(host.console, 1, strnlen(host.console, HOST_CONSOLE_BYTES), stderr);
    abort();
}

void arch_machine_off(void)
{
    stop(HOST_OFF);
}

void arch_machine_reset(void)
{
    stop(HOST_RESET);
}

void arch_halt(void)
{
    stop(HOST_HALT);
}

void arch_early_putc(char c)
{
    size_t at = atomic_fetch_add_explicit(&host.console_length, 1, memory_order_relaxed);
    if (at + 1 < HOST_CONSOLE_BYTES)
        host.console[at] = c;
}

void arch_tables_written(void) {}

void arch_tlb_invalidate(const struct stage2 *space, ipaddr_t address, uint64_t size)
{
    atomic_fetch_add_explicit(&host.tlb_invalidations, 1, memory_order_relaxed);
    host_tlb_invalidate(space, address, size);
}

struct core *arch_this_core(void)
{
    return host_core;
}

void arch_memory_clean(paddr_t base, uint64_t size) {}

void arch_memory_zero(paddr_t base, uint64_t size)
{
    memset((void *)(uintptr_t)base.value, 0, size);
}
