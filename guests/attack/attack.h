/*
 * What the attacks share.
 *
 * An attack is a function that tries one thing in many ways and tells the outcome: how many attempts, what prevented them, and the
 * first that got through (a hole). It catches the exceptions that it provokes and goes on. What it may not do
 * is lose its own console, clock or stack, or it could not tell.
 *
 * CPU 0 runs the attacks with interrupts masked and MMU off, unless one turns them on for a while; CPU 1 waits for
 * helper_start().
 */
#ifndef ATTACK_H
#define ATTACK_H

#include "gic.h"

/* Hidden, so that no address goes through a table that nobody relocates. */
#pragma GCC visibility push(hidden)

#define CPUS 2u
#define RAM 0x40000000UL
#define MILLISECOND (counter_frequency() / 1000)
#define CANARY 0x5afe5afe5afe5afeUL

extern uint8_t image_header[], image_end[]; /* guest.ld */

/* ---- outcome ---- */

struct outcome {
    uint64_t attempts;
    uint64_t holes;
    const char *shows; /* what prevented it, and how that showed */
    const char *hole;  /* of the first that got through: what, */
    uint64_t where;    /* and where */
};

void outcome_hole(struct outcome *outcome, const char *what, uint64_t where);
/* Counts an attempt, which is a hole unless `prevented`. */
void outcome_add(struct outcome *outcome, bool prevented, const char *hole, uint64_t where);

/* ---- chance and time ---- */

uint64_t random_number(void);
void registers_capture(void); /* registers.c: what a new VM finds; first of all */
/* Interesting values (small, powers of two and their neighbours, own addresses) more often than not. */
uint64_t random_value(void);
/* The counter value at which an attack that lasts should end. */
uint64_t attack_end(void);
/* True for most of a long list when the run is to be short. */
bool is_left_out(void);
void spin_for(uint64_t ticks);
extern uint8_t scratch[65536];
extern uint64_t ram_size; /* from the device tree */

/* ---- exceptions (catch.c) ---- */

struct frame { /* as catch.S stores it */
    uint64_t x[31];
    uint64_t pc, pstate, sp_el0;
};

/* What a CPU caught last. A fetch that fails goes on at the caller (x30), anything else at the next instruction. */
struct caught {
    volatile uint64_t count;
    volatile uint64_t syndrome, address, pc, kind;
};
extern struct caught caught[CPUS];

enum exception_class {
    CLASS_UNKNOWN = 0x00,
    CLASS_SVC = 0x15,
    CLASS_TRAPPED_REGISTER = 0x18,
    CLASS_FETCH_ABORT_LOWER = 0x20,
    CLASS_FETCH_ABORT = 0x21,
    CLASS_PC_ALIGNMENT = 0x22,
    CLASS_DATA_ABORT_LOWER = 0x24,
    CLASS_DATA_ABORT = 0x25,
};
#define FAULT_EXTERNAL 0x10u

static inline uint32_t caught_class(void)
{
    return (uint32_t)(caught[this_cpu()].syndrome >> 26);
}
static inline uint32_t caught_fault(void)
{
    return (uint32_t)caught[this_cpu()].syndrome & 0x3f;
}

void el0_returned(void); /* catch.S: where EL0 comes back to */
/* Runs code at EL0 until it makes SVC #0x7fff; returns its x0. Interrupts are masked. */
uint64_t el0_run(uint64_t entry, uint64_t argument);
#define PSTATE_EL0_MASKED 0x3c0u
extern uint64_t
    el0_pstate; /* what it begins with: PSTATE_EL0_MASKED but where an attack says otherwise */
extern bool el0_once; /* it ends at the first exception or interrupt */
/* Makes one of a call's instructions and calls it: x[0..17] go in and come back. */
void call_with(uint64_t stub, uint64_t x[18]);
/* Where made-up instructions live: `words` of them, then RET. Returns their address. */
#define STUB_WORDS 16u
uint64_t stub_make(const uint32_t *words, uint32_t count);

/* ---- probes (probe.c): one access of a kind that a number below PROBE_READS or PROBE_WRITES names ---- */

enum probe_result {
    PROBE_PASSED,   /* no exception */
    PROBE_EXTERNAL, /* external abort, the register unchanged: Quoll's answer */
    PROBE_OWN,      /* prevented by the guest's own stage 1: alignment, address size */
    PROBE_LEAKED,   /* an exception, but the register changed */
};
#define PROBE_READS 15u
#define PROBE_WRITES 11u
enum probe_result probe_read(uint64_t address, uint32_t kind);
enum probe_result probe_write(uint64_t address, uint32_t kind);
enum probe_result probe_fetch(uint64_t address);
/* True when the guest has something of its own there. */
bool probe_is_own(uint64_t address);
/* Addresses that an attacker would try: the n-th of the fixed ones (first those around its own memory), then random ones. */
#define PROBE_AROUND_RAM 8u
uint64_t probe_address(uint32_t n);
uint32_t probe_address_count(void);

