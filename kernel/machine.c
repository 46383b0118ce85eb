/* What the device tree says about the machine; see machine.h. */
#include "machine.h"
#include <quoll/text.h>

/* MPIDR_EL1: affinity 3 is apart from affinities 2..0. */
#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)

bool machine_find_uart(const struct devicetree *tree, struct devicetree_range *uart)
{
    struct devicetree_node chosen, node;
    struct devicetree_property path;
    if (devicetree_find_path(tree, "/chosen", 7, &chosen) &&
        devicetree_property(tree, &chosen, "stdout-path", &path) &&
        devicetree_find_path(tree, (const char *)path.bytes, path.size, &node) &&
        devicetree_lists(tree, &node, "compatible", "arm,pl011") &&
        devicetree_reg(tree, &node, 0, uart))
        return true;
    return devicetree_find_compatible(tree, "arm,pl011", 0, &node) &&
           devicetree_reg(tree, &node, 0, uart);
}

enum machine_psci machine_find_psci(const struct devicetree *tree)
{
    struct devicetree_node node;
    if (!devicetree_find_compatible(tree, "arm,psci-1.0", 0, &node) &&
        !devicetree_find_compatible(tree, "arm,psci-0.2", 0, &node))
        return MACHINE_PSCI_NONE;
    if (devicetree_lists(tree, &node, "method", "smc"))
        return MACHINE_PSCI_SMC;
    return devicetree_lists(tree, &node, "method", "hvc") ? MACHINE_PSCI_HVC : MACHINE_PSCI_NONE;
}

/* Whole pages inside the range. */
static bool shrink_to_pages(struct devicetree_range *range)
{
    uint64_t base = round_up(range->base, PAGE_SIZE);
    uint64_t end = (range->base + range->size) & ~(PAGE_SIZE - 1);
    bool any = base >= range->base && end > base; /* rounding wraps in the very last page */
    *range = (struct devicetree_range){base, any ? end - base : 0};
    return range->size != 0;
}

static void find_memory(struct machine *machine)
{
    const struct devicetree *tree = &machine->tree;
    struct devicetree_node node;
    devicetree_root(&node);
    while (devicetree_next(tree, &node)) {
        if (!devicetree_lists(tree, &node, "device_type", "memory") ||
            !devicetree_enabled(tree, &node))
            continue;
        struct devicetree_range bank;
        for (uint32_t i = 0;
             machine->bank_count < MACHINE_BANKS && devicetree_reg(tree, &node, i, &bank); i++) {
            if (shrink_to_pages(&bank))
                machine->banks[machine->bank_count++] = bank;
        }
    }
}

static bool reserve(struct machine *machine, struct devicetree_range range, bool hidden)
{
    if (machine->reserved_count == MACHINE_RESERVATIONS)
        return false;
    machine->reserved[machine->reserved_count].range = range;
    machine->reserved[machine->reserved_count++].hidden = hidden;
    return true;
}

static bool find_reserved(struct machine *machine)
{
    const struct devicetree *tree = &machine->tree;
    struct devicetree_range range;
    for (uint32_t i = 0; devicetree_reservation(tree, i, &range); i++) {
        if (!reserve(machine, range, false))
            return false;
    }
    struct devicetree_node node;
    if (!devicetree_find_path(tree, "/reserved-memory", 16, &node))
        return true;
    while (devicetree_next(tree, &node) && node.depth > 1) {
        struct devicetree_property no_map;
        bool hidden = devicetree_property(tree, &node, "no-map", &no_map);
        for (uint32_t i = 0; devicetree_reg(tree, &node, i, &range); i++) {
            if (!reserve(machine, range, hidden))
                return false;
        }
    }
    return true;
}

static void find_cpus(struct machine *machine)
{
    const struct devicetree *tree = &machine->tree;
    struct devicetree_node node;
    devicetree_root(&node);
    while (devicetree_next(tree, &node)) {
        struct devicetree_range reg;
        if (!devicetree_lists(tree, &node, "device_type", "cpu") ||
            !devicetree_enabled(tree, &node) || !devicetree_reg(tree, &node, 0, &reg))
            continue;
        bool startable =
            devicetree_lists(tree, &node, "enable-method", "psci") || machine->cpu_count == 0;
        if (machine->cpu_count < QUOLL_MAX_CORES && startable)
            machine->cpus[machine->cpu_count++] = reg.base & MPIDR_AFFINITY;
        else
            machine->cpus_unusable++;
    }
}

