/* The simulated ways into the kernel and out of it; the twin of aarch64/trap.c. See host.h. */
#include "call.h"
#include "host.h"
#include "report.h"
#include "sched.h"
#include "signal.h"
#include <stdatomic.h>

/* Chooses what to run if anything changed that; an idle core asks anew after each interrupt. */
static void go_on(struct core *core)
{
    if (core->reschedule || core->current == NULL) {
        sched_next(core);
        sched_program_deadline(core);
    }
    if (core->current != NULL)
        arch_thread_enter(core, core->current);
    else
        core->arch.entered = NULL;
}

void host_run(struct core *core)
{
    core->deadline = QUOLL_NEVER;
    core->reschedule = true;
    go_on(core);
}

void host_call(struct core *core)
{
    call_dispatch(core, core->current);
    go_on(core);
}

void host_fault(struct core *core)
{
    component_fault(core, core->current, "wrote to an address that is not mapped", 0x92000047,
                    0xdead000);
    go_on(core);
}

void host_irq_raise(uint32_t index)
{
    atomic_fetch_or_explicit(&host.irq_core[irqs[index].intid]->arch.devices, UINT64_C(1) << index,
                             memory_order_relaxed);
}

/* Bit n: irqs[n] waits, and its last activation has ended. */
static uint64_t deliverable(const struct core *core)
{
    uint64_t waiting = atomic_load_explicit(&core->arch.devices, memory_order_relaxed), result = 0;
    for (uint64_t left = waiting; left != 0; left &= left - 1) {
        uint32_t index = (uint32_t)__builtin_ctzll(left);
        if (!host.irq_active[irqs[index].intid])
            result |= UINT64_C(1) << index;
    }
    return result;
}

bool host_interrupt_waits(const struct core *core, enum host_interrupt kind)
{
    switch (kind) {
    case HOST_INTERRUPT_INBOX:
        return atomic_load_explicit(&core->arch.interrupts, memory_order_relaxed) != 0;
    case HOST_INTERRUPT_DEADLINE:
        return core->arch.deadline <= atomic_load_explicit(&host.now, memory_order_relaxed);
    case HOST_INTERRUPT_DEVICE:
        return deliverable(core) != 0;
    default:
        return false;
    }
}

uint32_t host_irq_next(const struct core *core)
{
    return (uint32_t)__builtin_ctzll(deliverable(core));
}

static void device_interrupt(struct core *core)
{
    if (deliverable(core) == 0)
        return;
    uint32_t index = host_irq_next(core);
    atomic_fetch_and_explicit(&core->arch.devices, ~(UINT64_C(1) << index), memory_order_relaxed);
    host.irq_active[irqs[index].intid] = true;
    signal_raise(core, irqs[index].thread, QUOLL_SIGNAL(irqs[index].bit));
}

void host_interrupt_take(struct core *core, enum host_interrupt kind)
{
    switch (kind) {
    case HOST_INTERRUPT_INBOX:
        atomic_store_explicit(&core->arch.interrupts, 0,
                              memory_order_relaxed); /* acknowledged before it is served */
        inbox_serve(core);
        break;
    case HOST_INTERRUPT_DEADLINE:
        sched_deadline(core);
        break;
    case HOST_INTERRUPT_DEVICE:
        device_interrupt(core);
        break;
    default:
        break;
    }
    go_on(core);
}

void host_guest_exit(struct core *core, enum quoll_exit exit)
{
    struct thread *thread = core->current;
    thread->vcpu->page->exit = exit;
    thread->in_guest = false;
    thread->registers.x[0] = QUOLL_OK;
    thread->registers.x[1] = 0;
    go_on(core);
}

void host_guest_wait(struct core *core)
{
    struct thread *thread = core->current;
    if (!arch_vcpu_has_interrupt(thread->vcpu))
        sched_block(core, thread);
    go_on(core);
}

void host_guest_doorbell(struct core *core, uint32_t index)
{
    const struct channel *channel = core->current->vcpu->vm->doorbells[index].channel;
    signal_raise(core, channel->thread, QUOLL_SIGNAL(channel->bit));
    go_on(core);
}

void host_guest_send(struct core *core, uint32_t vcpu, uint32_t intid)
{
    vm_interrupt(core, core->current->vcpu->vm, vcpu, intid);
    go_on(core);
}

void host_guest_end(struct core *core, uint32_t list_register)
{
    struct vcpu *vcpu = core->current->vcpu;
    vcpu->arch.used &= ~(1u << list_register);
    atomic_store(&vcpu->look,
                 1); /* the maintenance interrupt: others may have waited for the place */
    go_on(core);
}
