/*
 * All CPUs, of all VMs that were given the same times, make exits from one moment to another. Each counts its own, so
 * the sum over everybody tells what the whole machine sustains.
 */
#include "bench.h"

#define VIRTIO_INTERRUPT_STATUS (VIRTIO_MMIO + 0x60)

static volatile uint64_t begin, end; /* counter values */
static volatile uint64_t hypercalls[CPUS_MAX], accesses[CPUS_MAX];
static volatile uint32_t ready; /* CPUs that are done */

static uint64_t exits_until(uint64_t from, uint64_t until, bool access)
{
    uint64_t count = 0;
    sleep_until(from);
    while (counter() < until) {
        for (uint32_t i = 0; i < 16; i++) {
            if (access) {
                (void)read32(VIRTIO_INTERRUPT_STATUS);
            } else {
                firmware(PSCI_VERSION, 0, 0, 0);
            }
        }
        count += 16;
        relax(); /* under -icount one CPU runs at a time: the next one's turn */
    }
    return count;
}

/* Half of the time for each kind. */
void scale_cpu(uint32_t cpu)
{
    uint64_t pause = ticks_from_us(1000), middle = begin + (end - begin) / 2;
    hypercalls[cpu] = exits_until(begin, middle - pause, false);
    accesses[cpu] = exits_until(middle, end - pause, true);
    __atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
}

void scale(uint32_t cpus, uint64_t start, uint64_t length)
{
    uint64_t all_hypercalls = 0, all_accesses = 0;
    begin = start;
    end = start + length;
    for (uint32_t cpu = 1; cpu < cpus; cpu++) {
        cpus_role(cpu, ROLE_EXITS);
    }
    if (counter() >= begin) {
        print("bench: too late to start\n");
        return;
    }
    scale_cpu(0);
    while (ready < cpus) {
        relax();
    }
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        all_hypercalls += hypercalls[cpu];
        all_accesses += accesses[cpu];
    }
    sleep_until(end + length); /* others may still be counting */
    result("hypercalls", length / 2 - ticks_from_us(1000), all_hypercalls);
    result("accesses", length / 2 - ticks_from_us(1000), all_accesses);
}
