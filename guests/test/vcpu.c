/*
 * Tests what a vCPU must do, from inside: runs on the machine that QEMU calls `virt`, bare or on a hypervisor, and
 * prints one line per check, then "vcpu: N passed, N failed". Run it on the bare machine first: whatever fails there is
 * the test's mistake.
 *
 * The checks that print a number also measure; with -icount shift=0 a tick of the 62.5 MHz counter is 16 instructions.
 */
#include "vcpu.h"

#define PSCI_VERSION 0x84000000UL
#define PSCI_CPU_ON 0xc4000003UL
#define SMCCC_UNKNOWN 0xc600ff00UL
#define UNMAPPED 0x3f000000UL
#define PL011_CELL_ID3 (PL011 + 0xffc) /* reads 0xb1 */
#define TIMER_ON 1
#define ROUNDS 1000
#define MILLISECOND (counter_frequency() / 1000)
#define CLASS_UNKNOWN 0
#define CLASS_DATA_ABORT 0x25
#define FAULT_EXTERNAL 0x10
#define ISAR1_KEYS 0xff000ff0UL /* pointer authentication of any algorithm */

void cpu_main(uint64_t cpu);

__attribute__((visibility("hidden"))) uint64_t cpu_vectors;
static volatile bool cpu_started[CPUS_MAX];
static volatile uint32_t awake_cpu; /* this secondary CPU spins instead of sleeping; 0: all sleep */
static uint32_t passed, failed;

static volatile uint32_t faults;
static volatile uint64_t fault_syndrome, fault_address, fault_link;

uint64_t guest_exception(uint64_t kind, uint64_t pc)
{
    if (kind % 4 == 1) {
        interrupt_serve();
        return pc;
    }
    faults = faults + 1;
    fault_syndrome = read_system(esr_el1);
    fault_address = read_system(far_el1);
    fault_link = pc;
    return pc + 4;
}

static void put_line(const char *name, bool good)
{
    print(good ? "ok      " : "FAILED  ");
    print(name);
    if (good) {
        passed++;
    } else {
        failed++;
    }
}

static void check(const char *name, bool good)
{
    put_line(name, good);
    print("\n");
}

static void check_number(const char *name, uint64_t value, uint64_t least, uint64_t most)
{
    put_line(name, value >= least && value <= most);
    print(": ");
    print_number(value);
    print("\n");
}

static uint64_t instructions(uint64_t ticks, uint64_t rounds)
{
    return ticks * 1000000000 / counter_frequency() / rounds;
}

static void check_identity(void)
{
    uint64_t features = read_system(id_aa64pfr0_el1);
    check("runs at EL1", read_system(currentel) >> 2 == 1);
    check("first CPU is 0", this_cpu() == 0);
    check("no EL2 to be seen", (features >> 8 & 15) == 0);
    check("no SVE to be seen", (features >> 32 & 15) == 0);
    check("interrupt controller as system registers", (features >> 24 & 15) != 0);
    check("MIDR is a CPU's", (read_system(midr_el1) & 0xfff0) != 0);
}

static void check_undefined(void)
{
    bool counters = (read_system(id_aa64dfr0_el1) >> 8 & 15) != 0;
    uint32_t before = faults;
    (void)read_system(pmcr_el0);
    check("performance monitors are there exactly if announced", (faults == before) == counters);
    before = faults;
    (void)read_system(S3_0_C13_C5_3);
    check("an unallocated register is undefined",
          faults == before + 1 && fault_syndrome >> 26 == CLASS_UNKNOWN);
    before = faults;
    write_system(mdscr_el1, 1u << 15);
    write_system(S2_0_C0_C0_5, 0x1e5); /* DBGBCR0_EL1 */
    (void)read_system(actlr_el1);
    __asm__ volatile("dc isw, %0" ::"r"(0UL));
    write_system(mdscr_el1, 0);
    check("debug, ACTLR and set/way operations do no harm", faults == before);
}

