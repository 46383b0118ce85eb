/* Attacks by calls: PSCI with nonsense, every function number near the real ones, every form of the instruction, from EL1 and EL0. */
#include "attack.h"

#define HVC(immediate) (0xd4000002u | (uint32_t)(immediate) << 5)
#define SMC(immediate) (0xd4000003u | (uint32_t)(immediate) << 5)
#define SVC_RETURN 0xd40fffe1u
#define CPU_ON_32 0x84000003UL
#define CPU_ON_64 0xc4000003UL
#define AFFINITY_INFO 0xc4000004UL
#define INVALID_PARAMETERS (-2) /* DEN 0022, 5.2.2 */
#define INVALID_ADDRESS (-9)
#define TRNG_VERSION 0x84000050UL
#define TRNG_VERSION_1_0 0x10000u
#define RANDOM_CALLS 3000u

static bool is_error(uint64_t answer)
{
    return (int32_t)answer < 0;
}

/* CPU_ON of CPUs that are not there or run already, at places that are not the guest's. */
void attack_cpu_on(struct outcome *outcome)
{
    static const uint64_t targets[] = {
        0,       2,        3,          15,         16,          64,           255,       256,
        0x10000, 0xffffff, 0x80000000, 0x80000001, 0x100000000, 0xff00000000, UINT64_MAX};
    for (uint32_t n = 0; n < probe_address_count(); n++) {
        uint64_t entry = probe_address(n);
        if (entry - RAM < ram_size) {
            continue;
        }
        outcome_add(outcome, (int32_t)firmware(CPU_ON_64, 1, entry, 0) == INVALID_ADDRESS,
                    "CPU_ON with an entry point outside of RAM", entry);
    }
    (void)helper_start(HELPER_NONE); /* CPU 1 runs: from here on no CPU_ON can be right */
    for (uint32_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        for (uint32_t n = 0; n < 8; n++) {
            uint64_t function = n % 2 ? CPU_ON_32 : CPU_ON_64;
            uint64_t target = function == CPU_ON_32 ? (uint32_t)targets[i] : targets[i];
            uint64_t answer = firmware(function, target, probe_address(n * 7), n);
            bool there = target < CPUS;
            outcome_add(outcome, there ? is_error(answer) : (int32_t)answer == INVALID_PARAMETERS,
                        "CPU_ON of a CPU that is not there or runs", target);
        }
        uint64_t state = firmware(AFFINITY_INFO, targets[i], 0, 0);
        outcome_add(outcome, targets[i] < CPUS || (int32_t)state == INVALID_PARAMETERS,
                    "AFFINITY_INFO of a CPU that is not there", targets[i]);
    }
    outcome->shows = "INVALID_PARAMETERS, ALREADY_ON or INVALID_ADDRESS";
}

/* CPU 1 goes off and is switched on again, as fast as both can. */
void attack_cpu_cycle(struct outcome *outcome)
{
    uint64_t end = attack_end();
    while (counter() < end) {
        outcome_add(outcome, helper_start(HELPER_OFF), "a CPU that is off does not start",
                    outcome->attempts);
    }
    outcome_add(outcome, helper_start(HELPER_NONE), "a CPU that is off does not start",
                outcome->attempts);
    outcome->shows = "it starts each time, at its entry point; nobody else noticed";
}

/* Calls after which the guest would not be there to tell. */
static bool ends_guest(uint32_t function)
{
    switch (function & ~0x40000000u) {
    case 0x84000002: /* CPU_OFF */
    case 0x84000008: /* SYSTEM_OFF */
    case 0x84000009: /* SYSTEM_RESET */
    case 0x84000012: /* SYSTEM_RESET2 */
        return true;
    default:
        return false;
    }
}

static void one_call(struct outcome *outcome, uint64_t function, uint32_t instruction)
{
    uint64_t x[18];
    if (ends_guest((uint32_t)function)) {
        return;
    }
    for (uint32_t i = 1; i < 18; i++) {
        x[i] = i < 4 ? random_value() : CANARY + i;
    }
    x[0] = function;
    uint64_t before = caught[0].count;
    call_with(stub_make(&instruction, 1), x);
    bool kept = true;
    for (uint32_t i = 4; i < 18; i++) {
        kept = kept && x[i] == CANARY + i;
    }
    outcome_add(outcome, kept, "a call changed x4 to x17", function);
    outcome_add(outcome, caught[0].count == before, "a call ended in an exception", function);
}

void attack_firmware(struct outcome *outcome)
{
    static const uint32_t bases[] = {0x80000000, 0x81000000, 0x82000000, 0x83000000, 0x84000000,
                                     0x85000000, 0x86000000, 0xb0000000, 0xc0000000, 0xc1000000,
                                     0xc4000000, 0xc5000000, 0xc6000000, 0x00000000, 0x04000000};
    (void)helper_start(HELPER_NONE); /* so that no CPU_ON can succeed */
    for (uint32_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        for (uint32_t n = 0; n < 0x80; n++) {
            if (is_left_out()) {
                continue;
            }
            one_call(outcome, bases[i] + n, n % 2 ? SMC(0) : HVC(0));
        }
        one_call(outcome, bases[i] + 0xff00, HVC(0));
        one_call(outcome, bases[i] + 0xff01, SMC(0));
    }
    uint64_t x[18] = {TRNG_VERSION};
    uint32_t instruction = SMC(0);
    call_with(stub_make(&instruction, 1), x);
    outcome_add(outcome, x[0] == TRNG_VERSION_1_0, "SMC reached other firmware than HVC", x[0]);
    for (uint32_t n = 0; n < RANDOM_CALLS; n++) {
        one_call(outcome, random_value(), n % 2 ? SMC(0) : HVC(0));
    }
    outcome->shows = "answered NOT_SUPPORTED or as documented; no other register changed";
}

void attack_call_immediates(struct outcome *outcome)
{
    (void)helper_start(HELPER_NONE);
    for (uint32_t n = 0; n < 512; n++) {
        uint32_t immediate = n < 32 ? 1u << n % 16 : (uint32_t)random_number() & 0xffff;
        one_call(outcome, 0xc600ff00 + n, n % 2 ? SMC(immediate) : HVC(immediate));
    }
    outcome->shows = "the number in the instruction means nothing: answered as calls";
}

void attack_el0_calls(struct outcome *outcome)
{
    for (uint32_t n = 0; n < 512; n++) {
        uint32_t immediate = n < 32 ? 1u << n % 16 : (uint32_t)random_number() & 0xffff;
        uint32_t words[2] = {n % 2 ? HVC(immediate) : SMC(immediate), SVC_RETURN};
        uint64_t before = caught[0].count;
        uint64_t answer = el0_run(stub_make(words, 2), 0x84000000 + n % 64);
        outcome_add(outcome,
                    caught[0].count == before + 1 && caught_class() == CLASS_UNKNOWN &&
                        answer == 0x84000000 + n % 64,
                    "user level made a call", words[0]);
    }
    outcome->shows = "HVC and SMC are undefined at EL0: the guest's kernel gets the exception";
}
