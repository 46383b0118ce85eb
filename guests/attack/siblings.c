/*
 * Two vCPUs of one VM on one core, each with stage-1 tables of its own, which an operating system may well have: the same virtual
 * address, with the same ASID, leads each to its own page. Neither may ever see the other's, although the core's TLB serves both.
 *
 * Prints "siblings: N looks, N wrong".
 */
#include "attack.h"
#include "say.h"
#include "stage1.h"

#define WINDOW_ENTRY 2u
#define WINDOW (WINDOW_ENTRY * GIB)
#define LASTING_MILLISECONDS 1500u
#define PSCI_CPU_ON 0xc4000003UL
#define MAIR 0x44UL
#define SCTLR_M_ON 0x30d00801UL
#define NOT_GLOBAL (UINT64_C(1) << 11)

static uint64_t roots[CPUS][STAGE1_ENTRIES] __attribute__((aligned(4096)));
static uint64_t middle[CPUS][STAGE1_ENTRIES] __attribute__((aligned(4096)));
static uint64_t last[CPUS][STAGE1_ENTRIES] __attribute__((aligned(4096)));
static uint64_t pages[CPUS][512] __attribute__((aligned(4096)));
static volatile uint64_t looks[CPUS], wrong[CPUS];
static volatile bool over[CPUS];

/* What the shared parts ask for. */
void interrupt_take(void) {}
uint64_t guest_exception(uint64_t kind, uint64_t pc)
{
    return pc + 4;
}

static void mmu_on_with_own_tables(uint32_t cpu)
{
    uint64_t leaf = PAGE | NORMAL | ACCESSED | SHAREABLE | NOT_GLOBAL;
    pages[cpu][0] = cpu;
    last[cpu][0] = (uint64_t)pages[cpu] | leaf;
    middle[cpu][0] = (uint64_t)last[cpu] | TABLE;
    roots[cpu][0] = DEVICE | BLOCK | ACCESSED;
    roots[cpu][1] = GIB | NORMAL | BLOCK | ACCESSED | SHAREABLE;
    roots[cpu][WINDOW_ENTRY] = (uint64_t)middle[cpu] | TABLE;
    write_system(mair_el1, MAIR | UINT64_C(4) << 8);
    write_system(tcr_el1, TCR_39);
    write_system(ttbr0_el1, (uint64_t)roots[cpu]);
    sync();
    __asm__ volatile("tlbi vmalle1; dsb sy; isb" ::: "memory");
    write_system(sctlr_el1, SCTLR_M_ON);
    sync();
}

static void look(uint32_t cpu)
{
    uint64_t end = counter() + LASTING_MILLISECONDS * MILLISECOND;
    while (counter() < end) {
        looks[cpu] = looks[cpu] + 1;
        wrong[cpu] = wrong[cpu] + (*(volatile uint64_t *)WINDOW != cpu);
    }
    over[cpu] = true;
}

void cpu_main(uint64_t cpu)
{
    mmu_on_with_own_tables(1);
    look(1);
}

void guest_main(uint64_t device_tree)
{
    write_system(vbar_el1, (uint64_t)attack_vectors);
    mmu_on_with_own_tables(0);
    firmware(PSCI_CPU_ON, 1, (uint64_t)cpu_entry, 1);
    look(0);
    while (!over[1]) {
    }
    say("siblings: ");
    say_number(looks[0] + looks[1]);
    say(" looks, ");
    say_number(wrong[0] + wrong[1]);
    say(" wrong\n");
    power_off();
}
