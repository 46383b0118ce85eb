/*
 * The kernel's own address space: EL2 stage 1, every address mapped to itself, nothing both writable and
 * executable (SCTLR_EL2.WXN makes the hardware insist).
 *
 * There are two tables. The *boot* table has all RAM, so that the boot core can place and fill regions. The
 * *final* table has only what the kernel needs from then on; every core changes over to it before
 * it runs the first component. Both are built by the boot core; tables come from a fixed pool.
 */
#ifndef MMU_H
#define MMU_H

#include "machine.h"
#include "types.h"

enum mmu_access { MMU_CODE, MMU_CONSTANT, MMU_DATA, MMU_DEVICE };

struct mmu_table {
    uint64_t *root;
};

extern struct mmu_table mmu_boot, mmu_final;

/* How many bits a physical address has: what this processor has and the tables here can hold. */
uint32_t mmu_address_bits(void);
/* Makes the table, empty. */
void mmu_create(struct mmu_table *table);
/* The kernel image, each part with its own rights; to be mapped after the memory around it. */
void mmu_map_kernel(struct mmu_table *table);
/* base and size are rounded outwards to pages; replaces what was mapped there. */
void mmu_map(struct mmu_table *table, uint64_t base, uint64_t size, enum mmu_access access);
void mmu_unmap(struct mmu_table *table, uint64_t base, uint64_t size);
/* This core: switches translation and caches on, and sets up how stage 2 is walked. */
void mmu_enable(const struct mmu_table *table);
/* This core: changes over to another table. */
void mmu_switch(const struct mmu_table *table);

/* The kernel image in memory (kernel.ld). */
extern uint8_t image_start[], rodata_start[], data_start[], image_end[];

#endif
