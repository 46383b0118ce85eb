/*
 * The kernel's objects. All of them are static arrays, filled once at boot (start.c) from the validated
 * system image; counts and contents of what names what never change afterwards.
 *
 * Ownership: a thread, its vCPU, its timer and its run state belong to one core, and only that core's
 * kernel touches them. What other cores may write is marked `shared` below and accessed with
 * atomic operations only: they set bits there, then in the core's inbox, and send an inter-processor interrupt.
 */
#ifndef KERNEL_OBJECT_H
#define KERNEL_OBJECT_H

#include "arch.h"
#include "image.h"
#include "stage2.h"
#include "types.h"

struct core;
struct thread;
struct vcpu;
struct vm;

/* One-shot timers of a core, in a list sorted by deadline (timer.c). */
struct timer {
    uint64_t deadline; /* counter ticks */
    struct timer *next, *previous;
    void (*fire)(struct core *core, struct timer *timer);
    bool armed;
};

struct component {
    char name[QUOLL_NAME_SIZE];
    struct stage2 space;
    uint32_t index;
    uint32_t first_object, object_count; /* in objects[] */
    uint32_t fault_channel;              /* index into channels[], or IMAGE_NONE */
};

struct object {
    uint32_t type; /* enum quoll_object_type */
    uint32_t index;
};

struct channel {
    struct thread *thread;
    uint32_t bit;
};

struct irq {
    uint32_t intid;
    struct thread *thread;
    uint32_t bit;
};

struct region {
    char name[QUOLL_NAME_SIZE];
    paddr_t base;
    uint64_t size;
};

/* READY threads are in their core's queue, RUNNING is its current one. */
enum thread_state {
    THREAD_BLOCKED,  /* in wait, or its guest in WFI (then `in_guest` is true) */
    THREAD_READY,    /* in the run queue, or running */
    THREAD_DEPLETED, /* ready, but out of budget until the period ends */
};

struct thread {
    struct quoll_registers registers; /* first: the vectors store here */
    /* what to run */
    struct core *core;
    struct component *component;
    struct vcpu *vcpu; /* the vCPU it handles, or NULL */
    bool in_guest;     /* inside vcpu_run: the vCPU page's registers are live, not `registers` */
    /* scheduling */
    enum thread_state state;
    bool queued;    /* in its core's run queue: READY, not suspended, not stopped */
    bool suspended; /* by thread_control: not in the queue whatever its state */
    bool stopped;   /* after a fault, until it is restarted */
    uint8_t priority;
    uint32_t slot;                  /* index in core->threads, its bit in core->inbox */
    uint64_t budget, period;        /* ticks */
    uint64_t budget_left, started;  /* ticks; counter value when it got the core */
    uint64_t period_start;          /* counter value */
    struct thread *next, *previous; /* run queue */
    struct timer alarm;             /* timer_set */
    struct timer replenishment;     /* end of the period, when DEPLETED */
    /* shared */
    _Atomic uint64_t pending; /* signals */
    _Atomic uint32_t request; /* enum thread_request bits, taken by the owning core */
    _Atomic uint64_t
        new_share;         /* budget and period asked for, in one word: nobody sees half a change */
    _Atomic uint64_t life; /* what a restart passes on */
    /* its unfinished log line */
    uint32_t line_length;
    char line[QUOLL_DEBUG_LINE];
    uint64_t log_period;              /* when the present one began, in which it has logged */
    uint32_t log_lines, log_left_out; /* so many lines, and so many more than it may */
    uint64_t entry, stack;            /* where it begins, and begins anew */
    uint64_t begun;                   /* its present life */
    uint32_t number;                  /* in its component */
    uint32_t index;
};

enum thread_request {
    THREAD_REQUEST_SUSPEND = 1,
    THREAD_REQUEST_RESUME = 2,
    THREAD_REQUEST_BUDGET = 4,
    THREAD_REQUEST_STOP = 8, /* another thread of its component faulted */
    THREAD_REQUEST_RESTART = 16,
};

struct doorbell {
    ipaddr_t address;
    uint32_t size;
    struct channel *channel;
};

struct line {
    struct vm *vm;
    uint32_t intid;
};

struct vm {
    char name[QUOLL_NAME_SIZE];
    struct stage2 space;
    struct quoll_vm_interrupts *interrupts; /* shared with its VMM; never trusted */
    struct vcpu *vcpus;
    uint32_t vcpu_count;
    struct doorbell *doorbells;
    uint32_t doorbell_count;
    ipaddr_t paged_address;
    uint64_t paged_size;
    uint32_t index;
};

struct vcpu {
    struct quoll_vcpu_page *page; /* shared with its VMM; never trusted */
    struct vm *vm;
    struct thread *thread;
    uint32_t index;        /* in its VM */
    _Atomic uint32_t look; /* shared: interrupt state has changed, look at the interrupt page */
    struct arch_vcpu arch; /* system registers, list registers, FP state, virtual timer */
};

#define PRIORITIES 256

struct core {
    void *stack_top;        /* first: the vectors load it */
    void *panic_stack;      /* second: for an exception of the kernel itself */
    uint32_t index;         /* logical */
    struct thread *current; /* NULL: idle */
    struct thread *threads[QUOLL_MAX_THREADS_PER_CORE];
    uint32_t thread_count;
    uint64_t ready_priorities[PRIORITIES / 64];
    struct thread *ready[PRIORITIES]; /* first of a circular list */
    struct timer *timers;             /* soonest first */
    uint64_t deadline;                /* what the deadline interrupt is programmed to */
    uint64_t budget_end;              /* when the current thread's budget ends, or QUOLL_NEVER */
    bool reschedule;                  /* sched_next must be asked before the next return */
    _Atomic uint64_t inbox;           /* shared: bit n: look at threads[n] */
    struct quoll_log_ring *log;
    struct arch_core arch;
};

extern struct component components[QUOLL_MAX_COMPONENTS];
extern struct thread threads[QUOLL_MAX_THREADS];
extern struct object objects[QUOLL_MAX_OBJECTS];
extern struct channel channels[QUOLL_MAX_CHANNELS];
extern struct irq irqs[QUOLL_MAX_IRQS];
extern struct region regions[QUOLL_MAX_REGIONS];
extern struct vm vms[QUOLL_MAX_VMS];
extern struct vcpu vcpus[QUOLL_MAX_VCPUS];
extern struct doorbell doorbells[QUOLL_MAX_DOORBELLS];
extern struct line lines[QUOLL_MAX_LINES];
extern struct core cores[QUOLL_MAX_CORES];
extern uint32_t component_count, thread_count, region_count, vm_count, vcpu_count, irq_count,
    core_count;
extern struct image system_image;   /* the checked image: names and mappings, for reports */
extern struct channel *log_channel; /* raised when the log has grown, or NULL */

#endif
