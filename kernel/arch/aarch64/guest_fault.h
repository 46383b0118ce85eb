/* Aborts of a guest that stage 2 caused, and exceptions raised in a guest. The vCPU is loaded. */
#ifndef GUEST_FAULT_H
#define GUEST_FAULT_H

#include "trap.h"

/* A data or instruction abort from the guest: a doorbell, an exit to the VMM, or the guest's own fault. */
enum guest_action guest_fault_abort(struct core *core, struct vcpu *vcpu, uint64_t syndrome);
/* The MMIO exit in the vCPU page is answered; false: there is none that waits for an answer. */
bool guest_fault_finish(struct vcpu *vcpu);
/* Raise in the guest: a synchronous external abort for the exit in the vCPU page or for this syndrome and
 * address; an Undefined Instruction. */
void guest_fault_inject_abort(struct vcpu *vcpu, uint64_t syndrome, uint64_t virtual_address);
void guest_fault_inject_undefined(struct vcpu *vcpu);

#endif
