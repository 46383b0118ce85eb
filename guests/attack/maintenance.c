/* Cache and TLB maintenance: all of it that EL1 may say, and that it may not, beside a VM that must not lose a byte or a beat. */
#include "attack.h"

#define SYS(op1, crn, crm, op2)                                                                    \
    (0xd5080000u | (uint32_t)(op1) << 16 | (uint32_t)(crn) << 12 | (uint32_t)(crm) << 8 |          \
     (uint32_t)(op2) << 5)
#define HYPERVISOR_OP1 4u /* and above: EL2's and EL3's */

static bool undefined(uint32_t word, uint64_t argument)
{
    uint64_t x[18] = {argument};
    uint64_t before = caught[0].count;
    call_with(stub_make(&word, 1), x);
    return caught[0].count != before && caught_class() == CLASS_UNKNOWN;
}

/* Set/way operations of every level work on lines of whoever has them. */
static void by_set_and_way(struct outcome *outcome)
{
    for (uint64_t level = 0; level < 7; level++) {
        for (uint64_t n = 0; n < 64; n++) {
            uint64_t line = level << 1 | n % 8 << 29 | n / 8 << 6;
            __asm__ volatile("dc isw, %0\n dc csw, %0\n dc cisw, %0" ::"r"(line) : "memory");
            outcome->attempts += 3;
        }
    }
}

void attack_cache_maintenance(struct outcome *outcome)
{
    scratch[0] = 0x5a;
    by_set_and_way(outcome);
    outcome_add(outcome, scratch[0] == 0x5a, "set/way invalidation threw data away", 0);
    for (uint32_t n = 0; n < probe_address_count(); n++) {
        uint64_t address = probe_address(n);
        if (probe_is_own(address)) {
            continue;
        }
        /* Of nothing: a fault or no effect, either is fine. That the victim lost nothing is its to say. */
        __asm__ volatile(
            "dc ivac, %0\n dc cvac, %0\n dc civac, %0\n dc cvau, %0\n ic ivau, %0" ::"r"(address)
            : "memory");
        __asm__ volatile("ic iallu\n ic ialluis" ::: "memory");
        outcome->attempts += 7;
    }
    outcome->shows =
        "set/way operations are trapped and ignored; by address they reach own memory only: the "
        "victim's pattern is whole";
}

void attack_tlb_maintenance(struct outcome *outcome)
{
    for (uint32_t op1 = 0; op1 < 8; op1++) {
        for (uint32_t rest = 0; rest < 2 * 16 * 8; rest++) {
            uint32_t crn = 7 + rest / 128, crm = rest / 8 % 16, op2 = rest % 8;
            bool translate_or_tlb = crn == 8 || crm == 8;
            if (!translate_or_tlb || is_left_out()) {
                continue;
            }
            bool refused = undefined(SYS(op1, crn, crm, op2), random_value());
            outcome_add(outcome, refused || op1 < HYPERVISOR_OP1,
                        "an EL2 maintenance instruction worked at EL1 (op1:crn:crm:op2)",
                        op1 << 12 | crn << 8 | crm << 4 | op2);
        }
    }
    for (uint32_t i = 0; i < 2000; i++) {
        __asm__ volatile(
            "tlbi vmalle1is\n tlbi vaae1is, %0\n tlbi aside1is, %0\n dsb ish\n isb" ::"r"(
                random_number())
            : "memory");
        outcome->attempts += 3;
    }
    outcome->shows = "EL2's instructions are undefined; EL1's reach the guest's own VMID only: the "
                     "victim went on";
}
