/* Power State Coordination Interface; see psci.h. */
#include "psci.h"
#include "arch.h"

#define PSCI_SYSTEM_OFF UINT32_C(0x84000008)
#define PSCI_SYSTEM_RESET UINT32_C(0x84000009)
#define PSCI_CPU_ON UINT32_C(0xc4000003)

static enum machine_psci method;

void psci_use(enum machine_psci how)
{
    method = how;
}

/* SMC calling convention (Arm DEN 0028): x0..x17 may change. */
static int64_t psci_call(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = a;
    register uint64_t x2 __asm__("x2") = b;
    register uint64_t x3 __asm__("x3") = c;
#define CALL(instruction)                                                                          \
    __asm__ volatile(instruction " #0"                                                             \
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)                                      \
                     :                                                                             \
                     : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",      \
                       "x15", "x16", "x17", "memory")
    if (method == MACHINE_PSCI_SMC)
        CALL("smc");
    else if (method == MACHINE_PSCI_HVC)
        CALL("hvc");
#undef CALL
    return (int64_t)x0;
}

int64_t psci_core_on(uint64_t mpidr, uint64_t entry, uint64_t context)
{
    return psci_call(PSCI_CPU_ON, mpidr, entry, context);
}

void arch_machine_off(void)
{
    psci_call(PSCI_SYSTEM_OFF, 0, 0, 0);
    arch_halt();
}

void arch_machine_reset(void)
{
    psci_call(PSCI_SYSTEM_RESET, 0, 0, 0);
    arch_halt();
}

void arch_halt(void)
{
    for (;;)
        __asm__ volatile("wfi");
}
