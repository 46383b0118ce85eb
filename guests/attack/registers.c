/*
 * Attacks by system registers: every encoding there is, by instructions made at run time.
 */
#include "attack.h"
#include "state.h"

#define MRS_X0 0xd5200000u /* | number << 5 */
#define SVC_RETURN 0xd40fffe1u
#define PFR0_HIDDEN 0x0000fffff000ff00UL /* EL2, EL3, RAS, SVE, SEL2, MPAM, AMU */
#define PFR1_HIDDEN 0x0f000f00UL         /* MTE, SME */
#define ROUNDS 24u

/* The general attack on what a world switch carries: the other VM on this core does the same with values of its own. */
void attack_registers_kept(struct outcome *outcome)
{
    uint32_t count = state_hold(random_number());
    uint64_t end = attack_end();
    for (uint32_t round = 0; round < ROUNDS || counter() < end; round++) {
        uint32_t first = 0;
        spin_for(20 * MILLISECOND); /* the other VM gets its share of the core meanwhile */
        outcome->attempts += count;
        if (state_changed(&first) != 0) {
            outcome_hole(outcome, "another VM's value in a register (op0:op1:CRn:CRm:op2 in bits)",
                         first);
        }
    }
    state_release();
    outcome->shows =
        "every readable register kept this VM's value while the other VM wrote its own "
        "on the same core";
}

/* What the very first instructions of this VM found, before anything else ran in it. */
#define KEYS 10u
static uint64_t first_fp[64], first_registers[12 + KEYS];

void registers_capture(void)
{
    static const uint16_t numbers[] = {
        REGISTER_NUMBER(3, 0, 13, 0, 4), /* TPIDR_EL1 */
        REGISTER_NUMBER(3, 3, 13, 0, 2), /* TPIDR_EL0 */
        REGISTER_NUMBER(3, 3, 13, 0, 3), /* TPIDRRO_EL0 */
        REGISTER_NUMBER(3, 0, 13, 0, 1), /* CONTEXTIDR_EL1 */
        REGISTER_NUMBER(3, 0, 2, 0, 0),  /* TTBR0_EL1 */
        REGISTER_NUMBER(3, 0, 2, 0, 1),  /* TTBR1_EL1 */
        REGISTER_NUMBER(3, 0, 10, 2, 0), /* MAIR_EL1 */
        REGISTER_NUMBER(3, 0, 7, 4, 0),  /* PAR_EL1 */
        REGISTER_NUMBER(3, 0, 5, 1, 0),  /* AFSR0_EL1 */
        REGISTER_NUMBER(3, 3, 14, 3, 2), /* CNTV_CVAL_EL0 */
        REGISTER_NUMBER(3, 3, 4, 4, 0),  /* FPCR */
        REGISTER_NUMBER(3, 3, 4, 4, 1),  /* FPSR */
    };
    __asm__ volatile(".arch armv8-a+fp+simd\n"
                     ".irp n, 0,2,4,6,8,10,12,14,16,18,20,22,24,26,28\n"
                     "str q\\n, [%0, #16 * \\n]\n"
                     ".endr\n"
                     ".irp n, 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,30,31\n"
                     "str q\\n, [%0, #16 * \\n]\n"
                     ".endr\n" ::"r"(first_fp)
                     : "memory");
    for (uint32_t i = 0; i < 12; i++) {
        (void)register_read(numbers[i], &first_registers[i]);
    }
    for (uint32_t i = 0; i < KEYS; i++) { /* APIAKeyLo_EL1 and following */
        uint32_t number = REGISTER_NUMBER(3, 0, 2, 1 + i / 4, i % 4);
        if (!register_read(number, &first_registers[12 + i])) {
            first_registers[12 + i] = 0;
        }
    }
}

void attack_registers_clean(struct outcome *outcome)
{
    for (uint32_t i = 0; i < 64; i++) {
        outcome_add(outcome, first_fp[i] == 0, "a new VM found something in V", i / 2);
    }
    for (uint32_t i = 0; i < 12 + KEYS; i++) {
        outcome_add(outcome, first_registers[i] == 0, "a new VM found something in a register", i);
    }
    outcome->shows = "a new VM finds zero in FP, thread, translation and key registers";
}

void attack_fp_kept(struct outcome *outcome)
{
    uint64_t end = attack_end();
    for (uint32_t round = 0; round < ROUNDS || counter() < end; round++) {
        uint64_t seed = random_number();
        fp_fill(seed);
        spin_for(20 * MILLISECOND);
        uint64_t wrong = fp_wrong(seed);
        outcome->attempts += 34;
        if (wrong != 0) {
            outcome_hole(outcome, "another VM's floating-point registers", wrong);
        }
    }
    write_system(fpcr, 0);
    outcome->shows =
        "V0 to V31, FPCR and FPSR kept this VM's values while the other VM used its own "
        "on the same core";
}

void attack_hypervisor_registers(struct outcome *outcome)
{
    for (uint32_t number = FIRST_NUMBER; number <= LAST_NUMBER; number++) {
        uint64_t value;
        if (NUMBER_OP1(number) < HYPERVISOR_OP1 || NUMBER_OP0(number) != 3 || is_left_out()) {
            continue;
        }
        bool answered = register_read(number, &value);
        outcome_add(outcome, !answered && value == CANARY, "read a register of EL2 or EL3", number);
        outcome_add(outcome, !register_write(number, random_value()),
                    "wrote a register of EL2 or EL3", number);
    }
    outcome->shows = "every one undefined at EL1";
}

/* Extensions that Quoll hides must not work, or their registers would be shared by all. Those that nothing can trap (TPIDR2_EL0,
 * DISR_EL1) are switched: registers-kept sees them. */
