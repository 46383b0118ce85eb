/*
 * A hostile device tree, as the kernel gets it from a boot loader.
 *
 * What must hold: nothing outside the tree is read; every walk ends; what is found (properties, names, strings) lies inside; ranges
 * do not wrap around; interrupt numbers are those of a GIC; what the kernel takes for memory is memory that the tree tells of.
 *
 * Input: the flattened tree as it is; its last byte chooses what is looked for.
 */
#include "devicetree.h"
#include "hostile.h"
#include "machine.h"

#define MOST_NODES 64u
#define MOST_BYTES 8192u
#define MOST_BITS 40u /* of a physical address */

static const char *const names[] = {"reg",         "ranges",  "compatible",       "interrupts",
                                    "status",      "phandle", "interrupt-parent", "interrupt-map",
                                    "stdout-path", "x"};
static const char *const paths[] = {"/chosen",     "/cpus/cpu", "serial0", "serial0:115200n8",
                                    "/soc/uart@0", "/",         "",        "/a//b"};

static bool inside(const struct devicetree *tree, const void *begin, uint64_t size)
{
    uint64_t offset = (uint64_t)((const uint8_t *)begin - tree->bytes);
    return offset <= tree->size && size <= tree->size - offset;
}

static void look_at(const struct devicetree *tree, const struct devicetree_node *node)
{
    struct devicetree_property property;
    struct devicetree_range range;
    uint32_t value;
    const char *name = devicetree_name(tree, node);
    HOLDS(name[0] == 0 || inside(tree, name, strlen(name) + 1));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!devicetree_property(tree, node, names[i], &property))
            continue;
        HOLDS(inside(tree, property.bytes, property.size));
        const char *text = devicetree_string(tree, node, names[i]);
        HOLDS(text == NULL || inside(tree, text, strlen(text) + 1));
        devicetree_u32(tree, node, names[i], &value);
    }
    for (uint32_t i = 0; i < 3; i++) {
        if (devicetree_reg(tree, node, i, &range) && range.size != 0)
            HOLDS(range.base + range.size > range.base);
        if (devicetree_interrupt(tree, node, i, &value))
            HOLDS(value >= 16 && value < 1020);
        if (devicetree_pci_interrupt(tree, node, i, &value))
            HOLDS(value >= 16 && value < 1020);
    }
    if (devicetree_pci_window(tree, node, &range))
        HOLDS(range.size != 0 && range.base + range.size > range.base);
    devicetree_enabled(tree, node);
}

static void walk(const struct devicetree *tree)
{
    struct devicetree_node node;
    uint32_t seen = 0, before;
    devicetree_root(&node);
    do {
        look_at(tree, &node);
        HOLDS(node.depth < DEVICETREE_DEPTH);
        before = node.path[node.depth];
    } while (++seen < MOST_NODES && devicetree_next(tree, &node) &&
             (HOLDS(node.path[node.depth] > before), true));
}

static void find(const struct devicetree *tree, uint8_t choice)
{
    struct devicetree_node node;
    struct devicetree_range range;
    const char *path = paths[choice % (sizeof(paths) / sizeof(paths[0]))];
    if (devicetree_find_path(tree, path, strlen(path), &node))
        look_at(tree, &node);
    if (devicetree_find_compatible(tree, "arm,pl011", choice >> 6, &node))
        HOLDS(devicetree_enabled(tree, &node));
    for (uint32_t i = 0; devicetree_reservation(tree, i, &range); i++)
        HOLDS(i <= tree->size / 16);
}

static bool told_as_memory(const struct devicetree *tree, const struct devicetree_range *bank)
{
    struct devicetree_node node;
    struct devicetree_range range;
    devicetree_root(&node);
    while (devicetree_next(tree, &node))
        for (uint32_t i = 0; devicetree_lists(tree, &node, "device_type", "memory") &&
                             devicetree_reg(tree, &node, i, &range);
             i++)
            if (bank->base >= range.base && bank->base - range.base <= range.size &&
                bank->size <= range.size - (bank->base - range.base))
                return true;
    return false;
}

static void find_machine(const struct devicetree *tree)
{
    static struct machine machine;
    struct devicetree_range uart;
    char reason[256] = "";
    machine_find_uart(tree, &uart);
    bool good = machine_find(tree, &machine, reason, sizeof(reason));
    HOLDS(good || reason[0] != 0);
    bool reachable = machine_reachable(&machine, MOST_BITS, reason, sizeof(reason));
    HOLDS(reachable || reason[0] != 0);
    HOLDS(machine.bank_count <= MACHINE_BANKS && machine.reserved_count <= MACHINE_RESERVATIONS);
    HOLDS(machine.cpu_count <= QUOLL_MAX_CORES &&
          machine.redistributor_count <= MACHINE_REDISTRIBUTOR_REGIONS);
    HOLDS(machine.initrd.base + machine.initrd.size >= machine.initrd.base);
    for (uint32_t i = 0; i < machine.bank_count; i++) {
        HOLDS((machine.banks[i].base | machine.banks[i].size) % PAGE_SIZE == 0 &&
              machine.banks[i].size != 0);
        HOLDS(!reachable || (machine.banks[i].base + machine.banks[i].size - 1) >> MOST_BITS == 0);
        HOLDS(told_as_memory(tree, &machine.banks[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static uint8_t *memory;
    struct devicetree tree;
    if (memory == NULL)
        memory = hostile_allocate(MOST_BYTES);
    if (size == 0 || size > MOST_BYTES)
        return 0;
    uint8_t *place =
        memory + MOST_BYTES - size; /* up to the guard region: the slightest step beyond shows */
    memcpy(place, bytes, size);
    if (devicetree_open(&tree, place, size)) {
        walk(&tree);
        find(&tree, bytes[size - 1]);
        find_machine(&tree);
    }
    return 0;
}
