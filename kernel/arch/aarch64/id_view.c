/*
 * See id_view.h. A field that is not in the table reads as zero, "not implemented": a CPU's newer
 * features stay hidden until someone has thought about them.
 */
#include "id_view.h"

/* Register, lowest bit of the 4-bit field, largest value a guest may see (15: whatever the CPU has, also the
 * 15 that means "not implemented" in some). Order and names as in the Arm ARM, D17.2.61 and following. */
struct id_field {
    uint8_t row, column, shift, most;
};

static const struct id_field fields[] = {
    {ID_AA64PFR0, 0, 2},    /* EL0: AArch32 if the CPU has it */
    {ID_AA64PFR0, 4, 1},    /* EL1: AArch64 only */
    {ID_AA64PFR0, 16, 15},  /* FP */
    {ID_AA64PFR0, 20, 15},  /* AdvSIMD */
    {ID_AA64PFR0, 48, 15},  /* DIT */
    {ID_AA64PFR0, 56, 1},   /* CSV2, without the SCXTNUM registers */
    {ID_AA64PFR0, 60, 15},  /* CSV3 */
    {ID_AA64PFR1, 0, 15},   /* BT */
    {ID_AA64PFR1, 4, 15},   /* SSBS */
    {ID_AA64DFR0, 0, 8},    /* DebugVer: Armv8.2; the registers read as zero */
    {ID_AA64DFR0, 12, 1},   /* BRPs: the least there can be */
    {ID_AA64DFR0, 20, 1},   /* WRPs */
    {ID_AA64ISAR0, 4, 15},  /* AES */
    {ID_AA64ISAR0, 8, 15},  /* SHA1 */
    {ID_AA64ISAR0, 12, 15}, /* SHA2 */
    {ID_AA64ISAR0, 16, 15}, /* CRC32 */
    {ID_AA64ISAR0, 20, 15}, /* Atomic */
    {ID_AA64ISAR0, 28, 15}, /* RDM */
    {ID_AA64ISAR0, 32, 15}, /* SHA3 */
    {ID_AA64ISAR0, 36, 15}, /* SM3 */
    {ID_AA64ISAR0, 40, 15}, /* SM4 */
    {ID_AA64ISAR0, 44, 15}, /* DP */
    {ID_AA64ISAR0, 48, 15}, /* FHM */
    {ID_AA64ISAR0, 52, 15}, /* TS */
    {ID_AA64ISAR0, 56, 15}, /* TLB: TLBI to the outer domain and by range */
    {ID_AA64ISAR0, 60, 15}, /* RNDR */
    {ID_AA64ISAR1, 0, 15},  /* DPB */
    {ID_AA64ISAR1, 4, 15},  /* APA */
    {ID_AA64ISAR1, 8, 15},  /* API */
    {ID_AA64ISAR1, 12, 15}, /* JSCVT */
    {ID_AA64ISAR1, 16, 15}, /* FCMA */
    {ID_AA64ISAR1, 20, 15}, /* LRCPC */
    {ID_AA64ISAR1, 24, 15}, /* GPA */
    {ID_AA64ISAR1, 28, 15}, /* GPI */
    {ID_AA64ISAR1, 32, 15}, /* FRINTTS */
    {ID_AA64ISAR1, 36, 15}, /* SB */
    {ID_AA64ISAR1, 40, 15}, /* SPECRES */
    {ID_AA64ISAR1, 44, 15}, /* BF16 */
    {ID_AA64ISAR1, 48, 15}, /* DGH */
    {ID_AA64ISAR1, 52, 15}, /* I8MM */
    {ID_AA64ISAR2, 4, 15},  /* RPRES */
    {ID_AA64ISAR2, 8, 15},  /* GPA3 */
    {ID_AA64ISAR2, 12, 15}, /* APA3 */
    {ID_AA64MMFR0, 0, 2},   /* PARange: 40 bits */
    {ID_AA64MMFR0, 4, 15},  /* ASIDBits */
    {ID_AA64MMFR0, 8, 15},  /* BigEnd */
    {ID_AA64MMFR0, 16, 15}, /* BigEndEL0 */
    {ID_AA64MMFR0, 20, 15}, /* TGran16 */
    {ID_AA64MMFR0, 24, 15}, /* TGran64 */
    {ID_AA64MMFR0, 28, 15}, /* TGran4 */
    {ID_AA64MMFR0, 44, 15}, /* ExS */
    {ID_AA64MMFR1, 0, 15},  /* HAFDBS */
    {ID_AA64MMFR1, 12, 15}, /* HPDS */
    {ID_AA64MMFR1, 20, 15}, /* PAN */
    {ID_AA64MMFR1, 36, 15}, /* ETS */
    {ID_AA64MMFR1, 44, 15}, /* AFP */
    {ID_AA64MMFR1, 48, 15}, /* nTLBPA */
    {ID_AA64MMFR2, 0, 15},  /* CnP */
    {ID_AA64MMFR2, 4, 15},  /* UAO */
    {ID_AA64MMFR2, 16, 15}, /* VARange */
    {ID_AA64MMFR2, 20, 15}, /* CCIDX */
    {ID_AA64MMFR2, 28, 15}, /* ST */
    {ID_AA64MMFR2, 32, 15}, /* AT */
    {ID_AA64MMFR2, 36, 15}, /* IDS */
    {ID_AA64MMFR2, 48, 15}, /* TTL */
    {ID_AA64MMFR2, 52, 15}, /* BBM */
    {ID_AA64MMFR2, 60, 15}, /* E0PD */
};

/* AArch32, for EL0: all of it but what its own copies of the above tell. */
#define ID_AARCH32_LAST_ROW 3
#define ID_PFR0_HIDDEN UINT64_C(0xf0f00000) /* RAS, AMU */
#define ID_PFR1_HIDDEN UINT64_C(0x0000f0f0) /* Virtualization, Security */
#define ID_DFR0_HIDDEN UINT64_C(0xfffff0f0) /* TraceFilt, PerfMon, trace, secure debug */
#define PFR0_GIC (UINT64_C(1) << 24)        /* the CPU interface as system registers, version 3 */

void id_view_make(const struct id_view *cpu, struct id_view *guest)
{
    *guest = (struct id_view){0};
    for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const struct id_field *field = &fields[i];
        uint64_t value = cpu->value[field->row][field->column] >> field->shift & 15;
        uint64_t seen = value > field->most ? field->most : value;
        guest->value[field->row][field->column] |= seen << field->shift;
    }
    guest->value[4][0] |= PFR0_GIC;
    for (unsigned row = 1; row <= ID_AARCH32_LAST_ROW; row++) {
        for (unsigned column = 0; column < ID_COLUMNS; column++) {
            guest->value[row][column] = cpu->value[row][column];
        }
    }
    guest->value[1][0] &= ~ID_PFR0_HIDDEN;
    guest->value[1][1] &= ~ID_PFR1_HIDDEN;
    guest->value[1][2] &= ~ID_DFR0_HIDDEN;
}
