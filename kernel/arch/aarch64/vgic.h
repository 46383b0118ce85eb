/*
 * Virtual interrupts: from the VM's interrupt page (quoll/abi.h) into the list registers of the virtual CPU interface
 * (IHI 0069, chapter 6), without the VMM.
 *
 * An interrupt waits in the page (`pending`, `level`) or, when it is the virtual timer's, in
 * timer_active, until the vCPU is entered with `look` set; vgic_sync then puts the most urgent ones into free list
 * registers, and the hardware does the rest: the guest acknowledges, ends and deactivates without an exit. Exceptions that
 * bring the kernel back (maintenance interrupt, then `look`): a level-triggered interrupt was deactivated, so its
 * level must be looked at anew; the list registers ran low while more interrupts waited.
 *
 * The virtual timer's list register is linked to the physical interrupt, which stays active, hence silent, until the
 * guest deactivates its virtual twin.
 *
 * What is only pending in a list register is taken back before each choice, so that what the guest has disabled
 * since, sent elsewhere or been given of higher priority takes effect. The page is shared with the VMM and
 * can hold anything: each word is read once, and no value in it names anything outside this VM.
 *
 * Not offered: group 0 interrupts (FIQ), priorities between list registers in use as `active` and
 * the rest when all are active, active state visible to the VMM.
 */
#ifndef VGIC_H
#define VGIC_H

#include "../../object.h"

/* Per core, at boot: how many list registers there are; all empty. */
void vgic_core_start(struct core *core);
/* The vCPU is loaded on this core: puts into list registers what is deliverable. */
void vgic_sync(struct core *core, struct vcpu *vcpu);
/* The vCPU's `look` is not set: whether it would take an interrupt now if it did not mask it by PSTATE. */
bool vgic_has_interrupt(struct vcpu *vcpu);
/* The world switch's part: list registers to memory and back. */
void vgic_unload(struct vcpu *vcpu);
void vgic_load(struct vcpu *vcpu);
/* The vCPU is not loaded: no interrupt in flight, none pending or enabled among its private ones. */
void vgic_reset(struct vcpu *vcpu);
/* After a maintenance interrupt: what was deactivated is free. */
void vgic_maintain(struct vcpu *vcpu);
/* The core has nothing to do: waits until an interrupt is pending for the kernel. */
void vgic_wait(const struct core *core);
/* A write to ICC_SGI1R_EL1. */
void vgic_send(struct core *core, struct vcpu *from, uint64_t value);

#endif