static bool find_gic(struct machine *machine)
{
    const struct devicetree *tree = &machine->tree;
    struct devicetree_node node;
    if (!devicetree_find_compatible(tree, "arm,gic-v3", 0, &node) ||
        !devicetree_reg(tree, &node, 0, &machine->distributor))
        return false;
    uint32_t regions = 1;
    devicetree_u32(tree, &node, "#redistributor-regions", &regions);
    for (uint32_t i = 0; i < regions && i < MACHINE_REDISTRIBUTOR_REGIONS; i++) {
        if (!devicetree_reg(tree, &node, 1 + i, &machine->redistributors[i]))
            return false;
        machine->redistributor_count++;
    }
    struct devicetree_property stride;
    if (devicetree_property(tree, &node, "redistributor-stride", &stride)) {
        for (uint32_t i = 0; i < stride.size && i < 8; i++)
            machine->redistributor_stride = machine->redistributor_stride << 8 | stride.bytes[i];
    }
    return machine->redistributor_count > 0;
}

static bool chosen_address(const struct devicetree *tree, const struct devicetree_node *chosen,
                           const char *name, uint64_t *address)
{
    struct devicetree_property property;
    if (!devicetree_property(tree, chosen, name, &property) ||
        (property.size != 4 && property.size != 8))
        return false;
    *address = 0;
    for (uint32_t i = 0; i < property.size; i++)
        *address = *address << 8 | property.bytes[i];
    return true;
}

static void find_initrd(struct machine *machine)
{
    const struct devicetree *tree = &machine->tree;
    struct devicetree_node chosen;
    uint64_t start, end;
    if (devicetree_find_path(tree, "/chosen", 7, &chosen) &&
        chosen_address(tree, &chosen, "linux,initrd-start", &start) &&
        chosen_address(tree, &chosen, "linux,initrd-end", &end) && end > start)
        machine->initrd = (struct devicetree_range){start, end - start};
}

bool machine_find(const struct devicetree *tree, struct machine *machine, char *reason,
                  size_t reason_size)
{
    *machine = (struct machine){.tree = *tree, .model = "unknown machine"};
    struct devicetree_node root;
    devicetree_root(&root);
    const char *model = devicetree_string(tree, &root, "model");
    if (model != NULL)
        machine->model = model;
    find_memory(machine);
    find_cpus(machine);
    find_initrd(machine);
    machine->psci = machine_find_psci(tree);
    const char *missing = NULL;
    if (machine->bank_count == 0)
        missing = "no memory (device_type = \"memory\")";
    else if (!find_reserved(machine))
        missing = "more reserved memory ranges than Quoll can keep track of";
    else if (machine->cpu_count == 0)
        missing = "no core (device_type = \"cpu\")";
    else if (machine->psci == MACHINE_PSCI_NONE)
        missing = "no PSCI firmware (compatible = \"arm,psci-1.0\" or \"arm,psci-0.2\")";
    else if (!find_gic(machine))
        missing = "no GICv3 (compatible = \"arm,gic-v3\"; in QEMU: -M virt,gic-version=3)";
    if (missing != NULL) {
        text_format(reason, reason_size,
                    "the device tree of '%s' has %s; Quoll cannot run on this machine",
                    machine->model, missing);
    }
    return missing == NULL;
}

/* An end that wraps around is beyond everything. */
static bool within(const struct devicetree_range *range, uint64_t limit)
{
    return range->base <= limit && range->size <= limit - range->base;
}

/* NULL: all of them are within. */
static const struct devicetree_range *first_beyond(const struct devicetree_range *ranges,
                                                   uint32_t count, uint64_t limit)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!within(&ranges[i], limit))
            return &ranges[i];
    }
    return NULL;
}

bool machine_reachable(const struct machine *machine, uint32_t address_bits, char *reason,
                       size_t reason_size)
{
    uint64_t limit = UINT64_C(1) << address_bits;
    const char *what = "memory";
    const struct devicetree_range *beyond =
        first_beyond(machine->banks, machine->bank_count, limit);
    if (beyond == NULL) {
        what = "an initrd";
        beyond = first_beyond(&machine->initrd, 1, limit);
    }
    if (beyond == NULL) {
        what = "an interrupt controller";
        beyond = first_beyond(&machine->distributor, 1, limit);
    }
    if (beyond == NULL)
        beyond = first_beyond(machine->redistributors, machine->redistributor_count, limit);
    if (beyond != NULL) {
        text_format(reason, reason_size,
                    "the device tree of '%s' has %s at 0x%lx to 0x%lx, beyond the %u bits of a "
                    "physical address here; is it this machine's?",
                    machine->model, what, beyond->base, beyond->base + beyond->size, address_bits);
    }
    return beyond == NULL;
}
