/* The AArch64 part of a core's and a vCPU's state. */
#ifndef ARCH_TYPES_H
#define ARCH_TYPES_H

#include "world.h"
#include <stdbool.h>
#include <stdint.h>

struct component;
struct vcpu;

struct arch_core {
    uint64_t mpidr;          /* affinity fields of MPIDR_EL1 */
    uintptr_t redistributor; /* GICR RD frame of this core */
    struct vcpu *loaded;     /* whose EL1 state is in the registers, or NULL */
    struct vcpu *fp_owner;   /* whose FP state is in the registers, or NULL */
    /* Whose HCR_EL2, VTTBR_EL2 and CPTR_EL2 are in the registers: a guest's or a component's, the
     * other is NULL. The registers are written only when this changes. */
    struct vcpu *entered_guest;
    const struct component *entered_component;
    uint64_t vttbr, cptr; /* what VTTBR_EL2 and CPTR_EL2 hold */
    /* set by vcpu_core_start */
    uint64_t hcr_guest, hcr_component;
    uint32_t list_registers; /* bit n: the core has list register n */
    uint32_t extras;         /* enum world_extras */
    /* by VM: whose stage-1 translations the TLB may hold under the VM's VMID; see vcpu.c */
    struct vcpu *translations[QUOLL_MAX_VMS];
    /* what of the loaded vCPU's registers is replaced while components run: see vcpu.c */
    bool controls_hidden, thread_pointers_hidden;
    bool exposed; /* nothing is, because no component was entered since the guest was */
};

#define LIST_REGISTERS_MAX 16 /* ICH_VTR_EL2.ListRegs (IHI 0069, 12.4.11) */

/* In the core's registers while the vCPU is loaded (FP: while it is the owner), else here. */
struct arch_vcpu {
    struct world world;
    struct fp_registers fp;
    uint32_t unfinished; /* syndrome of the MMIO exit that the VMM has not answered, or 0 */
    /* vgic.c */
    uint64_t list[LIST_REGISTERS_MAX];
    uint16_t intid[LIST_REGISTERS_MAX]; /* of the list registers in use */
    uint32_t used;    /* bit n: list register n was filled and has not been seen empty since */
    uint32_t latched; /* bit n: list register n came from a `pending` bit, not only from `level` */
    bool refill;      /* more interrupts wait than there are list registers */
    /* vtimer.c */
    bool timer_active;  /* the physical interrupt of CNTV is active on this vCPU's behalf */
    bool timer_in_list; /* a list register linked to it is in use */
    uint64_t cntp_ctl, cntp_cval; /* the emulated EL1 physical timer */
};

#endif
