/* From the first instruction to the first component; see boot.c. */
#ifndef BOOT_H
#define BOOT_H

#include "object.h"

#define CORE_STACK_BYTES 16384u

/* The guard is not mapped: a stack that grows too far faults instead of overwriting its neighbour. */
struct core_stack {
    uint8_t guard[4096];
    uint8_t stack[CORE_STACK_BYTES];
};
extern struct core_stack core_stacks[QUOLL_MAX_CORES];

/* head.S: where cores other than the first start; x0 is their struct core. */
void secondary_entry(void);
/* head.S calls these. level: the exception level that the boot loader left us at. */
_Noreturn void boot_primary(const void *tree, uint32_t level);
_Noreturn void boot_secondary(struct core *core);

#endif
