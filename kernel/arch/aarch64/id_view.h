/* ID registers as guests see them. Pure. */
#ifndef ID_VIEW_H
#define ID_VIEW_H

#include <stdint.h>

/* CRm and op2 of the ID registers that HCR_EL2.TID3 traps: op0 3, op1 0, CRn 0, CRm 1..7 (Arm ARM D17.2.48) */
#define ID_ROWS 8
#define ID_COLUMNS 8

struct id_view {
    uint64_t value[ID_ROWS][ID_COLUMNS];
};

/* What a guest may see of the CPU's registers. */
void id_view_make(const struct id_view *cpu, struct id_view *guest);

/* Positions */
#define ID_AA64PFR0 4, 0
#define ID_AA64PFR1 4, 1
#define ID_AA64DFR0 5, 0
#define ID_AA64ISAR0 6, 0
#define ID_AA64ISAR1 6, 1
#define ID_AA64ISAR2 6, 2
#define ID_AA64MMFR0 7, 0
#define ID_AA64MMFR1 7, 1
#define ID_AA64MMFR2 7, 2

#endif
