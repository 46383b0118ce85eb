/* A guest CPU's own registers and masks. */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#include <stdint.h>

#define read_system(name)                                                                          \
    ({                                                                                             \
        uint64_t value_;                                                                           \
        __asm__ volatile("mrs %0, " #name : "=r"(value_)::"memory");                               \
        value_;                                                                                    \
    })
#define write_system(name, value)                                                                  \
    __asm__ volatile("msr " #name ", %x0" ::"rZ"((uint64_t)(value)) : "memory")

static inline void sync(void)
{
    __asm__ volatile("dsb sy; isb" ::: "memory");
}
static inline void interrupts_on(void)
{
    __asm__ volatile("msr daifclr, #2; isb" ::: "memory");
}
static inline void interrupts_off(void)
{
    __asm__ volatile("msr daifset, #2; isb" ::: "memory");
}
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("dsb sy; wfi" ::: "memory");
}
static inline void relax(void)
{
    __asm__ volatile("yield" ::: "memory");
}
static inline uint32_t this_cpu(void)
{
    return (uint32_t)read_system(mpidr_el1) & 0xff;
}

#endif
