/*
 * Stage-2 tables: the one address-space mechanism, for components and guests alike.
 *
 * 39-bit intermediate addresses, 4 KiB granule, three levels (Arm ARM D8.3: VTCR_EL2.SL0 = 1), blocks of 1 GiB and 2 MiB
 * where address, size and alignment allow. Tables come from a pool that exists only during boot. A range
 * reserved for paging has its last-level tables from the start, so that changing it never allocates.
 * Pure: touches nothing but table memory and the pool; TLB maintenance is the caller's (tlb.h).
 */
#ifndef KERNEL_STAGE2_H
#define KERNEL_STAGE2_H

#include "types.h"

#define STAGE2_ADDRESS_BITS 39

struct stage2 {
    uint64_t *root; /* the level-1 table, 512 entries; kernel VA == PA */
    uint16_t vmid;  /* 1..255, unique */
};

/* Pages for tables, taken from the front; zeroed by the taker. */
struct page_pool {
    uint8_t *next, *end;
};

enum stage2_result { STAGE2_OK, STAGE2_NO_MEMORY, STAGE2_OVERLAP, STAGE2_BAD_RANGE };

enum stage2_result stage2_create(struct stage2 *space, uint16_t vmid, struct page_pool *pool);
/* rights: enum quoll_rights. Refuses to change an existing mapping (OVERLAP). Boot only. */
enum stage2_result stage2_map(struct stage2 *space, ipaddr_t address, paddr_t physical,
                              uint64_t size, uint32_t rights, struct page_pool *pool);
/* Makes page-level tables for the range, invalid. Boot only. */
enum stage2_result stage2_reserve(struct stage2 *space, ipaddr_t address, uint64_t size,
                                  struct page_pool *pool);
/* Within a reserved range. set: valid entries (replacing what was there); clear: invalid; protect:
 * changes rights of the valid pages, leaves others. */
void stage2_set_pages(struct stage2 *space, ipaddr_t address, paddr_t physical, uint64_t size,
                      uint32_t rights);
void stage2_clear_pages(struct stage2 *space, ipaddr_t address, uint64_t size);
void stage2_protect_pages(struct stage2 *space, ipaddr_t address, uint64_t size, uint32_t rights);
/* false: not mapped. */
bool stage2_lookup(const struct stage2 *space, ipaddr_t address, paddr_t *physical,
                   uint32_t *rights);

#endif
