/* The device tree writer; the contract is in device_tree.h. */
#include "device_tree.h"
#include <string.h>

enum tree_token { TOKEN_BEGIN_NODE = 1, TOKEN_END_NODE = 2, TOKEN_PROPERTY = 3, TOKEN_END = 9 };

struct tree_header { /* 5.2; every field big-endian */
    uint32_t magic, total_size, structure_offset, strings_offset, reservations_offset, version,
        compatible_version, boot_cpu, strings_size, structure_size;
};

#define TREE_HEADER_BYTES 40u
#define TREE_RESERVATION_BYTES 16u
#define TREE_STRUCTURE (TREE_HEADER_BYTES + TREE_RESERVATION_BYTES)
_Static_assert(sizeof(struct tree_header) == TREE_HEADER_BYTES, "Devicetree Specification 5.2");

static uint32_t big(uint32_t value)
{
    return __builtin_bswap32(value);
}

/* Room for `size` more bytes, padded to a cell, all zero; NULL when there is none. */
static uint8_t *reserve(struct tree *tree, size_t size)
{
    size_t padded = (size + 3) & ~(size_t)3;
    if (tree->overflow || padded < size || padded > tree->capacity - tree->size) {
        tree->overflow = true;
        return NULL;
    }
    uint8_t *place = tree->bytes + tree->size;
    memset(place, 0, padded);
    tree->size += (uint32_t)padded;
    return place;
}

static void put(struct tree *tree, const void *bytes, size_t size)
{
    uint8_t *place = reserve(tree, size);
    if (place != NULL && size != 0)
        memcpy(place, bytes, size);
}

static void put_cell(struct tree *tree, uint32_t value)
{
    uint32_t cell = big(value);
    put(tree, &cell, sizeof(cell));
}

/* Offset of the name in the strings block. */
static uint32_t name_offset(struct tree *tree, const char *name)
{
    size_t size = strlen(name) + 1;
    for (uint32_t at = 0; at < tree->strings_size; at += (uint32_t)strlen(tree->strings + at) + 1)
        if (strcmp(tree->strings + at, name) == 0)
            return at;
    if (size > TREE_STRINGS_BYTES - tree->strings_size) {
        tree->overflow = true;
        return 0;
    }
    uint32_t offset = tree->strings_size;
    memcpy(tree->strings + offset, name, size);
    tree->strings_size += (uint32_t)size;
    return offset;
}

void tree_start(struct tree *tree, void *bytes, uint32_t capacity)
{
    tree->bytes = bytes;
    tree->capacity = capacity;
    tree->size = 0;
    tree->strings_size = 0;
    tree->overflow = false;
    reserve(tree, TREE_STRUCTURE); /* the reservation block is one zero entry: its end */
}

uint32_t tree_finish(struct tree *tree)
{
    put_cell(tree, TOKEN_END);
    uint32_t structure_size = tree->size - TREE_STRUCTURE, strings = tree->size;
    put(tree, tree->strings, tree->strings_size);
    if (tree->overflow)
        return 0;
    struct tree_header header = {
        .magic = big(0xd00dfeed),
        .total_size = big(tree->size),
        .structure_offset = big(TREE_STRUCTURE),
        .strings_offset = big(strings),
        .reservations_offset = big(TREE_HEADER_BYTES),
        .version = big(17),
        .compatible_version = big(16),
        .strings_size = big(tree->strings_size),
        .structure_size = big(structure_size),
    };
    memcpy(tree->bytes, &header, sizeof(header));
    return tree->size;
}

void tree_node(struct tree *tree, const char *name)
{
    put_cell(tree, TOKEN_BEGIN_NODE);
    put(tree, name, strlen(name) + 1);
}

void tree_end(struct tree *tree)
{
    put_cell(tree, TOKEN_END_NODE);
}

void tree_bytes(struct tree *tree, const char *name, const void *value, size_t size)
{
    put_cell(tree, TOKEN_PROPERTY);
    put_cell(tree, (uint32_t)size);
    put_cell(tree, name_offset(tree, name));
    put(tree, value, size);
}

void tree_empty(struct tree *tree, const char *name)
{
    tree_bytes(tree, name, NULL, 0);
}

void tree_cells(struct tree *tree, const char *name, const uint32_t *cells, size_t count)
{
    put_cell(tree, TOKEN_PROPERTY);
    put_cell(tree, (uint32_t)(count * sizeof(*cells)));
    put_cell(tree, name_offset(tree, name));
    for (size_t i = 0; i < count; i++)
        put_cell(tree, cells[i]);
}

void tree_u32(struct tree *tree, const char *name, uint32_t value)
{
    tree_cells(tree, name, &value, 1);
}

void tree_u64(struct tree *tree, const char *name, uint64_t value)
{
    uint32_t cells[2] = {(uint32_t)(value >> 32), (uint32_t)value};
    tree_cells(tree, name, cells, 2);
}

void tree_string(struct tree *tree, const char *name, const char *value)
{
    tree_bytes(tree, name, value, strlen(value) + 1);
}

void tree_strings(struct tree *tree, const char *name, const char *values, uint32_t count)
{
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += strlen(values + size) + 1;
    tree_bytes(tree, name, values, size);
}

void tree_reg(struct tree *tree, uint64_t address, uint64_t size)
{
    uint32_t cells[4] = {(uint32_t)(address >> 32), (uint32_t)address, (uint32_t)(size >> 32),
                         (uint32_t)size};
    tree_cells(tree, "reg", cells, 4);
}

void tree_interrupt(struct tree *tree, enum tree_interrupt_kind kind, uint32_t number,
                    enum tree_trigger trigger)
{
    uint32_t cells[3] = {kind, number, trigger};
    tree_cells(tree, "interrupts", cells, 3);
}
