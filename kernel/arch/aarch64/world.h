/*
 * The world switch: what a vCPU has in the core's registers while it is loaded there.
 *
 * Loaded is not the same as running: the registers stay in the hardware while the VMM and other components run
 * (at EL0, with stage 1 off, so that they do not obey most of them) and are moved only when another vCPU is entered on
 * the core. The tables below are the whole list; world_save and world_load go through them from top to bottom.
 *
 * Not here: general registers, SP_EL0, pc and pstate (vCPU page), list registers (vgic.c), debug registers
 * and the physical timer (trapped: a guest has none in hardware).
 */
#ifndef WORLD_H
#define WORLD_H

#include "registers.h"
#include <stdint.h>

/* clang-format off */
#define WORLD_REGISTERS(REGISTER)                                                                  \
    REGISTER(vmpidr,     VMPIDR_EL2)     /* what the guest reads as MPIDR_EL1 */                   \
    REGISTER(sctlr,      SCTLR_EL1)      /* controls */                                            \
    REGISTER(cpacr,      CPACR_EL1)                                                                \
    REGISTER(csselr,     CSSELR_EL1)                                                               \
    REGISTER(ttbr0,      TTBR0_EL1)      /* translation */                                         \
    REGISTER(ttbr1,      TTBR1_EL1)                                                                \
    REGISTER(tcr,        TCR_EL1)                                                                  \
    REGISTER(mair,       MAIR_EL1)                                                                 \
    REGISTER(amair,      AMAIR_EL1)                                                                \
    REGISTER(contextidr, CONTEXTIDR_EL1)                                                           \
    REGISTER(par,        PAR_EL1)                                                                  \
    REGISTER(vbar,       VBAR_EL1)       /* exceptions */                                          \
    REGISTER(elr,        ELR_EL1)                                                                  \
    REGISTER(spsr,       SPSR_EL1)                                                                 \
    REGISTER(esr,        ESR_EL1)                                                                  \
    REGISTER(far,        FAR_EL1)                                                                  \
    REGISTER(afsr0,      AFSR0_EL1)                                                                \
    REGISTER(afsr1,      AFSR1_EL1)                                                                \
    REGISTER(sp,         SP_EL1)         /* software's own */                                      \
    REGISTER(tpidr,      TPIDR_EL1)                                                                \
    REGISTER(tpidr_el0,  TPIDR_EL0)                                                                \
    REGISTER(tpidrro,    TPIDRRO_EL0)                                                              \
    REGISTER(cntkctl,    CNTKCTL_EL1)    /* virtual timer: the control last, it may fire */        \
    REGISTER(cntv_cval,  CNTV_CVAL_EL0)                                                            \
    REGISTER(cntv_ctl,   CNTV_CTL_EL0)                                                             \
    REGISTER(vmcr,       ICH_VMCR_EL2)   /* virtual CPU interface */                               \
    REGISTER(ap0r0,      ICH_AP0R0_EL2)                                                            \
    REGISTER(ap1r0,      ICH_AP1R0_EL2)

/* Active priorities of virtual interrupts beyond the first 32, where the CPU interface preempts by 6 or 7 bits. */
#define WORLD_PRIORITIES_6(REGISTER)                                                               \
    REGISTER(ap0r1,      ICH_AP0R1_EL2)                                                            \
    REGISTER(ap1r1,      ICH_AP1R1_EL2)
#define WORLD_PRIORITIES_7(REGISTER)                                                               \
    REGISTER(ap0r2,      ICH_AP0R2_EL2)                                                            \
    REGISTER(ap0r3,      ICH_AP0R3_EL2)                                                            \
    REGISTER(ap1r2,      ICH_AP1R2_EL2)                                                            \
    REGISTER(ap1r3,      ICH_AP1R3_EL2)

/* Pointer authentication keys, where the CPU has it; by encoding, so that any assembler takes them. */
#define WORLD_KEYS(REGISTER)                                                                       \
    REGISTER(apia_low,   S3_0_C2_C1_0)                                                             \
    REGISTER(apia_high,  S3_0_C2_C1_1)                                                             \
    REGISTER(apib_low,   S3_0_C2_C1_2)                                                             \
    REGISTER(apib_high,  S3_0_C2_C1_3)                                                             \
    REGISTER(apda_low,   S3_0_C2_C2_0)                                                             \
    REGISTER(apda_high,  S3_0_C2_C2_1)                                                             \
    REGISTER(apdb_low,   S3_0_C2_C2_2)                                                             \
    REGISTER(apdb_high,  S3_0_C2_C2_3)                                                             \
    REGISTER(apga_low,   S3_0_C2_C3_0)                                                             \
    REGISTER(apga_high,  S3_0_C2_C3_1)

