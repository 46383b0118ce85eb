/* A reader of flattened device trees; see devicetree.h. */
#include "devicetree.h"

enum {
    FDT_MAGIC = (int)0xd00dfeed,
    FDT_BEGIN_NODE = 1,
    FDT_END_NODE = 2,
    FDT_PROPERTY = 3,
    FDT_NOP = 4,
    FDT_HEADER_SIZE = 40,
    FDT_FIRST_VERSION = 17, /* the layout that this reader knows */
};

/* Interrupt specifiers of a GIC (binding arm,gic-v3): type, number, flags. */
enum { GIC_CELL_SPI = 0, GIC_CELL_PPI = 1, GIC_FIRST_PPI = 16, GIC_FIRST_SPI = 32 };

/* One item of the structure block. */
struct token {
    uint32_t kind;
    uint32_t next;              /* offset of what follows, in the structure block */
    uint32_t text;              /* BEGIN_NODE: offset of the name; PROPERTY: of the value */
    uint32_t size, name_offset; /* PROPERTY */
};

static uint32_t big32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint64_t big64(const uint8_t *bytes)
{
    return (uint64_t)big32(bytes) << 32 | big32(bytes + 4);
}

static bool equal(const char *a, const char *b)
{
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static bool block_fits(uint32_t offset, uint32_t size, uint32_t total)
{
    return offset <= total && size <= total - offset;
}

bool devicetree_open(struct devicetree *tree, const void *bytes, uint64_t limit)
{
    const uint8_t *header = bytes;
    if (limit < FDT_HEADER_SIZE || big32(header) != (uint32_t)FDT_MAGIC)
        return false;
    uint32_t last_compatible = big32(header + 24);
    *tree = (struct devicetree){
        .bytes = bytes,
        .size = big32(header + 4),
        .structure = big32(header + 8),
        .strings = big32(header + 12),
        .reservations = big32(header + 16),
        .strings_size = big32(header + 32),
        .structure_size = big32(header + 36),
    };
    return tree->size >= FDT_HEADER_SIZE && tree->size <= limit &&
           big32(header + 20) >= FDT_FIRST_VERSION && last_compatible <= FDT_FIRST_VERSION &&
           (tree->structure & 3) == 0 &&
           block_fits(tree->structure, tree->structure_size, tree->size) &&
           block_fits(tree->strings, tree->strings_size, tree->size) &&
           tree->reservations <= tree->size && tree->structure_size >= 8 &&
           big32(tree->bytes + tree->structure) == FDT_BEGIN_NODE;
}

/* Length of the string at offset within a block of `size` bytes, or -1 when it does not end there. */
static int64_t string_length(const uint8_t *block, uint32_t size, uint32_t offset)
{
    for (uint32_t end = offset; end < size; end++) {
        if (block[end] == 0)
            return (int64_t)(end - offset);
    }
    return -1;
}

/* Reads the item at offset; false at the end of the tree or when it is malformed. */
static bool read_token(const struct devicetree *tree, uint32_t offset, struct token *token)
{
    const uint8_t *block = tree->bytes + tree->structure;
    uint32_t size = tree->structure_size;
    if (!block_fits(offset, 4, size))
        return false;
    token->kind = big32(block + offset);
    uint64_t end = (uint64_t)offset + 4;
    if (token->kind == FDT_BEGIN_NODE) {
        int64_t length = string_length(block, size, offset + 4);
        if (length < 0)
            return false;
        token->text = offset + 4;
        end += (uint64_t)length + 1;
    } else if (token->kind == FDT_PROPERTY) {
        if (!block_fits(offset, 12, size))
            return false;
        token->size = big32(block + offset + 4);
        token->name_offset = big32(block + offset + 8);
        token->text = offset + 12;
        if (!block_fits(token->text, token->size, size))
            return false;
        end += 8 + (uint64_t)token->size;
    } else if (token->kind != FDT_END_NODE && token->kind != FDT_NOP) {
        return false;
    }
    end = (end + 3) & ~UINT64_C(3);
    if (end > size)
        return false;
    token->next = (uint32_t)end;
    return true;
}

void devicetree_root(struct devicetree_node *node)
{
    *node = (struct devicetree_node){0};
}

bool devicetree_next(const struct devicetree *tree, struct devicetree_node *node)
{
    struct token token;
    if (!read_token(tree, node->path[node->depth], &token))
        return false;
    int64_t depth = node->depth;
    uint32_t offset = token.next;
    while (read_token(tree, offset, &token)) {
        if (token.kind == FDT_BEGIN_NODE && ++depth < DEVICETREE_DEPTH) {
            node->depth = (uint32_t)depth;
            node->path[depth] = offset;
            return true;
        }
        if (token.kind == FDT_END_NODE && --depth < 0)
            return false;
        offset = token.next;
    }
    return false;
}

const char *devicetree_name(const struct devicetree *tree, const struct devicetree_node *node)
{
    struct token token;
    if (!read_token(tree, node->path[node->depth], &token) || token.kind != FDT_BEGIN_NODE)
        return "";
    return (const char *)tree->bytes + tree->structure + token.text;
}

/* A property of the node at this offset; properties come before child nodes. */
static bool property_at(const struct devicetree *tree, uint32_t node, const char *name,
                        struct devicetree_property *property)
{
    struct token token;
    if (!read_token(tree, node, &token))
        return false;
    while (read_token(tree, token.next, &token)) {
        if (token.kind == FDT_NOP)
            continue;
        if (token.kind != FDT_PROPERTY)
            return false;
        const uint8_t *strings = tree->bytes + tree->strings;
        if (string_length(strings, tree->strings_size, token.name_offset) < 0)
            continue;
        if (equal((const char *)strings + token.name_offset, name)) {
            property->bytes = tree->bytes + tree->structure + token.text;
            property->size = token.size;
            return true;
        }
    }
    return false;
}

bool devicetree_property(const struct devicetree *tree, const struct devicetree_node *node,
                         const char *name, struct devicetree_property *property)
{
    return property_at(tree, node->path[node->depth], name, property);
}

static uint32_t u32_at(const struct devicetree *tree, uint32_t node, const char *name,
                       uint32_t otherwise)
{
    struct devicetree_property property;
    if (!property_at(tree, node, name, &property) || property.size != 4)
        return otherwise;
    return big32(property.bytes);
}

bool devicetree_u32(const struct devicetree *tree, const struct devicetree_node *node,
                    const char *name, uint32_t *value)
{
    struct devicetree_property property;
    if (!devicetree_property(tree, node, name, &property) || property.size != 4)
        return false;
    *value = big32(property.bytes);
    return true;
}

const char *devicetree_string(const struct devicetree *tree, const struct devicetree_node *node,
                              const char *name)
{
    struct devicetree_property property;
    if (!devicetree_property(tree, node, name, &property) ||
        string_length(property.bytes, property.size, 0) < 0)
        return NULL;
    return (const char *)property.bytes;
}

static bool lists_at(const struct devicetree *tree, uint32_t node, const char *name,
                     const char *string)
{
    struct devicetree_property property;
    if (!property_at(tree, node, name, &property))
        return false;
    uint32_t offset = 0;
    while (offset < property.size) {
        int64_t length = string_length(property.bytes, property.size, offset);
        if (length < 0)
            return false;
        if (equal((const char *)property.bytes + offset, string))
            return true;
        offset += (uint32_t)length + 1;
    }
    return false;
}

bool devicetree_lists(const struct devicetree *tree, const struct devicetree_node *node,
                      const char *name, const char *string)
{
    return lists_at(tree, node->path[node->depth], name, string);
}

bool devicetree_enabled(const struct devicetree *tree, const struct devicetree_node *node)
{
    for (uint32_t depth = 0; depth <= node->depth; depth++) {
        struct devicetree_property status;
        if (property_at(tree, node->path[depth], "status", &status) &&
            !lists_at(tree, node->path[depth], "status", "okay") &&
            !lists_at(tree, node->path[depth], "status", "ok"))
            return false;
    }
    return true;
}

bool devicetree_find_compatible(const struct devicetree *tree, const char *compatible,
                                uint32_t instance, struct devicetree_node *node)
{
    devicetree_root(node);
    do {
        if (devicetree_lists(tree, node, "compatible", compatible) &&
            devicetree_enabled(tree, node) && instance-- == 0)
            return true;
    } while (devicetree_next(tree, node));
    return false;
}

/* Whether a node's name is this part of a path; without unit address in the path, any will do. */
static bool name_matches(const char *name, const char *part, size_t length)
{
    size_t i = 0;
    for (; i < length; i++) {
        if (name[i] == 0 || name[i] != part[i])
            return false;
    }
    return name[i] == 0 || name[i] == '@';
}

static bool find_full_path(const struct devicetree *tree, const char *path, size_t length,
                           struct devicetree_node *node)
{
    devicetree_root(node);
    size_t start = 1;
    while (start < length) {
        size_t end = start;
        while (end < length && path[end] != '/')
            end++;
        uint32_t parent = node->depth;
        do {
            if (!devicetree_next(tree, node) || node->depth <= parent)
                return false;
        } while (node->depth != parent + 1 ||
                 !name_matches(devicetree_name(tree, node), path + start, end - start));
        start = end + 1;
    }
    return true;
}

static size_t path_length(const char *path, size_t limit)
{
    size_t length = 0;
    while (length < limit && path[length] != 0 && path[length] != ':')
        length++;
    return length;
}

bool devicetree_find_path(const struct devicetree *tree, const char *path, size_t length,
                          struct devicetree_node *node)
{
    length = path_length(path, length);
    if (length == 0)
        return false;
    if (path[0] == '/')
        return find_full_path(tree, path, length, node);
    char alias[32];
    struct devicetree_property target;
    struct devicetree_node aliases;
    if (length >= sizeof(alias) || !find_full_path(tree, "/aliases", 8, &aliases))
        return false;
    for (size_t i = 0; i < length; i++)
        alias[i] = path[i];
    alias[length] = 0;
    if (!devicetree_property(tree, &aliases, alias, &target) || target.size == 0 ||
        target.bytes[0] != '/')
        return false;
    const char *full = (const char *)target.bytes;
    return find_full_path(tree, full, path_length(full, target.size), node);
}

static bool find_phandle(const struct devicetree *tree, uint32_t phandle,
                         struct devicetree_node *node)
{
    devicetree_root(node);
    do {
        uint32_t own;
        if (devicetree_u32(tree, node, "phandle", &own) && own == phandle)
            return true;
    } while (devicetree_next(tree, node));
    return false;
}

/* A number of one or two cells; addresses of three cells (PCI) are not numbers. */
static uint64_t read_cells(const uint8_t *bytes, uint32_t cells)
{
    if (cells == 0)
        return 0;
    return cells == 1 ? big32(bytes) : big64(bytes);
}

#define MOST_CELLS 4u

static uint32_t cells_at(const struct devicetree *tree, uint32_t node, const char *name,
                         uint32_t otherwise)
{
    uint32_t cells = u32_at(tree, node, name, otherwise);
    return cells <= MOST_CELLS ? cells : MOST_CELLS + 1;
}

/* Translates from the address space below the bus to the one above it. */
static bool translate(const struct devicetree *tree, uint32_t bus, uint32_t above,
                      struct devicetree_range *range)
{
    struct devicetree_property ranges;
    if (!property_at(tree, bus, "ranges", &ranges))
        return false;
    if (ranges.size == 0)
        return true;
    uint32_t child = cells_at(tree, bus, "#address-cells", 2);
    uint32_t parent = cells_at(tree, above, "#address-cells", 2);
    uint32_t sizes = cells_at(tree, bus, "#size-cells", 1);
    if (child == 0 || child > 2 || parent == 0 || parent > 2 || sizes == 0 || sizes > 2)
        return false;
    uint32_t entry = 4 * (child + parent + sizes);
    for (uint32_t at = 0; at + entry <= ranges.size; at += entry) {
        const uint8_t *bytes = ranges.bytes + at;
        uint64_t from = read_cells(bytes, child);
        uint64_t to = read_cells(bytes + (size_t)4 * child, parent);
        uint64_t size = read_cells(bytes + (size_t)4 * (child + parent), sizes);
        if (range->base >= from && range->base - from < size &&
            range->size <= size - (range->base - from)) {
            range->base = to + (range->base - from);
            return true;
        }
    }
    return false;
}

bool devicetree_reg(const struct devicetree *tree, const struct devicetree_node *node,
                    uint32_t index, struct devicetree_range *range)
{
    struct devicetree_property reg;
    if (node->depth == 0 || !devicetree_property(tree, node, "reg", &reg))
        return false;
    uint32_t parent = node->path[node->depth - 1];
    uint32_t addresses = cells_at(tree, parent, "#address-cells", 2);
    uint32_t sizes = cells_at(tree, parent, "#size-cells", 1);
    if (addresses == 0 || addresses > 2 || sizes > 2)
        return false;
    uint64_t entry = (uint64_t)4 * (addresses + sizes);
    if ((index + UINT64_C(1)) * entry > reg.size)
        return false;
    const uint8_t *bytes = reg.bytes + index * entry;
    range->base = read_cells(bytes, addresses);
    range->size = read_cells(bytes + (size_t)4 * addresses, sizes);
    if (sizes == 0)
        return true; /* a number, not an address: cores */
    for (uint32_t depth = node->depth - 1; depth > 0; depth--) {
        if (!translate(tree, node->path[depth], node->path[depth - 1], range))
            return false;
    }
    return range->size != 0 && range->base + range->size > range->base;
}

bool devicetree_reservation(const struct devicetree *tree, uint32_t index,
                            struct devicetree_range *range)
{
    uint64_t offset = tree->reservations + (uint64_t)index * 16;
    if (offset + 16 > tree->size)
        return false;
    range->base = big64(tree->bytes + offset);
    range->size = big64(tree->bytes + offset + 8);
    return range->base != 0 || range->size != 0;
}

static bool is_gic(const struct devicetree *tree, const struct devicetree_node *node)
{
    uint32_t cells;
    return devicetree_lists(tree, node, "compatible", "arm,gic-v3") &&
           devicetree_u32(tree, node, "#interrupt-cells", &cells) && cells >= 3 &&
           cells <= MOST_CELLS;
}

static bool gic_intid(const uint8_t *cells, uint32_t *intid)
{
    uint32_t type = big32(cells), number = big32(cells + 4);
    if (type == GIC_CELL_SPI && number < 988)
        *intid = GIC_FIRST_SPI + number;
    else if (type == GIC_CELL_PPI && number < 16)
        *intid = GIC_FIRST_PPI + number;
    else
        return false;
    return true;
}

static bool interrupt_parent(const struct devicetree *tree, const struct devicetree_node *node,
                             struct devicetree_node *parent)
{
    for (uint32_t depth = node->depth + 1; depth-- > 0;) {
        uint32_t phandle = u32_at(tree, node->path[depth], "interrupt-parent", 0);
        if (phandle != 0)
            return find_phandle(tree, phandle, parent);
    }
    return false;
}

/* `interrupts-extended`: each entry names its own controller. */
static bool extended_interrupt(const struct devicetree *tree,
                               const struct devicetree_property *property, uint32_t index,
                               uint32_t *intid)
{
    uint32_t offset = 0;
    while (offset + 4 <= property->size) {
        struct devicetree_node controller;
        uint32_t cells;
        if (!find_phandle(tree, big32(property->bytes + offset), &controller) ||
            !devicetree_u32(tree, &controller, "#interrupt-cells", &cells) || cells == 0 ||
            cells > MOST_CELLS || offset + 4 + 4 * cells > property->size)
            return false;
        if (index-- == 0)
            return is_gic(tree, &controller) && gic_intid(property->bytes + offset + 4, intid);
        offset += 4 + 4 * cells;
    }
    return false;
}

bool devicetree_interrupt(const struct devicetree *tree, const struct devicetree_node *node,
                          uint32_t index, uint32_t *intid)
{
    struct devicetree_property interrupts;
    if (devicetree_property(tree, node, "interrupts-extended", &interrupts))
        return extended_interrupt(tree, &interrupts, index, intid);
    struct devicetree_node controller;
    if (!devicetree_property(tree, node, "interrupts", &interrupts) ||
        !interrupt_parent(tree, node, &controller) || !is_gic(tree, &controller))
        return false;
    uint64_t entry =
        4 * (uint64_t)u32_at(tree, controller.path[controller.depth], "#interrupt-cells", 3);
    if ((index + UINT64_C(1)) * entry > interrupts.size)
        return false;
    return gic_intid(interrupts.bytes + index * entry, intid);
}

/* PCI addresses (IEEE 1275 PCI binding 2.1): the first cell tells the space, the others the address. */
#define PCI_ADDRESS_CELLS 3u
#define PCI_SPACE(first_cell) (((first_cell) >> 24) & 3)
#define PCI_SPACE_MEMORY32 2u
#define PCI_SLOT_SHIFT 11
#define PCI_INTA 1u

bool devicetree_pci_window(const struct devicetree *tree, const struct devicetree_node *node,
                           struct devicetree_range *range)
{
    struct devicetree_property ranges;
    if (node->depth == 0 || !devicetree_property(tree, node, "ranges", &ranges))
        return false;
    uint32_t own = node->path[node->depth];
    uint32_t parent = cells_at(tree, node->path[node->depth - 1], "#address-cells", 2);
    uint32_t sizes = cells_at(tree, own, "#size-cells", 2);
    if (cells_at(tree, own, "#address-cells", 0) != PCI_ADDRESS_CELLS || parent == 0 ||
        parent > 2 || sizes != 2)
        return false;
    uint32_t entry = 4 * (PCI_ADDRESS_CELLS + parent + sizes);
    for (uint32_t at = 0; at + entry <= ranges.size; at += entry) {
        const uint8_t *bytes = ranges.bytes + at;
        range->base = read_cells(bytes + 12, parent);
        range->size = big64(bytes + 12 + (size_t)4 * parent);
        if (PCI_SPACE(big32(bytes)) == PCI_SPACE_MEMORY32 && big64(bytes + 4) == range->base &&
            range->size != 0 && range->base + range->size > range->base)
            return true;
    }
    return false;
}

bool devicetree_pci_interrupt(const struct devicetree *tree, const struct devicetree_node *node,
                              uint32_t slot, uint32_t *intid)
{
    struct devicetree_property map, mask;
    if (!devicetree_property(tree, node, "interrupt-map", &map) ||
        !devicetree_property(tree, node, "interrupt-map-mask", &mask) ||
        mask.size != 4 * (PCI_ADDRESS_CELLS + 1))
        return false;
    uint32_t device = (slot << PCI_SLOT_SHIFT) & big32(mask.bytes);
    uint32_t pin = PCI_INTA & big32(mask.bytes + 12);
    uint32_t at = 0, head = 4 * (PCI_ADDRESS_CELLS + 2);
    while (at + head <= map.size) {
        const uint8_t *bytes = map.bytes + at;
        struct devicetree_node controller;
        if (!find_phandle(tree, big32(bytes + 16), &controller))
            return false;
        uint32_t own = controller.path[controller.depth];
        uint32_t addresses = cells_at(tree, own, "#address-cells", 0);
        uint32_t cells = cells_at(tree, own, "#interrupt-cells", 0);
        if (addresses > MOST_CELLS || cells == 0 || cells > MOST_CELLS ||
            at + head + 4 * (addresses + cells) > map.size)
            return false;
        if (big32(bytes) == device && big32(bytes + 12) == pin)
            return is_gic(tree, &controller) &&
                   gic_intid(bytes + head + (size_t)4 * addresses, intid);
        at += head + 4 * (addresses + cells);
    }
    return false;
}
