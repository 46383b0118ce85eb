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

void arch_memory_zero(paddr_t base, uint64_t size)
{
    uint64_t dczid = read_register(dczid_el0);
    uint64_t block = DCZID_BLOCK(dczid);
    if (!(dczid & DCZID_PROHIBITED) && PAGE_SIZE % block == 0) {
        for (uint64_t at = base.value; at < base.value + size; at += block)
            __asm__ volatile("dc zva, %0" : : "r"(at) : "memory");
        return;
    }
    volatile uint64_t *words = (volatile uint64_t *)base.value;
    for (uint64_t i = 0; i < size / sizeof(*words); i++)
        words[i] = 0;
}
