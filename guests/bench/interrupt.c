/* The benchmark guest's interrupts: one priority. */
#include "bench.h"

#define ICFGR_EDGE 2u

struct taken taken[CPUS_MAX];
volatile uint32_t reply_to = UINT32_MAX;
void (*volatile serve_device)(uint32_t intid);

void interrupts_start_cpu(void)
{
    gic_start_private();
    write32(gic_own_frame() + ISENABLER, 0xffffu | 1u << INTID_TIMER);
    gic_start_interface();
}

void interrupts_start(void)
{
    gic_start_distributor();
    interrupts_start_cpu();
}

static void set_bit(uint64_t registers, uint32_t intid)
{
    uint64_t address = registers + 4 * (intid / 32);
    write32(address, read32(address) | 1u << intid % 32);
}

void interrupt_enable(uint32_t intid)
{
    if (intid < 32) {
        write32(gic_own_frame() + ISENABLER, 1u << intid);
    } else {
        uint64_t configuration = GIC_DISTRIBUTOR + ICFGR + 4 * (intid / 16);
        uint32_t edge = ICFGR_EDGE << 2 * (intid % 16);
        set_bit(GIC_DISTRIBUTOR + IGROUPR, intid);
        write32(GIC_DISTRIBUTOR + IPRIORITYR + (intid & ~3u), PRIORITY * 0x01010101u);
        write32(configuration, read32(configuration) | edge);
        write32(GIC_DISTRIBUTOR + GICD_IROUTER + 8 * intid, 0);
        write32(GIC_DISTRIBUTOR + GICD_IROUTER + 8 * intid + 4, 0);
        write32(GIC_DISTRIBUTOR + ISENABLER + 4 * (intid / 32), 1u << intid % 32);
    }
    sync();
}

void timer_start(uint64_t due)
{
    write_system(cntv_cval_el0, due);
    write_system(cntv_ctl_el0, TIMER_ON);
    sync();
}

void sleep_until(uint64_t due)
{
    uint64_t masks = read_system(daif);
    interrupts_off(); /* so that the timer cannot be served before the CPU sleeps */
    while (counter() < due) {
        timer_start(due);
        wait_for_interrupt();
    }
    write_system(cntv_ctl_el0, 0);
    sync();
    write_system(daif, masks);
}

/* How far the tick `now`, read just before, had gone: its rest is counted in instructions, 4 in each turn. */
static uint64_t part_of_tick(uint64_t now)
{
    uint64_t next, turns = 0;
    __asm__ volatile("1: mrs %0, cntvct_el0; add %1, %1, #1; cmp %0, %2; b.eq 1b"
                     : "=&r"(next), "+r"(turns)
                     : "r"(now)
                     : "cc");
    return 4 * turns < PARTS ? PARTS - 4 * turns : 0;
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
    if (intid == INTID_TIMER) {
        own->part = part_of_tick(now);
        write_system(cntv_ctl_el0, 0);
    } else if (intid == SGI_PING && reply_to != UINT32_MAX) {
        sgi_send(SGI_REPLY, reply_to);
    } else if (intid >= 32 && serve_device != NULL) {
        serve_device(intid);
    }
    own->count = own->count + 1;
    sync();
    write_system(S3_0_C12_C12_1, intid); /* ICC_EOIR1_EL1 */
    sync();
}
