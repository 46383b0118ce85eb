/* The guest's GICv3 (IHI 0069, chapter 12): register names, and what every small guest does with it. Group 1, EOImode 0. */
#ifndef GUEST_GIC_H
#define GUEST_GIC_H

#include "cpu.h"
#include "guest.h"

#define GICD_CTLR (GIC_DISTRIBUTOR + 0)
#define GICD_CTLR_ENABLE 0x12u /* EnableGrp1, ARE */
#define GICD_IROUTER 0x6000UL
#define GICR_STRIDE 0x20000UL
#define GICR_WAKER 0x14
#define GICR_WAKER_SLEEP 2u
#define GICR_SGI_FRAME 0x10000UL
/* In the distributor, and in the SGI frame of a redistributor. */
#define IGROUPR 0x80UL
#define ISENABLER 0x100UL
#define ICENABLER 0x180UL
#define ISPENDR 0x200UL
#define ICPENDR 0x280UL
#define IPRIORITYR 0x400UL
#define ICFGR 0xc00UL
#define PRIORITY 0xa0u
#define INTID_TIMER 27u
#define INTID_SPECIAL 1020u /* from here on INTIDs mean: none */
#define INTID_NONE 1023u

#define TIMER_ON 1 /* CNTV_CTL_EL0 */

static inline uint64_t gic_redistributor(void)
{
    return GIC_REDISTRIBUTOR + this_cpu() * GICR_STRIDE;
}

/* The frame of this CPU's private interrupts. */
static inline uint64_t gic_own_frame(void)
{
    return gic_redistributor() + GICR_SGI_FRAME;
}

static inline void sgi_send(uint32_t intid, uint32_t cpu)
{
    __asm__ volatile("dsb sy" ::: "memory");
    write_system(S3_0_C12_C11_5, (uint64_t)intid << 24 | 1u << cpu); /* ICC_SGI1R_EL1 */
    __asm__ volatile("isb" ::: "memory");
}

/* Hidden, so that no address goes through a table that nobody relocates. */
#pragma GCC visibility push(hidden)

/* This CPU's private interrupts: awake, in group 1, of one priority; none enabled. */
void gic_start_private(void);
/* This CPU's interface takes group 1 interrupts of all priorities in use. */
void gic_start_interface(void);
/* The distributor forwards group 1. */
void gic_start_distributor(void);

#pragma GCC visibility pop

#endif
