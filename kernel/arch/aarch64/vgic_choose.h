/*
 * Which interrupts of a VM's interrupt page a vCPU should get next. Pure: reads only the page it is given,
 * which may change at any moment and hold anything, and writes only the choices.
 */
#ifndef VGIC_CHOOSE_H
#define VGIC_CHOOSE_H

#include <quoll/abi.h>
#include <stdbool.h>

#define VGIC_PRIVATE 32u /* INTIDs below are SGIs and PPIs */
#define VGIC_TIMER 27u   /* the virtual timer's PPI: the kernel's, whatever the page says */
#define VGIC_INTIDS (VGIC_PRIVATE + QUOLL_VM_SPIS)
#define VGIC_CHOICES_MAX 16u

struct vgic_query {
    const struct quoll_vm_interrupts *page;
    uint32_t vcpu;         /* index in its VM, below QUOLL_MAX_VCPUS_PER_VM */
    bool timer;            /* the virtual timer asserts its interrupt */
    const uint16_t *intid; /* of the list registers in `used`: not to be chosen again */
    uint32_t used;
};

struct vgic_choices {
    uint32_t room; /* at most this many, up to VGIC_CHOICES_MAX */
    uint32_t count;
    bool more; /* others are deliverable, too */
    struct {
        uint16_t intid;
        uint8_t priority;
    } best[VGIC_CHOICES_MAX]; /* highest priority (lowest value) first, then lowest INTID */
};

/* Fills in count, more and best. Only group 1 interrupts are ever chosen. */
void vgic_choose(const struct vgic_query *query, struct vgic_choices *choices);

/* The vCPUs (bit n: index n) that a write to ICC_SGI1R_EL1 addresses (IHI 0069, 12.2.21). */
uint32_t vgic_sgi_targets(uint64_t value, uint32_t self, uint32_t vcpu_count);

#endif
