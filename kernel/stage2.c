/*
 * Stage-2 tables; see stage2.h.
 *
 * Descriptors are those of Arm ARM D8.3 (VMSAv8-64, 4 KiB granule). Boot-time mapping works level by level from
 * the largest block that fits; what is there already is found before anything is written,
 * so a refused mapping changes nothing but the pool.
 */
#include "stage2.h"

#define ENTRIES 512u
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

/*
 * What is proved of this file (tests/proof), in the integers that these contracts speak: an entry at a level decides
 * about the level's bytes around the address that led to it, and about no others; whatever is
 * written names physical memory inside of what the caller asked for, at the addresses that it asked for.
 */
/*@ logic integer level_bytes(integer level) =
      level == 1 ? 1073741824 : level == 2 ? 2097152 : 4096;
    lemma entries_decide_apart: \forall integer a, b; 0 <= a < 549755813888 && 0 <= b < 549755813888 &&
      a / 1073741824 % 512 == b / 1073741824 % 512 && a / 2097152 % 512 == b / 2097152 % 512 &&
      a / 4096 % 512 == b / 4096 % 512 ==> a / 4096 == b / 4096;
    lemma pages_follow: \forall integer a, b; a % 4096 == 0 && b % 4096 == 0 ==>
      (a + b) % 4096 == 0 && (a - b) % 4096 == 0 && (a < b ==> a + 4096 <= b);
    lemma levels_are_pages: \forall integer level; level_bytes(level) % 4096 == 0;
    predicate is_table_start(uint64_t *table) = // the tables are PROOF_TABLES pages of a pool
      \exists integer n; 0 <= n < PROOF_TABLES && table == &proof_tables[n * 512];
    predicate is_entry(uint64_t *entry) =
      \exists integer n; 0 <= n < PROOF_TABLES * 512 && entry == &proof_tables[n];
    lemma entries_in_table: \forall uint64_t *table, integer index;
      is_table_start(table) && 0 <= index < 512 ==> is_entry(table + index); */

/*@ requires 1 <= level <= 3;
    assigns \nothing;
    ensures \result == level_bytes(level); */
static uint64_t level_size(uint32_t level)
{
    return level == 1 ? UINT64_C(1) << 30 : level == 2 ? UINT64_C(1) << 21 : PAGE_SIZE;
}

/*@ requires 1 <= level <= 3;
    assigns \nothing;
    ensures \result < 512;
    ensures \result == address / level_bytes(level) % 512; */
static uint32_t index_at(uint64_t address, uint32_t level)
{
    return (uint32_t)(address / level_size(level) % ENTRIES);
}

/* Assumed: an entry that is_table() was made by entry_make_way(), so it leads to a table of the pool. */
/*@ assigns \nothing;
    ensures is_table_start(\result); */
static uint64_t *table_of(uint64_t entry)
{
    return (uint64_t *)(uintptr_t)(entry & ADDRESS_MASK);
}

/*@ assigns \nothing;
    ensures \result ==> level < 3; */
static bool is_table(uint64_t entry, uint32_t level)
{
    return level < LAST_LEVEL && (entry & (VALID | TABLE_OR_PAGE)) == (VALID | TABLE_OR_PAGE);
}

/* Tables can be walked by other cores and their hardware at any time, and pages be changed by other cores' calls:
 * entries are read once, and change at once. To the provers a read returns anything. */
/*@ requires \valid_read(entry);
    assigns \nothing; */
