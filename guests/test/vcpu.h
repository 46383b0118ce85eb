/* What the parts of the vCPU test guest share. */
#ifndef VCPU_TEST_H
#define VCPU_TEST_H

#include "gic.h"

#define CPUS_MAX 8
#define INTID_PHYSICAL_TIMER 30u

/* Hidden, so that no address goes through a table that nobody relocates. */
#pragma GCC visibility push(hidden)

/* interrupt.c: the guest's own GICv3 driver. Each CPU remembers what it took. */
struct taken {
    volatile uint32_t count;    /* interrupts so far */
    volatile uint32_t last[16]; /* INTIDs, the newest at (count - 1) % 16 */
    volatile uint64_t at;       /* counter value when the newest arrived */
};
extern struct taken taken[CPUS_MAX];
extern volatile bool
    stop_timers; /* the handler switches the timer off, else its owner sets it anew */
extern volatile uint32_t reply_sgi_to; /* CPU that SGI 1 is answered to by SGI 2, or UINT32_MAX */

void interrupts_start(void);
void interrupts_start_cpu(void);
void interrupt_enable(uint32_t intid, bool enable);
void interrupt_priority(uint32_t intid, uint8_t priority);
void interrupt_serve(void);

/* state.S: fills FP, SIMD and EL1 registers with values made of `seed`, and counts those that are not
 * what the seed made them. */
void state_fill(uint64_t seed);
uint64_t state_wrong(uint64_t seed);
/* The same for the pointer authentication keys, where the CPU has them. */
void state_fill_keys(uint64_t seed);
uint64_t state_wrong_keys(uint64_t seed);

/* state.S: where PSCI starts a secondary CPU. */
void cpu_entry(void);

#pragma GCC visibility pop

#endif
