/*
 * The state of a vCPU: system registers by number, through instructions made at run time, and floating point. Attacker and victim
 * both fill it with values of their own and look later whether it is still theirs; a register that a world
 * switch forgets shows in either, whatever its name.
 */
#include "attack.h"
#include "state.h"

#define MRS_X0 0xd5200000u /* | number << 5 */
#define MSR_X0 0xd5000000u

struct held {
    uint32_t number;
    uint64_t value;
};
static struct held held[1024];
static uint32_t held_count;

#define RET 0xd65f03c0u
#define NUMBERS (LAST_NUMBER + 1 - FIRST_NUMBER)

/* Code to read and to write each register, made once: changing code again and again is slow. */
static uint32_t readers[NUMBERS][2], writers[NUMBERS][2];

static void make_code(void)
{
    for (uint32_t number = FIRST_NUMBER; number <= LAST_NUMBER; number++) {
        readers[number - FIRST_NUMBER][0] = MRS_X0 | number << 5;
        writers[number - FIRST_NUMBER][0] = MSR_X0 | number << 5;
        readers[number - FIRST_NUMBER][1] = writers[number - FIRST_NUMBER][1] = RET;
    }
    __asm__ volatile("dsb sy; ic iallu; dsb sy; isb" ::: "memory");
}

bool register_read(uint32_t number, uint64_t *value)
{
    if (readers[0][0] == 0) {
        make_code();
    }
    uint64_t x[18] = {CANARY}, before = caught[0].count;
    call_with((uint64_t)readers[number - FIRST_NUMBER], x);
    *value = x[0];
    return caught[0].count == before;
}

bool register_write(uint32_t number, uint64_t value)
{
    if (writers[0][0] == 0) {
        make_code();
    }
    uint64_t x[18] = {value}, before = caught[0].count;
    call_with((uint64_t)writers[number - FIRST_NUMBER], x);
    return caught[0].count == before;
}

/* Registers whose change would take the guest's own ground away. */
static bool is_needed(uint32_t number)
{
    switch (number) {
    case REGISTER_NUMBER(3, 0, 1, 0, 0):  /* SCTLR_EL1 */
    case REGISTER_NUMBER(3, 0, 1, 0, 2):  /* CPACR_EL1 */
    case REGISTER_NUMBER(3, 0, 12, 0, 0): /* VBAR_EL1 */
    case REGISTER_NUMBER(3, 0, 4, 2, 0):  /* SPSel */
    case REGISTER_NUMBER(3, 3, 4, 2, 1):  /* DAIF */
    case REGISTER_NUMBER(3, 3, 4, 2, 2):  /* SVCR */
    case REGISTER_NUMBER(3, 3, 4, 2, 6):  /* SSBS */
        return true;
    default:
        return false;
    }
}

/* Registers that change by themselves. */
static bool is_restless(uint32_t number)
{
    switch (number) {
    case REGISTER_NUMBER(3, 0, 12, 1, 0):  /* ISR_EL1 */
    case REGISTER_NUMBER(3, 0, 12, 8, 0):  /* ICC_IAR0_EL1 */
    case REGISTER_NUMBER(3, 0, 12, 8, 2):  /* ICC_HPPIR0_EL1 */
    case REGISTER_NUMBER(3, 0, 12, 12, 0): /* ICC_IAR1_EL1 */
    case REGISTER_NUMBER(3, 0, 12, 12, 2): /* ICC_HPPIR1_EL1 */
    case REGISTER_NUMBER(3, 3, 2, 4, 0):   /* RNDR */
    case REGISTER_NUMBER(3, 3, 2, 4, 1):   /* RNDRRS */
    case REGISTER_NUMBER(3, 3, 4, 2, 0):   /* NZCV */
    case REGISTER_NUMBER(3, 3, 4, 4, 0):   /* FPCR, FPSR: fp_fill() has them */
    case REGISTER_NUMBER(3, 3, 4, 4, 1):
    case REGISTER_NUMBER(3, 3, 14, 0, 1): /* CNTPCT_EL0 */
    case REGISTER_NUMBER(3, 3, 14, 0, 2): /* CNTVCT_EL0 */
    case REGISTER_NUMBER(3, 3, 14, 0, 5): /* CNTPCTSS_EL0 */
    case REGISTER_NUMBER(3, 3, 14, 0, 6): /* CNTVCTSS_EL0 */
    case REGISTER_NUMBER(3, 3, 14, 2, 0): /* CNTP_TVAL_EL0 */
    case REGISTER_NUMBER(3, 3, 14, 2, 1): /* CNTP_CTL_EL0: ISTATUS */
    case REGISTER_NUMBER(3, 3, 14, 3, 0): /* CNTV_TVAL_EL0 */
    case REGISTER_NUMBER(3, 3, 14, 3, 1): /* CNTV_CTL_EL0: ISTATUS */
        return true;
    default:
        return false;
    }
}

