/* The kernel's own address space; see mmu.h. Descriptors: Arm ARM D8.3, EL2 translation regime. */
#include "mmu.h"
#include "boot.h"
#include "log.h"
#include "registers.h"
#include "stage2.h"

#define POOL_PAGES 128u
#define ENTRIES 512u
#define LEVEL_SHIFT(level) (39u - 9u * (level))
#define LEVEL_SIZE(level) (UINT64_C(1) << LEVEL_SHIFT(level))
#define LAST_LEVEL 3u
#define ADDRESS_MASK UINT64_C(0x0000fffffffff000)

#define VALID UINT64_C(1)
#define TABLE_OR_PAGE UINT64_C(2)
#define ATTRIBUTE_INDEX(index) ((uint64_t)(index) << 2)
#define ACCESS_RES1 (UINT64_C(1) << 6) /* AP[1]: RES1 where there is only one exception level */
#define READ_ONLY (UINT64_C(1) << 7)   /* AP[2] */
#define INNER_SHAREABLE (UINT64_C(3) << 8)
#define ACCESSED (UINT64_C(1) << 10)
#define EXECUTE_NEVER (UINT64_C(1) << 54)

/* MAIR_EL2: attribute 0 is Normal write-back, 1 Device-nGnRE. */
#define NORMAL 0u
#define DEVICE 1u
#define MAIR (UINT64_C(0xff) | UINT64_C(0x04) << 8)

/* TCR_EL2: 48-bit addresses, 4 KiB granule, walks cacheable and inner shareable. */
#define TCR_RES1 (UINT64_C(1) << 31 | UINT64_C(1) << 23)
#define TCR_T0SZ_48 UINT64_C(16)
#define TCR_WALKS (UINT64_C(1) << 8 | UINT64_C(1) << 10 | UINT64_C(3) << 12)
#define TCR_PS_SHIFT 16
#define PARANGE_48 5u

/* VTCR_EL2: stage 2 as stage2.h describes it: 39-bit addresses, walks start at level 1. */
#define VTCR_RES1 (UINT64_C(1) << 31)
#define VTCR_T0SZ (UINT64_C(64) - STAGE2_ADDRESS_BITS)
#define VTCR_SL0_LEVEL1 (UINT64_C(1) << 6)

#define SCTLR_RES1 UINT64_C(0x30c50830)
#define SCTLR_M (UINT64_C(1) << 0)
#define SCTLR_C (UINT64_C(1) << 2)
#define SCTLR_SA (UINT64_C(1) << 3)
#define SCTLR_I (UINT64_C(1) << 12)
#define SCTLR_WXN (UINT64_C(1) << 19)

struct mmu_table mmu_boot, mmu_final;

static uint64_t pool[POOL_PAGES][ENTRIES] __attribute__((aligned(4096)));
static uint32_t pool_used;

/* ID_AA64MMFR0_EL1.PARange, at most what these tables can hold; TCR_EL2.PS has the same values. */
static uint64_t physical_range(void)
{
    uint64_t range = read_register(id_aa64mmfr0_el1) & 0xf;
    return range < PARANGE_48 ? range : PARANGE_48;
}

uint32_t mmu_address_bits(void)
{
    static const uint8_t bits[PARANGE_48 + 1] = {32, 36, 40, 42, 44, 48};
    return bits[physical_range()];
}

static uint64_t *pool_take(void)
{
    if (pool_used == POOL_PAGES)
        kstop("the memory of this machine is in too many pieces for the kernel's page tables");
    return pool[pool_used++];
}

static uint64_t attributes(enum mmu_access access)
{
    const uint64_t common = VALID | ACCESS_RES1 | ACCESSED | INNER_SHAREABLE;
    switch (access) {
    case MMU_CODE:
        return common | ATTRIBUTE_INDEX(NORMAL) | READ_ONLY;
    case MMU_CONSTANT:
        return common | ATTRIBUTE_INDEX(NORMAL) | READ_ONLY | EXECUTE_NEVER;
    case MMU_DATA:
        return common | ATTRIBUTE_INDEX(NORMAL) | EXECUTE_NEVER;
    default:
        return common | ATTRIBUTE_INDEX(DEVICE) | EXECUTE_NEVER;
    }
}

