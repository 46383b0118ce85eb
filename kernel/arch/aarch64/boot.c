/*
 * From the first instruction to the first component.
 *
 * Boot core: early console, device tree, address space with all RAM, system image, objects (start.c), the
 * other cores, then like any other core. Every core: address space, interrupt controller, vCPU
 * support, timer; it waits until all are there; changes over to the final address space; runs its threads.
 *
 * The other cores come up with their caches off, so what they read until mmu_enable() is cleaned to memory first:
 * their struct core, and what mmu_enable() reads.
 */
#include "boot.h"
#include "gic.h"
#include "image.h"
#include "label.h"
#include "log.h"
#include "machine.h"
#include "mmu.h"
#include "psci.h"
#include "registers.h"
#include "start.h"
#include "sysreg.h"
#include "time.h"
#include "trap.h"
#include "uart.h"
#include <stdatomic.h>

/* A device tree is at most this large (Linux: booting.rst). */
#define TREE_LIMIT (UINT64_C(2) << 20)
#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)
#define CORE_START_SECONDS 5

struct core_stack core_stacks[QUOLL_MAX_CORES] __attribute__((aligned(4096)));

extern char vectors[];

static struct machine machine;
static struct start_result built;
static uint64_t boot_started;
static _Atomic uint32_t cores_started, cores_ready;
static atomic_bool cores_may_run;

struct core *arch_this_core(void)
{
    return (struct core *)read_register(tpidr_el2);
}

static void core_prepare(struct core *core, uint32_t index)
{
    core->index = index;
    core->stack_top = core_stacks[index].stack + CORE_STACK_BYTES;
    core->deadline = QUOLL_NEVER;
    core->budget_end = QUOLL_NEVER;
}

/* Trap controls of later architecture versions: their reset values are unknown, and "no trap" is what
 * vcpu_core_start() builds on. By encoding, so that any assembler takes them. */
#define MMFR0_FGT(value) ((value) >> 56 & 0xf)
#define MMFR1_HCX(value) ((value) >> 40 & 0xf)

static void extended_traps_off(void)
{
    if (MMFR1_HCX(read_register(id_aa64mmfr1_el1)) != 0)
        write_register(S3_4_C1_C2_2, 0); /* HCRX_EL2 */
    if (MMFR0_FGT(read_register(id_aa64mmfr0_el1)) != 0) {
        write_register(S3_4_C1_C1_4, 0); /* HFGRTR_EL2 */
        write_register(S3_4_C1_C1_5, 0); /* HFGWTR_EL2 */
        write_register(S3_4_C1_C1_6, 0); /* HFGITR_EL2 */
        write_register(S3_4_C3_C1_4, 0); /* HDFGRTR_EL2 */
        write_register(S3_4_C3_C1_5, 0); /* HDFGWTR_EL2 */
    }
}

static void this_core_is(struct core *core)
{
    write_register(tpidr_el2, (uintptr_t)core);
    write_register(vbar_el2, (uintptr_t)vectors);
    isb();
}

/* Not at EL2: what needs EL2's registers cannot be used, so this prints by itself. */
static _Noreturn void wrong_level(uint32_t level)
{
    static const char text[] =
        "quoll: stopped: the boot loader started Quoll at exception level EL?, it needs EL2; in "
        "QEMU: -M virt,virtualization=on\r\n";
    for (const char *c = text; *c != 0; c++)
        arch_early_putc(*c == '?' ? (char)('0' + level) : *c);
    if (level == 1)
        arch_machine_off();
    arch_halt();
}

static void find_console(const void *bytes, uint32_t level, struct devicetree *tree)
{
    bool good = bytes != NULL && devicetree_open(tree, bytes, TREE_LIMIT);
    struct devicetree_range uart;
    if (good && machine_find_uart(tree, &uart))
        uart_use(uart.base);
    if (good)
        psci_use(machine_find_psci(tree));
    if (level != 2)
        wrong_level(level);
    if (!good)
        kstop("the boot loader handed over no device tree (x0); Quoll needs one");
}

#define MMFR0_PA_RANGE(value) ((value)&0xf)
#define MMFR0_GRANULE_4K(value) ((value) >> 28 & 0xf)
#define PA_RANGE_40_BITS 2u
#define GRANULE_MISSING 0xfu
#define COUNTER_LEAST_HZ UINT64_C(1000000)