/* Everything that answers a read, with what it holds; interrupt acknowledge registers are left alone. */
static void find_readable(void)
{
    held_count = 0;
    for (uint32_t number = FIRST_NUMBER; number <= LAST_NUMBER; number++) {
        uint64_t value;
        if (NUMBER_OP1(number) >= HYPERVISOR_OP1 || is_restless(number)) {
            continue;
        }
        if (register_read(number, &value) && held_count < sizeof(held) / sizeof(held[0])) {
            held[held_count++] = (struct held){number, value};
        }
    }
}

/* What is written to a register. QEMU 7.2 takes a binary point above 7 for 0, and fails an assertion of its own on that. */
static uint64_t value_for(uint32_t number, uint64_t value)
{
    bool is_binary_point =
        number == REGISTER_NUMBER(3, 0, 12, 8, 3) || number == REGISTER_NUMBER(3, 0, 12, 12, 3);
    return is_binary_point ? value % 8 : value;
}

uint32_t state_hold(uint64_t seed)
{
    if (held_count == 0) {
        find_readable();
    }
    for (uint32_t i = 0; i < held_count; i++) {
        if (!is_needed(held[i].number)) {
            uint64_t value = seed + i * UINT64_C(0x0123456789abcdef);
            register_write(held[i].number, value_for(held[i].number, value));
        }
    }
    for (uint32_t i = 0; i < held_count; i++) {
        register_read(held[i].number, &held[i].value);
    }
    return held_count;
}

uint32_t state_changed(uint32_t *first)
{
    uint32_t changed = 0;
    for (uint32_t i = 0; i < held_count; i++) {
        uint64_t value;
        register_read(held[i].number, &value);
        if (value != held[i].value && changed++ == 0) {
            *first = held[i].number;
        }
        held[i].value = value;
    }
    return changed;
}

void state_release(void)
{
    for (uint32_t i = 0; i < held_count; i++) {
        if (NUMBER_CRN(held[i].number) == 14) {
            register_write(held[i].number, 0); /* timers off */
        }
    }
}

#define FP_FILL                                                                                    \
    ".arch armv8-a+fp+simd\n"                                                                      \
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,"  \
    "31\n"                                                                                         \
    "add x9, %0, #\\n\n"                                                                           \
    "dup v\\n\\().2d, x9\n"                                                                        \
    ".endr\n"
#define FP_COMPARE                                                                                 \
    ".arch armv8-a+fp+simd\n"                                                                      \
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,"  \
    "31\n"                                                                                         \
    "add x9, %1, #\\n\n"                                                                           \
    "mov x10, v\\n\\().d[0]\n"                                                                     \
    "mov x11, v\\n\\().d[1]\n"                                                                     \
    "cmp x9, x10\n"                                                                                \
    "ccmp x9, x11, #0, eq\n"                                                                       \
    "cinc %0, %0, ne\n"                                                                            \
    ".endr\n"

void fp_fill(uint64_t seed)
{
    __asm__ volatile(FP_FILL ::"r"(seed) : "x9", "memory");
    write_system(fpcr, UINT64_C(1) << 25);
    write_system(fpsr, seed & 0x1f);
}

uint64_t fp_wrong(uint64_t seed)
{
    uint64_t wrong = 0;
    __asm__ volatile(FP_COMPARE : "+r"(wrong) : "r"(seed) : "x9", "x10", "x11", "cc", "memory");
    wrong += read_system(fpcr) != UINT64_C(1) << 25;
    wrong += (read_system(fpsr) & 0x1f) != (seed & 0x1f);
    return wrong;
}
