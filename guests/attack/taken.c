/* Interrupts of attacker and victim, who find the controller in whatever state an attack has left it. */
#include "attack.h"

volatile uint32_t taken[1024];
volatile uint32_t taken_strange;
volatile bool timer_stays;
volatile uint64_t storm_end = UINT64_MAX;

void interrupts_start(void)
{
    write32(gic_own_frame() + ICENABLER, UINT32_MAX);
    write32(gic_own_frame() + ICPENDR, UINT32_MAX);
    gic_start_private();
    for (uint32_t word = 1; word <= SPIS / 32; word++) {
        write32(GIC_DISTRIBUTOR + ICENABLER + 4 * word, UINT32_MAX);
        write32(GIC_DISTRIBUTOR + ICPENDR + 4 * word, UINT32_MAX);
        write32(GIC_DISTRIBUTOR + IGROUPR + 4 * word, UINT32_MAX);
    }
    write32(PL011_IMSC, 0);
    gic_start_distributor();
    storm_end = UINT64_MAX;
    gic_start_interface();
    for (uint32_t n = 0; n < 64; n++) { /* what was pending in the interface, or active */
        uint32_t intid = (uint32_t)read_system(S3_0_C12_C12_0);
        if (intid >= INTID_SPECIAL) {
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
    if (intid >= INTID_SPECIAL) {
        taken_strange = taken_strange + (intid >= 1024);
        return;
    }
    taken[intid] = taken[intid] + 1;
    if (intid == INTID_TIMER && !timer_stays) {
        write_system(cntv_ctl_el0, 0);
    }
    if (counter() > storm_end) {
        write_system(S3_0_C12_C12_7, 0); /* ICC_IGRPEN1_EL1 */
    }
    sync();
    write_system(S3_0_C12_C12_1, intid); /* ICC_EOIR1_EL1 */
    sync();
}
