/*
 * A hostile device tree, as the kernel gets it from a boot loader.
 *
 * What must hold: nothing outside the tree is read; every walk ends; what is found (properties, names, strings) lies inside; ranges
 * do not wrap around; interrupt numbers are those of a GIC.
 *
 * Input: the flattened tree as it is; its last byte chooses what is looked for.
 */
#include "devicetree.h"
#include "hostile.h"

#define MOST_NODES 64u
#define MOST_BYTES 8192u

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
    }
    return 0;
}
