/*
 * The simulated machine, as tests drive it.
 *
 * Cores are structures, one of which is "this core" at a time; nothing runs by itself. An inter-processor interrupt is a count
 * that host_interrupts_deliver() turns into inbox_serve(). The counter stands still until a test moves it, or has it move with each look.
 * Physical addresses are the process's own.
 */
#ifndef HOST_H
#define HOST_H

#include "object.h"
#include <setjmp.h>

#define HOST_CONSOLE_BYTES 16384u
#define HOST_INTIDS 1024u

struct host {
    uint64_t now;
    uint64_t ticks_per_look; /* how far the counter goes on each time it is read */
    uint64_t frequency;
    struct core *core; /* the one that "runs" */
    char console[HOST_CONSOLE_BYTES];
    size_t console_length;
    struct core *irq_core[HOST_INTIDS]; /* where arch_irq_enable() routed each SPI */
    uint32_t deactivated[HOST_INTIDS];
    uint32_t tlb_invalidations;
    /* A stop of the machine jumps here, with the operation as value; unset: the process aborts. */
    jmp_buf stopped;
    bool catches_stop;
};

enum host_stop { HOST_RUNS, HOST_OFF, HOST_RESET, HOST_HALT };

extern struct host host;

/* Everything to its state before boot: objects, log, clock; `core_count` cores. */
void host_reset(uint32_t core_count);
/* Serves inter-processor interrupts until no core has any. */
void host_interrupts_deliver(void);
/* Moves the clock, then lets the core's deadline interrupt fire if it is due. */
void host_advance(struct core *core, uint64_t ticks);

#endif
