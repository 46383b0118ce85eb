/* What both drivers, one host thread for all cores and one for each core, have in common. */
#ifndef DRIVER_H
#define DRIVER_H

#include "grammar.h"

struct options {
    uint64_t seed;  /* of the first world; the following worlds count on from it */
    double seconds; /* how long to go on, or 0 */
    uint64_t calls; /* how many calls to issue, or 0 */
    bool one_world; /* only the first one, to its end: to repeat a failure */
};

extern struct options options;

/* Understands --seed N, --seconds S, --calls N, --world SEED; exits with a message for anything else. */
void options_read(int count, char **arguments);
/* Whether the run is over; `calls` have been issued so far. */
bool driver_finished(uint64_t calls);
/* How long it has run, in seconds. */
double driver_seconds(void);
/* The VMM changes its model of the distributor. */
void driver_scribble(struct vm *vm);
/* The handle of a VM that the thread's component has; false: none. */
bool driver_vm_handle(const struct thread *thread, uint64_t *handle);
/* A supervisor that is about to sleep for ever, or nearly: it should set its alarm first. */
bool driver_is_forgetful(const struct thread *thread);
/* Enables a VM's interrupts before its world starts. */
void driver_enable_interrupts(struct vm *vm);
/* What a host thread counts: by call and answer. */
struct counts {
    uint64_t calls, answers[QUOLL_CALL_COUNT + 1][QUOLL_STATUS_COUNT];
};
void counts_add(struct counts *counts, const struct random_call *call, uint64_t status);
/* One line, that tests/host-kernel/run reads, and a table. */
void counts_print(const struct counts *counts, uint64_t worlds);

#endif
