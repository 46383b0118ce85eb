/*
 * Stage-2 tables; see stage2.h.
 *
 * Descriptors are those of Arm ARM D8.3 (VMSAv8-64, 4 KiB granule). Boot-time mapping works level by level from
 * the largest block that fits; what is there already is found before anything is written,
 * so a refused mapping changes nothing but the pool.
 */
#include "stage2.h"

#define ENTRIES 512u
#define LEVEL_SHIFT(level) (39u - 9u * (level)) /* 1: 30, 2: 21, 3: 12 */
#define LEVEL_SIZE(level) (UINT64_C(1) << LEVEL_SHIFT(level))
#define LAST_LEVEL 3u

/* Descriptor fields (D8.3.1, D8.3.2). */
#define VALID UINT64_C(1)
#define TABLE_OR_PAGE UINT64_C(2)              /* levels 1, 2: a table; level 3: a page */
#define ATTRIBUTES_NORMAL (UINT64_C(0xf) << 2) /* MemAttr: Normal, write-back inside and outside */
#define ATTRIBUTES_DEVICE (UINT64_C(1) << 2)   /* MemAttr: Device-nGnRE */
#define ACCESS_READ (UINT64_C(1) << 6)         /* S2AP */
#define ACCESS_WRITE (UINT64_C(2) << 6)
#define INNER_SHAREABLE (UINT64_C(3) << 8)
#define ACCESSED (UINT64_C(1) << 10) /* AF */
#define EXECUTE_NEVER (UINT64_C(2) << 53)
#define ADDRESS_MASK UINT64_C(0x0000fffffffff000)

static uint32_t index_at(uint64_t address, uint32_t level)
{
    return (uint32_t)(address >> LEVEL_SHIFT(level)) & (ENTRIES - 1);
}

static uint64_t *table_of(uint64_t entry)
{
    return (uint64_t *)(uintptr_t)(entry & ADDRESS_MASK);
}

static bool is_table(uint64_t entry, uint32_t level)
{
    return level < LAST_LEVEL && (entry & (VALID | TABLE_OR_PAGE)) == (VALID | TABLE_OR_PAGE);
}

/* Tables can be walked by other cores and their hardware at any time, and pages be changed by other cores' calls:
 * entries are read once, and change at once. */