/* Registers of extensions that guests are not told of, but that nothing traps (before FEAT_FGT): a guest that
 * tries reaches them all the same. DISR_EL1 is VDISR_EL2 to a guest (HCR_EL2.AMO). */
#define WORLD_RAS(REGISTER)                                                                        \
    REGISTER(vdisr,      S3_4_C12_C1_1)  /* VDISR_EL2 */
#define WORLD_SME(REGISTER)                                                                        \
    REGISTER(tpidr2,     S3_3_C13_C0_5)  /* TPIDR2_EL0 */                                          \
    REGISTER(smpri,      S3_0_C1_C2_4)   /* SMPRI_EL1 */
/* clang-format on */

/* Which of the optional tables this CPU has. */
enum world_extras {
    WORLD_HAS_KEYS = 1,
    WORLD_HAS_RAS = 2,
    WORLD_HAS_SME = 4,
    WORLD_HAS_PRIORITIES_6 = 8,
    WORLD_HAS_PRIORITIES_7 = 16,
};

struct world {
#define FIELD(field, name) uint64_t field;
    WORLD_REGISTERS(FIELD)
    WORLD_KEYS(FIELD)
    WORLD_RAS(FIELD)
    WORLD_SME(FIELD)
    WORLD_PRIORITIES_6(FIELD)
    WORLD_PRIORITIES_7(FIELD)
#undef FIELD
};

/* FP and SIMD state: world.S stores and loads it as laid out here. */
struct fp_registers {
    _Alignas(16) uint64_t v[32][2];
    uint64_t fpcr, fpsr;
};
_Static_assert(sizeof(struct fp_registers) == 528, "world.S knows the layout");

void world_save(struct world *world);
void world_load(const struct world *world);
void world_save_extras(struct world *world, uint32_t extras);
void world_load_extras(const struct world *world, uint32_t extras);
/* The values that reset leaves in them (zero where the architecture leaves them unknown). */
void world_reset(struct world *world, uint32_t vcpu_index);

/* CPTR_EL2.TFP must be 0. */
void fp_save(struct fp_registers *registers);
void fp_load(const struct fp_registers *registers);

/* CNTV_CTL_EL0 */
#define TIMER_ENABLE (UINT64_C(1) << 0)
#define TIMER_MASKED (UINT64_C(1) << 1)
#define TIMER_STATUS (UINT64_C(1) << 2)

/* SCTLR_EL1, bits that EL0 obeys even with stage 1 off and HCR_EL2.TGE set */
#define SCTLR_A (UINT64_C(1) << 1)     /* alignment checks */
#define SCTLR_UMA (UINT64_C(1) << 9)   /* DAIF accessible */
#define SCTLR_DZE (UINT64_C(1) << 14)  /* DC ZVA allowed */
#define SCTLR_UCT (UINT64_C(1) << 15)  /* CTR_EL0 readable */
#define SCTLR_NTWI (UINT64_C(1) << 16) /* WFI, WFE: no trap */
#define SCTLR_NTWE (UINT64_C(1) << 18)
#define SCTLR_SPAN (UINT64_C(1) << 23)
#define SCTLR_E0E (UINT64_C(1) << 24) /* big-endian data */
#define SCTLR_UCI (UINT64_C(1) << 26) /* cache maintenance allowed */
#define SCTLR_DSSBS (UINT64_C(1) << 44)
#define SCTLR_ENTP2 (UINT64_C(1) << 60) /* TPIDR2_EL0 accessible */
#define SCTLR_RESERVED_ONE UINT64_C(0x30d00800)
#define SCTLR_RESET                                                                                \
    (SCTLR_RESERVED_ONE | SCTLR_DZE | SCTLR_UCT | SCTLR_NTWI | SCTLR_NTWE | SCTLR_UCI)

/* CNTKCTL_EL1 */
#define CNTKCTL_EL0VCTEN (UINT64_C(1) << 1) /* CNTVCT_EL0 readable */
#define CNTKCTL_EL0VTEN (UINT64_C(1) << 8)  /* CNTV_* accessible */

#endif