void attack_extensions(struct outcome *outcome)
{
    static const uint32_t hidden[] = {
        0x04e0e3e0, /* CNTD x0: SVE */
        0x2518e3e0, /* PTRUE p0.b: SVE */
        0xd503477f, /* SMSTART: SME */
        0x04bf5800, /* RDSVL x0, #0: SME */
        0xd53b42e0, /* MRS x0, TCO: MTE */
        0xd53810a0, /* MRS x0, RGSR_EL1: MTE */
        0xd53810c0, /* MRS x0, GCR_EL1: MTE */
        0xd5385600, /* MRS x0, TFSR_EL1: MTE */
        0xd538d0e0, /* MRS x0, SCXTNUM_EL1 */
        0xd53bd0e0, /* MRS x0, SCXTNUM_EL0 */
        0xd5381200, /* MRS x0, ZCR_EL1: SVE */
        0xd53812c0, /* MRS x0, SMCR_EL1: SME */
        0xd5389900, /* MRS x0, PMSCR_EL1: profiling */
        0xd5381220, /* MRS x0, TRFCR_EL1: trace */
        0xd538a400, /* MRS x0, LORSA_EL1 */
        0xd5385300, /* MRS x0, ERRIDR_EL1: RAS records */
        0xd5385320, /* MRS x0, ERRSELR_EL1 */
        0xd53bd200, /* MRS x0, AMCR_EL0: activity monitors */
        0xd538a500, /* MRS x0, MPAM1_EL1 */
    };
    for (uint32_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        uint64_t x[18] = {CANARY}, before = caught[0].count;
        call_with(stub_make(&hidden[i], 1), x);
        outcome_add(outcome, caught[0].count != before && x[0] == CANARY,
                    "a hidden extension works: instruction", hidden[i]);
    }
    uint64_t pfr0 = read_system(id_aa64pfr0_el1), pfr1 = read_system(id_aa64pfr1_el1);
    outcome_add(outcome, (pfr0 & PFR0_HIDDEN) == 0, "ID_AA64PFR0_EL1 tells what is hidden", pfr0);
    outcome_add(outcome, (pfr1 & PFR1_HIDDEN) == 0, "ID_AA64PFR1_EL1 tells what is hidden", pfr1);
    outcome->shows = "SVE, SME, MTE, profiling, trace, activity monitors: undefined in the guest";
}

#define MDSCR_ALL ((1u << 15) | (1u << 13) | 1u) /* MDE, KDE, SS */
#define BREAK_ON_ALL 0x1e7u                      /* enabled, EL0 to EL2, all bytes */

void attack_debug(struct outcome *outcome)
{
    write_system(S2_0_C1_C0_4, 0); /* OSLAR_EL1 */
    write_system(S2_0_C1_C3_4, 0); /* OSDLR_EL1 */
    write_system(mdscr_el1, MDSCR_ALL);
    for (uint32_t n = 0; n < 16; n++) {
        for (uint32_t op2 = 4; op2 < 8; op2++) { /* DBGBVR, DBGBCR, DBGWVR, DBGWCR */
            uint64_t value = op2 % 2 ? BREAK_ON_ALL : n % 2 ? (uint64_t)attack_debug : 0x40200000;
            register_write(REGISTER_NUMBER(2, 0, 0, n, op2), value);
            outcome->attempts++;
        }
    }
    outcome->attempts += 3;
    uint64_t before = caught[0].count;
    for (uint32_t i = 0; i < 1000; i++) {
        scratch[i] = (uint8_t)i; /* would hit a watchpoint or take a step */
    }
    if (caught[0].count != before) {
        outcome_hole(outcome, "a debug exception", caught[0].syndrome);
    }
    static const uint32_t halting[] = {0xd4400000, 0xd4a00001, 0xd4a00002, 0xd4a00003};
    for (uint32_t i = 0; i < 4; i++) { /* HLT, DCPS1, DCPS2, DCPS3 */
        uint64_t x[18] = {0};
        before = caught[0].count;
        call_with(stub_make(&halting[i], 1), x);
        outcome_add(outcome, caught[0].count != before && caught_class() == CLASS_UNKNOWN,
                    "a halting instruction was not undefined", halting[i]);
    }
    write_system(mdscr_el1, 0);
    outcome->shows =
        "debug registers are trapped and hold nothing; halting instructions are undefined";
}

void attack_performance(struct outcome *outcome)
{
    for (uint32_t crm = 12; crm < 16; crm++) {
        for (uint32_t op2 = 0; op2 < 8; op2++) {
            uint32_t number = REGISTER_NUMBER(3, 3, 9, crm, op2);
            uint64_t value;
            bool counts = register_read(number, &value) && value != 0;
            outcome_add(outcome, !counts, "a performance counter answers", number);
            outcome_add(outcome, !register_write(number, UINT64_MAX),
                        "a performance counter can be set", number);
        }
    }
    outcome->shows = "undefined in the guest, which is told that there are none";
}

/* From user level: what the guest's own kernel has not opened. */
void attack_el0_registers(struct outcome *outcome)
{
    for (uint32_t number = FIRST_NUMBER; number <= LAST_NUMBER; number++) {
        if (is_left_out()) {
            continue;
        }
        uint32_t words[2] = {MRS_X0 | number << 5, SVC_RETURN};
        uint64_t before = caught[0].count;
        uint64_t value = el0_run(stub_make(words, 2), CANARY);
        bool own = NUMBER_OP1(number) == 3; /* EL0's registers: the guest's business */
        outcome_add(outcome, own || (caught[0].count != before && value == CANARY),
                    "user level read a register of the system", number);
    }
    outcome->shows = "undefined, or trapped to the guest's own kernel";
}