static void check_firmware(void)
{
    check("PSCI is 1.0 or later", firmware(PSCI_VERSION, 0, 0, 0) >= 0x10000);
    check("an unknown function is not supported", (int32_t)firmware(SMCCC_UNKNOWN, 0, 0, 0) == -1);
    uint64_t start = counter();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        firmware(PSCI_VERSION, 0, 0, 0);
    }
    check_number("  instructions for a null hypercall", instructions(counter() - start, ROUNDS), 0,
                 UINT64_MAX);
    start = counter();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        firmware(SMCCC_UNKNOWN, 0, 0, 0);
    }
    check_number("  instructions for a hypercall to the VMM",
                 instructions(counter() - start, ROUNDS), 0, UINT64_MAX);
}

static void check_trapped(void)
{
    uint64_t start = counter();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        (void)read_system(id_aa64isar0_el1);
    }
    check_number("  instructions for a trapped register", instructions(counter() - start, ROUNDS),
                 0, UINT64_MAX);
}

static void check_access(void)
{
    uint64_t value;
    __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(PL011_CELL_ID3));
    check("a 32-bit load from a device", value == 0xb1);
    __asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(PL011_CELL_ID3));
    check("a byte load", value == 0xb1);
    __asm__ volatile("ldrsb %x0, [%1]" : "=r"(value) : "r"(PL011_CELL_ID3));
    check("a sign-extending byte load to 64 bits", value == (uint64_t)-0x4f);
    __asm__ volatile("ldrsb %w0, [%1]" : "=r"(value) : "r"(PL011_CELL_ID3));
    check("a sign-extending byte load to 32 bits", value == (uint32_t)-0x4f);
    __asm__ volatile("ldr wzr, [%0]" ::"r"(PL011_CELL_ID3));
    uint64_t start = counter();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        (void)read32(PL011_CELL_ID3);
    }
    check_number("  instructions for a device read", instructions(counter() - start, ROUNDS), 0,
                 UINT64_MAX);
}

static void check_abort(void)
{
    uint32_t before = faults;
    (void)read32(UNMAPPED);
    check("reading nothing is an external abort",
          faults == before + 1 && fault_syndrome >> 26 == CLASS_DATA_ABORT &&
              (fault_syndrome & 0x3f) == FAULT_EXTERNAL && fault_address == UNMAPPED);
}

/* Until interrupt number `count` has come, at most `milliseconds`. */
static bool wait_for(uint32_t cpu, uint32_t count, uint64_t milliseconds)
{
    uint64_t end = counter() + milliseconds * MILLISECOND;
    while ((int32_t)(taken[cpu].count - count) < 0) {
        if (counter() > end) {
            return false;
        }
        __asm__ volatile("yield");
    }
    return true;
}

static uint32_t newest(uint32_t cpu)
{
    return taken[cpu].count == 0 ? INTID_NONE : taken[cpu].last[(taken[cpu].count - 1) % 16];
}

static void check_timer(void)
{
    uint32_t before = taken[0].count;
    uint64_t latest = 0, sum = 0, early = 0;
    interrupt_enable(INTID_TIMER, true);
    for (uint32_t i = 0; i < 100; i++) {
        interrupts_off();
        uint64_t due = counter() + MILLISECOND / 10 + i * 7;
        write_system(cntv_cval_el0, due);
        write_system(cntv_ctl_el0, TIMER_ON);
        sync();
        if (i % 2 == 0) {
            wait_for_interrupt(); /* ends although the interrupt is masked */
        }
        interrupts_on();
        if (!wait_for(0, before + i + 1, 100)) {
            break;
        }
        uint64_t late = taken[0].at - due;
        early += taken[0].at < due;
        sum += late;
        latest = late > latest ? late : latest;
    }
    check_number("100 timer interrupts", taken[0].count - before, 100, 100);
    check("none too early, all of the timer", early == 0 && newest(0) == INTID_TIMER);
    check_number("  instructions from due to taken", instructions(sum, 100), 0, UINT64_MAX);
    check_number("  at most", instructions(latest, 1), 0, UINT64_MAX);
}

