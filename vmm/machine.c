/*
 * The guest's device tree: the nodes that QEMU's `virt` machine has for what is there, with its names, so that
 * what looks for them finds them. Devices write their own nodes.
 */
#include "machine.h"
#include "fdt.h"
#include "pl011.h"
#include "pl031.h"
#include "virt.h"

enum phandle { PHANDLE_GIC = 1, PHANDLE_CLOCK = 2 };

#define APB_HERTZ 24000000u
#define NAME_BYTES 32u

/* "prefix" and a number in hexadecimal: unit addresses have no leading zeros. */
static const char *unit_name(char *to, const char *prefix, uint64_t address)
{
    uint32_t at = 0;
    while (prefix[at] != 0 && at < NAME_BYTES - 17) {
        to[at] = prefix[at];
        at++;
    }
    uint32_t digits = 1;
    while (digits < 16 && address >> (4 * digits) != 0)
        digits++;
    while (digits > 0)
        to[at++] = "0123456789abcdef"[address >> (4 * --digits) & 15];
    to[at] = 0;
    return to;
}

static void describe_cpus(const struct machine *machine, struct fdt *tree)
{
    char name[NAME_BYTES];
    fdt_node(tree, "cpus");
    fdt_u32(tree, "#address-cells", 1);
    fdt_u32(tree, "#size-cells", 0);
    for (uint32_t i = 0; i < machine->vcpu_count; i++) {
        fdt_node(tree, unit_name(name, "cpu@", i));
        fdt_string(tree, "device_type", "cpu");
        fdt_string(tree, "compatible", "arm,armv8");
        fdt_string(tree, "enable-method", "psci");
        fdt_u32(tree, "reg", i);
        fdt_end(tree);
    }
    fdt_end(tree);
}

static void describe_psci(struct fdt *tree)
{
    fdt_node(tree, "psci");
    fdt_strings(tree, "compatible", "arm,psci-1.0\0arm,psci-0.2", 2);
    fdt_string(tree, "method", "hvc");
    fdt_end(tree);
}

static void describe_gic(const struct machine *machine, struct fdt *tree)
{
    uint32_t row = (uint32_t)VIRT_GICR_STRIDE * machine->vcpu_count;
    const uint32_t reg[] = {0, (uint32_t)VIRT_GICD, 0, (uint32_t)VIRT_GICD_SIZE,
                            0, (uint32_t)VIRT_GICR, 0, row};
    fdt_node(tree, "intc@8000000");
    fdt_string(tree, "compatible", "arm,gic-v3");
    fdt_u32(tree, "#interrupt-cells", 3);
    fdt_empty(tree, "interrupt-controller");
    fdt_u32(tree, "#redistributor-regions", 1);
    fdt_cells(tree, "reg", reg, 8);
    fdt_u32(tree, "phandle", PHANDLE_GIC);
    fdt_end(tree);
}

static void describe_timer(struct fdt *tree)
{
    const uint32_t interrupts[] = {FDT_PPI, VIRT_TIMER_SECURE_PPI,     FDT_LEVEL_HIGH,
                                   FDT_PPI, VIRT_TIMER_PHYSICAL_PPI,   FDT_LEVEL_HIGH,
                                   FDT_PPI, VIRT_TIMER_VIRTUAL_PPI,    FDT_LEVEL_HIGH,
                                   FDT_PPI, VIRT_TIMER_HYPERVISOR_PPI, FDT_LEVEL_HIGH};
    fdt_node(tree, "timer");
    fdt_strings(tree, "compatible", "arm,armv8-timer\0arm,armv7-timer", 2);
    fdt_cells(tree, "interrupts", interrupts, 12);
    fdt_empty(tree, "always-on");
    fdt_end(tree);
}

static void describe_clock(struct fdt *tree)
{
    fdt_node(tree, "apb-pclk");
    fdt_string(tree, "compatible", "fixed-clock");
    fdt_u32(tree, "#clock-cells", 0);
    fdt_u32(tree, "clock-frequency", APB_HERTZ);
    fdt_string(tree, "clock-output-names", "clk24mhz");
    fdt_u32(tree, "phandle", PHANDLE_CLOCK);
    fdt_end(tree);
}

static void describe_memory(const struct machine *machine, struct fdt *tree)
{
    fdt_node(tree, "memory@40000000");
    fdt_string(tree, "device_type", "memory");
    fdt_reg(tree, VIRT_RAM, machine->ram_size);
    fdt_end(tree);
}

static void describe_virtio(uint32_t slot, struct fdt *tree)
{
    char name[NAME_BYTES];
    uint64_t address = VIRT_VIRTIO + slot * VIRT_VIRTIO_STRIDE;
    fdt_node(tree, unit_name(name, "virtio_mmio@", address));
    fdt_string(tree, "compatible", "virtio,mmio");
    fdt_reg(tree, address, VIRT_VIRTIO_STRIDE);
    fdt_interrupt(tree, FDT_SPI, VIRT_VIRTIO_SPI(slot), FDT_EDGE_RISING);
    fdt_empty(tree, "dma-coherent");
    fdt_end(tree);
}

static void describe_chosen(const struct machine *machine, struct fdt *tree)
{
    fdt_node(tree, "chosen");
    fdt_string(tree, "stdout-path", "/pl011@9000000");
    fdt_string(tree, "bootargs", machine->command_line);
    fdt_bytes(tree, "rng-seed", machine->seed, sizeof(machine->seed));
    if (machine->initrd_size != 0) {
        fdt_u64(tree, "linux,initrd-start", machine->initrd);
        fdt_u64(tree, "linux,initrd-end", machine->initrd + machine->initrd_size);
    }
    fdt_end(tree);
}

uint32_t machine_describe(const struct machine *machine, void *place, uint32_t capacity)
{
    struct fdt tree;
    fdt_start(&tree, place, capacity);
    fdt_node(&tree, "");
    fdt_string(&tree, "compatible", "linux,dummy-virt");
    fdt_string(&tree, "model", "linux,dummy-virt");
    fdt_u32(&tree, "#address-cells", 2);
    fdt_u32(&tree, "#size-cells", 2);
    fdt_u32(&tree, "interrupt-parent", PHANDLE_GIC);
    describe_chosen(machine, &tree);
    fdt_node(&tree, "aliases");
    fdt_string(&tree, "serial0", "/pl011@9000000");
    fdt_end(&tree);
    describe_psci(&tree);
    describe_memory(machine, &tree);
    describe_cpus(machine, &tree);
    describe_timer(&tree);
    describe_clock(&tree);
    describe_gic(machine, &tree);
    pl011_describe(&tree, PHANDLE_CLOCK);
    pl031_describe(&tree, PHANDLE_CLOCK);
    for (uint32_t slot = 0; slot < VIRT_VIRTIO_SLOTS; slot++)
        if (machine->virtio_slots >> slot & 1)
            describe_virtio(slot, &tree);
    fdt_end(&tree);
    return fdt_finish(&tree);
}