static uint64_t entry_read(const uint64_t *entry)
{
    return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

/*@ requires \valid(entry);
    assigns *entry;
    ensures *entry == value; */
static void entry_write(uint64_t *entry, uint64_t value)
{
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

/*@ requires physical % 4096 == 0 && physical <= 0x0000fffffffff000;
    assigns \nothing; */
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

/*@ assigns \nothing; */
static uint32_t entry_rights(uint64_t entry)
{
    uint32_t rights = 0;
    rights |= entry & ACCESS_READ ? QUOLL_READ : 0;
    rights |= entry & ACCESS_WRITE ? QUOLL_WRITE : 0;
    rights |= entry & EXECUTE_NEVER ? 0 : QUOLL_EXECUTE;
    rights |= (entry & ATTRIBUTES_NORMAL) == ATTRIBUTES_DEVICE ? QUOLL_UNCACHED : 0;
    return rights;
}

/*@ requires \valid(pool);
    assigns *pool;
    ensures \result == \null || is_table_start(\result); */
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

/*@ assigns \nothing;
    ensures \result <==> address % 4096 == 0 && size % 4096 == 0 && 0 < size &&
                        address + size <= 549755813888; */
static bool range_good(uint64_t address, uint64_t size)
{
    const uint64_t limit = UINT64_C(1) << STAGE2_ADDRESS_BITS;
    return size != 0 && is_aligned(address, PAGE_SIZE) && is_aligned(size, PAGE_SIZE) &&
           address < limit && size <= limit - address;
}

enum stage2_result stage2_create(struct stage2 *space, uint16_t vmid, struct page_pool *pool)
{
    space->vmid = vmid;
    space->root = pool_take(pool);
    return space->root != NULL ? STAGE2_OK : STAGE2_NO_MEMORY;
}

/* The entry that decides about the address: the last one on the way down. */
/*@ requires \valid_read(space) && is_table_start(space->root) && \valid(level);
    requires \separated(level, space);
    assigns *level;
    ensures 1 <= *level <= 3 && is_entry(\result); */
static uint64_t *entry_find(const struct stage2 *space, uint64_t address, uint32_t *level)
{
    uint64_t *table = space->root;
    /*@ loop invariant 1 <= *level <= 3 && is_table_start(table);
        loop assigns *level, table;
        loop variant 3 - *level; */
    for (*level = 1;; (*level)++) {
        uint64_t *entry = &table[index_at(address, *level)];
        uint64_t value = entry_read(entry);
        if (!is_table(value, *level))
            return entry;
        table = table_of(value);
    }
}

/*@ requires \valid_read(space) && is_table_start(space->root);
    requires address + size <= 549755813888;
    assigns \nothing; */
static bool range_is_free(const struct stage2 *space, uint64_t address, uint64_t size)
{
    uint64_t end = address + size;
    /*@ loop invariant address < 2 * 549755813888;
        loop assigns address;
        loop variant end - address; */
    while (address < end) {
        uint32_t level;
        if (entry_read(entry_find(space, address, &level)) & VALID)
            return false;
        address = address - address % level_size(level) + level_size(level);
    }
    return true;
}

/* The entry for the address at this level, with the tables above it made as needed. */
/*@ requires \valid(space) && is_table_start(space->root) && 1 <= level <= 3;
    requires \valid(pool) && \separated(pool, space);
    assigns *pool, proof_tables[0 .. PROOF_TABLES * 512 - 1];
    ensures \result == \null || is_entry(\result); */
static uint64_t *entry_make_way(struct stage2 *space, uint64_t address, uint32_t level,
                                struct page_pool *pool)
{
    uint64_t *table = space->root;
    /*@ loop invariant 1 <= above <= level && is_table_start(table);
        loop assigns above, table, *pool, proof_tables[0 .. PROOF_TABLES * 512 - 1];
        loop variant level - above; */
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
/*@ requires \valid_read(space) && is_table_start(space->root);
    requires address % 4096 == 0 && physical % 4096 == 0 && size % 4096 == 0 && size > 0;
    assigns \nothing;
    ensures 1 <= \result <= 3 && level_bytes(\result) <= size;
    ensures address % level_bytes(\result) == 0 && physical % level_bytes(\result) == 0; */
static uint32_t block_level(const struct stage2 *space, uint64_t address, uint64_t physical,
                            uint64_t size)
{
    uint32_t deepest;
    entry_find(space, address, &deepest);
    /*@ loop invariant 1 <= level <= 3;
        loop assigns level;
        loop variant 3 - level; */
    for (uint32_t level = 1; level < LAST_LEVEL; level++) {
        uint64_t bytes = level_size(level);
        if (level >= deepest && size >= bytes && address % bytes == 0 && physical % bytes == 0)
            return level;
    }
    return LAST_LEVEL;
}

/*@ requires \valid(space) && is_table_start(space->root);
    requires \valid(pool) && \separated(pool, space);
    assigns *pool, proof_tables[0 .. PROOF_TABLES * 512 - 1]; */
enum stage2_result stage2_map(struct stage2 *space, ipaddr_t address, paddr_t physical,
                              uint64_t size, uint32_t rights, struct page_pool *pool)
{
    uint64_t at = address.value, to = physical.value, left = size;
    if (!range_good(at, size) || !is_aligned(to, PAGE_SIZE) || to > ADDRESS_MASK ||
        size > ADDRESS_MASK + PAGE_SIZE - to)
        return STAGE2_BAD_RANGE;
    if (!range_is_free(space, at, size))
        return STAGE2_OVERLAP;
    /*@ loop invariant at + left == address.value + size && to + left == physical.value + size;
        loop invariant at % 4096 == 0;
        loop invariant to % 4096 == 0;
        loop invariant left % 4096 == 0;
        loop invariant left <= size;
        loop assigns at, to, left, *pool, proof_tables[0 .. PROOF_TABLES * 512 - 1];
        loop variant left; */
    while (left > 0) {
        uint32_t level = block_level(space, at, to, left);
        uint64_t *entry = entry_make_way(space, at, level, pool);
        if (entry == NULL)
            return STAGE2_NO_MEMORY;
        uint64_t bytes = level_size(level);
        //@ assert bytes % 4096 == 0;
        //@ assert inside_virtual: address.value <= at && at + bytes <= address.value + size;
        //@ assert inside_physical: physical.value <= to && to + bytes <= physical.value + size;
        //@ assert whole_block: at % bytes == 0 && to % bytes == 0;
        entry_write(entry, entry_make(to, rights, level));
        //@ assert (at + bytes) % 4096 == 0;
        //@ assert (to + bytes) % 4096 == 0;
        //@ assert (left - bytes) % 4096 == 0;
        at += bytes;
        to += bytes;
        left -= bytes;
    }
    return STAGE2_OK;
}

/*@ requires \valid(space) && is_table_start(space->root);
    requires \valid(pool) && \separated(pool, space);
    assigns *pool, proof_tables[0 .. PROOF_TABLES * 512 - 1]; */
enum stage2_result stage2_reserve(struct stage2 *space, ipaddr_t address, uint64_t size,
                                  struct page_pool *pool)
{
    if (!range_good(address.value, size))
        return STAGE2_BAD_RANGE;
    if (!range_is_free(space, address.value, size))
        return STAGE2_OVERLAP;
    uint64_t end = address.value + size;
    /*@ loop invariant address.value <= at < 2 * 549755813888;
        loop assigns at, *pool, proof_tables[0 .. PROOF_TABLES * 512 - 1];
        loop variant end - at; */
    for (uint64_t at = address.value; at < end; at = at - at % level_size(2) + level_size(2)) {
        if (entry_make_way(space, at, LAST_LEVEL, pool) == NULL)
            return STAGE2_NO_MEMORY;
    }
    return STAGE2_OK;
}

/* The page entry of an address in a reserved range; NULL when the range was not reserved. */
/*@ requires \valid_read(space) && is_table_start(space->root);
    assigns \nothing;
    ensures \result == \null || is_entry(\result); */
static uint64_t *page_entry(const struct stage2 *space, uint64_t address)
{
    uint32_t level;
    uint64_t *entry = entry_find(space, address, &level);
    return level == LAST_LEVEL ? entry : NULL;
}

/*@ requires \valid(space) && is_table_start(space->root);
    requires address.value % 4096 == 0 && size % 4096 == 0 && address.value + size <= 549755813888;
    requires physical.value % 4096 == 0 && physical.value + size <= 0x0000fffffffff000;
    assigns proof_tables[0 .. PROOF_TABLES * 512 - 1]; */
void stage2_set_pages(struct stage2 *space, ipaddr_t address, paddr_t physical, uint64_t size,
                      uint32_t rights)
{
    /*@ loop invariant done % 4096 == 0 && done <= size;
        loop assigns done, proof_tables[0 .. PROOF_TABLES * 512 - 1];
        loop variant size - done; */
    for (uint64_t done = 0; done < size; done += PAGE_SIZE) {
        //@ assert inside: address.value <= address.value + done && address.value + done + 4096 <= address.value + size;
        uint64_t *entry = page_entry(space, address.value + done);
        //@ assert inside_physical: physical.value + done + 4096 <= physical.value + size;
        if (entry != NULL)
            entry_write(entry, entry_make(physical.value + done, rights, LAST_LEVEL));
    }
}

/*@ requires \valid(space) && is_table_start(space->root);
    requires address.value % 4096 == 0 && size % 4096 == 0 && address.value + size <= 549755813888;
    assigns proof_tables[0 .. PROOF_TABLES * 512 - 1]; */
void stage2_clear_pages(struct stage2 *space, ipaddr_t address, uint64_t size)
{
    /*@ loop invariant done % 4096 == 0 && done <= size;
        loop assigns done, proof_tables[0 .. PROOF_TABLES * 512 - 1];
        loop variant size - done; */
    for (uint64_t done = 0; done < size; done += PAGE_SIZE) {
        //@ assert inside: address.value <= address.value + done && address.value + done + 4096 <= address.value + size;
        uint64_t *entry = page_entry(space, address.value + done);
        if (entry != NULL)
            entry_write(entry, 0);
    }
}

/* What another core takes away or replaces meanwhile stays so. */
/*@ requires \valid(entry);
    assigns *entry; */
static void entry_protect(uint64_t *entry, uint32_t rights)
{
    uint64_t before = entry_read(entry);
    //@ loop assigns before, *entry;
    while ((before & VALID) &&
           !__atomic_compare_exchange_n(entry, &before,
                                        entry_make(before & ADDRESS_MASK, rights, LAST_LEVEL),
                                        false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        continue;
}

/*@ requires \valid(space) && is_table_start(space->root);
    requires address.value % 4096 == 0 && size % 4096 == 0 && address.value + size <= 549755813888;
    assigns proof_tables[0 .. PROOF_TABLES * 512 - 1]; */
void stage2_protect_pages(struct stage2 *space, ipaddr_t address, uint64_t size, uint32_t rights)
{
    /*@ loop invariant done % 4096 == 0 && done <= size;
        loop assigns done, proof_tables[0 .. PROOF_TABLES * 512 - 1];
        loop variant size - done; */
    for (uint64_t done = 0; done < size; done += PAGE_SIZE) {
        //@ assert inside: address.value <= address.value + done && address.value + done + 4096 <= address.value + size;
        uint64_t *entry = page_entry(space, address.value + done);
        if (entry != NULL)
            entry_protect(entry, rights);
    }
}

/*@ requires \valid_read(space) && is_table_start(space->root);
    requires \valid(physical) && \valid(rights) && \separated(physical, rights);
    assigns *physical, *rights; */
bool stage2_lookup(const struct stage2 *space, ipaddr_t address, paddr_t *physical,
                   uint32_t *rights)
{
    if (address.value >> STAGE2_ADDRESS_BITS != 0)
        return false;
    uint32_t level;
    uint64_t entry = entry_read(entry_find(space, address.value, &level));
    if (!(entry & VALID))
        return false;
    physical->value = (entry & ADDRESS_MASK) + address.value % level_size(level);
    *rights = entry_rights(entry);
    return true;
}
