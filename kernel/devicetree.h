/*
 * A reader of flattened device trees (Devicetree Specification 0.4, chapter 5).
 *
 * The tree comes from a boot loader and may hold anything: every offset and length is checked against
 * the block it must lie in, walks are bounded by the size of the tree, nothing recurses. What is malformed
 * is treated as absent. Pure: reads only [bytes, bytes + size).
 */
#ifndef KERNEL_DEVICETREE_H
#define KERNEL_DEVICETREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct devicetree {
    const uint8_t *bytes;
    uint32_t size;
    uint32_t structure, structure_size; /* offsets from bytes */
    uint32_t strings, strings_size;
    uint32_t reservations;
};

/* Deeper nodes are skipped. */
#define DEVICETREE_DEPTH 12

/* A node is named by the offsets of its ancestors and itself, in the structure block; path[0] is the root. */
struct devicetree_node {
    uint32_t depth;
    uint32_t path[DEVICETREE_DEPTH];
};

struct devicetree_property {
    const uint8_t *bytes;
    uint32_t size;
};

struct devicetree_range {
    uint64_t base, size;
};

/* limit: how many bytes may be read at most. False: not a usable device tree. */
bool devicetree_open(struct devicetree *tree, const void *bytes, uint64_t limit);

/* Nodes, depth first. next: false at the end; `node` is then unchanged. */
void devicetree_root(struct devicetree_node *node);
bool devicetree_next(const struct devicetree *tree, struct devicetree_node *node);
/* The n-th enabled node with this compatible string. */
bool devicetree_find_compatible(const struct devicetree *tree, const char *compatible,
                                uint32_t instance, struct devicetree_node *node);
/* By path ("/soc/uart@0", ends at ':' or the end) or alias ("serial0"). A component of the path without unit address
 * matches the first child of that name. */
bool devicetree_find_path(const struct devicetree *tree, const char *path, size_t length,
                          struct devicetree_node *node);
const char *devicetree_name(const struct devicetree *tree, const struct devicetree_node *node);
/* No `status`, or "okay", in it and all its ancestors. */
bool devicetree_enabled(const struct devicetree *tree, const struct devicetree_node *node);

/* Properties. */
bool devicetree_property(const struct devicetree *tree, const struct devicetree_node *node,
                         const char *name, struct devicetree_property *property);
bool devicetree_u32(const struct devicetree *tree, const struct devicetree_node *node,
                    const char *name, uint32_t *value);
/* NULL when absent or not terminated by a zero. */
const char *devicetree_string(const struct devicetree *tree, const struct devicetree_node *node,
                              const char *name);
/* Whether the property is a list of strings that holds this one. */
bool devicetree_lists(const struct devicetree *tree, const struct devicetree_node *node,
                      const char *name, const char *string);

/* Entry `index` of `reg`, translated to a physical address through the `ranges` of all ancestors. */
bool devicetree_reg(const struct devicetree *tree, const struct devicetree_node *node,
                    uint32_t index, struct devicetree_range *range);
/* Entry `index` of the memory reservation block. */
bool devicetree_reservation(const struct devicetree *tree, uint32_t index,
                            struct devicetree_range *range);
/* The INTID of interrupt `index`, when its controller is a GIC with three cells or more. */
bool devicetree_interrupt(const struct devicetree *tree, const struct devicetree_node *node,
                          uint32_t index, uint32_t *intid);
/* A PCI host bridge: its window for 32-bit memory, when PCI and physical addresses are the same there... */
bool devicetree_pci_window(const struct devicetree *tree, const struct devicetree_node *node,
                           struct devicetree_range *range);
/* ...and the INTID that INTA of the device in `slot` of bus 0 is wired to. */
bool devicetree_pci_interrupt(const struct devicetree *tree, const struct devicetree_node *node,
                              uint32_t slot, uint32_t *intid);

#endif
