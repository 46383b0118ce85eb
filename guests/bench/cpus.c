/* The other CPUs of the guest. */
#include "bench.h"

#define PSCI_CPU_ON 0xc4000003UL

void cpu_main(uint64_t cpu);

__attribute__((visibility("hidden"))) uint64_t cpu_vectors; /* read by entry.S */

static volatile uint32_t roles[CPUS_MAX];   /* enum role, as asked for */
static volatile uint32_t playing[CPUS_MAX]; /* role + 1, as done */

void cpu_main(uint64_t cpu)
{
    interrupts_start_cpu();
    interrupts_on();
    for (;;) {
        uint32_t role = roles[cpu];
        playing[cpu] = role + 1;
        if (role == ROLE_EXITS) {
            roles[cpu] = ROLE_SLEEP;
            scale_cpu((uint32_t)cpu);
        } else if (role == ROLE_SPIN) {
            while (roles[cpu] == ROLE_SPIN) {
                relax();
            }
        } else {
            interrupts_off();
            if (roles[cpu] == ROLE_SLEEP) {
                wait_for_interrupt();
            }
            interrupts_on();
        }
    }
}

void cpus_role(uint32_t cpu, enum role role)
{
    roles[cpu] = role;
    sgi_send(SGI_REPLY, cpu);
    while (playing[cpu] != (uint32_t)role + 1) {
        relax();
    }
    sleep_until(counter() + ticks_from_us(1000)); /* it may be on its way to sleep */
}

uint32_t cpus_start(void)
{
    uint32_t count = 1;
    cpu_vectors = read_system(vbar_el1);
    while (count < CPUS_MAX &&
           (int32_t)firmware(PSCI_CPU_ON, count, (uint64_t)cpu_entry, count) == 0) {
        while (playing[count] == 0) {
            relax();
        }
        count++;
    }
    return count;
}
