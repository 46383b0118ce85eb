/* A reader of stage-2 tables, made from Arm ARM D8.3 alone and not from kernel/stage2.c. See spaces.h. */
#include "spaces.h"
#include "model.h"

/* Descriptor bits (D8.3.1, D8.3.2, with FEAT_XNX's XN[1:0] = bits 54:53). */
static uint64_t field(uint64_t value, uint32_t high, uint32_t low)
{
    return value >> low & ((UINT64_C(2) << (high - low)) - 1);
}

static uint64_t entry_at(uint64_t table, uint64_t index)
{
    if (table < world.tables.base || table >= world.tables.base + world.tables.size)
        broken("a table of stage 2 lies at %lx, outside the kernel's tables", table);
    return __atomic_load_n((const uint64_t *)(uintptr_t)table + index, __ATOMIC_ACQUIRE);
}

static void leaf_make(struct leaf *leaf, uint64_t address, uint64_t size, uint64_t entry)
{
    uint32_t rights = 0;
    rights |= field(entry, 6, 6) ? QUOLL_READ : 0;  /* S2AP[0] */
    rights |= field(entry, 7, 7) ? QUOLL_WRITE : 0; /* S2AP[1] */
    rights |= field(entry, 54, 53) ? 0 : QUOLL_EXECUTE;
    rights |= field(entry, 5, 4) ? 0 : QUOLL_UNCACHED; /* MemAttr[3:2] = 0: Device */
    *leaf = (struct leaf){address, size, field(entry, 47, 12) << 12, rights};
    if (!field(entry, 10, 10))
        broken("the entry for %lx has no access flag: %lx", address, entry);
}

/* 1: leaf, 0: nothing, else: the next table. */
static uint64_t decode(uint64_t entry, uint32_t level)
{
    if (!field(entry, 0, 0))
        return 0;
    if (level == 3) {
        if (!field(entry, 1, 1))
            broken("a page entry with bit 1 clear: %lx", entry);
        return 1;
    }
    return field(entry, 1, 1) ? field(entry, 47, 12) << 12 : 1;
}

bool space_walk(const struct stage2 *space, uint64_t address, struct leaf *leaf)
{
    uint64_t table = (uintptr_t)space->root;
    for (uint32_t level = 1;; level++) {
        uint32_t shift = 39 - 9 * level;
        uint64_t entry = entry_at(table, address >> shift & 511);
        uint64_t next = decode(entry, level);
        if (next == 0)
            return false;
        if (next == 1) {
            leaf_make(leaf, address >> shift << shift, UINT64_C(1) << shift, entry);
            return true;
        }
        table = next;
    }
}

void space_visit(const struct stage2 *space, void (*visit)(void *context, const struct leaf *leaf),
                 void *context)
{
    uint64_t tables[4] = {0, (uintptr_t)space->root};
    uint32_t index[4] = {0};
    uint64_t base[4] = {0};
    uint32_t level = 1;
    while (level > 0) {
        if (index[level] == 512) {
            level--;
            continue;
        }
        uint32_t shift = 39 - 9 * level;
        uint64_t address = base[level] + ((uint64_t)index[level] << shift);
        uint64_t entry = entry_at(tables[level], index[level]++);
        uint64_t next = decode(entry, level);
        if (next == 1) {
            struct leaf leaf;
            leaf_make(&leaf, address, UINT64_C(1) << shift, entry);
            visit(context, &leaf);
        } else if (next != 0) {
            level++;
            tables[level] = next;
            index[level] = 0;
            base[level] = address;
        }
    }
}
