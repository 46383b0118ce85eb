/*
 * What a guest asks of firmware by HVC or SMC: PSCI 1.1 (Arm DEN 0022), SMCCC 1.1 (DEN 0028) and the random
 * number interface TRNG 1.0 (DEN 0098).
 *
 * Each vCPU's power state is one word, changed by compare-and-swap, so vCPU threads need no lock:
 *
 *     OFF -> CLAIMED   a CPU_ON of another vCPU has won; it fills in entry and context
 *     CLAIMED -> PENDING   ... and is done: the vCPU's own thread may start
 *     PENDING -> ON   by the vCPU's own thread
 *     ON -> OFF   by the vCPU's own thread (CPU_OFF), or a reset while no vCPU runs
 */
#ifndef VMM_PSCI_H
#define VMM_PSCI_H

#include "random.h"
#include <quoll/abi.h>
#include <stdbool.h>

enum power_state { POWER_OFF, POWER_CLAIMED, POWER_PENDING, POWER_ON };

struct power {
    uint32_t vcpu_count;
    uint64_t ram_base, ram_size; /* where an entry point may be */
    struct {
        uint32_t state; /* enum power_state; atomic */
        uint64_t entry, context;
    } vcpu[QUOLL_MAX_VCPUS_PER_VM];
};

/* What the calling vCPU's thread has to do besides going on. */
enum psci_effect {
    PSCI_CONTINUE,
    PSCI_STARTED, /* vCPU `target` is PENDING: wake its thread */
    PSCI_STOPPED, /* this vCPU is OFF */
    PSCI_OFF,     /* the machine is to be switched off */
    PSCI_RESET,   /* ... reset */
};

struct psci_answer {
    enum psci_effect effect;
    uint32_t target;
};

/* All OFF; only while no vCPU runs. */
void power_reset(struct power *power);
/* OFF to PENDING. Returns the state before; nothing has changed when that was not OFF. */
uint32_t power_start(struct power *power, uint32_t vcpu, uint64_t entry, uint64_t context);
/* PENDING to ON, by its own thread. */
bool power_take(struct power *power, uint32_t vcpu, uint64_t *entry, uint64_t *context);

/* Serves the call in x[0..3] of vCPU `self`, and answers there. */
struct psci_answer psci_call(struct power *power, struct random *random, uint32_t self,
                             uint64_t *x);

#endif