/* The table below an entry; a block there is first split into equal parts. */
static uint64_t *table_below(uint64_t *entry, uint32_t level)
{
    if ((*entry & (VALID | TABLE_OR_PAGE)) == (VALID | TABLE_OR_PAGE))
        return (uint64_t *)(uintptr_t)(*entry & ADDRESS_MASK);
    uint64_t *below = pool_take();
    for (uint32_t i = 0; (*entry & VALID) && i < ENTRIES; i++) {
        below[i] = *entry + i * LEVEL_SIZE(level + 1);
        below[i] |= level + 1 == LAST_LEVEL ? TABLE_OR_PAGE : 0;
    }
    *entry = (uintptr_t)below | VALID | TABLE_OR_PAGE;
    return below;
}

/* value: attributes, or 0 for "not mapped". */
static void set_range(struct mmu_table *table, uint64_t base, uint64_t size, uint64_t value)
{
    uint64_t at = base & ~(PAGE_SIZE - 1), end = round_up(base + size, PAGE_SIZE);
    if (end > UINT64_C(1) << mmu_address_bits() || at >= end)
        kstop("the device tree names an address beyond the %u bits of a physical address: 0x%lx",
              mmu_address_bits(), base);
    while (at < end) {
        uint32_t level = 0;
        uint64_t *entry = &table->root[at >> LEVEL_SHIFT(0)];
        while (level == 0 || (level < LAST_LEVEL && (!is_aligned(at, LEVEL_SIZE(level)) ||
                                                     end - at < LEVEL_SIZE(level)))) {
            entry = table_below(entry, level);
            level++;
            entry += (at >> LEVEL_SHIFT(level)) & (ENTRIES - 1);
        }
        *entry = value == 0 ? 0 : value | at | (level == LAST_LEVEL ? TABLE_OR_PAGE : 0);
        at += LEVEL_SIZE(level);
    }
}

void mmu_map(struct mmu_table *table, uint64_t base, uint64_t size, enum mmu_access access)
{
    set_range(table, base, size, attributes(access));
}

void mmu_unmap(struct mmu_table *table, uint64_t base, uint64_t size)
{
    set_range(table, base, size, 0);
}

static void map_between(struct mmu_table *table, const uint8_t *from, const uint8_t *to,
                        enum mmu_access access)
{
    mmu_map(table, (uintptr_t)from, (uint64_t)(to - from), access);
}

void mmu_create(struct mmu_table *table)
{
    table->root = pool_take();
}

void mmu_map_kernel(struct mmu_table *table)
{
    map_between(table, image_start, rodata_start, MMU_CODE);
    map_between(table, rodata_start, data_start, MMU_CONSTANT);
    map_between(table, data_start, image_end, MMU_DATA);
    for (uint32_t i = 0; i < QUOLL_MAX_CORES; i++)
        mmu_unmap(table, (uintptr_t)core_stacks[i].guard, PAGE_SIZE);
}

void mmu_enable(const struct mmu_table *table)
{
    uint64_t range = physical_range();
    write_register(mair_el2, MAIR);
    write_register(tcr_el2, TCR_RES1 | TCR_T0SZ_48 | TCR_WALKS | range << TCR_PS_SHIFT);
    write_register(vtcr_el2,
                   VTCR_RES1 | VTCR_T0SZ | VTCR_SL0_LEVEL1 | TCR_WALKS | range << TCR_PS_SHIFT);
    write_register(ttbr0_el2, (uintptr_t)table->root);
    dsb_sy();
    isb();
    __asm__ volatile("tlbi alle2\n\ttlbi alle1\n\tic iallu" ::: "memory");
    dsb_sy();
    isb();
    write_register(sctlr_el2, SCTLR_RES1 | SCTLR_M | SCTLR_C | SCTLR_I | SCTLR_SA | SCTLR_WXN);
    isb();
}

void mmu_switch(const struct mmu_table *table)
{
    dsb_ish();
    write_register(ttbr0_el2, (uintptr_t)table->root);
    isb();
    __asm__ volatile("tlbi alle2" ::: "memory");
    dsb_ish();
    isb();
}
