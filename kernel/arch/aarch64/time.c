/*
 * The generic timer; see time.h.
 *
 * The deadline is the EL2 physical timer (CNTHP). It stays enabled for good: a deadline in the far
 * future means none, so that setting one is a single register write.
 */
#include "time.h"
#include "arch.h"
#include "registers.h"

#define CNTHCTL_EL1PCTEN UINT64_C(1) /* guests may read the physical counter, not use its timer */
#define CNT_CTL_ENABLE UINT64_C(1)

void time_core_start(void)
{
    write_register(cntvoff_el2, 0);
    write_register(cnthctl_el2, CNTHCTL_EL1PCTEN);
    arch_deadline_set(QUOLL_NEVER);
    write_register(cnthp_ctl_el2, CNT_CTL_ENABLE);
    isb();
}

uint64_t arch_now(void)
{
    return read_register(cntvct_el0);
}

uint64_t arch_frequency(void)
{
    return read_register(cntfrq_el0);
}

void arch_deadline_set(uint64_t deadline)
{
    write_register(cnthp_cval_el2, deadline);
    isb();
}
