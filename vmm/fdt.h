/*
 * A writer of flattened device trees (Devicetree Specification 0.4, chapter 5).
 *
 * fdt_start, then nodes and properties in order, then fdt_finish. What does not fit makes fdt_finish answer
 * 0; until then nothing needs checking. Names are kept once each.
 */
#ifndef VMM_FDT_H
#define VMM_FDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FDT_STRINGS_BYTES 1024u

struct fdt {
    uint8_t *bytes;
    uint32_t capacity;
    uint32_t size; /* header, reservation block and structure block so far */
    bool overflow;
    uint32_t strings_size;
    char strings[FDT_STRINGS_BYTES];
};

/* `bytes` is 8-byte aligned. */
void fdt_start(struct fdt *tree, void *bytes, uint32_t capacity);
uint32_t fdt_finish(struct fdt *tree); /* bytes of the whole tree, or 0 */

void fdt_node(struct fdt *tree, const char *name);
void fdt_end(struct fdt *tree);
void fdt_bytes(struct fdt *tree, const char *name, const void *value, size_t size);
void fdt_empty(struct fdt *tree, const char *name);
void fdt_cells(struct fdt *tree, const char *name, const uint32_t *cells, size_t count);
void fdt_u32(struct fdt *tree, const char *name, uint32_t value);
void fdt_u64(struct fdt *tree, const char *name, uint64_t value);
void fdt_string(struct fdt *tree, const char *name, const char *value);
/* `count` strings, one after the other, each with its terminating zero. */
void fdt_strings(struct fdt *tree, const char *name, const char *values, uint32_t count);

/* For nodes under two address and two size cells, and a GIC as interrupt parent. */
enum fdt_interrupt_kind { FDT_SPI, FDT_PPI };
enum fdt_trigger { FDT_EDGE_RISING = 1, FDT_LEVEL_HIGH = 4 };
void fdt_reg(struct fdt *tree, uint64_t address, uint64_t size);
void fdt_interrupt(struct fdt *tree, enum fdt_interrupt_kind kind, uint32_t number,
                   enum fdt_trigger trigger);

#endif
