/*
 * A writer of flattened device trees (Devicetree Specification 0.4, chapter 5).
 *
 * tree_start, then nodes and properties in order, then tree_finish. What does not fit makes tree_finish answer
 * 0; until then nothing needs checking. Names are kept once each.
 */
#ifndef VMM_DEVICE_TREE_H
#define VMM_DEVICE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_STRINGS_BYTES 1024u

struct tree {
    uint8_t *bytes;
    uint32_t capacity;
    uint32_t size; /* header, reservation block and structure block so far */
    bool overflow;
    uint32_t strings_size;
    char strings[TREE_STRINGS_BYTES];
};

/* `bytes` is 8-byte aligned. */
void tree_start(struct tree *tree, void *bytes, uint32_t capacity);
uint32_t tree_finish(struct tree *tree); /* bytes of the whole tree, or 0 */

void tree_node(struct tree *tree, const char *name);
void tree_end(struct tree *tree);
void tree_bytes(struct tree *tree, const char *name, const void *value, size_t size);
void tree_empty(struct tree *tree, const char *name);
void tree_cells(struct tree *tree, const char *name, const uint32_t *cells, size_t count);
void tree_u32(struct tree *tree, const char *name, uint32_t value);
void tree_u64(struct tree *tree, const char *name, uint64_t value);
void tree_string(struct tree *tree, const char *name, const char *value);
/* `count` strings, one after the other, each with its terminating zero. */
void tree_strings(struct tree *tree, const char *name, const char *values, uint32_t count);

/* For nodes under two address and two size cells, and a GIC as interrupt parent. */
enum tree_interrupt_kind { TREE_SPI, TREE_PPI };
enum tree_trigger { TREE_EDGE_RISING = 1, TREE_LEVEL_HIGH = 4 };
void tree_reg(struct tree *tree, uint64_t address, uint64_t size);
void tree_interrupt(struct tree *tree, enum tree_interrupt_kind kind, uint32_t number,
                    enum tree_trigger trigger);

#endif
