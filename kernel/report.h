/* Reports of faults: what happened, where, and what the culprit was allowed to reach. */
#ifndef KERNEL_REPORT_H
#define KERNEL_REPORT_H

#include "object.h"

/* A thread did what its component may not. Reports it, stops every thread of the component, raises its
 * fault channel. `what` is a plain phrase ("data abort, write"). */
void component_fault(struct core *core, struct thread *thread, const char *what, uint64_t syndrome,
                     uint64_t address);

/* The kernel itself took an exception: reports and halts the machine. */
_Noreturn void kernel_fault(struct core *core, const struct quoll_registers *registers,
                            const char *what, uint64_t syndrome, uint64_t address);

#endif
