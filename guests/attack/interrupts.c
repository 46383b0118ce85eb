/* Attacks on and by interrupts. */
#include "attack.h"

static void clear_taken(void)
{
    taken_strange = 0;
    for (uint32_t intid = 0; intid < 1024; intid++) {
        taken[intid] = 0;
    }
}

static void listen_for(uint64_t ticks)
{
    __asm__ volatile("msr daifclr, #2; isb" ::: "memory");
    spin_for(ticks);
    __asm__ volatile("msr daifset, #2; isb" ::: "memory");
}

static void enable_everything(void)
{
    for (uint32_t word = 1; word < 32; word++) {
        write32(GIC_DISTRIBUTOR + IGROUPR + 4 * word, UINT32_MAX);
        write32(GIC_DISTRIBUTOR + ISENABLER + 4 * word, UINT32_MAX);
    }
    write32(gic_own_frame() + IGROUPR, UINT32_MAX);
    write32(gic_own_frame() + ISENABLER, UINT32_MAX);
}

/* Enables every interrupt there is, the host's timers and devices by number too, and routes them to itself: none may come. */
void attack_foreign_interrupts(struct outcome *outcome)
{
    clear_taken();
    enable_everything();
    uint32_t priority = read32(gic_own_frame() + IPRIORITYR);
    for (uint32_t spi = 0; spi < 988; spi++) {
        uint32_t nowhere = 0xffff; /* for interrupts that this distributor does not have */
        write32(GIC_DISTRIBUTOR + GICD_IROUTER + 8 * (32 + spi), spi < SPIS ? 0 : nowhere);
    }
    outcome_add(outcome, read32(gic_own_frame() + IPRIORITYR) == priority,
                "the route of an interrupt that is not there changed something else", priority);
    for (uint32_t round = 0; round < 20; round++) {
        /* Deactivation of the host's interrupts, by number. */
        for (uint32_t intid = 0; intid < 64; intid++) {
            write_system(S3_0_C12_C11_1, intid); /* ICC_DIR_EL1 */
            write_system(S3_0_C12_C12_1, intid); /* ICC_EOIR1_EL1 */
        }
        listen_for(10 * MILLISECOND);
        outcome->attempts += 128;
    }
    for (uint32_t intid = 0; intid < 1024; intid++) {
        /* The console's own interrupts are this guest's. */
        outcome_add(outcome, taken[intid] == 0 || intid == PL011_SPI,
                    "an interrupt that is not the guest's", intid);
    }
    outcome_add(outcome, taken_strange == 0, "an LPI", taken_strange);
    outcome->shows =
        "none came, and none of the host's stopped: the virtual distributor knows this "
        "VM's devices only";
}

void attack_interface_registers(struct outcome *outcome)
{
    for (uint32_t n = 0; n < 4000; n++) {
        uint64_t value = n % 3 == 0 ? random_value() : random_number() & 0xff;
        switch (n % 14) {
        case 0:
            write_system(S3_0_C12_C12_5, value & 6); /* ICC_SRE_EL1, SRE clear */
            break;
        case 1:
            write_system(S3_0_C12_C12_4, value); /* ICC_CTLR_EL1 */
            break;
        case 2:
            write_system(S3_0_C12_C12_1, value); /* ICC_EOIR1_EL1: of nothing */
            break;
        case 3:
            write_system(S3_0_C12_C8_1, value); /* ICC_EOIR0_EL1 */
            break;
        case 4:
            write_system(S3_0_C12_C11_1, value); /* ICC_DIR_EL1 */
            break;
        case 5:
            write_system(S3_0_C12_C9_0, value); /* ICC_AP1R0_EL1 */
            break;
        case 6:
            write_system(S3_0_C12_C8_4, value); /* ICC_AP0R0_EL1 */
            break;
        case 7:
            write_system(S3_0_C4_C6_0, value); /* ICC_PMR_EL1 */
            break;
        case 8:
            write_system(S3_0_C12_C8_3, value % 8); /* ICC_BPR0_EL1; see state.c */
            break;
        case 9:
            write_system(S3_0_C12_C12_3, value % 8); /* ICC_BPR1_EL1 */
            break;
        case 10:
            write_system(S3_0_C12_C12_6, value); /* ICC_IGRPEN0_EL1 */
            break;
        case 11:
            write_system(S3_0_C12_C11_5, random_number()); /* ICC_SGI1R_EL1 */
            break;
        case 12:
            write_system(S3_0_C12_C11_7, random_number()); /* ICC_SGI0R_EL1 */
            break;
        default:
            write_system(S3_0_C12_C11_6, random_number()); /* ICC_ASGI1R_EL1 */
            break;
        }
        outcome->attempts++;
    }
    interrupts_start();
    clear_taken();
    write32(gic_own_frame() + ISENABLER, 1u << 5);
    write_system(S3_0_C12_C11_5, UINT64_C(5) << 24 | 1); /* SGI 5 to itself */
    listen_for(5 * MILLISECOND);
    outcome_add(outcome, taken[5] == 1, "the guest's own interrupt interface is stuck", taken[5]);
    outcome->shows = "they act on the virtual interface only: the victim's interrupts, and the "
                     "host's, go on";
}