/* What stage 2 (39-bit addresses in pages of 4 KiB) and the scheduler's clock build on. */
static void check_processor(void)
{
    uint64_t features = read_register(id_aa64mmfr0_el1);
    if (MMFR0_PA_RANGE(features) < PA_RANGE_40_BITS)
        kstop("this processor has fewer than 40 physical address bits; Quoll needs them");
    if (MMFR0_GRANULE_4K(features) == GRANULE_MISSING)
        kstop("this processor has no pages of 4 KiB; Quoll needs them");
    if (arch_frequency() < COUNTER_LEAST_HZ)
        kstop("the system counter's frequency is %lu Hz (CNTFRQ_EL0): the firmware has to set it",
              arch_frequency());
}

/* The boot core is core 0; the others follow in the device tree's order. */
static void number_cores(void)
{
    uint64_t mine = read_register(mpidr_el1) & MPIDR_AFFINITY;
    cores[0].arch.mpidr = mine;
    core_count = 1;
    for (uint32_t i = 0; i < machine.cpu_count; i++) {
        if (machine.cpus[i] == mine || core_count == QUOLL_MAX_CORES)
            continue;
        core_prepare(&cores[core_count], core_count);
        cores[core_count++].arch.mpidr = machine.cpus[i];
    }
}

static void map_devices(struct mmu_table *table)
{
    struct devicetree_range uart;
    if (machine_find_uart(&machine.tree, &uart))
        mmu_map(table, uart.base, uart.size, MMU_DEVICE);
    mmu_map(table, machine.distributor.base, machine.distributor.size, MMU_DEVICE);
    for (uint32_t i = 0; i < machine.redistributor_count; i++)
        mmu_map(table, machine.redistributors[i].base, machine.redistributors[i].size, MMU_DEVICE);
}

static void map_memory(struct mmu_table *table)
{
    mmu_create(table);
    for (uint32_t i = 0; i < machine.bank_count; i++)
        mmu_map(table, machine.banks[i].base, machine.banks[i].size, MMU_DATA);
    for (uint32_t i = 0; i < machine.reserved_count; i++) {
        if (machine.reserved[i].hidden)
            mmu_unmap(table, machine.reserved[i].range.base, machine.reserved[i].range.size);
    }
    mmu_map_kernel(table);
    map_devices(table);
}

