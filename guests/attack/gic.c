/* A minimal GICv3 driver for attacker and victim: group 1, EOImode 0. */
#include "attack.h"
#include "gic.h"

volatile uint32_t taken[1024];
volatile uint32_t taken_strange;
volatile bool timer_stays;
volatile uint64_t storm_end = UINT64_MAX;

uint64_t own_frame(void)
{
    return GIC_REDISTRIBUTOR + this_cpu() * REDISTRIBUTOR_STRIDE + GICR_SGI_FRAME;
}

static void interface_start(void)
{
    storm_end = UINT64_MAX;
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
    uint64_t redistributor = GIC_REDISTRIBUTOR + this_cpu() * REDISTRIBUTOR_STRIDE;
    write32(redistributor + GICR_WAKER, read32(redistributor + GICR_WAKER) & ~GICR_WAKER_SLEEP);
    write32(own_frame() + ICENABLER, UINT32_MAX);
    write32(own_frame() + ICPENDR, UINT32_MAX);
    write32(own_frame() + IGROUPR, UINT32_MAX);
    for (uint32_t word = 1; word <= SPIS / 32; word++) {
        write32(GIC_DISTRIBUTOR + ICENABLER + 4 * word, UINT32_MAX);
        write32(GIC_DISTRIBUTOR + ICPENDR + 4 * word, UINT32_MAX);
        write32(GIC_DISTRIBUTOR + IGROUPR + 4 * word, UINT32_MAX);
    }
    for (uint32_t intid = 0; intid < 32; intid += 4) {
        write32(own_frame() + IPRIORITYR + intid, 0xa0a0a0a0);
    }
    write32(PL011_IMSC, 0);
    write32(GICD_CTLR, GICD_CTLR_ENABLE);
    interface_start();
    for (uint32_t n = 0; n < 64; n++) { /* what was pending in the interface, or active */
        uint32_t intid = (uint32_t)read_system(S3_0_C12_C12_0);
        if (intid >= SPECIAL) {
            break;
        }
        write_system(S3_0_C12_C12_1, intid);
    }
    write_system(S3_0_C12_C8_4, 0); /* ICC_AP0R0_EL1 */
    write_system(S3_0_C12_C9_0, 0); /* ICC_AP1R0_EL1 */
    sync();
}

void interrupt_take(void)
{
    uint32_t intid = (uint32_t)read_system(S3_0_C12_C12_0); /* ICC_IAR1_EL1 */
    if (intid >= SPECIAL) {
        taken_strange = taken_strange + (intid >= 1024);
        return;
    }
    taken[intid] = taken[intid] + 1;
    if (intid == TIMER && !timer_stays) {
        write_system(cntv_ctl_el0, 0);
    }
    if (counter() > storm_end) {
        write_system(S3_0_C12_C12_7, 0); /* ICC_IGRPEN1_EL1 */
    }
    sync();
    write_system(S3_0_C12_C12_1, intid); /* ICC_EOIR1_EL1 */
    sync();
}
