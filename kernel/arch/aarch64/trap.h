/*
 * What happens when a core enters EL2 from below, and the contract between the vectors and the parts of this folder.
 *
 * The kernel is event-driven: one stack per core, interrupts masked all along. While a thread runs, SP_EL2
 * points to where its registers go (struct quoll_registers: the thread's own, or the vCPU page's when it is in
 * its guest) and TPIDR_EL2 to its struct core. The vectors (vectors.S) store the registers there, switch to the core's stack and
 * call trap_sync or trap_interrupt, which return the registers to resume.
 */
#ifndef TRAP_H
#define TRAP_H

#include "object.h"

struct quoll_registers *trap_sync(struct core *core, uint64_t syndrome);
struct quoll_registers *trap_interrupt(struct core *core);
/* Leaves boot: runs the core's threads; waits for interrupts when there is nothing to run. */
_Noreturn void core_run(struct core *core);

/* The modes below EL2 that this machine has: a bit for each value of SPSR_EL2[5:0]. resume() returns to no other. */
extern uint64_t allowed_modes;
static inline bool trap_mode_allowed(uint64_t pstate)
{
    return (allowed_modes >> (pstate & 0x3f) & 1) != 0;
}

/* vcpu.c: a synchronous exception from a guest. */
enum guest_action {
    GUEST_RESUME, /* served in the kernel: go on (the scheduler is asked again if it must be) */
    GUEST_EXIT,   /* the vCPU page tells the VMM why */
    GUEST_IDLE,   /* WFI with nothing deliverable */
};
enum guest_action vcpu_trap(struct core *core, struct vcpu *vcpu, uint64_t syndrome);
/* The way out of the kernel: the guest's, or the component thread's address space and mode become the core's. Return the
 * registers to resume. A vCPU stays loaded (system registers, list registers, virtual timer, FP state) while its VMM or other
 * components run, until another vCPU is entered on the core. */
struct quoll_registers *vcpu_enter(struct core *core, struct vcpu *vcpu);
struct quoll_registers *vcpu_leave(struct core *core, struct thread *thread);
/* Physical PPIs that concern the loaded vCPU. The interrupt is acknowledged and its priority
 * dropped; deactivation is the callee's. */
void vcpu_timer_interrupt(struct core *core);
void vcpu_maintenance_interrupt(struct core *core);
/* Per core, at boot: control registers that never change, number of list registers, features. */
void vcpu_core_start(struct core *core);

/* gic.c */
#define GIC_SPECIAL 1020u  /* INTIDs from here up to GIC_EXTENDED are no interrupts */
#define GIC_EXTENDED 1024u /* from here on they are, though none that the kernel has enabled */
#define GIC_SGI_INBOX 0u
#define GIC_PPI_MAINTENANCE 25u
#define GIC_PPI_DEADLINE 26u /* CNTHP */
#define GIC_PPI_VIRTUAL_TIMER 27u
uint32_t gic_acknowledge(void); /* ICC_IAR1_EL1 */
void gic_drop(uint32_t intid);  /* priority drop (ICC_EOIR1_EL1, EOImode 1) */
void gic_deactivate(uint32_t intid);

#endif
