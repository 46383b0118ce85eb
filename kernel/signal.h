/* Signals, and everything else that one core tells another. */
#ifndef KERNEL_SIGNAL_H
#define KERNEL_SIGNAL_H

#include "object.h"
#include <stdatomic.h>

/* The thread's pending signals, which are then its own. Whoever sets a bit after the look sends an interrupt. */
static inline uint64_t signals_take(struct thread *thread)
{
    return atomic_load(&thread->pending) == 0 ? 0 : atomic_exchange(&thread->pending, 0);
}

/* Raises bits of a thread on whatever core; `core` is the caller's. */
void signal_raise(struct core *core, struct thread *thread, uint64_t bits);
/* A request to the thread's owner (enum thread_request), which takes back one that has the opposite meaning and was not seen
 * yet: of the two the later one counts. To be followed by thread_poke. */
void thread_ask(struct thread *thread, uint32_t request, uint32_t opposite);
/* Owner only, or at boot: the registers of the thread's first instruction. */
void thread_begin(struct thread *thread, uint64_t life);
/* A shared field of the thread or its vCPU has changed: have its owner look (at once when it is this core's; else by its
 * inbox and an inter-processor interrupt): at requests, signals it waits for, interrupts its guest waits for. */
void thread_poke(struct core *core, struct thread *thread);
/* The inter-processor interrupt: looks at every thread in the inbox. */
void inbox_serve(struct core *core);
/* Sets the vCPU's `look` and pokes its thread. */
void vcpu_poke(struct core *core, struct vcpu *vcpu);
/* Makes an interrupt pending in the VM's interrupt page and pokes the vCPU it goes to. intid < 32: of vCPU `index`. */
void vm_interrupt(struct core *core, struct vm *vm, uint32_t index, uint32_t intid);

#endif
