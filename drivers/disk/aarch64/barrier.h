/*
 * Order between memory that a device reads or writes by DMA and accesses to its registers (Arm ARM, B2.3.12).
 * Outer shareable: the domain of a coherent PCIe host bridge.
 */
#ifndef DISK_BARRIER_H
#define DISK_BARRIER_H

/* Everything written to memory before is visible to the device before the next register write. */
static inline void barrier_before_doorbell(void)
{
    __asm__ volatile("dmb oshst" ::: "memory");
}

/* Nothing is read from memory before what was read from it, or from a register, so far. */
static inline void barrier_after_flag(void)
{
    __asm__ volatile("dmb oshld" ::: "memory");
}

#endif
