/*
 * Life of a VM, as its VMM tells the supervisor: one region "status" per VM, written by the VMM, which
 * then signals the supervisor. The supervisor answers with a signal when `wish` has changed.
 */
#ifndef QUOLL_LIFE_H
#define QUOLL_LIFE_H

#include <stdint.h>

enum vm_state {
    VM_STARTING,
    VM_RUNNING,
    VM_OFF,    /* the guest called PSCI SYSTEM_OFF */
    VM_FAILED, /* it cannot run; `message` tells why and what to do */
};

enum vm_wish { VM_WISH_NONE, VM_WISH_RESET, VM_WISH_OFF };

struct vm_status {
    uint32_t state;  /* enum vm_state, by the VMM */
    uint32_t wish;   /* enum vm_wish, by the supervisor */
    uint32_t resets; /* how often the guest was reset */
    uint32_t reserved;
    char message[240]; /* zero-terminated */
};

#endif