/* ---- interrupts (taken.c) ---- */

/* Everything disabled, nothing pending, nothing active. */
void interrupts_start(void);
#define SPIS 256u
#define PL011_SPI 33u
#define PL011_IMSC (PL011 + 0x38)
#define PL011_TX 0x20u
/* Called by the vectors; what it took is counted per INTID. */
void interrupt_take(void);
extern volatile uint32_t taken[1024];
extern volatile uint32_t taken_strange; /* INTIDs that this GIC does not have */
/* From this time on the handler takes no more: interrupts that come again at once leave the rest no turn. */
extern volatile uint64_t storm_end;
extern volatile bool timer_stays; /* do not silence the timer when it is taken */

/* ---- the other CPU (helper.c) ---- */

enum helper_job { HELPER_NONE, HELPER_SGI_STORM, HELPER_CHANGE_SCRATCH, HELPER_CALLS, HELPER_OFF };
/* False: there is no other CPU. HELPER_OFF: it switches itself off, and can be started anew. */
bool helper_start(enum helper_job job);
void helper_stop(void);
void cpu_entry(void);        /* catch.S */
void cpu_main(uint64_t cpu); /* helper.c */
void attack_vectors(void);   /* catch.S */

/* ---- the attacks: ATTACK(function, name) ---- */

#define ATTACKS(ATTACK)                                                                            \
    ATTACK(attack_memory_clean, "memory-clean")                                                    \
    ATTACK(attack_registers_clean, "registers-clean")                                              \
    ATTACK(attack_read_outside, "read-outside")                                                    \
    ATTACK(attack_write_outside, "write-outside")                                                  \
    ATTACK(attack_execute_outside, "execute-outside")                                              \
    ATTACK(attack_el0_outside, "el0-outside")                                                      \
    ATTACK(attack_stage1_anywhere, "stage1-anywhere")                                              \
    ATTACK(attack_tables_outside, "tables-outside")                                                \
    ATTACK(attack_cache_maintenance, "cache-maintenance")                                          \
    ATTACK(attack_tlb_maintenance, "tlb-maintenance")                                              \
    ATTACK(attack_hypervisor_registers, "hypervisor-registers")                                    \
    ATTACK(attack_registers_kept, "registers-kept")                                                \
    ATTACK(attack_fp_kept, "fp-kept")                                                              \
    ATTACK(attack_extensions, "extensions")                                                        \
    ATTACK(attack_debug, "debug")                                                                  \
    ATTACK(attack_performance, "performance-counters")                                             \
    ATTACK(attack_el0_registers, "el0-registers")                                                  \
    ATTACK(attack_random_user, "el0-random-code")                                                  \
    ATTACK(attack_cpu_on, "psci-cpu-on")                                                           \
    ATTACK(attack_cpu_cycle, "psci-cpu-cycle")                                                     \
    ATTACK(attack_firmware, "firmware-functions")                                                  \
    ATTACK(attack_call_immediates, "call-immediates")                                              \
    ATTACK(attack_el0_calls, "el0-calls")                                                          \
    ATTACK(attack_foreign_interrupts, "foreign-interrupts")                                        \
    ATTACK(attack_interface_registers, "interrupt-interface")                                      \
    ATTACK(attack_distributor, "distributor")                                                      \
    ATTACK(attack_sgi_storm, "sgi-storm")                                                          \
    ATTACK(attack_level_storm, "level-storm")                                                      \
    ATTACK(attack_timer_storm, "timer-storm")                                                      \
    ATTACK(attack_wait_storm, "wait-storm")                                                        \
    ATTACK(attack_descriptors_outside, "descriptors-outside")                                      \
    ATTACK(attack_descriptor_loops, "descriptor-loops")                                            \
    ATTACK(attack_indirect, "indirect-tables")                                                     \
    ATTACK(attack_rings_outside, "rings-outside")                                                  \
    ATTACK(attack_rings_overlap, "rings-overlap")                                                  \
    ATTACK(attack_disk_bounds, "disk-bounds")                                                      \
    ATTACK(attack_disk_race, "disk-race")                                                          \
    ATTACK(attack_disk_flood, "disk-flood")                                                        \
    ATTACK(attack_device_flood, "device-flood")                                                    \
    ATTACK(attack_console_flood, "console-flood")                                                  \
    ATTACK(attack_spin, "spin-masked")                                                             \
    ATTACK(attack_exit_storm, "exit-storm")                                                        \
    ATTACK(attack_chaos, "chaos")

#define DECLARE(function, name) void function(struct outcome *outcome);
ATTACKS(DECLARE)
#undef DECLARE

#pragma GCC visibility pop

#endif
