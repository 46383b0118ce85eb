/*
 * The physical GICv3; see gic.h.
 *
 * All interrupts are group 1 and have the same priority, so one never preempts another at EL2. EOImode is 1: acknowledging
 * drops the priority at once, deactivation comes when the interrupt has been served (by a component's irq_ack, or
 * by the guest through a list register).
 */
#include "gic.h"
#include "registers.h"
#include "trap.h"

/* Distributor (IHI 0069 12.9). */
enum {
    GICD_CTLR = 0x0000,
    GICD_TYPER = 0x0004,
    GICD_IGROUPR = 0x0080,
    GICD_ISENABLER = 0x0100,
    GICD_ICENABLER = 0x0180,
    GICD_ICPENDR = 0x0280,
    GICD_ICACTIVER = 0x0380,
    GICD_IPRIORITYR = 0x0400,
    GICD_IROUTER = 0x6000,
    GICD_PIDR2 = 0xffe8,
};
#define CTLR_ENABLE_GROUP1 UINT32_C(2)
#define CTLR_ARE UINT32_C(0x10)
#define CTLR_WRITE_PENDING (UINT32_C(1) << 31)
#define PIDR2_ARCHITECTURE(value) (((value) >> 4) & 0xf)
#define TYPER_LINES(value) (((value)&0x1f) * 32 + 32)

/* Redistributor (12.11): the RD frame, and the SGI frame that follows it. */
enum {
    GICR_CTLR = 0x0000,
    GICR_TYPER = 0x0008,
    GICR_WAKER = 0x0014,
    GICR_SGI_FRAME = 0x10000,
    GICR_FRAMES = 0x20000,
    GICR_FRAMES_V4 = 0x40000,
};
#define GICR_CTLR_WRITE_PENDING UINT32_C(8)
#define GICR_TYPER_VLPIS UINT64_C(2)
#define GICR_TYPER_LAST UINT64_C(0x10)
#define GICR_WAKER_SLEEP UINT32_C(2)
#define GICR_WAKER_CHILDREN_ASLEEP UINT32_C(4)

#define PRIORITY UINT32_C(0x80808080)
#define KERNEL_INTERRUPTS                                                                          \
    (UINT32_C(1) << GIC_SGI_INBOX | UINT32_C(1) << GIC_PPI_MAINTENANCE |                           \
     UINT32_C(1) << GIC_PPI_DEADLINE | UINT32_C(1) << GIC_PPI_VIRTUAL_TIMER)

/* A distributor that never becomes ready is left as it is. */
#define ATTEMPTS 1000000

static uintptr_t distributor;
static uint32_t interrupt_lines;

