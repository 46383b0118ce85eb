/*
 * What single operations cost. A loop is 10 instructions without what it measures: 8 nops, a subtraction and a branch.
 */
#include "bench.h"

#define ROUNDS 1000u
#define FEW 200u
#define LIMIT ticks_from_us(500000) /* of wall time, on a busy host */
#define GICD_IIDR (GIC_DISTRIBUTOR + 8)
#define VIRTIO_INTERRUPT_STATUS (VIRTIO_MMIO + 0x60)
#define VIRTIO_QUEUE_NOTIFY (VIRTIO_MMIO + 0x50)
#define PL011_CELL_ID3 (PL011 + 0xffc)

/* Ticks for ROUNDS times `operation`, which may use x0..x3 and %1, an input; once before, not counted. */
#define LOOP(name, operation, input)                                                               \
    do {                                                                                           \
        uint64_t start_ = 0;                                                                       \
        for (uint32_t times_ = 0; times_ < 2; times_++) {                                          \
            uint64_t left_ = times_ == 0 ? 1 : ROUNDS;                                             \
            start_ = counter();                                                                    \
            __asm__ volatile("1: " operation "\n"                                                  \
                             "nop; nop; nop; nop; nop; nop; nop; nop\n"                            \
                             "sub %0, %0, #1; cbnz %0, 1b"                                         \
                             : "+r"(left_)                                                         \
                             : "r"((uint64_t)(input))                                              \
                             : "x0", "x1", "x2", "x3", "memory");                                  \
        }                                                                                          \
        result(name, counter() - start_, ROUNDS);                                                  \
    } while (false)

void measure_traps(void)
{
    LOOP("loop", "", 0);
    LOOP("null_hypercall", "mov w0, #0x84000000; hvc #0", 0);
    LOOP("hypercall_vmm", "mov w0, #0xc6000000; hvc #0", 0); /* a number nobody knows */
    LOOP("sysreg_trap", "mrs x0, id_aa64isar0_el1", 0);
    LOOP("eoi", "msr S3_0_C12_C12_1, %1; isb", INTID_NONE);
    LOOP("gicd_read", "ldr w0, [%1]", GICD_IIDR);
    LOOP("mmio_vmm", "ldr w0, [%1]", VIRTIO_INTERRUPT_STATUS);
}

/* Accesses that a thread on the device thread's core has a part in. */
void measure_devices(void)
{
    LOOP("mmio_service", "ldr w0, [%1]", PL011_CELL_ID3);
    /* An interrupt that the CPU masks must not keep its core awake while the service works. */
    interrupts_off();
    timer_start(0);
    LOOP("mmio_service_pending", "ldr w0, [%1]", PL011_CELL_ID3);
    write_system(cntv_ctl_el0, 0);
    sync();
    interrupts_on();
}

/* The same when that thread shares the core and runs only while this CPU waits. */
void measure_one_core(void)
{
    LOOP("mmio_service_one_core", "ldr w0, [%1]", PL011_CELL_ID3);
    LOOP("mmio_kernel", "str wzr, [%1]", VIRTIO_QUEUE_NOTIFY);
    measure_entropy_one_core();
}

/* ---- interrupts ---- */

/* From due to acknowledged, while the CPU spins or sleeps. */
static void measure_timer(const char *name, bool asleep)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < FEW; i++) {
        uint32_t before = taken[0].count;
        uint64_t due = counter() + ticks_from_us(100) + i % 7;
        interrupts_off();
        timer_start(due);
        if (asleep) {
            wait_for_interrupt(); /* ends although the interrupt is masked */
        }
        interrupts_on();
        while (taken[0].count == before) {
        }
        sum += taken[0].at * PARTS + taken[0].part - due * PARTS;
    }
    result(name, sum, FEW * PARTS);
}

/* An interrupt of the CPU's own making, from timer set to handled: what a guest's handler does itself. */
static void measure_interrupt_turn(void)
{
    uint64_t start = counter();
    for (uint32_t i = 0; i < FEW; i++) {
        uint32_t before = taken[0].count;
        timer_start(0);
        while (taken[0].count == before) {
        }
    }
    result("interrupt_turn", counter() - start, FEW);
}

/* From sending to the sender's knowing that the other's handler has run. */
static void measure_ipi(const char *name, uint32_t cpu, enum role role)
{
    cpus_role(cpu, role);
    uint64_t start = counter();
    uint32_t rounds = 0;
    while (rounds < ROUNDS && counter() - start < LIMIT) {
        uint32_t before = taken[cpu].count;
        sgi_send(SGI_PING, cpu);
        while (taken[cpu].count == before) {
            relax();
        }
        rounds++;
    }
    result(name, counter() - start, rounds);
    cpus_role(cpu, ROLE_SLEEP);
}

/* There and back, both CPUs asleep while the other works; half of it. */
static void measure_ipi_asleep(const char *name, uint32_t cpu)
{
    reply_to = 0;
    cpus_role(cpu, ROLE_SLEEP);
    uint64_t start = counter();
    uint32_t rounds = 0;
    while (rounds < ROUNDS && counter() - start < LIMIT) {
        uint32_t before = taken[0].count;
        interrupts_off();
        sgi_send(SGI_PING, cpu);
        while (taken[0].count == before) {
            wait_for_interrupt();
            interrupts_on();
            interrupts_off();
        }
        interrupts_on();
        rounds++;
    }
    result(name, counter() - start, 2 * rounds);
    reply_to = UINT32_MAX;
}

/* CPU 1 is on another core; CPU 2, if there is one, shares CPU 0's. */
void measure_interrupts(uint32_t cpus)
{
    measure_timer("timer", false);
    measure_timer("wfi_wake", true);
    measure_interrupt_turn();
    if (cpus > 1) {
        measure_ipi("ipi", 1, ROLE_SPIN);
        measure_ipi("ipi_sleeping", 1, ROLE_SLEEP);
        measure_ipi_asleep("ipi_both_asleep", 1);
    }
    if (cpus > 2) {
        measure_ipi_asleep("ipi_one_core", 2);
    }
}
