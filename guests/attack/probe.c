/* Single accesses to addresses that the guest does not have. */
#include "attack.h"

struct range {
    uint64_t base, size;
};

/* What QEMU's virt machine has and this one does not give: the host's own devices, windows and memory. */
static const struct range foreign[] = {
    {0x00000000, 0x04000000},     /* flash */
    {0x04000000, 0x04000000},     /* flash */
    {0x08010000, 0x00010000},     /* GICv2 CPU interface */
    {0x08020000, 0x00001000},     /* GICv2m */
    {0x08030000, 0x00010000},     /* GICH */
    {0x08040000, 0x00010000},     /* GICV */
    {0x08080000, 0x00020000},     /* ITS */
    {0x08200000, 0x00e00000},     /* redistributors of more cores */
    {0x09020000, 0x00000018},     /* fw_cfg */
    {0x09030000, 0x00001000},     /* GPIO: the power key */
    {0x09040000, 0x00001000},     /* secure UART */
    {0x09050000, 0x00020000},     /* SMMU */
    {0x09070000, 0x00001000},     /* PCDIMM, NVDIMM, ACPI */
    {0x09080000, 0x00001000},     /**/
    {0x09090000, 0x00001000},     /* PVTIME */
    {0x090b0000, 0x00001000},     /* secure GPIO */
    {0x0a004000, 0x00001000},     /* after the virtio-mmio slots */
    {0x0c000000, 0x02000000},     /* platform bus */
    {0x0e000000, 0x01000000},     /* secure memory */
    {0x10000000, 0x2eff0000},     /* PCIe MMIO; the environment of components */
    {0x3eff0000, 0x00010000},     /* PCIe PIO */
    {0x3f000000, 0x01000000},     /* PCIe ECAM, low */
    {0x4000000000, 0x0010000000}, /* redistributors, high */
    {0x4010000000, 0x0010000000}, /* ECAM, high: the NVMe disk's configuration space */
    {0x8000000000, 0x8000000000}, /* PCIe MMIO, high: the NVMe disk's registers */
};
#define FOREIGN_COUNT ((uint32_t)(sizeof(foreign) / sizeof(foreign[0])))

/* What the guest has: its devices. */
static const struct range own[] = {
    {GIC_DISTRIBUTOR, 0x10000},
    {GIC_REDISTRIBUTOR, CPUS *GICR_STRIDE},
    {PL011, 0x1000},
    {PL011 + 0x10000, 0x1000},
    {VIRTIO_MMIO, 32 * 0x200},
};

bool probe_is_own(uint64_t address)
{
    if (address - RAM < ram_size) {
        return true;
    }
    for (uint32_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (address - own[i].base < own[i].size) {
            return true;
        }
    }
    return false;
}

/* Around RAM, edges of every foreign range, then every power of two and its neighbours. */
#define EDGES (2 * FOREIGN_COUNT)
#define POWERS 48u

uint32_t probe_address_count(void)
{
    return EDGES + PROBE_AROUND_RAM + 3 * POWERS;
}

static uint64_t fixed_address(uint32_t n)
{
    if (n < PROBE_AROUND_RAM) {
        static const int64_t offsets[PROBE_AROUND_RAM] = {
            0, 8, 0x1000, 0x1ffff8, 0x200000, 0x400000, 0x8000000, 0x40000000};
        return RAM + ram_size + (uint64_t)offsets[n];
    }
    n -= PROBE_AROUND_RAM;
    if (n < EDGES) {
        const struct range *range = &foreign[n / 2];
        return n % 2 == 0 ? range->base : range->base + range->size - 16;
    }
    n -= EDGES;
    return (UINT64_C(1) << n / 3) + (uint64_t)(int64_t)((int32_t)(n % 3) * 8 - 8);
}

uint64_t probe_address(uint32_t n)
{
    if (n < probe_address_count()) {
        return fixed_address(n);
    }
    const struct range *range = &foreign[random_number() % FOREIGN_COUNT];
    switch (random_number() % 4) {
    case 0: /* anywhere that 40 bits reach */
        return random_number() & 0xffffffffff;
    case 1: /* the host's memory, of which this guest has a part */
        return RAM + ram_size + (random_number() & 0xfffffff8);
    default:
        return range->base + random_number() % range->size;
    }
}