static uint64_t entry_read(const uint64_t *entry)
{
    return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

static void entry_write(uint64_t *entry, uint64_t value)
{
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static uint64_t entry_make(uint64_t physical, uint32_t rights, uint32_t level)
{
    uint64_t entry = (physical & ADDRESS_MASK) | VALID | ACCESSED | INNER_SHAREABLE;
    entry |= level == LAST_LEVEL ? TABLE_OR_PAGE : 0;
    entry |= rights & QUOLL_UNCACHED ? ATTRIBUTES_DEVICE : ATTRIBUTES_NORMAL;
    entry |= rights & QUOLL_READ ? ACCESS_READ : 0;
    entry |= rights & QUOLL_WRITE ? ACCESS_WRITE : 0;
    entry |= rights & QUOLL_EXECUTE ? 0 : EXECUTE_NEVER;
    return entry;
}

static uint32_t entry_rights(uint64_t entry)
{
    uint32_t rights = 0;
    rights |= entry & ACCESS_READ ? QUOLL_READ : 0;
    rights |= entry & ACCESS_WRITE ? QUOLL_WRITE : 0;
    rights |= entry & EXECUTE_NEVER ? 0 : QUOLL_EXECUTE;
    rights |= (entry & ATTRIBUTES_NORMAL) == ATTRIBUTES_DEVICE ? QUOLL_UNCACHED : 0;
    return rights;
}

static uint64_t *pool_take(struct page_pool *pool)
{
    if (pool->end - pool->next < (ptrdiff_t)PAGE_SIZE)
        return NULL;
    uint64_t *page = (uint64_t *)(void *)pool->next;
    pool->next += PAGE_SIZE;
    for (uint32_t i = 0; i < ENTRIES; i++)
        page[i] = 0;
    return page;
}

static bool range_good(uint64_t address, uint64_t size)
{
    const uint64_t limit = UINT64_C(1) << STAGE2_ADDRESS_BITS;
    return size != 0 && is_aligned(address | size, PAGE_SIZE) && address < limit &&
           size <= limit - address;
}

enum stage2_result stage2_create(struct stage2 *space, uint16_t vmid, struct page_pool *pool)
{
    space->vmid = vmid;
    space->root = pool_take(pool);
    return space->root != NULL ? STAGE2_OK : STAGE2_NO_MEMORY;
}

/* The entry that decides about the address: the last one on the way down. */
static uint64_t *entry_find(const struct stage2 *space, uint64_t address, uint32_t *level)
{
    uint64_t *table = space->root;
    for (*level = 1;; (*level)++) {
        uint64_t *entry = &table[index_at(address, *level)];
        uint64_t value = entry_read(entry);
        if (!is_table(value, *level))
            return entry;
        table = table_of(value);
    }
}

static bool range_is_free(const struct stage2 *space, uint64_t address, uint64_t size)
{
    uint64_t end = address + size;
    while (address < end) {
        uint32_t level;
        if (entry_read(entry_find(space, address, &level)) & VALID)
            return false;
        address = (address & ~(LEVEL_SIZE(level) - 1)) + LEVEL_SIZE(level);
    }
    return true;
}

/* The entry for the address at this level, with the tables above it made as needed. */
static uint64_t *entry_make_way(struct stage2 *space, uint64_t address, uint32_t level,
                                struct page_pool *pool)
{
    uint64_t *table = space->root;
    for (uint32_t above = 1; above < level; above++) {
        uint64_t *entry = &table[index_at(address, above)];
        if (!is_table(*entry, above)) {
            uint64_t *below = pool_take(pool);
            if (below == NULL)
                return NULL;
            entry_write(entry, (uintptr_t)below | VALID | TABLE_OR_PAGE);
        }
        table = table_of(*entry);
    }
    return &table[index_at(address, level)];
}

/* The largest block that starts here. A block is not possible where there is a table already: a
 * reserved range keeps its pages. */
static uint32_t block_level(const struct stage2 *space, uint64_t address, uint64_t physical,
                            uint64_t size)
{
    uint32_t deepest;
    entry_find(space, address, &deepest);
    for (uint32_t level = 1; level < LAST_LEVEL; level++) {
        if (level >= deepest && size >= LEVEL_SIZE(level) &&
            is_aligned(address | physical, LEVEL_SIZE(level)))
            return level;
    }
    return LAST_LEVEL;
}

enum stage2_result stage2_map(struct stage2 *space, ipaddr_t address, paddr_t physical,
                              uint64_t size, uint32_t rights, struct page_pool *pool)
{
    uint64_t at = address.value, to = physical.value, left = size;
    if (!range_good(at, size) || !is_aligned(to, PAGE_SIZE) || to > ADDRESS_MASK ||
        size > ADDRESS_MASK + PAGE_SIZE - to)
        return STAGE2_BAD_RANGE;
    if (!range_is_free(space, at, size))
        return STAGE2_OVERLAP;
    while (left > 0) {
        uint32_t level = block_level(space, at, to, left);
        uint64_t *entry = entry_make_way(space, at, level, pool);
        if (entry == NULL)
            return STAGE2_NO_MEMORY;
        entry_write(entry, entry_make(to, rights, level));
        at += LEVEL_SIZE(level);
        to += LEVEL_SIZE(level);
        left -= LEVEL_SIZE(level);
    }
    return STAGE2_OK;
}

enum stage2_result stage2_reserve(struct stage2 *space, ipaddr_t address, uint64_t size,
                                  struct page_pool *pool)
{
    if (!range_good(address.value, size))
        return STAGE2_BAD_RANGE;
    if (!range_is_free(space, address.value, size))
        return STAGE2_OVERLAP;
    uint64_t end = address.value + size;
    for (uint64_t at = address.value; at < end; at = (at & ~(LEVEL_SIZE(2) - 1)) + LEVEL_SIZE(2)) {
        if (entry_make_way(space, at, LAST_LEVEL, pool) == NULL)
            return STAGE2_NO_MEMORY;
    }
    return STAGE2_OK;
}

/* The page entry of an address in a reserved range; NULL when the range was not reserved. */
static uint64_t *page_entry(const struct stage2 *space, uint64_t address)
{
    uint32_t level;
    uint64_t *entry = entry_find(space, address, &level);
    return level == LAST_LEVEL ? entry : NULL;
}

void stage2_set_pages(struct stage2 *space, ipaddr_t address, paddr_t physical, uint64_t size,
                      uint32_t rights)
{
    for (uint64_t done = 0; done < size; done += PAGE_SIZE) {
        uint64_t *entry = page_entry(space, address.value + done);
        if (entry != NULL)
            entry_write(entry, entry_make(physical.value + done, rights, LAST_LEVEL));
    }
}

void stage2_clear_pages(struct stage2 *space, ipaddr_t address, uint64_t size)
{
    for (uint64_t done = 0; done < size; done += PAGE_SIZE) {
        uint64_t *entry = page_entry(space, address.value + done);
        if (entry != NULL)
            entry_write(entry, 0);
    }
}

/* What another core takes away or replaces meanwhile stays so. */
static void entry_protect(uint64_t *entry, uint32_t rights)
{
    uint64_t before = entry_read(entry);
    while ((before & VALID) &&
           !__atomic_compare_exchange_n(entry, &before,
                                        entry_make(before & ADDRESS_MASK, rights, LAST_LEVEL),
                                        false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        continue;
}

void stage2_protect_pages(struct stage2 *space, ipaddr_t address, uint64_t size, uint32_t rights)
{
    for (uint64_t done = 0; done < size; done += PAGE_SIZE) {
        uint64_t *entry = page_entry(space, address.value + done);
        if (entry != NULL)
            entry_protect(entry, rights);
    }
}

bool stage2_lookup(const struct stage2 *space, ipaddr_t address, paddr_t *physical,
                   uint32_t *rights)
{
    if (address.value >> STAGE2_ADDRESS_BITS != 0)
        return false;
    uint32_t level;
    uint64_t entry = entry_read(entry_find(space, address.value, &level));
    if (!(entry & VALID))
        return false;
    physical->value = (entry & ADDRESS_MASK) + (address.value & (LEVEL_SIZE(level) - 1));
    *rights = entry_rights(entry);
    return true;
}
