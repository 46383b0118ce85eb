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
    dsb_sy(); /* who reads it past the caches is not in the inner shareable domain */
    __asm__ volatile("ic ialluis" ::: "memory");
    dsb_ish();
    isb();
}

#define PAGE_WORDS (PAGE_SIZE / sizeof(uint64_t))

static bool page_is_zero(const uint64_t *words)
{
    uint64_t any = 0;
    for (uint32_t i = 0; i < PAGE_WORDS; i += 8) {
        any |= words[i] | words[i + 1] | words[i + 2] | words[i + 3];
        any |= words[i + 4] | words[i + 5] | words[i + 6] | words[i + 7];
    }
    return any == 0;
}

/* Looks before it writes: after power-on most memory is zero already, and where memory is given out when
 * it is first written (an emulated machine), reading takes less time and none of it. */
void arch_memory_zero(paddr_t base, uint64_t size)
{
    for (uint64_t at = base.value; at < base.value + size; at += PAGE_SIZE) {
        uint64_t *words = (uint64_t *)at;
        if (!page_is_zero(words)) {
            for (uint32_t i = 0; i < PAGE_WORDS; i++)
                words[i] = 0;
        }
    }
}
