/* The simulated part of a core's and a vCPU's state: what the kernel told the machine, and what tests make the
 * machine answer. */
#ifndef ARCH_TYPES_H
#define ARCH_TYPES_H

#include <quoll/abi.h>
#include <stdbool.h>
#include <stdint.h>

struct thread;

struct arch_core {
    uint32_t interrupts; /* inter-processor interrupts sent to it and not served yet */
    uint64_t deadline;   /* as last set on it */
    struct thread *entered;
};

struct arch_vcpu {
    enum quoll_status prepare; /* what arch_vcpu_prepare() answers */
    bool has_interrupt;
};

#endif
