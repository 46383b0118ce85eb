/* The system calls and the environment as far as the code under test asks for any: it waits for nobody and is told nothing. */
#ifndef FUZZ_CALLS_H
#define FUZZ_CALLS_H

#include <quoll/quoll.h>

struct calls {
    uint32_t pulses, looks,
        signals;            /* vCPU interrupts made pending, looked at; channels signalled */
    uint64_t now;           /* system counter, 1 MHz */
    uint64_t (*wait)(void); /* NULL: nothing may wait */
    void *memory;           /* what every name of memory means */
    uint64_t memory_size;
    const struct quoll_environment_entry *found; /* what every entry of the environment is */
};
extern struct calls calls;

#endif
