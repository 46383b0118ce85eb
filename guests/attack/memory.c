/* Attacks on memory by plain loads, stores and fetches: everything that is not the guest's own must answer with an abort. */
#include "attack.h"

#define RANDOM_ADDRESSES 200u
#define DEVICE_TREE_SPACE 0x10000u
#define SVC_RETURN 0xd40fffe1u /* SVC #0x7fff */

static bool touches_own(uint64_t address)
{
    return probe_is_own(address) || probe_is_own(address + 15);
}

/* Boots with memory that another VM or the kernel may have used before: nothing may be left in it. */
void attack_memory_clean(struct outcome *outcome)
{
    uint64_t end = RAM + ram_size;
    uint64_t before = (uint64_t)image_header;
    for (uint64_t at = RAM; at < end; at += 8) {
        if (at == before) {
            at = (uint64_t)image_end;
        }
        uint64_t word = *(volatile uint64_t *)at;
        if (word == 0) {
            outcome->attempts++;
            continue;
        }
        if (*(volatile uint32_t *)at == 0xedfe0dd0) { /* the device tree that it was given */
            at += DEVICE_TREE_SPACE - 8;
            continue;
        }
        outcome_add(outcome, false, "memory with somebody's content", at);
    }
    outcome->shows = "words of fresh memory, all zero but the guest's own kernel and device tree";
}

static void try_outside(struct outcome *outcome, uint32_t kinds,
                        enum probe_result (*probe)(uint64_t, uint32_t), const char *passed)
{
    uint32_t fixed = probe_address_count();
    for (uint32_t n = 0; n < fixed + RANDOM_ADDRESSES; n++) {
        uint64_t address = probe_address(n);
        if (touches_own(address) || (n >= PROBE_AROUND_RAM && is_left_out())) {
            continue;
        }
        /* every kind where it is worth it, else each in turn */
        for (uint32_t kind = 0; kind < kinds; kind++) {
            if (n >= fixed && kind != n % kinds) {
                continue;
            }
            enum probe_result result = probe(address, kind);
            outcome_add(outcome, result == PROBE_EXTERNAL || result == PROBE_OWN,
                        result == PROBE_LEAKED ? "a faulting load changed its register" : passed,
                        address);
        }
    }
}

void attack_read_outside(struct outcome *outcome)
{
    try_outside(outcome, PROBE_READS, probe_read, "read somebody else's address");
    outcome->shows = "stage-2 fault became a data abort in the guest, its registers unchanged";
}

void attack_write_outside(struct outcome *outcome)
{
    try_outside(outcome, PROBE_WRITES, probe_write, "wrote to somebody else's address");
    outcome->shows = "stage-2 fault became a data abort in the guest";
}

static enum probe_result fetch(uint64_t address, uint32_t kind)
{
    return probe_fetch(address & ~UINT64_C(3));
}

void attack_execute_outside(struct outcome *outcome)
{
    try_outside(outcome, 1, fetch, "executed at somebody else's address");
    /* Its own devices are not memory, so there is nothing to execute there either. */
    for (uint32_t i = 0; i < 64; i++) {
        static const uint64_t devices[] = {GIC_DISTRIBUTOR, GIC_REDISTRIBUTOR, PL011, VIRTIO_MMIO};
        uint64_t address = devices[i % 4] + i * 4;
        outcome_add(outcome, probe_fetch(address) != PROBE_PASSED, "executed a device", address);
    }
    outcome->shows = "stage-2 fault became an instruction abort in the guest";
}

/* The same from user level, with the MMU off: the guest's kernel gets the abort. */
void attack_el0_outside(struct outcome *outcome)
{
    static const uint32_t accesses[] = {
        0xf9400000, /* ldr x0, [x0] */
        0xf9000000, /* str x0, [x0] */
        0xd50b7e20, /* dc civac, x0 */
        0xb8408401, /* ldr w1, [x0], #8 */
    };
    for (uint32_t n = 0; n < probe_address_count() + RANDOM_ADDRESSES; n++) {
        uint64_t address = probe_address(n);
        if (touches_own(address)) {
            continue;
        }
        uint32_t words[2] = {accesses[n % 4], SVC_RETURN};
        uint64_t before = caught[0].count;
        el0_run(stub_make(words, 2), address);
        bool is_maintenance = n % 4 == 2; /* of nothing: allowed, without effect */
        outcome_add(outcome, caught[0].count != before || is_maintenance,
                    "user level reached somebody else's address", address);
    }
    outcome->shows = "stage-2 fault at EL0 became a data abort in the guest's kernel";
}
