/* Power State Coordination Interface (Arm DEN 0022): cores and the machine, on and off. */
#ifndef PSCI_H
#define PSCI_H

#include "machine.h"

/* Before this, the machine cannot be switched off: it only halts. */
void psci_use(enum machine_psci method);
/* Returns the PSCI status: 0, or negative. */
int64_t psci_core_on(uint64_t mpidr, uint64_t entry, uint64_t context);

#endif
