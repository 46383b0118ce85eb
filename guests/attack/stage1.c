/*
 * Attacks by the guest's own stage-1 tables, which it may fill with anything: they translate to guest-physical addresses, and stage 2 has
 * the last word, for what they map and for where they lie.
 *
 * RAM and devices are mapped to themselves (entries 0 and 1 of the level 1 table, 1 GiB each); WINDOW is the virtual
 * address behind which each attempt puts its target.
 */
#include "attack.h"
#include "stage1.h"

#define WINDOW_ENTRY 256u
#define WINDOW (WINDOW_ENTRY * GIB)
#define HIGH_HALF 0xffffff8000000000UL /* what TTBR1_EL1 translates with T1SZ 25 */

/* Registers */
#define OUTPUT UINT64_C(0x0000fffffffff000)
#define MAIR (UINT64_C(0x44) | UINT64_C(0x04) << 8) /* 0: Normal, non-cacheable, 1: Device-nGnRE */
#define TCR_IPS_48 (UINT64_C(5) << 32)
#define TCR_HARDWARE_FLAGS (UINT64_C(3) << 39) /* HA, HD */
#define SCTLR_OFF UINT64_C(0x30d00800)
#define SCTLR_M UINT64_C(1)

uint64_t level1[STAGE1_ENTRIES] __attribute__((aligned(4096)));

void mmu_on(uint64_t tcr)
{
    level1[0] = DEVICE | BLOCK | ACCESSED;
    level1[1] = GIB | NORMAL | BLOCK | ACCESSED | SHAREABLE;
    write_system(mair_el1, MAIR);
    write_system(tcr_el1, tcr);
    write_system(ttbr0_el1, (uint64_t)level1);
    sync();
    __asm__ volatile("tlbi vmalle1; dsb sy; isb" ::: "memory");
    write_system(sctlr_el1, SCTLR_OFF | SCTLR_M);
    sync();
}

void mmu_off(void)
{
    write_system(sctlr_el1, SCTLR_OFF);
    sync();
    __asm__ volatile("tlbi vmalle1; dsb sy; isb" ::: "memory");
}

static void set_window(uint64_t entry)
{
    level1[WINDOW_ENTRY] = entry;
    sync();
    __asm__ volatile("tlbi vmalle1; dsb sy; isb" ::: "memory");
}

static bool attempt_kind(uint64_t address, uint32_t n, enum probe_result *result)
{
    switch (n % 3) {
    case 0:
        *result = probe_read(address, n / 3 % 7);
        break;
    case 1:
        *result = probe_write(address, n / 3 % 5);
        break;
    default:
        *result = probe_fetch(address & ~UINT64_C(3));
        break;
    }
    return *result == PROBE_EXTERNAL || *result == PROBE_OWN;
}

void attack_stage1_anywhere(struct outcome *outcome)
{
    enum probe_result result;
    for (uint32_t round = 0; round < 2; round++) {
        mmu_on(TCR_39 | (round == 0 ? TCR_IPS_48 : TCR_IPS_48 | TCR_HARDWARE_FLAGS));
        for (uint32_t n = 0; n < 2 * probe_address_count(); n++) {
            uint64_t target = probe_address(n) & OUTPUT;
            if ((n >= PROBE_AROUND_RAM && is_left_out()) || probe_is_own(target) ||
                probe_is_own(target + 4095)) {
                continue;
            }
            uint64_t flags = n % 2 ? NORMAL | SHAREABLE : DEVICE;
            set_window((target & ~(GIB - 1)) | flags | BLOCK | ACCESSED);
            uint64_t address = WINDOW + (target & (GIB - 1));
            outcome_add(outcome, attempt_kind(address, n, &result),
                        "stage 1 reached somebody else's address", target);
        }
        mmu_off();
    }
    outcome->shows = "stage 2 still translated what stage 1 gave: an abort in the guest";
}

/* Walks through tables that lie elsewhere: the walk itself would read (and, with hardware flags, write) there. */
void attack_tables_outside(struct outcome *outcome)
{
    enum probe_result result;
    for (uint32_t n = 0; n < 2 * probe_address_count(); n++) {
        uint64_t target = probe_address(n) & OUTPUT;
        if (is_left_out() || target - RAM < ram_size) {
            continue;
        }
        mmu_on(TCR_39 | TCR_IPS_48 | (n % 2 ? TCR_HARDWARE_FLAGS : 0));
        set_window(target | TABLE);
        outcome_add(outcome, attempt_kind(WINDOW + random_number() % GIB, n, &result),
                    "walked a table of somebody else's", target);
        write_system(ttbr1_el1, target);
        sync();
        uint64_t high = HIGH_HALF + random_number() % (UINT64_C(1) << 39);
        outcome_add(outcome, attempt_kind(high, n, &result), "walked a root of somebody else's",
                    target);
        /* An address translation instruction walks, too: it must fail or abort, not answer. */
        uint64_t before = caught[0].count;
        __asm__ volatile("at s1e1r, %0; isb" ::"r"(high) : "memory");
        bool failed = caught[0].count != before || (read_system(par_el1) & 1) != 0;
        outcome_add(outcome, failed, "AT walked somebody else's table", target);
        mmu_off();
    }
    outcome->shows = "stage-2 fault of the table walk became an abort in the guest";
}
