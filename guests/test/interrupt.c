/* A minimal GICv3 driver: group 1, one priority mask, EOImode 0. */
#include "vcpu.h"

#define GICD_CTLR (GIC_DISTRIBUTOR + 0)
#define GICD_CTLR_ENABLE 0x12u /* EnableGrp1, ARE */
#define GICR_STRIDE 0x20000UL
#define GICR_WAKER 0x14
#define GICR_WAKER_SLEEP 2u
#define GICR_SGI_FRAME 0x10000UL
#define IGROUPR 0x80
#define ISENABLER 0x100
#define ICENABLER 0x180
#define IPRIORITYR 0x400

#define CNTV_OFF 0
#define SGI_REPLY 2u

struct taken taken[CPUS_MAX];
volatile bool stop_timers = true;
volatile uint32_t reply_sgi_to = UINT32_MAX;

static uint64_t own_frame(void)
{
    return GIC_REDISTRIBUTOR + this_cpu() * GICR_STRIDE;
}

void interrupts_start_cpu(void)
{
    uint64_t frame = own_frame();
    write32(frame + GICR_WAKER, read32(frame + GICR_WAKER) & ~GICR_WAKER_SLEEP);
    write32(frame + GICR_SGI_FRAME + IGROUPR, UINT32_MAX);
    for (uint32_t intid = 0; intid < 32; intid++) {
        interrupt_priority(intid, 0xa0);
    }
    write32(frame + GICR_SGI_FRAME + ISENABLER, 0xffffu);
    write_system(S3_0_C12_C12_5, 7); /* ICC_SRE_EL1 */
    sync();
    write_system(S3_0_C4_C6_0, 0xf0); /* ICC_PMR_EL1 */
    write_system(S3_0_C12_C12_3, 0);  /* ICC_BPR1_EL1 */
    write_system(S3_0_C12_C12_4, 0);  /* ICC_CTLR_EL1: EOImode 0 */
    write_system(S3_0_C12_C12_7, 1);  /* ICC_IGRPEN1_EL1 */
    sync();
}

void interrupts_start(void)
{
    write32(GICD_CTLR, GICD_CTLR_ENABLE);
    interrupts_start_cpu();
}

void interrupt_enable(uint32_t intid, bool enable)
{
    write32(own_frame() + GICR_SGI_FRAME + (enable ? ISENABLER : ICENABLER), 1u << intid);
    sync();
}

void interrupt_priority(uint32_t intid, uint8_t priority)
{
    uint64_t address = own_frame() + GICR_SGI_FRAME + IPRIORITYR + (intid & ~3u);
    uint32_t shift = intid % 4 * 8;
    write32(address, (read32(address) & ~(0xffu << shift)) | (uint32_t)priority << shift);
}

void sgi_send(uint32_t intid, uint32_t cpu)
{
    __asm__ volatile("dsb sy" ::: "memory");
    write_system(S3_0_C12_C11_5, (uint64_t)intid << 24 | 1u << cpu); /* ICC_SGI1R_EL1 */
    __asm__ volatile("isb" ::: "memory");
}

void interrupt_serve(void)
{
    struct taken *own = &taken[this_cpu()];
    uint32_t intid = (uint32_t)read_system(S3_0_C12_C12_0); /* ICC_IAR1_EL1 */
    uint64_t now = counter();
    if (intid >= INTID_NONE) {
        return;
    }
    own->at = now;
    own->last[own->count % 16] = intid;
    own->count = own->count + 1;
    if (intid == INTID_TIMER && stop_timers) {
        write_system(cntv_ctl_el0, CNTV_OFF);
    }
    if (intid == INTID_PHYSICAL_TIMER) {
        write_system(cntp_ctl_el0, CNTV_OFF);
    }
    if (intid == 1 && reply_sgi_to != UINT32_MAX) {
        sgi_send(SGI_REPLY, reply_sgi_to);
    }
    sync();
    write_system(S3_0_C12_C12_1, intid); /* ICC_EOIR1_EL1 */
    sync();
}