static void check_timer_disabled(void)
{
    uint32_t before = taken[0].count;
    interrupt_enable(INTID_TIMER, false);
    write_system(cntv_tval_el0, 100);
    write_system(cntv_ctl_el0, TIMER_ON);
    sync();
    uint64_t end = counter() + MILLISECOND;
    while (counter() < end) {
    }
    check("a disabled timer interrupt waits", taken[0].count == before);
    interrupt_enable(INTID_TIMER, true);
    check("and comes when it is enabled", wait_for(0, before + 1, 100));
    write_system(cntv_ctl_el0, 0);
    interrupt_enable(INTID_TIMER, false);
}

static void check_physical_timer(void)
{
    uint32_t before = taken[0].count;
    interrupt_enable(INTID_PHYSICAL_TIMER, true);
    interrupts_off();
    write_system(cntp_tval_el0, MILLISECOND);
    write_system(cntp_ctl_el0, TIMER_ON);
    sync();
    wait_for_interrupt();
    interrupts_on();
    check("the physical timer", wait_for(0, before + 1, 100) && newest(0) == INTID_PHYSICAL_TIMER);
    interrupt_enable(INTID_PHYSICAL_TIMER, false);
}

static void check_own_sgi(void)
{
    uint32_t before = taken[0].count;
    sgi_send(3, 0);
    check("an SGI to itself", wait_for(0, before + 1, 100) && newest(0) == 3);
    interrupts_off();
    for (uint32_t intid = 0; intid < 8; intid++) {
        interrupt_priority(intid, (uint8_t)(0xa0 - intid * 8));
        sgi_send(intid, 0);
    }
    before = taken[0].count;
    interrupts_on();
    bool all = wait_for(0, before + 8, 100);
    bool ordered = true;
    for (uint32_t i = 0; i < 8; i++) {
        ordered = ordered && taken[0].last[(before + i) % 16] == 7 - i;
    }
    check("more interrupts than list registers all arrive", all);
    check("the most urgent one first", ordered);
    interrupts_off();
    sgi_send(5, 0);
    interrupt_enable(5, false);
    before = taken[0].count;
    interrupts_on();
    uint64_t end = counter() + MILLISECOND;
    while (counter() < end) {
    }
    check("a disabled one stays away", taken[0].count == before);
    interrupt_enable(5, true);
    check("until it is enabled", wait_for(0, before + 1, 100) && newest(0) == 5);
}

static void check_priority_mask(void)
{
    uint32_t before = taken[0].count;
    write_system(S3_0_C4_C6_0, 0x40); /* ICC_PMR_EL1 */
    sgi_send(1, 0);
    uint64_t end = counter() + MILLISECOND;
    while (counter() < end) {
    }
    check("the priority mask holds interrupts back", taken[0].count == before);
    write_system(S3_0_C4_C6_0, 0xf0);
    check("and lets them through", wait_for(0, before + 1, 100));
}

/* It exists once per core: what a guest writes must not reach the next one. */
static void check_controller_stays(void)
{
    write_system(S3_0_C12_C12_5,
                 0); /* ICC_SRE_EL1: back to the memory-mapped interface, with bypass */
    sync();
    check("the interrupt controller cannot be switched over", read_system(S3_0_C12_C12_5) == 7);
    uint32_t before = taken[0].count;
    sgi_send(3, 0);
    check("and still works", wait_for(0, before + 1, 100));
}

static void check_eoi(void)
{
    uint64_t start = counter();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        write_system(S3_0_C12_C12_1, INTID_NONE);
    }
    check_number("  instructions for an end of interrupt", instructions(counter() - start, ROUNDS),
                 0, UINT64_MAX);
}

void cpu_main(uint64_t cpu)
{
    interrupts_start_cpu();
    cpu_started[cpu] = true;
    interrupts_on();
    for (;;) {
        if (cpu == awake_cpu) {
            __asm__ volatile("yield");
        } else {
            wait_for_interrupt();
        }
    }
}

static uint32_t start_cpus(void)
{
    uint32_t count = 1;
    cpu_vectors = read_system(vbar_el1);
    while (count < CPUS_MAX) {
        uint64_t entry = (uint64_t)cpu_entry;
        if ((int32_t)firmware(PSCI_CPU_ON, count, entry, count) != 0) {
            break;
        }
        uint64_t end = counter() + 1000 * MILLISECOND;
        while (!cpu_started[count] && counter() < end) {
            __asm__ volatile("yield"); /* with -icount CPUs take turns */
        }
        if (!cpu_started[count]) {
            check("a secondary CPU starts", false);
            break;
        }
        count++;
    }
    print("        ");
    print_number(count);
    print(" CPUs\n");
    return count;
}

