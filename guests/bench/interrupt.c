/* A minimal GICv3 driver: group 1, one priority, EOImode 0. */
#include "bench.h"

#define GICD_CTLR (GIC_DISTRIBUTOR + 0)
#define GICD_CTLR_ENABLE 0x12u /* EnableGrp1, ARE */
#define GICD_IROUTER 0x6000u
#define GICR_STRIDE 0x20000UL
#define GICR_WAKER 0x14
#define GICR_WAKER_SLEEP 2u
#define GICR_SGI_FRAME 0x10000UL
#define IGROUPR 0x80u
#define ISENABLER 0x100u
#define IPRIORITYR 0x400u
#define ICFGR 0xc00u
#define ICFGR_EDGE 2u
#define PRIORITY 0xa0a0a0a0u
#define INTID_SPECIAL 1020u
#define TIMER_ON 1

struct taken taken[CPUS_MAX];
volatile uint32_t reply_to = UINT32_MAX;
void (*volatile serve_device)(uint32_t intid);

static uint64_t own_frame(void)
{
    return GIC_REDISTRIBUTOR + this_cpu() * GICR_STRIDE;
}

void interrupts_start_cpu(void)
{
    uint64_t frame = own_frame();
    write32(frame + GICR_WAKER, read32(frame + GICR_WAKER) & ~GICR_WAKER_SLEEP);
    write32(frame + GICR_SGI_FRAME + IGROUPR, UINT32_MAX);
    for (uint32_t word = 0; word < 8; word++) {
        write32(frame + GICR_SGI_FRAME + IPRIORITYR + 4 * word, PRIORITY);
    }
    write32(frame + GICR_SGI_FRAME + ISENABLER, 0xffffu | 1u << INTID_TIMER);
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

static void set_bit(uint64_t registers, uint32_t intid)
{
    uint64_t address = registers + 4 * (intid / 32);
    write32(address, read32(address) | 1u << intid % 32);
}

void interrupt_enable(uint32_t intid)
{
    if (intid < 32) {
        write32(own_frame() + GICR_SGI_FRAME + ISENABLER, 1u << intid);
    } else {
        uint64_t configuration = GIC_DISTRIBUTOR + ICFGR + 4 * (intid / 16);
        uint32_t edge = ICFGR_EDGE << 2 * (intid % 16);
        set_bit(GIC_DISTRIBUTOR + IGROUPR, intid);
        write32(GIC_DISTRIBUTOR + IPRIORITYR + (intid & ~3u), PRIORITY);
        write32(configuration, read32(configuration) | edge);
        write32(GIC_DISTRIBUTOR + GICD_IROUTER + 8 * intid, 0);
        write32(GIC_DISTRIBUTOR + GICD_IROUTER + 8 * intid + 4, 0);
        write32(GIC_DISTRIBUTOR + ISENABLER + 4 * (intid / 32), 1u << intid % 32);
    }
    sync();
}

void sgi_send(uint32_t intid, uint32_t cpu)
{
    __asm__ volatile("dsb sy" ::: "memory");
    write_system(S3_0_C12_C11_5, (uint64_t)intid << 24 | 1u << cpu); /* ICC_SGI1R_EL1 */
    __asm__ volatile("isb" ::: "memory");
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
