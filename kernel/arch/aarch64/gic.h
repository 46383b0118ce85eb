/* The physical GICv3 (Arm IHI 0069): set-up at boot. What traps need of it is in trap.h. */
#ifndef GIC_H
#define GIC_H

#include "machine.h"
#include "object.h"

/* Boot core, once: every SPI off, group 1. False: the distributor is not a GICv3. */
bool gic_start(const struct machine *machine);
/* Finds the core's redistributor by its affinity and notes it in the core. False: there is none. */
bool gic_find_redistributor(const struct machine *machine, struct core *core);
/* Each core, for itself: redistributor and CPU interface, the kernel's own interrupts on. */
void gic_core_start(struct core *core);

#endif
