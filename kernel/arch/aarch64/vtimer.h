/*
 * A vCPU's timers.
 *
 * The virtual timer (CNTV) is the hardware's: the guest programs it without an exit and CNTVOFF_EL2 is always 0. Its
 * interrupt arrives here, stays active, and is handed on through a linked list register (vgic.h). While the vCPU is
 * not loaded, a timer of the kernel wakes its thread when CNTV would fire; loading it restores CNTV,
 * which then fires by itself.
 *
 * The EL1 physical timer (CNTP) is trapped and emulated by a timer of the kernel, for the few guests that
 * prefer it: its interrupt, PPI 30, is a level in the interrupt page like a device model's.
 */
#ifndef VTIMER_H
#define VTIMER_H

#include "../../object.h"

void vtimer_core_start(void);
/* The loaded vCPU's virtual timer asserts its interrupt and no list register has it. */
bool vtimer_waits(struct vcpu *vcpu);
/* The world switch's part, after world_save and before world_load. */
void vtimer_unload(struct core *core, struct vcpu *vcpu);
void vtimer_load(struct core *core, struct vcpu *vcpu);
/* The vCPU is not loaded: both timers off. */
void vtimer_reset(struct core *core, struct vcpu *vcpu);

/* CNTP_CTL_EL0, CNTP_CVAL_EL0, CNTP_TVAL_EL0 of the guest. */
uint64_t vtimer_physical_control(const struct vcpu *vcpu);
uint64_t vtimer_physical_value(const struct vcpu *vcpu);
void vtimer_physical_set(struct core *core, struct vcpu *vcpu, uint64_t control, uint64_t value);

#endif
