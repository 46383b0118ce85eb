/*
 * Random code at user level, in AArch64 and both instruction sets of AArch32: instructions that this CPU has and Quoll has not thought of
 * would show here. User level has one page of code and one of data; whatever it does ends in this guest's own kernel, by an
 * exception or a timer interrupt.
 */
#include "attack.h"
#include "stage1.h"

#define CODE 0x80000000UL /* virtual addresses of the two pages */
#define DATA 0x80001000UL
#define CODE_WORDS 1024u
#define RUN_MICROSECONDS 300u
#define ATTEMPTS_IN_A_ROW 8u /* of one page full of code, at random places in it */
#define PSTATE_EL0 0x340u    /* interrupts taken */
#define PSTATE_ARM 0x150u
#define PSTATE_THUMB 0x170u
#define TIMER_ON 1

static uint64_t level2[STAGE1_ENTRIES] __attribute__((aligned(4096)));
static uint64_t level3[STAGE1_ENTRIES] __attribute__((aligned(4096)));
static uint32_t code[CODE_WORDS] __attribute__((aligned(4096)));
static uint8_t user_data[4096] __attribute__((aligned(4096)));

static void map_pages(void)
{
    level3[0] = (uint64_t)code | PAGE | NORMAL | ACCESSED | SHAREABLE | USER_READ;
    level3[1] = (uint64_t)user_data | PAGE | NORMAL | ACCESSED | SHAREABLE | USER_WRITE;
    level2[0] = (uint64_t)level3 | TABLE;
    level1[CODE / GIB] = (uint64_t)level2 | TABLE;
}

static uint32_t random_a64(void)
{
    uint32_t word = (uint32_t)random_number();
    switch (random_number() % 4) {
    case 0:
        return 0xd5000000 | (word & 0x3fffff); /* system instructions and registers */
    case 1:
        return 0x08000000 | (word & ~0x16000000u); /* loads and stores */
    case 2:
        return 0xd4000000 | (word & 0xffffff); /* exceptions */
    default:
        return word;
    }
}

static uint32_t random_a32(void)
{
    uint32_t word = (uint32_t)random_number();
    switch (random_number() % 4) {
    case 0:
        return 0xee000e10 | (word & 0x1ff1ef); /* MCR, MRC of system registers */
    case 1:
        return 0xe0000000 | (word & 0xfffffff);
    default:
        return word;
    }
}

static void fill(uint64_t pstate)
{
    for (uint32_t i = 0; i < CODE_WORDS; i++) {
        code[i] = pstate == PSTATE_EL0 ? random_a64() : random_a32();
    }
    sync();
    __asm__ volatile("ic iallu; dsb sy; isb" ::: "memory");
}

static void run(uint64_t pstate)
{
    el0_pstate = pstate;
    write_system(cntv_cval_el0, counter() + RUN_MICROSECONDS * MILLISECOND / 1000);
    write_system(cntv_ctl_el0, TIMER_ON);
    el0_run(CODE + random_number() % CODE_WORDS * 4, DATA + random_number() % sizeof(user_data));
    write_system(cntv_ctl_el0, 0);
}

void attack_random_user(struct outcome *outcome)
{
    static const uint64_t states[] = {PSTATE_EL0, PSTATE_EL0, PSTATE_ARM, PSTATE_THUMB};
    bool has_aarch32 = (read_system(id_aa64pfr0_el1) & 15) == 2;
    uint64_t vectors = read_system(vbar_el1), end = attack_end();
    write32(gic_own_frame() + ISENABLER, 1u << INTID_TIMER);
    map_pages();
    mmu_on(TCR_39);
    uint64_t control = read_system(sctlr_el1);
    el0_once = true;
    while (counter() < end) {
        uint64_t pstate = states[random_number() % (has_aarch32 ? 4 : 2)];
        fill(pstate);
        for (uint32_t i = 0; i < ATTEMPTS_IN_A_ROW; i++) {
            run(pstate);
            bool same = read_system(vbar_el1) == vectors && read_system(sctlr_el1) == control;
            outcome_add(outcome, same, "user level changed the kernel's registers", code[0]);
        }
    }
    el0_once = false;
    el0_pstate = PSTATE_EL0_MASKED;
    mmu_off();
    outcome->shows = "every run ended in the guest's own kernel; nothing else noticed";
}
