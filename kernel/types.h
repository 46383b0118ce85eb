/* Basic types of the kernel. Addresses of different spaces are different types, so that mixing them does not compile. */
#ifndef KERNEL_TYPES_H
#define KERNEL_TYPES_H

#include <quoll/abi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t value;
} paddr_t; /* physical */
typedef struct {
    uint64_t value;
} ipaddr_t; /* guest physical; for a component also its virtual address */

static inline paddr_t paddr(uint64_t value)
{
    return (paddr_t){value};
}
static inline ipaddr_t ipaddr(uint64_t value)
{
    return (ipaddr_t){value};
}

#define PAGE_SIZE QUOLL_PAGE_SIZE
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static inline uint64_t round_up(uint64_t value, uint64_t alignment /* power of two */)
{
    return (value + alignment - 1) & ~(alignment - 1);
}
/*@ assigns \nothing;
    ensures alignment == 4096 ==> (\result <==> value % 4096 == 0); */
static inline bool is_aligned(uint64_t value, uint64_t alignment)
{
    return (value & (alignment - 1)) == 0;
}

#endif
