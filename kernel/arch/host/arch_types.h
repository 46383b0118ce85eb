/* The simulated part of a core's and a vCPU's state: what the kernel told the machine, and what tests make the
 * machine answer. */
#ifndef ARCH_TYPES_H
#define ARCH_TYPES_H

#include <quoll/abi.h>
#include <stdbool.h>
#include <stdint.h>

struct thread;

struct arch_core {
    _Atomic uint32_t interrupts; /* inter-processor interrupts sent to it and not served yet */
    _Atomic uint64_t devices;    /* bit n: irqs[n] waits to be taken */
    uint64_t deadline;           /* as last set on it */
    struct thread *entered;      /* whose address space it has; NULL: idle */
};

#define HOST_LIST_REGISTERS 4u

struct arch_vcpu {
    enum quoll_status prepare; /* what arch_vcpu_prepare() answers */
    bool has_interrupt;        /* as if its timer had fired */
    /* List registers in use, and the interrupts in them. */
    uint32_t used;
    uint16_t intid[HOST_LIST_REGISTERS];
};

#endif
