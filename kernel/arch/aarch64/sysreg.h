/*
 * System registers that a guest cannot have in hardware, and the CPU that it sees.
 *
 * A guest reads the ID registers of its host CPU with everything hidden that Quoll does not switch or does not virtualize
 * (SVE, SME, MTE, RAS, performance monitors, statistical profiling, trace, activity monitors, virtualization, timed WFI).
 *
 *     debug, OS lock, ACTLR_EL1   read as zero, writes ignored: no breakpoint or single step is ever armed
 *     DC ISW, CSW, CISW           ignored: caches are coherent, and no VM may flush another's
 *     ICC_SGI1R_EL1               sent here; groups 0 and secure 1 do not exist
 *     CNTP_*                      emulated (vtimer.h)
 *     anything else that traps    Undefined Instruction
 */
#ifndef SYSREG_H
#define SYSREG_H

#include "trap.h"

/* At boot, before vcpu_core_start() on any core: makes the guests' view of the CPU, from this core's registers; all cores are taken to be alike. */
void sysreg_start(void);
uint32_t sysreg_extras(void); /* enum world_extras: what of them the CPU has */
/* A trapped MSR, MRS or SYS instruction. false: not one that the guest may use. Does not move pc. */
bool sysreg_access(struct core *core, struct vcpu *vcpu, uint64_t syndrome);

#endif
