/* Cleaning of the data cache to the point of coherency, by address. */
#include "cache.h"
#include <stdint.h>

/* No Armv8-A core has shorter lines than this in any cache up to the point of coherency. */
#define LINE_BYTES UINT64_C(64)

void cache_clean(const void *start, size_t size)
{
    uint64_t end = (uint64_t)(uintptr_t)start + size;
    for (uint64_t line = (uint64_t)(uintptr_t)start & ~(LINE_BYTES - 1); line < end;
         line += LINE_BYTES)
        __asm__ volatile("dc cvac, %0" : : "r"(line) : "memory");
    __asm__ volatile("dsb sy" : : : "memory");
}
