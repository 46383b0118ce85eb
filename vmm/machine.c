/*
 * The guest's device tree: the nodes that QEMU's `virt` machine has for what is there, with its names, so that
 * what looks for them finds them. Devices write their own nodes.
 */
#include "machine.h"
#include "device_tree.h"
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
    while (at < NAME_BYTES - 17 && prefix[at] != 0) {
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

static void describe_cpus(const struct machine *machine, struct tree *tree)
{
    char name[NAME_BYTES];
    tree_node(tree, "cpus");
    tree_u32(tree, "#address-cells", 1);
    tree_u32(tree, "#size-cells", 0);
    for (uint32_t i = 0; i < machine->vcpu_count; i++) {
        tree_node(tree, unit_name(name, "cpu@", i));
        tree_string(tree, "device_type", "cpu");
        tree_string(tree, "compatible", "arm,armv8");
        tree_string(tree, "enable-method", "psci");
        tree_u32(tree, "reg", i);
        tree_end(tree);
    }
    tree_end(tree);
}

static void describe_psci(struct tree *tree)
{
    tree_node(tree, "psci");
    tree_strings(tree, "compatible", "arm,psci-1.0\0arm,psci-0.2", 2);
    tree_string(tree, "method", "hvc");
    tree_end(tree);
}

static void describe_gic(const struct machine *machine, struct tree *tree)
{
    uint32_t row = (uint32_t)VIRT_GICR_STRIDE * machine->vcpu_count;
    const uint32_t reg[] = {0, (uint32_t)VIRT_GICD, 0, (uint32_t)VIRT_GICD_SIZE,
                            0, (uint32_t)VIRT_GICR, 0, row};
    tree_node(tree, "intc@8000000");
    tree_string(tree, "compatible", "arm,gic-v3");
    tree_u32(tree, "#interrupt-cells", 3);
    tree_empty(tree, "interrupt-controller");
    tree_u32(tree, "#address-cells", 2); /* of children, as an ITS would be one */
    tree_u32(tree, "#size-cells", 2);
    tree_empty(tree, "ranges");
    tree_u32(tree, "#redistributor-regions", 1);
    tree_cells(tree, "reg", reg, 8);
    tree_u32(tree, "phandle", PHANDLE_GIC);
    tree_end(tree);
}

static void describe_timer(struct tree *tree)
{
    const uint32_t interrupts[] = {TREE_PPI, VIRT_TIMER_SECURE_PPI,     TREE_LEVEL_HIGH,
                                   TREE_PPI, VIRT_TIMER_PHYSICAL_PPI,   TREE_LEVEL_HIGH,
                                   TREE_PPI, VIRT_TIMER_VIRTUAL_PPI,    TREE_LEVEL_HIGH,
                                   TREE_PPI, VIRT_TIMER_HYPERVISOR_PPI, TREE_LEVEL_HIGH};
    tree_node(tree, "timer");
    tree_strings(tree, "compatible", "arm,armv8-timer\0arm,armv7-timer", 2);
    tree_cells(tree, "interrupts", interrupts, 12);
    tree_empty(tree, "always-on");
    tree_end(tree);
}

static void describe_clock(struct tree *tree)
{
    tree_node(tree, "apb-pclk");
    tree_string(tree, "compatible", "fixed-clock");
    tree_u32(tree, "#clock-cells", 0);
    tree_u32(tree, "clock-frequency", APB_HERTZ);
    tree_string(tree, "clock-output-names", "clk24mhz");
    tree_u32(tree, "phandle", PHANDLE_CLOCK);
    tree_end(tree);
}

static void describe_memory(const struct machine *machine, struct tree *tree)
{
    tree_node(tree, "memory@40000000");
    tree_string(tree, "device_type", "memory");
    tree_reg(tree, VIRT_RAM, machine->ram_size);
    tree_end(tree);
}

static void describe_virtio(uint32_t slot, struct tree *tree)
{
    char name[NAME_BYTES];
    uint64_t address = VIRT_VIRTIO + slot * VIRT_VIRTIO_STRIDE;
    tree_node(tree, unit_name(name, "virtio_mmio@", address));
    tree_string(tree, "compatible", "virtio,mmio");
    tree_reg(tree, address, VIRT_VIRTIO_STRIDE);
    tree_interrupt(tree, TREE_SPI, VIRT_VIRTIO_SPI(slot), TREE_EDGE_RISING);
    tree_empty(tree, "dma-coherent");
    tree_end(tree);
}

static void describe_chosen(const struct machine *machine, struct tree *tree)
{
    tree_node(tree, "chosen");
    tree_string(tree, "stdout-path", "/pl011@9000000");
    tree_string(tree, "bootargs", machine->command_line);
    tree_bytes(tree, "rng-seed", machine->seed, sizeof(machine->seed));
    if (machine->initrd_size != 0) {
        tree_u64(tree, "linux,initrd-start", machine->initrd);
        tree_u64(tree, "linux,initrd-end", machine->initrd + machine->initrd_size);
    }
    tree_end(tree);
}

uint32_t machine_describe(const struct machine *machine, void *place, uint32_t capacity)
{
    struct tree tree;
    tree_start(&tree, place, capacity);
    tree_node(&tree, "");
    tree_string(&tree, "compatible", "linux,dummy-virt");
    tree_string(&tree, "model", "linux,dummy-virt");
    tree_u32(&tree, "#address-cells", 2);
    tree_u32(&tree, "#size-cells", 2);
    tree_u32(&tree, "interrupt-parent", PHANDLE_GIC);
    describe_chosen(machine, &tree);
    tree_node(&tree, "aliases");
    tree_string(&tree, "serial0", "/pl011@9000000");
    tree_end(&tree);
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
    tree_end(&tree);
    return tree_finish(&tree);
}
