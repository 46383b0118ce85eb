/*
 * The guest's memory as the VMM sees it. The guest may write to it at any time, so whatever is decided upon is
 * copied out once, by guest_copy(), and looked at afterwards.
 */
#ifndef VMM_GUEST_RAM_H
#define VMM_GUEST_RAM_H

#include "virt.h"
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct guest_ram {
    uint8_t *bytes; /* of guest-physical VIRT_RAM */
    uint64_t size;
};

/* Where [address, address + length) of guest-physical memory is, or NULL when not all of it is RAM. */
static inline uint8_t *guest_ram_at(const struct guest_ram *ram, uint64_t address, uint64_t length)
{
    uint64_t offset = address - VIRT_RAM;
    if (address < VIRT_RAM || offset > ram->size || length > ram->size - offset)
        return NULL;
    return ram->bytes + offset;
}

/* Copies so that the compiler cannot read the guest's bytes a second time later. */
static inline void guest_copy(void *to, const void *from, size_t size)
{
    typedef uint64_t __attribute__((may_alias)) word;
    bool words =
        __builtin_constant_p(size) && size == 16 && (((uintptr_t)to | (uintptr_t)from) & 7) == 0;
    if (words) { /* descriptors and request headers, which all drivers align */
        ((word *)to)[0] = __atomic_load_n((const word *)from, __ATOMIC_RELAXED);
        ((word *)to)[1] = __atomic_load_n((const word *)from + 1, __ATOMIC_RELAXED);
        return;
    }
    memcpy(to, from, size);
    __asm__ volatile("" : : "r"(to) : "memory");
}

#endif
