/* A device tree like that of QEMU's virt machine; see machine_tree.h. */
#include "machine_tree.h"
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIC_PHANDLE 1u

static void *tree;

static void ok(int result)
{
    if (result < 0) {
        fprintf(stderr, "libfdt: %s\n", fdt_strerror(result));
        abort();
    }
}

static int node(int parent, const char *name)
{
    int offset = fdt_add_subnode(tree, parent, name);
    ok(offset);
    return offset;
}

static void cells(int offset, const char *name, const uint32_t *values, int count)
{
    for (int i = 0; i < count; i++)
        ok(i == 0 ? fdt_setprop_u32(tree, offset, name, values[i])
                  : fdt_appendprop_u32(tree, offset, name, values[i]));
}
#define CELLS(offset, name, ...)                                                                   \
    cells(offset, name, (const uint32_t[]){__VA_ARGS__},                                           \
          (int)(sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)))
#define HIGH(value) ((uint32_t)((value) >> 32))
#define LOW(value) ((uint32_t)(value))

static void text(int offset, const char *name, const char *value)
{
    ok(fdt_setprop(tree, offset, name, value, (int)strlen(value) + 1));
}

static void add_gic(void)
{
    int gic = node(0, "intc@8000000");
    text(gic, "compatible", "arm,gic-v3");
    CELLS(gic, "phandle", GIC_PHANDLE);
    CELLS(gic, "#interrupt-cells", 3);
    CELLS(gic, "#address-cells", 2);
    CELLS(gic, "#size-cells", 2);
    CELLS(gic, "reg", 0, 0x8000000, 0, 0x10000, 0, 0x80a0000, 0, 0xf60000);
    CELLS(gic, "#redistributor-regions", 1);
}

static void add_cpus(uint32_t count)
{
    int cpus = node(0, "cpus");
    CELLS(cpus, "#address-cells", 1);
    CELLS(cpus, "#size-cells", 0);
    for (uint32_t i = count; i-- > 0;) { /* subnodes are inserted in front */
        char name[16];
        snprintf(name, sizeof(name), "cpu@%x", i);
        int cpu = node(cpus, name);
        text(cpu, "device_type", "cpu");
        text(cpu, "enable-method", "psci");
        CELLS(cpu, "reg", i);
    }
    int psci = node(0, "psci");
    ok(fdt_setprop(tree, psci, "compatible", "arm,psci-1.0\0arm,psci-0.2", 26));
    text(psci, "method", "smc");
}

static void add_uarts(void)
{
    int bus = node(0, "bus@a0000000");
    text(bus, "compatible", "simple-bus");
    CELLS(bus, "#address-cells", 1);
    CELLS(bus, "#size-cells", 1);
    CELLS(bus, "ranges", 0x1000, 0, 0xa0000000, 0x10000, 0x20000, 1, 0, 0x1000);
    int disabled = node(bus, "serial@2000");
    text(disabled, "compatible", "arm,pl011");
    text(disabled, "status", "disabled");
    CELLS(disabled, "reg", 0x2000, 0x1000);
    int second = node(bus, "serial@3000");
    text(second, "compatible", "arm,pl011");
    CELLS(second, "reg", 0x3000, 0x1000, 0x20000, 0x1000, 0x10800, 0x1000);
    CELLS(second, "interrupts-extended", GIC_PHANDLE, 1, 9, 4, GIC_PHANDLE, 0, 40, 1);
    /* Added last, found first: libfdt puts new nodes in front. */
    int uart = node(0, "pl011@9000000");
    ok(fdt_setprop(tree, uart, "compatible", "arm,pl011\0arm,primecell", 24));
    CELLS(uart, "reg", 0, 0x9000000, 0, 0x1000);
    CELLS(uart, "interrupts", 0, 1, 4);
}

static void add_pci(void)
{
    int pci = node(0, "pcie@10000000");
    text(pci, "compatible", "pci-host-ecam-generic");
    CELLS(pci, "#address-cells", 3);
    CELLS(pci, "#size-cells", 2);
    CELLS(pci, "#interrupt-cells", 1);
    CELLS(pci, "reg", 0x40, 0x10000000, 0, 0x10000000);
    CELLS(pci, "ranges", 0x1000000, 0, 0, 0, 0x3eff0000, 0, 0x10000, /* I/O */
          0x2000000, 0, 0x10000000, 0, 0x10000000, 0, 0x2eff0000,    /* 32-bit memory */
          0x3000000, 0x80, 0, 0x80, 0, 0x80, 0);                     /* 64-bit memory */
    CELLS(pci, "interrupt-map-mask", 0x1800, 0, 0, 7);
    for (uint32_t slot = 0; slot < 4; slot++) {
        for (uint32_t pin = 1; pin <= 4; pin++) {
            const uint32_t entry[] = {
                slot << 11, 0, 0, pin, GIC_PHANDLE, 0, 0, 0, 3 + (slot + pin - 1) % 4, 4};
            for (int i = 0; i < 10; i++)
                ok(fdt_appendprop_u32(tree, pci, "interrupt-map", entry[i]));
        }
    }
}

void machine_tree_make(void *bytes, const struct machine_tree_options *options)
{
    tree = bytes;
    ok(fdt_create_empty_tree(tree, MACHINE_TREE_BYTES));
    ok(fdt_add_mem_rsv(tree, options->memory_base + 0x100000, 0x1000));
    CELLS(0, "#address-cells", 2);
    CELLS(0, "#size-cells", 2);
    CELLS(0, "interrupt-parent", GIC_PHANDLE);
    text(0, "model", "test board");
    int memory = node(0, "memory@40000000");
    text(memory, "device_type", "memory");
    CELLS(memory, "reg", HIGH(options->memory_base), LOW(options->memory_base),
          HIGH(options->memory_size), LOW(options->memory_size));
    int reserved = node(0, "reserved-memory");
    CELLS(reserved, "#address-cells", 2);
    CELLS(reserved, "#size-cells", 2);
    ok(fdt_setprop(tree, reserved, "ranges", NULL, 0));
    int secure = node(reserved, "secure@0");
    CELLS(secure, "reg", HIGH(options->memory_base), LOW(options->memory_base + 0x200000), 0,
          0x3000);
    ok(fdt_setprop(tree, secure, "no-map", NULL, 0));
    add_gic();
    add_cpus(options->cpus);
    add_uarts();
    add_pci();
    int aliases = node(0, "aliases");
    text(aliases, "serial0", "/pl011@9000000");
    int chosen = node(0, "chosen");
    text(chosen, "stdout-path", "serial0:115200n8");
    if (options->initrd_size != 0) {
        uint64_t end = options->initrd_base + options->initrd_size;
        ok(fdt_setprop_u64(tree, chosen, "linux,initrd-start", options->initrd_base));
        ok(fdt_setprop_u64(tree, chosen, "linux,initrd-end", end));
    }
}
