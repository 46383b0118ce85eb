/* The test guest's interrupts; each has a priority of its own. */
#include "vcpu.h"

#define CNTV_OFF 0
#define SGI_REPLY 2u

struct taken taken[CPUS_MAX];
volatile bool stop_timers = true;
volatile uint32_t reply_sgi_to = UINT32_MAX;

void interrupts_start_cpu(void)
{
    gic_start_private();
    write32(gic_own_frame() + ISENABLER, 0xffffu);
    gic_start_interface();
}

void interrupts_start(void)
{
    gic_start_distributor();
    interrupts_start_cpu();
}

void interrupt_enable(uint32_t intid, bool enable)
{
    write32(gic_own_frame() + (enable ? ISENABLER : ICENABLER), 1u << intid);
    sync();
}

void interrupt_priority(uint32_t intid, uint8_t priority)
{
    uint64_t address = gic_own_frame() + IPRIORITYR + (intid & ~3u);
    uint32_t shift = intid % 4 * 8;
    write32(address, (read32(address) & ~(0xffu << shift)) | (uint32_t)priority << shift);
}

void interrupt_serve(void)
{
    struct taken *own = &taken[this_cpu()];
    uint32_t intid = (uint32_t)read_system(S3_0_C12_C12_0); /* ICC_IAR1_EL1 */
    uint64_t now = counter();
    if (intid >= INTID_SPECIAL) {
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
