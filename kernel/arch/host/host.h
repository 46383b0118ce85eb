/*
 * The simulated machine, as tests drive it.
 *
 * Nothing runs by itself. Either one host thread drives all cores, one of which is "this core" at a time, or each core
 * has a host thread of its own (the driver says which core it is in host_core). Interrupts wait in the core's
 * structure until the driver lets the core take them. The counter stands still until a test moves it, or has it move with each look.
 * Physical addresses are the process's own.
 */
#ifndef HOST_H
#define HOST_H

#include "object.h"
#include <setjmp.h>

#define HOST_CONSOLE_BYTES 16384u
#define HOST_INTIDS 1024u

struct host {
    _Atomic uint64_t now;
    uint64_t ticks_per_look; /* how far the counter goes on each time it is read */
    uint64_t frequency;
    char console[HOST_CONSOLE_BYTES];
    _Atomic size_t console_length;
    struct core *irq_core[HOST_INTIDS]; /* where arch_irq_enable() routed each SPI */
    bool irq_active[HOST_INTIDS];       /* taken, and not deactivated yet: silent */
    uint32_t deactivated[HOST_INTIDS];
    _Atomic uint32_t tlb_invalidations;
    /* A stop of the machine jumps here, with the operation as value; unset: the process aborts. */
    jmp_buf stopped;
    bool catches_stop;
};

enum host_stop { HOST_RUNS, HOST_OFF, HOST_RESET, HOST_HALT };

extern struct host host;
extern _Thread_local struct core *host_core; /* the one that this host thread runs now */

/* Everything to its state before boot: objects, log, clock; `core_count` cores. */
void host_reset(uint32_t core_count);
/* Serves inter-processor interrupts until no core has any. */
void host_interrupts_deliver(void);
/* Moves the clock, then lets the core's deadline interrupt fire if it is due. */
void host_advance(struct core *core, uint64_t ticks);

/* ---- trap.c: the ways into the kernel and out of it. Each ends with core->current entered, or the core idle. ---- */

/* As boot leaves for the first thread. */
void host_run(struct core *core);
/* The current thread issues SVC: number and arguments are in its registers. */
void host_call(struct core *core);
/* The current thread, not in a guest, does what it may not. */
void host_fault(struct core *core);

/* The interrupts that a core can take. */
enum host_interrupt {
    HOST_INTERRUPT_NONE,
    HOST_INTERRUPT_INBOX,
    HOST_INTERRUPT_DEADLINE,
    HOST_INTERRUPT_DEVICE
};
/* A device asserts irqs[index]. */
void host_irq_raise(uint32_t index);
/* Whether an interrupt of this kind waits. */
bool host_interrupt_waits(const struct core *core, enum host_interrupt kind);
/* The index in irqs[] of the device interrupt that it would take. */
uint32_t host_irq_next(const struct core *core);
/* The core takes it. */
void host_interrupt_take(struct core *core, enum host_interrupt kind);

/* The current thread is in its guest, which... */
void host_guest_exit(struct core *core, enum quoll_exit exit); /* needs its VMM */
void host_guest_wait(struct core *core);                       /* executes WFI */
void host_guest_doorbell(struct core *core, uint32_t index);   /* stores to its VM's doorbell */
void host_guest_send(struct core *core, uint32_t vcpu, uint32_t intid);
/* ends the interrupt of a list register */
void host_guest_end(struct core *core, uint32_t list_register);

/* ---- vcpu.c ---- */

/* The way out of the kernel: the thread, or its guest, is what the core runs; a guest's interrupts are looked at. */
void arch_thread_enter(struct core *core, struct thread *thread);

/* ---- tlb.c: translations that cores may hold. Only for a driver with one host thread. ---- */

/* A core walks the tables for the address, and keeps what it finds. */
void host_tlb_touch(const struct stage2 *space, ipaddr_t address);
/* False: a translation is held that the space's tables do not have. */
bool host_tlb_good(const struct stage2 *space, ipaddr_t *stale);

/* tlb.c for arch.c */
void host_tlb_reset(void);
void host_tlb_invalidate(const struct stage2 *space, ipaddr_t address, uint64_t size);

#endif
