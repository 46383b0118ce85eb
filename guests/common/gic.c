/* Starting the guest's GICv3; see gic.h. */
#include "gic.h"

void gic_start_private(void)
{
    uint64_t waker = gic_redistributor() + GICR_WAKER;
    write32(waker, read32(waker) & ~GICR_WAKER_SLEEP);
    write32(gic_own_frame() + IGROUPR, UINT32_MAX);
    for (uint32_t intid = 0; intid < 32; intid += 4) {
        write32(gic_own_frame() + IPRIORITYR + intid, PRIORITY * 0x01010101u);
    }
}

void gic_start_interface(void)
{
    write_system(S3_0_C12_C12_5, 7); /* ICC_SRE_EL1 */
    sync();
    write_system(S3_0_C4_C6_0, 0xf0); /* ICC_PMR_EL1 */
    write_system(S3_0_C12_C12_3, 0);  /* ICC_BPR1_EL1 */
    write_system(S3_0_C12_C12_4, 0);  /* ICC_CTLR_EL1: EOImode 0 */
    write_system(S3_0_C12_C12_7, 1);  /* ICC_IGRPEN1_EL1 */
    sync();
}

void gic_start_distributor(void)
{
    write32(GICD_CTLR, GICD_CTLR_ENABLE);
}