/* Of the system image only the header and the tables stay visible, for reports. */
static uint64_t image_head_size(const struct image *image)
{
    uint64_t end = sizeof(struct image_header);
    const struct image_table *table = image->header->tables;
#define TABLE(name, limit)                                                                         \
    {                                                                                              \
        uint64_t table_end = table->offset + (uint64_t)table->count * sizeof(*image->name##s);     \
        end = table_end > end ? table_end : end;                                                   \
        table++;                                                                                   \
    }
    IMAGE_TABLES(TABLE)
#undef TABLE
    return end;
}

static void map_final(void)
{
    mmu_create(&mmu_final);
    mmu_map_kernel(&mmu_final);
    map_devices(&mmu_final);
    if (built.tables.size != 0)
        mmu_map(&mmu_final, built.tables.base, built.tables.size, MMU_DATA);
    if (built.shared.size != 0)
        mmu_map(&mmu_final, built.shared.base, built.shared.size, MMU_DATA);
    mmu_map(&mmu_final, machine.initrd.base, image_head_size(&system_image), MMU_CONSTANT);
}

static bool in_memory(const struct devicetree_range *range)
{
    for (uint32_t i = 0; i < machine.bank_count; i++) {
        const struct devicetree_range *bank = &machine.banks[i];
        if (range->base >= bank->base && range->size <= bank->size &&
            range->base - bank->base <= bank->size - range->size)
            return true;
    }
    return false;
}

static void load_system(void)
{
    char reason[240];
    if (machine.initrd.size == 0)
        kstop("there is no system image; make one with `quoll build` and hand it to the boot "
              "loader as the initrd (in QEMU: -initrd FILE)");
    if (!in_memory(&machine.initrd) || !is_aligned(machine.initrd.base, PAGE_SIZE))
        kstop("the initrd is at 0x%lx, %lu bytes: not a page boundary inside memory; have the "
              "boot loader put it elsewhere",
              machine.initrd.base, machine.initrd.size);
    if (!image_check((const void *)machine.initrd.base, machine.initrd.size, &system_image, reason,
                     sizeof(reason)))
        kstop("%s", reason);
    struct start_request request = {
        .image = &system_image,
        .machine = &machine,
        .image_base = paddr(machine.initrd.base),
        .kernel = {(uintptr_t)image_start, (uint64_t)(image_end - image_start)},
    };
    start_build(&request, &built);
    map_final();
}

static void core_start(struct core *core)
{
    start_share();
    extended_traps_off();
    gic_core_start(core);
    vcpu_core_start(core);
    start_core(core);
}

static void clean_for_secondary(void)
{
    arch_memory_clean(paddr((uintptr_t)cores), sizeof(cores));
    arch_memory_clean(paddr((uintptr_t)&mmu_boot), sizeof(mmu_boot));
}

static void start_other_cores(void)
{
    clean_for_secondary();
    for (uint32_t i = 1; i < core_count; i++) {
        int64_t status =
            psci_core_on(cores[i].arch.mpidr, (uintptr_t)secondary_entry, (uintptr_t)&cores[i]);
        if (status != 0)
            kstop("core %u (MPIDR 0x%lx) does not start: PSCI CPU_ON answers %ld", i,
                  cores[i].arch.mpidr, status);
    }
    uint64_t limit = arch_now() + arch_frequency() * CORE_START_SECONDS;
    while (atomic_load(&cores_started) != core_count - 1) {
        if (arch_now() > limit)
            kstop("only %u of %u cores started within %u seconds", atomic_load(&cores_started) + 1,
                  core_count, CORE_START_SECONDS);
        __asm__ volatile("yield");
    }
}

static void print_summary(void)
{
    uint64_t memory = 0;
    for (uint32_t i = 0; i < machine.bank_count; i++)
        memory += machine.banks[i].size;
    const struct image *image = &system_image;
    uint64_t microseconds = (arch_now() - boot_started) / (arch_frequency() / 1000000);
    klog("label: %s", kernel_label);
    klog("Quoll " QUOLL_VERSION " on %s: %u cores, %lu MiB, GICv3, counter %lu kHz", machine.model,
         core_count, memory >> 20, arch_frequency() / 1000);
    if (machine.cpus_unusable != 0)
        klog("%u more cores are left alone: Quoll uses up to %u, started by PSCI",
             machine.cpus_unusable, QUOLL_MAX_CORES);
    klog("system '%s': %u components, %u VMs with %u vCPUs, %lu MiB", image->header->label,
         image->component_count, image->vm_count, image->vcpu_count, built.placed >> 20);
    klog("up in %lu.%lu ms", microseconds / 1000, microseconds % 1000 / 100);
}

static _Noreturn void leave_boot(struct core *core)
{
    mmu_switch(&mmu_final);
    core_run(core);
}

void boot_primary(const void *bytes, uint32_t level)
{
    struct devicetree tree;
    char reason[240];
    find_console(bytes, level, &tree);
    time_core_start();
    boot_started = arch_now();
    klog_start();
    core_prepare(&cores[0], 0);
    this_core_is(&cores[0]);
    check_processor();
    if (!machine_find(&tree, &machine, reason, sizeof(reason)) ||
        !machine_reachable(&machine, mmu_address_bits(), reason, sizeof(reason)))
        kstop("%s", reason);
    map_memory(&mmu_boot);
    mmu_enable(&mmu_boot);
    number_cores();
    if (!gic_start(&machine))
        kstop("the interrupt controller at 0x%lx is not a GICv3", machine.distributor.base);
    for (uint32_t i = 0; i < core_count; i++) {
        if (!gic_find_redistributor(&machine, &cores[i]))
            kstop("core %u (MPIDR 0x%lx) has no GICv3 redistributor", i, cores[i].arch.mpidr);
    }
    load_system();
    sysreg_start(); /* what each core's vcpu_core_start() builds on */
    start_other_cores();
    core_start(&cores[0]);
    while (atomic_load(&cores_ready) != core_count - 1)
        __asm__ volatile("yield");
    print_summary();
    atomic_store(&cores_may_run, true);
    __asm__ volatile("dsb ish\n\tsev");
    leave_boot(&cores[0]);
}

void boot_secondary(struct core *core)
{
    mmu_enable(&mmu_boot);
    this_core_is(core);
    time_core_start();
    atomic_fetch_add(&cores_started, 1);
    core_start(core);
    atomic_fetch_add(&cores_ready, 1);
    while (!atomic_load(&cores_may_run))
        __asm__ volatile("wfe");
    leave_boot(core);
}
