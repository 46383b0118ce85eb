/*
 * Signals between threads, on one core or across.
 *
 * A sender sets bits in the target's `pending` word; if the target is on another core it then sets the target's bit in that core's
 * inbox and, when the inbox was empty, sends the inter-processor interrupt. The
 * receiver empties the inbox before it looks at the threads, so a bit set later finds it empty and
 * interrupts again: no wake-up is lost, and no lock is needed. Bits that are pending already have been told, or are about to
 * be by whoever set them: raising them again costs the target's core nothing, however often it is done.
 */
#include "signal.h"
#include "sched.h"
#include <stdatomic.h>

/* The thread's wait or vcpu_run ends with the signals that are pending. */
static void take_signals(struct core *core, struct thread *thread)
{
    thread->registers.x[0] = QUOLL_OK;
    thread->registers.x[1] = signals_take(thread);
    thread->in_guest = false;
    sched_make_ready(core, thread);
}

void thread_ask(struct thread *thread, uint32_t request, uint32_t opposite)
{
    atomic_fetch_and(&thread->request, ~opposite);
    atomic_fetch_or(&thread->request, request);
}

void thread_begin(struct thread *thread, uint64_t life)
{
    thread->registers = (struct quoll_registers){.sp = thread->stack, .pc = thread->entry};
    thread->registers.x[0] = thread->number;
    thread->registers.x[1] = QUOLL_ENVIRONMENT_ADDRESS;
    thread->registers.x[2] = life;
    thread->begun = life;
}

/* Two that are asked for at nearly the same time may be told the later one's life both: then one is enough. */
static void restart(struct core *core, struct thread *thread)
{
    uint64_t life = atomic_load(&thread->life);
    if (life == thread->begun) {
        return;
    }
    thread_begin(thread, life);
    thread->stopped = false;
    thread->in_guest = false;
    thread->line_length = 0;
    timer_cancel(core, &thread->alarm);
    sched_make_ready(core, thread);
}

/* A thread that is looked at from within its own call is not restarted there: the call's status would go to its new
 * registers. Who asked for the restart is about to send the inter-processor interrupt, or has sent it. */
static void serve_requests(struct core *core, struct thread *thread, bool in_call)
{
    uint32_t kept = in_call && thread == core->current ? THREAD_REQUEST_RESTART : 0;
    uint32_t requests = atomic_fetch_and(&thread->request, kept) & ~kept;
    if (requests & THREAD_REQUEST_SUSPEND) {
        thread->suspended = true;
    }
    if (requests & THREAD_REQUEST_RESUME) {
        thread->suspended = false;
    }
    if (requests & THREAD_REQUEST_STOP) {
        thread->stopped = true;
    }
    if (requests & THREAD_REQUEST_BUDGET) {
        sched_share_use(thread, atomic_load(&thread->new_share));
    }
    if (requests & THREAD_REQUEST_RESTART) {
        restart(core, thread);
    }
    sched_refresh(core, thread);
}

static void look(struct core *core, struct thread *thread, bool in_call)
{
    if (atomic_load(&thread->request) != 0) {
        serve_requests(core, thread, in_call);
    }
    bool waits = thread->state == THREAD_BLOCKED;
    if ((waits || thread->in_guest) && atomic_load(&thread->pending) != 0) {
        take_signals(core, thread);
    } else if (waits && thread->in_guest && arch_vcpu_has_interrupt(thread->vcpu)) {
        sched_make_ready(core, thread);
    }
}

void thread_poke(struct core *core, struct thread *thread)
{
    if (thread->core == core) {
        look(core, thread, true);
        return;
    }
    uint64_t before = atomic_fetch_or(&thread->core->inbox, UINT64_C(1) << thread->slot);
    if (before == 0) {
        arch_ipi_send(thread->core);
    }
}

void signal_raise(struct core *core, struct thread *thread, uint64_t bits)
{
    uint64_t before = atomic_fetch_or(&thread->pending, bits);
    if ((before & bits) != bits) {
        thread_poke(core, thread);
    }
}

void inbox_serve(struct core *core)
{
    uint64_t inbox = atomic_exchange(&core->inbox, 0);
    while (inbox != 0) {
        uint32_t slot = (uint32_t)__builtin_ctzll(inbox);
        inbox &= inbox - 1;
        look(core, core->threads[slot], false);
    }
}

void vcpu_poke(struct core *core, struct vcpu *vcpu)
{
    atomic_store(&vcpu->look, 1);
    thread_poke(core, vcpu->thread);
}

void vm_interrupt(struct core *core, struct vm *vm, uint32_t index, uint32_t intid)
{
    struct quoll_vm_interrupts *page = vm->interrupts;
    if (intid < 32) {
        if (index < vm->vcpu_count) {
            __atomic_fetch_or(&page->vcpu[index].pending, UINT32_C(1) << intid, __ATOMIC_SEQ_CST);
            vcpu_poke(core, &vm->vcpus[index]);
        }
        return;
    }
    uint32_t spi = intid - 32;
    if (spi >= QUOLL_VM_SPIS) {
        return;
    }
    __atomic_fetch_or(&page->pending[spi / 64], UINT64_C(1) << (spi % 64), __ATOMIC_SEQ_CST);
    uint8_t target = __atomic_load_n(&page->target[spi], __ATOMIC_RELAXED);
    if (target < vm->vcpu_count) {
        vcpu_poke(core, &vm->vcpus[target]);
    }
}
