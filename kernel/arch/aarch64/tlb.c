/*
 * TLB maintenance for stage 2 (Arm ARM D8.13), on all cores at once by broadcast.
 *
 * The instructions work on the VMID in VTTBR_EL2, so this core borrows the space for a moment. Cores may have cached
 * combined stage-1-and-2 translations, which cannot be found by guest-physical address: they go
 * by VMID.
 */
#include "arch.h"
#include "registers.h"
#include "stage2.h"

/* More pages than this: drop the whole VMID instead. */
#define MOST_PAGES 64u
#define VTTBR_VMID_SHIFT 48

static void invalidate(ipaddr_t address, uint64_t size)
{
    if (size / PAGE_SIZE > MOST_PAGES) {
        __asm__ volatile("tlbi vmalls12e1is" ::: "memory");
        dsb_ish();
        return;
    }
    for (uint64_t done = 0; done < size; done += PAGE_SIZE) {
        uint64_t page = (address.value + done) >> 12;
        __asm__ volatile("tlbi ipas2e1is, %0" : : "r"(page) : "memory");
    }
    dsb_ish();
    __asm__ volatile("tlbi vmalle1is" ::: "memory");
    dsb_ish();
}

void arch_tables_written(void)
{
    __asm__ volatile("dsb ishst" ::: "memory");
}

void arch_tlb_invalidate(const struct stage2 *space, ipaddr_t address, uint64_t size)
{
    uint64_t before = read_register(vttbr_el2);
    uint64_t wanted = (uint64_t)space->vmid << VTTBR_VMID_SHIFT | (uintptr_t)space->root;
    __asm__ volatile("dsb ishst" ::: "memory");
    if (before != wanted) {
        write_register(vttbr_el2, wanted);
        isb();
    }
    invalidate(address, size);
    if (before != wanted)
        write_register(vttbr_el2, before);
    isb();
}
