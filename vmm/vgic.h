/*
 * The guest's interrupt controller, as far as it is not in the kernel: GICv3 distributor and
 * redistributors without security extension (GICD_CTLR.DS = 1), LPIs or ITS.
 *
 * State lives in the interrupt page shared with the kernel (struct quoll_vm_interrupts), which delivers from it; what
 * only reads back lives here. Everything is changed with atomics, so every thread may call everything. After
 * a change that can make an interrupt deliverable the kernel is told to look.
 */
#ifndef VMM_VGIC_H
#define VMM_VGIC_H

#include "virt.h"
#include <quoll/abi.h>
#include <stdbool.h>

struct vgic {
    struct quoll_vm_interrupts *page;
    uint32_t vm; /* handle */
    uint32_t vcpu_count;
    uint32_t control;                  /* GICD_CTLR, writable bits */
    uint64_t edge[QUOLL_VM_SPIS / 64]; /* GICD_ICFGR: 1 edge-triggered */
    uint32_t ppi_edge[QUOLL_MAX_VCPUS_PER_VM];
    uint32_t waker[QUOLL_MAX_VCPUS_PER_VM]; /* GICR_WAKER.ProcessorSleep */
};

void vgic_start(struct vgic *vgic, struct quoll_vm_interrupts *page, uint32_t vm,
                uint32_t vcpu_count);
/* The same for a guest that goes on: nothing is reset. */
void vgic_resume(struct vgic *vgic, struct quoll_vm_interrupts *page, uint32_t vm,
                 uint32_t vcpu_count);
/* As after power-on. No vCPU may run. */
void vgic_reset(struct vgic *vgic);

/* Accesses of the guest; the address is the offset in the distributor, or in all redistributors. Reserved
 * registers and sizes that a register does not have read as zero and ignore writes (as QEMU's). */
void vgic_distributor(struct vgic *vgic, struct access *access);
void vgic_redistributor(struct vgic *vgic, struct access *access);

/* Device models: an edge on, or the level of, an SPI's input. */
void vgic_pulse(struct vgic *vgic, uint32_t intid);
void vgic_level(struct vgic *vgic, uint32_t intid, bool asserted);

#endif
