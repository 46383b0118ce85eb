/* The guest's own stage 1: see stage1.c. */
#ifndef ATTACK_STAGE1_H
#define ATTACK_STAGE1_H

#include <stdint.h>

#define STAGE1_ENTRIES 512u
#define GIB (UINT64_C(1) << 30)

/* Descriptors (Arm ARM D8.3) */
#define BLOCK UINT64_C(1)
#define TABLE UINT64_C(3)
#define ACCESSED (UINT64_C(1) << 10)
#define SHAREABLE (UINT64_C(3) << 8)
#define NORMAL (UINT64_C(0) << 2)
#define DEVICE (UINT64_C(1) << 2)
#define PAGE UINT64_C(3)
#define USER_WRITE (UINT64_C(1) << 6) /* AP: everybody may read and write */
#define USER_READ (UINT64_C(3) << 6)  /* AP: everybody may read */
/* TCR_EL1 for 39-bit addresses, 4 KiB granule */
#define TCR_39 (UINT64_C(25) | UINT64_C(25) << 16 | UINT64_C(2) << 30)

#pragma GCC visibility push(hidden)

extern uint64_t level1[STAGE1_ENTRIES];

/* RAM and devices at their own addresses, for EL1 only; `level1` holds whatever else the caller has put there. */
void mmu_on(uint64_t tcr);
void mmu_off(void);

#pragma GCC visibility pop

#endif