/* From before it is sent to the handler, on a CPU that has nothing else to do. */
static void measure_sgi(const char *name, uint32_t cpu)
{
    uint64_t sum = 0;
    bool good = true;
    for (uint32_t i = 0; i < ROUNDS && good; i++) {
        uint32_t before = taken[cpu].count;
        uint64_t rest = counter() + MILLISECOND / 100;
        while (counter() < rest) {
            __asm__ volatile("yield");
        }
        uint64_t start = counter();
        sgi_send(3, cpu);
        good = wait_for(cpu, before + 1, 10000);
        sum += taken[cpu].at - start;
    }
    check(name, good);
    check_number("  instructions for each, one way", instructions(sum, ROUNDS), 0, UINT64_MAX);
}

static void check_sgi_between(uint32_t cpus)
{
    for (uint32_t cpu = 1; cpu < cpus; cpu++) {
        bool good = true;
        uint64_t start = counter();
        reply_sgi_to = 0;
        for (uint32_t i = 0; i < ROUNDS && good; i++) {
            uint32_t before = taken[0].count;
            sgi_send(1, cpu);
            good = wait_for(0, before + 1, 10000) && newest(0) == 2;
        }
        uint64_t ticks = counter() - start;
        reply_sgi_to = UINT32_MAX;
        check("1000 SGIs to a sleeping CPU and back", good);
        check_number("  instructions for each, both ways", instructions(ticks, ROUNDS), 0,
                     UINT64_MAX);
    }
    if (cpus > 1) {
        measure_sgi("1000 SGIs to a sleeping CPU", 1);
        awake_cpu = 1;
        uint32_t woken = taken[1].count;
        sgi_send(3, 1);
        wait_for(1, woken + 1, 10000);
        measure_sgi("1000 SGIs to a running CPU", 1);
        awake_cpu = 0;
        uint32_t before = taken[cpus - 1].count;
        __asm__ volatile("dsb sy" ::: "memory");
        write_system(S3_0_C12_C11_5, 1UL << 40 | 4UL << 24);
        check("an SGI to all others", wait_for(cpus - 1, before + 1, 100) && newest(cpus - 1) == 4);
    }
}

/* Holds state for half a second, across sleeps and whatever else runs on this core. */
static void check_state(void)
{
    uint64_t seed = (counter() & 0xfff) << 16 | 0x40;
    uint64_t wrong = 0, rounds = 0;
    bool keys = (read_system(id_aa64isar1_el1) & ISAR1_KEYS) != 0;
    interrupts_off();
    write_system(cntv_ctl_el0, 0);
    uint64_t vectors = read_system(vbar_el1);
    uint64_t end = counter() + 500 * MILLISECOND;
    while (counter() < end && wrong == 0) {
        state_fill(seed);
        if (keys) {
            state_fill_keys(seed);
        }
        for (uint32_t i = 0; i < 50; i++) {
            firmware(SMCCC_UNKNOWN, 0, 0, 0);
            for (volatile uint32_t j = 0; j < 200; j = j + 1) {
            }
        }
        wrong += state_wrong(seed) + (read_system(vbar_el1) != vectors);
        wrong += keys ? state_wrong_keys(seed) : 0;
        seed += 0x20040;
        rounds++;
    }
    check_number("registers are kept (wrong ones)", wrong, 0, 0);
    check_number("  rounds", rounds, 1, UINT64_MAX);
}

void guest_main(uint64_t device_tree)
{
    check_identity();
    check_undefined();
    check_firmware();
    check_trapped();
    check_access();
    check_abort();
    interrupts_start();
    interrupts_on();
    check_own_sgi();
    check_priority_mask();
    check_controller_stays();
    check_eoi();
    check_timer();
    check_timer_disabled();
    check_physical_timer();
    check_sgi_between(start_cpus());
    check_state();
    print("vcpu: ");
    print_number(passed);
    print(" passed, ");
    print_number(failed);
    print(" failed\n");
    power_off();
}
