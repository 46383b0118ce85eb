/*
 * The benchmark guest: the same binary measures the bare machine and a hypervisor. What each benchmark does and what its figure
 * contains is told beside it; results are kept and printed at the end, so that no console works while something is measured.
 *
 * Times are ticks of CNTVCT_EL0. Under -icount shift=0 one tick of 16 ns is 16 instructions, executed by any
 * CPU for anybody: guest, hypervisor, VMM, drivers.
 */
#ifndef BENCH_H
#define BENCH_H

#include "gic.h"

#define CPUS_MAX 8
#define SGI_PING 1u
#define SGI_REPLY 2u
#define PSCI_VERSION 0x84000000UL

static inline uint64_t ticks_from_us(uint64_t us)
{
    return us * counter_frequency() / 1000000;
}

/* Seen by the counting plugin (tests/bench/count.c), else nothing. */
#define MARK(number) __asm__ volatile("movz xzr, #(0x7100 + " #number ")" ::: "memory")

/* Hidden, so that no address goes through a table that nobody relocates. */
#pragma GCC visibility push(hidden)

/* interrupt.c: the guest's GICv3 driver; one counter of taken interrupts per CPU and INTID of its own. */
#define PARTS 16u /* of a tick: instructions, under -icount shift=0 */
struct taken {
    volatile uint32_t count; /* interrupts so far */
    volatile uint64_t at;    /* counter value when the newest was acknowledged */
    volatile uint64_t part;  /* of a timer interrupt: the part of a tick that had passed */
    uint64_t pad[5];
};
extern struct taken taken[CPUS_MAX];
extern volatile uint32_t
    reply_to; /* CPU that SGI_PING is answered to by SGI_REPLY, or UINT32_MAX */
/* An SPI's device is quietened by its driver: called with the INTID. NULL: none. */
extern void (*volatile serve_device)(uint32_t intid);

void interrupts_start(void);
void interrupts_start_cpu(void);
void interrupt_enable(uint32_t intid); /* of this CPU, or an SPI: to CPU 0, edge-triggered */
void interrupt_serve(void);
void timer_start(uint64_t due);
void sleep_until(uint64_t due); /* the timer is off afterwards */

/* cpus.c: the other CPUs do what their role says. */
enum role { ROLE_SLEEP, ROLE_SPIN, ROLE_EXITS };
uint32_t cpus_start(void); /* returns how many there are, at most CPUS_MAX */
void cpus_role(uint32_t cpu, enum role role);
/* entry.S */
void cpu_entry(void);
void use_floating_point(void);

/* micro.c */
void measure_traps(void);
void measure_interrupts(uint32_t cpus);
void measure_devices(void);
void measure_one_core(void);
/* acknowledge.c */
void measure_acknowledgement(void);
/* devices.c: round trips to the devices that there are */
void measure_entropy_device(void);
void measure_entropy_one_core(void);
void measure_disks(void);
/* scale.c: all CPUs make exits from one moment to another */
void scale(uint32_t cpus, uint64_t start, uint64_t length);
void scale_cpu(uint32_t cpu);
/* neighbour.c: two VMs on one core. One sleeps and wakes, one watches how long it is away. */
void neighbour(uint64_t start, uint64_t length, bool floating_point);
void watch(uint64_t start, uint64_t length, bool floating_point);

/* pager.c: what a VMM made for it does (tests/components/bench-vmm.c) */
void measure_pager(void);
void measure_injection(void);

/* main.c: keeps one result. */
void result(const char *name, uint64_t ticks, uint64_t rounds);

#pragma GCC visibility pop

#endif