void attack_distributor(struct outcome *outcome)
{
    uint64_t end = attack_end();
    while (counter() < end) {
        uint64_t frame = random_number() % 2
                             ? GIC_DISTRIBUTOR
                             : GIC_REDISTRIBUTOR + random_number() % CPUS * GICR_STRIDE;
        uint64_t size = frame == GIC_DISTRIBUTOR ? 0x10000 : 0x20000;
        uint64_t address = frame + (random_number() % size & ~UINT64_C(7));
        uint32_t kind = (uint32_t)random_number();
        if (kind % 2) {
            (void)probe_read(address, kind / 2 % 5);
        } else {
            (void)probe_write(address, kind / 2 % 4);
        }
        outcome->attempts++;
    }
    outcome->shows = "answered by this VM's model; the victim's interrupts go on";
}

void attack_sgi_storm(struct outcome *outcome)
{
    uint64_t end = attack_end();
    clear_taken();
    write32(gic_own_frame() + ISENABLER, 0xffff);
    bool both = helper_start(HELPER_SGI_STORM);
    __asm__ volatile("msr daifclr, #2; isb" ::: "memory");
    while (counter() < end) {
        uint64_t value = random_number();
        write_system(S3_0_C12_C11_5, outcome->attempts % 2 ? value : value & 0x0f00ffff);
        write_system(S3_0_C12_C11_5, UINT64_C(1) << 40 | (value & 0xf) << 24);
        outcome->attempts += 2;
    }
    __asm__ volatile("msr daifset, #2; isb" ::: "memory");
    outcome_add(outcome, both, "CPU 1 did not start", 0);
    outcome->shows = "delivered to this VM's vCPUs only; the victim keeps its share of the core";
}

/* A device interrupt that stays asserted: taken again as soon as it is ended. */
void attack_level_storm(struct outcome *outcome)
{
    clear_taken();
    write32(GIC_DISTRIBUTOR + GICD_IROUTER + 8 * PL011_SPI, 0);
    write32(GIC_DISTRIBUTOR + ISENABLER + 4, 1u << (PL011_SPI - 32));
    write32(PL011, '\n'); /* sent at once: from here on the FIFO is empty, which is what it tells */
    write32(PL011_IMSC, PL011_TX);
    uint64_t end = storm_end = attack_end();
    __asm__ volatile("msr daifclr, #2; isb" ::: "memory");
    while (counter() < end) {
    }
    __asm__ volatile("msr daifset, #2; isb" ::: "memory");
    outcome->attempts = taken[PL011_SPI];
    if (outcome->attempts < 10) {
        outcome_hole(outcome, "the level interrupt did not come again (nothing was attacked)",
                     outcome->attempts);
    }
    outcome->shows = "each end costs the attacker's own time; the victim keeps its share";
}

/* A timer that is always in the past. */
void attack_timer_storm(struct outcome *outcome)
{
    clear_taken();
    timer_stays = true;
    write_system(cntv_cval_el0, 0);
    write_system(cntv_ctl_el0, TIMER_ON);
    write32(gic_own_frame() + ISENABLER, 1u << INTID_TIMER);
    uint64_t end = storm_end = attack_end();
    __asm__ volatile("msr daifclr, #2; isb" ::: "memory");
    while (counter() < end) {
        write_system(cntp_cval_el0, random_value());
        write_system(cntp_ctl_el0, outcome->attempts++ & 3);
    }
    __asm__ volatile("msr daifset, #2; isb" ::: "memory");
    outcome->attempts += taken[INTID_TIMER];
    if (taken[INTID_TIMER] < 10) {
        outcome_hole(outcome, "the timer did not come again (nothing was attacked)",
                     taken[INTID_TIMER]);
    }
    outcome->shows = "the host's deadline is another timer: the victim keeps its share";
}

void attack_wait_storm(struct outcome *outcome)
{
    uint64_t end = attack_end();
    write32(gic_own_frame() + ISENABLER, 1u << INTID_TIMER);
    while (counter() < end) {
        write_system(cntv_cval_el0, counter() + 50); /* so that WFI ends */
        write_system(cntv_ctl_el0, TIMER_ON);
        sync();
        __asm__ volatile("sev\n wfe\n sevl\n wfe\n yield\n wfi" ::: "memory");
        write_system(cntv_ctl_el0, 0);
        sync();
        outcome->attempts += 6;
    }
    outcome->shows = "a wait gives the core away; the victim keeps its share";
}
