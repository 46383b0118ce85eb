/*
 * A simulated TLB, shared by all cores: a few translations that the driver had cores walk for.
 *
 * Hardware may walk the tables at any moment. So an invalidation here drops what it names and at once walks again, as
 * a core might just before the next instruction: tables that still have the old entry at that moment, or change it to
 * another one later, leave something stale behind.
 */
#include "host.h"
#include "stage2.h"
#include <string.h>

#define ENTRIES 128u

static struct translation {
    const struct stage2 *space; /* NULL: none */
    uint64_t page, physical;
    uint32_t rights;
} entries[ENTRIES];
static bool used; /* stays false for drivers that do not simulate it */

void host_tlb_reset(void)
{
    if (used)
        memset(entries, 0, sizeof(entries));
    used = false;
}

static void walk(struct translation *entry, const struct stage2 *space, uint64_t page)
{
    paddr_t physical;
    *entry = (struct translation){.page = page};
    if (stage2_lookup(space, ipaddr(page), &physical, &entry->rights)) {
        entry->space = space;
        entry->physical = physical.value;
    }
}

void host_tlb_touch(const struct stage2 *space, ipaddr_t address)
{
    uint64_t page = address.value & ~(PAGE_SIZE - 1);
    used = true;
    walk(&entries[(page / PAGE_SIZE + space->vmid * 7) % ENTRIES], space, page);
}

void host_tlb_invalidate(const struct stage2 *space, ipaddr_t address, uint64_t size)
{
    if (!used)
        return;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct translation *entry = &entries[i];
        if (entry->space == space && entry->page - address.value < size)
            walk(entry, space, entry->page);
    }
}

bool host_tlb_good(const struct stage2 *space, ipaddr_t *stale)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct translation now;
        if (entries[i].space != space)
            continue;
        walk(&now, space, entries[i].page);
        if (now.space != space || now.physical != entries[i].physical ||
            now.rights != entries[i].rights) {
            *stale = ipaddr(entries[i].page);
            return false;
        }
    }
    return true;
}
