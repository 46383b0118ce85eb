/* A guest that never gives its processor up: interrupts masked, no WFI, no device access. */
#include "guest.h"

uint64_t guest_exception(uint64_t kind, uint64_t pc)
{
    return pc + 4;
}

void guest_main(uint64_t device_tree)
{
    print("spin: spinning with interrupts off\n");
    __asm__ volatile("msr daifset, #0xf");
    for (;;) {
        __asm__ volatile("");
    }
}