static enum probe_result judge(uint64_t before, bool unchanged)
{
    if (caught[this_cpu()].count == before) {
        return PROBE_PASSED;
    }
    if (!unchanged) {
        return PROBE_LEAKED;
    }
    uint32_t class = caught_class();
    bool abort = class == CLASS_DATA_ABORT || class == CLASS_FETCH_ABORT;
    return abort && caught_fault() == FAULT_EXTERNAL ? PROBE_EXTERNAL : PROBE_OWN;
}

#define LOAD(instruction)                                                                          \
    __asm__ volatile(instruction                                                                   \
                     : "+r"(value), "+r"(second)                                                   \
                     : "r"(address), "r"(before)                                                   \
                     : "memor"                                                                     \
                       "y")
#define AT(instruction, register) instruction " " register ", [%2]"

enum probe_result probe_read(uint64_t address, uint32_t kind)
{
    uint64_t before = caught[this_cpu()].count, value = CANARY, second = CANARY, at = address;
    switch (kind) {
    case 0:
        LOAD("ldrb %w0, [%2]");
        break;
    case 1:
        LOAD("ldrh %w0, [%2]");
        break;
    case 2:
        LOAD("ldr %w0, [%2]");
        break;
    case 3:
        LOAD("ldr %x0, [%2]");
        break;
    case 4:
        LOAD("ldrsb %x0, [%2]");
        break;
    case 5:
        LOAD("ldp %x0, %x1, [%2]");
        break;
    case 6:
        LOAD("ldp %w0, %w1, [%2]");
        break;
    case 7:
        LOAD("ldxr %w0, [%2]");
        break;
    case 8:
        LOAD("ldar %x0, [%2]");
        break;
    case 9:
        LOAD(".arch armv8-a+fp+simd\n fmov d0, %x0\n ldr q0, [%2]\n fmov %x0, d0");
        break;
    case 10:
        LOAD(".arch armv8-a+fp+simd\n fmov d0, %x0\n ld1 {v0.16b}, [%2]\n fmov %x0, d0");
        break;
    case 11:
        LOAD("ldtr %x0, [%2]");
        break;
    case 12:
        LOAD("ldxp %x0, %x1, [%2]");
        break;
    case 13: /* undefined on a CPU without it, which prevents it as well */
        LOAD(".arch armv8-a+lse\n swpal %x0, %x0, [%2]");
        break;
    default: /* with write-back, which the syndrome does not describe */
        __asm__ volatile("ldr %x0, [%1], #8" : "+r"(value), "+r"(at)::"memory");
        break;
    }
    return judge(before, value == CANARY && second == CANARY && at == address);
}

enum probe_result probe_write(uint64_t address, uint32_t kind)
{
    uint64_t before = caught[this_cpu()].count, value = CANARY, second = CANARY;
    switch (kind) {
    case 0:
        LOAD("strb %w0, [%2]");
        break;
    case 1:
        LOAD("strh %w0, [%2]");
        break;
    case 2:
        LOAD("str %w0, [%2]");
        break;
    case 3:
        LOAD("str %x0, [%2]");
        break;
    case 4:
        LOAD("stp %x0, %x1, [%2]");
        break;
    case 5:
        LOAD("stlr %x0, [%2]");
        break;
    case 6:
        LOAD(".arch armv8-a+fp+simd\n str q0, [%2]");
        break;
    case 7:
        LOAD(".arch armv8-a+fp+simd\n st1 {v0.16b}, [%2]");
        break;
    case 8:
        LOAD(".arch armv8-a+lse\n stadd %x0, [%2]");
        break;
    case 9:
        LOAD("sttr %w0, [%2]");
        break;
    default:
        LOAD("dc zva, %2");
        break;
    }
    return judge(before, true);
}

enum probe_result probe_fetch(uint64_t address)
{
    uint64_t before = caught[this_cpu()].count;
    __asm__ volatile("blr %0" ::"r"(address)
                     : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
                       "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x30", "memory");
    return judge(before, true);
}
