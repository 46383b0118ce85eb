/* The address spaces of components and VMs, from the system image's mappings; see start_parts.h. */
#include "log.h"
#include "start_parts.h"

static struct page_pool pool; /* of all tables; never grows */

uint64_t spaces_mapping_size(const struct image_mapping *mapping)
{
    const struct region *region = &regions[mapping->region];
    uint64_t size = mapping->size;
    if (size == 0 && mapping->offset < region->size)
        size = region->size - mapping->offset;
    if (size == 0 || mapping->offset > region->size || size > region->size - mapping->offset)
        kstop("region '%s' has %lu bytes on this machine; the system wants %lu bytes from 0x%lx on",
              region->name, region->size, mapping->size, mapping->offset);
    return size;
}

/* How many tables the range can need: one per GiB it touches, and one per 2 MiB unless blocks fit. */
static uint64_t tables_needed(uint64_t size, bool blocks)
{
    return (size >> 30) + 2 + (blocks ? 2 : (size >> 21) + 2);
}

static void pool_make(struct start_result *result)
{
    const struct image *image = build.image;
    uint64_t pages = (uint64_t)image->component_count + image->vm_count;
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct image_mapping *mapping = &image->mappings[i];
        if (mapping->rights == 0)
            continue;
        uint64_t physical = regions[mapping->region].base.value + mapping->offset;
        pages += tables_needed(spaces_mapping_size(mapping),
                               is_aligned(mapping->address ^ physical, BLOCK_SIZE));
    }
    for (uint32_t i = 0; i < image->vm_count; i++) {
        if (image->vms[i].paged_size != 0)
            pages += tables_needed(image->vms[i].paged_size, false);
    }
    if (pages == 0)
        return;
    uint64_t base = place_allocate(pages * PAGE_SIZE, "the kernel's page tables").value;
    result->tables = (struct devicetree_range){base, pages * PAGE_SIZE};
    pool = (struct page_pool){(uint8_t *)(uintptr_t)base,
                              (uint8_t *)(uintptr_t)(base + pages * PAGE_SIZE)};
}

static void expect_ok(enum stage2_result result, const char *what)
{
    if (result == STAGE2_OVERLAP)
        kstop("%s: it overlaps another mapping in the same address space; the system image is "
              "wrong, build it again with `quoll build`",
              what);
    if (result == STAGE2_BAD_RANGE)
        kstop("%s: its addresses cannot be mapped; the system image is wrong, build it again with "
              "`quoll build`",
              what);
    KASSERT(result == STAGE2_OK);
}

void spaces_build(struct start_result *result)
{
    pool_make(result);
    const struct image *image = build.image;
    uint16_t vmid = 1;
    for (uint32_t i = 0; i < image->component_count; i++)
        expect_ok(stage2_create(&components[i].space, vmid++, &pool), "component");
    for (uint32_t i = 0; i < image->vm_count; i++) {
        expect_ok(stage2_create(&vms[i].space, vmid++, &pool), "VM");
        const struct image_vm *vm = &image->vms[i];
        if (vm->paged_size != 0)
            expect_ok(
                stage2_reserve(&vms[i].space, ipaddr(vm->paged_address), vm->paged_size, &pool),
                vm->name);
    }
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct image_mapping *mapping = &image->mappings[i];
        if (mapping->rights == 0)
            continue;
        const struct region *region = &regions[mapping->region];
        struct stage2 *space = mapping->space_kind == IMAGE_SPACE_VM
                                   ? &vms[mapping->space].space
                                   : &components[mapping->space].space;
        expect_ok(stage2_map(space, ipaddr(mapping->address),
                             paddr(region->base.value + mapping->offset),
                             spaces_mapping_size(mapping), mapping->rights, &pool),
                  region->name);
    }
}