static uint32_t read32(uintptr_t address)
{
    uint32_t value;
    __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static uint64_t read64(uintptr_t address)
{
    uint64_t value;
    __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static void write32(uintptr_t address, uint32_t value)
{
    __asm__ volatile("str %w0, [%1]" : : "rZ"(value), "r"(address) : "memory");
}

static void write64(uintptr_t address, uint64_t value)
{
    __asm__ volatile("str %x0, [%1]" : : "rZ"(value), "r"(address) : "memory");
}

static void wait_until_clear(uintptr_t address, uint32_t bits)
{
    for (uint32_t i = 0; i < ATTEMPTS && (read32(address) & bits); i++)
        ;
}

bool gic_start(const struct machine *machine)
{
    distributor = machine->distributor.base;
    uint32_t architecture = PIDR2_ARCHITECTURE(read32(distributor + GICD_PIDR2));
    if (architecture != 3 && architecture != 4)
        return false;
    write32(distributor + GICD_CTLR, 0);
    wait_until_clear(distributor + GICD_CTLR, CTLR_WRITE_PENDING);
    write32(distributor + GICD_CTLR, CTLR_ARE);
    interrupt_lines = TYPER_LINES(read32(distributor + GICD_TYPER));
    for (uint32_t intid = 32; intid < interrupt_lines; intid += 32) {
        write32(distributor + GICD_ICENABLER + intid / 8, UINT32_MAX);
        write32(distributor + GICD_ICPENDR + intid / 8, UINT32_MAX);
        write32(distributor + GICD_ICACTIVER + intid / 8, UINT32_MAX);
        write32(distributor + GICD_IGROUPR + intid / 8, UINT32_MAX);
    }
    for (uint32_t intid = 32; intid < interrupt_lines; intid += 4)
        write32(distributor + GICD_IPRIORITYR + intid, PRIORITY);
    write32(distributor + GICD_CTLR, CTLR_ARE | CTLR_ENABLE_GROUP1);
    wait_until_clear(distributor + GICD_CTLR, CTLR_WRITE_PENDING);
    return true;
}

/* GICR_TYPER holds the affinity as four bytes, MPIDR keeps affinity 3 apart. */
static uint32_t packed_affinity(uint64_t mpidr)
{
    return (uint32_t)(mpidr & 0xffffff) | (uint32_t)(mpidr >> 32 & 0xff) << 24;
}

bool gic_find_redistributor(const struct machine *machine, struct core *core)
{
    for (uint32_t i = 0; i < machine->redistributor_count; i++) {
        const struct devicetree_range *region = &machine->redistributors[i];
        uint64_t offset = 0;
        while (offset + GICR_FRAMES <= region->size) {
            uint64_t type = read64(region->base + offset + GICR_TYPER);
            if ((uint32_t)(type >> 32) == packed_affinity(core->arch.mpidr)) {
                core->arch.redistributor = region->base + offset;
                return true;
            }
            if (type & GICR_TYPER_LAST)
                break;
            uint64_t frames = type & GICR_TYPER_VLPIS ? GICR_FRAMES_V4 : GICR_FRAMES;
            offset +=
                machine->redistributor_stride > frames ? machine->redistributor_stride : frames;
        }
    }
    return false;
}

static void redistributor_start(uintptr_t redistributor)
{
    uint32_t waker = read32(redistributor + GICR_WAKER);
    write32(redistributor + GICR_WAKER, waker & ~GICR_WAKER_SLEEP);
    wait_until_clear(redistributor + GICR_WAKER, GICR_WAKER_CHILDREN_ASLEEP);
    uintptr_t frame = redistributor + GICR_SGI_FRAME;
    write32(frame + GICD_ICENABLER, UINT32_MAX);
    write32(frame + GICD_ICPENDR, UINT32_MAX);
    write32(frame + GICD_ICACTIVER, UINT32_MAX);
    write32(frame + GICD_IGROUPR, UINT32_MAX);
    for (uint32_t intid = 0; intid < 32; intid += 4)
        write32(frame + GICD_IPRIORITYR + intid, PRIORITY);
    wait_until_clear(redistributor + GICR_CTLR, GICR_CTLR_WRITE_PENDING);
    write32(frame + GICD_ISENABLER, KERNEL_INTERRUPTS);
}

/* ICC_SRE_ELx: system register interface, no bypass of IRQ and FIQ. Without Enable (bit 3) EL1's register is trapped: it
 * exists once per core, so no guest may set it for the others. */
#define SRE_NO_BYPASS UINT64_C(7)
#define CTLR_EOIMODE UINT64_C(2)
#define CTLR_PRIORITY_BITS(ctlr) (((ctlr) >> 8 & 7) + 1)

/* An interrupt that the boot loader was serving would hold back all others. */
static void forget_active_priorities(void)
{
    uint64_t bits = CTLR_PRIORITY_BITS(read_register(ICC_CTLR_EL1));
    write_register(ICC_AP1R0_EL1, 0);
    if (bits > 5) {
        write_register(ICC_AP1R1_EL1, 0);
    }
    if (bits > 6) {
        write_register(ICC_AP1R2_EL1, 0);
        write_register(ICC_AP1R3_EL1, 0);
    }
}

void gic_core_start(struct core *core)
{
    redistributor_start(core->arch.redistributor);
    write_register(ICC_SRE_EL2, SRE_NO_BYPASS);
    isb();
    write_register(ICC_SRE_EL1, SRE_NO_BYPASS);
    isb();
    write_register(ICC_PMR_EL1, 0xff);
    write_register(ICC_BPR1_EL1, 0);
    write_register(ICC_CTLR_EL1, CTLR_EOIMODE);
    forget_active_priorities();
    write_register(ICC_IGRPEN1_EL1, 1);
    isb();
}

uint32_t gic_acknowledge(void)
{
    uint32_t intid = (uint32_t)read_register(ICC_IAR1_EL1) & 0xffffff;
    dsb_sy();
    return intid;
}

void gic_drop(uint32_t intid)
{
    write_register(ICC_EOIR1_EL1, intid);
    isb();
}

void gic_deactivate(uint32_t intid)
{
    write_register(ICC_DIR_EL1, intid);
    isb();
}

void arch_irq_deactivate(uint32_t intid)
{
    gic_deactivate(intid);
}

void arch_irq_enable(uint32_t intid, struct core *core)
{
    if (intid < 32 || intid >= interrupt_lines)
        return;
    write64(distributor + GICD_IROUTER + (uintptr_t)8 * intid, core->arch.mpidr);
    write32(distributor + GICD_ISENABLER + (uint64_t)(intid / 32) * 4, UINT32_C(1) << intid % 32);
}

/* ICC_SGI1R_EL1: target list of 16 cores that share affinities 3..1 and the upper half of affinity 0. */
void arch_ipi_send(struct core *target)
{
    uint64_t mpidr = target->arch.mpidr;
    uint64_t value = UINT64_C(1) << (mpidr & 0xf) | (mpidr >> 4 & 0xf) << 44 |
                     (mpidr >> 8 & 0xff) << 16 | (mpidr >> 16 & 0xff) << 32 |
                     (mpidr >> 32 & 0xff) << 48 | (uint64_t)GIC_SGI_INBOX << 24;
    __asm__ volatile("dsb ishst" ::: "memory");
    write_register(ICC_SGI1R_EL1, value);
    isb();
}
