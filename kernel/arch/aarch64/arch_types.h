/* The AArch64 part of a core's and a vCPU's state. */
#ifndef ARCH_TYPES_H
#define ARCH_TYPES_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

struct arch_core {
    uint64_t mpidr;          /* affinity fields of MPIDR_EL1 */
    uintptr_t redistributor; /* GICR RD frame of this core */
    struct vcpu *loaded;     /* whose EL1 state is in the registers, or NULL */
    struct vcpu *fp_owner;   /* whose FP state is in the registers, or NULL */
    uint64_t vttbr, hcr,
        cptr; /* what VTTBR_EL2, HCR_EL2, CPTR_EL2 hold: written only when changed */
};

struct arch_vcpu {
    uint64_t placeholder; /* system registers, list registers, FP state, virtual timer */
};

#endif
