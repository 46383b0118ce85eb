/* A vCPU's parts of this folder among themselves; trap.h and kernel/arch.h have what others call. */
#ifndef VCPU_H
#define VCPU_H

#include "trap.h"

/* Indices of the counters in quoll_vcpu_page.exits */
enum vcpu_counter {
    EXITS_ALL,
    EXITS_TO_VMM,
    EXITS_INTERRUPT,
    EXITS_IDLE,
    EXITS_SGI,
    EXITS_DOORBELL,
    EXITS_SYSTEM_REGISTER,
    EXITS_TIMER,
};

#define ESR_INSTRUCTION_LONG (UINT64_C(1) << 25) /* ESR_ELx.IL: 4 bytes, else 2 */

/* The guest goes on after the instruction that trapped. */
static inline void vcpu_skip(struct vcpu *vcpu, uint64_t syndrome)
{
    vcpu->page->registers.pc += syndrome & ESR_INSTRUCTION_LONG ? 4 : 2;
}

#endif
